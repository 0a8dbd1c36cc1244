"""Standing rules: what a custodian approves in advance, so that people are asked only where judgement is needed.

A rule is signed by a custodian, names everything it covers, and covers nothing else. The custodian's own site evaluates it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from isthmus.crypto.envelope import keyids, open_envelope, sign_envelope
from isthmus.crypto.keys import SigningKey
from isthmus.governance.admission import EVERYWHERE, RunRequest
from isthmus.governance.agreement import Agreement, Person, agreement_digest
from isthmus.governance.approval import check_trained
from isthmus.governance.claimed import check_claimed, check_current, time_of
from isthmus.governance.duties_check import is_day
from isthmus.model.canonical import canonical, digest, plain
from isthmus.model.errors import Invalid, IsthmusError, Refused
from isthmus.model.names import Digest
from isthmus.model.record import record
from isthmus.model.study import Study
from isthmus.strict import parse

PAYLOAD_TYPE = "application/vnd.isthmus.standing-rule+json"
MEANING = "approves, at the sites of my party, every study that this rule covers"
BARRED = "site_results"  # an output that a person always looks at
_PASSES = {"pass", "n/a"}
_ASKED = ("dataset", "population", "derive", "missing", "groups", "time", "impute", "subgroups")
_OF_SITES = "results of single sites: a person always looks at them"


@record
class StandingTerms:
    """What a custodian decides.

    Attributes:
        kinds: question kinds.
        purpose: DUO term of a study's purpose.
        people: researchers by name.
        dataset: the dataset, as the agreement's codebook describes it.
        variables: of the dataset; a study that reads another is not covered.
        monthly: questions that this rule approves for each person and calendar month (UTC).
        expires: the last day, YYYY-MM-DD.
    """

    kinds: tuple[str, ...]
    purpose: str
    people: tuple[str, ...]
    dataset: str
    variables: tuple[str, ...]
    monthly: int
    expires: str


@record
class StandingRule:
    """What is signed: the terms, under which agreement and rule pack, by whom and when."""

    isthmus: Literal["standing-rule/1"]
    terms: StandingTerms
    agreement: str
    codebook: str
    rule_pack: str
    meaning: str
    name: str
    party: str
    time: str


@record
class Told:
    """A standing rule that holds: the rule, its digest and its custodian."""

    rule: StandingRule
    digest: Digest
    person: Person


@record
class Proposal:
    """A study as a site sees it: the admitted request, who asks, what it reads, the verdicts of its run gate.

    Attributes:
        verdicts: what the ledger holds of the run gate: `pack`, and `rules` by outcome.
        asked: questions that the rule has approved for this person in this month.
        of_sites: it asks for numbers of single sites.
        refused: what `refusals` says of it was said of a study that was rejected before, or whose result was.
    """

    request: RunRequest
    asker: str
    reads: Collection[str]
    verdicts: Mapping[str, Any]
    asked: int
    of_sites: bool
    refused: bool


def make_rule(terms: StandingTerms, agreement: Agreement, pack: Digest, person: Person, now: datetime) -> StandingRule:
    """A rule to be signed.

    Raises:
        Refused: E-ROLE, not a custodian; E-DATASET. Invalid: E-STANDING.
    """
    if "custodian" not in person.roles:
        raise Refused("E-ROLE", "only a custodian signs a standing rule", "use a custodian's keys")
    made = StandingRule(
        isthmus="standing-rule/1",
        terms=terms,
        agreement=agreement_digest(agreement),
        codebook=agreement.dataset(terms.dataset).codebook,
        rule_pack=pack,
        meaning=MEANING,
        name=person.person,
        party=person.party,
        time=now.isoformat(timespec="seconds"),
    )
    _check_terms(terms)
    return made


def sign_rule(rule: StandingRule, key: SigningKey) -> dict[str, Any]:
    """The envelope of a rule."""
    return sign_envelope(PAYLOAD_TYPE, canonical(rule), [(key.public.hex(), key)])


def read_rule(envelope: Mapping[str, Any], agreement: Agreement) -> Told:
    """A rule that a custodian of this agreement signed.

    Raises:
        Refused: E-SIGNER. Untrusted: E-SIGNATURE, E-CLOCK. Invalid: E-STANDING, E-ENVELOPE and those of `strict.parse`.
    """
    keys = {p.key: p for p in agreement.people if "custodian" in p.roles}
    if keys.keys().isdisjoint(keyids(envelope)):
        raise Refused("E-SIGNER", "no custodian of the agreement signed this standing rule", "sign it again")
    payload, signers = open_envelope(envelope, PAYLOAD_TYPE, {key: bytes.fromhex(key) for key in keys})
    try:
        rule = parse(StandingRule, json.loads(payload), "standing rule")
    except (ValueError, RecursionError) as error:
        raise _malformed("the envelope holds no standing rule") from error
    person = keys[signers[0]]
    if canonical(rule) != payload or (rule.name, rule.party, rule.meaning) != (person.person, person.party, MEANING):
        raise _malformed("its name, party or meaning is not the signer's")
    _check_terms(rule.terms)
    claimed = time_of(rule.time)
    if claimed is None:
        raise _malformed("its time is not a time with an offset from UTC")
    check_claimed(claimed, person)
    return Told(rule=rule, digest=digest(rule), person=person)


def outside(told: Told, agreement: Agreement, request: RunRequest, asker: str, day: date) -> list[str]:
    """Why a rule does not cover a request, by what every party can see; none: it does."""
    return list(_public(told, agreement, request, asker, day))


def uncovered(told: Told, agreement: Agreement, seen: Proposal, now: datetime) -> list[str]:
    """Why a rule does not cover a study at its site; none: it does."""
    return [*_public(told, agreement, seen.request, seen.asker, now.date()), *_private(told.rule, seen)]


def questions(study: Study) -> int:
    """How many questions a study asks."""
    return sum(len(analysis) for analysis in study.analyses.values())


def kinds(study: Study) -> frozenset[str]:
    """Every question kind of a study, those inside a meta-analysis too."""
    found: set[str] = set()
    for analysis in study.analyses.values():
        for kind, arguments in analysis.items():
            inner = arguments.get("of")
            found |= {kind, *(inner if isinstance(inner, Mapping) else ())}
    return frozenset(found)


def refusals(study: Study, asker: str) -> tuple[str, ...]:
    """What a rejection ends standing rules for: who asked, the same questions from anybody, and the project that it names.

    The questions are told apart by what they ask of whom, not by what a study calls itself, its analyses or its reasons.
    """
    said = plain(study)
    content = {name: said.get(name) for name in _ASKED} | {"analyses": sorted(map(_bare, said["analyses"].values()))}
    own = f"project {study.project or ''}"  # studies that name none share one
    return f"person {asker}", f"content {digest(_bare(content))}", own


def _bare(value: Any) -> str:
    """Canonical text without blanks: `a ~ b` and `a~b` are one formula."""
    return "".join(canonical(value).decode().split())


def _public(told: Told, agreement: Agreement, request: RunRequest, asker: str, day: date) -> Iterator[str]:
    rule, study, terms = told.rule, request.study, told.rule.terms
    entry = next((d for d in agreement.datasets if d.dataset == study.dataset == terms.dataset), None)
    other = ", ".join(sorted(kinds(study) - set(terms.kinds)))
    problems = {
        "it was signed under another version of the agreement": rule.agreement != agreement_digest(agreement),
        "another dataset, or another codebook of it": entry is None or rule.codebook != entry.codebook,
        f"it expired on {terms.expires}": day > date.fromisoformat(terms.expires),
        f"it does not name {asker}": asker not in terms.people,
        "nobody approves their own request": told.person.person == asker,
        f"the purpose {study.purpose.duo}": study.purpose.duo != terms.purpose,
        f"the question kinds {other}": other,
        _OF_SITES: BARRED in releases(study),
    }
    yield from (problem for problem, holds in problems.items() if holds)
    try:
        check_current(told.person, datetime.combine(day, time.min, UTC))
        check_trained(told.person, day)
    except IsthmusError as error:
        yield error.message


def releases(study: Study) -> frozenset[str]:
    """Outputs beyond the estimates that any analysis asks for; of an analysis that asks in no list, and is barred for it, none."""
    asked = [a.get("release") for analysis in study.analyses.values() for a in analysis.values()]
    return frozenset(str(item) for listed in asked if isinstance(listed, list | tuple) for item in listed)


def _private(rule: StandingRule, seen: Proposal) -> Iterator[str]:
    terms, study = rule.terms, seen.request.study
    other = ", ".join(sorted(set(seen.reads) - set(terms.variables) - EVERYWHERE - set(study.derive or ())))
    found = seen.verdicts.get("rules")
    problems = {
        f"the variables {other}": other,
        "it was signed under another rule pack": seen.verdicts.get("pack") != rule.rule_pack,
        "a rule of law that does not pass": not isinstance(found, Mapping) or not found or set(found) - _PASSES,
        f"more than {terms.monthly} questions for this person in this month": (
            seen.asked + questions(study) > terms.monthly
        ),
        _OF_SITES: seen.of_sites,
        "a study of the same person, content or project was rejected before": seen.refused,
    }
    yield from (problem for problem, holds in problems.items() if holds)


def _check_terms(terms: StandingTerms) -> None:
    if not is_day(terms.expires):
        raise _malformed("expires is not a day written YYYY-MM-DD")
    if terms.monthly < 1 or not (terms.kinds and terms.people and terms.variables):
        raise _malformed("kinds, people and variables name at least one, monthly is at least 1")


def _malformed(problem: str) -> Invalid:
    return Invalid("E-STANDING", f"not a standing rule: {problem}", "make it with `isthmus approve rule`")
