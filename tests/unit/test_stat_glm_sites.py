"""Intercepts of sites in a glm: what a site sends knows neither its level nor its total, and what cannot be asked."""

from __future__ import annotations

import numpy as np
import pytest
from stat_help import evidence, make, report

from isthmus import strict
from isthmus.model.errors import Invalid
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Answer, Round
from isthmus.summary import Field, Layout

GLM = CATALOGUE["glm"]
ROWS = 240
SITE = {"strata": ["site"]}
LAYOUT = Layout(
    fields=(
        Field(name="score", shape=(2,), kind="score"),
        Field(name="gram", shape=(2, 2), kind="gram"),
        Field(name="deviance", shape=(1,), kind="sum"),
    )
)


def rows() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(3)
    age = np.round(draw.normal(60, 9, ROWS), 1)
    arm = draw.choice(np.array(["a", "b"], dtype=object), ROWS)
    eta = 0.05 * (age - 60) + 0.5 * (arm == "b") + np.array([-1.0, 0.0, 1.5])[np.arange(ROWS) % 3]
    return {
        "age": age,
        "arm": arm,
        "ill": (draw.random(ROWS) < 1.0 / (1.0 + np.exp(-eta))).astype(float),
        "falls": draw.poisson(np.exp(eta / 2)).astype(float),
        "bp": np.round(120 + 5 * eta + draw.normal(0, 8, ROWS), 1),
        "rate": draw.uniform(-1.0, 0.5, ROWS),
    }


def answer(formula: str, family: str, table: dict[str, np.ndarray]) -> Answer:
    """One site's part of a scoring round, at slopes that are not the answer."""
    asked = strict.parse(GLM.question, {"formula": formula, "family": family, **SITE})
    made = make(GLM, asked, table)
    params = {"step": "newton", "response_scale": 1.0, "centre": np.zeros(2), "scale": np.ones(2)}
    request = Round(LAYOUT, {**params, "coefficients": np.array([0.03, -0.2])})
    prepared = GLM.prepare(asked, made.setting, made.inputs)
    return GLM.summarise(asked, made.setting, prepared, request)


def sent(formula: str, family: str, table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What leaves of it."""
    found = answer(formula, family, table).summary
    return {field.name: np.asarray(found[field.name]) for field in LAYOUT.fields}


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values, rtol=1e-9, atol=1e-9 * np.abs(values).max())


def test_what_leaves_is_free_of_the_level_of_the_outcome() -> None:
    """A gaussian site 50 higher, a Poisson site with another offset: the same numbers; its mean is in none of them."""
    table = rows()
    same(
        sent("bp ~ age + arm", "gaussian", table), sent("bp ~ age + arm", "gaussian", table | {"bp": table["bp"] + 50})
    )
    offset = "falls ~ age + arm + offset(rate)"
    same(sent(offset, "poisson", table), sent(offset, "poisson", table | {"rate": table["rate"] + 2.0}))


@pytest.mark.parametrize(("formula", "family"), [("bp ~ age + arm", "gaussian"), ("ill ~ age + arm", "binomial")])
def test_what_leaves_is_free_of_the_mean_of_a_column(formula, family) -> None:
    table = rows()
    same(sent(formula, family, table), sent(formula, family, table | {"age": table["age"] + 20.0}))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_site_with_one_outcome_sends_zeros(value) -> None:
    found = sent("ill ~ age + arm", "binomial", rows() | {"ill": np.full(ROWS, value)})
    assert all(not values.any() for values in found.values())


def test_a_column_constant_within_sites_has_no_coefficient() -> None:
    table = rows() | {"level": (np.arange(ROWS) % 3).astype(float)}
    with pytest.raises(Invalid, match="level") as raised:
        report("glm", {"formula": "ill ~ age + level", "family": "binomial", **SITE}, table)
    assert raised.value.code == "E-COLLINEAR"


def test_no_site_has_both_outcomes() -> None:
    table = rows() | {"ill": (np.arange(ROWS) % 3 > 0).astype(float)}
    with pytest.raises(Invalid) as raised:
        report("glm", {"formula": "ill ~ age", "family": "binomial", **SITE}, table)
    assert raised.value.code == "E-NO-EVENTS"


def test_a_level_of_the_outcome_at_each_site_costs_no_digit() -> None:
    table = rows()
    question = {"formula": "bp ~ age + arm", "family": "gaussian", **SITE}
    far = table | {"bp": table["bp"] + np.array([0.0, 1e4, -1e4])[np.arange(ROWS) % 3]}
    near, moved = (report("glm", question, t)["terms"] for t in (table, far))
    for a, b in zip(near, moved, strict=True):
        assert b["estimate"] == pytest.approx(a["estimate"], rel=1e-9)
        assert b["std_error"] == pytest.approx(a["std_error"], rel=1e-9)


def test_extreme_sites_still_have_an_intercept() -> None:
    """Of 2,000 rows one event, and of others all but one: score and information are finite and the fit ends."""
    draw = np.random.default_rng(8)
    x = draw.normal(0, 1, 6000)
    ill = (draw.random(6000) < 0.5).astype(float)
    ill[0::3], ill[1::3] = 0.0, 1.0
    ill[30], ill[31] = 1.0, 0.0
    found = report("glm", {"formula": "ill ~ x", "family": "binomial", **SITE}, {"x": x, "ill": ill})
    assert np.isfinite(found["terms"][0]["std_error"])
    assert found["fit"]["df_residual"] == 6000 - 1 - 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"link": "probit"}, "E-LINK"),
        ({"family": "gamma", "formula": "bp ~ age"}, "E-LINK"),
        ({"family": "negative_binomial", "formula": "falls ~ age"}, "E-FORMULA"),
        ({"robust": "HC3"}, "E-FORMULA"),
        ({"cluster": "arm"}, "E-FORMULA"),
        ({"strata": ["arm"]}, "E-FORMULA"),
        ({"formula": "ill ~ age - 1"}, "E-FORMULA"),
        ({"formula": "ill ~ 1"}, "E-FORMULA"),
    ],
)
def test_what_strata_do_not_go_with(change, code) -> None:
    with pytest.raises(Invalid) as raised:
        report("glm", {"formula": "ill ~ age", "family": "binomial", **SITE, **change}, rows())
    assert raised.value.code == code


def test_evidence_counts_intercepts_and_leverage_beside_them() -> None:
    table = rows()
    question = {"formula": "ill ~ age + arm", "family": "binomial", **SITE}
    found = evidence("glm", question, table)
    x = np.column_stack([np.ones(ROWS), table["age"], table["arm"] == "b"])
    hat = np.einsum("ij,ij->i", x @ np.linalg.inv(x.T @ x), x)
    assert found.parameters == 3
    assert found.leverage == pytest.approx(hat.max(), rel=1e-9)
    silent = evidence("glm", question, table | {"ill": np.zeros(ROWS)})
    assert silent.supports["rows of strata that say something"].tolist() == [0]


def test_a_fit_is_weighed_with_its_intercepts() -> None:
    """Two slopes and an intercept, of the rows that say something: in the vote, and in every round."""
    table = rows()
    weights = answer("ill ~ age + arm", "binomial", table).weights
    assert weights is not None
    assert weights.parameters == 3
    found = evidence("glm", {"formula": "ill ~ age + arm", "family": "binomial", **SITE}, table)
    assert found.fits["rows of strata that say something"] == (ROWS, 3)
