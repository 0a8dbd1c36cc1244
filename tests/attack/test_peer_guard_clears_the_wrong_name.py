"""A peer's failure: the backup trap clears a misspelt variable and returns the score anyway (dsBase 6.3.3, glmDS2).

Defence: a refusal here clears nothing, it makes nothing: for every rule in turn, made to fail, no value of the summary is
in what leaves.
"""

import numpy as np
import pytest
from disclosure_lab import FLOOR, Lab, patients

from attack import Attack
from isthmus.disclosure import gate, site
from isthmus.disclosure.gate import clear, release, release_vote
from isthmus.disclosure.site import SITE_RULES, consider
from isthmus.model.canonical import digest
from isthmus.model.errors import Refused
from isthmus.statistics.glm import STATISTIC as GLM
from isthmus.summary import Field, Layout

ATTACK = Attack("A guard that clears the wrong name", "a refusal makes no release at all", peer="dsBase 6.3.3, glmDS2")


def lab() -> Lab:
    return Lab("died ~ age", "binomial", [patients(seed, 300) for seed in (1, 2, 3)])


def peer(score, too_few):
    """The trap as it was shipped, in shape."""
    found = {"score.vect": score}
    if too_few:
        found["score.vector"] = None
    return found["score.vect"]


def test_bare_the_score_is_returned(leak):
    made = lab()
    score = made.answer(0, next(GLM.flow(made.question, made.setting))).summary["right"]
    np.testing.assert_array_equal(peer(score, too_few=True), score)
    leak("the whole score vector")


@pytest.mark.parametrize("rule", SITE_RULES)
def test_whichever_rule_fails_nothing_of_the_summary_leaves(stop, monkeypatch, rule):
    made = lab()
    evidence = GLM.evidence(made.question, made.setting, made.prepared[0])
    assert consider(evidence, FLOOR).holds
    broken = {**SITE_RULES, rule: lambda _evidence, _rules: ("broken",)}
    monkeypatch.setattr(site, "SITE_RULES", broken)
    monkeypatch.setattr(gate, "SITE_RULES", broken)
    considered = consider(evidence, FLOOR)
    with pytest.raises(Refused):
        clear(digest(made.question), considered, "glm")
    layout = Layout(fields=(Field(name="vote", shape=(1,), kind="vote"),))
    sent = release_vote(layout, [considered.holds], lambda n: b"\x5a" * n).summary
    assert [f.name for f in sent.layout.fields] == ["vote"]
    assert sent.values["vote"].tolist() == [0x5A5A5A5A5A5A5A5A]
    stop("for each rule in turn: one random word leaves, and nothing else")


def test_a_guard_in_mid_run_makes_no_release_either(monkeypatch):
    made = lab()
    clearance = clear(digest(made.question), made.considered(0), "glm")
    answer = made.answer(0, next(GLM.flow(made.question, made.setting)))
    heavy = type(answer.weights)(total=1.0, squares=1.0, largest=1.0, parameters=2)
    with pytest.raises(Refused):
        release(answer.summary, heavy, clearance, FLOOR)
