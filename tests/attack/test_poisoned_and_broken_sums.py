"""Attack 23: a site sends garbage, by a wrong key or on purpose.

A wrong key makes masks that do not cancel: the sum is noise, and a model would be fitted to it. Defence: a masked
checksum over every sum. What a dishonest site says of its own rows cannot be proven; what it could do to others is
bounded by their own gates, since each steered round is weighed there (see the steered parameters).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from secagg_evil import Evil

from attack import Attack, Say
from isthmus.federation.messages import BytesPayload
from isthmus.federation.protocol.masking import Circle, masked
from isthmus.federation.protocol.sums import Masks, lifted, summed
from isthmus.model.errors import Untrusted
from secagg_lab import Drawn

ATTACK = Attack(
    "Poisoning: a wrong key, a false number", "checksum in every sum; each site weighs each round", number=23
)


def words(evil: Evil, broken: str) -> np.ndarray:
    """What the hub adds up when one site holds a wrong secret with its peers."""
    bodies, seeds = [], []
    for name in evil.lab.names:
        circle = evil.site(name).state.rounds.circle
        if name == broken:
            circle = Circle(
                circle.binding, circle.me, circle.roster, {peer: Drawn(peer)(32) for peer in circle.secrets}
            )
        own = evil.lab.works[name].answer(evil.turn.step).summary
        reply = masked(circle, evil.turn, own, Drawn(name), evil.lab.spools["a"])
        bodies.append(BytesPayload(b"".join(reply.body.chunks())))
        seeds.append(Drawn(name)(32))
    return np.concatenate(list(lifted(evil.turn, bodies, Masks(tuple(seeds)))))


def test_bare_a_sum_without_a_checksum_is_taken(leak: Say, tmp_path: Path) -> None:
    evil = Evil(tmp_path, 3)
    good, bad = words(evil, broken=""), words(evil, broken="b")
    assert np.mean(good != bad) > 0.9  # nearly every word is noise, and nothing says so
    leak("a model of uniform noise")


def test_the_checksum_does_not_hold(stop: Say, tmp_path: Path) -> None:
    evil = Evil(tmp_path, 3)
    summed(evil.turn, iter([words(evil, broken="")]), lambda _: None)
    with pytest.raises(Untrusted) as caught:
        summed(evil.turn, iter([words(evil, broken="b")]), lambda _: None)
    assert caught.value.code == "E-CHECKSUM"
    stop("E-CHECKSUM; nothing is learned from it")
