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


def answer(
    formula: str,
    family: str,
    table: dict[str, np.ndarray],
    link: str | None = None,
    slopes: tuple[float, float] = (0.03, -0.2),
) -> Answer:
    """One site's part of a scoring round, at slopes that are not the answer."""
    asked = strict.parse(
        GLM.question, {"formula": formula, "family": family, **SITE} | ({"link": link} if link else {})
    )
    made = make(GLM, asked, table)
    params = {"step": "newton", "response_scale": 1.0, "centre": np.zeros(2), "scale": np.ones(2)}
    request = Round(LAYOUT, {**params, "coefficients": np.array(slopes)})
    prepared = GLM.prepare(asked, made.setting, made.inputs)
    return GLM.summarise(asked, made.setting, prepared, request)


def sent(formula: str, family: str, table: dict[str, np.ndarray], link: str | None = None) -> dict[str, np.ndarray]:
    """What leaves of it."""
    found = answer(formula, family, table, link).summary
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
        ({"family": "gamma", "link": "identity", "formula": "bp ~ age"}, "E-LINK"),
        ({"family": "inverse_gaussian", "link": "identity", "formula": "bp ~ age + site", "strata": []}, "E-LINK"),
        ({"formula": "ill ~ age + site + strata(arm)", "strata": []}, "E-FORMULA"),
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


ELSEWHERE = [
    ("gee", {"formula": "ill ~ age + site", "family": "binomial", "cluster": "ward"}, "`cluster`"),
    ("mixed", {"formula": "bp ~ age + site", "group": "ward", "family": "gaussian"}, "group: site"),
    ("multinomial", {"formula": "arm ~ age + site"}, "country"),
    ("ordinal", {"formula": "arm ~ age + site"}, "country"),
    ("penalised", {"formula": "ill ~ age + site", "family": "binomial"}, "strata: [site]"),
    ("fine_gray", {"formula": "Surv(t, c) ~ age + site", "causes": {"1": "x"}, "cause": "x"}, "strata: [site]"),
    ("parametric_survival", {"formula": "Surv(t, e) ~ age + site", "distribution": "weibull"}, "strata: [site]"),
    ("conditional_logistic", {"formula": "ill ~ age + site", "sets": "ward"}, "leave it out"),
    ("effect", {"treatment": "t", "outcome": "ill", "adjust": "age + site", "method": "iptw"}, "propensity: site"),
]


@pytest.mark.parametrize(("kind", "stated", "instead"), ELSEWHERE, ids=[kind for kind, _, _ in ELSEWHERE])
def test_where_site_is_no_term_the_error_says_what_to_write(kind, stated, instead) -> None:
    statistic = CATALOGUE[kind]
    with pytest.raises(Invalid) as raised:
        statistic.needs(strict.parse(statistic.question, stated))
    assert raised.value.code == "E-FORMULA"
    assert "`site` is not a term" in raised.value.message
    assert instead in raised.value.hint


def test_site_in_a_cox_model_is_a_stratum_and_says_so() -> None:
    draw = np.random.default_rng(5)
    table = {"x": draw.normal(0, 1, ROWS), "t": draw.exponential(9, ROWS).round(2) + 0.1, "e": np.ones(ROWS)}
    term = report("cox", {"formula": "Surv(t, e) ~ x + site"}, table)
    stratum = report("cox", {"formula": "Surv(t, e) ~ x", "strata": ["site"]}, table)
    assert term["terms"] == stratum["terms"]
    assert term["strata"] == ["site"]
    assert "stratum" in term["warnings"][0]
    assert "warnings" not in stratum


def test_gamma_knows_nothing_of_the_level_of_a_site() -> None:
    table = rows()
    higher = table | {"bp": table["bp"] * 3.0}
    same(sent("bp ~ age + arm", "gamma", table, "log"), sent("bp ~ age + arm", "gamma", higher, "log"))


def test_an_intercept_with_no_place_for_every_row_halves_the_step() -> None:
    """Shares with link identity: slopes for which no intercept keeps each row inside are far worse, not an answer."""
    table = rows()
    near, far = (
        answer("ill ~ age + arm", "binomial", table, "identity", (slope, 0.0)).summary["deviance"][0]
        for slope in (1e-4, 0.5)
    )
    assert np.isfinite(near)
    assert far > near + 1e6


def test_evidence_counts_the_clusters_of_strata_that_say_something() -> None:
    """Wards of a stratum without an event add nothing to the sandwich, and hide nobody in it."""
    table = rows() | {"ward": np.arange(ROWS) % 30.0}
    table["half"] = np.where(table["ward"] < 4, "loud", "quiet").astype(object)
    question = {"formula": "ill ~ age", "family": "binomial", "strata": ["site", "half"], "cluster": "ward"}
    assert evidence("glm", question, table).supports["clusters"].tolist() == [30]
    table["ill"] = np.where(table["half"] == "quiet", 0.0, table["ill"])
    assert evidence("glm", question, table).supports["clusters"].tolist() == [4]
