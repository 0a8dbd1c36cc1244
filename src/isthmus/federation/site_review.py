"""A site's own word on a study that people decide on: what its custodians signed, or a standing rule of theirs covers.

The hub brings approvals and is believed in nothing: each is verified here by the agreement's keys and kept here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from isthmus.federation.config import Config
from isthmus.federation.law import Asked
from isthmus.federation.named import text_of
from isthmus.federation.plan import study_needs
from isthmus.federation.review_store import SqlReviews
from isthmus.federation.shown import Answer, Verdict
from isthmus.federation.store import Store
from isthmus.governance.admission import RunRequest, asker, created_at, open_request
from isthmus.governance.agreement import Agreement
from isthmus.governance.approval import Case, Decided, check_approval, read_approval, signed_at
from isthmus.governance.claimed import SKEW
from isthmus.governance.reviewed import Reviewed, roster_parties, unreleased
from isthmus.governance.standing_rules import Proposal, Told, questions, read_rule, refusals, uncovered
from isthmus.ledger.bundle import release_statement
from isthmus.model.canonical import digest, plain
from isthmus.model.errors import Invalid, IsthmusError, Refused, Untrusted
from isthmus.model.study import study_digest

ENDED: Mapping[str, Verdict] = {"return": "returned", "reject": "rejected", "withdraw": "withdrawn"}
HELD = "approval"  # kinds of what is kept
ANSWER = "answer"
COUNTED = "standing"
REFUSED = "refused"
RESULT = "result"
EARLY = "early"  # signed later than this clock says it is: told once, and looked at again, for the clock may be wrong


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a hub's question.

    Attributes:
        new: whether the answer is new.
        forged: codes of approvals that do not hold.
        rule: the standing rule that covers the study.
        release: what this site signs to release the result.
    """

    answer: Answer
    new: bool
    forged: tuple[str, ...]
    rule: Mapping[str, Any] | None = None
    release: bytes | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A study as a hub shows it: what it calls the run, the signed request, approvals.

    Attributes:
        voted: digest of a vote on the result -> when the hub's ledger, as this site holds it, took it in.
    """

    run: str
    request: Mapping[str, Any]
    approvals: tuple[Any, ...]
    voted: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A study that the site's checks of agreement and law let in."""

    request: RunRequest
    asker: str
    reads: Collection[str]
    verdicts: Mapping[str, Any]

    @property
    def run(self) -> str:
        """The digest of the request."""
        return digest(self.request)


class Reviewer(Protocol):
    """What a site's process asks about a study that people decide on."""

    def consider(self, shown: Shown, now: datetime) -> Heard:
        """What this site says of it; runs in the worker thread.

        Raises:
            Refused, Untrusted, Invalid: it would not take part, whatever people say.
        """
        ...

    def ahead(self, approvals: Iterable[Any], now: datetime) -> datetime | None:
        """When the first decision that was signed ahead of this clock can be looked at again; None where none was."""
        ...

    def remember(self, run: str, answer: Answer) -> None:
        """Keep an answer that the ledger has taken."""
        ...

    def concluded(self, run: str, result: str) -> None:
        """Keep the digest of the result that this site signed."""
        ...


@dataclass(frozen=True, slots=True)
class SiteReviewer:
    """The reviewer of a site: `admitted` is what its checks of agreement and law let in."""

    review: SiteReview
    admitted: Callable[[Mapping[str, Any], datetime], Admitted]

    def consider(self, shown: Shown, now: datetime) -> Heard:
        """What this site says of a study; a decision that ends it is kept even where the site would not take part."""
        case = case_of(shown.request, self.review.agreement)
        if case.run != shown.run:
            raise Untrusted("E-RUN", "the hub names the run otherwise than its request does")
        forged = self.review.take(shown, now)
        found = self.review.ended(shown.request, now)
        if found is None and shown.voted:
            said = f" ({', '.join(forged)})" if forged else ""
            raise Refused("E-NOT-CHECKED", f"the votes do not release the result{said}", "ask the output checkers")
        found = found or self.review.answer(self.admitted(shown.request, now), now)
        return replace(found, forged=forged)

    def ahead(self, approvals: Iterable[Any], now: datetime) -> datetime | None:
        """When the first decision that was signed ahead of this clock can be looked at again; None where none was."""
        found = []
        for envelope in approvals:
            try:
                found.append(signed_at(read_approval(envelope, self.review.agreement).approval) - SKEW)
            except IsthmusError:  # `consider` names it
                continue
        return min((due for due in found if due > now), default=None)

    def remember(self, run: str, answer: Answer) -> None:
        """Keep an answer that the ledger has taken."""
        self.review.remember(run, answer)

    def concluded(self, run: str, result: str) -> None:
        """Keep the digest of the result that this site signed."""
        self.review.kept.put(run, RESULT, self.review.site, result)


@dataclass(frozen=True, slots=True)
class SiteReview:
    """What a site holds against a study: the agreement, its party, standing rules, and what was signed before."""

    agreement: Agreement
    site: str
    kept: SqlReviews
    rules: tuple[tuple[Told, Mapping[str, Any]], ...] = ()

    @property
    def party(self) -> str:
        """Whose site it is."""
        return self.agreement.site(self.site).party

    @property
    def of_studies(self) -> bool:
        """Whether custodians decide on studies."""
        return self.agreement.review is not None and self.agreement.review.study == "custodians"

    def take(self, shown: Shown, now: datetime) -> tuple[str, ...]:
        """Keep the approvals that hold; gives the codes of those that do not and were not seen before.

        A vote that accepts a result counts from its entry in the hub's ledger on, and by the training of that day. What is
        signed at a time that this clock has not reached is looked at again whenever it is shown, and once it has.

        Raises:
            Refused, Untrusted, Invalid: the request itself is not a researcher's.
        """
        case, bad = case_of(shown.request, self.agreement), []
        own = self.kept.get(case.run, RESULT, self.site)
        for envelope in shown.approvals:
            name = digest(plain(envelope))
            if self.kept.get(case.run, HELD, name) is not None or self.kept.get(case.run, "forged", name) is not None:
                continue
            try:
                found = read_approval(envelope, self.agreement)
                vote = found.approval.kind == "result"
                if vote and found.approval.decision == "accept" and name not in shown.voted:
                    continue
                over = replace(case, result=own or found.approval.subject) if vote else case
                check_approval(found, over, shown.voted.get(name, now))
            except IsthmusError as error:
                if self.kept.get(case.run, EARLY, name) is None:
                    bad.append(error.code)
                self.kept.put(case.run, EARLY if error.code == "E-CLOCK" else "forged", name, error.code)
                continue
            self.kept.put(case.run, HELD, name, plain(envelope))
            if found.approval.decision == "reject":
                for ended in refusals(open_request(shown.request, self.agreement).study, case.asker):
                    self.kept.put(case.run, REFUSED, ended, True)
        return tuple(bad)

    def ended(self, request: Mapping[str, Any], now: datetime) -> Heard | None:
        """The answer to a study that a person ended; None while nobody has."""
        asked, case = open_request(request, self.agreement), case_of(request, self.agreement)
        parties = roster_parties(self.agreement, asked)
        held = self._held(case.run)
        votes = [found for found in held if found.approval.kind == "result"]
        ending = [
            f for f in held if f not in votes and (f.person.party in parties or f.approval.decision == "withdraw")
        ]
        for found in (*ending, *sorted(votes, key=lambda vote: vote.approval.decision != "reject")):
            said = ENDED.get(found.approval.decision)
            if said is not None:
                by, reason = (found.person.person,), found.approval.reason
                return self._answered(case.run, Answer(verdict=said, since=_text(now), by=by, reason=reason), None)
        return self._released(asked, votes, now) if votes else None

    def _released(self, asked: RunRequest, votes: list[Decided], now: datetime) -> Heard | None:
        """The answer to votes that release a result; None where they do not."""
        if unreleased(self.agreement, Reviewed(decided=tuple(votes), rules=())):
            return None
        run, by = digest(asked), tuple(vote.person.person for vote in votes)
        found = self._answered(run, Answer(verdict="released", since=_text(now), by=by), None)
        own = self.kept.get(run, RESULT, self.site)
        if own is None:
            return found  # it dropped out of the run: others sign
        return replace(found, release=release_statement(asked.mode, run, own, [vote.envelope for vote in votes]))

    def answer(self, seen: Admitted, now: datetime) -> Heard:
        """The answer to an admitted study that nobody has ended."""
        law = _by_outcome(seen.verdicts)
        for found in self._held(seen.run):
            if self._accepts(found, seen, now):
                made = Answer(verdict="approved", since=_text(now), by=(found.person.person,), verdicts=law)
                return self._answered(seen.run, made, None)
        for told, envelope in self.rules:
            if self._covers(told, seen, now):
                counted = {"person": seen.asker, "month": _month(now), "questions": questions(seen.request.study)}
                self.kept.put(seen.run, COUNTED, told.digest, counted)
                by = (told.person.person,)
                made = Answer(verdict="approved", since=_text(now), by=by, standing=told.digest, verdicts=law)
                return self._answered(seen.run, made, envelope)
        people = tuple(p.person for p in self.agreement.custodians(self.party) if p.person != seen.asker)
        return self._answered(seen.run, Answer(verdict="waiting", since=_text(now), by=people, verdicts=law), None)

    def require(self, request: Mapping[str, Any], seen: Admitted, now: datetime) -> dict[str, Any]:
        """What the ledger holds of the approval with which this site starts a run, or takes it up again.

        Raises:
            Refused: E-NOT-APPROVED, no custodian of this party approved it, or someone ended it.
        """
        ended = self.ended(request, now)
        held = self.kept.get(seen.run, "started", self.site) if ended is None else None
        if held is not None:
            return dict(held)  # a run under way goes on, whatever expired since
        said = (ended or self.answer(seen, now)).answer
        if said.verdict != "approved":
            hint = "a custodian of this party decides with `isthmus approve`"
            raise Refused("E-NOT-APPROVED", f"the study is {said.verdict} here", hint)
        entry = {"by": list(said.by), "since": said.since, **({"standing": said.standing} if said.standing else {})}
        self.kept.put(seen.run, "started", self.site, entry)
        return entry

    def _accepts(self, found: Decided, seen: Admitted, now: datetime) -> bool:
        """Whether a kept approval lets this site answer now: its custodian's training may have run out since."""
        said = found.approval
        if (said.kind, said.decision) != ("study", "accept") or found.person.party != self.party:
            return False
        try:
            check_approval(found, _case(seen.request, seen.asker), now)
        except IsthmusError:
            return False
        return True

    def _covers(self, told: Told, seen: Admitted, now: datetime) -> bool:
        counts = self.kept.everywhere(COUNTED, told.digest)
        asked = sum(
            int(c["questions"])
            for run, c in counts.items()
            if run != seen.run and (c["person"], c["month"]) == (seen.asker, _month(now))
        )
        proposal = Proposal(
            request=seen.request,
            asker=seen.asker,
            reads=seen.reads,
            verdicts=seen.verdicts,
            asked=asked,
            of_sites=any(needs.by_site for _, needs in study_needs(seen.request.study)),
            refused=any(self.kept.everywhere(REFUSED, said) for said in refusals(seen.request.study, seen.asker)),
        )
        return told.rule.party == self.party and not uncovered(told, self.agreement, proposal, now)

    def _held(self, run: str) -> list[Decided]:
        return [read_approval(envelope, self.agreement) for envelope in self.kept.of(run, HELD).values()]

    def _answered(self, run: str, made: Answer, rule: Mapping[str, Any] | None) -> Heard:
        """Keep an answer; the time at which the same was first said stays."""
        before = self.kept.get(run, ANSWER, self.site)
        body = plain(made)
        if before is not None and {**before, "since": ""} == {**body, "since": ""}:
            return Heard(replace(made, since=before["since"]), False, (), rule)
        return Heard(made, True, (), rule)

    def remember(self, run: str, answer: Answer) -> None:
        """Keep the answer that the ledger has taken."""
        self.kept.put(run, ANSWER, self.site, plain(answer))


def admitted_of(case: Asked, verdicts: Mapping[str, Any]) -> Admitted:
    """What review sees of a request that the law has let in."""
    return Admitted(case.request, case.person, case.reads, verdicts)


def case_of(request: Mapping[str, Any], agreement: Agreement, result: str | None = None) -> Case:
    """What a signed request puts to people.

    Raises:
        Refused, Untrusted, Invalid: as `open_request`.
    """
    return _case(open_request(request, agreement), asker(request, agreement), result)


def _case(asked: RunRequest, who: str, result: str | None = None) -> Case:
    return Case(
        run=digest(asked),
        study=study_digest(asked.study),
        asker=who,
        created=created_at(asked),
        result=result,
    )


def site_review(config: Config, agreement: Agreement, site: str, store: Store) -> SiteReview | None:
    """The review of a site, with the standing rules that its configuration names; None where nobody is asked.

    Raises:
        Unavailable: E-FILE. Invalid, Refused, Untrusted: a standing rule that does not hold.
    """
    if agreement.review is None:
        return None
    files = config.site().standing_rules
    rules = tuple(_rule(config, file, agreement) for file in files)
    return SiteReview(agreement, site, SqlReviews(store), rules)


def _rule(config: Config, file: str, agreement: Agreement) -> tuple[Told, Mapping[str, Any]]:
    text = text_of(config.path(file), "a standing rule", "check [site] standing_rules")
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(
            "E-STANDING", "not a signed standing rule", "make it with `isthmus approve rule`", file
        ) from error
    return read_rule(envelope, agreement), envelope


def _by_outcome(verdicts: Mapping[str, Any]) -> dict[str, Any]:
    """Names of rules by outcome; the pack. What they rest on stays in the site's ledger."""
    return {"pack": verdicts.get("pack"), **{k: list(names) for k, names in dict(verdicts.get("rules") or {}).items()}}


def _month(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m")


def _text(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="seconds")
