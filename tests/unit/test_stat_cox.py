"""Cox models against a literal reading of the partial likelihood, and what cannot be fitted."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from stat_help import column, evidence, report, run, texts

from isthmus.model.errors import Invalid, Refused
from isthmus.statistics import cox_blocks, cox_rows, cox_ties


def patients(rows: int = 90, seed: int = 4) -> dict:
    draw = np.random.default_rng(seed)
    x, z = draw.normal(size=rows), draw.normal(size=rows)
    time = np.ceil(draw.exponential(12, rows) * np.exp(-0.5 * x))
    return {
        "t": time,
        "e": (draw.random(rows) < 0.7).astype(float),
        "x": x,
        "z": z,
        "g": draw.choice(["a", "b"], rows).astype(object),
    }


def literal(table: dict, ties: str, strata: np.ndarray, beta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Log partial likelihood, score and information, one event at a time."""
    x = np.column_stack([table["x"], table["z"]])
    risk = np.exp(x @ beta)
    loglik, score, information = 0.0, np.zeros(2), np.zeros((2, 2))
    for stratum, time in product(np.unique(strata), np.unique(table["t"])):
        at = (strata == stratum) & (table["t"] >= time)
        died = (strata == stratum) & (table["t"] == time) & (table["e"] == 1)
        count = int(died.sum())
        for j in range(count):
            share = j / count if ties == "efron" else 0.0
            w = risk * at - share * risk * died
            mean = w @ x / w.sum()
            loglik -= np.log(w.sum())
            score -= mean
            information += (x * w[:, None]).T @ x / w.sum() - np.outer(mean, mean)
        loglik += (x @ beta)[died].sum()
        score += x[died].sum(axis=0)
    return loglik, score, information


def fit(table: dict, ties: str, strata: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
    beta = np.zeros(2)
    for _ in range(30):
        loglik, score, information = literal(table, ties, strata, beta)
        beta = beta + np.linalg.solve(information, score)
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    return beta, errors, loglik, literal(table, ties, strata, np.zeros(2))[0]


SITES = np.arange(90) % 4


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("strata", [[], ["g"], ["site"], ["g", "site"]])
def test_equals_the_literal_partial_likelihood(ties, strata) -> None:
    table = patients()
    group = (table["g"] == "b").astype(int) if "g" in strata else np.zeros(90, dtype=int)
    whole = group * 10 + (SITES if "site" in strata else 0)
    beta, errors, loglik, null = fit(table, ties, whole)
    found = report("cox", {"formula": "Surv(t, e) ~ x + z", "ties": ties, "strata": strata}, table, SITES)
    assert column(found["terms"], "estimate") == pytest.approx(beta, rel=1e-9)
    assert column(found["terms"], "std_error") == pytest.approx(errors, rel=1e-9)
    assert [found["fit"][k] for k in ("loglik", "loglik_null")] == pytest.approx([loglik, null], rel=1e-12)
    assert found["exactness"] == "exact"


def test_a_grid_is_the_model_of_binned_rows() -> None:
    table = patients()
    on_grid = report("cox", {"formula": "Surv(t, e) ~ x + z", "grid": {"every": 4, "to": 20}}, table)
    late = table["t"] > 20
    binned = table | {"t": np.where(late, 24, np.ceil(table["t"] / 4) * 4), "e": np.where(late, 0, table["e"])}
    beta, errors, _, _ = fit(binned, "efron", np.zeros(90))
    assert column(on_grid["terms"], "estimate") == pytest.approx(beta, rel=1e-9)
    assert column(on_grid["terms"], "std_error") == pytest.approx(errors, rel=1e-9)
    assert on_grid["exactness"] == "grid"


def test_times_that_differ_by_rounding_are_ties() -> None:
    table = patients()
    jitter = table | {"t": table["t"] * (1 + 1e-12 * np.arange(90))}
    for strata in ([], ["site"]):
        arguments = {"formula": "Surv(t, e) ~ x + z", "strata": strata}
        exact, close = (column(report("cox", arguments, t)["terms"], "estimate") for t in (table, jitter))
        assert close == pytest.approx(exact, rel=1e-12)


def test_strata_in_the_formula_are_strata() -> None:
    table = patients()
    stated = report("cox", {"formula": "Surv(t, e) ~ x", "strata": ["g"]}, table)
    written = report("cox", {"formula": "Surv(t, e) ~ x + strata(g)"}, table)
    assert stated["terms"] == written["terms"]
    assert stated["strata"] == written["strata"] == ["g"]


def test_tests_and_contrasts() -> None:
    arguments = {
        "formula": "Surv(t, e) ~ x + z",
        "contrasts": {"both": {"x": 1, "z": 1}},
        "tests": {"all": ["x", "z"]},
        "release": ["vcov"],
    }
    found = report("cox", arguments, patients())
    assert found["tests"]["all"]["statistic"] == pytest.approx(found["fit"]["wald"], rel=1e-9)
    estimates = column(found["terms"], "estimate")
    assert found["contrasts"][0]["estimate"] == pytest.approx(sum(estimates), rel=1e-12)
    assert found["contrasts"][0]["std_error"] == pytest.approx(np.sqrt(np.sum(found["vcov"])), rel=1e-9)


@pytest.mark.parametrize("strata", [[], ["site"]])
@pytest.mark.parametrize("ranges", [True, False])
def test_uncentred_powers_and_tiny_columns(strata, ranges) -> None:
    table = patients()
    year = np.round(2010 + 4 * table["x"])
    table |= {"year": year, "tiny": table["z"] * 1e-10, "centred": year - 2010}
    arguments = {"formula": "Surv(t, e) ~ year + I(year^2) + tiny", "strata": strata}
    hard = report("cox", arguments, table, SITES, ranges=ranges)["terms"]
    easy = {"formula": "Surv(t, e) ~ centred + I(centred^2) + z", "strata": strata}
    linear_, square, plain = report("cox", easy, table, SITES)["terms"]
    assert hard[1]["estimate"] == pytest.approx(square["estimate"], rel=1e-9)
    assert hard[0]["estimate"] == pytest.approx(linear_["estimate"] - 4020 * square["estimate"], rel=1e-9)
    assert hard[2]["estimate"] == pytest.approx(plain["estimate"] * 1e10, rel=1e-9)
    assert hard[2]["std_error"] == pytest.approx(plain["std_error"] * 1e10, rel=1e-9)


@pytest.mark.parametrize("strata", [[], ["site"]])
@pytest.mark.parametrize(
    ("formula", "change", "code", "named"),
    [
        ("Surv(t, e) ~ x", {"e": np.zeros(90)}, "E-NO-EVENTS", "'e'"),
        ("Surv(t, e) ~ x", {"e": patients()["e"] + 1}, "E-EVENT", "'e'"),
        ("Surv(t, e) ~ x", {"t": patients()["t"] - 5}, "E-TIME", "'t'"),
        ("Surv(t, e) ~ x + flat", {"flat": np.full(90, 2.0)}, "E-COLLINEAR", "'flat' is constant"),
        ("Surv(t, e) ~ x + flat", {"flat": np.full(90, 1e15)}, "E-COLLINEAR", "'flat' is constant"),
        ("Surv(t, e) ~ x + y", {"y": 3 * patients()["x"]}, "E-COLLINEAR", "'y' follows from 'x'"),
        ("Surv(t, e) ~ x + y", {"y": 1 - patients()["e"]}, "E-SEPARATED", "'y'"),
        ("Surv(t, e) ~ y", {"y": -patients()["t"]}, "E-SEPARATED", "'y'"),
    ],
)
def test_what_cannot_be_fitted_says_why_and_names_columns(strata, formula, change, code, named) -> None:
    with pytest.raises(Invalid) as caught:
        report("cox", {"formula": formula, "strata": strata}, patients() | change)
    assert caught.value.code == code
    assert named in caught.value.message


def test_a_column_that_varies_between_strata_alone_is_said_so() -> None:
    table = patients() | {"g": texts(*(["a", "b", "c"] * 30)), "between": np.array([0.0, 1.0, 3.0] * 30)}
    with pytest.raises(Invalid, match="'between' is constant within each of the strata"):
        report("cox", {"formula": "Surv(t, e) ~ x + between", "strata": ["g"]}, table)


@pytest.mark.parametrize("formula", ["x ~ z", "Surv(t, t, e) ~ x", "Surv(t, e) ~ 1"])
def test_formulas_that_are_no_cox_model(formula) -> None:
    with pytest.raises(Invalid) as caught:
        report("cox", {"formula": formula}, patients())
    assert caught.value.code == "E-FORMULA"


LATE = "Surv(s, t, e) ~ x"
WEIGHTED = {"variable": "w", "kind": "precision"}


@pytest.mark.parametrize("strata", [[], ["site"]])
@pytest.mark.parametrize(
    ("change", "more", "code", "named"),
    [
        ({"s": patients()["t"]}, {"formula": LATE}, "E-TIME", "'s' must come before time 't'"),
        ({"s": patients()["t"] * (1 - 1e-12)}, {"formula": LATE}, "E-TIME", "'s' must come before time 't'"),
        ({"s": np.full(90, -1.0)}, {"formula": LATE}, "E-TIME", "'s' must not be negative"),
        ({"w": np.full(90, -1.0)}, {"weights": WEIGHTED}, "E-WEIGHTS", "'w'"),
        ({"w": np.zeros(90)}, {"weights": WEIGHTED}, "E-NO-ROWS", "no row"),
        ({"w": 1.0 - patients()["e"]}, {"weights": WEIGHTED}, "E-NO-EVENTS", "'e'"),
        ({"w": np.full(90, 0.5)}, {"weights": WEIGHTED | {"kind": "frequency"}}, "E-WEIGHTS", "whole numbers"),
        ({"k": np.zeros(90)}, {"cluster": "k"}, "E-CLUSTER", "'k' has one value"),
        ({}, {"cluster": "site"}, "E-CLUSTER", "10 sites"),
        ({"k": np.zeros(90)}, {"formula": "Surv(t, e) ~ x + cluster(z)", "cluster": "k"}, "E-CLUSTER", "two cluster"),
        ({"s": np.maximum(patients()["t"] - 0.5, 0), "t": np.arange(90) + 1.0}, {"formula": LATE}, "E-TIME", "'s'"),
        ({"s": np.arange(90) + 0.5, "t": np.arange(90) + 1.0}, {"formula": LATE}, "E-NO-EVENTS", "beside"),
    ],
)
def test_weights_entries_and_clusters_that_cannot_be(strata, change, more, code, named) -> None:
    arguments = {"formula": "Surv(t, e) ~ x", "strata": strata, **more}
    with pytest.raises(Invalid) as caught:
        report("cox", arguments, patients() | change, np.zeros(90, dtype=int) if more.get("cluster") == "k" else None)
    assert caught.value.code == code
    assert named in caught.value.message


@pytest.mark.parametrize("strata", [[], ["site"]])
def test_a_row_without_weight_is_left_out_and_a_frequency_is_so_many_rows(strata) -> None:
    table = patients() | {"w": np.arange(90) % 3.0}
    arguments = {"formula": "Surv(t, e) ~ x + z", "ties": "breslow", "strata": strata, "robust": True}
    weighted = report("cox", arguments | {"weights": {"variable": "w", "kind": "frequency"}}, table, SITES)
    copies = np.repeat(np.arange(90), np.arange(90) % 3)
    expanded = report("cox", arguments, {k: v[copies] for k, v in table.items()}, SITES[copies])
    for key in ("estimate", "std_error"):
        assert column(weighted["terms"], key) == pytest.approx(column(expanded["terms"], key), rel=1e-9)
    assert weighted["n"] == expanded["n"] == 90
    assert weighted["fit"]["events"] == expanded["fit"]["events"]
    assert report("cox", arguments | {"weights": {"variable": "w", "kind": "precision"}}, table, SITES)["n"] == 60


def test_on_a_grid_a_row_is_at_risk_in_the_bin_of_its_entry() -> None:
    table = patients()
    table["s"] = np.floor(table["t"] * 0.7)
    grid = report("cox", {"formula": "Surv(s, t, e) ~ x + z", "grid": {"every": 4, "to": 40}}, table)
    late = table["t"] > 40
    binned = {"t": np.where(late, 44, np.ceil(table["t"] / 4) * 4), "e": np.where(late, 0, table["e"])}
    exact = report(
        "cox",
        {"formula": "Surv(s, t, e) ~ x + z"},
        table | binned | {"s": np.minimum(np.floor(table["s"] / 4) * 4, 40)},
    )
    assert column(grid["terms"], "estimate") == pytest.approx(column(exact["terms"], "estimate"), rel=1e-9)


@pytest.mark.parametrize(
    ("more", "strata", "code"),
    [
        ({"concordance": True}, [], "E-NOT-OFFERED"),
        ({"release": ["baseline"]}, ["site"], "E-NOT-OFFERED"),
        ({"zph": "log"}, [], "E-TIME"),
        ({"zph": "log"}, ["site"], "E-TIME"),
    ],
)
def test_what_cannot_be_asked_beside_the_fit(more, strata, code) -> None:
    table = patients()
    table |= {"t": table["t"] - 1.0}
    with pytest.raises(Invalid) as caught:
        report("cox", {"formula": "Surv(t, e) ~ x", "strata": strata, **more}, table)
    assert caught.value.code == code
    assert ("within_sites" in str(caught.value)) == ("concordance" in more)


@pytest.mark.parametrize("strata", [[], ["site"]])
def test_events_at_one_time_have_no_slope_over_time(strata) -> None:
    arguments = {"formula": "Surv(t, e) ~ x", "strata": strata, "zph": "identity"}
    with pytest.raises(Invalid) as caught:
        report("cox", arguments, patients() | {"t": np.full(90, 3.0)})
    assert (caught.value.code, "'x'" in caught.value.message) == ("E-COLLINEAR", True)


@pytest.mark.parametrize("strata", [[], ["site"]])
def test_a_turned_fit_has_the_same_test(strata) -> None:
    table = patients()
    table["year"] = 2010 + np.round(4 * table["x"])
    table["centred"] = table["year"] - 2010
    hard, easy = (
        report("cox", {"formula": f"Surv(t, e) ~ {n} + I({n}^2) + z", "zph": "log", "strata": strata}, table)["zph"]
        for n in ("year", "centred")
    )
    assert [hard[i]["statistic"] for i in (2, 3)] == pytest.approx([easy[i]["statistic"] for i in (2, 3)], rel=1e-8)


def test_a_slope_over_time_counts_as_a_parameter_and_is_weighed() -> None:
    question = {"formula": "Surv(t, e) ~ x + z", "strata": ["site"]}
    assert evidence("cox", question, patients()).parameters == 2
    assert evidence("cox", question | {"zph": "identity"}, patients()).parameters == 4


def test_a_curve_over_time_shows_steps_of_all_sites() -> None:
    question = {"formula": "Surv(s, t, e) ~ x", "strata": ["site"], "grid": {"every": 4, "to": 12}}
    table = patients() | {"s": np.floor(patients()["t"] * 0.4)}
    plain, curved = (evidence("cox", question | {"zph": zph}, table) for zph in ("log", "km"))
    assert set(curved.cells) - set(plain.cells) == {"rows per step", "events per step", "entries per step"}
    assert curved.cells["rows per step"].sum() == 90
    with pytest.raises(Invalid) as caught:
        report("cox", {"formula": "Surv(t, e) ~ x", "strata": ["site"], "zph": "km"}, patients(), recorded=False)
    assert caught.value.code == "E-NO-GRID"


def test_the_error_of_a_concordance_counts_a_frequency_as_so_many_rows() -> None:
    table = patients() | {"w": 1.0 + np.arange(90) % 3}
    asked = {"formula": "Surv(t, e) ~ x", "ties": "breslow", "strata": ["site"], "concordance": True}
    light = report("cox", asked | {"weights": {"variable": "w", "kind": "frequency"}}, table, SITES)["fit"]
    often = table["w"].astype(int)
    long = report("cox", asked, {k: np.repeat(v, often) for k, v in table.items()}, np.repeat(SITES, often))["fit"]
    for key in ("concordance", "concordance_error"):
        assert light[key] == pytest.approx(long[key], rel=1e-9)


def test_pairs_against_all_of_them() -> None:
    table = patients() | {"s": np.floor(patients()["t"] * 0.4), "w": 1.0 + np.arange(90) % 4}
    arguments = {"formula": "Surv(s, t, e) ~ x", "weights": WEIGHTED, "strata": ["site", "g"], "concordance": True}
    found = report("cox", arguments, table, SITES)
    eta, pairs = table["x"] * found["terms"][0]["estimate"], np.zeros(3)
    for i, j in product(range(90), range(90)):
        later = table["t"][j] > table["t"][i] or (table["t"][j] == table["t"][i] and not table["e"][j])
        same = SITES[i] == SITES[j] and table["g"][i] == table["g"][j] and table["s"][j] < table["t"][i]
        if table["e"][i] and later and same:
            pairs[int(np.sign(eta[j] - eta[i]))] += table["w"][i] * table["w"][j]
    concordance = (pairs[-1] + pairs[0] / 2) / pairs.sum()
    assert found["fit"]["concordance"] == pytest.approx(concordance, rel=1e-12)


def test_the_error_of_a_concordance_against_all_pairs_where_the_highest_are_censored() -> None:
    table = patients()
    table["e"] = np.where(np.abs(table["x"]) > 0.6, 0.0, table["e"])
    asked = {"formula": "Surv(t, e) ~ x", "strata": ["site"], "concordance": True}
    found = report("cox", asked, table, SITES)
    eta, each = table["x"] * found["terms"][0]["estimate"], np.zeros((90, 3))
    for i, j in product(range(90), range(90)):
        later = table["t"][j] > table["t"][i] or (table["t"][j] == table["t"][i] and not table["e"][j])
        if table["e"][i] and later and SITES[i] == SITES[j]:
            each[[i, j], int(np.sign(eta[j] - eta[i]))] += 1.0
    total = each.sum() / 2.0
    somers = (each[:, -1].sum() - each[:, 1].sum()) / 2.0 / total
    moved = (each[:, -1] - each[:, 1] - somers * each.sum(axis=1)) / (2.0 * total)
    assert found["fit"]["concordance_error"] == pytest.approx(np.sqrt(moved @ moved), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_only_rows_at_risk_beside_another_count(seed) -> None:
    draw = np.random.default_rng(seed)
    start = draw.integers(0, 12, 25).astype(float)
    time, event = start + draw.integers(1, 4, 25), draw.random(25) < 0.6
    stratum = draw.integers(0, 3, 25)
    rows = cox_rows.sorted_rows(np.zeros((1, 25)), cox_rows.Told(time, event, stratum, start), 3)
    told = rows.told
    at = [[told.stratum == told.stratum[i], told.entry < told.time[i], told.time >= told.time[i]] for i in range(25)]
    sets = [np.flatnonzero(np.all(a, axis=0)) for a, died in zip(at, told.event, strict=True) if died]
    expected = np.unique(np.concatenate([s for s in sets if s.size > 1] or [[]]))
    assert cox_blocks.in_company(rows).tolist() == expected.tolist()


def test_light_weights_hide_nobody_in_a_bin() -> None:
    table = patients() | {"w": np.where(np.arange(90) == 5, 1.0, 1e-6)}
    arguments = {"formula": "Surv(t, e) ~ x", "grid": {"edges": [5, 1000]}}
    plain, weighted = (evidence("cox", arguments | w, table) for w in ({}, {"weights": WEIGHTED}))
    assert plain.cells["rows per step"].min(initial=99, where=plain.cells["rows per step"] > 0) > 20
    assert 1 in weighted.cells["rows per step"]
    assert weighted.supports["weights"][0] == 1


def test_a_site_without_rows_events_or_a_level() -> None:
    table = patients() | {"h": texts(*(["u"] * 30 + ["v"] * 60))}
    pooled = report("cox", {"formula": "Surv(t, e) ~ x + h"}, table, np.zeros(90, dtype=int))
    apart = report("cox", {"formula": "Surv(t, e) ~ x + h"}, table, np.where(np.arange(90) < 30, 3, 1))
    assert column(apart["terms"], "estimate") == pytest.approx(column(pooled["terms"], "estimate"), rel=1e-9)


def test_thin_risk_sets_are_not_shown_round_after_round() -> None:
    """Under real rules a bin whose leavers are fewer than the numbers said about them stops the run."""
    from stat_help import make, over

    from isthmus.statistics.catalogue import CATALOGUE

    statistic = CATALOGUE["cox"]
    question = statistic.question(formula="Surv(t, e) ~ x + z")
    made = make(statistic, question, patients())
    from dataclasses import replace

    strict_rules = replace(made, setting=replace(made.setting, open_rules=False))
    with pytest.raises(Refused) as caught:
        over(statistic, question, strict_rules, SITES)
    assert caught.value.code == "E-DISCLOSURE"


def test_rounds_are_counted() -> None:
    trace = run("cox", {"formula": "Surv(t, e) ~ x"}, patients())
    assert trace.estimate.rounds == len(trace.rounds) == trace.report["rounds"]
    assert trace.report["rounds"] % 2 == 1


def test_denominators_of_tied_events() -> None:
    index = cox_ties.tie_index(np.array([1.0, 3.0]))
    assert index.share.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3])
    s0, d0 = np.array([4.0, 10.0]), np.array([1.0, 6.0])
    efron, breslow = (cox_ties.tie_sums(t, index, s0, d0) for t in ("efron", "breslow"))
    assert efron.first.tolist() == pytest.approx([1 / 4, 1 / 10 + 1 / 8 + 1 / 6])
    assert efron.first_f.tolist() == pytest.approx([0, 1 / 24 + 2 / 18])
    assert breslow.first.tolist() == pytest.approx([1 / 4, 3 / 10])
    assert breslow.logs == pytest.approx(np.log(4) + 3 * np.log(10))


@pytest.mark.parametrize("strata", [[], ["site"]])
@pytest.mark.parametrize("weights", [None, {"variable": "w", "kind": "sampling"}])
def test_an_event_of_one_who_is_alone_at_risk_says_nothing(strata, weights) -> None:
    order = np.arange(30)
    table = {"t": order + 1.0, "e": (order >= 27).astype(float), "x": np.sin(order), "w": 1.0 + order % 3}
    table["e"] = table["e"] if strata else (order == 29).astype(float)
    asked = {"formula": "Surv(t, e) ~ x", "strata": strata, "weights": weights}
    with pytest.raises(Invalid) as caught:
        report("cox", asked, table)
    assert caught.value.code == "E-NO-EVENTS"
    assert "happens beside another person at risk" in caught.value.message
