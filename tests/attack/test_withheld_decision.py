"""Attack: the hub keeps a custodian's decision back, and answers as if it had taken it.

A refusal that never reaches the ledger reaches no other site, and what their standing rules cover in that project goes on. Who
decided asks for the proof that this very decision is entered, under a head that sites cosigned.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW, key_of
from reviewed_alliance import AGREEMENT, KEEPER, case, envelope, request

from attack import Attack, Say
from isthmus.ledger.checkpoint import cosign, sign_checkpoint, with_cosignatures
from isthmus.ledger.log import Log, MemoryStore
from isthmus.ledger.proved import proof_of
from isthmus.model.canonical import digest
from isthmus.model.errors import Untrusted
from isthmus.sdk.connect import entered

ATTACK = Attack(
    "The hub keeps a custodian's decision back",
    "whoever decides is shown the proof that the decision is entered, and which sites cosigned it",
)
HUB, WITNESS = AGREEMENT.hub.hub, AGREEMENT.sites[0].site
SIGNED = envelope(KEEPER, case(request()), "reject")
REVIEW = {"state": "Rejected", "waiting": [], "decisions": []}


def answer(signed: dict[str, Any], *, step: str = "reject", key: str = HUB, shown: bool = True) -> Any:
    """What a hub answers whose ledger holds `signed`; a site has cosigned its head where it was `shown` that."""
    log = Log(MemoryStore(), "hub", lambda: NOW)
    log.append("approval", {"run": "r", "step": step, "envelope": digest(signed)})
    note = sign_checkpoint("hub", log.head(), key_of(key))
    if shown:
        note = with_cosignatures(note, [cosign(note, WITNESS, key_of(WITNESS), int(NOW.timestamp()))])
    keys = (key_of(key).public.hex(), {site.site: site.key for site in AGREEMENT.sites})
    return {"review": REVIEW, "proof": proof_of(log, 0, (note, log.head().size), keys).decode()}


def test_bare_the_answer_alone_says_that_it_was_taken(leak: Say) -> None:
    kept_back = {"review": REVIEW}
    assert kept_back["review"]["state"] == "Rejected"
    leak("the custodian reads 'Rejected', and no ledger holds it")


@pytest.mark.parametrize(
    "withheld",
    [
        lambda: {"review": REVIEW},
        lambda: answer(envelope(KEEPER, case(request()), "return")),
        lambda: answer(SIGNED, step="accept"),
        lambda: answer(SIGNED, key=WITNESS),
    ],
    ids=["no proof", "another decision", "another step", "another's ledger"],
)
def test_a_hub_that_did_not_enter_it_is_found_out(withheld: Callable[[], Any], stop: Say) -> None:
    with pytest.raises(Untrusted, match="E-LEDGER"):
        entered(withheld(), SIGNED, AGREEMENT, "reject")
    stop("no proof of this very decision: the custodian tells the other parties")


def test_a_hub_that_entered_it_shows_which_sites_hold_it(stop: Say) -> None:
    assert entered(answer(SIGNED), SIGNED, AGREEMENT, "reject") == {"entry": 0, "sites": [WITNESS]}
    assert entered(answer(SIGNED, shown=False), SIGNED, AGREEMENT, "reject")["sites"] == []
    stop("a ledger that only the custodian was shown has no site's cosignature")
