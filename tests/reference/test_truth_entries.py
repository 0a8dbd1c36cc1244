"""Entries of `../shared/truth` that no other file compares: tables, tests of every column, published shares, effects of countries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import rows, run, truth, worst

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN

HEART = """select id, site as place, age, trestbps, chol, thalach, oldpeak, 's' || sex as sex, 'c' || cp as cp, 'f' || fbs as fbs,
    'e' || exang as exang, 'n' || num as num, 'd' || case when num > 0 then 1 else 0 end as disease from t"""
STROKE = """select COUNTRY as nation, AGE, RSBP, RDELAY, SEX, RCONSC, STYPE, RXASP, RXHEP, 'd' || ID14 as ID14 from t"""
BOTH = STROKE + " where COUNTRY in ('UK', 'USA')"


def compared(table: dict[str, np.ndarray], name: str, by: str) -> dict[str, Any]:
    """`table_one`'s and Kruskal and Wallis', over the sites of the table."""
    named = {"variables": [name], "by": by, "tests": True}
    return run("table_one", named, table).report["fit"]["tests"][name]


@pytest.mark.parametrize("name", ["age", "trestbps", "chol", "thalach", "oldpeak"])
def test_means_of_four_hospitals_differ_as_r_says(shared, name) -> None:
    expected = truth(shared)["table1_quantiles"]["heart4"]["tests"][name]
    table = rows(shared, "heart4.parquet", HEART, "(id % 4)")
    welch = compared(table, name, "place")
    assert worst([welch["statistic"], welch["p_value"]], [expected["welch_F"], expected["welch_p"]]) < 1e-9
    assert (
        worst([welch["anova"][k] for k in ("statistic", "p_value")], [expected["anova_F"], expected["anova_p"]]) < 1e-9
    )
    ranks = run("kruskal_wallis", {"variable": name, "by": "place"}, table).report["fit"]
    assert worst([ranks["statistic"], ranks["p_value"]], [expected["kruskal_H"], expected["kruskal_p"]]) < 1e-9


@pytest.mark.parametrize("name", ["fbs", "exang", "num", "disease"])
def test_counts_of_four_hospitals_are_rs(shared, name) -> None:
    heart = truth(shared)["table1_quantiles"]["heart4"]
    found = run(
        "crosstab", {"rows": name, "columns": "place"}, rows(shared, "heart4.parquet", HEART, "(id % 3)")
    ).report
    for cell in found["cells"]:
        assert cell["count"] == heart["categorical"][name][cell["place"]].get(cell[name][1:], 0)
    expected = heart["tests"][name]
    got = [found["fit"][key] for key in ("statistic", "df", "p_value")]
    assert worst(got, [expected[key] for key in ("chisq", "df", "p")]) < 1e-9


@pytest.mark.parametrize("name", ["AGE", "RSBP", "RDELAY"])
def test_the_stroke_trial_by_country(shared, name) -> None:
    block = truth(shared)["table1_quantiles"]
    table = rows(shared, "ist.parquet", STROKE, "nation")
    cells = run("table_one", {"variables": [name], "by": "nation"}, table).report["cells"]
    assert len(cells) == 37
    for cell in cells:
        known = block["ist_all"]["by_country"].get(cell["nation"]) if name == "RSBP" else None
        if not cell["nation"]:
            known = block["ist_all"]["pooled"][name]
        elif cell["nation"] in {"UK", "USA"}:
            known = block["ist_uk_us"]["continuous"][name][cell["nation"]]
        if known is not None:
            assert cell["n"] == known["n"]
            assert worst([cell["mean"], cell["sd"]], [known["mean"], known["sd"]]) < 1e-12


@pytest.mark.parametrize("name", ["AGE", "RSBP", "RDELAY"])
def test_the_united_kingdom_and_the_united_states_differ_as_r_says(shared, name) -> None:
    expected = truth(shared)["table1_quantiles"]["ist_uk_us"]["tests"][name]
    table = rows(shared, "ist.parquet", BOTH)
    welch = compared(table, name, "nation")
    assert worst(welch["p_value"], expected["welch_p"]) < 1e-9
    assert (
        worst([welch["anova"][k] for k in ("statistic", "p_value")], [expected["anova_F"], expected["anova_p"]]) < 1e-9
    )
    ranks = run("kruskal_wallis", {"variable": name, "by": "nation"}, table).report["fit"]
    assert worst([ranks["statistic"], ranks["p_value"]], [expected["kruskal_H"], expected["kruskal_p"]]) < 1e-9


@pytest.mark.parametrize("name", ["RXHEP", "ID14"])
def test_more_categories_of_the_two_countries(shared, name) -> None:
    expected = truth(shared)["table1_quantiles"]["ist_uk_us"]["tests"][name]
    asked = {"rows": name, "columns": "nation", "correct": False}
    fit = run("crosstab", asked, rows(shared, "ist.parquet", BOTH)).report["fit"]
    assert worst([fit[k] for k in ("statistic", "df", "p_value")], [expected[k] for k in ("chisq", "df", "p")]) < 1e-9


@pytest.mark.parametrize("name", ["SEX", "nation", "STYPE", "RCONSC"])
def test_categories_of_the_whole_stroke_trial(shared, name) -> None:
    block = truth(shared)["table1_quantiles"]["ist_all"][{"nation": "country"}.get(name, name.lower())]
    cells = run("count", {"by": [name]}, rows(shared, "ist.parquet", STROKE, "nation")).report["cells"]
    assert {c[name]: c["count"] for c in cells} == {k: n for k, n in block.items() if k != "missing"}


PUBLISHED = {  # entry -> arm, outcome, rows
    "ist_hep_death14": ("RXHEP <> 'N'", "ID14 = 1", "true"),
    "ist_asp_dd6": ("RXASP = 'Y'", "OCCODE in (1, 2)", "OCCODE in (1, 2, 3, 4)"),
    "ist_hep_dd6": ("RXHEP <> 'N'", "OCCODE in (1, 2)", "OCCODE in (1, 2, 3, 4)"),
    "ist_asp_dd6_allrand": ("RXASP = 'Y'", "OCCODE in (1, 2)", "true"),
    "ist_asp_isc14": ("RXASP = 'Y'", "ISC14 = 1", "true"),
    "ist_hep_isc14": ("RXHEP <> 'N'", "ISC14 = 1", "true"),
    "ist_asp_h14": ("RXASP = 'Y'", "H14 = 1", "true"),
    "ist_hep_h14": ("RXHEP <> 'N'", "H14 = 1", "true"),
    "ist_asp_PE": ("RXASP = 'Y'", "PE14 = 1", "true"),
}


def events(shared, data: str, arm: str, outcome: str, kept: str) -> dict[str, tuple[int, float]]:
    """Arm -> events and share, over three sites."""
    prepared = f"select row_, cast({arm} as varchar) as arm, case when {outcome} then 'yes' else 'no' end as out from t where {kept}"
    cells = run("crosstab", {"rows": "arm", "columns": "out"}, rows(shared, data, prepared, "(row_ % 3)")).report[
        "cells"
    ]
    return {c["arm"]: (c["count"], c["row_percent"] / 100) for c in cells if c["out"] == "yes"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_shares_of_the_stroke_trial(shared, name) -> None:
    figures = truth(shared)["published_reproductions"][name]
    found = events(shared, "ist.parquet", *PUBLISHED[name])
    for arm, key in (("true", "yes"), ("false", "no")):
        assert found[arm][0] == figures[f"ev_{key}"]
        assert worst(found[arm][1], figures[key]) < 1e-12


def test_published_shares_of_three_other_trials(shared) -> None:
    """Indomethacin after ERCP, treatment of gum disease in pregnancy, streptomycin."""
    figures = truth(shared)["published_reproductions"]
    pep = events(shared, "indo_rct.parquet", "rx", "outcome = '1_yes'", "true")
    assert worst([pep[k][1] for k in sorted(pep)], [figures["indo_pep_by_rx"][k] for k in sorted(pep)]) < 1e-12
    born = events(shared, "opt.parquet", '"Group"', """trim("Preg.ended...37.wk") = 'Yes'""", "true")
    assert {k: n for k, (n, _) in born.items()} == figures["opt_ev"]
    assert worst([born[k][1] for k in "CT"], [figures["opt_preterm"][k] for k in "CT"]) < 1e-12
    for key, outcome in (("strep_improved", "improved"), ("strep_deaths", "radiologic_6m = '1_Death'")):
        found = events(shared, "strep_tb.parquet", "arm", outcome, "true")
        got = {arm: share if key == "strep_improved" else n for arm, (n, share) in found.items()}
        assert worst([got[arm] for arm in sorted(got)], [figures[key][arm] for arm in sorted(got)]) < 1e-12


def test_indomethacins_chi_square(shared) -> None:
    prepared = "select site as place, rx, outcome from t"
    table = rows(shared, "indo_rct.parquet", prepared, "place")
    found = run("crosstab", {"rows": "rx", "columns": "outcome", "correct": False}, table).report
    figures = truth(shared)["published_reproductions"]
    assert worst(found["fit"]["p_value"], figures["indo_p"]) < 1e-9
    counts = run("count", {"by": ["place"]}, table).report["cells"]
    assert {c["place"]: c["count"] for c in counts} == figures["indo_by_site"]


def test_deaths_of_two_countries(shared) -> None:
    block = truth(shared)["glm"]["ist_death14_UKUSA"]
    prepared = """select ID14, case when RXASP = 'Y' then 1 else 0 end as asp, case when RXHEP <> 'N' then 1 else 0 end as hep, AGE,
        case when SEX = 'M' then 1 else 0 end as male, RSBP, RDELAY, RCONSC, COUNTRY from t where COUNTRY in ('UK', 'USA')"""
    table = rows(shared, "ist.parquet", prepared, "COUNTRY")
    for robust, errors in ((None, block["se"]), ("HC0", block["robust_se"]["HC0"])):
        asked = {"formula": block["formula"], "family": "binomial"} | ({"robust": robust} if robust else {})
        found = run("glm", asked, table).report
        assert worst([t["estimate"] for t in found["terms"]], list(block["coef"].values())) < 1e-9
        assert worst([t["std_error"] for t in found["terms"]], list(errors.values())) < 1e-9


def test_effects_of_countries(shared) -> None:
    """Through the masked path, 36 countries as sites. lmer's ranef, whose theta is its optimiser's."""
    expected = truth(shared)["mixed_models"]["ist_rsbp_ri_country_blup"]
    prepared = "select RSBP, AGE, case when SEX = 'M' then 1.0 else 0.0 end as male, RDELAY, COUNTRY from t"
    table = rows(shared, "ist.parquet", prepared)
    names = ("RSBP", "AGE", "male", "RDELAY")
    at = {name: table["COUNTRY"] == name for name in expected}
    sites = {name.lower(): pa.table({n: table[n][here].astype(float) for n in names}) for name, here in at.items()}
    asked = {"formula": "RSBP ~ AGE + male + RDELAY", "group": "site", "release": ["site_results"]}
    study = isthmus.Study(title="IST", dataset="ist", analyses={"pressure": {"mixed": asked}})
    found = isthmus.rehearse(study, sites, rules=plain(OPEN)).to_dict()["analyses"]["pressure"]["effects"]
    got = {one["site"].upper(): one["estimate"] for one in found}
    assert worst([got[name] for name in expected], list(expected.values())) < 1e-6
