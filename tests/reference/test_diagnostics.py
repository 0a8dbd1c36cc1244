"""ROC curves and accuracy against pROC, binom.test and the stored results of R: bare, over rows dealt to sites."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from reference_cases import codebook, rows, run, through_gates, truth, worst

from isthmus.model.rules import OPEN
from isthmus.statistics.accuracy import proportion
from isthmus.statistics.contract import Inputs, Setting
from isthmus.statistics.roc import STATISTIC, Roc

HEART = "select site as place, thalach, oldpeak, exang, disease from t"
ASAH = "select s100b, ndka, wfns::integer as wfns, case when outcome = 'Poor' then 1 else 0 end as poor from t"
IST = "select COUNTRY as nation, EXPD14, ID14 from t"
PLACES = ("budapest_hu", "cleveland_us", "longbeach_va_us", "zurich_basel_ch")
PARTIAL = {"partial": [0.9, 1.0]}


def check(fit: dict[str, Any], block: dict[str, Any], gate: float = 1e-12) -> None:
    assert worst(fit["auc"], block["auc"]) < gate
    assert worst(fit["std_error"] ** 2, block["delong_var"]) < 1e3 * gate
    assert worst([fit["conf_low"], fit["conf_high"]], block["ci_delong"]) < 1e3 * gate
    assert fit["n_pos"] == block["n_pos"]
    assert fit["n_neg"] == block["n"] - block["n_pos"]
    assert worst(fit["partial_auc"], block["partial_auc_spec_0.9_1"]) < 1e3 * gate


@pytest.mark.parametrize(("marker", "direction"), [("thalach", "lower"), ("oldpeak", "higher")])
def test_heart(shared, marker, direction) -> None:
    block = truth(shared)["diagnostics_validation"]["heart4"][f"{marker}_pooled"]
    asked = {"marker": marker, "outcome": "disease", "direction": direction, **PARTIAL}
    found = run("roc", asked, rows(shared, "heart4.parquet", HEART, "hash(thalach) % 4")).report
    assert (found["exactness"], found["rounds"]) == ("exact", 1)
    check(found["fit"], block)


@pytest.mark.parametrize("place", PLACES)
def test_heart_by_site(shared, place) -> None:
    block = truth(shared)["diagnostics_validation"]["heart4"][place]["thalach"]
    table = rows(shared, "heart4.parquet", f"{HEART} where site = '{place}'", "exang")
    asked = {"marker": "thalach", "outcome": "disease", "direction": "lower", **PARTIAL}
    check(run("roc", asked, table).report["fit"], block)


@pytest.mark.parametrize("marker", ["s100b", "ndka", "wfns"])
def test_subarachnoid_haemorrhage(shared, marker) -> None:
    block = truth(shared)["diagnostics_validation"]["aSAH"][marker]
    asked = {"marker": marker, "outcome": "poor", **PARTIAL}
    check(run("roc", asked, rows(shared, "aSAH.parquet", ASAH, "wfns % 2")).report["fit"], block)


@pytest.mark.parametrize("nation", ["pooled", "UK", "USA"])
def test_stroke_trial(shared, nation) -> None:
    block = truth(shared)["diagnostics_validation"]["ist_EXPD14_validation"][nation]["auc"]
    where = "" if nation == "pooled" else f" where COUNTRY = '{nation}'"
    asked = {"marker": "EXPD14", "outcome": "ID14", **PARTIAL}
    check(run("roc", asked, rows(shared, "ist.parquet", IST + where, "hash(EXPD14) % 3")).report["fit"], block)


def test_wilson_where_all_but_one_are_positive() -> None:
    """Hmisc, behind the stored values, then takes 1 + log(1 - alpha) / n instead; Wilson's formula does not."""
    n, z, share = 8.0, 1.959963984540054, 7.0 / 8.0
    roots = np.roots([1.0 + z * z / n, -(2.0 * share + z * z / n), share * share])  # of Wilson's quadratic
    found = proportion("specificity", 7.0, 8.0, 0.95)
    assert worst([found["conf_low"], found["conf_high"]], sorted(roots.tolist())) < 1e-12


def test_paired_comparison(shared) -> None:
    block = truth(shared)["diagnostics_validation"]["aSAH"]["s100b_vs_wfns"]
    asked = {"marker": "s100b", "outcome": "poor", "compare": {"marker": "wfns"}}
    found = run("roc", asked, rows(shared, "aSAH.parquet", ASAH, "wfns % 2")).report
    assert found["rounds"] == 3
    assert worst([found["fit"]["statistic"], found["fit"]["p_value"]], [block["Z"], block["p"]]) < 1e-9


@pytest.mark.parametrize(
    ("data", "key", "where", "asked"),
    [
        *(
            ("heart4", (place, "exang"), f"site = '{place}'", {"marker": "exang", "outcome": "disease"})
            for place in PLACES
        ),
        ("aSAH", ("s100b_ge_0.21",), "true", {"marker": "s100b", "outcome": "poor", "threshold": 0.21}),
    ],
)
def test_accuracy(shared, data, key, where, asked) -> None:
    block = truth(shared)["diagnostics_validation"][data]
    for part in key:
        block = block[part]
    query = f"{HEART} where {where}" if data == "heart4" else ASAH
    found = run("accuracy", asked, rows(shared, f"{data}.parquet", query, "hash(1) % 1")).report
    terms = {term["term"]: term for term in found["terms"]}
    names = {"sensitivity": "sens", "specificity": "spec", "ppv": "ppv", "npv": "npv", "accuracy": "accuracy"}
    for name, r in names.items():
        term = terms[name]
        assert worst(term["estimate"], block[r]["est"]) < 1e-12
        low, high = block[r]["wilson"]
        if key[0] != "zurich_basel_ch" or name not in {"specificity", "ppv"}:  # 7 of 8, 53 of 54: see below
            assert worst([term["conf_low"], term["conf_high"]], [low, high]) < 1e-12
        assert worst([term["exact_low"], term["exact_high"]], block[r]["clopper_pearson"]) < 1e-9
    for name, r in {"lr_positive": "LRpos", "lr_negative": "LRneg"}.items():
        expected = [block[r][k] for k in ("est", "lower", "upper")]
        assert worst([terms[name][k] for k in ("estimate", "conf_low", "conf_high")], expected) < 1e-9
    assert worst(terms["odds_ratio"]["estimate"], block["DOR"]) < 1e-12
    reach = np.log(terms["odds_ratio"]["conf_high"] / terms["odds_ratio"]["estimate"])
    assert worst(float(reach) / 1.959963984540054, block["log_DOR_se"]) < 1e-9
    assert worst(found["fit"]["youden"], block["youden_J"]) < 1e-12
    assert [c["count"] for c in found["cells"]] == [block[k] for k in ("TP", "FP", "FN", "TN")]


@pytest.mark.parametrize(("sites", "most"), [("0", 0.005), ("hash(AGE) % 4", 0.05)])
def test_the_bound_covers_the_area_at_a_floor_of_eleven(shared, sites, most) -> None:
    """The stroke trial's score with 11 in each cell of each class at each site: the exact area lies within `bound`."""
    block = truth(shared)["diagnostics_validation"]["ist_EXPD14_validation"]["pooled"]["auc"]
    table = rows(shared, "ist.parquet", "select AGE, EXPD14, ID14 from t", sites)
    question = Roc(marker="EXPD14", outcome="ID14")
    site = np.unique(table["site_"], return_inverse=True)[1]
    book = codebook({name: table[name].astype(float) for name in ("EXPD14", "ID14")}, recorded=False)
    setting = Setting(sites=4, dictionary=book, levels={}, conf_level=0.95, grid=STATISTIC.rungs(question, book)[0])
    parts = [
        Inputs(
            rows=int(np.sum(site == k)),
            numbers={n: table[n][site == k].astype(float) for n in book.variables},
            codes={},
        )
        for k in range(site.max() + 1)
    ]
    rules = replace(OPEN, minimum_count=11, minimum_count_site=11)
    found = through_gates(STATISTIC, question, setting, parts, rules).values["area"]
    assert abs(found.auc - block["auc"]) <= found.bound <= most


@pytest.mark.parametrize("nation", ["pooled", "UK"])
def test_calibration_of_the_stroke_trials_score(shared, nation) -> None:
    where = "" if nation == "pooled" else f" where COUNTRY = '{nation}'"
    table = rows(shared, "ist.parquet", IST + where, "hash(EXPD14) % 3")
    found = run("calibration", {"prediction": "EXPD14", "outcome": "ID14"}, table).report
    calibrated(found, truth(shared)["diagnostics_validation"]["ist_EXPD14_validation"][nation])


@pytest.mark.parametrize("nation", ["pooled", "UK", "USA"])
def test_net_benefit_of_the_stroke_trials_score(shared, nation) -> None:
    block = truth(shared)["diagnostics_validation"]["ist_EXPD14_validation"][nation]["net_benefit"]
    where = "" if nation == "pooled" else f" where COUNTRY = '{nation}'"
    asked = {"prediction": "EXPD14", "outcome": "ID14", "thresholds": [float(t) for t in block]}
    cells = run("decision_curve", asked, rows(shared, "ist.parquet", IST + where, "hash(EXPD14) % 3")).report["cells"]
    assert worst([c["net_benefit"] for c in cells], list(block.values())) < 1e-12


@pytest.mark.parametrize("place", ["budapest_hu", "longbeach_va_us", "zurich_basel_ch"])
def test_external_validation_of_a_published_model(shared, place) -> None:
    block = truth(shared)["diagnostics_validation"]["heart4_external_validation"]
    b = block["model"]
    steps = " + ".join(f"case when cp = {k} then {b[f'factor(cp){k}']} else 0 end" for k in (2, 3, 4))
    names = ("age", "sex", "trestbps", "thalach", "exang", "oldpeak")
    lp = f"{b['(Intercept)']} + {steps} + " + " + ".join(f"{b[name]} * {name}" for name in names)
    whole = " and ".join(f"{name} is not null" for name in (*names, "cp"))
    query = f"select {lp} as lp, disease from t where site = '{place}' and {whole}"
    asked = {"prediction": "lp", "outcome": "disease", "scale": "linear"}
    found = run("calibration", asked, rows(shared, "heart4.parquet", query, "hash(lp) % 3")).report
    calibrated(found, block["external"][place])


def calibrated(found: dict[str, Any], block: dict[str, Any]) -> None:
    """`n`, sums and both models as R has them; the curve counts every row."""
    terms, fit = {term["term"]: term for term in found["terms"]}, found["fit"]
    assert (found["n"], found["events"]) == (block["n"], block["events"])
    assert worst([fit["expected"], fit["observed_expected"]], [block["E"], block["OE"]]) < 1e-12
    assert worst([fit["brier"], fit["brier_null"]], [block["brier"], block["brier_null"]]) < 1e-12
    expected = {
        "calibration in the large": ("citl_offset", "citl_se"),
        "slope": ("cal_slope", "cal_slope_se"),
        "intercept": ("cal_intercept_joint", "cal_intercept_joint_se"),
    }
    for name, keys in expected.items():
        assert worst(terms[name]["estimate"], block[keys[0]]) < 1e-9, name
        # R's glm, at its default epsilon, takes errors from the weights before its last step; the unit test has 1e-9
        assert worst(terms[name]["std_error"], block[keys[1]]) < 1e-6, name
    away = (terms["slope"]["estimate"] - 1.0) / terms["slope"]["std_error"]
    assert worst(terms["slope"]["statistic"], away) < 1e-9
    assert sum(cell["count"] for cell in found["cells"]) == block["n"]
    assert sum(cell["observed"] for cell in found["cells"]) == block["events"]


@pytest.mark.parametrize("place", ["budapest_hu", "longbeach_va_us", "zurich_basel_ch"])
def test_a_published_equation_as_one_question(shared, place) -> None:
    block = truth(shared)["diagnostics_validation"]["heart4_external_validation"]
    coefficients = {
        k.replace("factor(cp)", "C(cp)[") + ("]" if "factor" in k else ""): b for k, b in block["model"].items()
    }
    names = ("age", "sex", "cp", "trestbps", "thalach", "exang", "oldpeak")
    whole = " and ".join(f"{name} is not null" for name in names)
    query = (
        f"select {', '.join(f'{n}::double as {n}' for n in names)}, disease from t where site = '{place}' and {whole}"
    )
    benefit = block["external"][place]["net_benefit"]
    asked = {
        "outcome": "disease",
        "formula": "age + sex + C(cp) + trestbps + thalach + exang + oldpeak",
        "coefficients": coefficients,
        "thresholds": [float(t) for t in benefit],
    }
    found = run("validate_model", asked, rows(shared, "heart4.parquet", query, "hash(age, thalach) % 3")).report
    calibrated(found, block["external"][place])
    assert abs(found["fit"]["auc"] - block["external"][place]["auc"]["auc"]) <= found.get("bound", 1e-12) < 0.01
    assert worst([c["net_benefit"] for c in found["net_benefit"]], list(benefit.values())) < 1e-12


@pytest.mark.parametrize("nation", ["pooled", "UK"])
def test_a_published_risk_as_one_question(shared, nation) -> None:
    block = truth(shared)["diagnostics_validation"]["ist_EXPD14_validation"][nation]
    where = "" if nation == "pooled" else f" where COUNTRY = '{nation}'"
    asked = {"outcome": "ID14", "prediction": "EXPD14", "thresholds": [float(t) for t in block["net_benefit"]]}
    found = run("validate_model", asked, rows(shared, "ist.parquet", IST + where, "hash(EXPD14) % 3")).report
    assert worst(found["fit"]["auc"], block["auc"]["auc"]) < 1e-12
    calibrated(found, block)
    assert worst([c["net_benefit"] for c in found["net_benefit"]], list(block["net_benefit"].values())) < 1e-12
