"""The hub's border register: its messages to sites, and the results that it gives to people, each with the way they take."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from isthmus.federation.border import Border, Crossing
from isthmus.federation.control import Clock
from isthmus.federation.hub_runs import HeldRun
from isthmus.federation.messages import Message
from isthmus.federation.node import Ledger
from isthmus.federation.protocol.hub_states import opened
from isthmus.federation.request import asked_of, dataset_of
from isthmus.federation.store import RunRow, Store
from isthmus.governance.route import Leg
from isthmus.model.errors import Refused

ESTIMATE = "estimate"  # what a result holds: estimates and gated counts, never a sum


class HubBorder:
    """Open for writing.

    Args:
        store: the hub's.
        ledger: the hub's.
        clock: the time now.
        way: from the hub with numbers of a dataset to a site or a person.

    Raises:
        Untrusted: as `Border`.
    """

    def __init__(self, store: Store, ledger: Ledger, clock: Clock, way: Callable[[str, str], Leg | None]) -> None:
        self._border = Border(store, ledger, clock)
        self._way = way
        self._ways: dict[tuple[str, str], Leg | None] = {}

    def out(self, held: HeldRun, leaving: Sequence[tuple[str, Message]]) -> None:
        """Write down messages of a run to sites before they leave. Unavailable: E-DISK; then none may leave."""
        study, known = held.charter.study, opened(held.run.state)
        self._border.cross_each(
            [(message, Crossing(study, self._to(held, site), None, known)) for site, message in leaving]
        )

    def given(self, row: RunRow, whom: str, size: int) -> None:
        """Write down that a run's bundle of this many bytes goes to a person; the ledger takes it at once.

        Raises:
            Refused: E-FLOW, the agreement lets no result go to this person's party and country.
            Unavailable: E-DISK; then it may not go.
        """
        request = json.loads(row.request)
        way = self._way(dataset_of(request), whom)
        if way is not None and way.flow is None and way.mechanism is None:
            said = f"no flow of the agreement lets results of this dataset go to {way.receiver} ({way.to_country})"
            raise Refused("E-FLOW", said, "a new version of the agreement states the flow and its mechanism", "flows")
        what = {"message": "result", **asked_of(request), "statistics": [ESTIMATE]}
        self._border.give(row.run, Crossing(row.study, way, None), {**what, "bytes": size, "to": whom})
        self._border.seal({"run": row.run})

    def over(self, run: str) -> None:
        """A run has ended: the ledger takes the register's head."""
        self._border.seal({"run": run})
        self._ways = {key: way for key, way in self._ways.items() if key[0] != run}

    def _to(self, held: HeldRun, site: str) -> Leg | None:
        key = (held.name, site)
        if key not in self._ways:
            self._ways[key] = self._way(dataset_of(held.request), site)
        return self._ways[key]
