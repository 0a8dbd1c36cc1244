"""Flows in lockstep: which rounds are shared, what each flow is told, and that compound questions take 15 rounds at most."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus.evidence import Evidence, weights_of
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN
from isthmus.statistics import lockstep
from isthmus.statistics.contract import Answer, Round
from isthmus.summary import Field, Layout, Summary

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from examples import table
from test_splitting import shared_out

SUM = Layout(fields=(Field(name="x", shape=(1,), kind="sum"),))
FLOOR = plain(OPEN) | {"minimum_count": 11, "minimum_count_site": 11, "minimum_sites": 3}
MOST = 15  # rounds of a compound question: STATISTICS.md


def ballot(words: int) -> Layout:
    return Layout(fields=(Field(name="cuts", shape=(words,), kind="vote"),))


def flow(name: str, *layouts: Layout, fails: bool = False):
    """Asks for each layout, and ends in what it was told; or fails after them."""
    told = []
    for layout in layouts:
        pooled = yield Round(layout, {"step": name})
        told.append(pooled[layout.fields[0].name].tolist())
    if fails:
        raise Invalid("E-TEST", name)
    return told


def driven(joint) -> tuple[object, list[str]]:
    """The end, and who took part in each round; every sum is the number of its part."""
    rounds = []
    try:
        asked = next(joint)
        while True:
            rounds.append(asked.params[lockstep.PARTS])
            values = {f.name: np.full(f.shape, int(f.name.split(".")[0])).astype(f.dtype) for f in asked.layout.fields}
            asked = joint.send(Summary(asked.layout, values))
    except StopIteration as ended:
        return ended.value, rounds


def test_flows_share_rounds_and_each_is_told_its_own() -> None:
    found, rounds = driven(lockstep.every([flow("a", SUM, SUM), flow("b", SUM), flow("c", SUM, SUM, SUM)]))
    assert rounds == ["0 1 2", "0 2", "2"]
    assert found == ([[0.0], [0.0]], [[1.0]], [[2.0], [2.0], [2.0]])


def test_ballots_go_together_while_sums_wait() -> None:
    flows = [flow("a", SUM, ballot(3), SUM), flow("b", SUM, SUM), flow("c", SUM, ballot(2), SUM, ballot(2), SUM)]
    (found, count), rounds = driven(lockstep.tallied(lockstep.every(flows)))
    assert rounds == ["0 1 2", "0 2", "0 1 2", "2", "2"]
    assert count == len(rounds)
    assert found[0] == [[0.0], [0.0] * 3, [0.0]]
    assert found[2][1] == [2.0, 2.0]


def test_the_first_failure_ends_all_or_only_its_own() -> None:
    def flows():
        return [flow("a", SUM, SUM), flow("b", SUM, fails=True)]

    with pytest.raises(Invalid, match="b"):
        driven(lockstep.every(flows()))
    found, rounds = driven(lockstep.together(flows()))
    assert rounds == ["0 1", "0"]
    assert found[0] == [[0.0], [0.0]]
    assert found[1].code == "E-TEST"


def test_joint_answers_keep_every_guard() -> None:
    """The strictest weights, all cells, all evidence; of a ballot the choices in the order of its words."""
    asked = next(lockstep.every([flow("a", SUM), flow("b", SUM)]))

    def answer(at: int, own: Round) -> Answer:
        weights = weights_of(np.ones(20 if at == 0 else 7), 1)
        summary = Summary(own.layout, {"x": np.array([float(at)])})
        return Answer(summary, weights, {"steps": np.array([at])}, (Evidence(rows=at),))

    found = lockstep.answered(asked, answer)
    assert found.summary.values["1.x"] == 1.0
    assert found.weights.total**2 / found.weights.squares == pytest.approx(7.0)
    assert {name: cells.tolist() for name, cells in found.cells.items()} == {"0.steps": [0], "1.steps": [1]}
    assert [one.rows for one in found.evidence] == [0, 1]
    assert found.choices is None

    asked = next(lockstep.every([flow("a", ballot(2)), flow("b", ballot(1))]))
    blocks = (np.array([[30], [31]]), np.array([[9]]))

    def vote(at: int, own: Round) -> Answer:
        blank = np.zeros(own.layout.fields[0].shape, dtype=np.uint64)
        return Answer(Summary(own.layout, {"cuts": blank}), choices=(blocks[at],))

    assert [block.tolist() for block in lockstep.answered(asked, vote).choices] == [[[30], [31]], [[9]]]


BASE = {"treatment": "treat", "adjust": "age + pressure"}
SURVIVAL = {"time": "time", "event": "event", "grid": {"edges": [20, 45, 90]}, "at": [45], "tau": 45}
CONTROLS = {"negative_controls": ["event", "old", "high"]}
ASKED = {
    **{f"iptw {e}": {"outcome": "died", "method": "iptw", "estimand": e} for e in ("ATE", "ATT", "ATO")},
    **{f"survival {e}": {**SURVIVAL, "method": "iptw", "estimand": e} for e in ("ATE", "ATT", "ATO")},
    **{f"stratified {e}": {"outcome": "died", "method": "stratified", "estimand": e} for e in ("ATE", "ATT")},
    **{m: {"outcome": "died", "method": m, "family": "binomial"} for m in ("aipw", "gcomputation")},
    "aipw of sites": {"outcome": "died", "method": "aipw", "family": "binomial", "propensity": "site"},
    "controls": {"outcome": "died", "method": "iptw", "adjust": "age", **CONTROLS},
}
EQUATION = {"formula": "age + arm", "coefficients": {"(Intercept)": -1.2, "age": 0.02, "arm[treated]": -0.4}}


def test_compound_questions_take_fifteen_rounds_at_most() -> None:
    rows = table(3000, 4)
    rows |= {
        "old": (rows["age"] > 60).astype(float),
        "high": (rows["pressure"] > rows["pressure"].mean()).astype(float),
    }
    analyses = {name: {"effect": {**BASE, **stated}} for name, stated in ASKED.items()}
    analyses |= {"propensity": {"propensity": BASE}}
    for name, model in (("variable", {"prediction": "risk"}), ("equation", EQUATION)):
        analyses[name] = {"validate_model": {"outcome": "died", "thresholds": [0.4, 0.5], **model}}
    study = isthmus.Study(title="t", dataset="d", analyses=analyses)
    answers = isthmus.rehearse(study, shared_out(rows, np.arange(3000) % 3), rules=FLOOR).to_dict()["analyses"]
    rounds = {name: answer.get("rounds", answer.get("error")) for name, answer in answers.items()}
    assert all(isinstance(found, int) and found <= MOST for found in rounds.values()), rounds
