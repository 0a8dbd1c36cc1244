"""Revocation: one party ends an agreement, by its custodian's signature alone.

A revocation names one version by its digest, and nothing takes it back: what goes on needs a new version that every
party of both versions signs (`signing.py`). Whoever holds the agreement can verify it, so it does not matter who brings it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from isthmus.crypto.envelope import keyids, open_envelope, sign_envelope
from isthmus.crypto.keys import SigningKey
from isthmus.governance.agreement import Agreement, Person, agreement_digest
from isthmus.governance.duties_check import says_something
from isthmus.model.canonical import canonical
from isthmus.model.errors import Invalid, Refused, Untrusted
from isthmus.model.names import Digest
from isthmus.model.record import record
from isthmus.strict import parse

PAYLOAD_TYPE = "application/vnd.isthmus.revocation+json"
MEANING = "revokes this agreement: nothing more is done under it"  # 21 CFR 11.50(a)(3): the meaning of the signature
LONGEST = 300  # characters of a reason
Envelope = Mapping[str, Any]


@record
class Revocation:
    """A custodian's statement; `time` is a claim, and the time that counts is that of the ledger's entry."""

    isthmus: Literal["revocation/1"]
    id: str
    version: int
    agreement: Digest
    party: str
    name: str
    meaning: str
    reason: str
    time: str


def revoke(agreement: Agreement, key: SigningKey, reason: str, now: datetime) -> dict[str, Any]:
    """A custodian's signed revocation of exactly this version.

    Raises:
        Refused: E-SIGNER, the key is no custodian's. Invalid: E-REASON.
    """
    person = _custodian(agreement, key.public.hex())
    if person is None:
        raise Refused("E-SIGNER", "this key is no custodian's in the agreement", "use the custodian's key of a party")
    if not says_something(reason):  # one that was signed holds whatever it says: what ends an agreement is not refused
        raise Invalid("E-REASON", "a revocation states its reason in words", "say why in a sentence", "reason")
    stated = _statement(agreement, person, reason, now.isoformat(timespec="seconds"))
    return sign_envelope(PAYLOAD_TYPE, canonical(stated), [(person.key, key)])


def read_revocation(envelope: Any, agreement: Agreement) -> Revocation:
    """The statement, when a custodian of the agreement signed it over exactly this version.

    Raises:
        Untrusted: E-SIGNER, no custodian of the agreement signed; E-SIGNATURE, the signature does not hold, or it is over
            another agreement or means something else.
        Invalid: E-ENVELOPE, E-REASON.
    """
    keys = {p.key: p for p in agreement.people if "custodian" in p.roles}
    known = keyids(envelope)
    if len(known) != 1 or known[0] not in keys:
        raise Untrusted("E-SIGNER", "a revocation is signed by one custodian of the agreement", "ask who sent it")
    payload, (keyid,) = open_envelope(envelope, PAYLOAD_TYPE, {known[0]: bytes.fromhex(known[0])})
    try:
        said = parse(Revocation, json.loads(payload), "revocation")
    except (ValueError, RecursionError) as error:
        raise Invalid("E-ENVELOPE", "the envelope holds no revocation", "revoke again") from error
    # Every field but reason and time is fixed, so one comparison checks digest, version, party, name and meaning.
    if payload != canonical(_statement(agreement, keys[keyid], said.reason, said.time)):
        raise Untrusted("E-SIGNATURE", "the revocation is over another agreement, or means something else")
    return said


def of_another_version(envelope: Any, agreement: Agreement) -> bool:
    """Whether it says itself that it is over another version: one that was revoked before, and no forgery."""
    try:
        said = json.loads(base64.b64decode(envelope["payload"]))
        return bool(said["id"] == agreement.id and said["agreement"] != agreement_digest(agreement))
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _statement(agreement: Agreement, person: Person, reason: str, claimed: str) -> Revocation:
    if not 0 < len(reason) <= LONGEST or not reason.isprintable() or reason != reason.strip():
        raise Invalid("E-REASON", f"a reason is one line of at most {LONGEST} characters", "say why in a sentence")
    return Revocation(
        isthmus="revocation/1",
        id=agreement.id,
        version=agreement.version,
        agreement=agreement_digest(agreement),
        party=person.party,
        name=person.person,
        meaning=MEANING,
        reason=reason,
        time=claimed,
    )


def _custodian(agreement: Agreement, key: str) -> Person | None:
    return next((p for p in agreement.people if p.key == key and "custodian" in p.roles), None)
