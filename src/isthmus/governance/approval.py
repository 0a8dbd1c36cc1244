"""A person's signature on a study or on a result: what it is over, what it means, and who may give it.

The hub carries approvals and decides nothing by them that a site or a verifier does not check again: each verifies the
signature by the keys of the agreement, the role, the meaning, the training, and that nobody decides on their own request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

from isthmus.crypto.envelope import keyids, open_envelope, sign_envelope
from isthmus.crypto.keys import SigningKey
from isthmus.governance.agreement import Agreement, Person, PersonRole
from isthmus.governance.claimed import check_claimed, check_current, time_of
from isthmus.governance.duties_check import says_something
from isthmus.model.canonical import canonical, digest, plain
from isthmus.model.errors import Invalid, Refused, Untrusted
from isthmus.model.names import Digest
from isthmus.model.record import record
from isthmus.strict import parse

PAYLOAD_TYPE = "application/vnd.isthmus.approval+json"
LONGEST = 1000  # characters of a reason

Kind = Literal["study", "result"]
Choice = Literal["accept", "return", "reject", "withdraw"]

# 21 CFR 11.50(a)(3): what a signature means is part of what is signed. Whoever may decide has the role beside it.
MEANINGS: Mapping[tuple[Kind, Choice], tuple[str, PersonRole]] = {
    ("study", "accept"): ("approves this study at the sites of my party", "custodian"),
    ("study", "return"): ("returns this study to be changed before the data of my party answer", "custodian"),
    ("study", "reject"): ("refuses this study at the sites of my party", "custodian"),
    ("study", "withdraw"): ("withdraws my study", "researcher"),
    ("result", "accept"): ("found that this result may be released", "output_checker"),
    ("result", "return"): ("returns this result: the study is to be changed", "output_checker"),
    ("result", "reject"): ("refuses the release of this result", "output_checker"),
}


@record
class Approval:
    """What is signed.

    Attributes:
        run: digest of the request: study, agreement, roster and number. An amended study has another.
        subject: of a study its digest, of a result the digest of the result.
        meaning: as `MEANINGS` has it for this kind and decision.
        name: the signer's, as the agreement has it.
        time: when it was signed, ISO 8601 with an offset: a claim, the ledger entry's time is what counts.
        reason: in the signer's words; a return and a refusal have one.
    """

    isthmus: Literal["approval/1"]
    kind: Kind
    run: str
    subject: str
    decision: Choice
    meaning: str
    name: str
    time: str
    reason: str | None = None


@record
class Case:
    """What is decided on: a run, its study, who asked and when, and its result once there is one."""

    run: str
    study: str
    asker: str
    created: datetime
    result: str | None = None

    def subject(self, kind: Kind) -> str | None:
        """The digest that an approval of this kind is over."""
        return self.study if kind == "study" else self.result


@record
class Decided:
    """An approval that holds, the person whose it is, and the digest of the envelope it came in."""

    approval: Approval
    person: Person
    envelope: Digest


def make_approval(case: Case, kind: Kind, decision: Choice, person: Person, said: tuple[datetime, str]) -> Approval:
    """An approval to be signed; `said` is the time now and the reason (empty: none).

    Raises:
        Refused: E-STATE, there is no result yet. Invalid: E-USAGE, no such decision; E-REASON.
    """
    subject = case.subject(kind)
    if subject is None:
        raise Refused("E-STATE", "there is no result to decide on yet", "see `isthmus study status`")
    now, reason = said
    made = Approval(
        isthmus="approval/1",
        kind=kind,
        run=case.run,
        subject=subject,
        decision=decision,
        meaning=meaning(kind, decision)[0],
        name=person.person,
        time=now.isoformat(timespec="seconds"),
        reason=reason.strip() or None,
    )
    _check_reason(made)
    return made


def meaning(kind: Kind, decision: Choice) -> tuple[str, PersonRole]:
    """What a decision means, and the role that may take it. Invalid (E-USAGE) where there is none."""
    found = MEANINGS.get((kind, decision))
    if found is None:
        raise Invalid("E-USAGE", f"nobody can {decision} a {kind}", "accept, return or reject it")
    return found


def sign_approval(approval: Approval, key: SigningKey) -> dict[str, Any]:
    """The envelope of an approval."""
    return sign_envelope(PAYLOAD_TYPE, canonical(approval), [(key.public.hex(), key)])


def read_approval(envelope: Mapping[str, Any], agreement: Agreement) -> Decided:
    """An approval that someone of the agreement signed, with its fixed meaning; what it is over is not looked at.

    Raises:
        Refused: E-SIGNER, signed by nobody of the agreement; E-ROLE. Invalid: E-APPROVAL, E-REASON, E-ENVELOPE and
            those of `strict.parse`. Untrusted: E-SIGNATURE.
    """
    person = _signer(envelope, agreement)
    payload, _ = open_envelope(envelope, PAYLOAD_TYPE, {person.key: bytes.fromhex(person.key)})
    try:
        approval = parse(Approval, json.loads(payload), "approval")
    except (ValueError, RecursionError) as error:
        raise _malformed("the envelope holds no approval") from error
    if canonical(approval) != payload:
        raise _malformed("the approval is not in canonical form")
    means, role = meaning(approval.kind, approval.decision)
    if approval.meaning != means or approval.name != person.person:
        raise _malformed("its meaning or name is not that of this decision and signer")
    if role not in person.roles:
        raise Refused("E-ROLE", f"only a person with the role {role} may {approval.decision} a {approval.kind}", _ROLES)
    _check_reason(approval)
    return Decided(approval=approval, person=person, envelope=digest(plain(envelope)))


def check_approval(decided: Decided, case: Case, at: datetime) -> None:
    """Whether an approval is over this case, and its signer may decide on it.

    Args:
        decided: as `read_approval` gave it.
        case: what is decided on.
        at: when it is received; when an old one is verified, the time that it claims.

    Raises:
        Untrusted: E-APPROVAL, it is over another request, study or result; E-CLOCK, signed when it cannot have been, or
            received after the signer's certificate ended.
        Refused: E-SELF, the signer's own request, or a withdrawal by another; E-TRAINING.
    """
    approval, person = decided.approval, decided.person
    if approval.run != case.run or approval.subject != case.subject(approval.kind):
        raise Untrusted(
            "E-APPROVAL", "the approval is over another request, study or result", "decide on what is there now"
        )
    own = person.person == case.asker
    if own != (approval.decision == "withdraw"):
        said = "nobody decides on their own request" if own else "only who asked may withdraw a study"
        raise Refused("E-SELF", said, "ask another person with this role")
    check_claimed(signed_at(approval), person, case.created, at)
    check_current(person, at)
    if approval.decision != "withdraw":
        check_trained(person, at.date())


def check_trained(person: Person, day: date) -> None:
    """Refuse a person whose training has run out, or of whom the agreement states none.

    Raises:
        Refused: E-TRAINING.
    """
    until = person.standing.training_expires if person.standing else None
    if until is None or day > date.fromisoformat(until):
        said = "no training is stated for" if until is None else f"the training expired on {until} of"
        hint = "renew it, and state `training_expires` in the next version of the agreement"
        raise Refused("E-TRAINING", f"{said} {person.person}", hint, "people.standing")


def signed_at(approval: Approval) -> datetime:
    """The time an approval claims. Invalid (E-APPROVAL) where it is none."""
    claimed = time_of(approval.time)
    if claimed is None:
        raise _malformed("its time is not a time with an offset from UTC")
    return claimed


_ROLES = "custodians decide on studies, output checkers on results, researchers withdraw their own"


def _signer(envelope: Mapping[str, Any], agreement: Agreement) -> Person:
    named = keyids(envelope)
    if len(named) != 1:
        raise Invalid("E-ENVELOPE", "each person signs an envelope of their own", "sign again")
    person = next((p for p in agreement.people if p.key == named[0]), None)
    if person is None:
        raise Refused("E-SIGNER", "signed by nobody whom the agreement names", "use a key of the agreement")
    return person


def _check_reason(approval: Approval) -> None:
    reason = approval.reason
    if approval.decision in {"return", "reject"} and not says_something(reason or ""):
        raise Invalid("E-REASON", f"a {approval.decision} states its reason in words", "--reason '...'", "reason")
    if reason is not None and (len(reason) > LONGEST or not reason.isprintable()):
        raise Invalid("E-REASON", f"a reason is one line of at most {LONGEST} characters", "shorten it", "reason")


def _malformed(problem: str) -> Invalid:
    return Invalid("E-APPROVAL", f"not an approval: {problem}", "decide again with `isthmus approve`")
