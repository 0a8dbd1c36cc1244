"""What a refusal tells: with answers at zero and refusals at 1 to 10, one question tells one person's status.

The site refuses zero as it refuses one; the asker's text is the same whichever rule or site refused; and the hub sees
a uniformly random word whatever happened.
"""

import secrets
from dataclasses import replace

import numpy as np
import pytest
from disclosure_lab import FLOOR, Lab, failing, patients

from attack import Attack
from isthmus.disclosure.gate import clear, refusal, release, release_vote
from isthmus.disclosure.site import consider
from isthmus.evidence import Evidence, Weights
from isthmus.model.canonical import digest
from isthmus.model.errors import Refused
from isthmus.summary import Field, Layout, Summary, add

ATTACK = Attack(
    "Refusals, errors and sizes as an oracle", "zero is refused as one is; constant text; masked vote", number=22
)


QUESTION = digest("count of people with the victim's age, postcode and a diagnosis")


def naive(members: int) -> str:
    """The usual rule: counts of 1 to 10 are refused, zero is told."""
    return "refused" if 0 < members < FLOOR.minimum_count else "answered"


def gated(members: int) -> str:
    try:
        clear(QUESTION, consider(Evidence(rows=members), FLOOR), "count")
    except Refused as refused:
        return str(refused.to_dict())
    return "answered"


def test_bare_a_threshold_tells_whether_the_victim_has_the_diagnosis(leak):
    assert naive(1) != naive(0)
    leak("0 is answered and 1 refused: one person's diagnosis")


def test_through_the_site_both_are_refused_alike(stop):
    assert gated(1) == gated(0) == str(refusal("count").to_dict())
    stop("0 and 1 are refused alike")


EVIDENCE = {
    "minimum_count": Evidence(rows=5),
    "a pair": Evidence(rows=500, pairs={"a x b": np.array([1])}),
    "minimum_count_site": Evidence(rows=500, cells={"bin": np.array([3, 497])}),
    "zeros": Evidence(rows=500, cells={"bin": np.array([0, 500])}),
    "minimum_dof": Evidence(rows=15, parameters=6),
    "parameters_per_row": Evidence(rows=50, parameters=6),
    "maximum_leverage": Evidence(rows=500, parameters=2, leverage=0.9),
    "dominance": Evidence(rows=500, sums={"cost": np.array([1e6, 1.0, 1.0])}),
}
STRICT = replace(FLOOR, zeros="barred")


def refused(action) -> dict[str, str]:
    with pytest.raises(Refused) as caught:
        action()
    return caught.value.to_dict()


def test_the_text_is_the_same_whichever_rule_failed():
    texts = [refused(lambda e=e: clear(QUESTION, consider(e, STRICT), "glm")) for e in EVIDENCE.values()]
    good = clear(QUESTION, consider(Evidence(rows=500), STRICT), "glm")
    layout = Layout(fields=(Field(name="x", shape=(1,), kind="sum"),))
    one_row = Weights(total=1.0, squares=1.0, largest=1.0, parameters=1)
    texts.append(refused(lambda: release(Summary(layout, {"x": np.ones(1)}), one_row, good, STRICT)))
    assert all(text == refusal("glm").to_dict() for text in texts)


@pytest.mark.parametrize("reason", EVIDENCE)
def test_each_rule_was_tried(reason):
    expected = reason if reason in {v.rule for v in consider(Evidence(rows=1), FLOOR).verdicts} else "minimum_count"
    assert expected in failing(consider(EVIDENCE[reason], STRICT))


def test_what_the_hub_sees_of_a_vote_has_one_shape(stop):
    layout = Layout(fields=(Field(name="vote", shape=(3,), kind="vote"),))
    votes = [
        release_vote(layout, answers, secrets.token_bytes).summary
        for answers in ([True, True, True], [False, True, True], [False, False, False])
    ]
    assert {v.layout.digest for v in votes} == {layout.digest}
    assert {v.values["vote"].nbytes for v in votes} == {24}
    pooled = add(add(votes[0], votes[1]), votes[2]).values["vote"]
    assert (pooled != 0).all()  # the words of one refuser and of two look alike: uniform
    stop("the hub sees uniform words of one size")


def test_an_honest_question_still_passes():
    assert gated(500) == "answered"
    assert Lab("died ~ age", "binomial", [patients(s, 300) for s in (1, 2, 3)]).considered(0).holds
