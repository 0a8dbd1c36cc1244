"""Whether the people whom an agreement asks for have agreed to a run, and to its result: from signatures alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from isthmus.governance.admission import RunRequest
from isthmus.governance.agreement import Agreement, Person
from isthmus.governance.approval import (
    PAYLOAD_TYPE,
    Case,
    Decided,
    check_approval,
    read_approval,
    signed_at,
)
from isthmus.governance.reviewers import may_decide_together
from isthmus.governance.standing_rules import Told, outside, read_rule
from isthmus.model.errors import Invalid, Untrusted
from isthmus.model.record import record


@record
class Reviewed:
    """Signatures that hold: decisions of people over one case, and standing rules."""

    decided: tuple[Decided, ...]
    rules: tuple[Told, ...]

    def study(self, decision: str) -> tuple[Decided, ...]:
        """Decisions of this kind on the study."""
        return tuple(d for d in self.decided if (d.approval.kind, d.approval.decision) == ("study", decision))

    def result(self) -> tuple[Decided, ...]:
        """Every vote on the result."""
        return tuple(d for d in self.decided if d.approval.kind == "result")


def read_reviewed(envelopes: Iterable[Mapping[str, Any]], agreement: Agreement, case: Case) -> Reviewed:
    """Every signature of a bundle, each verified and over this case; times are those that the signatures claim.

    Raises:
        Untrusted, Refused, Invalid: one that does not hold, as `read_approval`, `check_approval` and `read_rule` say.
    """
    decided, rules = [], []
    for envelope in envelopes:
        if not isinstance(envelope, Mapping):
            raise Invalid("E-ENVELOPE", "not a signed envelope", "ask the hub for the bundle again")
        if envelope.get("payloadType") == PAYLOAD_TYPE:
            found = read_approval(envelope, agreement)
            check_approval(found, case, signed_at(found.approval))
            decided.append(found)
        else:
            rules.append(read_rule(envelope, agreement))
    return Reviewed(decided=tuple(decided), rules=tuple(rules))


def unapproved(agreement: Agreement, request: RunRequest, asker: str, reviewed: Reviewed) -> list[str]:
    """What a study still lacks, in words; none when every party whose site takes part has agreed, or nobody is asked."""
    if agreement.review is None or agreement.review.study == "none":
        return []
    return list(_unapproved(agreement, request, asker, reviewed))


def unreleased(agreement: Agreement, reviewed: Reviewed) -> list[str]:
    """What a result still lacks, in words; none when as many output checkers as the agreement asks for accept it."""
    review = agreement.review
    if review is None or review.egress == 0:
        return []
    against = [f"{d.person.person} did not accept" for d in reviewed.result() if d.approval.decision != "accept"]
    if against:
        return against
    people: list[Person] = [d.person for d in reviewed.result()]
    return [] if may_decide_together(agreement, people) else [f"{review.egress} output checkers have not accepted it"]


def require_approved(agreement: Agreement, request: RunRequest, asker: str, reviewed: Reviewed) -> None:
    """Raise Untrusted (E-NOT-APPROVED) unless the study was approved."""
    _require(unapproved(agreement, request, asker, reviewed), "E-NOT-APPROVED", "the study was not approved")


def require_released(agreement: Agreement, reviewed: Reviewed) -> None:
    """Raise Untrusted (E-NOT-CHECKED) unless the result was."""
    _require(unreleased(agreement, reviewed), "E-NOT-CHECKED", "the result was not released by output checkers")


def roster_parties(agreement: Agreement, request: RunRequest) -> tuple[str, ...]:
    """The parties whose sites take part."""
    return tuple(sorted({agreement.site(site).party for site in request.roster}))


def _unapproved(agreement: Agreement, request: RunRequest, asker: str, reviewed: Reviewed) -> Iterator[str]:
    for decision, said in (("return", "returned"), ("reject", "rejected"), ("withdraw", "withdrew")):
        yield from (f"{d.person.person} {said} it" for d in reviewed.study(decision))
    asked_on = datetime.fromisoformat(request.created).astimezone(UTC).date()
    agreed = {d.person.party for d in reviewed.study("accept")}
    agreed |= {r.person.party for r in reviewed.rules if not outside(r, agreement, request, asker, asked_on)}
    for party in roster_parties(agreement, request):
        if party not in agreed:
            yield f"no custodian of {party} has approved it"


def _require(gaps: list[str], code: str, said: str) -> None:
    if gaps:
        raise Untrusted(code, f"{said}: {'; '.join(gaps)}", "the agreement asks for it: see `isthmus agreement show`")
