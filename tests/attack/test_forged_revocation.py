"""Attack: an alliance's work is ended by someone who may not end it.

A node that believes what a revocation says can be stopped by anybody who reaches it: a stranger, a researcher, the hub in
a custodian's name, or an old revocation moved to the new version. Each node verifies the signature of a custodian over
exactly the version in force, whoever brings it, and writes down who brought a false one.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW, draft, key_of

from attack import Attack, Say
from isthmus.crypto.envelope import sign_envelope
from isthmus.federation.desk import Desk
from isthmus.federation.node import Ledger, log_to_stderr
from isthmus.federation.revocations import FIELD, Revocations
from isthmus.federation.standing import Standing
from isthmus.federation.store import Store, open_store
from isthmus.governance.revocation import PAYLOAD_TYPE, revoke
from isthmus.model.canonical import canonical
from isthmus.model.errors import Refused

ATTACK = Attack("A forged revocation ends the alliance's work", "revocation: a custodian's signature over this version")

AGREEMENT = draft()
LEEDS = key_of("custodian of leeds-nhs")
TRUE = revoke(AGREEMENT, LEEDS, "consent was withdrawn", NOW)
SAID = json.loads(base64.b64decode(TRUE["payload"]))


def signed(by: str, **changed: Any) -> dict[str, Any]:
    key = key_of(by)
    return sign_envelope(PAYLOAD_TYPE, canonical({**SAID, **changed}), [(key.public.hex(), key)])


def edited() -> dict[str, Any]:
    return {**TRUE, "payload": base64.b64encode(canonical({**SAID, "reason": "another reason"})).decode()}


def lent_name() -> dict[str, Any]:
    made = signed("a stranger")
    return {**made, "signatures": [{**made["signatures"][0], "keyid": LEEDS.public.hex()}]}


FORGED: Mapping[str, tuple[Callable[[], Any], str]] = {
    "a stranger's key": (lambda: signed("a stranger"), "E-SIGNER"),
    "a researcher's key": (lambda: signed("dr ada"), "E-SIGNER"),
    "the hub in a custodian's name": (lambda: signed("hub"), "E-SIGNER"),
    "a stranger's signature under a custodian's key": (lent_name, "E-SIGNATURE"),
    "another custodian in Leeds' name": (lambda: signed("custodian of oslo-health"), "E-SIGNATURE"),
    "another reason after signing": (edited, "E-SIGNATURE"),
    "another meaning": (lambda: signed("custodian of leeds-nhs", meaning="has read this"), "E-SIGNATURE"),
    "of another version": (
        lambda: revoke(replace(AGREEMENT, version=2), LEEDS, "we withdraw from it", NOW),
        "E-SIGNATURE",
    ),
    "not an envelope": (lambda: {"revoked": True}, "E-SIGNER"),
    "nothing at all": (lambda: None, "E-SIGNER"),
}


def believing(envelope: Any) -> bool:
    """A node without the defence: what a document says is so."""
    said = json.loads(base64.b64decode(envelope["payload"]))
    return bool(said["id"] == AGREEMENT.id and "revokes" in said["meaning"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "state.db")


def standing(store: Store) -> Standing:
    held = Revocations(AGREEMENT, store)
    desk = Desk("federated", "", lambda _now: held.check(), held)
    return Standing(desk, Ledger(store, "site/leeds", lambda: NOW), store, lambda: NOW, log_to_stderr("leeds"))


def events(store: Store) -> list[tuple[str, Any]]:
    return [(e.event, e.facts.get("code")) for e in Ledger(store, "site/leeds", lambda: NOW).log.entries()]


def test_a_node_that_believes_what_it_is_told_is_stopped_by_a_stranger(leak: Say) -> None:
    assert believing(signed("a stranger"))
    leak("anyone who reaches a node ends its studies")


@pytest.mark.parametrize("what", sorted(FORGED))
def test_a_forged_one_changes_nothing(store: Store, what: str) -> None:
    make, code = FORGED[what]
    node = standing(store)
    for _beat in range(3):
        assert node.hear("hub", {FIELD: [make()]}) is False
    assert node.lapsed() is None
    assert node.news() == {}
    assert events(store) == [("refusal", code)]  # once, however often it is brought
    assert standing(store).lapsed() is None
    store.close()


def test_the_true_one_stops_and_stays_whoever_brings_it(store: Store, stop: Say) -> None:
    node = standing(store)
    forged = [make() for make, _ in list(FORGED.values())[:2]]
    assert node.hear("oslo", {FIELD: [*forged, TRUE]}) is True
    assert node.hear("hub", {FIELD: [TRUE]}) is False
    again = standing(store)
    for one in (node, again):
        refused = one.lapsed()
        assert isinstance(refused, Refused)
        assert refused.code == "E-REVOKED"
        assert one.news() == {FIELD: [TRUE]}
    assert events(store) == [("refusal", "E-SIGNER"), ("revocation", None)]
    store.close()
    stop("ten forgeries change nothing; the custodian's own ends it at every node")
