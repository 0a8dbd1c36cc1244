"""Attack: replies of later rounds have no mask of their own. A hub that gets the mask keys k_*d of such a round has d's sum,
and so has one that adds up replies to different heads of its ledger.

Defence: the survivors of the first opened round bind the run, so that no site reveals a mask key any more, after a restart
neither; mask keys are bound to the head of the hub's ledger that came with the question.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from secagg_evil import same, without_quorums, without_standing

from attack import Attack, Say
from isthmus.crypto.keys import SIGNATURE_SIZE
from isthmus.federation.memory import Network
from isthmus.federation.messages import EMPTY, HUB, Author, Message, Payload, compact, read_all
from isthmus.federation.protocol import masking
from isthmus.federation.protocol.context import Turn, turn
from isthmus.federation.protocol.hub import Concluded
from isthmus.federation.protocol.hub_phases import Asking
from isthmus.federation.protocol.records import Head
from isthmus.federation.protocol.site import SiteRun
from isthmus.federation.protocol.site_rounds import Rounds
from isthmus.federation.protocol.sums import Masks, lifted, summed
from isthmus.federation.protocol.survivors import Final, Partial, Place, statement
from isthmus.ledger.log import Log
from isthmus.model.canonical import plain
from isthmus.model.errors import Untrusted
from isthmus.summary import Summary
from secagg_lab import NOW, Lab, lab

ATTACK = Attack("The mask keys of a bound round", "no site reveals one; they are bound to the ledger's head too")


Shown: TypeAlias = "Callable[[Later, str], Mapping[str, object]]"  # what the hub says otherwise to a site


class Later:
    """The second round is asked, and every site has masked its reply; the hub may do whatever it likes."""

    def __init__(self, directory: Path, shown: Shown = lambda *_: {}) -> None:
        self.lab: Lab = lab(directory, 4, questions={"count": 1, "again": 1, "more": 1}, vote=False)
        self.network: Network = self.lab.network()
        self.author = Author(self.lab.mode, self.lab.run, HUB, self.lab.keys[HUB])
        for name in self.network.sites:
            self.network.connect(name)
        while not (isinstance(self.phase, Asking) and self.phase.turn.step.question == "again"):
            self.network.step(next(iter(self.network.links)))
        self.asked: Asking = self.phase
        (self.question,) = self.asked.messages.values()
        self.network.links.clear()
        self.replies = {site: self.ask(site, shown(self, site)) for site in self.lab.names}

    @property
    def phase(self) -> object:
        state = self.network.hub.state
        return state.rounds.phase if hasattr(state, "rounds") else None

    @property
    def turn(self) -> Turn:
        return self.asked.turn

    def ask(self, site: str, changes: Mapping[str, object]) -> Message:
        return self.tell(site, "round", {**self.question.header, **changes}, self.question.body)

    def tell(self, site: str, kind: str, header: Mapping[str, object], body: Payload = EMPTY) -> Message:
        (answer,) = self.network.sites[site].receive(self.author.say(kind, header, body))
        return answer

    def survivors(self, site: str, wanted: str, final: bool) -> Message:
        header = {"context": self.turn.name, "survivors": list(wanted), "final": final}
        return self.tell(site, "survivors", header)

    def recover(self, site: str, wanted: str) -> dict[str, str]:
        """M5, with the signatures of traitors."""
        place = Place(self.turn.name, self.turn.roster, self.asked.head, bound=False)
        signed = statement(self.network.hub._binding, place, Partial(tuple(wanted)))
        signatures = {name: self.lab.keys[name].sign(signed).hex() for name in wanted}
        header = {"context": self.turn.name, "survivors": list(wanted), "signatures": signatures}
        return dict(self.tell(site, "recover", header).header["keys"])

    def asked_more(self, site: str) -> Message:
        """The next round, shown the head of this one: it continues itself."""
        own = turn(self.network.hub._binding, self.lab.works[site].step("more", 1), self.turn.roster)
        head = self.question.header["head"]
        signatures = {name: reply.enclosed.hex() for name, reply in self.replies.items()}
        previous = {"context": self.turn.name, "survivors": list(self.turn.roster), "signatures": signatures}
        told = {"descriptor": plain(own.descriptor), "head": head, "old": head["size"], "proof": [], "sums": []}
        return self.tell(site, "round", {**told, "previous": previous})

    def opened(self, sites: Iterable[str], masks: Masks) -> Summary:
        return summed(self.turn, lifted(self.turn, [self.replies[site].body for site in sites], masks), lambda _: None)

    def truth(self, site: str) -> Summary:
        return self.lab.works[site].part(self.turn.step)


def keys_of_d(later: Later) -> Masks:
    """What d took off, it being the last of all."""
    return Masks((), (), tuple(bytes.fromhex(later.recover(site, "abc")["d"]) for site in "abc"))


def test_it_works_on_sites_that_reveal_mask_keys(leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "bound_context", lambda own, _head: own.context)  # as in a first round
    without_quorums(monkeypatch)
    without_standing(monkeypatch)
    later = Later(tmp_path)
    assert same(later.opened("d", keys_of_d(later)), later.truth("d"))
    leak("one site's sum opened")


def test_what_they_would_reveal_opens_nothing(stop: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """M5 gives keys of the question's own context, which hides no reply of a bound round."""
    without_quorums(monkeypatch)
    without_standing(monkeypatch)
    later = Later(tmp_path)
    masks = keys_of_d(later)
    with pytest.raises(Untrusted) as caught:
        later.opened("d", masks)
    assert caught.value.code == "E-CHECKSUM"
    stop("other keys than those of the reply: E-CHECKSUM")


@pytest.mark.parametrize("restart", [False, True])
def test_no_other_set_is_signed_or_recovered(stop: Say, tmp_path: Path, restart: bool) -> None:
    later = Later(tmp_path)
    for site in "abc":
        if restart:
            later.network.sites[site] = later.lab.site(site)
        for final in (False, True):
            with pytest.raises(Untrusted) as caught:
                later.survivors(site, "abc", final)
            assert caught.value.code == "E-SURVIVORS"
        with pytest.raises(Untrusted) as caught:  # even if t sites had signed it
            later.recover(site, "abc")
        assert caught.value.code == "E-SURVIVORS"
    stop("E-SURVIVORS, after a restart too")


def bound_to(monkeypatch: pytest.MonkeyPatch, *what: str) -> None:
    """Naive sites, whose mask keys know a part of what they should."""

    def context(own: Turn, head: Head) -> bytes:
        parts = {"context": own.name, "size": head.size, "root": head.root}
        return hashlib.sha256(compact([parts[name] for name in what])).digest()

    monkeypatch.setattr(masking, "bound_context", context)


def repeats(later: Later) -> bool:
    """Whether two rounds of a site have one mask: of equal high words it shows."""
    one, other = (np.frombuffer(read_all(m.body), dtype="<u8") for m in (later.replies["a"], later.asked_more("a")))
    return bool(np.array_equal(one[:2], other[:2]))


def test_it_works_where_two_rounds_have_one_mask(leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound_to(monkeypatch, "size", "root")
    assert repeats(Later(tmp_path))
    leak("the difference of two rounds' sums at a site")


def test_rounds_shown_one_ledger_have_masks_of_their_own(stop: Say, tmp_path: Path) -> None:
    assert not repeats(Later(tmp_path))
    stop("other masks each round")


def fork(later: Later, site: str) -> dict[str, object]:
    """Two ledgers of one size, each a true continuation of what sites hold: half of the sites is shown either."""
    log = Log(copy.deepcopy(later.lab.store), "hub.example/log", lambda: NOW)
    log.append("decision", {"run": "other", "decision": "x" if site in "ab" else "y"})
    head, proof = log.head(), log.consistency(later.question.header["old"], log.head().size)
    return {"head": {"size": head.size, "root": head.root.hex()}, "proof": [step.hex() for step in proof]}


def test_it_works_where_masks_are_bound_to_the_ledgers_size(
    leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound_to(monkeypatch, "context", "size")
    later = Later(tmp_path, fork)
    assert np.allclose(later.opened("abcd", Masks(()))["x"], sum(later.truth(site)["x"] for site in "abcd"))
    leak("a sum of sites that were shown two ledgers")


def test_replies_to_two_ledgers_do_not_add_up(stop: Say, tmp_path: Path) -> None:
    later = Later(tmp_path, fork)
    with pytest.raises(Untrusted) as caught:
        later.opened("abcd", Masks(()))
    assert caught.value.code == "E-CHECKSUM"
    stop("masks do not cancel: E-CHECKSUM")


def test_all_replies_together_are_the_sum(tmp_path: Path) -> None:
    later = Later(tmp_path)
    found = later.opened("abcd", Masks(()))
    assert np.allclose(found["x"], sum(later.truth(site)["x"] for site in "abcd"), rtol=1e-15)


@pytest.mark.parametrize("sites", ["d", "ab", "abc"])
def test_fewer_replies_open_nothing(tmp_path: Path, sites: str) -> None:
    with pytest.raises(Untrusted) as caught:
        Later(tmp_path).opened(sites, Masks(()))
    assert caught.value.code == "E-CHECKSUM"


def test_asked_again_a_site_sends_the_same_bytes(tmp_path: Path) -> None:
    """And gives the signature that it gave."""
    later = Later(tmp_path)
    for site, first in later.replies.items():
        later.network.sites[site] = later.lab.site(site)
        again = later.ask(site, {})
        assert (again.signature, again.body.sha256) == (first.signature, first.body.sha256)
        assert later.survivors(site, "abcd", final=True).signature == again.enclosed


def test_there_is_nothing_to_open(tmp_path: Path) -> None:
    later = Later(tmp_path)
    signatures = {site: reply.enclosed.hex() for site, reply in later.replies.items()}
    header = {"context": later.turn.name, "survivors": list("abcd"), "signatures": signatures}
    with pytest.raises(Untrusted) as caught:
        later.tell("a", "open", header)
    assert caught.value.code == "E-ORDER"


def test_the_first_round_has_masks_of_its_own(tmp_path: Path) -> None:
    """There a site may still be lost, and its mask keys revealed."""
    made = lab(tmp_path, 4, vote=False)
    network = made.network()
    for name in network.sites:
        network.connect(name)
    while not (waiting := [m for m in network.links.get(("a", HUB), ()) if m.kind == "masked"]):
        network.step(next(iter(network.links)))
    assert waiting[0].header["commitment"]
    assert len(waiting[0].enclosed) == 3 * masking.SEALED_SIZE


@pytest.mark.parametrize("liar", ["a", "d"])
def test_a_signature_that_does_not_hold_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, liar: str
) -> None:
    """In the first round, and asked again: the others refuse the quorum, and the hub goes on with those that hold."""
    sent = Rounds.survivors

    def forged(rounds: Rounds, message: Message) -> tuple[Message, ...]:
        made = sent(rounds, message)
        return tuple(replace(m, signature=bytes(64)) for m in made) if rounds.circle.me == liar else made

    monkeypatch.setattr(Rounds, "survivors", forged)
    network = lab(tmp_path, 4, questions={"count": 1, "again": 1}, vote=False).network()
    run(network)
    assert isinstance(network.hub.state, Concluded)
    assert {each.error.code for each in network.refusals if each.receiver != HUB} <= {"E-QUORUM"}


def run(network: Network) -> None:
    """At most so many messages: a hub and sites that ask each other without end do not hold up this test."""
    for name in network.sites:
        network.connect(name)
    for _ in range(500):
        if network.links:
            network.step(next(iter(network.links)))


FAULTS = {
    "a signature that does not hold": ({"enclosed": bytes(SIGNATURE_SIZE)}, "E-SIGNATURE"),
    "no signature": ({"enclosed": b""}, "E-REPLY"),
    "shares": ({"enclosed": bytes(3 * masking.SEALED_SIZE)}, "E-REPLY"),
    "a commitment": ({"commitment": "ab" * 32}, "E-REPLY"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_hub_refuses_a_reply_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """And waits for the site, whose right reply it takes."""
    changes, code = FAULTS[fault]
    made = lab(tmp_path, 4, questions={"count": 1, "again": 1}, vote=False)
    author, received = Author(made.mode, made.run, "b", made.keys["b"]), SiteRun.receive

    def spoilt(site: SiteRun, message: Message) -> tuple[Message, ...]:
        return tuple(changed(m) if bad(m) else m for m in received(site, message))

    def bad(m: Message) -> bool:
        return m.sender == "b" and m.kind == "masked" and not m.header["commitment"]

    def changed(m: Message) -> Message:
        header = {**m.header, "commitment": changes.get("commitment", "")}
        return author.say("masked", header, m.body, changes.get("enclosed", m.enclosed))

    network = made.network()
    monkeypatch.setattr(SiteRun, "receive", spoilt)
    run(network)
    assert {each.error.code for each in network.refusals} == {code}
    assert network.hub.progress().awaited == ("b",)
    monkeypatch.setattr(SiteRun, "receive", received)
    run(network)
    assert isinstance(network.hub.state, Concluded)
    assert Final(network.hub.state.survivors) == Final(tuple("abcd"))


def test_a_question_that_leaves_out_how_the_last_round_ended_is_refused(tmp_path: Path) -> None:
    """After one that a site settled by and then refused: its journal would not know what binds the run."""
    made = lab(tmp_path, 4, questions={"count": 1, "again": 1}, vote=False)
    network = made.network()
    for name in network.sites:
        network.connect(name)
    while not (asked := [m for m in network.links.get((HUB, "a"), ()) if m.kind == "round" and "previous" in m.header]):
        network.step(next(iter(network.links)))
    (asked,), hub, site = asked, Author(made.mode, made.run, HUB, made.keys[HUB]), network.sites["a"]
    for header, code in (
        ({**asked.header, "old": 7}, "E-LEDGER"),
        ({name: value for name, value in asked.header.items() if name != "previous"}, "E-ORDER"),
    ):
        with pytest.raises(Untrusted) as caught:
            site.receive(hub.say("round", header, asked.body))
        assert caught.value.code == code
    network.settle()
    assert isinstance(network.hub.state, Concluded)
