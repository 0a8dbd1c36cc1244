"""Signed messages between hub and sites, and the payloads they carry.

A message is a small JSON header, an optional small `enclosed` blob and a body of any size. Its signature covers
("isthmus/1", mode, kind, run, sender, SHA-256 of header, enclosed and body): a message of another run, mode, kind or
sender never passes for this one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from isthmus.crypto.keys import SigningKey, verify
from isthmus.model.errors import Invalid, Unavailable

VERSION = "isthmus/1"
HUB = "hub"
CHUNK = 1 << 20  # 1 MiB: larger payloads are files, sent frame by frame


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Payload(Protocol):
    """Bytes of known size and digest, read chunk by chunk as often as needed."""

    @property
    def size(self) -> int:
        """Number of bytes."""

    @property
    def sha256(self) -> str:
        """Hex digest, computed by whoever holds the bytes, never taken from a peer."""

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """The bytes, `size` at a time; the last chunk may be shorter, and no chunk is empty."""


@dataclass(frozen=True, slots=True)
class BytesPayload:
    """A payload in memory."""

    raw: bytes
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", hashlib.sha256(self.raw).hexdigest())

    @property
    def size(self) -> int:
        """Number of bytes."""
        return len(self.raw)

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """Slices of the bytes."""
        if len(self.raw) <= size:
            if self.raw:
                yield self.raw
            return
        for start in range(0, len(self.raw), size):
            yield self.raw[start : start + size]


@dataclass(frozen=True, slots=True)
class FilePayload:
    """A payload in a spool file, whose writer counted and hashed it; or a part of one, from byte `start` on."""

    path: Path
    size: int
    sha256: str
    start: int = 0

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """Reads the file from its beginning.

        Raises:
            Unavailable: E-SPOOL, the file is gone or shorter than it was.
        """
        left = self.size
        try:
            with self.path.open("rb") as source:
                source.seek(self.start)
                while left:
                    chunk = source.read(min(size, left))
                    if not chunk:
                        raise Unavailable("E-SPOOL", "a spooled reply is shorter than it was written")
                    left -= len(chunk)
                    yield chunk
        except OSError as error:
            raise Unavailable("E-SPOOL", "a spooled reply cannot be read", "check the node's disk") from error


@dataclass(frozen=True, slots=True)
class ChainPayload:
    """Payloads one after the other, without joining them in memory."""

    parts: tuple[Payload, ...]
    size: int = field(init=False)
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", sum(part.size for part in self.parts))
        state = hashlib.sha256()
        for part in self.parts:
            for chunk in part.chunks():
                state.update(chunk)
        object.__setattr__(self, "sha256", state.hexdigest())

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """Chunks that may span parts."""
        yield from regroup((chunk for part in self.parts for chunk in part.chunks(size)), size)


EMPTY = BytesPayload(b"")


def read_all(payload: Payload) -> bytes:
    """The whole payload in memory; for bodies known to be small."""
    return payload.raw if isinstance(payload, BytesPayload) else b"".join(payload.chunks())


def part(payload: Payload, start: int, size: int) -> Payload:
    """`size` bytes of a payload from `start` on, without reading them. A file's part has no digest of its own."""
    if isinstance(payload, FilePayload):
        return FilePayload(payload.path, size, "", payload.start + start)
    return BytesPayload(read_all(payload)[start : start + size])


def regroup(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in chunks of exactly `size`, but for the last."""
    held = bytearray()
    for chunk in chunks:
        if not held and len(chunk) == size:
            yield chunk
            continue
        held += chunk
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One signed message.

    Attributes:
        header: text, integers, booleans, lists and objects: a strict record per kind.
        raw: the header's canonical form.
    """

    kind: str
    mode: str
    run: str
    sender: str
    header: Mapping[str, Any]
    body: Payload = EMPTY
    enclosed: bytes = b""
    signature: bytes = b""
    raw: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "raw", compact(self.header))


@dataclass(frozen=True, slots=True)
class Author:
    """One party's hand in one run: whatever it says is signed."""

    mode: str
    run: str
    name: str
    key: SigningKey

    def say(self, kind: str, header: Mapping[str, Any], body: Payload = EMPTY, enclosed: bytes = b"") -> Message:
        """A message of this author, signed."""
        message = self.endorse(kind, header, b"", body, enclosed)
        return dataclasses.replace(message, signature=self.key.sign(_signed(message)))

    def endorse(
        self, kind: str, header: Mapping[str, Any], signature: bytes, body: Payload = EMPTY, enclosed: bytes = b""
    ) -> Message:
        """A message that carries a signature over another statement in place of its own."""
        return Message(
            kind=kind, mode=self.mode, run=self.run, sender=self.name, header=header, body=body, enclosed=enclosed,
            signature=signature,
        )  # fmt: skip


def compact(value: Any) -> bytes:
    """JSON of text, integers, booleans, null, lists and objects with ASCII keys: for these, the RFC 8785 form.

    Raises:
        Invalid: E-JSON, anything else.
    """
    try:
        return _ENCODER.encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid("E-JSON", "a header holds text, integers, lists and objects only") from error


def header_digest(header: Mapping[str, Any]) -> str:
    """Hex SHA-256 of a header's canonical form."""
    return hashlib.sha256(compact(header)).hexdigest()


def signed_bytes(mode: str, kind: str, run: str, sender: str, digests: tuple[str, str, str]) -> bytes:
    """What a message's signature covers; `digests` are hex SHA-256 of header, enclosed and body."""
    return compact([VERSION, mode, kind, run, sender, *digests])


def check_signature(message: Message, public: bytes) -> None:
    """Return when `message` is signed by `public`.

    Raises:
        Untrusted: E-SIGNATURE.
    """
    verify(public, message.signature, _signed(message))


def _signed(message: Message) -> bytes:
    digests = (
        hashlib.sha256(message.raw).hexdigest(), hashlib.sha256(message.enclosed).hexdigest(), message.body.sha256
    )  # fmt: skip
    return signed_bytes(message.mode, message.kind, message.run, message.sender, digests)


def weight(message: Message) -> int:
    """Bytes of content: header, enclosed, body and signature."""
    return len(message.raw) + len(message.enclosed) + message.body.size + len(message.signature)
