from __future__ import annotations

from types import MappingProxyType

import pytest

from isthmus.model.errors import Invalid
from isthmus.model.study import Purpose, Study
from isthmus.statistics.catalogue import CATALOGUE, analyses


def study(**stated) -> Study:
    purpose = Purpose(duo="DUO:0000042", text="test")
    return Study(isthmus="study/1", title="t", dataset="d", purpose=purpose, analyses=stated)


def test_common_keys_are_split_from_the_question() -> None:
    (found,) = analyses(
        study(
            a={
                "glm": {
                    "formula": "died ~ arm",
                    "family": "binomial",
                    "where": "age > 60",
                    "conf_level": 0.9,
                    "reference": {"arm": "b"},
                    "subgroup": "old",
                }
            }
        )
    )
    assert (found.name, found.kind, found.outcomes) == ("a", "glm", 1)
    assert (found.where, found.subgroup, found.conf_level, found.reference) == ("age > 60", "old", 0.9, {"arm": "b"})
    assert found.question == CATALOGUE["glm"].question(formula="died ~ arm", family="binomial")


def test_for_repeats_an_analysis_and_says_how_often() -> None:
    found = analyses(study(a={"glm": {"formula": "{outcome} ~ arm", "family": "binomial", "for": ["died", "ill"]}}))
    assert [a.name for a in found] == ["a[died]", "a[ill]"]
    assert [a.question.formula for a in found] == ["died ~ arm", "ill ~ arm"]
    assert {a.outcomes for a in found} == {2}


def test_grids_may_say_from() -> None:
    grid = {"from": 0, "to": 10, "bins": 5}
    (found,) = analyses(study(a=MappingProxyType({"kaplan_meier": {"time": "t", "event": "e", "grid": grid}})))
    assert (found.question.grid.from_, found.question.grid.bins) == (0.0, 5)


@pytest.mark.parametrize(
    ("stated", "code", "near"),
    [
        ({"kaplan_meyer": {"time": "t", "event": "e"}}, "E-KIND", "kaplan_meier"),
        ({"glm": {"formula": "a ~ b", "family": "binomial"}, "count": {}}, "E-KIND", ""),
        ({}, "E-KIND", ""),
        ({"glm": {"formula": "a ~ b", "familly": "binomial"}}, "E-UNKNOWN-KEY", "family"),
        ({"glm": {"formula": "a ~ b", "family": "binomial", "were": "x > 1"}}, "E-UNKNOWN-KEY", "where"),
        (
            {"glm": {"formula": "a ~ b", "family": "binomial", "weights": {"variabel": "w"}}},
            "E-UNKNOWN-KEY",
            "variable",
        ),
        ({"glm": {"formula": "a ~ b", "family": "weibull"}}, "E-TYPE", ""),
        ({"glm": {"family": "binomial"}}, "E-MISSING-KEY", ""),
        ({"cox": {"formula": 3}}, "E-TYPE", ""),
        ({"count": ["by"]}, "E-TYPE", ""),
        ({"count": {"conf_level": 95}}, "E-CONF-LEVEL", ""),
    ],
)
def test_mistakes_name_the_nearest_known_word(stated, code, near) -> None:
    with pytest.raises(Invalid) as caught:
        analyses(study(a=stated))
    assert caught.value.code == code
    assert near in caught.value.hint
    assert caught.value.where.startswith("analyses.a")


def test_a_study_asks_something() -> None:
    with pytest.raises(Invalid) as caught:
        analyses(study())
    assert caught.value.code == "E-NO-ANALYSES"


def test_kinds_are_named_as_they_are_listed_and_documented() -> None:
    for kind, statistic in CATALOGUE.items():
        assert statistic.kind == kind
        assert statistic.question.__doc__
