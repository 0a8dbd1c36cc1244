"""The release of a result that output checkers accept: as many sites as sign a result have to find that the votes hold.

The hub counts votes, and cannot give the result out alone: `verify` asks for the sites' signatures.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from isthmus.crypto.keys import verify
from isthmus.federation.hub_cases import RELEASED, WITHHELD, sites_of
from isthmus.federation.store import RunRow, RunState
from isthmus.federation.told_verdicts import tells
from isthmus.federation.wire import unhex
from isthmus.governance.approval import Decided
from isthmus.ledger.bundle import read_bundle, release_statement, resealed
from isthmus.ledger.later import later
from isthmus.model.errors import Invalid, IsthmusError, Refused
from isthmus.model.names import Digest

if TYPE_CHECKING:
    from isthmus.crypto.keys import SigningKey
    from isthmus.federation.hub import HubNode
    from isthmus.federation.hub_review import HubReview
    from isthmus.federation.node import Means
    from isthmus.ledger.entries import Entry
    from isthmus.ledger.log import Log

SIGNATURE = 64  # bytes
PATIENCE = 5.0  # seconds that the last voter waits for the sites
GLANCE = 0.05


class Releases:
    """Runs on the hub's loop; every method but `patiently` within the review's turn."""

    def __init__(self, hub: HubNode, review: HubReview, keys: Mapping[str, bytes]) -> None:
        self._hub = hub
        self._review = review
        self._cases = review.cases
        self._kept = review.cases.kept
        self._keys = keys

    async def signed(self, site: str, row: RunRow, body: Mapping[str, Any]) -> None:
        """Take in a site's signature of the release.

        Raises:
            Untrusted: E-SIGNATURE. Invalid: E-STATE, nobody asks for it; E-WIRE.
        """
        if self._cases.outcome(row) != "release":
            raise Invalid("E-STATE", "output checkers have not released this result", "wait for their votes")
        signature = str(body.get("signature") or "")
        if signature:  # a site that dropped out of the run has no result of its own to compare, and signs none
            votes = [vote.envelope for vote in self._cases.opened(row)]
            mode, result = json.loads(row.charter)["mode"], Digest(str(self._cases.case(row).result))
            verify(self._keys[site], unhex(signature, SIGNATURE), release_statement(mode, row.run, result, votes))
        self._kept.put(row.run, RELEASED, site, signature)
        await self.conclude(row)

    async def withheld(self, site: str, row: RunRow, cause: IsthmusError) -> bool:
        """A site finds that the votes do not hold; whether too few are left that might sign."""
        if self._kept.get(row.run, WITHHELD, site) != cause.code:
            self._kept.put(row.run, WITHHELD, site, cause.code)
            said = {"by": site, "what": "release", "code": cause.code, "about": row.run}
            await self._hub.enter("refusal", said)
        return len(sites_of(row)) - len(self._kept.of(row.run, WITHHELD)) < _threshold(row)

    async def conclude(self, row: RunRow) -> None:
        """Release it once enough sites have signed, and the agreement is in force: the researcher can fetch it then."""
        signed = {site: signature for site, signature in self._kept.of(row.run, RELEASED).items() if signature}
        if len(signed) < _threshold(row) or not self._in_force():
            return
        votes = votes_of(self._cases.opened(row))
        await self._review.write("release", row, {"votes": votes, "sites": sorted(signed)})
        parts = {"approvals": self._cases.approvals(row.run), "released": signed}
        means, log = self._hub.means, self._hub.ledger.log
        await self._hub.worker.run("keep", keep_end, means, log, (row.run, "released", row.note), parts)
        self._hub.said(row.run, "released")

    async def patiently(self, run: str) -> None:
        """Wait a little for the sites, so that the last voter is told that the result is released."""
        row = self._cases.row(run)
        if row.state != "egress" or self._cases.outcome(row) is None:
            return
        for _ in range(int(PATIENCE / GLANCE)):
            await asyncio.sleep(GLANCE)
            if self._cases.row(run).state != "egress":
                return

    def _in_force(self) -> bool:
        try:
            self._hub.desk.desk.in_force(self._hub.means.clock())
        except Refused:
            return False
        return True


def keep_end(means: Means, log: Log, end: tuple[str, RunState, str], released: Mapping[str, Any]) -> None:
    """Keep what a run came to: its state and note, and its bundle with what came after its checkpoint.

    Args:
        means: the hub's.
        log: the hub's; it took verdicts and the release of the run since.
        end: run, state, note.
        released: parts of its bundle that people and sites have signed since.
    """
    (run, state, note), store, key = end, means.store, means.identity.key
    raw = store.bundle(run)
    bundle = read_bundle(raw) if raw is not None else None
    changes = {**released, **_since(bundle, run, log, key)} if bundle is not None else {}
    if bundle is None or not changes:
        store.set_state(run, state, note)
        return
    audit = read_bundle(store.audit(run) or b"")
    store.finish(run, (resealed(bundle, changes, key), resealed(audit, changes, key)), note, state)


def _since(bundle: Mapping[str, Any], run: str, log: Log, key: SigningKey) -> dict[str, Any]:
    size = int(bundle["checkpoint"].split("\n")[1])
    found = later(log, size, partial(_belongs, run), key)
    return {"later": found} if found else {}


def _belongs(run: str, entry: Entry) -> bool:
    return entry.facts.get("run") == run and (tells(entry) or entry.facts.get("step") == "release")


def votes_of(votes: Sequence[Decided]) -> list[dict[str, str]]:
    """Opened votes, as the ledger holds them."""
    said = [(vote.person.person, vote.approval) for vote in votes]
    return [{"by": who, "decision": vote.decision, "reason": vote.reason or ""} for who, vote in said]


def _threshold(row: RunRow) -> int:
    return int(json.loads(row.charter)["threshold"])
