"""Attack: the hub puts another question to one site only, and subtracts the sum it already has.

Defences: every site derives each step itself and refuses another one; and the mask keys are bound to the step, so the
replies of sites that were asked different things do not add up to anything.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from secagg_evil import Evil

from attack import Attack, Say
from isthmus.crypto.masking import mask_key
from isthmus.federation.messages import HUB, Author, BytesPayload, Message
from isthmus.federation.protocol.charter import Step
from isthmus.federation.protocol.context import turn
from isthmus.federation.protocol.masking import Circle, masked
from isthmus.federation.protocol.sums import Masks, lifted, summed
from isthmus.model.errors import Untrusted
from isthmus.summary import Summary
from secagg_lab import Drawn, lab

ATTACK = Attack("Another question to one site", "the step enters the mask keys; sites derive each step", number=15)


class Unbound(Circle):
    """A naive site: its mask keys are the same whatever is asked."""

    def mask_key(self, peer: str, bound_to: bytes) -> bytes:
        return mask_key(self.secrets[peer], b"the same for every question")


def part(step: Step, values: tuple[float, ...]) -> Summary:
    x = np.array(values, dtype=np.float64)
    agree = np.zeros(1, dtype=np.uint64)
    return Summary(step.layout, {"x": x, "n_count": np.array([0, 0], dtype=np.int64), "agree": agree})


def asked_apart(evil: Evil, naive: bool) -> tuple[Summary, Summary]:
    """The sum of one question over all sites; then the same again, but another question for a alone."""
    step = evil.turn.step
    other = replace(step, transcript="another question")
    sums = []
    for steps in ({"a": step}, {"a": other}):
        bodies, seeds = [], []
        for at, name in enumerate(evil.lab.names):
            circle = evil.site(name).state.rounds.circle
            if naive:
                circle = Unbound(circle.binding, circle.me, circle.roster, circle.secrets)
            own = turn(circle.binding, steps.get(name, step), evil.lab.names)
            shown = (1.0, 2.0, 3.0, 4.0, 5.0) if own.step is step else (1.0, 2.0, 3.0, 4.0, 123.456)
            seed = f"{name} {own.name}"
            reply = masked(
                circle, own, part(own.step, shown if at == 0 else (7.0,) * 5), Drawn(seed), evil.lab.spools["a"]
            )
            same = BytesPayload(b"".join(reply.body.chunks()))
            bodies.append(same)
            seeds.append(Drawn(seed)(32))
        words = np.concatenate(list(lifted(evil.turn, bodies, Masks(tuple(seeds)))))
        sums.append(words)
    return sums[0], sums[1]


def test_it_works_where_masks_are_not_bound_to_the_question(leak: Say, tmp_path: Path) -> None:
    first, second = asked_apart(Evil(tmp_path, 3), naive=True)
    high = (second[9] - first[9]).view(np.int64)  # the whole part of the fifth number
    assert high == 118  # 123.456 - 5
    leak("one site's number, exactly")


def test_bound_masks_do_not_cancel(stop: Say, tmp_path: Path) -> None:
    evil = Evil(tmp_path, 3)
    _, second = asked_apart(evil, naive=False)
    with pytest.raises(Untrusted) as caught:
        summed(evil.turn, iter([second]), lambda _: None)
    assert caught.value.code == "E-CHECKSUM"
    stop("masks do not cancel: E-CHECKSUM")


def question(tmp_path: Path, number: int):
    """The `number`-th question as the hub puts it to a, and a hub to put others."""
    made = lab(tmp_path, questions={"count": 1, "model": 3})
    network = made.network()
    for name in network.sites:
        network.connect(name)
    while True:
        link = next(iter(network.links))
        message = network.links[link][0]
        if link == (HUB, "a") and message.kind == "round":
            number -= 1
            if number == 0:
                return network.sites["a"], message, Author(made.mode, made.run, HUB, made.keys[HUB])
        network.step(link)


CHANGES = {
    "question": ("curve", "E-STEP"),
    "round": (2, "E-STEP"),
    "kind": ("gram", "E-CONTEXT"),
    "attempt": (2, "E-CONTEXT"),
    "roster": (["a", "b"], "E-CONTEXT"),
    "layout": ("sha256:" + "0" * 64, "E-CONTEXT"),
    "transcript": ("sha256:" + "0" * 64, "E-CONTEXT"),
    "policy": ("sha256:laxer", "E-CONTEXT"),
    "study": ("sha256:other", "E-CONTEXT"),
    "charter": ("sha256:other", "E-CONTEXT"),
    "mode": ("federated", "E-CONTEXT"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_site_answers_only_the_step_it_derives(stop: Say, tmp_path: Path, what: str) -> None:
    site, message, hub = question(tmp_path, 3)
    changed, code = CHANGES[what]
    header = {**message.header, "descriptor": {**message.header["descriptor"], what: changed}}
    with pytest.raises(Untrusted) as caught:
        site.receive(hub.say("round", header, message.body))
    assert caught.value.code == code
    assert site.receive(message)[0].kind == "masked"
    stop("another step is refused")


def test_a_round_before_the_last_one_is_settled_is_refused(tmp_path: Path) -> None:
    site, message, hub = question(tmp_path, 3)
    header = {name: value for name, value in message.header.items() if name != "previous"}
    rounds = site.state.rounds
    with pytest.raises(Untrusted) as caught:
        site.receive(hub.say("round", header, message.body))
    assert caught.value.code == "E-ORDER"
    forged = {**message.header["previous"], "signatures": {"b": "00" * 64, "c": "00" * 64, "a": "00" * 64}}
    rounds.current.opened = False  # as if M6 had been lost
    with pytest.raises(Untrusted) as caught:
        site.receive(hub.say("round", {**message.header, "previous": forged}, message.body))
    assert caught.value.code == "E-QUORUM"


def test_nothing_that_is_no_release_is_masked(tmp_path: Path) -> None:
    site, message, _ = question(tmp_path, 2)
    site._work.answer = lambda step: Message(kind="x", mode="m", run="r", sender="s", header={})
    with pytest.raises(Untrusted) as caught:
        site.receive(message)
    assert caught.value.code == "E-GATE"
