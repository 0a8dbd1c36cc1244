"""What a hub and a site let in: a signed request to run a study, checked against the agreement before any data.

Every check looks at public facts only, so its refusal may be told to the asker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from isthmus.crypto.envelope import keyids, open_envelope, sign_envelope
from isthmus.crypto.keys import SigningKey
from isthmus.disclosure.rules import Mode, check_at_least
from isthmus.governance.agreement import (
    Agreement,
    Person,
    agreement_digest,
    check_in_force,
    legal_entities,
    shared_rules,
)
from isthmus.governance.claimed import SKEW, check_current
from isthmus.model.canonical import canonical, digest
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid, Refused, Untrusted
from isthmus.model.record import record
from isthmus.model.rules import Rules
from isthmus.model.study import Study
from isthmus.strict import parse

PAYLOAD_TYPE = "application/vnd.isthmus.request+json"
MAXIMUM_AGE = timedelta(days=14)  # a run that waits for a site is admitted again when a node restarts
EVERYWHERE = frozenset({"site", "country"})  # known to every site, in no codebook


@record
class RunRequest:
    """A researcher's request: this study, under this agreement, at these sites.

    Attributes:
        agreement: digest.
        roster: the dataset's sites in the agreement, sorted.
        number: distinguishes runs of one study.
        created: when it was signed, ISO 8601 with an offset.
        passport: the asker's GA4GH Passport; each site verifies it, and its visas are facts for the rules of law.
    """

    isthmus: Literal["request/1"]
    study: Study
    agreement: str
    roster: tuple[str, ...]
    mode: Literal["rehearsal", "federated"]
    number: int
    created: str
    passport: str | None = None


@dataclass(frozen=True, slots=True)
class Door:
    """What a site holds against a request.

    Attributes:
        agreement: verified.
        site: this site's name.
        mode: what this process serves.
        rules: this site's effective rules.
        codebook: of the dataset as this site has it; None when it offers no such dataset.
        reads: every name a study reads, those inside `where`, `derive` and formulas too.
    """

    agreement: Agreement
    site: str
    mode: Mode
    rules: Rules
    codebook: Codebook | None
    reads: Callable[[Study], Collection[str]]


def sign_request(request: RunRequest, key: SigningKey) -> dict[str, Any]:
    """The researcher's envelope of a request."""
    return sign_envelope(PAYLOAD_TYPE, canonical(request), [(key.public.hex(), key)])


def admit(envelope: Mapping[str, Any], door: Door, now: datetime) -> RunRequest:
    """The request, when this site may consider it. Analyses that the agreement does not allow are refused alone (`barred`);
    where it allows none, the request is.

    Raises:
        Refused, Untrusted, Invalid: those of `admit_at_hub`; further Refused E-ROSTER (this site is not asked),
            E-DATASET, E-CODEBOOK, E-VARIABLE, E-PERSON, E-RULES-FLOOR; and what `reads` raises.
    """
    request = admit_at_hub(envelope, door.agreement, door.mode, now)
    if door.site not in request.roster:
        raise Refused("E-ROSTER", "this site does not hold the dataset", "ask the sites that the agreement names")
    _check_codebook(request.study, door)
    _check_some(request.study, barred(request.study, door.agreement, door.codebook, door.reads))
    check_at_least(door.rules, shared_rules(door.agreement, request.study.dataset).rules)
    return request


def admit_at_hub(envelope: Mapping[str, Any], agreement: Agreement, mode: Mode, now: datetime) -> RunRequest:
    """The request, after every check that needs no codebook; of kinds and releases, where no analysis passes.

    Raises:
        Refused: E-UNSIGNED, E-SIGNER, E-MODE, E-NOT-YET, E-EXPIRED, E-CLOCK, E-DATASET, E-KIND, E-RELEASE,
            E-ROSTER, E-MIN-SITES.
        Untrusted: E-SIGNATURE; E-AGREEMENT-VERSION, made under another agreement; E-CLOCK, the asker's certificate ended.
        Invalid: E-ENVELOPE, E-REQUEST and those of `strict.parse`.
    """
    request = open_request(envelope, agreement)
    if request.mode != mode:
        raise Refused("E-MODE", f"a {mode} does not take requests of a {request.mode}", f"sign it for a {mode}")
    if request.agreement != agreement_digest(agreement):
        raise Untrusted(
            "E-AGREEMENT-VERSION", "the request was made under another agreement", "sign it under the version in force"
        )
    check_in_force(agreement, now)
    _check_clock(request, now)
    check_current(_asker(envelope, agreement), now)
    _check_some(request.study, barred(request.study, agreement, None, None))
    _check_roster(request, agreement)
    return request


def open_request(envelope: Mapping[str, Any], agreement: Agreement) -> RunRequest:
    """The request in an envelope that a researcher of the agreement signed; nothing else is checked.

    Raises:
        Refused: E-UNSIGNED, E-SIGNER. Untrusted: E-SIGNATURE. Invalid: E-ENVELOPE, E-REQUEST.
    """
    if not isinstance(envelope, Mapping) or not envelope.get("signatures"):
        raise Refused("E-UNSIGNED", "the request is not signed", "sign it with a researcher's key of the agreement")
    keys = {p.key: bytes.fromhex(p.key) for p in agreement.people if "researcher" in p.roles}
    if keys.keys().isdisjoint(keyids(envelope)):
        raise Refused(
            "E-SIGNER",
            "the request is signed by nobody whom the agreement names as a researcher",
            "sign it with a researcher's key, or add the researcher's card to the agreement",
        )
    payload, _ = open_envelope(envelope, PAYLOAD_TYPE, keys)
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Invalid("E-REQUEST", "the envelope holds no request", "submit the study again") from error
    request = parse(RunRequest, data, "request")
    if canonical(request) != payload:
        raise Invalid("E-REQUEST", "the request is not in canonical form", "submit the study again")
    return request


def asker(envelope: Mapping[str, Any], agreement: Agreement) -> str:
    """The researcher who signed an admitted request, by name; the first of several."""
    return _asker(envelope, agreement).person


def _asker(envelope: Mapping[str, Any], agreement: Agreement) -> Person:
    people = {p.key: p for p in agreement.people if "researcher" in p.roles}
    _, signers = open_envelope(envelope, PAYLOAD_TYPE, {key: bytes.fromhex(key) for key in people})
    return people[signers[0]]


def created_at(request: RunRequest) -> datetime:
    """When a request was signed, as it says. Invalid (E-REQUEST) where that is no time."""
    try:
        created = datetime.fromisoformat(request.created)
    except ValueError as error:
        raise Invalid("E-REQUEST", "created is not a time", "ISO 8601 with an offset", "created") from error
    if created.tzinfo is None:
        raise Invalid("E-REQUEST", "created has no offset from UTC", "ISO 8601 with an offset", "created")
    return created


def _check_clock(request: RunRequest, now: datetime) -> None:
    created = created_at(request)
    if created > now + SKEW:
        raise Refused("E-CLOCK", "the request was signed in the future", "set this machine's or the asker's clock")
    if created < now - MAXIMUM_AGE:
        raise Refused("E-CLOCK", f"the request was signed more than {MAXIMUM_AGE.days} days ago", "sign it again")


def barred(
    study: Study, agreement: Agreement, book: Codebook | None, reads: Callable[[Study], Collection[str]] | None
) -> dict[str, Refused]:
    """Analyses that the agreement does not allow, each with its reason; the others may be asked.

    Args:
        study: what is asked.
        agreement: under which.
        book: the agreed codebook, where it is known.
        reads: every name that a study reads, where the codebook is known; of the study with one analysis alone.

    Raises:
        Invalid: what `reads` raises. Refused: E-PERSON, the person identifier is read at all.
    """
    found: dict[str, Refused] = {}
    for name, analysis in study.analyses.items():
        try:
            _check_kinds(name, analysis, agreement)
            if book is not None and reads is not None:
                _check_variables(study, reads(replace(study, analyses={name: analysis})), agreement, book)
        except Refused as why:
            if why.code == "E-PERSON":
                raise
            found[name] = why
    return found


def without(study: Study, names: Collection[str]) -> Study:
    """The study without the analyses named: what is left of it where these are barred."""
    return replace(study, analyses={name: asked for name, asked in study.analyses.items() if name not in names})


def _check_some(study: Study, refused: Mapping[str, Refused]) -> None:
    """Return when something of the study may be asked."""
    if study.analyses and len(refused) == len(study.analyses):
        raise next(iter(refused.values()))


def _check_kinds(name: str, analysis: Mapping[str, Any], agreement: Agreement) -> None:
    for kind, arguments in analysis.items():
        inner = arguments.get("of")  # of a meta-analysis, the model in each level
        wanted = (kind, *(inner if isinstance(inner, Mapping) else ()))
        outside = next((one for one in wanted if one not in agreement.analyses), None)
        if outside is not None:
            hint = "allowed: " + ", ".join(agreement.analyses)
            raise Refused("E-KIND", f"the agreement does not allow {outside[:70]!r}", hint, f"analyses.{name}")
        asked = arguments.get("release") or []
        if not isinstance(asked, list | tuple) or any(item not in agreement.releases for item in asked):
            hint = "leave `release` out" if not agreement.releases else "allowed: " + ", ".join(agreement.releases)
            raise Refused("E-RELEASE", "the agreement does not allow this release", hint, f"analyses.{name}")


def _check_roster(request: RunRequest, agreement: Agreement) -> None:
    entry = agreement.dataset(request.study.dataset)
    if request.roster != tuple(sorted(entry.sites)):
        raise Refused(
            "E-ROSTER",
            "the roster is not the agreement's",
            "ask exactly the sites that hold the dataset: " + ", ".join(sorted(entry.sites)),
        )
    least = shared_rules(agreement, entry.dataset).rules.minimum_sites
    if len(legal_entities(agreement, request.roster)) < least:
        raise Refused(
            "E-MIN-SITES",
            f"the sites belong to fewer legal entities than minimum_sites = {least}",
            "add sites of other parties to the dataset",
        )


def _check_codebook(study: Study, door: Door) -> None:
    if door.codebook is None:
        raise Refused("E-DATASET", f"this site offers no dataset {study.dataset[:70]!r}", "map it in isthmus.toml")
    if digest(door.codebook) != door.agreement.dataset(study.dataset).codebook:
        raise Refused(
            "E-CODEBOOK",
            "this site's codebook is not the one in the agreement",
            "use the agreed codebook, or agree on the new one",
        )


def _check_variables(study: Study, names: Collection[str], agreement: Agreement, book: Codebook) -> None:
    allowed = agreement.dataset(study.dataset).variables
    known = set(book.variables if allowed is None else allowed) & set(book.variables)
    for name in sorted(names):
        if name == book.person:
            raise Refused("E-PERSON", "a study never reads the person identifier", "leave it out")
        if name not in known and name not in EVERYWHERE and name not in (study.derive or {}):
            hint = "the agreement allows: " + ", ".join(sorted(known - {book.person}))
            raise Refused("E-VARIABLE", f"{name[:70]!r} is not a variable that the agreement allows", hint)
