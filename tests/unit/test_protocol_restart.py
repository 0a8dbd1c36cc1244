"""Any party may be killed at any entry of its journal: restarted, the run ends with the same bits and one ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.federation.memory import Network
from isthmus.federation.messages import HUB
from isthmus.federation.protocol.hub import Concluded
from isthmus.federation.protocol.journal import MemoryJournal
from isthmus.model.errors import Unavailable, Untrusted
from secagg_lab import CutJournal, Killed, Lab, lab

QUESTIONS = {"count": 1, "model": 2}
ENTRIES = {
    "a": 3 + 2 + 3 + 1,  # keys, pairs, paired; masked and signed of the first round; masked of three more; ended
    "c": 3 + 2 + 3 + 1,
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
    return state.result, [(e.question, e.round, e.sum) for e in state.signed.entries]


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
        assert killed == (at < ENTRIES[party])  # one durable write per party and round after the first
        assert outcome(network) == expected, at
        assert events(made) == ["study", "decision", *["round"] * 4, "release"]
        assert all(type(site.state).__name__ == "Concluded" for site in network.sites.values()), at


@pytest.mark.parametrize("party", ["a", HUB])
def test_kill_during_recovery(tmp_path: Path, party: str) -> None:
    """A site drops in the first round, and a party is killed at every entry: same bits as without the kill."""
    expected = with_a_dropout(lab(tmp_path / "plain", 4, questions=QUESTIONS), None, 0)
    for at in range(3, 14):
        made = lab(tmp_path / str(at), 4, questions=QUESTIONS)
        assert with_a_dropout(made, party, at) == expected, at
        assert events(made) == ["study", "decision", *["round"] * 4, "release"]


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


@pytest.mark.parametrize("party", ["a", HUB])
def test_kill_with_large_replies(tmp_path: Path, party: str) -> None:
    """Above 1 MiB a reply everything lies in spool files; a restarted party finds them again."""
    options = {"questions": {"model": 3}, "width": 70_000, "vote": False}
    whole = lab(tmp_path / "whole", 3, **options).network()
    whole.run()
    for at in (4, 5, 6):
        made = lab(tmp_path / str(at), 3, **options)
        network, killed = run_with_kill(made, party, at, after=True)
        assert killed
        assert outcome(network) == outcome(whole), at


class FullDisk(MemoryJournal):
    """A journal that cannot be written at its n-th new entry."""

    def __init__(self, entries: list[tuple[str, bytes]], at: int) -> None:
        super().__init__(entries)
        self.left = at

    def append(self, key: str, blob: bytes) -> None:
        self.left -= 1
        if self.left < 0:
            raise Unavailable("E-DISK", "the disk is full")
        super().append(key, blob)


@pytest.mark.parametrize("at", [3, 4, 5, 6])
def test_a_full_disk_loses_nothing(tmp_path: Path, at: int) -> None:
    """Nothing leaves that is not durable; with room again, the site goes on from its journal."""
    expected = plain_outcome(tmp_path, 3)
    made = lab(tmp_path / "full", 3, questions=QUESTIONS)
    made.journals["b"] = FullDisk([], at)
    network = made.network()
    network.run()
    assert {refusal.error.code for refusal in network.refusals} == {"E-DISK"}
    assert network.hub.progress().awaited == ("b",)
    network = revive(made, network, "b")
    network.settle()
    assert outcome(network) == expected


def test_a_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    made = lab(tmp_path / "one", 3, questions=QUESTIONS)
    network = made.network()
    for site in network.sites:
        network.connect(site)
    while network.hub.progress().opened < 2:
        network.step(next(iter(network.links)))
    for party in ("a", HUB):
        other = lab(tmp_path / f"other {party}", 3, questions=QUESTIONS, run="sha256:other", vote=False)
        other.keys, other.charter = made.keys, made.charter
        other.journals[party] = MemoryJournal(made.journals[party].entries)
        with pytest.raises((Unavailable, Untrusted)) as caught:
            other.hub() if party == HUB else other.site(party)
        assert caught.value.code in {"E-JOURNAL", "E-STEP"}
    made.journals["a"] = MemoryJournal(made.journals["a"].entries[1:])
    with pytest.raises(Unavailable) as caught:
        made.site("a")
    assert caught.value.code == "E-JOURNAL"


@pytest.mark.parametrize(("after", "refused"), [(True, ["model"]), (False, [])], ids=["after", "before"])
def test_a_refusal_is_as_durable_as_a_reply(tmp_path: Path, after: bool, refused: list[str]) -> None:
    """Killed once its noise is written down, a site sends those bytes, though it would now answer."""
    made = lab(tmp_path, 3, questions=QUESTIONS)
    made.journals["a"] = CutJournal((), 3 + 2 + 1, after)  # the first round of the model
    network = made.network()
    made.works["a"].refuses = frozenset({("model", 1)})
    with pytest.raises(Killed):
        network.run()
    network = revive(made, network, "a")
    network.run()
    assert outcome(network)[0]["refused"] == refused
