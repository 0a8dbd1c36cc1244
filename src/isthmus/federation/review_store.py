"""What a node keeps of review: one document of each kind and name for each run."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from isthmus.federation.store import Store
from isthmus.federation.tables import REVIEWS


class SqlReviews:
    """Documents by run, kind and name. What was put is durable when `put` returns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, run: str, kind: str, name: str, body: Any) -> None:
        """Keep a document, in place of the one that was there."""
        mine = sa.and_(REVIEWS.c.run == run, REVIEWS.c.kind == kind, REVIEWS.c.name == name)
        values = {"run": run, "kind": kind, "name": name, "body": json.dumps(body)}
        self._store.write(sa.delete(REVIEWS).where(mine), sa.insert(REVIEWS).values(values))

    def get(self, run: str, kind: str, name: str) -> Any:
        """One document; None where there is none."""
        return self.of(run, kind).get(name)

    def of(self, run: str, kind: str) -> dict[str, Any]:
        """Name -> document of one kind of a run, in the order they were put."""
        chosen = sa.and_(REVIEWS.c.run == run, REVIEWS.c.kind == kind)
        query = sa.select(REVIEWS.c.name, REVIEWS.c.body).where(chosen).order_by(REVIEWS.c.id)
        return {str(name): json.loads(body) for name, body in self._store.rows(query)}

    def named(self, kind: str, name: str) -> sa.Select[tuple[str]]:
        """The runs that have a document of this kind and name, as a query."""
        return sa.select(REVIEWS.c.run).where(REVIEWS.c.kind == kind, REVIEWS.c.name == name)

    def every(self, kind: str) -> list[tuple[str, str, Any]]:
        """Run, name and document of this kind, in the order they were put."""
        query = sa.select(REVIEWS.c.run, REVIEWS.c.name, REVIEWS.c.body).where(REVIEWS.c.kind == kind)
        return [
            (str(run), str(name), json.loads(body))
            for run, name, body in self._store.rows(query.order_by(REVIEWS.c.id))
        ]

    def everywhere(self, kind: str, name: str) -> dict[str, Any]:
        """Run -> document of this kind and name."""
        chosen = sa.and_(REVIEWS.c.kind == kind, REVIEWS.c.name == name)
        query = sa.select(REVIEWS.c.run, REVIEWS.c.body).where(chosen).order_by(REVIEWS.c.id)
        return {str(run): json.loads(body) for run, body in self._store.rows(query)}
