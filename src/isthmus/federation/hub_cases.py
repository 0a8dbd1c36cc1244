"""What a hub holds of review, and what it shows of it: nothing here changes anything."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from isthmus.federation.review_store import SqlReviews
from isthmus.federation.site_review import case_of
from isthmus.federation.store import RUNS, RunRow, RunState, Store
from isthmus.governance.admission import open_request
from isthmus.governance.agreement import Agreement
from isthmus.governance.approval import Case, Decided, read_approval
from isthmus.governance.review import State
from isthmus.governance.reviewed import roster_parties
from isthmus.governance.reviewers import checkers, country_of_person
from isthmus.governance.standing_rules import read_rule
from isthmus.ledger.bundle import read_bundle
from isthmus.model.canonical import digest, plain
from isthmus.model.errors import Invalid, IsthmusError, Refused, Waiting

if TYPE_CHECKING:
    from isthmus.federation.grpc_hub import Party

WORDS: Mapping[RunState, State] = {
    "in_review": "In review",
    "returned": "Returned",
    "rejected": "Rejected",
    "withdrawn": "Withdrawn",
    "running": "Running",
    "waiting": "Waiting",
    "closing": "Running",
    "concluded": "Released",
    "egress": "Results in egress review",
    "released": "Released",
    "refused": "Stopped",
    "failed": "Stopped",
}
OPEN: tuple[RunState, ...] = ("in_review", "egress")
OVER: tuple[RunState, ...] = ("returned", "rejected", "withdrawn")
# Kinds of what is kept, each by the name of a person or a site; `entered` and `decided` are where a vote, and a decision on
# the study, stand in the ledger.
APPROVAL, ANSWER, VOTE, SEEN, ENTERED, DECIDED, RELEASED, WITHHELD = (
    "approval", "answer", "vote", "seen", "entered", "decided", "released", "withheld"
)  # fmt: skip


class HubCases:
    """Studies and results that people decide on, as a hub's store has them."""

    def __init__(self, store: Store, agreement: Agreement) -> None:
        self.agreement = agreement
        self.kept = SqlReviews(store)
        self._store = store

    @property
    def needed(self) -> int:
        """How many output checkers decide on a result."""
        return self.agreement.review.egress if self.agreement.review else 0

    def rows(self, states: Sequence[RunState]) -> list[RunRow]:
        """Runs in these states, oldest first."""
        return self._store.runs(RUNS.c.state.in_(states))

    def untold(self, site: str) -> list[RunRow]:
        """Studies that people ended, and results on which output checkers have voted, of which a site has said nothing yet."""
        seen, signed = self.kept.named(SEEN, site), self.kept.named(RELEASED, site)
        ended = self._store.runs(RUNS.c.state.in_((*OVER, "released")), RUNS.c.run.not_in(seen))
        voted = self._store.runs(RUNS.c.state == "egress", RUNS.c.run.not_in(signed))
        return [*ended, *(row for row in voted if self.outcome(row) == "release")]

    def asked(self, study: str) -> bool:
        """Whether a study was submitted here."""
        return bool(self._store.rows(sa.select(RUNS.c.run).where(RUNS.c.study == study).limit(1)))

    def row(self, run: str) -> RunRow:
        """A run by its digest, or Invalid E-RUN."""
        row = self._store.run(run)
        if row is None:
            raise Invalid("E-RUN", "no such run here", "give the run as `study submit` printed it")
        return row

    def case(self, row: RunRow) -> Case:
        """What is put to people; with the result's digest once there is a result."""
        raw = self._store.bundle(row.run)
        result = digest(read_bundle(raw)["result"]) if raw is not None else None
        return case_of(json.loads(row.request), self.agreement, result)

    def asker(self, row: RunRow) -> str:
        """Who asked."""
        return case_of(json.loads(row.request), self.agreement).asker

    def parties(self, row: RunRow) -> tuple[str, ...]:
        """The parties whose sites take part."""
        return roster_parties(self.agreement, open_request(json.loads(row.request), self.agreement))

    def votes(self, row: RunRow) -> list[Decided]:
        """Votes on a result, sealed ones too."""
        return [read_approval(e, self.agreement) for e in self.kept.of(row.run, VOTE).values()]

    def opened(self, row: RunRow) -> list[Decided]:
        """Votes on a result once as many are there as the agreement asks for; none before."""
        votes = self.votes(row)
        return votes if len(votes) >= self.needed else []

    def outcome(self, row: RunRow) -> Literal["release", "return", "reject"] | None:
        """What the opened votes say: the worst of them counts. None while they are sealed."""
        decisions = {vote.approval.decision for vote in self.opened(row)}
        if not decisions:
            return None
        return "reject" if "reject" in decisions else "return" if "return" in decisions else "release"

    def signed(self, run: str) -> list[dict[str, Any]]:
        """Decisions of people on a run: on the study, and on the result once the votes are opened."""
        votes = list(self.kept.of(run, VOTE).values())
        return [*self.kept.of(run, APPROVAL).values(), *(votes if len(votes) >= self.needed else ())]

    def approvals(self, run: str) -> list[dict[str, Any]]:
        """Every signature on a run for its bundle: what people signed, and standing rules."""
        rules = [kept.get("rule") for kept in self.kept.of(run, ANSWER).values()]
        found = [*self.signed(run), *filter(None, rules)]
        return list({digest(envelope): envelope for envelope in found}.values())

    def unanswered(self, row: RunRow) -> list[str]:
        """Sites that have not said that they agree."""
        answers = self.kept.of(row.run, ANSWER)
        return [s for s in sites_of(row) if answers.get(s, {}).get("answer", {}).get("verdict") != "approved"]

    # -- what is shown ---------------------------------------------------------------------------------------------

    def beside(self, row: RunRow, seen: Mapping[str, Any]) -> dict[str, Any]:
        """A status with the review beside it; a result that nobody has released is not `concluded` for who asks.

        While some site has not said that it erased the run's secrets, nobody decides on the result yet: it runs.
        """
        state = "running" if self.needed and seen["state"] == "concluded" else seen["state"]
        return {**seen, "state": state, "review": self.told(row)}

    def told(self, row: RunRow) -> dict[str, Any]:
        """The review part of a status: the state in words, for whom it waits since when, who decided what and why.

        `standing`: site -> whose standing rule approved the study there.
        """
        decided = [read_approval(envelope, self.agreement) for envelope in self.signed(row.run)]
        return {
            "state": WORDS[row.state],
            "waiting": self._waiting(row),
            "decisions": [_decision(d) for d in decided],
            "standing": {site: answer["by"] for site, answer in self._answers(row.run) if answer.get("standing")},
        }

    def _answers(self, run: str) -> Iterator[tuple[str, dict[str, Any]]]:
        return ((site, kept["answer"]) for site, kept in sorted(self.kept.of(run, ANSWER).items()))

    def shown(self, run: str, person: Party) -> dict[str, Any]:
        """All that a person needs to decide: request, answers of the sites, decisions, the result's digest."""
        row = self.row(run)
        return {
            "run": row.run,
            "title": _title(row),
            "request": json.loads(row.request),
            "result": self.case(row).result,
            "review": self.told(row),
            "answers": dict(self._answers(row.run)),
            "mine": self._mine(row, person),
            "amended": self._amended(row),
        }

    def listed(self, person: Party) -> list[dict[str, Any]]:
        """What waits for people, oldest first; `mine`: for this person among them."""
        return [
            {
                "run": row.run,
                "study": row.study,
                "created": row.created,
                "title": _title(row),
                "review": self.told(row),
                "mine": self._mine(row, person),
            }
            for row in self.rows(OPEN)
        ]

    def standing(self) -> list[dict[str, Any]]:
        """Standing rules by which sites approved studies, the last to end first: terms, whose they are, and what each answered.

        The site of a rule's custodian holds it; the hub sees it when that site first answers by it.
        """
        found: dict[str, dict[str, Any]] = {}
        for run, site, kept in self.kept.every(ANSWER):
            try:
                told = read_rule(kept["rule"], self.agreement) if kept["answer"].get("standing") else None
            except IsthmusError:  # a site's word alone: no signature counts
                continue
            if told is not None:
                row, rule = self.row(run), told.rule
                whose = {"rule": told.digest, "by": rule.name, "party": rule.party, "signed": rule.time}
                shown = found.setdefault(told.digest, {**whose, **plain(rule.terms), "answered": []})
                answered = {"run": run, "title": _title(row), "site": site, "since": kept["answer"]["since"]}
                shown["answered"].append({**answered, "state": WORDS[row.state]})
        return sorted(found.values(), key=lambda rule: str(rule["expires"]), reverse=True)

    def require_fetch(self, person: Party, row: RunRow) -> None:
        """Refuse a result that is not released to who does not decide on it: before that, an auditor too.

        Raises:
            Waiting: E-NOT-RELEASED. Refused: E-RETURNED, E-REJECTED, E-WITHDRAWN.
        """
        if not self.needed or row.state == "released":
            return
        if row.state in OVER:
            raise Refused(f"E-{row.state.upper()}", "the result was not released", "`isthmus study status` says why")
        if person.name not in {p.person for p in checkers(self.agreement, {self.asker(row)})}:
            hint = "`isthmus study status` says for whom it waits, if it may still be released"
            raise Waiting("E-NOT-RELEASED", "output checkers have not released the result", hint)

    def _amended(self, row: RunRow) -> dict[str, Any] | None:
        """The study that this one amends, as it was submitted here; its digest is in this one."""
        amends = open_request(json.loads(row.request), self.agreement).study.amends
        before = self._store.runs(RUNS.c.study == amends)[:1] if amends else []
        return dict(_payload(before[0])["study"]) if before else None

    def _waiting(self, row: RunRow) -> list[dict[str, Any]]:
        if row.state == "in_review":
            return self._waiting_sites(row)
        if row.state != "egress":
            return []
        voted = {v.person.person: v.approval.time for v in self.votes(row)}
        if len(voted) >= self.needed:
            signed = self.kept.of(row.run, RELEASED)
            parties = {site: self.agreement.site(site).party for site in sites_of(row) if not signed.get(site)}
            since = max(voted.values())
            return [{"whom": f"the site {s}", "party": party, "since": since} for s, party in parties.items()]
        return [
            {"whom": p.person, "party": p.party, "country": country_of_person(self.agreement, p)}
            for p in checkers(self.agreement, {self.asker(row)})
            if p.person not in voted
        ]

    def _waiting_sites(self, row: RunRow) -> list[dict[str, Any]]:
        answers, found = self.kept.of(row.run, ANSWER), []
        decided = {read_approval(e, self.agreement).person.party for e in self.kept.of(row.run, APPROVAL).values()}
        for site in self.unanswered(row):
            party = self.agreement.site(site).party
            said = answers.get(site, {}).get("answer")
            own = said is None or party in decided  # the site has not looked yet, or not at what its custodian decided
            whom = f"the site {site}" if own else ", ".join(said.get("by", ()))
            found.append({"whom": whom, "party": party, "since": row.created if said is None else said["since"]})
        return found

    def _mine(self, row: RunRow, person: Party) -> bool:
        if person.name == self.asker(row):
            return False
        if row.state == "egress":
            return any(w["whom"] == person.name for w in self._waiting(row))
        mine = next((p for p in self.agreement.people if p.person == person.name), None)
        waits = {w["party"] for w in self._waiting(row)}
        return mine is not None and "custodian" in mine.roles and mine.party in waits


def sites_of(row: RunRow) -> tuple[str, ...]:
    """The roster of a run."""
    return tuple(member["site"] for member in json.loads(row.charter)["roster"])


def _title(row: RunRow) -> str:
    return str(_payload(row)["study"]["title"])


def _payload(row: RunRow) -> dict[str, Any]:
    return dict(json.loads(base64.b64decode(json.loads(row.request)["payload"])))


def _decision(found: Decided) -> dict[str, Any]:
    said = found.approval
    told = {"by": said.name, "party": found.person.party, "kind": said.kind, "decision": said.decision}
    return {**told, "time": said.time, "reason": said.reason}
