"""Survivor sets that a site remembers beyond a run (invariant 5 of the protocol), in its store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from isthmus.federation.messages import compact
from isthmus.federation.store import OPENED, Store


class SqlHistory:
    """The sets opened over one row set: the same agreement and the same snapshot of the data, whatever the study.

    Args:
        store: the site's own.
        agreement: digest of the agreement and its rules.
        snapshot: fingerprint of the site's data.
        study: digest of the study that runs now; kept beside what it opens.
    """

    def __init__(self, store: Store, agreement: str, snapshot: str, study: str) -> None:
        self._store = store
        self._rows = {"agreement": agreement, "snapshot": snapshot}
        self._study = study

    def sets(self) -> Iterator[dict[str, str]]:
        """Site -> legal entity of every set opened over these rows."""
        same = sa.and_(*(OPENED.c[name] == value for name, value in self._rows.items()))
        for row in self._store.rows(sa.select(OPENED.c.survivors).where(same).distinct()):
            yield json.loads(row[0])

    def remember(self, survivors: Mapping[str, str]) -> None:
        """Keep a set, once for each study.

        Raises:
            Unavailable: E-DISK, E-STORE.
        """
        values = {**self._rows, "study": self._study, "survivors": compact(dict(sorted(survivors.items()))).decode()}
        same = sa.and_(*(OPENED.c[name] == value for name, value in values.items()))
        if not self._store.rows(sa.select(OPENED.c.id).where(same).limit(1)):
            self._store.write(sa.insert(OPENED).values(values))
