"""Files for payloads above 1 MiB: written once, hashed on the way, durable when closed."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from isthmus.federation.messages import CHUNK, BytesPayload, FilePayload, Message, Payload
from isthmus.model.errors import Unavailable


class SpoolWriter:
    """One file being written."""

    __slots__ = ("_file", "_hash", "_path", "_size")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self._size = 0
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise _disk() from error
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, chunk: bytes) -> None:
        """Append. Raises Unavailable (E-SPOOL) when the disk is full."""
        try:
            self._file.write(chunk)
        except OSError as error:
            self.discard()
            raise _disk() from error
        self._hash.update(chunk)
        self._size += len(chunk)

    def close(self) -> FilePayload:
        """The finished payload (not yet durable: `Spool.settle`)."""
        self._file.close()
        return FilePayload(self._path, self._size, self._hash.hexdigest())

    def discard(self) -> None:
        """Throw the file away."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class Spool:
    """A directory of one node for one run. Nothing in it is a row; masked or pooled bytes only."""

    __slots__ = ("_directory",)

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def writer(self, name: str) -> SpoolWriter:
        """A new file; `name` is only for people who look into the directory."""
        return SpoolWriter(self._directory / f"{name}-{secrets.token_hex(8)}.spool")

    def settle(self, payload: Payload) -> dict[str, str | int]:
        """Make a file payload durable and return what finds it again; for a payload in memory, its size.

        Raises:
            Unavailable: E-SPOOL.
        """
        if not isinstance(payload, FilePayload):
            return {"size": payload.size}
        try:
            descriptor = os.open(payload.path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _disk() from error
        place: dict[str, str | int] = {"size": payload.size, "file": payload.path.name, "sha256": payload.sha256}
        return place | {"start": payload.start}

    def find(self, place: Mapping[str, str | int], raw: bytes) -> Payload:
        """The payload that `settle` described; `raw` where it was in memory."""
        if "file" not in place:
            return BytesPayload(raw)
        path = self._directory / str(place["file"])
        return FilePayload(path, int(place["size"]), str(place["sha256"]), int(place["start"]))

    def adopt(self, payload: Payload) -> Payload:
        """The same payload, its file (if it has one) in this spool: a received body becomes the run's own.

        Raises:
            Unavailable: E-SPOOL.
        """
        if not isinstance(payload, FilePayload) or payload.path.parent == self._directory:
            return payload
        path = self._directory / payload.path.name
        try:
            payload.path.replace(path)
        except OSError as error:
            raise _disk() from error
        return FilePayload(path, payload.size, payload.sha256, payload.start)

    def take(self, message: Message) -> Message:
        """A received message whose body, if it is a file, is the run's own. Unavailable (E-SPOOL)."""
        if not isinstance(message.body, FilePayload):
            return message
        return replace(message, body=self.adopt(message.body))

    def gather(self, name: str, chunks: Iterable[bytes], size: int) -> Payload:
        """`size` bytes given in chunks: in memory up to 1 MiB, else in a new file.

        Raises:
            Unavailable: E-SPOOL.
        """
        if size <= CHUNK:
            return BytesPayload(b"".join(chunks))
        writer = self.writer(name)
        for chunk in chunks:
            writer.write(chunk)
        return writer.close()

    def drop(self, payload: Payload) -> None:
        """Erase a payload's file, if it has one in this spool."""
        if isinstance(payload, FilePayload) and payload.path.parent == self._directory:
            payload.path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Erase every spool file of the run."""
        for path in self._directory.glob("*.spool"):
            path.unlink(missing_ok=True)


def discard(payload: Payload) -> None:
    """Erase the file of a received payload that nobody takes."""
    if isinstance(payload, FilePayload):
        payload.path.unlink(missing_ok=True)


def inline(payload: Payload) -> bytes:
    """A payload's bytes where it lies in memory, nothing for one in a file: what a journal keeps beside `settle`."""
    return payload.raw if isinstance(payload, BytesPayload) else b""


def _disk() -> Unavailable:
    return Unavailable("E-SPOOL", "the node's spool cannot be written or read", "free disk space, then restart")
