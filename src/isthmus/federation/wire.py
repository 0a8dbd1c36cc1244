"""The one strict door for messages: bytes in, `Message` or a typed error out.

A message on the wire is a JSON head (this module) and its body in chunks of at most 1 MiB (frames.py). The head says
how long the body is; the receiver bounds both before it reads, hashes what comes, and spools a body above 1 MiB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from isthmus.federation.messages import CHUNK, EMPTY, VERSION, Message, Payload, compact
from isthmus.model.errors import Invalid

MAX_HEAD = 4_000_000  # below gRPC's 4 MiB message limit
MAX_BODY = 1 << 36  # 64 GiB; a transport passes the bound of what it expects
_KEYS = frozenset({"version", "kind", "mode", "run", "sender", "header", "enclosed", "size", "signature"})
_TEXTS = ("version", "kind", "mode", "run", "sender", "enclosed", "signature")


def encode(message: Message) -> tuple[bytes, Iterator[bytes]]:
    """The head and the body's chunks.

    Raises:
        Invalid: E-TOO-LARGE, the head is above its bound.
    """
    rest = compact(
        {
            "version": VERSION, "kind": message.kind, "mode": message.mode, "run": message.run,
            "sender": message.sender, "enclosed": message.enclosed.hex(),
            "size": message.body.size, "signature": message.signature.hex(),
        }
    )  # fmt: skip
    head = b'{"header":' + message.raw + b"," + rest[1:]
    if len(head) > MAX_HEAD:
        raise Invalid("E-TOO-LARGE", "a message's head is above 4 MB")
    return head, message.body.chunks(CHUNK)


def head_of(raw: bytes, limit: int = MAX_BODY) -> tuple[dict[str, Any], int]:
    """The checked head and the size of the body that follows.

    Raises:
        Invalid: E-TOO-LARGE, head or body above its bound; E-WIRE, malformed; E-VERSION, another protocol version.
    """
    if len(raw) > MAX_HEAD:
        raise Invalid("E-TOO-LARGE", "a message's head is above 4 MB")
    try:
        head = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _malformed("not JSON") from error
    _check_shape(head)
    if head["version"] != VERSION:
        raise Invalid(
            "E-VERSION", f"this node speaks {VERSION}, the peer {head['version'][:40]!r}", "run the same release"
        )
    if head["size"] > limit:
        raise Invalid("E-TOO-LARGE", f"a body above the {limit} bytes expected here")
    return head, head["size"]


def decode(raw: bytes, body: Payload = EMPTY) -> Message:
    """The message of a head and its body. Who sent it is for the receiver to check.

    Raises:
        Invalid: E-TOO-LARGE, E-WIRE, E-VERSION.
    """
    head, size = head_of(raw)
    if body.size != size:
        raise _malformed("the body has another size than its head says")
    return _message(head, body)


def _check_shape(head: Any) -> None:
    if not isinstance(head, dict) or set(head) != _KEYS:
        raise _malformed("not the keys of a message")
    if not all(isinstance(head[name], str) for name in _TEXTS) or not isinstance(head["header"], dict):
        raise _malformed("a part has another type")
    if type(head["size"]) is not int or head["size"] < 0:
        raise _malformed("a size is a whole number")


def _message(head: dict[str, Any], body: Payload) -> Message:
    return Message(
        kind=head["kind"], mode=head["mode"], run=head["run"], sender=head["sender"], header=head["header"],
        body=body, enclosed=unhex(head["enclosed"]), signature=unhex(head["signature"]),
    )  # fmt: skip


def unhex(text: str, size: int | None = None) -> bytes:
    """Bytes of lower-case hex, of `size` where one is given.

    Raises:
        Invalid: E-WIRE.
    """
    try:
        raw = bytes.fromhex(text)
    except ValueError as error:
        raise _malformed("not hex") from error
    if raw.hex() != text or (size is not None and len(raw) != size):
        raise _malformed("not lower-case hex of the right length")
    return raw


def _malformed(what: str) -> Invalid:
    return Invalid("E-WIRE", f"malformed message: {what}")
