"""Which snapshot of a dataset a site serves: a frozen copy, kept until enough people have changed.

The same question before and after one patient is added gives the patient away. So a site answers from a copy of the
codebook's columns (and the person column) that it froze; a later state of the source is served only when no person
changed, or at least `minimum_count` of them did.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlglot import exp

from isthmus.data.persons import Keys, read_keys
from isthmus.data.query import Query, check_names
from isthmus.data.source import Source, open_source
from isthmus.federation.book import secret
from isthmus.federation.store import Store
from isthmus.federation.tables import SNAPSHOTS
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Unavailable

ROWS = 1 << 16  # in a row group of the copy


@dataclass(frozen=True, slots=True)
class Lineage:
    """The snapshots of one dataset at one site.

    Attributes:
        store: remembers which were served.
        folder: for the frozen copies; the owner's alone.
        dataset: its name.
        codebook: its variables are what is copied.
        person: the column that tells people apart.
        floor: `minimum_count`.
    """

    store: Store
    folder: Path
    dataset: str
    codebook: Codebook
    person: str | None
    floor: int

    def served(self, source: Source) -> Source:
        """What is served now that the data are those of `source`.

        Raises:
            Unavailable: E-SNAPSHOT, the frozen copy is gone; E-DISK, E-SOURCE, E-STORE.
            Invalid: E-RESERVED-NAME.
        """
        check_names(source.schema())
        now = source.fingerprint()
        states = {row.fingerprint: row.state for row in self._rows()}
        if states.get(now) != "served" and states.get(now) != "held":
            frozen = self._frozen()
            if frozen is None or self._enough(source, frozen):
                self._freeze(source, now)
            else:
                self._note(now, "held")
        current = self._frozen()
        if current is None:
            raise _lost()
        return current

    def _rows(self) -> list[sa.Row[tuple[str, str, str]]]:
        columns = (SNAPSHOTS.c.fingerprint, SNAPSHOTS.c.file, SNAPSHOTS.c.state)
        mine = SNAPSHOTS.c.dataset == self.dataset
        return self.store.rows(sa.select(*columns).where(mine).order_by(SNAPSHOTS.c.id))

    def _frozen(self) -> Source | None:
        """The copy served last; None before the first."""
        served = [row for row in self._rows() if row.state == "served"]
        if not served:
            return None
        path = self.folder / served[-1].file
        if not path.is_file():
            raise _lost()
        return open_source(path)

    def _enough(self, new: Source, old: Source) -> bool:
        """Whether no person's rows differ, or `floor` persons' do."""
        key = secret(self.store)
        mine, theirs = (read_keys(s, self.codebook, self.person, key) for s in (new, old))
        changed = len(np.union1d(_beyond(mine, theirs), _beyond(theirs, mine)))
        return changed == 0 or changed >= self.floor

    def _freeze(self, source: Source, fingerprint: str) -> None:
        name = hashlib.sha256(f"{self.dataset} {fingerprint}".encode()).hexdigest()[:32] + ".parquet"
        schema = source.schema()
        names = [
            n for n in (*self.codebook.variables, self.person) if n is not None and schema.get(n, "other") != "other"
        ]
        before = [row.file for row in self._rows() if row.state == "served" and row.file != name]
        _write(source, names, self.folder / name)
        self._note(fingerprint, "served", name)
        for file in before:
            (self.folder / file).unlink(missing_ok=True)

    def _note(self, fingerprint: str, state: str, file: str = "") -> None:
        """Add to the lineage; a snapshot that comes after one held back makes the latter open again."""
        values = {"dataset": self.dataset, "fingerprint": fingerprint, "file": file, "state": state}
        past = sa.update(SNAPSHOTS).where(SNAPSHOTS.c.dataset == self.dataset).values(state="past")
        self.store.write(*((past,) if state == "served" else ()), sa.insert(SNAPSHOTS).values(values))


def _beyond(one: Keys, other: Keys) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Persons of the rows of `one` that `other` has not."""
    persons: np.ndarray[tuple[int], np.dtype[np.uint64]] = one.persons[~np.isin(one.rows, other.rows)]
    return persons


def _write(source: Source, names: list[str], path: Path) -> None:
    """The columns `names`, as they are, in a file of the owner's alone that is whole or not there."""
    part = path.with_suffix(".part")
    columns: dict[str, exp.Expr] = {name: exp.column(name, quoted=True) for name in names}
    query = Query(columns, {name: exp.column(name) for name in names})
    none = replace(query, where=exp.false())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.unlink(missing_ok=True)
        with open(part, "wb", opener=_private) as file:
            with pq.ParquetWriter(file, source.fetch(none).schema) as writer:
                for batch in source.batches(query, ROWS):
                    writer.write_batch(batch)
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise Unavailable("E-DISK", "the copy of a snapshot cannot be written", "free space") from error


_private: Callable[[str, int], int] = lambda path, flags: os.open(path, flags, 0o600)  # noqa: E731


def _lost() -> Unavailable:
    return Unavailable(
        "E-SNAPSHOT", "the frozen copy of the dataset is gone", "restore the folder `snapshots` beside isthmus.toml"
    )
