"""GA4GH Passports as input: which visas of a passport count, for whom, under issuers that the agreement pins.

Each site verifies a passport itself, with keys that stand in the agreement; nothing is fetched, and what a token says
of its own keys (`jku`) is not looked at. A passport that does not hold is refused. A visa that does not count is left
out with its reason, as the specification asks: brokers put visas of many kinds into one passport.

Reference: GA4GH Passport 1.2 and GA4GH AAI OpenID Connect Profile 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from isthmus.crypto.jwt import SKEW, Token, check_times, claimed_issuer, moment, read_keys, verify_token
from isthmus.governance.agreement import Agreement
from isthmus.governance.identities import Login, PassportIssuer
from isthmus.model.canonical import plain
from isthmus.model.errors import IsthmusError, Untrusted
from isthmus.model.record import record

TYPES = (
    "AffiliationAndRole",
    "AcceptedTermsAndPolicies",
    "ResearcherStatus",
    "ControlledAccessGrants",
    "LinkedIdentities",
)
AUTHORITIES = frozenset({"self", "peer", "system", "so", "dac"})
LINKING = frozenset({"system", "so", "dac"})  # who may say that two identities are one: not they themselves, nor a peer
MOST = 100  # visas in a passport
LONGEST = 255  # characters of a URL claim
MATCHABLE = frozenset({"value", "source", "by"})  # Passport 1.2, conditions: claims that are text


@record
class Visa:
    """A visa that counts: what a rule reads of it. Days are in UTC; `by` is `unknown` where the visa does not say."""

    type: str
    value: str
    source: str
    by: str
    asserted: str
    expires: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Passport:
    """What a passport comes to: visas that count, and for each other one why not."""

    visas: tuple[Visa, ...]
    left_out: tuple[str, ...]

    def facts(self) -> list[dict[str, Any]]:
        """The fact `s.requester.visas`."""
        found: list[dict[str, Any]] = plain(self.visas)
        return found


@dataclass(frozen=True, slots=True)
class _Stamp:
    """A visa whose signature and times hold: its owner at its issuer, and its conditions."""

    visa: Visa
    owner: Login
    conditions: Any


def read_passport(token: str, agreement: Agreement, person: str, signed: datetime, now: datetime) -> Passport:
    """What counts of a person's passport.

    Args:
        token: the passport, a JWT.
        agreement: pins the issuers, and says who the person is at them.
        person: whose passport it should be.
        signed: when the request that carries it was signed; brokers let a passport live for an hour or so, and it has
            to hold then. Its visas have to hold `now`.
        now: the time of this site.

    Raises:
        Untrusted: E-PASSPORT, the passport does not hold or is not this person's.
        Invalid: E-JWKS.
    """
    issuers = {i.issuer: i for i in (agreement.duties.passport_issuers if agreement.duties else None) or ()}
    own = frozenset(next(p for p in agreement.people if p.person == person).logins or ())
    claims = _opened(token, issuers, own, signed)
    held, left_out = _each(_listed(claims), issuers, now)
    others = {login for p in agreement.people if p.person != person for login in p.logins or ()}
    linking = (s for s in held.values() if s.owner in own and issuers[s.visa.issuer].links and s.visa.by in LINKING)
    linked = own | (frozenset(login for s in linking for login in _linked(s)) - others)
    foreign = {at: s for at, s in held.items() if s.owner not in linked}
    left_out |= dict.fromkeys(foreign, "it is someone else's: its subject is no login of who asks, nor linked to one")
    ours = {at: s for at, s in held.items() if at not in foreign}
    met = {at for at, s in ours.items() if _met(s.conditions, [o.visa for o in ours.values() if not o.conditions])}
    left_out |= dict.fromkeys(set(ours) - met, "its conditions are not met by other visas of the passport")
    return Passport(
        tuple(ours[at].visa for at in sorted(met)),
        tuple(f"visa {at + 1}: {left_out[at]}" for at in sorted(left_out)),
    )


def _opened(
    token: str, issuers: Mapping[str, PassportIssuer], own: frozenset[Login], signed: datetime
) -> Mapping[str, Any]:
    """The claims of the passport itself."""
    try:
        read = _verified(token, issuers, "vnd.ga4gh.passport+jwt", signed)
    except Untrusted as error:
        raise _passport(error.message) from error
    issuer, subject, audience = (read.claims.get(name) for name in ("iss", "sub", "aud"))
    if not isinstance(issuer, str) or not isinstance(subject, str) or Login(issuer=issuer, subject=subject) not in own:
        raise _passport("it is not of who signed the request: its issuer and subject are no login of theirs")
    if audience is not None:
        stated = audience if isinstance(audience, list) else [audience]
        if issuers[issuer].audience is None or issuers[issuer].audience not in stated:
            raise _passport("it was issued for another audience than the agreement states")
    return read.claims


def _listed(claims: Mapping[str, Any]) -> Sequence[str]:
    listed = claims.get("ga4gh_passport_v1")
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed) or len(listed) > MOST:
        raise _passport(f"it holds no list of at most {MOST} visas (`ga4gh_passport_v1`)")
    return listed


def _each(
    listed: Sequence[str], issuers: Mapping[str, PassportIssuer], now: datetime
) -> tuple[dict[int, _Stamp], dict[int, str]]:
    """Visas by place: those that hold, and why the others do not."""
    held, left_out = {}, {}
    for at, token in enumerate(listed):
        try:
            held[at] = _stamp(_verified(token, issuers, "vnd.ga4gh.visa+jwt", now), now)
        except Untrusted as error:
            left_out[at] = error.message
    return held, left_out


def _verified(token: str, issuers: Mapping[str, PassportIssuer], kind: str, at: datetime) -> Token:
    issuer = claimed_issuer(token)
    if issuer not in issuers:
        raise _bad("its issuer is not among the agreement's `passport_issuers`")
    read = verify_token(token, read_keys(issuers[issuer].keys, "duties.passport_issuers"))
    if str(read.header.get("typ", "JWT")).removeprefix("application/") not in {"JWT", kind}:  # RFC 8725 3.11
        raise _bad(f"its type is not {kind}")
    check_times(read.claims, at)
    return read


def _stamp(token: Token, now: datetime) -> _Stamp:
    claims, body = token.claims, token.claims.get("ga4gh_visa_v1")
    issuer, subject = claims.get("iss"), claims.get("sub")
    if not isinstance(body, Mapping) or not isinstance(issuer, str) or not isinstance(subject, str) or not subject:
        raise _bad("it is no visa: `sub` or `ga4gh_visa_v1` is missing")
    if "aud" in claims or "openid" in str(claims.get("scope", "")).split():
        raise _bad("it is an access token, which would have to be asked about at its issuer")
    if body.get("type") not in TYPES:
        raise _bad("its type is not one that is read here: " + ", ".join(TYPES))
    asserted = moment(body, "asserted")
    if asserted > (now + SKEW).timestamp():
        raise _bad("it was asserted in the future")
    visa = Visa(
        type=str(body["type"]),
        value=_text(body, "value"),
        source=_text(body, "source"),
        by=_by(body),
        asserted=_day(asserted),
        expires=_day(moment(claims, "exp")),
        issuer=issuer,
    )
    return _Stamp(visa, Login(issuer=issuer, subject=subject), body.get("conditions"))


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value or (name == "source" and len(value) > LONGEST):
        raise _bad(f"its `{name}` is missing or cannot be read")
    return value


def _by(body: Mapping[str, Any]) -> str:
    by = str(body.get("by"))
    return by if by in AUTHORITIES else "unknown"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _linked(stamp: _Stamp) -> Iterator[Login]:
    """Other identities of the same person, in a LinkedIdentities visa without conditions: `sub,iss;sub,iss`, URI-encoded."""
    if stamp.visa.type != "LinkedIdentities" or stamp.conditions:
        return
    for pair in stamp.visa.value.split(";"):
        subject, comma, issuer = pair.partition(",")
        if comma:
            yield Login(issuer=_decoded(issuer), subject=_decoded(subject))


def _decoded(text: str) -> str:
    """Percent-encoding undone (RFC 3986 2.1)."""
    raw = re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes.fromhex(found[1].decode()), text.encode())
    return raw.decode(errors="replace")


def _met(conditions: Any, others: Sequence[Visa]) -> bool:
    """Whether one of the alternatives holds: all of its clauses, each on one visa that has no conditions itself."""
    if not conditions:
        return True
    if not isinstance(conditions, list) or not all(isinstance(clauses, list) for clauses in conditions):
        return False
    return any(clauses and all(any(_fits(c, visa) for visa in others) for c in clauses) for clauses in conditions)


def _fits(clause: Any, visa: Visa) -> bool:
    if not isinstance(clause, Mapping) or clause.get("type") != visa.type or len(clause) < 2:
        return False
    return all(
        name in MATCHABLE and _match(str(w), getattr(visa, name)) for name, w in clause.items() if name != "type"
    )


def _match(wanted: str, value: str) -> bool:
    how, _, text = wanted.partition(":")
    match how:
        case "const":
            return value == text
        case "pattern":
            return _pattern(text, value)
        case "split_pattern":
            return any(_pattern(text, one) for one in value.split(";"))
        case _:  # unknown or unsupported: the clause fails to match
            return False


def _pattern(pattern: str, value: str) -> bool:
    """Whether the whole text fits: `?` is any one character, `*` any number of them. Each part between stars is taken where it first fits."""
    first, *rest = pattern.split("*")
    if not rest:
        return _at(pattern, value, 0) and len(pattern) == len(value)
    *middle, last = rest
    end, place = len(value) - len(last), len(first)
    if not _at(first, value, 0):
        return False
    for part in middle:
        place = next((at for at in range(place, end + 1) if _at(part, value, at)), end + 1) + len(part)
    return place <= end and _at(last, value, end)


def _at(part: str, value: str, place: int) -> bool:
    piece = value[place : place + len(part)]
    return len(piece) == len(part) and all(p in {"?", c} for p, c in zip(part, piece, strict=True))


def _bad(problem: str) -> Untrusted:
    return Untrusted("E-TOKEN", problem)


def _passport(problem: str) -> IsthmusError:
    return Untrusted(
        "E-PASSPORT", f"the passport does not hold: {problem}", "get a new one from its issuer, and submit again"
    )
