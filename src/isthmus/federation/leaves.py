"""A node's ledgers in its database: the leaves, and the root of each full block of them (`ledger.log.LogStore`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from isthmus.federation.tables import METADATA, NAMES, ORDER

if TYPE_CHECKING:
    from isthmus.federation.store import Store

LEAVES = sa.Table(
    "leaves",
    METADATA,
    sa.Column("log", NAMES, primary_key=True),
    sa.Column("position", ORDER, primary_key=True, autoincrement=False),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
)
BLOCKS = sa.Table(
    "blocks",
    METADATA,
    sa.Column("log", NAMES, primary_key=True),
    sa.Column("position", ORDER, primary_key=True, autoincrement=False),
    sa.Column("root", sa.LargeBinary, nullable=False),
)


class SqlLeaves:
    """The leaves of one ledger, append-only."""

    def __init__(self, store: Store, log: str) -> None:
        self._store = store
        self._log = log
        self._leaf = store.prepare(LEAVES, "log", "position", "leaf")
        self._root = store.prepare(BLOCKS, "log", "position", "root")
        last = store.rows(sa.select(sa.func.max(LEAVES.c.position)).where(LEAVES.c.log == log))[0][0]
        self._size = 0 if last is None else int(last) + 1
        self._blocks = len(self.roots())

    def append(self, leaves: Sequence[bytes], roots: Sequence[bytes]) -> None:
        """Add leaves at the end, and roots of blocks.

        Raises:
            Unavailable: E-DISK, E-STORE; then nothing was written.
        """
        added = [(self._log, self._size + at, leaf) for at, leaf in enumerate(leaves)]
        full = [(self._log, self._blocks + at, root) for at, root in enumerate(roots)]
        self._store.insert((self._leaf, added), *([(self._root, full)] if full else []))
        self._size += len(added)
        self._blocks += len(full)

    def read(self, start: int, stop: int) -> list[bytes]:
        """Leaves `start` to `stop`, the last excluded."""
        inside = sa.and_(LEAVES.c.log == self._log, LEAVES.c.position >= start, LEAVES.c.position < stop)
        query = sa.select(LEAVES.c.leaf).where(inside).order_by(LEAVES.c.position)
        return [bytes(row[0]) for row in self._store.rows(query)]

    def size(self) -> int:
        """Number of leaves."""
        return self._size

    def roots(self) -> list[bytes]:
        """Roots of the full blocks."""
        query = sa.select(BLOCKS.c.root).where(BLOCKS.c.log == self._log).order_by(BLOCKS.c.position)
        return [bytes(row[0]) for row in self._store.rows(query)]
