"""RFC 6962 Merkle tree: an append-only log's hash, and proofs about it that anyone checks offline.

The recursive definitions of RFC 9162 section 2.1 are followed; the verifiers are its iterative algorithms.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from isthmus.model.errors import Invalid, Untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HASH_SIZE = 32
_HEIGHT = 8
BLOCK = 1 << _HEIGHT  # leaves: a block is read and hashed again in under 1 ms, and its root is 32 bytes
_KEPT = 64  # blocks brought back that stay in memory: 1 MiB
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 | leaf)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 | left | right)."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """The tree hash of `leaves`."""
    edge = Edge()
    for leaf in leaves:
        edge.append(leaf)
    return edge.root()


class Edge:
    """The right edge of a tree whose leaves pass by: enough for its root, in O(log n) memory."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []  # roots of the full subtrees that make up `size`, largest first

    def append(self, leaf: bytes) -> None:
        """Take in the next leaf."""
        found, full = leaf_hash(leaf), self.size
        while full & 1:  # a full subtree of the same width stands to the left
            found, full = node_hash(self._peaks.pop(), found), full >> 1
        self._peaks.append(found)
        self.size += 1

    def root(self) -> bytes:
        """The tree hash of the leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        found = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            found = node_hash(peak, found)
        return found


class Levels:
    """Nodes of a tree by height, as it grows: `levels[k][i]` covers the leaves [i 2**k, (i + 1) 2**k)."""

    __slots__ = ("_levels",)

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for item in hashes:
            self.append(item)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0])

    @property
    def hashes(self) -> Sequence[bytes]:
        """Hashes of the leaves."""
        return self._levels[0]

    def append(self, item: bytes) -> None:
        """Add the hash of a leaf."""
        self._levels[0].append(item)
        level = 0
        while len(self._levels[level]) % 2 == 0:
            if level + 1 == len(self._levels):
                self._levels.append([])
            left, right = self._levels[level][-2:]
            level += 1
            self._levels[level].append(node_hash(left, right))

    def node(self, height: int, index: int) -> bytes:
        """The node at `height` with `index` nodes of that height to its left."""
        return self._levels[height][index]


class Tree:
    """A growing tree: O(1) amortised append, O(log n) nodes per proof.

    Of a full block of 256 leaves only the root stays in memory where `fetch` can bring its leaf hashes back.

    Args:
        roots: of the full blocks that are there already.
        fetch: block number -> hashes of its leaves.
    """

    __slots__ = ("_above", "_blocks", "_fetch", "_open")

    def __init__(self, roots: Iterable[bytes] = (), fetch: Callable[[int], Iterable[bytes]] | None = None) -> None:
        self._above = Levels(roots)
        self._open = Levels()
        self._blocks: dict[int, Levels] = {}
        self._fetch = fetch

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._above.size * BLOCK + self._open.size

    def append(self, leaf: bytes) -> int:
        """Add `leaf`; its index."""
        index = self.size
        self._open.append(leaf_hash(leaf))
        if self._open.size == BLOCK:
            if self._fetch is None:
                self._blocks[self._above.size] = self._open
            self._above.append(self._open.node(_HEIGHT, 0))
            self._open = Levels()
        return index

    def completed(self, leaves: Iterable[bytes]) -> list[bytes]:
        """Roots of the blocks that would be full if `leaves` were appended; nothing is changed."""
        hashes = [*self._open.hashes, *map(leaf_hash, leaves)]
        full = range(0, len(hashes) - BLOCK + 1, BLOCK)
        return [Levels(hashes[at : at + BLOCK]).node(_HEIGHT, 0) for at in full]

    def root(self, size: int | None = None) -> bytes:
        """The tree hash of the first `size` leaves, of all when not given. Invalid (E-PROOF) beyond the tree."""
        size = self.size if size is None else size
        self._within(0 <= size <= self.size)
        return self._hash(0, size) if size else EMPTY_ROOT

    def inclusion_proof(self, index: int, size: int) -> tuple[bytes, ...]:
        """Hashes that lead from leaf `index` to the root at `size`. Invalid (E-PROOF) beyond the tree.

        Reference: RFC 9162 section 2.1.3.1, PATH.
        """
        self._within(0 <= index < size <= self.size)
        return tuple(self._path(index, 0, size))

    def consistency_proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """Hashes that show the first `old` of `new` leaves unchanged. Invalid (E-PROOF) beyond the tree.

        Empty for `old` 0 or `old` = `new`. Reference: RFC 9162 section 2.1.4.1, PROOF and SUBPROOF.
        """
        self._within(0 <= old <= new <= self.size)
        return tuple(self._subproof(old, 0, new, known=True)) if old else ()

    def _hash(self, start: int, stop: int) -> bytes:
        width = stop - start
        if width & (width - 1) == 0:  # a full subtree: `start` is a multiple of its width
            return self._node(width.bit_length() - 1, start // width)
        middle = start + _split(width)
        return node_hash(self._hash(start, middle), self._hash(middle, stop))

    def _path(self, index: int, start: int, stop: int) -> list[bytes]:
        if stop - start == 1:
            return []
        middle = start + _split(stop - start)
        if index < middle:
            return [*self._path(index, start, middle), self._hash(middle, stop)]
        return [*self._path(index, middle, stop), self._hash(start, middle)]

    def _subproof(self, old: int, start: int, stop: int, known: bool) -> list[bytes]:
        if old == stop:
            return [] if known else [self._hash(start, stop)]
        middle = start + _split(stop - start)
        if old <= middle:
            return [*self._subproof(old, start, middle, known), self._hash(middle, stop)]
        return [*self._subproof(old, middle, stop, known=False), self._hash(start, middle)]

    def _node(self, height: int, index: int) -> bytes:
        if height >= _HEIGHT:
            return self._above.node(height - _HEIGHT, index)
        block = index >> (_HEIGHT - height)
        levels = self._open if block == self._above.size else self._block(block)
        return levels.node(height, index - (block << (_HEIGHT - height)))

    def _block(self, number: int) -> Levels:
        """A full block, brought back and held to its root. Untrusted (E-LEDGER) where it has another."""
        held = self._blocks.get(number)
        if held is None and self._fetch is not None:
            held = Levels(self._fetch(number))
            if held.size != BLOCK or held.node(_HEIGHT, 0) != self._above.node(0, number):
                raise Untrusted("E-LEDGER", "a stored entry of the ledger was changed", "restore it from a peer's copy")
            if len(self._blocks) == _KEPT:
                self._blocks.clear()
            self._blocks[number] = held
        if held is None:
            raise Invalid("E-PROOF", "the leaves of this block are not here")
        return held

    def _within(self, holds: bool) -> None:
        if not holds:
            raise Invalid("E-PROOF", "the proof asks for leaves that are not in the log")


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], head_root: bytes) -> None:
    """Return when `leaf` stands at `index` of the log of `size` leaves with `head_root`.

    Raises:
        Untrusted: E-LEDGER.

    Reference: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size or not _hashes(proof):  # step 1
        raise _broken("the entry is not in the log")
    first, last, found = index, size - 1, leaf_hash(leaf)  # steps 2, 3
    for sibling in proof:  # step 4
        if last == 0:
            raise _broken("the entry is not in the log")
        if first & 1 or first == last:
            found = node_hash(sibling, found)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        first, last = first >> 1, last >> 1
    if last or found != head_root:  # step 5
        raise _broken("the entry is not in the log")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return when the log of `new` leaves continues the log of `old` leaves.

    Raises:
        Untrusted: E-LEDGER.

    Reference: RFC 9162 section 2.1.4.2; `old` 0 is consistent with every log, by an empty proof.
    """
    if not 0 <= old <= new or not _hashes(proof):
        raise _broken("the log is shorter than it was")
    if old in (0, new):
        known = EMPTY_ROOT if old == 0 else new_root
        if proof or old_root != known or (new == 0 and new_root != EMPTY_ROOT):
            raise _broken("the log does not continue what it was")
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)  # step 2
    if _replayed(old, new, path) != (old_root, new_root):
        raise _broken("the log does not continue what it was")


def _replayed(old: int, new: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The old and new roots that `path` leads to, `None` when it is too short or too long (steps 1, 3-8)."""
    if not path:
        return None
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if first & 1 or first == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        first, last = first >> 1, last >> 1
    return (before, after) if last == 0 else None


def _split(width: int) -> int:
    """The largest power of two below `width` >= 2."""
    return 1 << ((width - 1).bit_length() - 1)


def _hashes(proof: Sequence[bytes]) -> bool:
    return all(len(item) == HASH_SIZE for item in proof)


def _broken(message: str) -> Untrusted:
    return Untrusted("E-LEDGER", message, "ask the hub for its whole ledger; do not go on")
