"""Whether an agreement makes sense in itself, before anyone signs or trusts it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import chain

from isthmus.disclosure.budget import check_privacy
from isthmus.disclosure.rules import FLOORS, TWO_PARTIES, check_at_least, check_rules
from isthmus.governance.agreement import Agreement, shared_rules
from isthmus.governance.card import check_pin, public_key
from isthmus.governance.duties_check import Problems, duty_problems, is_day
from isthmus.governance.identities import identity_problems
from isthmus.governance.reviewers import review_problems
from isthmus.model.errors import Invalid
from isthmus.model.names import site_id

_COUNTRY = re.compile(r"[A-Z]{2}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


def check_agreement(agreement: Agreement) -> None:
    """Refuse an agreement that contradicts itself or states too weak a floor.

    Raises:
        Invalid: E-AGREEMENT with the place; E-JWKS, E-KEY, E-CERTIFICATE, E-NAME, E-RULES, E-PRIVACY.
        Untrusted: E-PIN, a pin that is not its certificate's.
        Refused: E-RULES-FLOOR.
    """
    for check in _CHECKS:
        for where, problem in check(agreement):
            raise Invalid("E-AGREEMENT", problem, "correct the agreement and sign it again", where)
    _keys(agreement)
    least = TWO_PARTIES if agreement.two_party else FLOORS["minimum_sites"]
    check_rules(agreement.disclosure, "federated", least)
    for rules in (*(d.rules for d in agreement.datasets), *(s.rules for s in agreement.sites)):
        if rules is not None:
            check_rules(rules, "federated", least)
            check_at_least(rules, agreement.disclosure)
    for entry in agreement.datasets:
        if entry.privacy is not None:
            sites = shared_rules(agreement, entry.dataset).rules.minimum_sites
            check_privacy(entry.privacy, sites, len(entry.sites))


def _dates(agreement: Agreement) -> Problems:
    for name in ("starts", "expires"):
        if not is_day(getattr(agreement, name)):
            yield name, f"{name} is not a date written YYYY-MM-DD"
    if agreement.expires < agreement.starts:
        yield "expires", "the agreement expires before it starts"


def _versions(agreement: Agreement) -> Problems:
    if agreement.version < 1:
        yield "version", "versions count from 1"
    if (agreement.version == 1) != (agreement.previous is None):
        yield "previous", "version 1 has no previous version; every later one states its digest"
    if agreement.previous is not None and not _DIGEST.match(agreement.previous):
        yield "previous", "not a digest written sha256: and 64 hex digits"


def _names_once(agreement: Agreement) -> Problems:
    named = {
        "parties": [p.party for p in agreement.parties],
        "people": [p.person for p in agreement.people],
        "sites": [*(s.site for s in agreement.sites), agreement.hub.hub],
        "datasets": [d.dataset for d in agreement.datasets],
        "analyses": list(agreement.analyses),
    }
    for where, names in named.items():
        if not names:
            yield where, f"{where} is empty"
        if len(set(names)) != len(names):
            yield where, f"{where} names one twice"
    for name in named["sites"]:
        site_id(name)
    keys = [e.key for e in agreement.keyed()]
    if len(set(keys)) != len(keys):  # one key in two places: one signature would count twice
        yield "sites", "one key stands for two names"


def _parties(agreement: Agreement) -> Problems:
    known = {p.party for p in agreement.parties}
    for p in agreement.parties:
        if not agreement.custodians(p.party):
            yield "people", f"party {p.party!r} has no custodian to sign for it"
    for entry in agreement.keyed():
        if entry.party not in known:
            yield "parties", f"party {entry.party!r} is not among the parties"
    countries = (p.country for p in agreement.parties), (s.country for s in agreement.sites), (agreement.hub.country,)
    for country in chain(*countries):
        if not _COUNTRY.match(country):
            yield "parties", "a country is not two capital letters (ISO 3166-1)"


def _datasets(agreement: Agreement) -> Problems:
    known = {s.site for s in agreement.sites}
    for entry in agreement.datasets:
        place = f"datasets.{entry.dataset}"
        if not _DIGEST.match(entry.codebook):
            yield place, "the codebook is not a digest written sha256: and 64 hex digits"
        if not entry.sites or len(set(entry.sites)) != len(entry.sites):
            yield place, "sites is empty or names one twice"
        caps = () if entry.questions is None else (entry.questions.total, entry.questions.each)
        if any(cap is not None and cap < 1 for cap in caps):
            yield place, "a cap on questions is at least 1"
        for site in entry.sites:
            if site not in known:
                yield place, f"site {site!r} is not among the sites"


_CHECKS: Iterable[Callable[[Agreement], Problems]] = (
    _dates,
    _versions,
    _names_once,
    _parties,
    _datasets,
    duty_problems,
    review_problems,
    identity_problems,
)


def _keys(agreement: Agreement) -> None:
    for entry in agreement.keyed():
        public_key(entry.key, "key")
        check_pin(entry.certificate, entry.tls)
