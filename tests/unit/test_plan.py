"""The plan of a run: what a site may keep between runs, and what must not be mixed up."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.data.dictionary import dictionary
from isthmus.federation.plan import Plan, make_plan, study_reads
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN
from isthmus.model.study import Purpose, Study

BOOK = Codebook(
    name="d",
    variables={
        "sex": Variable(type="category", levels=("F", "M")),
        "chol": Variable(type="number", range=(0, 500)),
        "age": Variable(type="number", range=(0, 120)),
    },
    person="pid",
)


def plan(analysis: dict[str, Any], **more: Any) -> Plan:
    study = Study(
        isthmus="study/1",
        title="t",
        dataset="d",
        purpose=Purpose(duo="DUO:0000007", text="x"),
        analyses={"m": analysis},
        **more,
    )
    return make_plan("sha256:run", study, dictionary(study, BOOK, ("GB",)), OPEN, {}, 3)


MODEL = {"formula": "chol ~ sex", "family": "gaussian"}


@pytest.mark.parametrize(
    "other",
    [
        MODEL | {"reference": {"sex": "M"}},
        MODEL | {"formula": "chol ~ sex + age"},
        MODEL | {"where": "age > 40"},
        MODEL | {"conf_level": 0.9},
    ],
)
def test_questions_with_other_columns_never_share_what_is_cached(other: dict[str, Any]) -> None:
    assert plan({"glm": MODEL}).question("m").digest != plan({"glm": other}).question("m").digest


def test_the_same_question_is_built_once() -> None:
    assert plan({"glm": MODEL}).question("m").digest == plan({"glm": MODEL}).question("m").digest


def test_what_a_study_reads_is_found_inside_expressions_too() -> None:
    study = plan(
        {"glm": MODEL | {"formula": "high ~ sex", "family": "binomial", "subgroup": "old"}},
        derive={"high": "CASE WHEN chol > 240 THEN 1 ELSE 0 END"},
        subgroups={"old": "age >= 65"},
    ).study
    assert study_reads(study, BOOK) >= {"sex", "chol", "age", "high"}


@pytest.mark.parametrize(("key", "more"), [("groups", {"groups": {"by": "country"}, "impute": {"m": 5}})])
def test_what_is_not_offered_says_so(key: str, more: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        plan({"glm": MODEL}, **more)
    assert caught.value.code == "E-NOT-OFFERED"
    assert key in caught.value.message
