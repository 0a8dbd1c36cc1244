"""A hub that holds the real key, has every message of a first round, and may now do whatever it likes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from isthmus.crypto.sealing import unseal
from isthmus.crypto.shares import SHARE_SIZE, combine
from isthmus.federation.messages import EMPTY, HUB, Author, BytesPayload, Message, Payload, read_all
from isthmus.federation.protocol import site_rounds
from isthmus.federation.protocol.context import Turn
from isthmus.federation.protocol.hub import HubRun, Running
from isthmus.federation.protocol.hub_phases import Asking, Settling
from isthmus.federation.protocol.masking import sealed_for
from isthmus.federation.protocol.site import SiteRun
from isthmus.federation.protocol.sums import Masks, lifted, summed
from isthmus.federation.protocol.survivors import Final, Partial, Place, statement
from isthmus.summary import Summary
from secagg_lab import Lab, lab


class Evil:
    """The first round is masked and waits for its survivors; nothing was signed or opened yet."""

    def __init__(self, directory: Path, sites: int = 4, **options: object) -> None:
        self.lab: Lab = lab(directory, sites, vote=False, **options)
        self.network = self.lab.network()
        self.author = Author(self.lab.mode, self.lab.run, HUB, self.lab.keys[HUB])
        for name in self.network.sites:
            self.network.connect(name)
        while not isinstance(self.phase, Settling):
            self.network.step(next(iter(self.network.links)))
        self.network.links.clear()
        self.asked: Asking = self.phase.asked

    @property
    def hub(self) -> HubRun:
        return self.network.hub

    @property
    def phase(self) -> object:
        return self.hub.state.rounds.phase if isinstance(self.hub.state, Running) else None

    @property
    def turn(self) -> Turn:
        return self.asked.turn

    def site(self, name: str) -> SiteRun:
        return self.network.sites[name]

    def tell(self, site: str, kind: str, header: Mapping[str, object], body: Payload = EMPTY) -> Message:
        """One message, signed by the hub, and the site's one answer."""
        (answer,) = self.site(site).receive(self.author.say(kind, header, body))
        return answer

    def sign(self, site: str, survivors: str, final: bool) -> str:
        """M4."""
        header = {"context": self.turn.name, "survivors": list(survivors), "final": final}
        return self.tell(site, "survivors", header).signature.hex()

    def quorum(self, survivors: str, signatures: Mapping[str, str]) -> dict[str, object]:
        return {"context": self.turn.name, "survivors": list(survivors), "signatures": dict(signatures)}

    def recover(self, site: str, survivors: str, signatures: Mapping[str, str]) -> dict[str, str]:
        """M5: mask keys."""
        return dict(self.tell(site, "recover", self.quorum(survivors, signatures)).header["keys"])

    def open(self, site: str, survivors: str, signatures: Mapping[str, str]) -> dict[str, bytes]:
        """M6: the site's shares of b_i, by giver."""
        givers = [giver for giver in survivors if giver != site]
        sealed = b"".join(sealed_for(self.turn, g, site, self.asked.replies[g].enclosed) for g in givers)
        raw = read_all(self.tell(site, "open", self.quorum(survivors, signatures), BytesPayload(sealed)).body)
        return {g: raw[at * SHARE_SIZE : (at + 1) * SHARE_SIZE] for at, g in enumerate(survivors)}

    def traitor_signs(self, site: str, survivors: str, final: bool) -> str:
        """A traitor signs whatever the hub wishes."""
        place = Place(self.turn.name, self.turn.roster, self.asked.head, bound=False)
        wanted = Final(tuple(survivors)) if final else Partial(tuple(survivors))
        statement_bytes = statement(self.hub._binding, place, wanted)
        return self.lab.keys[site].sign(statement_bytes).hex()

    def traitor_key(self, site: str, target: str) -> str:
        """A traitor's mask key with the target."""
        return self.site(site).state.rounds.circle.mask_key(target, self.turn.context).hex()

    def traitor_share(self, site: str, target: str) -> bytes:
        """A traitor's share of the target's b_i."""
        circle = self.site(site).state.rounds.circle
        sealed = sealed_for(self.turn, target, site, self.asked.replies[target].enclosed)
        return unseal(circle.share_key(target, site, self.turn), sealed, self.turn.context)

    def seed(self, shares: Mapping[str, bytes]) -> bytes:
        """b_i from the shares that sites opened, by site."""
        names = self.lab.names
        return combine({names.index(n) + 1: raw for n, raw in shares.items()}, self.lab.charter.threshold)

    def value(self, target: str, seed: bytes, keys: Mapping[str, str]) -> Summary:
        """One site's own part, from its b_i and its mask keys with all others."""
        return unmasked(self.turn, self.lab.names, target, self.asked.replies[target].body, (seed, keys))

    def truth(self, target: str) -> Summary:
        return self.lab.works[target].part(self.turn.step)


def unmasked(
    turn: Turn, names: Iterable[str], target: str, reply: Payload, found: tuple[bytes, Mapping[str, str]]
) -> Summary:
    seed, keys = found
    order = list(names)
    plus = tuple(bytes.fromhex(keys[n]) for n in order if order.index(n) > order.index(target))
    minus = tuple(bytes.fromhex(keys[n]) for n in order if order.index(n) < order.index(target))
    return summed(turn, lifted(turn, [reply], Masks((seed,), plus, minus)), lambda _: None)


def same(left: Summary, right: Summary) -> bool:
    names = set(left.values) & set(right.values)  # the closing word is not part of what a site says of its rows
    return all(np.array_equal(left.values[name], right.values[name]) for name in names)


def without_quorums(monkeypatch) -> None:
    """Naive sites: they believe the hub that t others signed."""
    monkeypatch.setattr(site_rounds, "check_quorum", lambda *_: None)


def without_standing(monkeypatch) -> None:
    """Naive sites: they do not remember what they signed in this round."""
    monkeypatch.setattr(site_rounds, "check_step", lambda *_: None)
