"""Meta-analysis against R's metafor: on published figures, and over the levels of a category through the masked path."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from reference_cases import relative, worst
from test_masked_path import rehearsed, truth

import isthmus

R = json.loads((Path(__file__).parent / "r" / "meta_analysis.json").read_text())
BLOCKS = ("ist_aspirin_death14_by_country_logOR", "ist_aspirin_adjusted_logOR_two_stage", "bcg_logRR")
WAYS = {
    "FE": ("fixed", "z"),
    "DL": ("DL", "z"),
    "REML": ("REML", "z"),
    "PM": ("PM", "z"),
    "DL_HKSJ": ("DL", "hksj"),
    "REML_HKSJ": ("REML", "hksj"),
}
FIT = {"tau2": "tau2", "tau2_error": "se_tau2", "i2": "I2", "h2": "H2", "q": "Q", "q_p_value": "Q_p"}
ITERATED = {"REML", "REML_HKSJ", "PM"}
SMALL = {"tau2": 1e-9, "i2": 1e-6}  # absolutely where R has tau2 = 0, or its rounding


def agrees(body: dict[str, Any], block: dict[str, Any], gate: float, skip: set[str] = frozenset()) -> None:
    """The pooled row and the fit against metafor's."""
    pooled, fit = body["terms"][-1], body["fit"]
    expected = [block["beta"], block["se"], *block["ci"], block["z_or_t"], block["p"]]
    got = [pooled[k] for k in ("estimate", "std_error", "conf_low", "conf_high", "statistic", "p_value")]
    assert worst(got, expected) < gate
    none = block["tau2"] < 1e-12
    for name, r in FIT.items():
        if r in skip or block[r] is None:
            continue
        if none and name in SMALL:
            assert abs(fit[name] - block[r]) < SMALL[name]
        else:
            assert relative(fit[name], block[r]) < gate, name
    if block["pi"]:
        assert worst([fit["pi_low"], fit["pi_high"]], block["pi"]) < max(gate, 1e-11)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", BLOCKS)
def test_published_figures(shared, name, way) -> None:
    block = truth(shared / "truth")["meta_analysis"][name]
    figures = dict(zip(block["labels"], zip(block["yi"], map(math.sqrt, block["vi"]), strict=True), strict=True))
    method, interval = WAYS[way]
    found = isthmus.pool_estimates(figures, method=method, interval=interval).to_dict()
    if method == "PM" and block["PM"]["tau2"]:
        agrees(found, block[way], 2e-3)  # stored at uniroot's default tolerance; below with a small one
        return
    agrees(found, block[way], 1e-9 if way in ITERATED else 1e-12)


@pytest.fixture(scope="module")
def bcg(shared: Path) -> dict[str, list[Any]]:
    rows = duckdb.sql(f"select * from read_parquet('{(shared / 'data' / 'dat_bcg.parquet').as_posix()}')")
    return rows.to_arrow_table().to_pydict()


def bcg_tables(bcg: dict[str, list[Any]]) -> dict[str, tuple[int, ...]]:
    counts = zip(bcg["tpos"], bcg["tneg"], bcg["cpos"], bcg["cneg"], strict=True)
    return {f"{n}": (a, a + b, c, c + d) for n, (a, b, c, d) in zip(bcg["trial"], counts, strict=True)}


def test_vaccine_trials(shared, bcg) -> None:
    block = truth(shared / "truth")["meta_analysis"]
    tables = bcg_tables(bcg)
    agrees(isthmus.pool_tables(tables, measure="RR", method="DL").to_dict(), block["bcg_logRR"]["DL"], 1e-12)
    for measure, method, key in (("OR", "MH", "OR"), ("RR", "MH", "RR"), ("OR", "Peto", "peto")):
        found = isthmus.pool_tables(tables, measure=measure, method=method).to_dict()
        pooled, r = found["terms"][-1], block["bcg_MH"][key]
        got = [pooled["estimate"], pooled["std_error"], found["fit"]["q"]]
        assert worst(got, [r["beta"], r["se"], r["Q"]]) < 1e-12
    found = isthmus.pool_tables(tables, measure="RR", method="PM").to_dict()
    fit, r = found["fit"], R["PM"]
    assert worst([fit["tau2"], fit["tau2_error"], fit["i2"]], [r["tau2"], r["se_tau2"], r["I2"]]) < 1e-9
    assert worst(found["terms"][-1]["estimate"], r["beta"]) < 1e-12


@pytest.mark.parametrize(
    ("key", "method", "interval"),
    [("REML", "REML", "z"), ("DL", "DL", "z"), ("PM_HKSJ", "PM", "hksj"), ("FE", "fixed", "z")],
)
def test_subgroups(bcg, key, method, interval) -> None:
    r = R[f"groups_{key}"]
    groups = dict(zip(map(str, bcg["trial"]), bcg["alloc"], strict=True))
    found = isthmus.pool_tables(bcg_tables(bcg), measure="RR", method=method, interval=interval, groups=groups)
    body = found.to_dict()
    rows = {row["term"]: row for row in body["subgroups"]}
    assert worst([rows[n]["estimate"] for n in r["names"]], r["beta"]) < 1e-9
    assert worst([rows[n]["std_error"] for n in r["names"]], r["se"]) < 1e-9
    test = body["tests"]["subgroups"]
    assert worst([test["statistic"], test["p_value"]], [r["QM"], r["QMp"]]) < 1e-9
    assert (
        worst([body["subgroups_fit"][k] for k in ("tau2", "q", "q_p_value")], [r[k] for k in ("tau2", "Q", "Q_p")])
        < 1e-9
    )


def test_two_subgroups_show_their_difference() -> None:
    figures = {"a": (0.2, 0.1), "b": (0.4, 0.1), "c": (0.5, 0.2), "d": (0.9, 0.2)}
    groups = {"a": "UK", "b": "UK", "c": "US", "d": "US"}
    found = isthmus.pool_estimates(figures, method="fixed", groups=groups).to_dict()
    gap = found["subgroups"][-1]
    assert gap["term"] == "US - UK"
    assert gap["estimate"] == pytest.approx(0.4)
    assert gap["statistic"] ** 2 == pytest.approx(found["tests"]["subgroups"]["statistic"])


@pytest.mark.parametrize(
    ("key", "method", "interval"), [("REML", "REML", "z"), ("DL_HKSJ", "DL", "hksj"), ("FE", "fixed", "z")]
)
def test_leaving_each_out(bcg, key, method, interval) -> None:
    r = R[f"left_{key}"]
    found = isthmus.pool_tables(bcg_tables(bcg), measure="RR", method=method, interval=interval).to_dict()
    for name, other in {"estimate": "beta", "std_error": "se", "tau2": "tau2", "i2": "I2", "q": "Q"}.items():
        if r[other]:
            assert worst([row[name] for row in found["leave_one_out"]], r[other]) < 1e-9, name


def test_empty_cells() -> None:
    made = R["made"]
    columns = zip(made["events1"], made["n1"], made["events0"], made["n0"], strict=True)
    tables = {f"s{i}": row for i, row in enumerate(columns)}
    for measure in ("OR", "RR", "RD"):
        found = isthmus.pool_tables(tables, measure=measure, method="fixed").to_dict()["terms"][:-1]
        assert worst([t["estimate"] for t in found], R["tables"][measure]["yi"]) < 1e-12
        assert worst([t["std_error"] ** 2 for t in found], R["tables"][measure]["vi"]) < 1e-12
    for measure in ("OR", "RR", "RD"):
        found = isthmus.pool_tables(tables, measure=measure, method="MH").to_dict()
        pooled, r = found["terms"][-1], R[f"MH_{measure}"]
        assert worst([pooled["estimate"], pooled["std_error"], found["fit"]["q"]], [r["beta"], r["se"], r["Q"]]) < 1e-12


IST = """select COUNTRY as nation, ID14 as died14, case when RXASP = 'Y' then 1 else 0 end as asp, AGE, RSBP,
    case when SEX = 'M' then 1 else 0 end as male, case when COUNTRY in ('UK', 'USA') then COUNTRY else 'rest' end as place
    from t where COUNTRY in (select COUNTRY from t group by COUNTRY having count(*) >= 100)"""


@pytest.fixture(scope="module")
def stroke(shared: Path) -> dict[str, Any]:
    """The 24 countries with 100 patients or more, dealt to three sites that cut across countries."""
    with duckdb.connect() as con:
        con.sql(f"create table t as select * from read_parquet('{(shared / 'data' / 'ist.parquet').as_posix()}')")
        con.sql(f"create table p as select *, hash(AGE, RSBP) % 3 as site_ from ({IST})")
        query = "select * exclude (site_) from p where site_ = ?"
        return {f"s{k}": con.sql(query, params=[k]).to_arrow_table() for k in range(3)}


def test_tables_by_country_through_the_masked_path(shared, stroke) -> None:
    block = truth(shared / "truth")["meta_analysis"]
    asked = {"by": "nation", "treatment": "asp", "outcome": "died14"}
    ways = {"REML": {}, "DL_HKSJ": {"method": "DL", "interval": "hksj"}, "FE": {"method": "fixed"}}
    analyses = {name: {"meta": {**asked, **more}} for name, more in ways.items()}
    analyses["MH"] = {"meta": {**asked, "method": "MH"}}
    body = rehearsed("ist", stroke, analyses)["analyses"]
    r = block["ist_aspirin_death14_by_country_logOR"]
    for name in ways:
        agrees(body[name], r[name], 1e-9)
    studies = body["FE"]["terms"][:-1]
    assert [s["term"] for s in studies] == r["labels"]
    assert worst([s["estimate"] for s in studies], r["yi"]) < 1e-12
    assert [s["n"] for s in studies] == [
        a + b for a, b in zip(*(block["ist_aspirin_2x2"][k] for k in ("n1", "n0")), strict=True)
    ]
    pooled = body["MH"]["terms"][-1]
    assert worst([pooled["estimate"], pooled["std_error"]], list(block["ist_MH_OR"].values())) < 1e-12


def test_models_by_country_through_the_masked_path(shared, stroke) -> None:
    """Three countries without an event in one arm have no estimate: R's are 30 with an error of 9e6, and weigh nothing."""
    r = truth(shared / "truth")["meta_analysis"]["ist_aspirin_adjusted_logOR_two_stage"]
    model = {"glm": {"formula": "died14 ~ asp + AGE + male + RSBP", "family": "binomial"}}
    asked = {"by": "nation", "of": model, "term": "asp"}
    found = rehearsed("ist", stroke, {"m": {"meta": asked}})["analyses"]["m"]
    assert set(found["left_out"]) == {"CANA", "ISRA", "USA"}
    assert found["rounds"] < 12
    known = {label: (y, v) for label, y, v in zip(r["labels"], r["yi"], r["vi"], strict=True)}
    studies = found["terms"][:-1]
    assert worst([s["estimate"] for s in studies], [known[s["term"]][0] for s in studies]) < 1e-9
    assert (
        worst([s["std_error"] ** 2 for s in studies], [known[s["term"]][1] for s in studies]) < 1e-6
    )  # R: last step's
    pooled = found["terms"][-1]
    assert worst([pooled["estimate"], pooled["std_error"]], [r["REML"]["beta"], r["REML"]["se"]]) < 1e-7
    assert found["fit"]["tau2"] == 0.0
    assert found["fit"]["measure"] == "OR"
    assert np.isclose(sum(s["weight"] for s in studies), 100.0)


PRECISIONS = json.loads((Path(__file__).parent / "r" / "meta_precisions.json").read_text())


def of_precisions(set_: str, power: int, method: str) -> dict[str, Any]:
    errors = (0.25, 0.3 / 10**power, 0.3, 0.2)
    figures = {f"{i}": (y, s) for i, (y, s) in enumerate(zip(PRECISIONS["sets"][set_], errors, strict=True))}
    return isthmus.pool_estimates(figures, method=method).to_dict()


@pytest.mark.parametrize("block", PRECISIONS["found"], ids=lambda b: f"{b['set']} {b['method']} {b['power']}")
def test_one_estimate_far_more_precise_than_the_others(block) -> None:
    found = of_precisions(block["set"], block["power"], block["method"])
    pooled = found["terms"][-1]
    assert abs(found["fit"]["tau2"] - block["tau2"]) <= 1e-9 * block["tau2"]
    assert worst([pooled["estimate"], pooled["std_error"]], [block["beta"], block["se"]]) < 1e-9


@pytest.mark.parametrize("power", [0, 3, 6, 9, 20, 40])
@pytest.mark.parametrize("set_", PRECISIONS["sets"])
def test_closed_forms_lose_no_digit_beside_a_precise_estimate(set_, power) -> None:
    y = [Fraction(v) for v in PRECISIONS["sets"][set_]]
    w = [1 / Fraction(s * s) for s in (0.25, 0.3 / 10**power, 0.3, 0.2)]
    mass = sum(w)
    mean = sum(a * b for a, b in zip(w, y, strict=True)) / mass
    q = sum(a * (b - mean) ** 2 for a, b in zip(w, y, strict=True))
    trace = mass - sum(a * a for a in w) / mass
    found = of_precisions(set_, power, "DL")["fit"]
    assert relative(found["q"], float(q)) < 1e-12
    expected = float((q - 3) / trace)
    assert found["tau2"] == pytest.approx(max(0.0, expected), rel=1e-12)


def test_a_precision_beyond_all_numbers_is_named() -> None:
    with pytest.raises(isthmus.Invalid, match="absurdly small"):
        isthmus.pool_estimates({"a": (0.1, 0.2), "b": (0.2, 1e-100)})
