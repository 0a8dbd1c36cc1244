"""What people hold after a run: frames, text, notebook HTML, figures, refusals."""

from __future__ import annotations

import math

import pytest
from made_results import CURVES, LOGISTIC, RESULT, common

from isthmus.model.errors import Invalid, Refused
from isthmus.sdk import figures, frames, tables
from isthmus.sdk.result import Result


@pytest.fixture
def result() -> Result:
    return Result(RESULT)


def test_a_result_is_a_mapping_of_analyses(result: Result) -> None:
    assert list(result) == ["response", "hazard", "survival", "difference", "rare", "odd"]
    assert result["response"].n == 2140
    with pytest.raises(KeyError, match="hazard"):
        result["nothing"]


def test_tidy_has_brooms_columns(result: Result) -> None:
    tidy = result["response"].tidy()
    names = ["term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"]
    assert tidy.column_names == names
    assert tidy["term"].to_pylist()[-1] == "arm[ddI]"


def test_exponentiate_turns_estimate_and_limits_into_ratios(result: Result) -> None:
    plain, ratios = (result["response"].tidy(exponentiate=e).to_pylist()[1] for e in (False, True))
    assert ratios["estimate"] == math.exp(plain["estimate"])
    assert ratios["conf_high"] == math.exp(plain["conf_high"])
    assert ratios["std_error"] == plain["std_error"]


def test_curves_are_one_row_per_group_and_step(result: Result) -> None:
    rows = result["survival"].tidy().to_pylist()
    assert len(rows) == 6
    assert rows[0]["arm"] == "ZDV"
    assert rows[-1]["survival"] is None
    assert result["survival"].at_risk.column_names == ["arm", "time", "at_risk", "events", "censored"]
    with pytest.raises(Invalid, match="curves"):
        _ = result["hazard"].at_risk


def test_glance_is_one_row(result: Result) -> None:
    assert result["difference"].glance().to_pylist()[0]["df"] == 3
    assert result["response"].glance().to_pylist()[0]["aic"] == 2506.0


def test_numbers_of_two_types_share_a_column() -> None:
    body = {"kind": "count", "cells": [{"count": 1}, {"count": 1.5}]}
    assert frames.tidy(body, exponentiate=False)["count"].to_pylist() == [1.0, 1.5]


def test_a_refused_analysis_shows_its_reason_and_raises_it_when_used(result: Result) -> None:
    rare = result["rare"]
    assert (rare.status, rare.error["code"]) == ("refused", "E-DISCLOSURE")
    for word in ("E-DISCLOSURE", "not answered: minimum_count", "fewer terms"):
        assert word in rare.summary()
    assert "E-DISCLOSURE" in repr(rare)
    for use in (rare.tidy, rare.glance, rare.plot):
        with pytest.raises(Refused) as refused:
            use()
        assert refused.value.code == "E-DISCLOSURE"


def test_a_failed_analysis_raises_as_invalid(result: Result) -> None:
    with pytest.raises(Invalid, match="separated"):
        result["odd"].tidy()
    assert result.refused == ("rare", "odd")


def test_a_models_kind_of_error_is_not_a_failure(result: Result) -> None:
    assert result["response"].error is None
    assert "errors: model" in result["response"].summary()


def test_summaries_name_what_matters(result: Result) -> None:
    text = result.summary()
    for word in ("Logistic regression", "OR", "arm[ddI]", "0.50", "<0.001", "HR", "Cox", "rows that left a site: 0"):
        assert word in text
    assert "RR" not in text


def test_notebook_html_escapes_and_has_scopes(result: Result) -> None:
    html = result._repr_html_()
    assert "<for>" not in html
    assert '<th scope="col">' in html
    assert "style=" not in html


def test_results_cannot_be_changed_through_what_they_give_out(result: Result) -> None:
    body = result.to_dict()
    body["analyses"]["response"]["terms"].clear()
    assert result["response"].tidy().num_rows == 3


def test_provenance_says_study_sites_and_proof(result: Result) -> None:
    about = result["response"].provenance
    assert about["study"].startswith("sha256:")
    assert about["proof"]["ledger_size"] == 41
    assert "analyses" not in about
    assert result.disclosure["response"][0]["rule"] == "minimum_count"


def test_only_curves_and_models_have_figures(result: Result) -> None:
    assert result["survival"].plot().startswith("<svg")
    assert "Hazard ratio" in result["hazard"].plot()
    with pytest.raises(Invalid) as error:
        result["difference"].plot()
    assert error.value.code == "E-PLOT"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.000123456, "0.0001235"), (1234567, "1,234,567"), (12345.678, "12,346"), (0.5, "0.5"), (5.0, "5")],
)
def test_significant_digits(value: float | None, shown: str) -> None:
    assert tables.significant(value) == shown


def test_p_values_as_journals_print_them() -> None:
    assert [tables.p_value(p) for p in (None, 0.0, 0.0009, 0.0123, 1.0)] == ["-", "<0.001", "<0.001", "0.012", "1.000"]


def test_a_link_decides_what_a_ratio_is_called() -> None:
    assert frames.ratio(LOGISTIC) == "OR"
    assert frames.ratio(CURVES) is None
    assert frames.ratio({"kind": "glm", "fit": {"link": "identity"}}) is None


def test_table_one_has_a_column_per_group_and_a_line_per_level() -> None:
    cells = [
        {"variable": "age", "arm": None, "n": 100, "missing": 0, "mean": 35.23, "sd": 8.85},
        {"variable": "age", "arm": "A", "n": 100, "missing": 0, "mean": 36.0, "sd": None},
        {"variable": "sex", "level": "male", "arm": None, "count": 60, "percent": 60.0},
        {"variable": "sex", "level": "male", "arm": "A", "count": None, "percent": None},
    ]
    body = {"kind": "table_one", "n": 100, "cells": cells, "groups": {"A": 100}, "fit": {"smd": {"age": 0.018}}}
    (table,) = tables.of("t", body)
    assert table.headings == ("", "Overall", "A", "SMD")
    assert table.rows[1] == ("age", "35.2 (8.8)", "36 (-)", "0.02")
    assert table.rows[-1] == (" male", "60 (60.0)", "-", "")
    tested = {**body, "fit": {"smd": {"age": 0.018}, "tests": {"age": {"p_value": 0.0004}, "sex": {"p_value": None}}}}
    (table,) = tables.of("t", tested)
    assert table.headings == ("", "Overall", "A", "SMD", "p")
    assert table.rows[1][-2:] == ("0.02", "<0.001")
    assert table.rows[2] == ("sex", "", "", "-", "-")
    assert "Welch" in table.notes[0]


def test_cells_show_their_names_first_and_counts_before_rates() -> None:
    cells = [{"percent": 2.5, "count": 5, "sex": "male", "row_percent": 1.0}]
    body = {"kind": "crosstab", "n": 200, "exactness": "exact", "cells": cells, "fit": {"p_value": 0.2, "df": 1}}
    table, test = tables.of("t", body)
    assert table.headings == ("sex", "count", "percent", "row percent")
    assert [row[0] for row in test.rows] == ["df", "p value"]


def test_rows_left_out_and_why_no_country_has_results_are_printed() -> None:
    odd = RESULT["analyses"]["odd"]
    assert tables.of("m", LOGISTIC)[0].notes == tables.of("m", LOGISTIC | {"excluded": {"age": 0}})[0].notes
    for body in (LOGISTIC, odd, CURVES, RESULT["analyses"]["difference"]):
        notes = tables.of("m", body | {"excluded": {"age": 1200, "bmi": None, "sex": 0}})[0].notes
        assert "rows without a value, left out: age 1,200, bmi not told" in notes
    why = {"code": "E-COUNTRY", "message": "two countries are needed", "hint": "add a <site>"}
    told = Result(RESULT | {"groups": {"by": "country", "countries": [], "withheld": why}})
    assert "no results of single countries: E-COUNTRY two countries are needed (add a <site>)" in told.summary()
    assert "add a &lt;site&gt;" in told._repr_html_()
    assert "single countries" not in Result(RESULT | {"groups": {"by": "country", "countries": ["GB"]}}).summary()


def test_a_log_rank_test_has_its_groups(result: Result) -> None:
    found = result["difference"]
    assert found.tidy().to_pylist()[0] == {"group": "ZDV", "observed": 180, "expected": 120.5}
    assert tables.of("difference", found.to_dict())[1].rows[0] == ("ZDV", "180", "120.5")
    weighted = found.to_dict() | {
        "fit": {"groups": ["A"], "observed": [9], "expected": [8.5], "weighted_observed": [7.5]}
    }
    assert frames.tidy(weighted, exponentiate=False).column_names[-1] == "weighted_observed"


def test_a_roc_curve_tidies_to_its_steps_and_glances_at_its_area() -> None:
    curve = {"sensitivity": [0.5, 1.0], "specificity": [1.0, 0.0], "threshold": [2.0, None]}
    body = common("roc") | {"fit": {"auc": 0.75}, "curve": curve}
    assert frames.tidy(body, exponentiate=False).to_pylist()[0] == {
        "threshold": 2.0,
        "sensitivity": 0.5,
        "specificity": 1.0,
    }
    assert frames.glance(body).to_pylist()[0]["auc"] == 0.75


def test_a_calibration_prints_its_score_and_observed_over_expected() -> None:
    fit = {"observed": 90, "expected": 100.0, "observed_expected": 0.9, "brier": 0.125, "brier_null": 0.25}
    body = common("calibration") | {"terms": LOGISTIC["terms"], "fit": fit, "cells": []}
    note = "Brier score = 0.125; observed / expected = 0.9; the slope is tested against 1"
    assert tables.of("m", body)[0].notes[-1] == note


def test_a_calibration_prints_a_short_curve_and_no_long_one() -> None:
    cell = {"from": 0.1, "to": 0.2, "count": 40, "observed": 6, "share": 0.15, "conf_low": 0.07, "conf_high": 0.29}
    body = common("calibration") | {"terms": LOGISTIC["terms"], "fit": {"brier": 0.125}, "cells": [cell] * 30}
    curve = tables.of("m", body)[1]
    assert curve.title == "m: observed shares by prediction"
    assert curve.headings == ("from", "to", "count", "observed", "share", "conf low", "conf high")
    assert len(tables.of("m", body | {"cells": [cell] * 31})) == 1


def test_an_effect_prints_the_ratios_that_it_has_as_logarithms() -> None:
    ratio = {"term": "log odds ratio", "estimate": -0.6931, "std_error": 0.1, "conf_low": -0.9, "conf_high": -0.5}
    body = common("effect") | {"terms": [ratio], "fit": {"e_value": 2.0}}
    assert "odds ratio = 0.50 (0.41 to 0.61)" in tables.of("m", body)[0].notes


def test_random_effects_print_their_correlation_where_they_have_one() -> None:
    fit = {"variances": {"(Intercept)": 4.0, "age:arm": 9.0}, "covariances": {"(Intercept):age:arm": -3.0}}
    body = common("mixed") | {"terms": LOGISTIC["terms"], "fit": fit}
    assert "correlation of (Intercept):age:arm = -0.5" in tables.of("m", body)[0].notes
    none = fit | {"variances": {"(Intercept)": 0.0, "age:arm": 9.0}}
    assert not any("correlation" in note for note in tables.of("m", body | {"fit": none})[0].notes)


def test_a_measure_without_an_exact_interval_has_a_dash() -> None:
    term = {"term": "lr_positive", "estimate": 1.4, "conf_low": 1.2, "conf_high": 1.7}
    assert tables.of("m", common("accuracy") | {"terms": [term]})[0].rows[0][-1] == "-"


def test_estimates_come_before_their_limits_and_tests() -> None:
    numbers = {"conf_high": 0.4, "conf_low": 0.1, "df": 98, "estimate": 0.2, "p_value": 1e-9, "statistic": 3.5}
    for kind in ("correlation", "spearman"):
        table = tables.of("m", common(kind) | {"cells": [{**numbers, "first": "age", "second": "bmi"}]})[0]
        assert table.headings == (
            "first",
            "second",
            *("estimate", "conf low", "conf high", "statistic", "df", "p value"),
        )
        assert table.rows[0][-1] == "<0.001"
    cell = {"arm": "A", "conf_high": 3.0, "conf_low": 1.0, "events": 9, "n": 90, "person_time": 450.0, "rate": 2.0}
    body = common("rate") | {"cells": [cell | {"standardised": 2.5, "standardised_low": 1.5, "standardised_high": 3.5}]}
    names = ("arm", "n", "events", "person_time", "rate", "conf_low", "conf_high")
    names += ("standardised", "standardised_low", "standardised_high")
    assert tables.of("m", body)[0].headings == tuple(name.replace("_", " ") for name in names)
    assert frames.tidy(body, exponentiate=False).column_names == list(names)


def test_models_of_levels_print_odds_ratios() -> None:
    intercept, age, arm = LOGISTIC["terms"]
    ordinal = {"terms": [{**intercept, "term": "low|high"}, age, arm], "levels": {"low": 900, "high": 1240}}
    multinomial = {"terms": [{**t, "term": f"high: {t['term']}"} for t in (intercept, age, arm)], "levels": {}}
    for kind, more in (("ordinal", ordinal), ("multinomial", multinomial)):
        body = common(kind) | more
        table = tables.of("m", body)[0]
        assert table.headings[:2] == ("Term", "OR")
        assert table.rows[2][1:3] == ("0.50", "0.39 to 0.63")
        assert [row.label for row in figures.forest_figure("m", body, {}).rows] == [
            t["term"] for t in more["terms"][1:]
        ]


def test_the_ratio_of_an_intercept_far_from_the_data_is_as_large_as_can_be_said() -> None:
    assert [tables.effect(value, "OR") for value in (800.0, 26.5, 13.0, -3.0)] == [
        "inf",
        "3.2e+11",
        "442413.39",
        "0.05",
    ]
    body = LOGISTIC | {"terms": [{**LOGISTIC["terms"][0], "estimate": 800.0}]}
    assert frames.tidy(body, exponentiate=True)["estimate"].to_pylist() == [math.inf]


def test_incidences_keep_their_cause_and_print_without_a_figure() -> None:
    steps = {"time": [1.0, 2.0], "at_risk": [9, 7], "events": [2, 1], "censored": [0, 6]}
    limits = {"std_error": [0.1, 0.1], "conf_low": [0.1, 0.2], "conf_high": [0.4, 0.5]}
    curve = {"group": {"arm": "A"}, "cause": "relapse", "n": 9, "incidence": [0.2, 0.3], **steps, **limits}
    body = common("cumulative_incidence") | {"curves": [curve]}
    table = frames.tidy(body, exponentiate=False)
    assert table.column("cause").to_pylist() == ["relapse", "relapse"]
    assert table.column("incidence").to_pylist() == [0.2, 0.3]
    assert table.column("std_error").to_pylist() == [0.1, 0.1]
    assert frames.at_risk(body).column_names == ["arm", "cause", "time", "at_risk", "events", "censored"]
    assert not figures.has_survival(body)


def test_contrasts_tests_and_single_figures_are_printed() -> None:
    test = {"statistic": 3.7, "df": 2, "p_value": 0.157}
    beside = {"contrasts": [{**LOGISTIC["terms"][1], "term": "ten years"}], "tests": {"stage": test}}
    first, contrasts, tests = tables.of("death", LOGISTIC | beside | {"standing": "exploratory", "outcomes": 2})
    assert first.notes[-1] == "exploratory; one of 2 outcomes tried"
    assert contrasts.rows[0][:2] == ("ten years", "1.01")
    assert tests.rows == (("stage", "3.7", "2", "0.157"),)
    fit = {"auc": 0.75, "conf_low": 0.7, "conf_high": 0.8, "brier": 0.125}
    benefit = [{"threshold": 0.1, "net_benefit": 0.25, "treat_all": 0.125}]
    body = common("validate_model") | {"terms": LOGISTIC["terms"], "fit": fit, "net_benefit": benefit}
    first, after = tables.of("score", body)
    assert first.notes[-1] == "AUC = 0.75 (0.7 to 0.8); Brier score = 0.125; the slope is tested against 1"
    assert after.rows == (("0.1", "0.25", "0.125"),)
    rates = common("rate") | {"terms": LOGISTIC["terms"][1:], "cells": [{"arm": "A", "events": 9, "rate": 0.5}]}
    assert [table.rows[0][0] for table in tables.of("rates", rates)] == ["age", "A"]
