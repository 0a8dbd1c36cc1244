"""A custodian signs what they have read: every part of a study, and what an amended one changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from reviewed_alliance import AGREEMENT, STUDY, request

from isthmus.model.canonical import plain
from isthmus.model.errors import Untrusted
from isthmus.model.study import Groups, Impute, Population, Protocol, Purpose, Step, Study, Time, study_digest
from isthmus.sdk.asked import amended, changes, stated
from isthmus.sdk.reviewing import risk

FULL = Study(
    isthmus="study/1",
    title="Does age matter?",
    dataset="trial",
    purpose=Purpose(duo="DUO:0000007", text="to plan a trial", disease="MONDO:1", commercial=True),
    analyses={
        "death": {"glm": {"formula": "died ~ age + old", "family": "binomial", "release": ["site_results"]}},
        "n": {"count": {}},
        "all": {"meta": {"of": {"cox": {"formula": "Surv(time, died) ~ age"}}, "method": "REML"}},
    },
    question="Do the old die sooner?",
    population=Population(steps=(Step(label="adults", where="age >= 18"), Step(label="women", where="sex = 'F'"))),
    derive={"old": "age > 80"},
    missing="analysis",
    groups=Groups(by="country"),
    protocol=Protocol(register="OSF", id="x1y2z", url="https://osf.io/x1y2z"),
    primary=("death",),
    time=Time(origin="entry", unit="month", end=24.5),
    seed=77,
    conf_level=0.9,
    impute=Impute(m=33, cycles=12, with_=("smokes",), site_effects=("bmi",)),
    subgroups={"women": "sex = 'F'"},
    project="p1",
)


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield str(name)
            yield from leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part)
    elif isinstance(value, bool):
        yield "yes" if value else "no"
    elif value is not None:
        yield str(value)


def test_nothing_that_a_study_states_is_left_out() -> None:
    said = stated(FULL)
    text = " ".join(f"{name} {line}" for name, lines in said.items() for line in lines)
    whole = {name: value for name, value in plain(FULL).items() if name not in {"isthmus", "title", "dataset"}}
    missed = [
        leaf for leaf in leaves(whole) if leaf.replace("_", " ") not in text.replace("_", " ") and leaf != "analyses"
    ]
    assert missed == []
    assert said["questions"][0] == (
        "death: glm, with formula = died ~ age + old; family = binomial; release = site_results"
    )
    assert said["questions"][1] == "n: count"
    assert said["population"] == ["steps: (label = adults; where = age >= 18), (label = women; where = sex = 'F')"]
    assert said["question"] == ["Do the old die sooner?"]


def test_lines_of_a_study_cannot_pass_for_lines_of_the_screen() -> None:
    assert stated(replace(STUDY, question="why\nrisk       low"))["question"] == ["why risk low"]


def test_an_amended_study_says_what_it_changes() -> None:
    analyses = {"death": {"glm": {"formula": "died ~ age", "family": "binomial", "release": ["site_results"]}}}
    after = replace(
        STUDY, analyses=analyses, amends=study_digest(STUDY), reason="simpler", conf_level=0.9, title="Does it?"
    )
    assert changes(STUDY, after) == [
        "title: Does it?; was Does age matter?",
        "analyses: death: glm: formula: died ~ age; was died ~ age + sex + old",
        "analyses: n: count: no longer stated; was stated",
        "conf_level: 0.9; was 0.95",
        "analyses: death: glm: release: site_results; was not stated",
    ]
    assert changes(STUDY, replace(STUDY, amends=study_digest(STUDY), reason="again")) == []


def test_the_study_that_is_amended_is_held_against_its_digest() -> None:
    after = replace(STUDY, amends=study_digest(STUDY), reason="again")
    assert amended(after, plain(STUDY)) == STUDY
    assert amended(after, None) is None
    assert amended(STUDY, plain(STUDY)) is None
    with pytest.raises(Untrusted) as refused:
        amended(after, plain(replace(STUDY, title="another")))
    assert refused.value.code == "E-AMENDS"


def test_the_risk_sentence_tells_where_pooled_sums_go() -> None:
    said = risk(request(), AGREEMENT, {}, None)["sentence"]
    assert "pooled at the hub in GB and go on to NO and US" in said
