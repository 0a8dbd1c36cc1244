"""The append-only log of a hub or a site, over any store; and how a witness follows it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from isthmus.ledger.entries import Entry, decode_entry, encode_entry, timestamp
from isthmus.ledger.merkle import BLOCK, HASH_SIZE, Tree, leaf_hash, root, verify_consistency
from isthmus.model.errors import Invalid, Untrusted
from isthmus.model.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

_PAGE = 1024
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,127}", re.ASCII)
_HEX_ROOT = re.compile(rf"[0-9a-f]{{{2 * HASH_SIZE}}}", re.ASCII)


@record
class Head:
    """A log at one moment: number of entries and Merkle root."""

    size: int
    root: bytes

    def to_json(self) -> dict[str, Any]:
        """`{size, root}`, the root in lower-case hex."""
        return {"size": self.size, "root": self.root.hex()}


def head_of(json: Any) -> Head:
    """The head of `to_json`. Invalid (E-HEAD) for anything else."""
    if not isinstance(json, dict) or set(json) != {"size", "root"}:
        raise _not_a_head()
    size, text = json["size"], json["root"]
    if type(size) is not int or size < 0 or not isinstance(text, str) or not _HEX_ROOT.fullmatch(text):
        raise _not_a_head()
    return Head(size=size, root=bytes.fromhex(text))


class LogStore(Protocol):
    """Where leaves lie, and the roots of their full blocks. `append` is durable before it returns, all of it or nothing."""

    def append(self, leaves: Sequence[bytes], roots: Sequence[bytes]) -> None:
        """Keep `leaves` after all others, and the roots of the blocks (`merkle.BLOCK`) that they complete."""

    def read(self, start: int, stop: int) -> Sequence[bytes]:
        """The leaves [start, stop)."""

    def size(self) -> int:
        """Number of leaves."""

    def roots(self) -> Sequence[bytes]:
        """Roots of the full blocks, in order; those of an older store may be missing at the end."""


class MemoryStore:
    """A `LogStore` that forgets when the process ends."""

    def __init__(self) -> None:
        self._leaves: list[bytes] = []
        self._roots: list[bytes] = []

    def append(self, leaves: Sequence[bytes], roots: Sequence[bytes]) -> None:
        """Keep `leaves` after all others."""
        self._leaves += leaves
        self._roots += roots

    def read(self, start: int, stop: int) -> Sequence[bytes]:
        """The leaves [start, stop)."""
        return tuple(self._leaves[start:stop])

    def size(self) -> int:
        """Number of leaves."""
        return len(self._leaves)

    def roots(self) -> Sequence[bytes]:
        """Roots of the full blocks."""
        return tuple(self._roots)


class Log:
    """One writer's log. Opening reads the last entries and the roots of full blocks; appending is O(log n).

    A full block is held to its root whenever a proof needs its leaves; `exported.check_exports` checks all of them.

    Args:
        store: the leaves; nobody else appends to it while the log is open.
        origin: the log's name in checkpoints.
        clock: the time now, with a zone; recorded, never used for order.

    Raises:
        Invalid: E-ORIGIN; E-ENTRY or E-CANONICAL, a store that holds something else.
        Untrusted: E-LEDGER, a store whose entries are out of order.
    """

    def __init__(self, store: LogStore, origin: str, clock: Callable[[], datetime]) -> None:
        if not _ORIGIN.fullmatch(origin):
            raise Invalid("E-ORIGIN", "a log's origin is a letter, then letters, digits, _ . / -; at most 128")
        self.origin = origin
        self._store = store
        self._clock = clock
        held, full = store.roots(), store.size() // BLOCK
        missing = [root(self._read(at * BLOCK, (at + 1) * BLOCK)) for at in range(len(held), full)]
        if missing:
            store.append((), missing)
        self._tree = Tree([*held, *missing][:full], self._hashes)
        for leaf in self._read(full * BLOCK, store.size()):
            self._tree.append(leaf)
        if len(held) > full or self._tree.size != store.size():
            raise _out_of_order()

    def append(self, event: str, facts: Mapping[str, Any]) -> int:
        """Record `event` durably; its index.

        Raises:
            Invalid: E-ENTRY, an event not in `EVENTS` or facts too large; E-JSON, facts that are not plain data.
        """
        return self.append_many([(event, facts)])[0]

    def append_many(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> range:
        """Record several events together, all of them or none; their indices.

        Raises:
            Invalid: as `append`.
        """
        time, start = timestamp(self._clock()), self._tree.size
        numbered = enumerate(events, start)
        leaves = [encode_entry(Entry(event=e, facts=f, time=time, sequence=at)) for at, (e, f) in numbered]
        self._store.append(leaves, self._tree.completed(leaves))
        for leaf in leaves:
            self._tree.append(leaf)
        return range(start, self._tree.size)

    def head(self, size: int | None = None) -> Head:
        """The head now, or as it was at `size`. Invalid (E-PROOF) beyond the log."""
        size = self._tree.size if size is None else size
        return Head(size=size, root=self._tree.root(size))

    def consistency(self, old_size: int, size: int | None = None) -> tuple[bytes, ...]:
        """Proof that the log at `size` (now, when not given) continues the log at `old_size`. Invalid (E-PROOF)."""
        return self._tree.consistency_proof(old_size, self._tree.size if size is None else size)

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """Proof that entry `index` is in the log at `size` (now, when not given). Invalid (E-PROOF)."""
        return self._tree.inclusion_proof(index, self._tree.size if size is None else size)

    def entry(self, index: int) -> Entry:
        """The entry at `index`. Invalid (E-PROOF) beyond the log."""
        if not 0 <= index < self._tree.size:
            raise Invalid("E-PROOF", "there is no such entry in the log")
        return decode_entry(self._store.read(index, index + 1)[0])

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """The entries from `start` on, oldest first."""
        for at in range(start, self._tree.size, _PAGE):
            yield from map(decode_entry, self._store.read(at, min(at + _PAGE, self._tree.size)))

    def newest(self, event: str) -> Entry | None:
        """The last entry of an event; `None` where there is none."""
        for stop in range(self._tree.size, 0, -_PAGE):
            page = map(decode_entry, reversed(self._store.read(max(0, stop - _PAGE), stop)))
            found = next((entry for entry in page if entry.event == event), None)
            if found is not None:
                return found
        return None

    def _read(self, start: int, stop: int) -> Sequence[bytes]:
        """The leaves [start, stop), each in its place."""
        leaves = self._store.read(start, stop)
        if [decode_entry(leaf).sequence for leaf in leaves] != list(range(start, stop)):
            raise _out_of_order()
        return leaves

    def _hashes(self, block: int) -> list[bytes]:
        return [leaf_hash(leaf) for leaf in self._store.read(block * BLOCK, (block + 1) * BLOCK)]


def follow(known: Head | None, offered: Head, proof: Sequence[bytes]) -> Head:
    """The head a witness holds from now on: `offered`, when it continues `known` (`None`: nothing seen yet).

    Raises:
        Untrusted: E-LEDGER, a log that is shorter than, or does not continue, what was seen.
    """
    if known is None:
        return offered
    verify_consistency(known.size, offered.size, known.root, offered.root, proof)
    return offered


def _out_of_order() -> Untrusted:
    return Untrusted("E-LEDGER", "the stored ledger is out of order", "restore it from a peer's copy")


def _not_a_head() -> Invalid:
    return Invalid("E-HEAD", "not a ledger head", "size and root (64 lower-case hex digits)")
