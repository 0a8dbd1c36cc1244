"""Signatures of an agreement and what a party needs to see before it trusts one.

Each custodian signs a statement of their own (in-toto Statement v1 in a DSSE envelope): which agreement, for which
party, what the signature means, their name and the time they claim. Trust starts at home: a site believes only the
key of its own custodian, set locally; through that signature it believes the keys in the agreement, and accepts the
agreement when every party named in it, and every party of the version before, has signed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from isthmus.crypto.envelope import keyids, open_envelope, sign_envelope
from isthmus.crypto.keys import SigningKey
from isthmus.data.yaml_text import load_yaml
from isthmus.governance.agreement import Agreement, Person, agreement_digest
from isthmus.governance.claimed import check_claimed, time_of
from isthmus.governance.consistency import check_agreement
from isthmus.model.canonical import canonical, digest
from isthmus.model.errors import Invalid, Refused, Untrusted
from isthmus.model.names import Digest
from isthmus.model.record import record
from isthmus.strict import parse

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:isthmus:agreement-signature:1"
MEANING = "approves this agreement and is bound by it"  # 21 CFR 11.50(a)(3): the meaning of the signature


@record
class SignedAgreement:
    """An agreement and its envelopes, one per custodian who signed.

    `before` is the version before, whose parties sign too, for who holds none: a new site, the hub, a verifier.
    """

    isthmus: Literal["signed-agreement/1"]
    agreement: Agreement
    signatures: tuple[Mapping[str, Any], ...]
    before: Agreement | None = None


@record
class Claim:
    """One custodian's signature as the envelope says it: who, for which party, with which meaning, when they say.

    `envelope` is the digest of the envelope that says so.
    """

    person: str
    party: str
    key: str
    meaning: str
    time: str
    envelope: Digest


def unsigned(agreement: Agreement, before: Agreement | None = None) -> SignedAgreement:
    """An agreement that nobody has signed yet, with the version before."""
    return SignedAgreement(isthmus="signed-agreement/1", agreement=agreement, signatures=(), before=before)


def sign_agreement(
    signed: SignedAgreement, key: SigningKey, now: datetime, before: Agreement | None = None
) -> SignedAgreement:
    """`signed` with one more custodian's signature; signing twice changes nothing.

    Args:
        signed: the agreement with the signatures so far.
        key: a custodian's.
        now: the time the signature claims.
        before: the version before, where it does not come with the agreement.

    Raises:
        Refused: E-SIGNER, when neither version names this key as a custodian's.
        Untrusted: E-SIGNATURE, E-SIGNER, E-CLOCK: an earlier signature does not hold, so the text is not the one that was
            signed. Invalid: E-ENVELOPE.
    """
    before = before or signed.before
    person = _signatory(signed.agreement, before, key.public.hex())
    if person is None:
        raise Refused("E-SIGNER", "this key is no custodian's in the agreement", "use the custodian's key of a party")
    for envelope in signed.signatures:
        _signer(signed.agreement, before, envelope, None)
    if any(_keyid(envelope) == person.key for envelope in signed.signatures):
        return signed
    payload = canonical(_statement(signed.agreement, person, now.isoformat(timespec="seconds")))
    envelope = sign_envelope(PAYLOAD_TYPE, payload, [(person.key, key)])
    return replace(signed, signatures=(*signed.signatures, envelope))


def claims(signed: SignedAgreement) -> tuple[Claim, ...]:
    """What the signatures say; whether they hold is `check_signatures`' to tell.

    Raises:
        Invalid: E-ENVELOPE, an envelope without a statement.
    """
    found = []
    for envelope in signed.signatures:
        try:
            said = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
            facts = {name: str(said[name]) for name in ("party", "meaning", "time")}
            found.append(Claim(person=str(said["name"]), key=_keyid(envelope), envelope=digest(envelope), **facts))
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise _no_statement() from error
    return tuple(found)


def signers(signed: SignedAgreement) -> frozenset[str]:
    """Its custodians by name who signed, once `check_signatures` has found that the signatures hold."""
    found = (_custodian(signed.agreement, _keyid(envelope)) for envelope in signed.signatures)
    return frozenset(person.person for person in found if person is not None)


def read_signed(text: str, where: str = "agreement") -> SignedAgreement:
    """A signed agreement from YAML or JSON text; nothing is verified yet.

    Raises:
        Invalid: E-YAML, E-UNKNOWN-KEY, E-MISSING-KEY, E-TYPE.
    """
    return parse(SignedAgreement, load_yaml(text), where)


def check_signatures(
    signed: SignedAgreement, before: Agreement | None = None, now: datetime | None = None
) -> Agreement:
    """The agreement, when it is consistent and a custodian of every party (of the version before too) signed it.

    Hub and researcher stop here; a site has an anchor of its own and uses `verify_agreement`.

    Args:
        signed: as it came.
        before: the version before, as held; else the one that comes with it.
        now: when it is taken; None where an old one is looked at.

    Raises:
        Untrusted: E-AGREEMENT-UNSIGNED, names the parties; E-SIGNATURE, names who signed and what is wrong; E-CLOCK,
            signed when it cannot have been; E-PIN; E-AGREEMENT-VERSION, it comes with another version before than
            it follows.
        Invalid: E-AGREEMENT, E-ENVELOPE.
        Refused: E-RULES-FLOOR.
    """
    agreement = signed.agreement
    check_agreement(agreement)
    if signed.before is not None and agreement.previous != agreement_digest(signed.before):
        raise _version("it comes with another version before than it follows", "`isthmus agreement new --previous`")
    before = before or signed.before
    keys = {_signer(agreement, before, envelope, now) for envelope in signed.signatures}
    missing = _unsigned_parties(agreement, keys)
    if before is not None:
        missing |= _unsigned_parties(before, keys)
    if missing:
        raise Untrusted(
            "E-AGREEMENT-UNSIGNED",
            "the agreement is not signed by: " + ", ".join(sorted(missing)),
            "every party's custodian signs every version",
        )
    return agreement


def verify_agreement(
    signed: SignedAgreement, custodian: bytes, held: Agreement | None = None, now: datetime | None = None
) -> Agreement:
    """The agreement, when a site may trust it.

    Args:
        signed: as it came, from whoever.
        custodian: public key of this site's own custodian, set locally.
        held: the highest version this site has accepted; None before the first.
        now: as `check_signatures` has it.

    Raises:
        Untrusted: E-CUSTODIAN, the own custodian is not in it or did not sign it; E-AGREEMENT-VERSION, older than
            what is held, another text under the held version, a gap, or not the held version's successor; and
            those of `check_signatures`.
        Invalid, Refused: those of `check_signatures`.
    """
    before = _previous(signed, held)
    agreement = check_signatures(signed, before, now)
    own = custodian.hex()
    if _custodian(agreement, own) is None or own not in {_keyid(e) for e in signed.signatures}:
        raise Untrusted(
            "E-CUSTODIAN",
            "this site's own custodian did not sign the agreement",
            "sign it with the key that the site's configuration names as custodian",
        )
    return agreement


def check_own_site(agreement: Agreement, site: str, key: bytes, custodian: bytes) -> None:
    """Whether the agreement means this site: its name with its key, under its own custodian's party.

    Raises:
        Refused: E-ROSTER, no such site.
        Untrusted: E-KEY-PINNED, another key or another party's site.
    """
    entry = agreement.site(site)
    person = _custodian(agreement, custodian.hex())
    if entry.key != key.hex() or person is None or person.party != entry.party:
        raise Untrusted(
            "E-KEY-PINNED", "the agreement has another key or party for this site", "put this site's card into it"
        )


def _previous(signed: SignedAgreement, held: Agreement | None) -> Agreement | None:
    """The version before, whose parties must sign too; none for version 1 or the held version itself."""
    agreement = signed.agreement
    if held is None:
        if agreement.version != 1 and signed.before is None:
            hint = "accept the versions one after another, from 1, or make it with `isthmus agreement new --previous`"
            raise _version("this site holds no earlier version, and none comes with it", hint)
        return signed.before
    if agreement.id != held.id:
        raise _version("this is another agreement", "a site keeps one line of versions")
    if agreement.version == held.version and agreement_digest(agreement) == agreement_digest(held):
        return None
    if agreement.version <= held.version:
        raise _version("this site holds a newer or another text of this version", "ask for the newest version")
    if agreement.version != held.version + 1 or agreement.previous != agreement_digest(held):
        raise _version("it does not follow the version held here", "accept the versions one after another")
    return held


def _version(problem: str, hint: str) -> Untrusted:
    return Untrusted("E-AGREEMENT-VERSION", "the agreement is not accepted: " + problem, hint)


def _statement(agreement: Agreement, person: Person, claimed: str) -> dict[str, Any]:
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": agreement.id, "digest": {"sha256": agreement_digest(agreement).removeprefix("sha256:")}},
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "meaning": MEANING,
            "version": agreement.version,
            "party": person.party,
            "name": person.person,
            "time": claimed,  # a claim: the ledger entry's time is what counts
        },
    }


def _signer(agreement: Agreement, before: Agreement | None, envelope: Mapping[str, Any], now: datetime | None) -> str:
    """The key of one envelope's signer, a custodian of this version or the one before."""
    key = _keyid(envelope)
    person = _signatory(agreement, before, key)
    if person is None:
        raise Untrusted("E-SIGNER", "someone signed who is no custodian in the agreement", "remove that signature")
    whose = f"the signature of {person.person} for {person.party}"
    try:
        payload, _ = open_envelope(envelope, PAYLOAD_TYPE, {key: bytes.fromhex(key)})
    except Untrusted as error:
        raise Untrusted("E-SIGNATURE", f"{whose} does not hold: {error.message}", "sign this text again") from error
    try:
        said = json.loads(payload)
        claimed = said["predicate"]["time"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise _no_statement() from error
    # Every field but the claimed time is fixed, so one comparison checks type, digest, meaning, party and name.
    if not isinstance(claimed, str) or payload != canonical(_statement(agreement, person, claimed)):
        raise Untrusted("E-SIGNATURE", f"{whose} {_differs(said, agreement)}", "sign this text again")
    when = time_of(claimed)
    if when is None:
        raise Untrusted("E-SIGNATURE", f"{whose} states no time with an offset from UTC", "sign this text again")
    check_claimed(when, person, now=now)
    return key


def _differs(said: Mapping[str, Any], agreement: Agreement) -> str:
    """In which way a statement is not the one over this agreement."""
    over = [{"name": agreement.id, "digest": {"sha256": agreement_digest(agreement).removeprefix("sha256:")}}]
    if said.get("subject") != over:
        return "is over another text: a character was changed, or another agreement was signed"
    meaning = said["predicate"].get("meaning")
    if meaning != MEANING:
        return f"means {str(meaning)[:70]!r}, not {MEANING!r}"
    return "states another version, party or name, or more than that"


def _no_statement() -> Invalid:
    return Invalid("E-ENVELOPE", "the envelope holds no statement", "sign the agreement again")


def _signatory(agreement: Agreement, before: Agreement | None, key: str) -> Person | None:
    return _custodian(agreement, key) or (_custodian(before, key) if before else None)


def _custodian(agreement: Agreement, key: str) -> Person | None:
    return next((p for p in agreement.people if p.key == key and "custodian" in p.roles), None)


def _unsigned_parties(agreement: Agreement, keys: set[str]) -> set[str]:
    parties = {p.party for p in agreement.parties}
    return {party for party in parties if not any(c.key in keys for c in agreement.custodians(party))}


def _keyid(envelope: Mapping[str, Any]) -> str:
    named = keyids(envelope)
    if len(named) != 1:
        raise Invalid("E-ENVELOPE", "each custodian signs an envelope of their own", "sign again")
    return named[0]
