"""Attack: somebody between hub and site (a proxy that opens TLS, say) changes messages on the way.

Defence: every message is signed by its author's pinned identity. The checksum is none: its factors are public.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attack import Attack, Say
from isthmus.crypto.ring import Checksum
from isthmus.federation.memory import Network
from isthmus.federation.messages import HUB, BytesPayload, Message, read_all
from isthmus.federation.protocol import hub_rounds
from isthmus.federation.protocol.context import Turn
from isthmus.model.errors import Untrusted
from secagg_lab import Lab, lab

ATTACK = Attack("Messages altered on the way", "signature on every message")


def until(network: Network, link: tuple[str, str], kind: str) -> Message:
    """Deliver until a message of this kind is next on this link; it is taken off."""
    for name in network.sites:
        network.connect(name)
    while True:
        first = next(iter(network.links))
        if first == link and network.links[link][0].kind == kind:
            message = network.links[link].popleft()
            if not network.links[link]:
                del network.links[link]
            return message
        network.step(first)


def five_more(message: Message, turn: Turn) -> Message:
    """The site's first count grows by 5, and the checksum with it."""
    words = np.frombuffer(read_all(message.body), dtype="<u8").copy()
    at = next(s.start for s in turn.packing.segments if s.coding == "whole")
    unit = np.zeros(at - 5 + 1, dtype=np.uint64)  # five numbers come first, one factor each
    unit[5] = 1
    checksum = Checksum(turn.context)
    checksum.feed(unit)
    words[at : at + 1] += np.uint64(5)
    words[-1:] += np.uint64(5 * checksum.value % 2**64)
    return replace(message, body=BytesPayload(words.tobytes()))


def changed(made: Lab) -> tuple[Network, Message]:
    network = made.network()
    message = until(network, ("b", HUB), "masked")
    return network, five_more(message, network.sites["b"].state.rounds.current.turn)


def test_it_works_where_signatures_are_not_checked(leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_rounds, "check_signature", lambda *_: None)
    made = lab(tmp_path, questions={"count": 1}, vote=False)
    network, message = changed(made)
    network.deliver(HUB, message)
    network.settle()
    (learned,) = network.hub._work.script.sums["count"]
    assert learned.values["n_count"][0] == sum(round(made.value(name)) for name in made.names) + 5
    leak("a total moved by 5")


def test_the_hub_refuses_an_altered_reply(stop: Say, tmp_path: Path) -> None:
    network, message = changed(lab(tmp_path, questions={"count": 1}, vote=False))
    with pytest.raises(Untrusted) as caught:
        network.hub.receive(message)
    assert caught.value.code == "E-SIGNATURE"
    stop("E-SIGNATURE")


@pytest.mark.parametrize("part", ["header", "body", "enclosed", "signature", "kind"])
@pytest.mark.parametrize("kind", ["roster", "paired", "round", "survivors", "open", "conclude"])
def test_a_site_refuses_every_altered_part(tmp_path: Path, kind: str, part: str) -> None:
    network = lab(tmp_path, questions={"count": 1}).network()
    message = until(network, (HUB, "a"), kind)
    flipped = bytes([message.signature[0] ^ 1]) + message.signature[1:]
    forged = {
        "header": replace(message, header={**message.header, "more": 1}),
        "body": replace(message, body=BytesPayload(read_all(message.body) + b"x")),
        "enclosed": replace(message, enclosed=b"x"),
        "signature": replace(message, signature=flipped),
        "kind": replace(message, kind="stop"),
    }[part]
    with pytest.raises(Untrusted) as caught:
        network.sites["a"].receive(forged)
    assert caught.value.code == "E-SIGNATURE"
    assert network.sites["a"].refusal(caught.value) == ()  # a stray message is no matter of the run


def test_altered_answers_are_found_and_asked_for_again(tmp_path: Path) -> None:
    """M4 and M6 answers are not verified one by one; an altered one is found when it does not fit, and replaced."""
    network = lab(tmp_path, questions={"count": 1}).network()
    message = until(network, ("b", HUB), "agree")
    network.deliver(HUB, replace(message, signature=bytes(64)))
    network.settle()
    assert type(network.hub.state).__name__ == "Concluded"
    again = lab(tmp_path / "again", questions={"count": 1}).network()
    message = until(again, ("c", HUB), "shares")
    again.deliver(HUB, replace(message, body=BytesPayload(bytes(message.body.size))))
    again.settle()
    assert type(again.hub.state).__name__ == "Concluded"
