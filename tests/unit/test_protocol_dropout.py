"""A site is lost before, during or after its masked message: recovered in the first opened round, awaited later."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.federation.memory import Network
from isthmus.federation.messages import HUB
from isthmus.federation.protocol.hub import Concluded, Failed, Running
from isthmus.federation.protocol.site import Left
from isthmus.model.errors import Unavailable
from secagg_lab import Lab, lab


def total(made: Lab, names: str) -> float:
    return 15 * sum(made.value(name) for name in names)


def deliver_until(network: Network, site: str, kind: str, sender: str = HUB) -> None:
    """Deliver until a message of `kind` between the hub and `site` is about to be delivered; the site is then lost."""
    receiver = site if sender == HUB else HUB
    for name in network.sites:
        network.connect(name)
    while True:
        waiting = network.links.get((sender, receiver))
        if waiting and waiting[0].kind == kind:
            network.disconnect(site)
            return
        network.step(next(at for at in network.links if at != (sender, receiver) or network.links[at][0].kind != kind))


def concluded(network: Network) -> Concluded:
    state = network.hub.state
    assert isinstance(state, Concluded), (state, network.refusals)
    return state


@pytest.mark.parametrize(
    ("kind", "sender"),
    [
        ("round", HUB),  # before M3
        ("masked", "d"),  # during: it was made, and lost on the way
    ],
)
def test_lost_in_the_first_round_is_recovered(tmp_path: Path, kind: str, sender: str) -> None:
    made = lab(tmp_path, 4)
    network = made.network()
    deliver_until(network, "d", kind, sender)
    network.settle()
    assert network.hub.progress().awaited == ("d",)
    network.send(network.hub.expired())
    network.settle()
    done = concluded(network)
    assert done.survivors == ("a", "b", "c")
    assert done.result["sums"]["count"] == pytest.approx([total(made, "abc")], rel=1e-15)
    assert network.refusals == []
    network.connect("d")  # it comes back too late
    network.settle()
    assert isinstance(network.sites["d"].state, Left)
    assert network.sites["d"].state.code == "E-DROPPED"


def test_lost_after_its_masked_reply_still_counts(tmp_path: Path) -> None:
    """t signatures and t shares are enough to open a round whose replies are all there; the next round waits."""
    made = lab(tmp_path, 4)
    network = made.network()
    deliver_until(network, "d", "survivors")
    network.settle()
    assert isinstance(network.hub.state, Running)
    assert network.hub.state.rounds.bound == made.names
    assert network.hub.progress().awaited == ("d",)
    network.connect("d")
    network.settle()
    assert concluded(network).result["sums"]["count"] == pytest.approx([total(made, "abcd")], rel=1e-15)


@pytest.mark.parametrize(("kind", "number"), [("round", 3), ("round", 4), ("round", 5)])
def test_lost_later_is_awaited(tmp_path: Path, kind: str, number: int) -> None:
    made = lab(tmp_path, 4, questions={"count": 1, "model": 3})
    network = made.network()
    for name in network.sites:
        network.connect(name)
    while len(network.hub.state.rounds.entries if isinstance(network.hub.state, Running) else ()) < number - 2:
        network.step(next(iter(network.links)))
    while not any(m.kind == kind for m in network.links.get((HUB, "d"), ())):
        network.step(next(iter(network.links)))
    network.disconnect("d")
    network.settle()
    assert network.hub.expired() == ()  # nobody is dropped once a round was opened
    assert network.hub.late
    assert isinstance(network.hub.state, Running)
    network.connect("d")
    network.settle()
    assert concluded(network).survivors == made.names
    assert not network.hub.late


def test_lost_in_the_last_round_after_its_reply(tmp_path: Path) -> None:
    """The others go on to the result without it; back, it is given the signatures it missed and concludes too."""
    network = lab(tmp_path, 4, questions={"model": 1}).network()
    for name in network.sites:
        network.connect(name)
    while network.sites["d"].head.size == 0:  # a quorum's signatures on the vote's round were not seen yet
        network.step(next(iter(network.links)))
    while not any(m.kind == "masked" for m in network.links.get(("d", HUB), ())):
        network.step(next(iter(network.links)))
    while any(m.kind == "masked" for m in network.links.get(("d", HUB), ())):
        network.step(next(iter(network.links)))
    network.disconnect("d")
    network.settle()
    done = concluded(network)
    assert set(done.signatures) == {"a", "b", "c"}
    network.connect("d")
    network.settle()
    assert network.sites["d"].state.result == done.result


def test_a_second_loss_during_recovery_shrinks_again(tmp_path: Path) -> None:
    made = lab(tmp_path, 7)  # t = 5
    network = made.network()
    deliver_until(network, "g", "round")
    network.settle()
    network.send(network.hub.expired())
    while not any(m.kind == "recover" for m in network.links.get((HUB, "f"), ())):
        network.step(next(iter(network.links)))
    network.disconnect("f")
    network.settle()
    assert network.hub.progress().stage == "recovering"
    network.send(network.hub.expired())
    network.settle()
    done = concluded(network)
    assert done.survivors == ("a", "b", "c", "d", "e")
    assert done.result["sums"]["count"] == pytest.approx([total(made, "abcde")], rel=1e-15)


def test_lost_while_survivors_are_signed_shrinks_again(tmp_path: Path) -> None:
    made = lab(tmp_path, 7)
    network = made.network()
    deliver_until(network, "g", "round")
    network.settle()
    for site in ("e", "f"):
        network.disconnect(site)
    network.send(network.hub.expired())
    network.settle()
    network.send(network.hub.expired())
    network.settle()
    assert network.hub.progress().stage == "settling"
    assert network.hub.late  # four of six signed, fewer than t: the run waits
    network.connect("e")
    network.settle()
    assert network.hub.progress().stage == "recovering"  # five of six signed; the sixth one's mask keys are missing
    network.send(network.hub.expired())
    network.settle()
    assert concluded(network).survivors == ("a", "b", "c", "d", "e")


def test_with_three_sites_every_loss_is_awaited(tmp_path: Path) -> None:
    made = lab(tmp_path, 3)
    network = made.network()
    deliver_until(network, "b", "round")
    network.settle()
    network.send(network.hub.expired())
    network.settle()
    assert network.hub.late
    network.connect("b")
    network.settle()
    assert concluded(network).survivors == made.names


@pytest.mark.parametrize("silent", ["keys", "pairs"])
def test_a_site_that_never_comes_is_left_out(tmp_path: Path, silent: str) -> None:
    made = lab(tmp_path, 4)
    network = made.network()
    if silent == "keys":
        network.down.add("b")
        network.run()
    else:
        deliver_until(network, "b", "roster")
        network.settle()
    network.send(network.hub.expired())
    network.settle()
    done = concluded(network)
    assert done.survivors == ("a", "c", "d")
    assert done.result["sums"]["count"] == pytest.approx([total(made, "acd")], rel=1e-15)


def test_minimum_sites_counts_legal_entities(tmp_path: Path) -> None:
    """Four sites of which two belong to one party: without the third party's site too few entities are left."""
    parties = {"a": "one", "b": "one", "c": "two", "d": "three"}
    made = lab(tmp_path, 4, parties=parties, minimum_sites=3)
    network = made.network()
    deliver_until(network, "d", "round")
    network.settle()
    network.send(network.hub.expired())
    network.settle()
    assert network.hub.late
    assert isinstance(network.hub.state, Running)
    assert network.hub.state.rounds.entries == []


def test_the_deadline_ends_a_waiting_run(tmp_path: Path) -> None:
    made = lab(tmp_path, 3)
    network = made.network()
    deliver_until(network, "c", "round")
    network.settle()
    network.send(network.hub.abandon(Unavailable("E-DEADLINE", "a site did not return before the deadline")))
    network.settle()
    assert isinstance(network.hub.state, Failed)
    assert {name: type(site.state).__name__ for name, site in network.sites.items()} == {
        "a": "Left", "b": "Left", "c": "Paired",
    }  # fmt: skip
    network.connect("c")
    network.settle()
    assert isinstance(network.sites["c"].state, Left)
