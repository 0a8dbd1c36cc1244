"""One run as a hub process holds it: the state machine, who was told what, deadlines, status, bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from isthmus.crypto.keys import SigningKey
from isthmus.federation import told_verdicts
from isthmus.federation.desk import HubDesk
from isthmus.federation.node import Means
from isthmus.federation.protocol.charter import Charter, HubWork
from isthmus.federation.protocol.hub import Failed, HubRun
from isthmus.federation.protocol.hub_end import Concluded
from isthmus.federation.protocol.hub_states import hub_sums
from isthmus.federation.protocol.stopped import hint_of
from isthmus.federation.store import RunRow, RunState
from isthmus.governance.citations import cited
from isthmus.ledger.bundle import Contents, make_bundle
from isthmus.ledger.log import Log
from isthmus.model.canonical import canonical
from isthmus.model.errors import Invalid, IsthmusError, Refused, Unavailable
from isthmus.model.names import SiteId


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds without an answer after which a round goes on without its lost sites, and after which the run ends.

    In the first round a lost site is dropped, if enough remain; later the run waits for it. After `erasing` seconds a
    concluded run waits no longer for a site to say that it erased the run's secrets: its result is signed, and a hub's
    store and bundle do not depend on that. The site is told to erase them when it comes back.
    """

    round: float = 60.0
    waiting: float = 86_400.0
    erasing: float = 3_600.0


@dataclass(slots=True)
class HeldRun:
    """A run under way.

    Attributes:
        confirmed: sites that erased the run's secrets.
        unerased: sites that had not said so when the hub waited no longer.
        declined: sites that do not take part, and why.
        cause: why this hub abandoned the run.
        settling: its new state is being kept.
        moved: loop time when anything last came of it.
        looked: loop time of the last look at its deadline.
    """

    row: RunRow
    request: Mapping[str, Any]
    run: HubRun
    started: float
    moved: float
    looked: float
    confirmed: set[str] = field(default_factory=set)
    unerased: tuple[str, ...] = ()
    declined: dict[str, IsthmusError] = field(default_factory=dict)
    cause: IsthmusError | None = None
    settling: bool = False

    @property
    def charter(self) -> Charter:
        """The run's charter."""
        return self.run.charter

    @property
    def name(self) -> str:
        """The run's digest."""
        return self.row.run

    @property
    def invitation(self) -> dict[str, Any]:
        """What a site is told to take part."""
        return {"run": self.name, "request": dict(self.request)}

    def overdue(self, now: float, deadlines: Deadlines) -> Literal["no", "round", "run", "erasing"]:
        """Whether a deadline has passed since the last look."""
        if isinstance(self.run.state, Concluded | Failed):
            late = self.state == "closing" and now - self.moved > deadlines.erasing
            return "erasing" if late else "no"
        if now - self.moved > deadlines.waiting:
            return "run"
        if now - max(self.moved, self.looked) > deadlines.round:
            self.looked = now
            return "round"
        return "no"

    def progress(self, now: float) -> dict[str, Any]:
        """How far it is and what it has sent; never a count, a sum or a parameter."""
        seen = self.run.progress()
        traffic, taken = self.run.traffic, hub_sums(self.run.state)
        return {
            "stage": seen.stage,
            "step": f"{seen.question} {seen.round}" if seen.question else seen.stage,
            "rounds": seen.opened,
            **({"unerased": list(self.unerased)} if self.unerased else {}),
            **({"hub_sums": [list(one) for one in taken]} if taken else {}),  # sites did not add these up again
            "waiting": list(seen.awaited) if seen.late else [],
            "awaited": list(seen.awaited),
            "traffic": {
                "rows_left": 0,
                # by site only of a run that goes well: what a site sent before a run stopped may tell who stopped it
                "bytes_out": {} if self.error else {site: t.received for site, t in traffic.items()},
                "messages": sum(t.messages for t in traffic.values()),
                "seconds": round(now - self.started, 3),
            },
        }

    @property
    def remark(self) -> str:
        """What the log adds to its state: in which questions sites took the hub's sum."""
        taken = hub_sums(self.run.state)
        return f"; above 1 MiB a reply, sites took the hub's own sum in {taken}" if taken else ""

    @property
    def state(self) -> RunState:
        """As the store keeps it: a concluded run is closing until every site has erased its secrets, or is late to say so."""
        match self.run.state:
            case Concluded():
                return "closing" if set(self.unconfirmed) - set(self.unerased) else "concluded"
            case Failed():
                return "refused" if isinstance(self.error, Refused) else "failed"
            case _:
                return "waiting" if self.run.late else "running"

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """Sites of a concluded run that have not said that they erased its secrets."""
        state = self.run.state
        return tuple(s for s in state.survivors if s not in self.confirmed) if isinstance(state, Concluded) else ()

    def go_on(self) -> dict[str, Any]:
        """Wait no longer for sites to say that they erased its secrets; what the ledger holds of that."""
        self.unerased = self.unconfirmed
        return {"run": self.name, "sites": [], "unerased": list(self.unerased)}

    @property
    def error(self) -> IsthmusError | None:
        """Why it failed."""
        state = self.run.state
        if not isinstance(state, Failed):
            return None
        if self.cause is not None:
            return self.cause
        kind = Refused if state.code in REFUSALS else Unavailable
        return cited(kind(state.code, state.message, hint_of(state.code), state.rule))

    def told(self, site: str, said: Mapping[str, Any]) -> None:
        """Enter what a site tells of its verdicts, once.

        Raises:
            Untrusted: E-SIGNATURE. Invalid: E-WIRE, no such document, or of no site of this run.
        """
        keys = {member.site: bytes.fromhex(member.key) for member in self.charter.roster}
        if site not in keys or said.get("run") != self.name:
            raise Invalid("E-WIRE", "verdicts of a site outside the run")
        self.run.recorder.record("decision", told_verdicts.entry(site, keys[site], said))

    def bundles(self, agreed: tuple[list[Any], list[Any]], key: SigningKey, log: Log) -> tuple[bytes, bytes]:
        """The signed bundle of a concluded run: the researcher's form, and the auditor's with the pooled sums.

        Args:
            agreed: envelopes of the agreement, and of the people who approved the study.
            key: the hub's.
            log: its ledger.
        """
        return self._bundle(agreed, key, log, None), self._bundle(agreed, key, log, self.run.transcript())

    def _bundle(self, agreed: tuple[list[Any], list[Any]], key: SigningKey, log: Log, transcript: Any) -> bytes:
        done = self.run.state
        if not isinstance(done, Concluded):
            raise Refused("E-NOT-RELEASED", "the run has not concluded", "follow it with `isthmus watch`")
        contents = Contents(
            charter=self.charter,
            agreement=agreed[0],
            approvals=agreed[1],
            study=self.request,
            result=done.result,
            transcript_digest=done.transcript,
            signatures={SiteId(site): signature for site, signature in done.signatures.items()},
            transcript=transcript,
        )
        indices = sorted(index for index in self.run.recorder.indices.values() if index < done.size)
        return make_bundle(contents, log, indices, done.note, done.size, key)


# Codes with which a party declines a run or a rule stops it; anything else is a failure.
REFUSALS = frozenset(
    {
        "E-DISCLOSURE", "E-UNSIGNED", "E-SIGNER", "E-MODE", "E-NOT-YET", "E-EXPIRED", "E-DATASET", "E-KIND",
        "E-RELEASE", "E-ROSTER", "E-MIN-SITES", "E-CODEBOOK", "E-VARIABLE", "E-PERSON", "E-RULES-FLOOR", "E-NOT-APPROVED",
        "E-SITE-RESULTS", "E-COUNTRY",
        "E-REVOKED", "E-RULE", "E-HUMAN",
    }
)  # fmt: skip


def new_row(charter: Charter, request: Mapping[str, Any], created: str) -> RunRow:
    """A run as it is first kept."""
    return RunRow(
        run=charter.run,
        number=charter.number,
        study=charter.study,
        created=created,
        state="running",
        note="",
        request=canonical(request),
        charter=canonical(charter),
    )


def open_run(row: RunRow, means: Means, desk: HubDesk, log: Log, now: float) -> HeldRun:
    """A run from its kept request and whatever its journal holds.

    Raises:
        Refused, Untrusted, Invalid: it is no longer admitted.
        Unavailable: E-DISK, E-JOURNAL.
    """
    return held_run(row, desk.admit(json.loads(row.request), means.clock()), means, log, now)


def held_run(row: RunRow, admitted: tuple[Charter, HubWork], means: Means, log: Log, now: float) -> HeldRun:
    """A run that is admitted; `now` is the loop's time."""
    charter, work = admitted
    run = HubRun(means.identity.key, charter, work, means.store.journal(row.run), means.spool(row.run), log)
    return HeldRun(row, json.loads(row.request), run, now, now, now)
