"""Attack: a hub keeps two histories of its ledger, both under its key. Site a saw the first; b, c and d are shown the second.
In their next run together the hub passes a over, as if it were lost: three of four sites are enough to conclude.

Defence: each site's M1 says, under its signature, which head of the hub's ledger it holds. The hub relays all M1 before
anything is masked, and must prove that its ledger continues every one of those heads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attack import Attack, Say
from isthmus.federation.gossip import SqlMemory
from isthmus.federation.memory import Network
from isthmus.federation.messages import HUB, Author, Message
from isthmus.federation.node import Ledger
from isthmus.federation.protocol import gossip, site
from isthmus.federation.protocol.hub import Concluded, Failed
from isthmus.federation.protocol.records import Head
from isthmus.federation.protocol.site import Paired
from isthmus.federation.protocol.witness import wire_head
from isthmus.federation.store import open_store
from isthmus.ledger.log import Log, MemoryStore
from isthmus.model.errors import Untrusted
from secagg_lab import NOW, Lab, lab

ATTACK = Attack(
    "Two histories of the hub's ledger", "signed heads in M1; the hub proves that it continues each of them"
)


def history(store: MemoryStore, entries: int, what: str) -> Head:
    log = Log(store, "hub.example/log", lambda: NOW)
    for at in range(entries):
        log.append("decision", {"run": f"{what} {at}"})
    return wire_head(log.head())


def split(directory: Path) -> tuple[Lab, Network]:
    """A hub on its second history; a holds a head of the first."""
    made = lab(directory, 4, vote=False, questions={"count": 1})
    first, second = history(MemoryStore(), 5, "first"), history(made.store, 7, "second")
    sites = {name: made.site(name, first if name == "a" else second) for name in made.names}
    return made, Network(made.hub(), sites, made.spools)


def passed_over(network: Network) -> None:
    """The hub takes a's M1 and lets it hear no more."""
    for name in network.sites:
        network.connect(name)
    while not any(message.kind == "roster" for message in network.links.get((HUB, "a"), ())):
        network.step(next(iter(network.links)))
    network.disconnect("a")
    network.settle()
    for _ in range(3):
        if not isinstance(network.hub.state, Concluded | Failed):
            network.send(network.hub.expired())
            network.settle()


def own_head_alone(me: str, roster: Any, memory: Any) -> None:
    gossip._check_hub(me, roster.cards[me].keys.head, roster)


def test_it_works_on_sites_that_look_at_their_own_head_alone(leak: Say, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(site, "check_heads", own_head_alone)
    _, network = split(tmp_path)
    passed_over(network)
    assert isinstance(network.hub.state, Concluded)
    assert network.hub.state.survivors == ("b", "c", "d")
    leak("three sites conclude a run on a second history, after one of them was shown the first")


def test_no_site_masks_anything(stop: Say, tmp_path: Path) -> None:
    _, network = split(tmp_path)
    passed_over(network)
    assert not isinstance(network.hub.state, Concluded)
    assert {(r.receiver, r.error.code, r.error.where) for r in network.refusals if r.receiver != HUB} == {
        (name, "E-LEDGER", "a") for name in "bcd"
    }
    assert not any(isinstance(run.state, Paired) for run in network.sites.values())
    stop("E-LEDGER, with the name of the site that saw another history, before anything is masked")


def paired(directory: Path) -> tuple[Lab, Network]:
    """An honest run up to the first question, not yet delivered to d."""
    made = lab(directory, 4, vote=False, questions={"count": 1})
    network = made.network()
    for name in network.sites:
        network.connect(name)
    while not any(message.kind == "round" for message in network.links.get((HUB, "d"), ())):
        network.step(next(iter(network.links)))
    return made, network


def test_nor_may_the_first_question_come_from_another_history_than_the_roster(tmp_path: Path) -> None:
    made, network = paired(tmp_path)
    waiting = network.links[HUB, "d"]
    asked = next(message for message in waiting if message.kind == "round")
    for message in waiting:
        if message is asked:
            break
        network.sites["d"].receive(message)
    other = history(MemoryStore(), 9, "other")
    forged = {**asked.header, "head": {"size": other.size, "root": other.root}, "proof": []}
    for old in (asked.header["old"], 0):
        said = Author(made.mode, made.run, HUB, made.keys[HUB]).say("round", {**forged, "old": old}, asked.body)
        with pytest.raises(Untrusted, match="E-LEDGER"):
            network.sites["d"].receive(said)


def test_the_hub_cannot_alter_a_head_that_it_relays(tmp_path: Path) -> None:
    made, network = split(tmp_path)
    for name in network.sites:
        network.connect(name)
    while not any(message.kind == "roster" for message in network.links.get((HUB, "b"), ())):
        network.step(next(iter(network.links)))
    told: Message = network.links[HUB, "b"][-1]
    cards = dict(told.header["cards"])
    card = {**cards["a"], "keys": {**cards["a"]["keys"], "head": cards["b"]["keys"]["head"]}}
    header = {**told.header, "cards": cards | {"a": card}}
    with pytest.raises(Untrusted, match="E-SIGNATURE"):
        network.sites["b"].receive(Author(made.mode, made.run, HUB, made.keys[HUB]).say("roster", header))


def memories(directory: Path, entries: int) -> dict[str, SqlMemory]:
    """Every site's ledger, in a store of its own."""
    made = {}
    for name in "abcd":
        store = open_store(directory / f"{name}.db")
        ledger = Ledger(store, f"site/{name}", lambda: NOW)
        for at in range(ledger.log.head().size, entries):
            ledger.append("decision", {"run": f"{at}"})
        made[name] = SqlMemory(store, ledger)
    return made


def test_each_site_is_spoken_of_by_eight_others() -> None:
    sites = [f"s{at:02d}" for at in range(30)]
    told = [peer for site in sites for peer in gossip.spoken_of(site, sites)]
    assert {told.count(site) for site in sites} == {8}
    assert gossip.spoken_of("b", ["a", "b", "c"]) == ("c", "a")


@pytest.mark.parametrize(("entries", "what"), [(3, "d"), (5, "another d")], ids=["shorter", "rewritten"])
def test_a_site_put_back_to_an_old_backup_goes_no_further(tmp_path: Path, entries: int, what: str) -> None:
    """The hub says nothing of it; the peers' M1 do."""
    first = lab(tmp_path / "1", 4, vote=False, questions={"count": 1}, memories=memories(tmp_path, 5))
    network = first.network()
    network.run()
    assert isinstance(network.hub.state, Concluded)
    assert first.memories["a"].of(("b", "c", "d")) == {name: first.memories[name].own() for name in "bcd"}
    held = {**first.memories, "d": backup(tmp_path / "old.db", entries, what)}
    again = lab(tmp_path / "2", 4, vote=False, questions={"count": 1}, run="sha256:later", memories=held).network()
    again.run()
    assert {r.receiver: r.error.code for r in again.refusals if r.receiver != HUB}["d"] == "E-ROLLBACK"
    assert not any(isinstance(run.state, Paired) for run in again.sites.values())
    for at in range(9):  # its refusals make its ledger longer than it was
        held["d"].ledger.append("refusal", {"by": "hub", "code": f"E-{at}"})
    third = lab(tmp_path / "3", 4, vote=False, questions={"count": 1}, run="sha256:third", memories=held).network()
    third.run()
    assert {r.receiver: r.error.code for r in third.refusals if r.receiver != HUB}["d"] == "E-ROLLBACK"
    assert first.memories["a"].of(("d",)) == {"d": first.memories["d"].own()}


def backup(path: Path, entries: int, what: str) -> SqlMemory:
    store = open_store(path)
    ledger = Ledger(store, "site/d", lambda: NOW)
    for at in range(entries):
        ledger.append("decision", {"run": f"{at}" if what == "d" else what})
    return SqlMemory(store, ledger)
