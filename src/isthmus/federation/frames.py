"""How messages and control documents share a stream: frames of about 1 MiB, each a row of records.

    record   tag (1 byte), length (4 bytes, little-endian), payload
    C        a signed control document (control.py): hello, heartbeat, bye, invite ...
    M        a message: its body's size (8 bytes), then its head (wire.py); the body follows
    D        the next bytes of the last message's body

Small items share a frame, since a write costs 0.2 ms of the hub's loop; a body above 1 MiB goes to a spool file as it
arrives. Every size is checked before anything is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from isthmus.federation import wire
from isthmus.federation.messages import CHUNK, EMPTY, BytesPayload, Message
from isthmus.federation.spool import Spool, SpoolWriter
from isthmus.model.errors import Invalid

FRAME = 1 << 20  # 256 KiB frames were 15 % slower
LARGEST_FRAME = 4_000_128  # one head of the largest size; gRPC's own limit is 4,194,304 bytes a message
MAXIMUM_CONTROL = 1 << 20

_RECORD = struct.Struct("<cI")
_SIZE = struct.Struct("<Q")
_CONTROL, _MESSAGE, _DATA = b"C", b"M", b"D"


@dataclass(frozen=True, slots=True)
class ControlBytes:
    """A control document, to send or as received."""

    raw: bytes


Item: TypeAlias = Message | ControlBytes


def pack(items: Iterable[Item]) -> Iterator[bytes]:
    """Frames that hold `items`, in order.

    Raises:
        Invalid: E-TOO-LARGE, a control document above 1 MiB or a head above its bound.
    """
    frame = bytearray()
    for item in items:
        for tag, piece in _records(item):
            if frame and len(frame) + _RECORD.size + len(piece) > FRAME:
                yield bytes(frame)
                frame.clear()
            frame += _RECORD.pack(tag, len(piece))
            frame += piece
    if frame:
        yield bytes(frame)


def _records(item: Item) -> Iterator[tuple[bytes, bytes]]:
    if isinstance(item, ControlBytes):
        if len(item.raw) > MAXIMUM_CONTROL:
            raise Invalid("E-TOO-LARGE", f"a control document is above {MAXIMUM_CONTROL} bytes")
        yield _CONTROL, item.raw
        return
    head, chunks = wire.encode(item)
    yield _MESSAGE, _SIZE.pack(item.body.size) + head
    for piece in chunks:
        yield _DATA, piece


class Assembler:
    """Puts the records of one stream back together.

    Args:
        spool: takes bodies above 1 MiB.
        largest: bytes that a body may have.
        expected: bytes that the body of a message with this head may have now, asked before one above 1 MiB is kept;
            a longer one is read from the stream and thrown away, and its message with it.
    """

    def __init__(self, spool: Spool, largest: int, expected: Callable[[Mapping[str, Any]], int] | None = None) -> None:
        self._expected = expected
        self._spool = spool
        self._largest = largest
        self._open: _Partial | _Unwanted | None = None

    def feed(self, frame: bytes) -> list[Item]:
        """Take a frame in; give the items it completes.

        Raises:
            Invalid: E-WIRE, not records; E-TOO-LARGE; E-VERSION.
            Unavailable: the disk is full.
        """
        if len(frame) > LARGEST_FRAME:
            raise Invalid("E-TOO-LARGE", f"a frame is above {LARGEST_FRAME} bytes")
        done: list[Item] = []
        for tag, piece in _split(frame):
            item = self._take(tag, piece)
            if item is not None:
                done.append(item)
        return done

    def abandon(self) -> None:
        """The stream ended: drop a body that did not arrive in full."""
        if self._open is not None:
            self._open.abandon()
            self._open = None

    def _take(self, tag: bytes, piece: memoryview) -> Item | None:
        if tag == _DATA:
            return self._data(piece)
        if self._open is not None:
            raise Invalid("E-WIRE", "a message was cut short by another")
        if tag == _CONTROL:
            if len(piece) > MAXIMUM_CONTROL:
                raise Invalid("E-TOO-LARGE", f"a control document is above {MAXIMUM_CONTROL} bytes")
            return ControlBytes(bytes(piece))
        return self._message(piece)

    def _message(self, piece: memoryview) -> Message | None:
        if len(piece) < _SIZE.size:
            raise Invalid("E-WIRE", "a message has no size")
        (size,) = _SIZE.unpack_from(piece)
        head = bytes(piece[_SIZE.size :])
        if size > self._largest:
            raise Invalid("E-TOO-LARGE", f"a body above the limit of {self._largest} bytes was announced")
        if size == 0:
            return wire.decode(head, EMPTY)
        kept = size <= CHUNK or self._expected is None or size <= self._expected(wire.head_of(head)[0])
        self._open = _Partial(head, size, self._spool) if kept else _Unwanted(size)
        return None

    def _data(self, piece: memoryview) -> Message | None:
        if self._open is None:
            raise Invalid("E-WIRE", "body bytes without a message")
        done = self._open.add(piece)
        if self._open.whole:
            self._open = None
        return done


def controls(frame: bytes) -> list[ControlBytes]:
    """The documents of a frame that may hold nothing else: a question, or an answer to one.

    Raises:
        Invalid: E-WIRE, E-TOO-LARGE.
    """
    if len(frame) > LARGEST_FRAME:
        raise Invalid("E-TOO-LARGE", f"a frame is above {LARGEST_FRAME} bytes")
    records = list(_split(frame))
    if any(tag != _CONTROL for tag, _ in records):
        raise Invalid("E-WIRE", "only control documents belong here")
    return [ControlBytes(bytes(piece)) for _, piece in records]


class _Partial:
    """A message whose body is arriving."""

    def __init__(self, head: bytes, size: int, spool: Spool) -> None:
        self._head = head
        self._size = size
        self._have = 0
        self._memory = bytearray()
        self._file: SpoolWriter | None = spool.writer("received") if size > CHUNK else None

    @property
    def whole(self) -> bool:
        """Whether every byte is here."""
        return self._have == self._size

    def add(self, piece: memoryview) -> Message | None:
        if self._have + len(piece) > self._size or not piece:
            self.abandon()
            raise Invalid("E-WIRE", "a body is longer than announced, or a piece of it is empty")
        self._have += len(piece)
        if self._file is None:
            self._memory += piece
            return wire.decode(self._head, BytesPayload(bytes(self._memory))) if self.whole else None
        self._file.write(bytes(piece))
        return wire.decode(self._head, self._file.close()) if self.whole else None

    def abandon(self) -> None:
        if self._file is not None:
            self._file.discard()


class _Unwanted:
    """A body that nobody waits for: its bytes pass, nothing is kept."""

    def __init__(self, size: int) -> None:
        self._left = size

    @property
    def whole(self) -> bool:
        """Whether all of it has passed."""
        return self._left == 0

    def add(self, piece: memoryview) -> None:
        if len(piece) > self._left or not piece:
            raise Invalid("E-WIRE", "a body is longer than announced, or a piece of it is empty")
        self._left -= len(piece)

    def abandon(self) -> None:
        """Nothing to drop."""


def _split(frame: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, at = memoryview(frame), 0
    while at < len(frame):
        if at + _RECORD.size > len(frame):
            raise Invalid("E-WIRE", "a frame ends inside a record")
        tag, length = _RECORD.unpack_from(frame, at)
        at += _RECORD.size
        if tag not in (_CONTROL, _MESSAGE, _DATA) or at + length > len(frame):
            raise Invalid("E-WIRE", "a frame holds something that is not a record")
        yield tag, view[at : at + length]
        at += length
