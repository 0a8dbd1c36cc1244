"""Which people of the United States this site's studies reached in twelve months, for the thresholds of 28 CFR 202.205.

Counted over agreements and their versions: data that an earlier one brought in reach still count until a year has passed.
The numbers are those that controllers state in their agreements; each admission writes its own into the ledger too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from isthmus.federation.store import Store
from isthmus.governance.agreement import Agreement
from isthmus.governance.facts import Reached, in_reach

REACHED = "reached"  # in the store: what of whom was last reached on which day
YEAR = timedelta(days=366)


class Reach:
    """What was reached, by agreement, dataset and controller."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, agreement: Agreement, dataset: str, now: datetime) -> Reached:
        """Keep that a study on a dataset was admitted; gives what it reaches, for the ledger."""
        found = in_reach(agreement, {dataset})
        day = now.date().isoformat()
        kept = {**self._kept(), **{who: {"day": day, "people": dict(people)} for who, people in found.items()}}
        self._store.set_fact(REACHED, json.dumps(kept, sort_keys=True))
        return found

    def within(self, now: datetime) -> Reached:
        """Reached in the twelve months before a time."""
        since = now.date() - YEAR
        return {who: held["people"] for who, held in self._kept().items() if date.fromisoformat(held["day"]) >= since}

    def _kept(self) -> Mapping[str, Any]:
        kept: Mapping[str, Any] = json.loads(self._store.fact(REACHED) or "{}")
        return kept
