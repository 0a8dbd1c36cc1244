"""What a node refuses: written down the first time each day, so that nobody can fill its ledger."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from isthmus.federation.control import Clock
from isthmus.federation.node import Ledger
from isthmus.federation.store import Store

TODAY = "refused today"  # in the store: who, what they asked for, code


class Refusals:
    """A day's refusals; called from the worker thread, and from the loop."""

    def __init__(self, store: Store, ledger: Ledger, clock: Clock) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()

    def enter(self, what: str, entry: Mapping[str, Any]) -> None:
        """Write a refusal down, unless the same one was refused the same thing with the same code today.

        Args:
            what: they asked for, or handed in.
            entry: facts of the refusal, among them `by` and `code`.

        Raises:
            Unavailable: E-DISK.
        """
        day, told = f"{self._clock():%Y-%m-%d}", [entry["by"], what, entry["code"]]
        with self._lock:
            kept = json.loads(self._store.fact(TODAY) or "{}").get(day, [])
            if told not in kept:
                self._ledger.append("refusal", entry)
                self._store.set_fact(TODAY, json.dumps({day: [*kept, told]}))
