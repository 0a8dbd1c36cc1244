"""Attack: a later round's masked replies bring the signatures on its final set. The hub opens b_d with them, and then says
that d is lost and asks for the mask keys k_*d of the same round: both masks of one site.

Defence: a signature is made ahead only where it is the one that can be made: the survivors of the first opened round bind
the run. A site stands by it as by one that it was asked for, and after a restart too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from secagg_evil import same, unmasked, without_quorums, without_standing

from attack import Attack, Say
from isthmus.crypto.shares import SHARE_SIZE, combine
from isthmus.federation.memory import Network
from isthmus.federation.messages import EMPTY, HUB, Author, BytesPayload, Message, Payload, read_all
from isthmus.federation.protocol.context import Turn
from isthmus.federation.protocol.hub import Concluded
from isthmus.federation.protocol.hub_phases import Asking, Opening
from isthmus.federation.protocol.masking import SEALED_SIZE, sealed_for, signed_ahead
from isthmus.federation.protocol.records import Head
from isthmus.federation.protocol.site import SiteRun
from isthmus.federation.protocol.site_rounds import Rounds
from isthmus.federation.protocol.survivors import Partial, Place, statement
from isthmus.model.errors import Untrusted
from secagg_lab import Lab, lab

ATTACK = Attack("Both masks of a site that signed ahead", "signed ahead where no other set can be signed")


class Later:
    """The second round is masked at every site; the hub has all replies, and asks whatever it likes."""

    def __init__(self, directory: Path) -> None:
        self.lab: Lab = lab(directory, 4, questions={"count": 1, "again": 1}, vote=False)
        self.network: Network = self.lab.network()
        self.author = Author(self.lab.mode, self.lab.run, HUB, self.lab.keys[HUB])
        for name in self.network.sites:
            self.network.connect(name)
        while not (isinstance(self.phase, Opening) and self.phase.asked.turn.step.question == "again"):
            self.network.step(next(iter(self.network.links)))
        self.asked: Asking = self.phase.asked
        self.network.links.clear()

    @property
    def phase(self) -> object:
        state = self.network.hub.state
        return state.rounds.phase if hasattr(state, "rounds") else None

    def site(self, name: str) -> SiteRun:
        return self.network.sites[name]

    def tell(self, site: str, kind: str, header: Mapping[str, object], body: Payload = EMPTY) -> Message:
        (answer,) = self.site(site).receive(self.author.say(kind, header, body))
        return answer

    def survivors(self, site: str, wanted: str, final: bool) -> Message:
        header = {"context": self.asked.turn.name, "survivors": list(wanted), "final": final}
        return self.tell(site, "survivors", header)

    def quorum(self, wanted: str, signatures: Mapping[str, str]) -> dict[str, object]:
        return {"context": self.asked.turn.name, "survivors": list(wanted), "signatures": dict(signatures)}

    def ahead(self, sites: str) -> dict[str, str]:
        """The signatures that came with the replies."""
        return {site: signed_ahead(self.asked.turn, self.asked.replies[site].enclosed).hex() for site in sites}

    def opened(self, site: str, sites: str, sealed_of_d: bytes | None = None) -> bytes:
        """A site's share of b_d, asked for with the signatures of `sites`."""
        givers = [giver for giver in "abcd" if giver != site]
        turn, replies = self.asked.turn, self.asked.replies
        sealed = [sealed_for(turn, giver, site, replies[giver].enclosed) for giver in givers]
        if sealed_of_d is not None:
            sealed[givers.index("d")] = sealed_of_d
        body = BytesPayload(b"".join(sealed))
        raw = read_all(self.tell(site, "open", self.quorum("abcd", self.ahead(sites)), body).body)
        return raw[3 * SHARE_SIZE :]

    def forged(self, wanted: str) -> dict[str, str]:
        """Signatures on a set without d, were these sites traitors."""
        place = Place(self.asked.turn.name, self.asked.turn.roster, self.asked.head, bound=False)
        signed = statement(self.network.hub._binding, place, Partial(tuple(wanted)))
        return {site: self.lab.keys[site].sign(signed).hex() for site in wanted}


def test_it_works_on_sites_that_do_not_stand_by_it(leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_quorums(monkeypatch)
    without_standing(monkeypatch)
    later = Later(tmp_path)
    shares = {later.lab.names.index(site) + 1: later.opened(site, "abcd") for site in "abc"}
    seed = combine(shares, later.lab.charter.threshold)
    header = later.quorum("abc", {})
    keys = {site: later.tell(site, "recover", header).header["keys"]["d"] for site in "abc"}
    found = unmasked(later.asked.turn, later.lab.names, "d", later.asked.replies["d"].body, (seed, keys))
    assert same(found, later.lab.works["d"].part(later.asked.turn.step))
    leak("one site's sum opened")


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_no_other_set_is_signed_or_recovered(stop: Say, tmp_path: Path, restart: bool, before: bool) -> None:
    """Whether the hub asks before or after it opened what was signed ahead."""
    later = Later(tmp_path)
    if not before:
        assert all(later.opened(site, "abcd") for site in "abc")
    for site in "abc":
        if restart:
            later.network.sites[site] = later.lab.site(site)
        for final in (False, True):
            with pytest.raises(Untrusted) as caught:
                later.survivors(site, "abc", final)
            assert caught.value.code == "E-SURVIVORS"
        with pytest.raises(Untrusted) as caught:  # even if t sites had signed it
            later.tell(site, "recover", later.quorum("abc", later.forged("abc")))
        assert caught.value.code == "E-SURVIVORS"
    stop("E-SURVIVORS, after a restart too")


def test_asked_again_a_site_gives_the_signature_that_it_gave(tmp_path: Path) -> None:
    later = Later(tmp_path)
    ahead = later.ahead("abcd")
    for site in "abcd":
        later.network.sites[site] = later.lab.site(site)
        assert later.survivors(site, "abcd", final=True).signature.hex() == ahead[site]


def test_without_the_reply_of_one_site_nothing_is_opened(tmp_path: Path) -> None:
    """t signatures are there before d has answered, its sealed shares are not."""
    later = Later(tmp_path)
    with pytest.raises(Untrusted) as caught:
        later.opened("a", "abc", sealed_of_d=bytes(SEALED_SIZE))
    assert caught.value.code == "E-SEAL"


def test_fewer_signatures_than_the_threshold_open_nothing(tmp_path: Path) -> None:
    later = Later(tmp_path)
    with pytest.raises(Untrusted) as caught:
        later.opened("a", "ab")
    assert caught.value.code == "E-QUORUM"


def test_the_first_round_is_not_signed_ahead(tmp_path: Path) -> None:
    """There the lost may still be dropped: a signature made ahead would stand in the way, or be broken."""
    made = lab(tmp_path, 4, vote=False)
    network = made.network()
    for name in network.sites:
        network.connect(name)
    while not (waiting := [m for m in network.links.get(("a", HUB), ()) if m.kind == "masked"]):
        network.step(next(iter(network.links)))
    assert len(waiting[0].enclosed) == 3 * SEALED_SIZE


@pytest.mark.parametrize("liar", ["a", "d"])
@pytest.mark.parametrize("ahead", [False, True])
def test_a_signature_that_does_not_hold_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, liar: str, ahead: bool
) -> None:
    """Signed ahead or when asked, and asked again: the others refuse the quorum, and the hub goes on with those that hold."""
    signed, sent = Rounds._ahead, Rounds.survivors

    def forged_ahead(rounds: Rounds, own: Turn, head: Head) -> bytes:
        made = signed(rounds, own, head)
        return bytes(len(made)) if ahead and rounds.circle.me == liar else made

    def forged(rounds: Rounds, message: Message) -> tuple[Message, ...]:
        made = sent(rounds, message)
        return tuple(replace(m, signature=bytes(64)) for m in made) if rounds.circle.me == liar else made

    monkeypatch.setattr(Rounds, "_ahead", forged_ahead)
    monkeypatch.setattr(Rounds, "survivors", forged)
    network = lab(tmp_path, 4, questions={"count": 1, "again": 1}, vote=False).network()
    for name in network.sites:
        network.connect(name)
    for _ in range(500):
        if network.links:
            network.step(next(iter(network.links)))
    assert isinstance(network.hub.state, Concluded)
    assert {each.error.code for each in network.refusals if each.receiver != HUB} <= {"E-QUORUM"}
