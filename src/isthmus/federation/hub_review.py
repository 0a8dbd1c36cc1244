"""What people decide at a hub: studies before they run, results before they are released.

The hub is the mailbox: it keeps approvals, shows them to the sites and counts votes. What it counts, each site and every
verifier counts again. Votes on a result are sealed until as many as the agreement asks for are there.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from isthmus.federation.by_law import refusal_of
from isthmus.federation.control import Control
from isthmus.federation.hub_cases import (
    ANSWER,
    APPROVAL,
    DECIDED,
    ENTERED,
    OPEN,
    OVER,
    SEEN,
    VOTE,
    WORDS,
    HubCases,
    sites_of,
)
from isthmus.federation.hub_release import Releases, votes_of
from isthmus.federation.hub_runs import new_row
from isthmus.federation.hub_witness import Witnesses
from isthmus.federation.protocol.charter import Charter
from isthmus.federation.reasons import facts
from isthmus.federation.shown import read_answer
from isthmus.federation.site_review import ENDED
from isthmus.federation.store import RunRow, RunState
from isthmus.governance.admission import open_request
from isthmus.governance.agreement import Agreement
from isthmus.governance.approval import Decided, check_approval, read_approval
from isthmus.governance.citations import cited
from isthmus.governance.reviewed import read_reviewed, unapproved
from isthmus.governance.reviewers import may_decide_together
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid, IsthmusError, Refused, Untrusted

if TYPE_CHECKING:
    from isthmus.federation.grpc_hub import Party
    from isthmus.federation.hub import HubNode

ENDS: Mapping[str, tuple[RunState, str, str]] = {  # decision -> state, code, in words
    "return": ("returned", "E-RETURNED", "returned it"),
    "reject": ("rejected", "E-REJECTED", "rejected it"),
    "withdraw": ("withdrawn", "E-WITHDRAWN", "withdrew it"),
}
HEARD = {*ENDED.values(), "released"}  # what a site says that holds the end of a study
RECENT = 64  # entries among which a step that was written just before a crash must lie


class HubReview:
    """Every method runs on the hub's event loop; ledger entries are written in its worker."""

    def __init__(self, hub: HubNode, agreement: Agreement) -> None:
        self.cases = HubCases(hub.means.store, agreement)
        self._hub = hub
        self._agreement = agreement
        self._kept = self.cases.kept
        keys = {site.site: bytes.fromhex(site.key) for site in agreement.sites}
        self.witnesses = Witnesses(hub, keys)
        self.releases = Releases(hub, self, keys)
        self._turn = asyncio.Lock()  # one step at a time: a study starts once, a result is released once
        self._log = logging.getLogger(f"isthmus.{hub.means.identity.name}")

    @property
    def of_studies(self) -> bool:
        """Whether custodians decide on studies."""
        return self._agreement.review is not None and self._agreement.review.study == "custodians"

    # -- studies ---------------------------------------------------------------------------------------------------

    async def submitted(self, charter: Charter, request: Mapping[str, Any]) -> None:
        """Take in an admitted study: it waits for people, and every site is shown it.

        Raises:
            Refused: E-AMENDS, it amends a study that is not here, or gives no reason.
        """
        row = replace(new_row(charter, request, self._hub.means.clock().isoformat()), state="in_review")
        study = open_request(request, self._agreement).study
        if study.amends is not None and not (study.reason and self.cases.asked(study.amends)):
            hint = "`amends` is the digest of a study that was submitted here; `reason` says what changed and why"
            error = Refused("E-AMENDS", "the study does not say which study it amends, or why", hint, "amends")
            await self._refused(self.cases.asker(row), "amended study", error)
            raise error
        self._hub.means.store.add_run(row)
        amends = {"amends": study.amends, "reason": study.reason} if study.amends else {}
        async with self._turn:
            await self.write("submit", row, {"study": row.study, "by": self.cases.asker(row), **amends})
            await self.write("ask", row, {"sites": list(charter.sites)})
            self._show(row)

    async def resume(self) -> None:
        """Take up what was open when the hub stopped. What was asked for under another version of the agreement ends."""
        for row in self.cases.rows(OPEN):
            if json.loads(row.charter)["agreement"] != self._hub.desk.desk.agreement:
                said = "it was asked for under another version of the agreement"
                await self.stop(row, Refused("E-AGREEMENT-VERSION", said, "submit it anew under the one in force"))
            else:
                await (self._count(row) if row.state == "egress" else self._agree(row))

    async def greeted(self, site: str, held: Any) -> dict[str, Any]:
        """What the welcome shows a site: the ledger's head, which continues the one that its hello says it holds.

        Once it has cosigned that, it is told what people ended meanwhile.
        """
        self.witnesses.reported(site, held)
        return await self.witnesses.offer(site)

    def greet(self, site: str) -> None:
        """Show a site that has come what waits for it."""
        for row in self.cases.rows(("in_review",)):
            if site in sites_of(row):
                self._tell(site, row)

    async def heard(self, site: str, said: Control) -> None:
        """What a site says of a study or of the ledger's head. Invalid for what it cannot say."""
        if said.kind == "reviewed":
            await self.answered(site, said.body)
        elif said.kind == "cosigned":
            await self._cosigned(site, said.body)

    async def _cosigned(self, site: str, body: Mapping[str, Any]) -> None:
        """A site holds the ledger up to here: show it what people ended, and votes that it has not looked at."""
        async with self._turn:
            if await self.witnesses.cosigned(site, body):
                for row in self.cases.untold(site):
                    await self._tell_end(site, row)

    async def answered(self, site: str, body: Mapping[str, Any]) -> None:
        """Take in what a site says of a study. Invalid for what is no answer."""
        async with self._turn:
            await self._answered(site, body)

    async def _answered(self, site: str, body: Mapping[str, Any]) -> None:
        row = self._hub.means.store.run(str(body.get("run")))
        if row is None:
            return
        answer = read_answer(body.get("answer"))
        if row.state in (*OVER, "released"):
            if (
                answer.verdict in HEARD
            ):  # else it has not taken what it was shown, for its clock may be wrong: told again
                self._kept.put(row.run, SEEN, site, answer.verdict)
        elif site not in sites_of(row):
            return
        elif row.state == "egress":
            await self.releases.signed(site, row, body)
        elif row.state == "in_review":
            self._kept.put(row.run, ANSWER, site, {"answer": body["answer"], "rule": body.get("rule")})
            await self._agree(row)

    async def declined(self, site: str, run: str, cause: IsthmusError) -> None:
        """A site's rules stop a study in review, or too many sites do not release a result: who asked is told which rule."""
        async with self._turn:
            row = self._hub.means.store.run(run)
            if row is not None and row.state in (*OVER, "released"):
                self._kept.put(run, SEEN, site, cause.code)  # it cannot make anything of it: not told again
            if row is None or row.state not in OPEN or site not in sites_of(row):
                return
            if row.state == "in_review" or await self.releases.withheld(site, row, cause):
                await self.stop(row, cause)

    async def halt(self, cause: IsthmusError) -> None:
        """The agreement has ended: so does what waits for people. What was released before stays released."""
        async with self._turn:
            for row in self.cases.rows(OPEN):
                await self.stop(row, cause)

    async def stop(self, row: RunRow, cause: IsthmusError) -> None:
        """End what waits for people, by a rule."""
        await self._hub.enter("refusal", {"run": row.run, **refusal_of(cause)})
        self._close(row, "refused", cause)

    def over(self, state: RunState, error: IsthmusError | None) -> RunState:
        """What a run that is over everywhere becomes: a result waits for output checkers, a withdrawn one says so."""
        if error is not None and error.code == ENDS["withdraw"][1]:
            return "withdrawn"
        return "egress" if state == "concluded" and self.cases.needed else state

    async def _agree(self, row: RunRow) -> None:
        """Start a study on which every site has agreed, and whose approvals hold here too."""
        if self.cases.unanswered(row):
            return
        case, asked = self.cases.case(row), open_request(json.loads(row.request), self._agreement)
        try:
            reviewed = read_reviewed(self.cases.approvals(row.run), self._agreement, case)
            gaps = unapproved(self._agreement, asked, case.asker, reviewed)
        except IsthmusError as error:
            gaps = [str(error)]
        if gaps:
            self._log.warning("run %s: the sites agreed, but %s", row.run[:19], "; ".join(gaps))
            return
        await self.write("approve", row, {"sites": list(sites_of(row))})
        await self._hub.start_run(row)

    # -- decisions of people ---------------------------------------------------------------------------------------

    async def decided(self, person: Party, envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Take in a signed decision; gives the review after it, and the proof that it is entered.

        One that is refused is written down.

        Raises:
            Refused, Untrusted, Invalid: the approval does not hold, or cannot be given now.
        """
        try:
            async with self._turn:
                run, entered = await self._decided(person, envelope)
        except (Refused, Untrusted, Invalid) as error:
            await self._refused(person.name, "approval", error)
            raise cited(error) from error
        await self.releases.patiently(run)
        said = {"run": run, "review": self.cases.told(self.cases.row(run))}
        index = self._kept.get(run, entered, person.name)
        return {**said, "proof": (await self.witnesses.proof(int(index))).decode()}

    async def _decided(self, person: Party, envelope: Mapping[str, Any]) -> tuple[str, str]:
        """The run, and the kind of what is kept of where the decision stands in the ledger."""
        self._hub.desk.desk.in_force(self._hub.means.clock())
        found = read_approval(envelope, self._agreement)
        if found.person.person != person.name:
            raise Untrusted("E-SENDER", "each person hands in their own decision", "connect with the keys that signed")
        row = self.cases.row(found.approval.run)
        check_approval(found, self.cases.case(row), self._hub.means.clock())
        if found.approval.kind == "result":
            await self._vote(row, found, envelope)
        elif found.approval.decision == "withdraw":
            await self._withdraw(row, found, envelope)
        elif envelope != self._kept.get(row.run, APPROVAL, person.name):
            await self._on_study(row, found, envelope)
        return row.run, ENTERED if found.approval.kind == "result" else DECIDED

    async def _on_study(self, row: RunRow, found: Decided, envelope: Mapping[str, Any]) -> None:
        if found.person.party not in self.cases.parties(row):
            raise Refused("E-ROLE", "no site of your party takes part", "custodians of parties that take part decide")
        if row.state != "in_review":
            raise _state(row, "decided on")
        await self._keep(row, found, envelope)
        if found.approval.decision != "accept":
            self._end(row, [found])
        self._show(self.cases.row(row.run))

    async def _withdraw(self, row: RunRow, found: Decided, envelope: Mapping[str, Any]) -> None:
        held = self._hub.runs.get(row.run)
        if row.state not in OPEN and (held is None or held.state not in {"running", "waiting"}):
            raise _state(row, "withdrawn")
        await self._keep(row, found, envelope)
        if held is not None:
            await self._hub.abandon(held, _error([found], "withdraw"))
            return
        self._end(row, [found])
        self._show(self.cases.row(row.run))

    async def _keep(self, row: RunRow, found: Decided, envelope: Mapping[str, Any]) -> None:
        said = found.approval
        self._kept.put(row.run, APPROVAL, found.person.person, dict(envelope))
        reason = {"reason": said.reason} if said.reason else {}
        index = await self.write(said.decision, row, {**_by(found), **reason})
        self._kept.put(row.run, DECIDED, found.person.person, index)

    async def _vote(self, row: RunRow, found: Decided, envelope: Mapping[str, Any]) -> None:
        if row.state != "egress":
            raise _state(row, "decided on")
        people = [v.person for v in self.cases.votes(row)]
        if found.person.person in {p.person for p in people}:
            raise Refused("E-DECIDED", "you have decided on this result", "a vote stands once it is given")
        last = len(people) + 1 >= self.cases.needed
        if last and not may_decide_together(self._agreement, [*people, found.person]):
            hint = "an output checker of another country decides"
            raise Refused("E-ONE-PER-COUNTRY", "this country has decided on the result already", hint)
        self._kept.put(row.run, VOTE, found.person.person, dict(envelope))
        await self._count(row)

    async def _count(self, row: RunRow) -> None:
        """Enter every vote; open them once as many are there as the agreement asks for, and see what they say."""
        for found in self.cases.votes(row):
            if self._kept.get(row.run, ENTERED, found.person.person) is None:  # sealed: who, not how
                self._kept.put(row.run, ENTERED, found.person.person, await self.write("vote", row, _by(found)))
        outcome, votes = self.cases.outcome(row), self.cases.opened(row)
        if outcome == "release":
            await self.releases.conclude(row)
        elif outcome is not None:
            await self.write(outcome, row, {"votes": votes_of(votes)})
            self._end(row, [v for v in votes if v.approval.decision == outcome])

    # -- small things ----------------------------------------------------------------------------------------------

    def _show(self, row: RunRow) -> None:
        for site in sites_of(row):
            self._tell(site, row)

    def _tell(self, site: str, row: RunRow, more: Mapping[str, Any] = MappingProxyType({})) -> None:
        link = self._hub.link(site)
        if link is not None:
            approvals = self.cases.signed(row.run)
            link.say("review", {"run": row.run, "request": json.loads(row.request), "approvals": approvals, **more})

    async def _tell_end(self, site: str, row: RunRow) -> None:
        """What people ended. A refusal concerns every site, for it ends what their standing rules cover in its project."""
        if site not in sites_of(row) and row.state != "rejected":
            self._kept.put(row.run, SEEN, site, "no part")
            return
        entered = [int(index) for index in self._kept.of(row.run, ENTERED).values()]
        size = self.witnesses.held(site)
        if all(index < size for index in entered):
            proofs = await self._hub.worker.run("proofs", self._proofs, entered, size)
            self._tell(site, row, {"votes": {"size": size, "entries": proofs}} if entered else {})

    def _proofs(self, indices: Sequence[int], size: int) -> list[dict[str, Any]]:
        log = self._hub.ledger.log
        return [{"entry": plain(log.entry(i)), "proof": [h.hex() for h in log.inclusion(i, size)]} for i in indices]

    def _end(self, row: RunRow, by: Sequence[Decided]) -> None:
        decision = by[0].approval.decision
        self._close(row, ENDS[decision][0], _error(by, decision))

    def _close(self, row: RunRow, state: RunState, error: IsthmusError) -> None:
        kept = json.loads(row.note) if row.note else {"sites": {}}
        self._hub.means.store.set_state(row.run, state, json.dumps({**kept, "error": facts(error)}))
        self._hub.said(row.run, state)

    async def _refused(self, who: str, what: str, error: IsthmusError) -> None:
        said = {"by": who, "what": what, **refusal_of(error)}  # no run: what is refused moves none on
        await self._hub.worker.run("ledger", self._hub.refusals.enter, what, said)

    async def write(self, step: str, row: RunRow, more: Mapping[str, Any]) -> int:
        """One ledger entry of a step, and not a second one when the hub stopped right after it; the sites are shown it.

        Gives its index.
        """
        index = await self._hub.worker.run("ledger", partial(self._written, {"step": step, "run": row.run, **more}))
        await self.witnesses.publish()
        return index

    def _written(self, said: Mapping[str, Any]) -> int:
        log = self._hub.ledger.log
        size = log.head().size
        held = next((i for i in range(max(0, size - RECENT), size) if log.entry(i).facts == said), None)
        return self._hub.ledger.append("approval", said) if held is None else held


def _by(found: Decided) -> dict[str, Any]:
    return {"by": found.person.person, "party": found.person.party, "envelope": found.envelope}


def _error(by: Sequence[Decided], decision: str) -> Refused:
    _, code, words = ENDS[decision]
    said = "; ".join(
        f"{d.person.person} ({d.person.party}) {words}" + (f": {d.approval.reason}" if d.approval.reason else "")
        for d in by
    )
    hint = "submit it anew, with `amends` and `reason`" if decision == "return" else "submit another study"
    return Refused(code, said, hint)


def _state(row: RunRow, what: str) -> Refused:
    return Refused("E-STATE", f"a study that is {WORDS[row.state]} cannot be {what}", "see `isthmus study status`")
