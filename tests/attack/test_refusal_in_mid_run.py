"""Who said no? A site that stops in mid-run is seen to stop, and so tells one bit about its own rows.

Through Isthmus a site that cannot answer a round sends noise with a closing word that is not 0. All sums of the round
are noise, the question ends as refused, the run goes on, and the hub cannot tell three runs apart in which another site
refuses. The same for a "no" in the vote.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from refusal_lab import NAMES, alike, larger_cells, run, stricter
from scipy import stats

from attack import Attack, Say
from isthmus.disclosure.gate import refusal
from isthmus.federation.memory import Network
from isthmus.model.errors import Refused
from isthmus.summary import AGREE, Blind, Summary
from secagg_lab import Lab, lab

ATTACK = Attack("Which site refused, seen by the site that stops the run", "a blind refusal of the round; masked vote")
WIDE = 20_000
UNLIKELY = 1e-6


# ---- bare: what is seen of a site that stops


def test_bare_the_hub_sees_who_stops(leak: Say, tmp_path: Path):
    network = lab(tmp_path).network()
    work = network.sites["b"]._work
    answer = work.answer

    def stop(step):
        if (step.question, step.round) == ("model", 2):
            raise Refused("E-DISCLOSURE", "no")
        return answer(step)

    work.answer = stop
    heard = []
    receive = network.hub.receive
    network.hub.receive = lambda message: (heard.append((message.sender, message.kind)), receive(message))[1]
    network.run()
    assert [sender for sender, kind in heard if kind == "refuse"] == ["b"]
    leak("the name of the site, and that its rows broke a rule in this round")


def opened(made: Lab, network: Network) -> tuple[Summary, list[str]]:
    """The hub's sum of the first round of `model`, and what ended as refused."""
    sums = []
    work = network.hub._work
    learn = work.learn
    work.learn = lambda step, pooled, survivors: (sums.append((step, pooled)), learn(step, pooled, survivors))[1]
    network.run()
    pooled = next(pooled for step, pooled in sums if step.question == "model")
    return pooled, made.works["a"].script.refused


def test_bare_a_site_that_sends_nothing_of_its_own_opens_the_sum_of_the_others(leak: Say, tmp_path: Path):
    """A closing word alone is not enough: the sum without b, beside any sum with it, is b's own part."""
    made = lab(tmp_path, width=5, questions={"model": 1})
    network = made.network()
    work = made.works["b"]
    work.value = 0.0  # b's part is 0
    pooled, _ = opened(made, network)
    fresh = lab(tmp_path / "again", width=5, questions={"model": 1}, vote=False)
    fresh.network()
    others = sum(fresh.works[name].part(fresh.script().step("model"))["x"] for name in "ac")
    assert np.allclose(pooled["x"], others)
    leak("with zeros sent in its place, the sum of the others")


# ---- through Isthmus


@pytest.mark.parametrize("refusing", ["a", "b", "ac"])
def test_the_sum_of_a_refused_round_is_noise(stop: Say, tmp_path: Path, refusing: str):
    made = lab(tmp_path, width=WIDE, questions={"model": 2, "curve": 1})
    network = made.network()
    for name in refusing:
        made.works[name].refuses = frozenset({("model", 1)})
    pooled, refused = opened(made, network)
    assert refused == ["model"]
    assert int(pooled.values[AGREE.name][0]) != 0
    uniform = pooled["x"] / 2.0**64 + 0.5  # of Z_2^128 with 64 fractional bits: [-2**63, 2**63)
    assert stats.kstest(uniform, "uniform").pvalue > UNLIKELY
    assert not np.allclose(pooled.values["n_model"], 0)
    stop("every sum of the round is uniform noise")


def test_a_refused_reply_looks_like_any_other(tmp_path: Path):
    made = lab(tmp_path, width=WIDE, questions={"model": 1})
    network = made.network()
    made.works["b"].refuses = frozenset({("model", 1)})
    replies = {}
    receive = network.hub.receive

    def spy(message):
        if message.kind == "masked" and message.body.size > WIDE:
            replies[message.sender] = b"".join(message.body.chunks())
        return receive(message)

    network.hub.receive = spy
    network.run()
    assert len({len(raw) for raw in replies.values()}) == 1
    for raw in replies.values():
        counts = np.bincount(np.frombuffer(raw, dtype=np.uint8), minlength=256)
        assert stats.chisquare(counts).pvalue > UNLIKELY


@pytest.fixture(scope="module")
def in_mid_run(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("mid")
    return {name: run(home / name, lambda network, name=name: stricter(network, name)) for name in NAMES}


def test_the_weight_guard_of_one_site_ends_one_question(in_mid_run):
    for name, seen in in_mid_run.items():
        answers = seen.body["analyses"]
        assert {key for key, answer in answers.items() if answer.get("status") == "refused"} == {"model"}
        assert answers["model"]["error"] == refusal("glm").to_dict()
        assert [site for site, notes in seen.notes.items() if notes] == [name]  # the reason stays there
        ((question, why),) = seen.notes[name]
        assert question == "model"
        assert "maximum_weight_share" in why
        assert not why.startswith("round 1:")
        assert "refuse" not in {kind for _, kind, *_ in seen.messages}


def test_the_hub_cannot_tell_which_site_refused(stop: Say, in_mid_run):
    assert alike(in_mid_run)
    for seen in in_mid_run.values():  # the bytes of every reply are uniform, the refusing site's too
        raw = b"".join(piece for name in NAMES for piece in seen.bodies[name])
        counts = np.bincount(np.frombuffer(raw, dtype=np.uint8), minlength=256)
        assert stats.chisquare(counts).pvalue > UNLIKELY
    stop("what the hub sees is the same whichever site refuses")


def test_nor_that_one_refused_and_not_two(in_mid_run, tmp_path: Path):
    def two(network: Network) -> None:
        stricter(network, "s0")
        stricter(network, "s2")

    assert alike({"one": in_mid_run["s0"], "two": run(tmp_path, two)})


def test_nor_who_said_no_in_the_vote(tmp_path: Path):
    runs = {name: run(tmp_path / name, lambda network, name=name: larger_cells(network, name)) for name in NAMES}
    assert alike(runs)
    answers = runs["s0"].body["analyses"]
    assert {name for name, answer in answers.items() if answer.get("status") == "refused"} == {"arms", "model"}


def test_the_lab_sees_a_difference_where_there_is_one(in_mid_run, tmp_path: Path):
    assert not alike({"refused": in_mid_run["s0"], "answered": run(tmp_path, lambda _: None)})


def test_noise_is_drawn_anew_for_every_refusal(tmp_path: Path):
    made = lab(tmp_path)
    made.network()
    work = made.works["a"]
    work.refuses = frozenset({("count", 1)})
    work.script.voted = True
    step = work.step("count", 1)
    one, other = (work.answer(step).summary for _ in range(2))
    assert isinstance(one, Blind)
    assert one.seed != other.seed
