"""Every method and estimand of `effect`, dealt to sites that lack one thing: the answer is the pooled one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bare import make, over
from examples import ROWS, example, table
from scipy import special

from isthmus import strict
from isthmus.model.errors import Invalid
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.testing import check_statistic

EFFECT = CATALOGUE["effect"]
BASE = {"treatment": "treat", "adjust": "age + pressure"}
SURVIVAL = {"time": "time", "event": "event"}
OUTCOMES = {"died": "binomial", "pressure": "gaussian"}
ESTIMANDS = ("ATE", "ATT", "ATO")


def questions() -> dict[str, dict[str, Any]]:
    """name -> arguments: each method with each estimand it has, of a 0/1 outcome, a number, and survival."""
    found: dict[str, dict[str, Any]] = {}
    for outcome, family in OUTCOMES.items():
        base = {**BASE, "adjust": "age", "outcome": outcome}
        found |= {f"iptw {e} {outcome}": {**base, "method": "iptw", "estimand": e} for e in ESTIMANDS}
        found |= {f"{m} {outcome}": {**base, "method": m, "family": family} for m in ("aipw", "gcomputation")}
        strata = {"method": "stratified", "propensity_strata": 3}
        found |= {f"stratified {e} {outcome}": {**base, **strata, "estimand": e} for e in ("ATE", "ATT")}
    wanted = {**BASE, **SURVIVAL, "method": "iptw", "at": [30], "tau": 60}
    found |= {f"survival {e}": {**wanted, "estimand": e} for e in ESTIMANDS}
    found |= {
        f"{name} known": {**found[name], "errors": "known"} for name in ("iptw ATT died", "aipw died", "survival ATE")
    }
    return found


def dealings() -> dict[str, np.ndarray]:
    """name -> (rows,) sites: the last of each is the one that lacks something, or all but one are small."""
    rows, draw = table(), np.random.default_rng(8)
    even = draw.integers(0, 3, ROWS)
    some = draw.random(ROWS) < 0.4
    giant = np.zeros(ROWS, dtype=np.int64)
    giant[draw.choice(ROWS, 3, replace=False)] = (1, 2, 3)
    return {
        "a site without treated people": np.where((rows["treat"] == 0) & some, 3, even),
        "a site of treated people alone": np.where((rows["treat"] == 1) & some, 3, even),
        "one site with all of the treated": np.where((rows["treat"] == 1) | some, 3, even),
        "a site without events": np.where((rows["event"] == 0) & (rows["died"] == 0), 3, even),
        "one giant site": giant,
    }


QUESTIONS, DEALINGS = questions(), dealings()


def test_the_dealings_lack_what_they_say() -> None:
    rows = table()
    last = {name: {k: rows[k][sites == 3] for k in ("treat", "event", "died")} for name, sites in DEALINGS.items()}
    assert last["a site without treated people"]["treat"].max() == 0.0
    assert last["a site of treated people alone"]["treat"].min() == 1.0
    assert last["one site with all of the treated"]["treat"].sum() == rows["treat"].sum()
    assert max(last["a site without events"][k].max() for k in ("event", "died")) == 0.0
    assert all(len(own["treat"]) > 20 for name, own in last.items() if "giant" not in name)


@pytest.mark.parametrize("sites", DEALINGS.values(), ids=list(DEALINGS))
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_site_that_lacks_something_changes_nothing(name: str, sites: np.ndarray) -> None:
    check_statistic(EFFECT, example(EFFECT, strict.parse(EFFECT.question, QUESTIONS[name])), sites)


@pytest.mark.parametrize("estimand", ESTIMANDS)
@pytest.mark.parametrize("sites", DEALINGS.values(), ids=list(DEALINGS))
def test_a_hazard_ratio_within_sites_is_a_weighted_cox_model_of_the_pooled_rows(
    estimand: str, sites: np.ndarray
) -> None:
    """As `cox` gives it on one table with a column for the site, with the weights of the pooled propensity model."""
    rows = table()
    stated = {**BASE, **SURVIVAL, "method": "iptw", "estimand": estimand, "errors": "known", "strata": ["site"]}
    question = strict.parse(EFFECT.question, stated)
    found = over(EFFECT, question, make(EFFECT, question, rows), sites).report
    at = found["propensity"]
    e = special.expit(at["(Intercept)"] + at["age"] * rows["age"] + at["pressure"] * rows["pressure"])
    weights = {"ATE": (1 / e, 1 / (1 - e)), "ATT": (np.ones(ROWS), e / (1 - e)), "ATO": (1 - e, e)}[estimand]
    rows |= {"w": np.where(rows["treat"] == 1, *weights), "clinic": np.array([f"c{s}" for s in sites], dtype=object)}
    cox = CATALOGUE["cox"]
    asked = {
        "formula": "Surv(time, event) ~ treat",
        "strata": ["clinic"],
        "weights": {"variable": "w", "kind": "sampling"},
    }
    whole = strict.parse(cox.question, asked)
    right = over(cox, whole, make(cox, whole, rows), np.zeros(ROWS, dtype=int)).report["terms"][0]
    term = found["terms"][0]
    assert [term[key] for key in ("estimate", "std_error")] == pytest.approx(
        [right["estimate"], right["std_error"]], rel=1e-9
    )


def test_arms_at_different_sites_have_no_hazard_ratio_within_sites() -> None:
    stated = {**BASE, **SURVIVAL, "method": "iptw", "strata": ["site"]}
    question, rows = strict.parse(EFFECT.question, stated), table()
    with pytest.raises(Invalid) as caught:
        over(EFFECT, question, make(EFFECT, question, rows), rows["treat"].astype(int))
    assert caught.value.code == "E-CONVERGENCE"


@pytest.mark.parametrize("method", [{"method": "iptw"}, {"method": "aipw", "family": "binomial"}], ids=["iptw", "aipw"])
@pytest.mark.parametrize("lacking", ["a site without treated people", "a site of treated people alone"])
def test_a_site_of_one_arm_has_no_propensity_model_of_its_own(method: dict[str, str], lacking: str) -> None:
    stated = {**BASE, "outcome": "died", "propensity": "site", **method}
    question = strict.parse(EFFECT.question, stated)
    with pytest.raises(Invalid) as caught:
        over(EFFECT, question, make(EFFECT, question, table()), DEALINGS[lacking])
    assert caught.value.code == "E-ONE-GROUP"
    sites = DEALINGS["a site without events"]  # has both arms, and so a model
    assert over(EFFECT, question, make(EFFECT, question, table()), sites).report["n"] == ROWS
