"""Attack: the hub puts another study under a custodian's pen.

A custodian reads one study and signs its approval; what they sign over comes from the hub. A client that signs whatever the
hub shows for the name that was asked for signs another study. Here the client computes the run from the signed request.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW, key_of
from made_bundle import made_bundle
from reviewed_alliance import AGREEMENT, KEEPER, STUDY, asked, case, person, request

from attack import Attack, Say
from isthmus.governance.approval import check_approval, read_approval, signed_at
from isthmus.ledger.bundle import read_bundle
from isthmus.ledger.checkpoint import sign_checkpoint
from isthmus.ledger.log import Log, MemoryStore
from isthmus.ledger.proved import proof_of
from isthmus.model.canonical import digest
from isthmus.model.errors import Untrusted
from isthmus.sdk.connect import Client
from isthmus.sdk.reviewing import decision

ATTACK = Attack(
    "The hub shows a custodian another study to sign", "the client computes the run from the signed request"
)

READ = request()
OTHER = request(replace(STUDY, analyses={"death": {"glm": {"formula": "died ~ sex", "family": "binomial"}}}))


class Hub:
    """It answers whatever is asked for with one study, and one bundle."""

    def __init__(self, made: Any) -> None:
        self.shown = {
            "run": case(READ).run,
            "request": asked(made),
            "result": None,
            "review": {"state": "In review"},
            "answers": {},
            "mine": True,
        }
        self.signed: list[Any] = []

    def case(self, _run: str) -> Any:
        return self.shown

    def bundle(self, _run: str) -> bytes:
        return made_bundle()

    def decide(self, envelope: Any) -> Any:
        self.signed.append(envelope)
        log = Log(MemoryStore(), "hub", lambda: NOW)
        log.append("approval", {"run": case(READ).run, "step": "accept", "envelope": digest(envelope)})
        hub = key_of(AGREEMENT.hub.hub)
        note = (sign_checkpoint("hub", log.head(), hub), log.head().size)
        proof = proof_of(log, 0, note, (hub.public.hex(), {})).decode()
        return {"review": {"state": "In review", "waiting": []}, "proof": proof}


def keeper(hub: Hub) -> Any:
    identity = SimpleNamespace(name=KEEPER, key=key_of(KEEPER), card=SimpleNamespace(key=person(KEEPER).key))
    return SimpleNamespace(client=hub, agreement=AGREEMENT, identity=identity)


def approves(envelope: Any, made: Any) -> bool:
    found = read_approval(envelope, AGREEMENT)
    try:
        check_approval(found, case(made), signed_at(found.approval))
    except Untrusted:
        return False
    return True


def test_a_client_that_signs_what_the_hub_shows_approves_another_study(leak: Say) -> None:
    hub = Hub(OTHER)
    envelope = decision(keeper(hub), hub.case(case(READ).run), "accept", "", NOW)
    assert approves(envelope, OTHER)
    assert not approves(envelope, READ)
    leak("the custodian's signature on a study that they never saw")


def test_the_client_signs_the_study_that_was_asked_for_and_no_other(stop: Say) -> None:
    hub = Hub(OTHER)
    client = Client(keeper(hub), {})
    for look in (client.case, lambda run: client.decide(run, "accept")):
        with pytest.raises(Untrusted) as refused:
            look(case(READ).run)
        assert refused.value.code == "E-RUN"
    assert hub.signed == []
    honest = Hub(READ)
    Client(keeper(honest), {}).decide(case(READ).run, "accept")
    assert [approves(envelope, READ) for envelope in honest.signed] == [True]
    stop("E-RUN: nothing is shown, and nothing is signed")


def test_nor_does_it_take_the_result_of_another_run() -> None:
    client = Client(keeper(Hub(READ)), {})
    assert client.bundle(read_bundle(made_bundle())["charter"]["run"])
    with pytest.raises(Untrusted) as refused:
        client.bundle(case(READ).run)
    assert refused.value.code == "E-RUN"
