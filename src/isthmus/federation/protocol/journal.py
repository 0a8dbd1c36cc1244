"""What a state machine must not forget. A transport gives one that is durable before `append` returns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from isthmus.federation.messages import compact
from isthmus.model.errors import Unavailable

_LENGTH = 4


class Journal(Protocol):
    """One party's append-only record of one run."""

    def append(self, key: str, blob: bytes) -> None:
        """Keep `blob`; durable before this returns. Raises Unavailable when the disk is full."""

    def read(self) -> Iterator[tuple[str, bytes]]:
        """Everything kept, in the order of appending."""

    def erase(self, prefix: str) -> None:
        """Forget every entry whose key begins with `prefix`."""


class MemoryJournal:
    """A journal for tests and rehearsals in one process."""

    __slots__ = ("entries",)

    def __init__(self, entries: list[tuple[str, bytes]] | None = None) -> None:
        self.entries = list(entries or ())

    def append(self, key: str, blob: bytes) -> None:
        """Keep `blob`."""
        self.entries.append((key, blob))

    def read(self) -> Iterator[tuple[str, bytes]]:
        """Everything kept."""
        yield from list(self.entries)

    def erase(self, prefix: str) -> None:
        """Forget entries."""
        self.entries = [entry for entry in self.entries if not entry[0].startswith(prefix)]


def bundle(facts: Mapping[str, Any], *parts: bytes) -> bytes:
    """Facts (JSON) and binary parts as one blob."""
    head = compact({"facts": facts, "sizes": [len(part) for part in parts]})
    return b"".join((len(head).to_bytes(_LENGTH, "big"), head, *parts))


def unbundle(blob: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Facts and parts of `bundle`.

    Raises:
        Unavailable: E-JOURNAL, a damaged blob.
    """
    at = _LENGTH + int.from_bytes(blob[:_LENGTH], "big")
    try:
        head = json.loads(blob[_LENGTH:at])
        facts, sizes = head["facts"], head["sizes"]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged() from error
    if len(blob) != at + sum(sizes):
        raise damaged()
    parts = []
    for size in sizes:
        parts.append(blob[at : at + size])
        at += size
    return facts, parts


def damaged() -> Unavailable:
    """The journal cannot be continued from."""
    return Unavailable("E-JOURNAL", "the run's journal is damaged or of another run", "restore it or start a new run")
