"""Whether what an agreement states for the rules of law makes sense in itself; whether it is enough, the rules say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from isthmus.governance.duties import Duties, Facility

if TYPE_CHECKING:
    from isthmus.governance.agreement import Agreement

Problems = Iterator[tuple[str, str]]  # (place, what is wrong)

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_COUNTRY = re.compile(r"[A-Z]{2}\Z")
# not of zeros, and not of an empty file: neither is a document's
_DIGEST = re.compile(r"sha256:(?!0{64}|e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855)[0-9a-f]{64}\Z")
_DUO = re.compile(r"DUO:\d{7}\Z")
_DAYS = ("date", "checked", "until", "publish_after", "nist_800_171", "data_until", "evidence_until")
_COUNTRIES = ("country", "subjects", "territory", "regions")
_TERMS = ("duo", "permission", "modifiers")
_SAID = ("ref", "reference", "reason", "person", "issuer")  # who, where or why, in words
_CENSUS = re.compile(r"(none|\d{4})\Z")
_WORDS = re.compile(
    r"(?!\W*(none|no|yes|ok|n/?a|nil|null|tb[ad]|todo|pending|unknown)\W*\Z)(?=\W*\w\W*\w)", re.IGNORECASE
)
_COMMITTEE = re.compile(rf"(?-i:none\Z)|{_WORDS.pattern}", re.IGNORECASE)
_SHAPES = {
    **dict.fromkeys(_DAYS, (_DAY, "is not a date written YYYY-MM-DD")),
    **dict.fromkeys(_COUNTRIES, (_COUNTRY, "is not two capital letters (ISO 3166-1)")),
    **dict.fromkeys(_TERMS, (_DUO, "is not a term written DUO: and seven digits")),
    **dict.fromkeys(_SAID, (_WORDS, "says nothing")),
    "committee": (_COMMITTEE, "is no reference of an opinion; write `none` where there is none"),
    "zip3_census": (_CENSUS, "is not the year of a Census, or none"),
    **dict.fromkeys(
        ("sha256", "rule_pack"), (_DIGEST, "is not the digest of a document, written sha256: and 64 hex digits")
    ),
}


def is_day(text: str) -> bool:
    """Whether text is a day that exists, written YYYY-MM-DD."""
    try:
        return bool(_DAY.match(text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def duty_problems(agreement: Agreement) -> Problems:
    """Places and problems; none when everything stated can be read and names who and what is there."""
    for party in agreement.parties:
        yield from _shapes(party.status, f"parties.{party.party}")
    for person in agreement.people:
        yield from _shapes(person.standing, f"people.{person.person}")
    yield from _custody(agreement)
    if agreement.duties is not None:
        yield from _shapes(agreement.duties, "duties")
        yield from _names(agreement, agreement.duties)


def _custody(agreement: Agreement) -> Problems:
    parties = {p.party for p in agreement.parties}
    for entry in agreement.datasets:
        place = f"datasets.{entry.dataset}.custody"
        controllers = [c.controller for c in entry.custody or ()]
        if len(set(controllers)) != len(controllers):
            yield place, "a controller is named twice"
        for custody in entry.custody or ():
            if custody.controller not in parties:
                yield place, f"controller {custody.controller!r} is not among the parties"
            where = f"{place}.processors"
            yield from _known(custody.processors or (), parties, where, "is not among the parties")
            invented = custody.identifiability == "synthetic"  # about nobody
            for name in () if invented else ("subjects", "categories", "origins"):
                if not getattr(custody, name):  # a rule about any of them would be about nothing
                    yield f"{place}.{name}", f"{custody.controller!r} states no {name}"
            yield from _shapes(custody, place)


def _names(agreement: Agreement, duties: Duties) -> Problems:
    parties, datasets = {p.party for p in agreement.parties}, {d.dataset for d in agreement.datasets}
    custodians = {p.person for p in agreement.people if "custodian" in p.roles}
    for flow in duties.flows or ():
        place = f"duties.flows.{flow.flow}"
        yield from _known({*flow.senders, *flow.receivers}, parties, place, "is not among the parties")
        yield from _known(flow.datasets, datasets, place, "is not among the datasets")
    yield from _known((a.party for a in duties.approvals or ()), parties, "duties.approvals", "is not a party")
    people = (j.person for j in duties.judgements or ())
    yield from _known(people, custodians, "duties.judgements", "is no custodian of the agreement")
    named = {
        "purposes": [p.purpose for p in duties.purposes or ()],
        "flows": [f.flow for f in duties.flows or ()],
        "facilities": [f.facility for f in duties.facilities or ()],
    }
    for where, names in named.items():
        if len(set(names)) != len(names):
            yield f"duties.{where}", f"{where} names one twice"
    if duties.facilities is not None:
        used = (node.facility for node in agreement.nodes())
        yield from _known(used, set(named["facilities"]), "duties.facilities", "is not among the facilities")
        yield from _countries(agreement, duties.facilities)


def _countries(agreement: Agreement, facilities: Iterable[Facility]) -> Problems:
    """A facility is where the cards of its nodes say, and says so where that is outside their party's country."""
    homes = {p.party: p.country for p in agreement.parties}
    for place in facilities:
        nodes = [n for n in agreement.nodes() if n.facility == place.facility]
        where = f"duties.facilities.{place.facility}"
        if any(n.country != place.country for n in nodes):
            yield where, "its country is not that of the card of what runs in it: make a new card where it moved"
        if nodes and any(homes.get(n.party) != n.country for n in nodes) is not place.abroad:
            yield (
                where,
                "`abroad: true` says that a facility stands outside the country of a party that runs in it, and no other",
            )


def _known(names: Iterable[str], known: set[str], place: str, problem: str) -> Problems:
    for name in names:
        if name not in known:
            yield place, f"{name[:70]!r} {problem}"


def _shapes(value: Any, place: str) -> Problems:
    """Days, countries, digests and DUO terms, wherever they stand in a record."""
    if isinstance(value, tuple):
        for item in value:
            yield from _shapes(item, place)
    if not is_dataclass(value):
        return
    for field in fields(value):
        stated = getattr(value, field.name)
        yield from _shape(field.name, stated, f"{place}.{field.name}")
        yield from _shapes(stated, f"{place}.{field.name}")


def _shape(name: str, stated: Any, place: str) -> Problems:
    pattern, problem = _SHAPES.get("date" if name.endswith("expires") else name, (None, ""))
    for text in stated if isinstance(stated, tuple) else (stated,):
        if pattern is None or not isinstance(text, str):
            continue
        if not pattern.match(text) or (pattern is _DAY and not is_day(text)):
            yield place, f"{text[:40]!r} {problem}"


def says_something(text: str) -> bool:
    """Whether a text has words, and not such as `none` or `pending` alone."""
    return _WORDS.match(text) is not None
