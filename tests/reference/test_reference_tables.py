"""Table 1, cross-tabulations and the International Stroke Trial's published figures against R."""

from __future__ import annotations

import pytest
from reference_cases import rows, run, truth, worst

HEART = "select id, site as place, age, trestbps, thalach, oldpeak, 's' || sex as sex, 'c' || cp as cp from t"
IST = "select COUNTRY as nation, AGE, RSBP, RDELAY, SEX, RCONSC, STYPE, RXASP from t where COUNTRY in ('UK', 'USA')"


@pytest.mark.parametrize("name", ["age", "trestbps", "thalach", "oldpeak"])
def test_means_and_deviations_by_group(shared, name) -> None:
    block = truth(shared)["table1_quantiles"]["heart4"]["continuous"][name]
    trace = run("table_one", {"variables": [name], "by": "place"}, rows(shared, "heart4.parquet", HEART, "(id % 4)"))
    for cell in trace.report["cells"]:
        expected = block[cell["place"] or "overall"]
        assert cell["n"] == expected["n"]
        assert worst([cell["mean"], cell["sd"]], [expected["mean"], expected["sd"]]) < 1e-12


@pytest.mark.parametrize("name", ["sex", "cp"])
def test_counts_and_chi_square_by_group(shared, name) -> None:
    heart = truth(shared)["table1_quantiles"]["heart4"]
    table = rows(shared, "heart4.parquet", HEART, "(id % 3)")
    trace = run("crosstab", {"rows": name, "columns": "place"}, table)
    for cell in trace.report["cells"]:
        assert cell["count"] == heart["categorical"][name][cell["place"]][cell[name][1:]]
    fit, expected = trace.report["fit"], heart["tests"][name]
    assert worst([fit["statistic"], fit["p_value"]], [expected["chisq"], expected["p"]]) < 1e-9
    assert fit["df"] == expected["df"]


@pytest.mark.parametrize("name", ["SEX", "RCONSC", "STYPE", "RXASP"])
def test_chi_square_of_the_stroke_trial(shared, name) -> None:
    expected = truth(shared)["table1_quantiles"]["ist_uk_us"]["tests"][name]
    arguments = {"rows": name, "columns": "nation", "correct": False}
    fit = run("crosstab", arguments, rows(shared, "ist.parquet", IST)).report["fit"]
    assert worst([fit["statistic"], fit["df"], fit["p_value"]], [expected[k] for k in ("chisq", "df", "p")]) < 1e-9


def test_standardised_mean_differences(shared) -> None:
    expected = truth(shared)["table1_quantiles"]["ist_uk_us"]["smd_UK_minus_USA"]
    arguments = {"variables": list(expected), "by": "nation", "smd": True}
    found = run("table_one", arguments, rows(shared, "ist.parquet", IST)).report["fit"]["smd"]
    assert worst([found[k] for k in expected], [abs(v) for v in expected.values()]) < 1e-12


def test_published_deaths_at_14_days(shared) -> None:
    """Aspirin 9.0 % v 9.4 % (Lancet 1997)."""
    figures = truth(shared)["published_reproductions"]["ist_asp_death14"]
    table = rows(shared, "ist.parquet", "select RXASP, 'd' || ID14 as died, COUNTRY as nation from t", "nation = 'UK'")
    cells = run("crosstab", {"rows": "RXASP", "columns": "died"}, table).report["cells"]
    shares = {c["RXASP"]: c["row_percent"] / 100 for c in cells if c["died"] == "d1"}
    assert worst([shares["Y"], shares["N"]], [figures["yes"], figures["no"]]) < 1e-12
    assert [round(100 * shares[k], 1) for k in "YN"] == [9.0, 9.4]
