"""Mixed models against R's lme4 (r/mixed.R) and `../shared/truth`, bare and through the masked path."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import rows, run, truth, worst

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN

HERE = Path(__file__).parent / "r"
TEXTS = ("arm", "ward")
QUESTIONS = {
    "intercept": {"formula": "y ~ age + arm + day", "group": "ward"},
    "slope": {"formula": "y ~ age + arm + day", "group": "ward", "slopes": ["day"]},
    "site": {"formula": "y ~ age + arm", "group": "site"},
}
NUMBERS = ("age", "day", "year", "y", "event", "visits", "falls", "time")
METHODS = ("reml", "ml")


def table() -> dict[str, np.ndarray]:
    """Three sites of 24 wards."""
    with (HERE / "grouped.csv").open() as file:
        found = list(csv.DictReader(file))
    made = {name: np.array([float(row[name]) for row in found]) for name in NUMBERS}
    made |= {name: np.array([row[name] for row in found], dtype=object) for name in TEXTS}
    return made | {"site_": np.array([row["site"] for row in found])}


def expected(name: str, method: str) -> dict[str, Any]:
    return json.loads((HERE / "mixed.json").read_text())[name][method]


def compared(body: dict[str, Any], right: dict[str, Any]) -> dict[str, float]:
    fit = body["fit"]
    return {
        "estimate": worst([t["estimate"] for t in body["terms"]], right["estimate"]),
        "std_error": worst([t["std_error"] for t in body["terms"]], right["std_error"]),
        "variances": worst([fit["sigma2"], *fit["variances"].values()], [right["sigma2"], *right["variances"]]),
        "covariances": worst(list(fit["covariances"].values()), right["covariances"]) if right["covariances"] else 0.0,
        "loglik": worst(fit["loglik"], right["loglik"]),
    }


def passes(found: dict[str, float]) -> bool:
    """Gates of iterative fits; variances and what hangs on them (errors, with three sites as groups) at theirs."""
    return all(found[key] < (1e-9 if key in {"estimate", "loglik"} else 1e-8) for key in found)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", QUESTIONS)
def test_equals_lme4(name: str, method: str) -> None:
    body = run("mixed", {**QUESTIONS[name], "reml": method == "reml"}, table()).report
    assert passes(compared(body, expected(name, method))), compared(body, expected(name, method))
    package = expected(name, method)["package"]
    assert worst([t["estimate"] for t in body["terms"]], package["estimate"]) < 1e-6  # where lmer's optimiser stops
    assert body["rounds"] <= (6 if name != "slope" else 8)


def test_equals_lme4_through_the_masked_path() -> None:
    whole = table()
    sites = {
        f"s{site}": pa.table({n: whole[n][whole["site_"] == site] for n in (*NUMBERS, *TEXTS)})
        for site in np.unique(whole["site_"])
    }
    asked = {f"{n} {m}": {"mixed": {**q, "reml": m == "reml"}} for n, q in QUESTIONS.items() for m in METHODS}
    asked["df"] = {"mixed": satterthwaite("slope", "reml")}
    study = isthmus.Study(
        title="grouped",
        dataset="grouped",
        purpose={"duo": "DUO:0000042", "text": "reference check", "commercial": False},
        analyses=asked,
    )
    answers = isthmus.rehearse(study, sites, rules=plain(OPEN)).to_dict()["analyses"]
    told = json.loads((HERE / "satterthwaite.json").read_text())["slope"]["reml"]["exact"]
    assert freedom(answers.pop("df"), told) < 1e-7
    for name, answer in answers.items():
        assert "status" not in answer, answer
        assert passes(compared(answer, expected(*name.split()))), name


LAST_TWO = {"intercept": ("arm[treated]", "day"), "slope": ("arm[treated]", "day"), "site": ("age", "arm[treated]")}


def satterthwaite(name: str, method: str) -> dict[str, Any]:
    one, other = LAST_TWO[name]
    more = {"contrasts": {"difference": {one: 1.0, other: -1.0}}, "tests": {"both": [one, other]}}
    return {**QUESTIONS[name], "reml": method == "reml", "df": "satterthwaite"} | more


def freedom(body: dict[str, Any], right: dict[str, Any]) -> float:
    (contrast,), both = body["contrasts"], body["tests"]["both"]
    return max(
        worst([t["df"] for t in body["terms"]], right["df"]),
        worst(contrast["df"], right["contrast"]),
        worst([both["statistic"], both["df_residual"]], [right["statistic"], right["df_residual"]]),
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", QUESTIONS)
def test_degrees_of_freedom_equal_lmertest(name: str, method: str) -> None:
    body = run("mixed", satterthwaite(name, method), table()).report
    right = json.loads((HERE / "satterthwaite.json").read_text())[name][method]
    assert freedom(body, right["exact"]) < 1e-7  # second differences of R's deviance leave eight digits
    assert freedom(body, right["package"]) < 1e-6  # as lmerTest has it, where lmer's optimiser stopped
    assert worst([t["p_value"] for t in body["terms"]], right["package"]["p"]) < 1e-3  # of 1e-145 at the least
    assert body["rounds"] <= (6 if name != "slope" else 9)


STROKE = """select RSBP, AGE, case when SEX = 'M' then 1.0 else 0.0 end as male, RDELAY, COUNTRY,
    COUNTRY || '-' || HOSPNUM as hospital from t"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("group", ["site", "hospital"])
def test_equals_the_stroke_trial(shared: Path, group: str, method: str) -> None:
    """36 countries as sites; 466 hospitals inside them. lmer's own optimum is good to 1e-6 of a variance."""
    question = {"formula": "RSBP ~ AGE + male + RDELAY", "group": group, "reml": method == "reml"}
    body = run("mixed", question, rows(shared, "ist.parquet", STROKE, "COUNTRY")).report
    known = truth(shared)
    right = known["mixed_models"][f"ist_rsbp_ri_{'country' if group == 'site' else group}_{method.upper()}"]
    assert body["n"] == right["n"]
    assert body["fit"]["groups"] == right["groups"]
    assert body["rounds"] <= 6
    between, residual = right["varcomp"].values()
    assert worst([body["fit"]["variances"]["(Intercept)"], body["fit"]["sigma2"]], [between, residual]) < 1e-6
    assert worst(body["fit"]["loglik"], right["logLik"]) < 1e-9
    assert worst([t["estimate"] for t in body["terms"]], list(right["fixef"].values())) < 1e-7
    if group == "site":
        exact = known["lmm_profile_from_suffstats"][method.upper()]
        assert worst([t["estimate"] for t in body["terms"]], exact["fixef"]) < 1e-9
        assert worst([t["std_error"] for t in body["terms"]], exact["se"]) < 1e-8
        assert worst(body["fit"]["sigma2"], exact["sigma2"]) < 1e-9
        assert worst(body["fit"]["variances"]["(Intercept)"], exact["tau2"]) < 1e-8


# -- generalized: adaptive quadrature -------------------------------------------------------------------------------

GENERALIZED = {
    "binomial": {"formula": "event ~ age + arm", "family": "binomial", "group": "ward"},
    "poisson": {"formula": "visits ~ age + arm + offset(logtime)", "family": "poisson", "group": "ward"},
}
POINTS = {"laplace": 1, "nine": 9}


def generalized(body: dict[str, Any], right: dict[str, Any]) -> float:
    own = {key: [t[key] for t in body["terms"]] for key in ("estimate", "std_error")}
    own["variance"] = body["fit"]["variances"]["(Intercept)"]
    return max(worst(own[key], right[key]) for key in own)


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("family", GENERALIZED)
def test_equals_glmer(family: str, points: str) -> None:
    whole = table()
    whole["logtime"] = np.log(whole["time"])
    body = run("mixed", {**GENERALIZED[family], "points": POINTS[points]}, whole).report
    right = json.loads((HERE / "glmm.json").read_text())[family][points]
    assert generalized(body, right) < 1e-6  # the polished answer is good to some 1e-7
    assert generalized(body, right["package"]) < 1e-4  # where glmer's optimiser and its numeric Hessian stop
    if family == "binomial" or points == "laplace":  # else lme4 leaves constants out
        assert worst(body["fit"]["loglik"], right["loglik"]) < 1e-9
    assert body["rounds"] <= 12


SLOPED = {
    "binomial": {"formula": "event ~ decade + arm", "family": "binomial"},
    "poisson": {"formula": "visits ~ decade + arm + offset(logtime)", "family": "poisson"},
}


def sloped_table() -> dict[str, np.ndarray]:
    whole = table()
    return whole | {"logtime": np.log(whole["time"]), "decade": (whole["age"] - 60.0) / 10.0}


def sloped(body: dict[str, Any], right: dict[str, Any]) -> float:
    own = {key: [t[key] for t in body["terms"]] for key in ("estimate", "std_error")}
    own["variances"] = list(body["fit"]["variances"].values())
    return max(worst(own[key], right[key]) for key in own if key in right)


@pytest.mark.parametrize("family", SLOPED)
def test_random_slopes_equal_glmer(family: str) -> None:
    question = {**SLOPED[family], "group": "ward", "slopes": ["decade"], "points": 1}
    body = run("mixed", question, sloped_table()).report
    right = json.loads((HERE / "glmm_slopes.json").read_text())[family]
    assert sloped(body, right) < 1e-5  # R's fourth-order differences about its answer
    assert worst(list(body["fit"]["covariances"].values()), right["covariances"]) < 1e-5
    assert worst(body["fit"]["loglik"], right["loglik"]) < 1e-9
    assert sloped(body, right["package"]) < 1e-4  # where glmer's optimiser and its numeric Hessian stop
    assert body["rounds"] <= 12


def test_equals_glmer_through_the_masked_path() -> None:
    whole = table()
    sites = {
        f"s{s}": pa.table({n: whole[n][whole["site_"] == s] for n in ("age", "arm", "event", "ward")})
        for s in np.unique(whole["site_"])
    }
    study = isthmus.Study(
        title="wards",
        dataset="wards",
        purpose={"duo": "DUO:0000042", "text": "reference check", "commercial": False},
        analyses={"a": {"mixed": GENERALIZED["binomial"]}},
    )
    answer = isthmus.rehearse(study, sites, rules=plain(OPEN)).to_dict()["analyses"]["a"]
    assert "status" not in answer, answer
    assert generalized(answer, json.loads((HERE / "glmm.json").read_text())["binomial"]["nine"]) < 1e-6


DEATHS = """select case when ID14 = 1 then 1.0 else 0.0 end as died14, case when RXASP = 'Y' then 1.0 else 0.0 end as asp,
    (AGE - 70) / 10 as a10, case when SEX = 'M' then 1.0 else 0.0 end as male, COUNTRY from t where ID14 is not null"""


@pytest.mark.parametrize("points", [1, 9])
def test_equals_deaths_in_the_stroke_trial(shared: Path, points: int) -> None:
    """36 countries as groups. glmer stopped early there: its log-likelihood is lower, by 7e-5 with one point."""
    question = {"formula": "died14 ~ asp + a10 + male", "family": "binomial", "group": "site", "points": points}
    body = run("mixed", question, rows(shared, "ist.parquet", DEATHS, "COUNTRY")).report
    right = truth(shared)["glmm"][f"ist_glmm_nAGQ{points}"]
    for term in body["terms"]:
        error = right["se"][term["term"]]
        assert abs(term["estimate"] - right["fixef"][term["term"]]) < 1e-3 * error
        assert worst(term["std_error"], error) < (1e-5 if points == 9 else 2e-3)
    assert worst(body["fit"]["variances"]["(Intercept)"], right["var_country"]) < (1e-5 if points == 9 else 2e-4)
    assert 0.0 <= body["fit"]["loglik"] - right["logLik"] < 1e-4


# -- effects of single sites ------------------------------------------------------------------------------------------

BY_SITE = {
    "intercept": {"formula": "y ~ age + arm", "group": "site"},
    "slope": {"formula": "y2 ~ age + arm + day", "group": "site", "slopes": ["day"]},
    "poisson": {"formula": "visits2 ~ age + arm", "group": "site", "family": "poisson", "points": 1},
}


def test_effects_of_sites_equal_ranef() -> None:
    """Through the masked path. lmer's own answer is as good as its optimiser's theta."""
    whole = table()
    at = whole["site_"].astype(int)
    whole["y2"] = whole["y"] + np.array([4.0, -3.0, 1.0])[at] + np.array([0.8, 0.5, -1.2])[at] * whole["day"]
    whole["visits2"] = whole["visits"] + 2.0 * at
    columns = [name for name in whole if name != "site_"]
    sites = {f"s{s}": pa.table({n: whole[n][at == s] for n in columns}) for s in range(3)}
    asked = {name: {"mixed": {**question, "release": ["site_results"]}} for name, question in BY_SITE.items()}
    study = isthmus.Study(title="grouped", dataset="grouped", analyses=asked)
    answers = isthmus.rehearse(study, sites, rules=plain(OPEN)).to_dict()["analyses"]
    right = json.loads((HERE / "mixed_effects.json").read_text())
    for name, answer in answers.items():
        assert [row["site"] for row in answer["effects"][:: 2 if name == "slope" else 1]] == ["s0", "s1", "s2"]
        for key in ("estimate", "std_error"):
            own, package = [row[key] for row in answer["effects"]], right[name]["package"]
            assert worst(own, np.ravel(package[key]).tolist()) < (1e-4 if name == "poisson" else 1e-5), (name, key)
            if name != "poisson":
                assert worst(own, np.ravel(right[name][key]).tolist()) < 1e-7, (name, key)  # both have their own theta


def hard(file_name: str = "glmm_hard.csv") -> dict[str, dict[str, Any]]:
    with (HERE / file_name).open() as file:
        found = list(csv.DictReader(file))
    made: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["name"] for row in found):
        own = [row for row in found if row["name"] == name]
        columns = {key: np.array([float(row[key]) for row in own]) for key in ("group", "x", "y")}
        made[name] = {**own[0], "rows": columns | {"site_": columns["group"] % 3}}
    return made


@pytest.mark.parametrize("name", ["grouplevel", "rare", "few", "counts", "sparse"])
def test_slopes_with_variances_at_the_edge_are_no_less_likely_than_glmers(name: str) -> None:
    """Where glmer's optimisers stop, or at a likelier place: three of these five had no end here."""
    case = hard()[name]
    question = {"formula": "y ~ x", "group": "group", "slopes": ["x"], "family": case["family"], "points": 1}
    body = run("mixed", question, case["rows"]).report
    right = json.loads((HERE / "glmm_hard.json").read_text())[name]
    assert body["fit"]["loglik"] >= right["loglik"] - 1e-6
    if body["fit"]["loglik"] < right["loglik"] + 1e-4:
        for term, package in zip(body["terms"], right["estimate"], strict=True):
            assert abs(term["estimate"] - package) < 1e-2 * term["std_error"]


@pytest.mark.parametrize("name", ["t77", "t98", "t104", "t145", "t214"])
def test_of_two_maxima_the_higher_one_is_told(name: str) -> None:
    """Without a variance; from some starts glmer ends at the other, as steps from one place did here."""
    case, right = hard("glmm_giant.csv")[name], json.loads((HERE / "glmm_giant.json").read_text())[name]
    question = {"formula": "y ~ x", "group": "group", "family": case["family"], "points": int(case["points"])}
    body = run("mixed", question, case["rows"]).report
    assert min(right["ended"]) < right["none"] - 0.05
    assert worst(body["fit"]["loglik"], max(*right["ended"], right["none"])) < 1e-9
    assert body["fit"]["variances"]["(Intercept)"] == 0.0
    assert body["fit"]["singular"]
