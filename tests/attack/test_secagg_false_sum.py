"""Attack: the hub answers a round with a sum of its own making, to steer the parameters of the next round.

Defence: sites add up the signed replies themselves (M7) and refuse the round when a signature or a seed does not hold.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from attack import Attack, Say
from isthmus.crypto.ring import pack
from isthmus.federation.memory import Network
from isthmus.federation.messages import HUB, Author, BytesPayload, Message, read_all
from isthmus.federation.protocol import site_rounds
from isthmus.federation.protocol.sums import restored
from isthmus.model.errors import Untrusted
from isthmus.summary import Summary
from secagg_lab import Lab, lab

ATTACK = Attack("A false sum to steer the next round", "sites add up the signed replies themselves")


def second_round(made: Lab) -> tuple[Network, Message]:
    """Up to the question of a second round, which carries the first one's replies."""
    network = made.network()
    for name in network.sites:
        network.connect(name)
    while True:
        link = next(iter(network.links))
        message = network.links[link][0]
        if link == (HUB, "a") and message.kind == "round" and message.header["descriptor"]["round"] == 2:
            return network, message
        network.step(link)


def forged(made: Lab, message: Message, body: bytes, **changes: object) -> Message:
    """The question again with another body (and other facts about its sum), signed by the hub."""
    (block,) = message.header["sums"]
    header = {**message.header, "sums": [{**block, "size": len(body), **changes}]}
    return Author(made.mode, made.run, HUB, made.keys[HUB]).say("round", header, BytesPayload(body))


def test_it_works_on_a_site_that_takes_the_hubs_sum(leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(_binding, turn, _survivors, _block, body, _own):
        return restored(turn, body), read_all(body)

    monkeypatch.setattr(site_rounds, "check_sum", believe)
    made = lab(tmp_path, questions={"model": 2}, vote=False)
    network, message = second_round(made)
    rounds = network.sites["a"].state.rounds
    turn = rounds.current.turn
    honest = made.works["a"].answer(turn.step).summary
    steered = Summary(honest.layout, {**honest.values, "x": honest.values["x"] * 0 + 1e6})
    words = pack(turn.packing, steered, turn.context).astype("<u8").tobytes()
    with pytest.raises(Untrusted, match="another step"):  # the hub's own transcript is not the false one; it could be
        network.sites["a"].receive(forged(made, message, words))
    assert made.works["a"].script.sums["model"][0]["x"][0] == 1e6  # the hub chose the next parameters
    leak("the next parameters are the hub's choice")


CASES = ["another reply", "another seed", "another signature", "a reply left out", "own reply changed", "shorter"]


@pytest.mark.parametrize("case", CASES)
def test_every_false_sum_is_refused(stop: Say, tmp_path: Path, case: str) -> None:
    made = lab(tmp_path, questions={"model": 2}, vote=False)
    network, message = second_round(made)
    with pytest.raises(Untrusted) as caught:
        network.sites["a"].receive(falsified(made, message, case))
    assert caught.value.code == "E-SUM"
    assert made.works["a"].script.sums == {}  # nothing was learned from it
    assert network.sites["a"].receive(message)[0].kind == "masked"  # and the true one is still taken
    stop("E-SUM")


def falsified(made: Lab, message: Message, case: str) -> Message:
    (block,) = message.header["sums"]
    body, replies = bytearray(read_all(message.body)), {k: dict(v) for k, v in block["replies"].items()}
    size = len(body) // 3
    if case == "another reply":
        body[size + 3] ^= 1
    elif case == "own reply changed":
        body[3] ^= 1
    elif case == "another seed":
        replies["b"]["seed"] = "00" * 32
    elif case == "another signature":
        replies["b"]["signature"] = replies["c"]["signature"]
    elif case == "a reply left out":
        del replies["c"]
    else:
        body = body[:-8]
    return forged(made, message, bytes(body), replies=replies)


def test_the_sum_of_another_round_is_refused(tmp_path: Path) -> None:
    made = lab(tmp_path, questions={"model": 2}, vote=False)
    network, message = second_round(made)
    with pytest.raises(Untrusted) as caught:
        network.sites["a"].receive(forged(made, message, read_all(message.body), context="00" * 32))
    assert caught.value.code == "E-ORDER"


def test_a_false_sum_above_one_mebibyte_divides_the_sites(tmp_path: Path) -> None:
    """There the hub's signed sum is taken and the report says so; told to one site only, the next masks do not cancel."""
    made = lab(tmp_path, questions={"model": 2}, vote=False, width=70_000)
    network, message = second_round(made)
    rounds = network.sites["a"].state.rounds
    turn = rounds.current.turn
    words = pack(turn.packing, made.works["a"].answer(turn.step).summary, turn.context).astype("<u8").tobytes()
    with pytest.raises(Untrusted) as caught:
        network.sites["a"].receive(forged(made, message, words))
    assert caught.value.code == "E-CONTEXT"
    assert network.sites["a"].trusted == (("model", 1),)
