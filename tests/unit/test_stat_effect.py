"""`effect`: what is asked wrongly, what cannot be computed, and what the rules leave of a survival outcome."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from isthmus import strict
from isthmus.model.errors import Invalid
from isthmus.statistics.effect import STATISTIC
from isthmus.statistics.effect_question import Effect

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "attack"))
from hole_lab import ONLY_SUMS, ask, patients

from stated_rules import STRICT

SURVIVAL = {"treatment": "HIV", "time": "DAYS", "event": "DIED", "adjust": "AGE", "method": "iptw"}
WEIGHTED = {"treatment": "HIV", "outcome": "DIED", "adjust": "AGE", "method": "iptw"}


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({"treatment": "HIV", "adjust": "AGE", "method": "iptw"}, "E-MISSING-KEY"),
        ({**SURVIVAL, "outcome": "DIED"}, "E-MISSING-KEY"),
        ({"treatment": "HIV", "time": "DAYS", "adjust": "AGE", "method": "iptw"}, "E-MISSING-KEY"),
        ({**WEIGHTED, "event": "DIED"}, "E-MISSING-KEY"),
        ({**WEIGHTED, "tau": 30}, "E-OUTCOME"),
        ({**WEIGHTED, "at": [30]}, "E-OUTCOME"),
        ({**SURVIVAL, "method": "aipw", "family": "binomial"}, "E-OUTCOME"),
        ({**SURVIVAL, "negative_controls": ["BMI", "CHOL", "ARM"]}, "E-OUTCOME"),
        ({**SURVIVAL, "at": [0]}, "E-TIME"),
        ({**SURVIVAL, "tau": -1}, "E-TIME"),
        ({**WEIGHTED, "method": "stratified", "propensity": "site"}, "E-ESTIMAND"),
        ({**WEIGHTED, "method": "gcomputation", "family": "binomial", "propensity": "site"}, "E-ESTIMAND"),
    ],
)
def test_what_is_asked_wrongly(stated, code) -> None:
    with pytest.raises(Invalid) as caught:
        STATISTIC.needs(strict.parse(Effect, stated))
    assert caught.value.code == code


def without_events(table):
    table["DIED"] = table["DIED"] * (1.0 - table["HIV"])


def one_arm(table):
    table["HIV"][:] = 0.0


def told_apart(table):
    table["HIV"] = (table["AGE"] > 50).astype(float)


def negative(table):
    table["DAYS"][0] = -1.0


@pytest.mark.parametrize(
    ("stated", "change", "everywhere", "code"),
    [
        (SURVIVAL, without_events, True, "E-NO-EVENTS"),
        (SURVIVAL, negative, False, "E-TIME"),
        (WEIGHTED, one_arm, True, "E-NO-EVENTS"),
        ({**WEIGHTED, "propensity": "site"}, one_arm, False, "E-ONE-GROUP"),
        ({**WEIGHTED, "propensity": "site"}, told_apart, False, "E-SEPARATED"),
        ({**WEIGHTED, "propensity": "site", "adjust": "AGE + I(AGE / 2)"}, lambda table: None, False, "E-COLLINEAR"),
    ],
)
def test_what_cannot_be_computed(stated, change, everywhere, code) -> None:
    tables = [patients(seed) for seed in (1, 2, 3)]
    for table in tables if everywhere else tables[:1]:
        change(table)
    assert ask("effect", stated, tables)["error"]["code"] == code


def test_times_beyond_the_follow_up_have_no_value() -> None:
    tables = [patients(seed) for seed in (1, 2, 3)]
    last = max(float(table["DAYS"].max()) for table in tables)
    for table in tables:
        table["DIED"][table["DAYS"] > 400] = 0.0  # neither curve falls to 0
    found = ask("effect", {**SURVIVAL, "at": [100, last + 1], "tau": last + 1}, tables)
    terms = {term["term"]: term["estimate"] for term in found["terms"]}
    assert terms["risk difference at 100"] is not None
    assert terms[f"survival[1] at {last + 1:g}"] is None
    assert terms[f"difference to {last + 1:g}"] is None


def test_a_step_that_the_rules_merge_shows_no_value() -> None:
    """Nine deaths of the treated by day 100: pooled, fewer than the floor; at each site the floor for cells is 1."""
    tables = [patients(seed) for seed in (1, 2, 3)]
    for table in tables:
        early = np.flatnonzero((table["HIV"] == 1.0) & (table["DAYS"] <= 100))
        table["DIED"][early] = np.where(np.arange(early.size) < 3, 1.0, 0.0)
    found = ask("effect", {**SURVIVAL, "grid": {"edges": [100, 300, 900]}, "at": [300]}, tables, ONLY_SUMS)
    assert found["curves"][0]["survival"][0] is None
    assert found["curves"][0]["survival"][1] is not None
    assert {term["term"]: term["estimate"] for term in found["terms"]}["risk difference at 300"] is not None


def test_zeros_may_be_barred() -> None:
    """Of events beyond the grid there are none by definition: that is no empty cell."""
    tables = [patients(seed) for seed in (1, 2, 3)]
    question = {**SURVIVAL, "grid": {"edges": [200]}}
    assert "terms" in ask("effect", question, tables, {**STRICT, "zeros": "barred"})


def own_models(tables) -> tuple[float, float]:
    """Difference of means and stacked error with a propensity model of each site, columns that are constant there left out."""
    parts = []
    for table in tables:
        columns = [np.ones(len(table["AGE"])), table["AGE"], *((table["STAGE"] == level) * 1.0 for level in ("b", "c"))]
        x = np.array([columns[0], *(c for c in columns[1:] if c.std() > 0.0)]).T
        x[:, 1] = (x[:, 1] - x[:, 1].mean()) / x[:, 1].std()
        t, y, beta = table["HIV"], table["DIED"], np.zeros(x.shape[1])
        for _ in range(30):
            e = 1.0 / (1.0 + np.exp(-x @ beta))
            information = (x * (e * (1.0 - e))[:, None]).T @ x
            beta = beta + np.linalg.solve(information, x.T @ (t - e))
        parts.append((x, t, y, e, information))
    arms = []
    for arm in (1.0, 0.0):
        weight = [np.where(t == arm, 1.0 / np.where(arm == 1.0, e, 1.0 - e), 0.0) for _, t, _, e, _ in parts]
        mass = sum(w.sum() for w in weight)
        mean = sum((w * y).sum() for w, (_, _, y, _, _) in zip(weight, parts, strict=True)) / mass
        told = []
        for w, (x, t, y, e, information) in zip(weight, parts, strict=True):
            bend = (x * (np.where(arm == 1.0, -(1.0 - e), e) * w * (y - mean))[:, None]).sum(axis=0)
            told.append((w * (y - mean) + (x * (t - e)[:, None]) @ np.linalg.solve(information, bend)) / mass)
        arms.append((mean, np.concatenate(told)))
    (treated, one), (control, other) = arms
    return treated - control, float(np.sqrt(((one - other) ** 2).sum()))


def test_a_level_that_a_site_lacks_has_no_part_in_its_own_model() -> None:
    tables = [patients(seed) for seed in (1, 2, 3)]
    for seed, table in enumerate(tables):
        table["STAGE"] = (
            np.random.default_rng(seed)
            .choice(["a", "b", "c"] if seed else ["a", "b"], len(table["AGE"]))
            .astype(object)
        )
    found = ask("effect", {**WEIGHTED, "adjust": "AGE + STAGE", "propensity": "site"}, tables)
    row = next(row for row in found["terms"] if row["term"] == "difference")
    difference, error = own_models(tables)
    assert row["estimate"] == pytest.approx(difference, rel=1e-9)
    assert row["std_error"] == pytest.approx(error, rel=1e-9)


def test_columns_that_follow_from_others_at_a_site_are_named() -> None:
    tables = [patients(seed) for seed in (1, 2, 3)]
    for seed, table in enumerate(tables):
        table["TWICE"] = 2.0 * table["AGE"] + (table["BMI"] if seed else 0.0)
    error = ask("effect", {**WEIGHTED, "adjust": "AGE + TWICE", "propensity": "site"}, tables)["error"]
    assert error["code"] == "E-COLLINEAR"
    assert error["message"] == "the site's own propensity model of 'HIV': column 'TWICE' follows from 'AGE' there"
    assert error["where"] == "site s0"


@pytest.mark.parametrize("method", ["iptw", "aipw", "gcomputation", "stratified"])
@pytest.mark.parametrize("absurd", [1e5, 1e9, 1e30])
def test_an_absurd_outcome_spoils_no_arm_without_a_word(method: str, absurd: float) -> None:
    """The untreated's mean and error as without it, or an error that names the outcome."""
    tables = [patients(seed) for seed in (1, 2, 3)]
    stated = {"treatment": "HIV", "outcome": "BMI", "adjust": "AGE", "method": method}
    stated |= {"family": "gaussian"} if method in {"aipw", "gcomputation"} else {}
    sound = ask("effect", stated, tables)["terms"][1]
    tables[0]["BMI"][int(tables[0]["HIV"].argmax())] = absurd
    found = ask("effect", stated, tables)
    if absurd > 1e6:
        assert found["error"]["code"] == "E-RANGE"
        assert "'BMI'" in found["error"]["message"]
    else:
        spoilt = found["terms"][1]
        assert sound["term"] == spoilt["term"] == "mean[0]"
        assert spoilt["estimate"] == pytest.approx(sound["estimate"], rel=1e-9)
        assert spoilt["std_error"] == pytest.approx(sound["std_error"], rel=1e-9)
