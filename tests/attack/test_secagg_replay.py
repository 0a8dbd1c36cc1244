"""Attack: the hub asks one round twice. A site that answers the vote afresh masks other words under the same keys:
once both b_i are opened, the difference of the replies tells whether it was this site that refused.

Defence: one masked reply per round and attempt; asked again, a site sends the very same bytes (also after a restart).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from secagg_evil import Evil

from attack import Attack, Say
from isthmus.crypto.ring import subtract_into
from isthmus.disclosure.gate import release_vote
from isthmus.federation.messages import HUB, Message, read_all
from isthmus.federation.protocol.context import turn
from isthmus.federation.protocol.masking import masked
from isthmus.federation.protocol.sums import Masks, lifted
from isthmus.model.errors import Untrusted
from secagg_lab import Drawn, lab

ATTACK = Attack("Replay of a round", "one reply per round, durable; old rounds are not answered", number=17)


def difference(evil: Evil, agrees: bool) -> np.ndarray:
    """Two fresh answers of one site to one vote, their self masks taken off, subtracted."""
    rounds = evil.site("a").state.rounds
    step = evil.lab.script().vote()
    own = turn(rounds.circle.binding, step, evil.lab.names)
    words = []
    for answer in ("first", "second"):
        vote = release_vote(step.layout, [agrees, True], Drawn(f"noise {answer}"))
        draw, seeds = Drawn(f"seed {answer}"), Drawn(f"seed {answer}")
        reply = masked(rounds.circle, own, vote.summary, draw, evil.lab.spools["a"])
        words.append(np.concatenate(list(lifted(own, [reply.body], Masks((seeds(32),))))))
    subtract_into(own.packing, words[0], words[1])
    return words[0]


def test_it_works_on_a_site_that_answers_afresh(leak: Say, tmp_path: Path) -> None:
    evil = Evil(tmp_path)
    assert not difference(evil, agrees=True).any()
    assert difference(evil, agrees=False)[0] != 0  # this site refused the first rung
    leak("whether this site refused")


def vote_question(evil_lab_path: Path):
    made = lab(evil_lab_path)
    network = made.network()
    for name in network.sites:
        network.connect(name)
    while not any(m.kind == "round" for m in network.links.get((HUB, "a"), ())):
        network.step(next(iter(network.links)))
    (asked,) = [m for m in network.links[HUB, "a"] if m.kind == "round"]
    while network.links[HUB, "a"][0].kind != "round":
        network.step((HUB, "a"))
    network.links.clear()
    return made, network, asked


def test_asked_again_the_bytes_are_the_same(stop: Say, tmp_path: Path) -> None:
    made, network, asked = vote_question(tmp_path)
    first = answer(network.sites["a"], asked)
    assert same_bytes(first, answer(network.sites["a"], asked))
    network.sites["a"] = made.site("a")  # with fresh randomness
    assert same_bytes(first, answer(network.sites["a"], asked))
    stop("the same bytes again, after a restart too")


def answer(site, asked: Message) -> Message:
    (reply,) = site.receive(asked) or site.release()
    return reply


def same_bytes(left: Message, right: Message) -> bool:
    parts = (left.header, left.enclosed, left.signature, read_all(left.body))
    return parts == (right.header, right.enclosed, right.signature, read_all(right.body))


def test_an_old_round_is_not_answered_again(tmp_path: Path) -> None:
    network = lab(tmp_path).network()
    old: list[Message] = []
    for name in network.sites:
        network.connect(name)
    while not old or network.hub.progress().opened < 3:
        link = next(iter(network.links))
        if link == (HUB, "a") and network.links[link][0].kind in {"round", "survivors", "open"}:
            old.append(network.links[link][0])
        network.step(link)
    for message in old[:4]:  # of the vote (three) and the first question, now over
        with pytest.raises(Untrusted) as caught:
            network.sites["a"].receive(message)
        assert caught.value.code == "E-REPLAY"
