"""Attack: the hub plays all the other sites itself, with keys of its own making; the sum is then one site's part.

Defence: the roster and its keys come from the signed agreement, never from the hub; and `minimum_sites` counts legal
entities, so many nodes of one party are one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attack import Attack, Say
from isthmus.crypto.exchange import ExchangeKeys
from isthmus.crypto.keys import SigningKey
from isthmus.federation.memory import Network
from isthmus.federation.messages import HUB, Author, Message
from isthmus.federation.protocol.exchange import keys_header
from isthmus.federation.protocol.hub import Concluded
from isthmus.federation.protocol.site import SiteRun
from isthmus.federation.protocol.witness import NOTHING
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid, Untrusted
from secagg_lab import Drawn, Lab, lab

ATTACK = Attack("Sybil sites", "the signed roster; distinct legal entities are counted", number=16)


def test_it_works_on_a_site_that_takes_the_roster_from_the_hub(leak: Say, tmp_path: Path) -> None:
    made = lab(tmp_path)  # every charter here is the hub's invention: b and c are the hub
    made.value = lambda name: {"a": 10.1}.get(name, 0.0)
    network: Network = made.network()
    network.run()
    assert isinstance(network.hub.state, Concluded)
    own = 10.1 * (1 + 2 + 3 + 4 + 5)
    assert network.hub.state.result["sums"]["count"] == pytest.approx([own], rel=1e-15)
    leak(f"the one honest site's sum, {own:.1f}, exactly")


def grown(cards: dict[str, Any]) -> dict[str, Any]:
    """An empty ledger, which no site has seen."""
    return {"head": plain(NOTHING), "growth": dict.fromkeys(cards, ())}


def cards(made: Lab, sites: dict[str, SiteRun], forge: str) -> Message:
    """M2 with one forged card."""
    told = {}
    for name, site in sites.items():
        (message,) = site.connected()
        told[name] = {"keys": dict(message.header), "signature": message.signature.hex()}
    evil = Author(made.mode, made.run, "b", SigningKey.from_bytes(Drawn("evil")(32)))
    fake = evil.say("keys", keys_header(ExchangeKeys.generate().public, "s", NOTHING, (NOTHING, {})))
    card = {"keys": dict(fake.header), "signature": fake.signature.hex()}
    if forge == "a stranger":
        told["z"] = card
    elif forge == "keys of its own":
        told["b"] = card
    elif forge == "another site's signature":
        told["b"]["signature"] = told["c"]["signature"]
    elif forge == "this site's keys":
        told["a"] = card
    else:
        del told["b"]
    return Author(made.mode, made.run, HUB, made.keys[HUB]).say("roster", {"cards": told, **grown(told)})


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        ("a stranger", "E-ROSTER"),
        ("keys of its own", "E-SIGNATURE"),
        ("another site's signature", "E-SIGNATURE"),
        ("this site's keys", "E-ROSTER"),
        ("too few", "E-MIN-SITES"),
    ],
)
def test_the_roster_is_the_charters(stop: Say, tmp_path: Path, forge: str, code: str) -> None:
    made = lab(tmp_path)
    sites = {name: made.site(name) for name in made.names}
    with pytest.raises(Untrusted) as caught:
        sites["a"].receive(cards(made, sites, forge))
    assert caught.value.code == code
    stop("another roster is refused, and so are many nodes of one party")


def test_many_nodes_of_one_party_are_one(tmp_path: Path) -> None:
    made = lab(tmp_path, 4, parties={"b": "hub & co", "c": "hub & co", "d": "hub & co"})
    with pytest.raises(Invalid) as caught:
        made.site("a", charter=replace(made.charter, minimum_sites=3))
    assert caught.value.code == "E-CHARTER"


@pytest.mark.parametrize("change", ["threshold", "one key twice", "minimum_sites"])
def test_a_weak_charter_is_refused(tmp_path: Path, change: str) -> None:
    made = lab(tmp_path, 4)
    first, second, *rest = made.charter.roster
    weak = {
        "threshold": replace(made.charter, threshold=2),
        "one key twice": replace(made.charter, roster=(first, replace(second, key=first.key), *rest)),
        "minimum_sites": replace(made.charter, minimum_sites=1),
    }[change]
    with pytest.raises(Invalid) as caught:
        made.site("a", charter=weak)
    assert caught.value.code == "E-CHARTER"
