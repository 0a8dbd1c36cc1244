"""Any party may be killed at any entry of its journal: restarted, the run ends with the same bits and one ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.federation.memory import Network
from isthmus.federation.messages import HUB
from isthmus.federation.protocol.hub import Concluded
from isthmus.federation.protocol.journal import MemoryJournal
from secagg_lab import CutJournal, Killed, Lab, lab

QUESTIONS = {"count": 1, "model": 2}
ENTRIES = {
    "a": 3 + 2 * 4 + 1,  # keys, pairs, paired; masked and signed of four rounds; ended
    "c": 3 + 2 * 4 + 1,
    HUB: 3 + 1 + 4 + 2,  # begun, roster, paired; the first round's survivors; four opened sums; signed, concluded
}


def revive(made: Lab, network: Network | None, party: str) -> Network:
    """Start a killed party again from what its journal holds."""
    made.journals[party] = MemoryJournal(made.journals[party].entries)
    if network is None:
        return made.network()
    if party == HUB:
        network.hub = made.hub()
        for site in network.sites:
            network.connect(site)
    else:
        network.sites[party] = made.site(party)
        network.connect(party)
    return network


def run_with_kill(made: Lab, party: str, at: int, after: bool) -> tuple[Network, bool]:
    """Run to the end; the named party is killed once at its `at`-th journal entry."""
    made.journals[party] = CutJournal((), at, after)
    killed = False
    network: Network | None = None
    try:
        network = made.network()
        network.run()
    except Killed:
        killed = True
        network = revive(made, network, party)
        network.run()
    return network, killed


def outcome(network: Network):
    state = network.hub.state
    assert isinstance(state, Concluded), state
    return state.result, state.transcript


def events(made: Lab) -> list[str]:
    log = made.store.read(0, made.store.size())
    return [raw.split(b'"event":"')[1].split(b'"')[0].decode() for raw in log]


def plain_outcome(tmp_path: Path, sites: int):
    network = lab(tmp_path / "plain", sites, questions=QUESTIONS).network()
    network.run()
    return outcome(network)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("party", [*ENTRIES])
def test_kill_at_every_journal_entry(tmp_path: Path, party: str, after: bool) -> None:
    expected = plain_outcome(tmp_path, 3)
    for at in range(ENTRIES[party] + 1):
        made = lab(tmp_path / str(at), 3, questions=QUESTIONS)
        network, killed = run_with_kill(made, party, at, after)
        assert killed == (at < ENTRIES[party])  # two durable writes per site and round, one at the hub, no more
        assert outcome(network) == expected, at
        assert events(made) == ["study", *["round"] * 4, "release"]
        assert all(type(site.state).__name__ == "Concluded" for site in network.sites.values()), at


@pytest.mark.parametrize("party", ["a", HUB])
def test_kill_during_recovery(tmp_path: Path, party: str) -> None:
    """A site drops in the first round, and a party is killed at every entry: same bits as without the kill."""
    expected = with_a_dropout(lab(tmp_path / "plain", 4, questions=QUESTIONS), None, 0)
    for at in range(3, 14):
        made = lab(tmp_path / str(at), 4, questions=QUESTIONS)
        assert with_a_dropout(made, party, at) == expected, at
        assert events(made) == ["study", *["round"] * 4, "release"]


def deaf(made: Lab) -> bool:
    """Site d hears nothing after its keys were exchanged."""
    return made.journals["d"].entries[-1][0] == "paired"


def with_a_dropout(made: Lab, party: str | None, at: int):
    if party:
        made.journals[party] = CutJournal((), at, after=at % 2 == 0)
    network = made.network()
    for site in network.sites:
        network.connect(site)
    deadlines = 2
    for _ in range(1000):
        try:
            if not network.links and deadlines and deaf(made):
                deadlines -= 1  # the others have answered the first round; a killed hub's deadline runs again
                network.send(network.hub.expired())
            if not network.links:
                break
            network.step(next(iter(network.links)))
        except Killed:
            network = revive(made, network, party or "")
        if deaf(made):
            network.links.pop((HUB, "d"), None)
    return outcome(network)


def test_kill_between_messages(tmp_path: Path) -> None:
    """A party is killed after some number of deliveries: its memory is lost, its journal whole."""
    expected = plain_outcome(tmp_path, 3)
    count = 0
    for at in range(0, 160, 5):
        made = lab(tmp_path / f"m{at}", 3, questions=QUESTIONS)
        network = made.network()
        for site in network.sites:
            network.connect(site)
        for _ in range(at):
            if network.links:
                network.step(next(iter(network.links)))
        count += bool(network.links)
        party = (HUB, "a", "b", "c")[at % 4]
        network = revive(made, network, party)
        network.settle()
        assert outcome(network) == expected, at
    assert count > 10
