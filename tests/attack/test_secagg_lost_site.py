"""Attack: after a round over all sites was opened, the hub says that d is lost and has the same sum made without it.
Round 1 minus round 2 is d's own part.

Defence: the survivors of the first opened round bind every later round of the run; a site lost later is awaited.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from attack import Attack, Say
from isthmus.federation.memory import Network
from isthmus.federation.messages import HUB, Author
from isthmus.federation.protocol import hub_rounds, site_rounds
from isthmus.federation.protocol.hub_phases import Asking
from isthmus.model.errors import Untrusted
from secagg_lab import Lab, lab

ATTACK = Attack("Differencing through dropouts", "survivors of the first opened round bind the run", number=2)


def second_round(made: Lab) -> Network:
    """The first question is opened; the second one is asked and answered by all but d, which is cut off."""
    network = made.network()
    for name in network.sites:
        network.connect(name)
    while True:
        link = next(iter(network.links))
        message = network.links[link][0]
        if link == (HUB, "d") and message.kind == "round" and message.header["descriptor"]["question"] == "again":
            network.disconnect("d")
            network.settle()
            return network
        network.step(link)


def test_it_works_where_every_round_may_lose_a_site(leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Free:
        """The binding set, always empty."""

        def __get__(self, *_: object) -> None:
            return None

        def __set__(self, *_: object) -> None:
            return

    monkeypatch.setattr(site_rounds.Rounds, "bound", Free(), raising=False)
    monkeypatch.setattr(hub_rounds.HubRounds, "bound", Free(), raising=False)
    made = lab(tmp_path, 4, questions={"count": 1, "again": 1}, vote=False)
    network = second_round(made)
    network.send(network.hub.expired())
    network.settle()
    sums = network.hub._work.script.sums
    difference = sums["count"][0]["x"] - sums["again"][0]["x"]
    assert difference == pytest.approx(made.works["d"].part(made.script().step("count"))["x"], rel=1e-14)
    leak("the lost site's sum, exactly")


def test_the_hub_waits(tmp_path: Path) -> None:
    network = second_round(lab(tmp_path, 4, questions={"count": 1, "again": 1}, vote=False))
    assert network.hub.expired() == ()
    assert network.hub.late


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("final", [False, True])
def test_sites_sign_no_smaller_set(stop: Say, tmp_path: Path, restart: bool, final: bool) -> None:
    made = lab(tmp_path, 4, questions={"count": 1, "again": 1}, vote=False)
    network = second_round(made)
    phase = network.hub.state.rounds.phase
    assert isinstance(phase, Asking)
    hub = Author(made.mode, made.run, HUB, made.keys[HUB])
    for name in "abc":
        if restart:
            network.sites[name] = made.site(name)
        header = {"context": phase.turn.name, "survivors": ["a", "b", "c"], "final": final}
        with pytest.raises(Untrusted) as caught:
            network.sites[name].receive(hub.say("survivors", header))
        assert caught.value.code == "E-SURVIVORS"
    stop("E-SURVIVORS; the run waits")
