"""Checkpoints: a log's head as a signed note, cosigned by the sites.

References: C2SP signed-note, tlog-checkpoint, tlog-cosignature (v1). A note's text starts with the origin and a
cosigned message with `cosignature/v1`, so neither can be taken for an envelope (`DSSEv1 `) or a message (JSON).
"""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import sha256
from typing import TYPE_CHECKING

from isthmus.crypto.keys import SIGNATURE_SIZE, SigningKey, verify
from isthmus.ledger.log import Head
from isthmus.ledger.merkle import HASH_SIZE
from isthmus.model.errors import Invalid, Untrusted
from isthmus.model.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DASH = "\N{EM DASH} "
_KEY_ID_SIZE = 4
_TIME_SIZE = 8
_PLAIN, _COSIGNATURE = b"\x01", b"\x04"  # signature types of signed-note
_NAME = re.compile(r"[^\s+]{1,128}")
_SIZE = re.compile(r"0|[1-9]\d{0,15}", re.ASCII)
MAXIMUM_NOTE = 256 * 1024


@record
class Checkpoint:
    """A verified note: whose log, its head, and the witnesses whose cosignature holds, in the note's order."""

    origin: str
    head: Head
    cosigners: tuple[str, ...]


@record
class _Line:
    name: str
    key_id: bytes
    signature: bytes


def sign_checkpoint(origin: str, head: Head, key: SigningKey) -> str:
    """The note of `head`, signed by the log's own key under the name `origin`. Invalid (E-CHECKPOINT): a bad name."""
    text = f"{origin}\n{head.size}\n{base64.b64encode(head.root).decode()}\n"
    return f"{text}\n{_line(origin, _key_id(origin, _PLAIN, key.public) + key.sign(text.encode()))}"


def cosign(note: str, name: str, key: SigningKey, seconds: int) -> str:
    """The witness `name`'s signature line over `note`; the caller has verified and followed it.

    Args:
        note: a signed note, cosigned or not.
        name: the witness's name (a site).
        key: the witness's identity key.
        seconds: Unix time of the cosignature.

    Raises:
        Invalid: E-CHECKPOINT, not a note, a bad name or time.
    """
    text, _ = _read(note)
    if not 0 < seconds < 2**63:
        raise _malformed()
    signature = key.sign(_cosigned(text, seconds))
    stamp = seconds.to_bytes(_TIME_SIZE, "big")
    return _line(name, _key_id(name, _COSIGNATURE, key.public) + stamp + signature)


def with_cosignatures(note: str, lines: Iterable[str]) -> str:
    """`note` with the signature lines of `cosign` added. Invalid (E-CHECKPOINT) when one is not such a line."""
    joined = note + "".join(lines)
    _read(joined)
    return joined


def verify_checkpoint(note: str, log_key: bytes, witnesses: Mapping[str, bytes]) -> Checkpoint:
    """The checkpoint in `note`, when the log's key signed it.

    Args:
        note: the signed note.
        log_key: the log's pinned key (32 bytes); the note's first line must be the name it signs under.
        witnesses: name -> pinned key. Lines of other names or keys are ignored (signed-note asks for it);
            how many cosigners are enough is the caller's rule.

    Raises:
        Invalid: E-CHECKPOINT, not a note.
        Untrusted: E-SIGNATURE, no signature by the log, a wrong one by it or by a witness, or a witness twice.
    """
    text, lines = _read(note)
    origin, head = _body(text)
    own = [item for item in lines if item.name == origin and item.key_id == _key_id(origin, _PLAIN, log_key)]
    if len(own) != 1:
        raise Untrusted("E-SIGNATURE", "the checkpoint is not signed by its log")
    verify(log_key, own[0].signature, text.encode())
    cosigners = []
    for item in lines:
        key = witnesses.get(item.name)
        if key is not None and item.key_id == _key_id(item.name, _COSIGNATURE, key):
            _verify_cosignature(text, item, key)
            cosigners.append(item.name)
    if len(set(cosigners)) != len(cosigners):
        raise Untrusted("E-SIGNATURE", "one witness cosigned the checkpoint twice")
    return Checkpoint(origin=origin, head=head, cosigners=tuple(cosigners))


def _verify_cosignature(text: str, item: _Line, key: bytes) -> None:
    if len(item.signature) != _TIME_SIZE + SIGNATURE_SIZE:
        raise Untrusted("E-SIGNATURE", "the cosignature has another length")
    seconds = int.from_bytes(item.signature[:_TIME_SIZE], "big")
    verify(key, item.signature[_TIME_SIZE:], _cosigned(text, seconds))


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _key_id(name: str, kind: bytes, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + kind + public).digest()[:_KEY_ID_SIZE]


def _line(name: str, signature: bytes) -> str:
    if not _NAME.fullmatch(name):
        raise _malformed()
    return f"{_DASH}{name} {base64.b64encode(signature).decode()}\n"


def _read(note: str) -> tuple[str, list[_Line]]:
    """The signed text (with its last newline) and the signature lines."""
    text, blank, rest = note.rpartition("\n\n")
    if not blank or not rest.endswith("\n") or len(note) > MAXIMUM_NOTE:
        raise _malformed()
    return text + "\n", [_signature(line) for line in rest[:-1].split("\n")]


def _signature(line: str) -> _Line:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not _NAME.fullmatch(name):
        raise _malformed()
    raw = _unbase64(encoded)
    if len(raw) <= _KEY_ID_SIZE:
        raise _malformed()
    return _Line(name=name, key_id=raw[:_KEY_ID_SIZE], signature=raw[_KEY_ID_SIZE:])


def _body(text: str) -> tuple[str, Head]:
    origin, _, rest = text.partition("\n")
    lines = rest.split("\n")
    # no extension lines: this log writes none, so whatever follows the root is refused
    if len(lines) != 3 or lines[2] or not _NAME.fullmatch(origin) or not _SIZE.fullmatch(lines[0]):
        raise _malformed()
    root = _unbase64(lines[1])
    if len(root) != HASH_SIZE:
        raise _malformed()
    return origin, Head(size=int(lines[0]), root=root)


def _unbase64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise _malformed() from error
    if base64.b64encode(raw).decode() != text:  # one text per byte string
        raise _malformed()
    return raw


def _malformed() -> Invalid:
    return Invalid("E-CHECKPOINT", "not a signed checkpoint", "origin, size, root, a blank line, signatures")
