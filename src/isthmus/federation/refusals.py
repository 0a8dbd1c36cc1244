"""What a node refuses: written down the first time each day, so that nobody can fill its ledger."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, Literal

from isthmus.federation.control import Clock
from isthmus.federation.node import Ledger
from isthmus.federation.store import Store

TODAY = "refused today"  # in the store: who, what they asked for, code and rule
MOST = 200  # of one party a day: it may choose names and codes at will
AGAIN = 10  # times that a hub is told one and the same of a run
FLOOD: Literal["flood"] = "flood"  # what is entered in place of all beyond that

Entered = Literal["new", "known", "flood"]


class Refusals:
    """A day's refusals; called from the worker thread, and from the loop."""

    def __init__(self, store: Store, ledger: Ledger, clock: Clock) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()

    def enter(self, what: str, entry: Mapping[str, Any], event: str = "refusal") -> Entered:
        """Write a refusal down, unless the same one was refused the same thing for the same reason today.

        Args:
            what: they asked for, or handed in.
            entry: facts of the refusal: `code`, and `by` where it is not the hub.
            event: which it is in the ledger.

        Returns:
            `flood` where it is beyond `MOST` of one party's today, which the ledger does not hold.

        Raises:
            Unavailable: E-DISK.
        """
        by, day = entry.get("by", "hub"), f"{self._clock():%Y-%m-%d}"
        told, flood = [by, what, f"{entry['code']} {entry.get('rule', '')}"], [by, FLOOD, ""]
        with self._lock:
            kept = json.loads(self._store.fact(TODAY) or "{}").get(day, [])
            if told in kept or flood in kept:
                return "known" if told in kept else FLOOD
            new = sum(other == by for other, _, _ in kept) < MOST
            if new:
                self._ledger.append(event, entry)
            else:
                self._ledger.append("refusal", {"by": by, "what": FLOOD, "code": entry["code"]})
            self._store.set_fact(TODAY, json.dumps({day: [*kept, told if new else flood]}))
            return "new" if new else FLOOD
