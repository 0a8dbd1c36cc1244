"""Curves and log-rank tests on Freireich's leukaemia trial (1963), whose answers every textbook prints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stat_help import make, over, report, texts

from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.statistics import survival
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Grid
from isthmus.statistics.kaplan_meier import fitted, median, median_within
from isthmus.statistics.log_rank_reach import Reach, Tables, farthest, reach
from isthmus.statistics.survival import GridWish

PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
TREATED = [6, 6, 6, 7, 10, 13, 16, 22, 23]
CENSORED = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
LEUKAEMIA = {
    "weeks": np.array(PLACEBO + TREATED + CENSORED, dtype=float),
    "relapse": np.array([1.0] * 30 + [0.0] * 12),
    "arm": texts(*(["placebo"] * 21 + ["treated"] * 21)),
}
KM = {"time": "weeks", "event": "relapse", "by": "arm"}


def test_kaplan_meier_of_the_leukaemia_trial() -> None:
    placebo, treated = report("kaplan_meier", KM, LEUKAEMIA)["curves"]
    assert placebo["group"] == {"arm": "placebo"}
    assert (placebo["median"], treated["median"]) == (8.0, 23.0)
    events = [i for i, d in enumerate(treated["events"]) if d]
    assert [treated["time"][i] for i in events] == [6, 7, 10, 13, 16, 22, 23]
    assert [treated["at_risk"][i] for i in events] == [21, 17, 15, 12, 11, 7, 6]
    expected = [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    assert [treated["survival"][i] for i in events] == pytest.approx(expected, abs=5e-4)
    greenwood = [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346]
    assert [treated["std_error"][i] for i in events] == pytest.approx(greenwood, abs=5e-5)
    assert placebo["survival"][-1] == 0.0
    assert placebo["conf_low"][-1] is None


def test_log_rank_of_the_leukaemia_trial() -> None:
    """Chi-square 16.79, expected 10.75 and 19.25 (Kalbfleisch & Prentice; R's survdiff)."""
    fit = report("log_rank", KM, LEUKAEMIA)["fit"]
    assert fit["statistic"] == pytest.approx(16.793, abs=5e-4)
    assert fit["expected"] == pytest.approx([10.75, 19.25], abs=5e-3)
    assert (fit["observed"], fit["df"]) == ([21, 9], 1)


@pytest.mark.parametrize("kind", ["kaplan_meier", "log_rank"])
def test_a_grid_is_the_analysis_of_binned_rows(kind) -> None:
    """Every 5 weeks to 30: times move to the end of their bin, later ones stay at risk."""
    on_grid = report(kind, KM | {"grid": {"every": 5, "to": 30}}, LEUKAEMIA)
    binned = LEUKAEMIA | {"weeks": np.ceil(LEUKAEMIA["weeks"] / 5) * 5}
    exact = report(kind, KM, binned)
    assert (on_grid["exactness"], exact["exactness"]) == ("grid", "exact")
    assert on_grid["grid"] == {"edges": [5, 10, 15, 20, 25, 30]}
    assert on_grid["bound"] > 0
    if kind == "log_rank":
        assert on_grid["fit"]["statistic"] == pytest.approx(exact["fit"]["statistic"], rel=1e-12)
        return
    for found, expected in zip(on_grid["curves"], exact["curves"], strict=True):
        by_time = dict(zip(expected["time"], expected["survival"], strict=True))
        shown = {t: s for t, s in zip(found["time"], found["survival"], strict=True) if t in by_time}
        assert shown == pytest.approx({t: by_time[t] for t in shown})


def test_survival_at_asked_times() -> None:
    curves = report("kaplan_meier", KM | {"at": [0, 7, 8.5, 100]}, LEUKAEMIA)["curves"]
    start, seven, between, late = curves[1]["survival_at"]
    assert (start["survival"], start["at_risk"]) == (1.0, 21)
    assert (seven["survival"], seven["at_risk"]) == (pytest.approx(0.8067, abs=5e-5), 17)
    assert (between["survival"], between["at_risk"]) == (pytest.approx(0.8067, abs=5e-5), 16)
    assert late["survival"] is None


@pytest.mark.parametrize("conf_type", ["plain", "log", "log-log"])
def test_intervals_hold_the_curve(conf_type) -> None:
    curve = report("kaplan_meier", KM | {"conf_type": conf_type}, LEUKAEMIA)["curves"][1]
    for low, middle, high in zip(curve["conf_low"], curve["survival"], curve["conf_high"], strict=True):
        assert 0 <= low <= middle <= high <= 1


def test_median_is_the_midpoint_where_the_curve_is_flat_at_one_half() -> None:
    time = np.array([1.0, 2.0, 3.0, 4.0])
    assert median(time, np.array([0.75, 0.5, 0.5, 0.25])) == 3.0
    assert median(time, np.array([0.75, 0.5, 0.5, 0.5])) == 3.0
    assert median(time, np.array([0.75, 0.6, 0.4, 0.2])) == 3.0
    assert median(time, np.array([0.9, 0.8, 0.7, 0.6])) is None
    assert median(time, np.array([0.75, np.nan, 0.5, 0.25])) == 3.5


def test_suppressed_steps_are_passed_over() -> None:
    """A merged step's people count at the next step shown; after a cut the curve is null."""
    table = np.array([[np.nan, 40.0, 30.0, np.nan], [np.nan, 10.0, 15.0, np.nan], [np.nan, 0.0, 0.0, np.nan]])
    curve = fitted(np.arange(4.0), table, 0.95, "log")
    np.testing.assert_allclose(curve.survival, [np.nan, 0.75, 0.375, np.nan])


def test_recorded_times_of_suppressed_steps_are_left_out() -> None:
    statistic = CATALOGUE["kaplan_meier"]
    question = statistic.question(time="weeks", event="relapse", by="arm")
    made = make(statistic, question, LEUKAEMIA)
    estimate = over(statistic, question, made, np.arange(42) % 3).estimate
    values = estimate.counts["curve:1"].values.astype(float)
    values[:, 1:] = np.nan
    counts = {**estimate.counts, "curve:1": replace(estimate.counts["curve:1"], values=values)}
    curve = statistic.report(question, made.setting, replace(estimate, counts=counts))["curves"][1]
    assert (curve["time"], curve["at_risk"], curve["median"]) == ([6.0], [21], None)


def test_strata_of_a_log_rank_test_add_up() -> None:
    whole = report("log_rank", KM, LEUKAEMIA)["fit"]
    twice = {k: np.concatenate([v, v]) for k, v in LEUKAEMIA.items()} | {"half": texts(*(["a"] * 42 + ["b"] * 42))}
    fit = report("log_rank", KM | {"strata": ["half"]}, twice)["fit"]
    assert fit["statistic"] == pytest.approx(2 * whole["statistic"], rel=1e-12)


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"weeks": LEUKAEMIA["weeks"] - 3}, "E-TIME", "'weeks'"),
        ({"relapse": LEUKAEMIA["relapse"] + 1}, "E-EVENT", "'relapse'"),
    ],
)
@pytest.mark.parametrize("kind", ["kaplan_meier", "log_rank"])
def test_bad_times_and_events(kind, change, code, named) -> None:
    with pytest.raises(Invalid, match=named) as caught:
        report(kind, KM, LEUKAEMIA | change)
    assert caught.value.code == code


def test_a_test_needs_events_and_two_groups() -> None:
    with pytest.raises(Invalid) as caught:
        report("log_rank", KM, LEUKAEMIA | {"relapse": np.zeros(42)})
    assert caught.value.code == "E-NO-EVENTS"
    with pytest.raises(Invalid) as caught:
        report("log_rank", KM, LEUKAEMIA | {"arm": texts(*["a"] * 42)})
    assert caught.value.code == "E-ONE-GROUP"


@pytest.mark.parametrize(
    ("wish", "edges"),
    [
        (GridWish(every=7.0, to=21.0), (7, 14, 21)),
        (GridWish(every=7.0, to=20.0), (7, 14, 20)),
        (GridWish(every=30.0, to=20.0), (20,)),
        (GridWish(edges=(1.0, 5.0)), (1, 5)),
        (GridWish(from_=0.0, to=1.0, bins=4), (0.25, 0.5, 0.75, 1.0)),
        (GridWish(every=0.3, to=1.2), (0.3, 0.6, 0.9, 1.2)),
        (GridWish(every=0.1, to=0.35), (0.1, 0.2, 0.3, 0.35)),
        (GridWish(from_=0.1, to=0.7, bins=6), (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
    ],
)
def test_grids_of_a_study(wish, edges) -> None:
    assert survival.rungs("t", wish, Codebook(name="b", variables={})) == (Grid(edges, recorded=False),)


@pytest.mark.parametrize(
    "wish",
    [
        GridWish(),
        GridWish(every=1.0),
        GridWish(edges=(2.0, 1.0)),
        GridWish(every=0.0, to=3.0),
        GridWish(every=1e-9, to=9.0),
    ],
)
def test_grids_that_make_no_sense(wish) -> None:
    with pytest.raises(Invalid) as caught:
        survival.rungs("t", wish, Codebook(name="b", variables={}))
    assert caught.value.code == "E-GRID"


def test_a_time_at_a_decimal_edge_is_in_the_step_that_ends_there() -> None:
    """0.3 * 3 is below 0.9 in binary."""
    time = np.repeat([0.3, 0.6, 0.9, 1.2], 2)
    curve = report(
        "kaplan_meier",
        {"time": "t", "event": "e", "grid": {"every": 0.3, "to": 1.2}},
        {"t": time, "e": np.ones(8)},
    )["curves"][0]
    assert curve["time"] == [0.3, 0.6, 0.9, 1.2]
    assert curve["events"] == [2, 2, 2, 2]


def test_the_ladder_is_recorded_times_then_the_codebooks_grids() -> None:
    variable = Variable(type="number", grid=((1.0, 2.0, 3.0), (3.0,)), recorded=(2.0, 1.0, 1.0 + 1e-12))
    rungs = survival.rungs("t", None, Codebook(name="b", variables={"t": variable}))
    assert rungs == (Grid((1.0, 2.0), True), Grid((1.0, 2.0, 3.0), False), Grid((3.0,), False))
    with pytest.raises(Invalid) as caught:
        survival.rungs("t", None, Codebook(name="b", variables={"t": Variable(type="number")}))
    assert caught.value.code == "E-NO-GRID"


def test_times_that_differ_by_rounding_are_ties() -> None:
    third = 0.1 + 0.2
    assert survival.own_steps(np.array([0.3, third, 0.4])).tolist() == [0, 0, 1]
    assert survival.grid_steps("t", np.array([0.3, third]), Grid((0.3,), recorded=True)).tolist() == [0, 0]
    with pytest.raises(Invalid) as caught:
        survival.grid_steps("t", np.array([0.35]), Grid((0.3,), recorded=True))
    assert caught.value.code == "E-GRID"


def test_a_mean_beyond_follow_up_is_none_and_says_why() -> None:
    table = {"t": np.array([1.0, 2, 3, 4]), "e": np.array([1.0, 0, 1, 0])}
    late = report("rmst", {"time": "t", "event": "e", "tau": 9}, table)
    assert late["cells"][0]["rmst"] is None
    assert late["warnings"] == ["no mean of all: the curve shown ends before tau = 9"]
    assert "warnings" not in report("rmst", {"time": "t", "event": "e", "tau": 4}, table)


def test_coarser_forms_of_a_grid_follow_from_its_edges_alone() -> None:
    forms = survival.coarsened((90, 180, 270, 360), cut=False)
    assert forms == (
        (90, 180, 270, 360),
        (90, 180, 360),
        (180, 270, 360),
        (180, 360),
        (360,),
    )
    cut = survival.coarsened((90, 180, 270, 360), cut=True)
    assert set(cut) - set(forms) == {(90, 180, 270), (180, 270)}
    assert len(survival.coarsened(tuple(range(1, 13)), cut=True)) <= 20
    with pytest.raises(Invalid, match="up to 12 steps, not 13"):
        survival.coarsened(tuple(range(1, 14)), cut=True)
    stated = GridWish(every=90, to=360, coarser=True)
    ladder = survival.rungs("weeks", stated, Codebook(name="b", variables={}), cut=True)
    assert [grid.edges for grid in ladder] == [tuple(float(edge) for edge in form) for form in cut]
    assert [
        grid.edges for grid in survival.rungs("weeks", replace(stated, coarser=None), Codebook(name="b", variables={}))
    ] == [(90.0, 180.0, 270.0, 360.0)]


@pytest.mark.parametrize("seed", range(40))
def test_the_median_lies_within_the_times_that_a_grid_leaves(seed) -> None:
    draw = np.random.default_rng(seed)
    rows = int(draw.integers(20, 200))
    died, left = draw.exponential(60, rows).round(), draw.exponential(90, rows).round()
    time, event = np.minimum(died, left), (died <= left) * 1.0
    if seed % 2:  # events in the middle of the steps, censoring at their start: as far from the grid as can be
        time = np.floor(time / 20) * 20 + np.where(event > 0, 10, 1)
    asked = {"time": "time", "event": "event"}
    table = {"time": time, "event": event}
    pooled = report("kaplan_meier", asked, table)["curves"][0]["median"]
    low, high = report("kaplan_meier", asked | {"grid": {"every": 20, "to": 400}}, table)["curves"][0]["median_within"]
    if pooled is None:
        assert high is None
    else:
        assert low <= pooled
        assert high is None or pooled <= high


def test_a_median_beyond_the_grid_is_said_to_lie_there() -> None:
    assert median_within(np.array([10.0, 20.0]), np.array([[100.0, 80.0], [20.0, 20.0], [0.0, 0.0]])) == [20.0, None]
    assert median_within(np.array([10.0, 20.0]), np.array([[100.0, 40.0], [60.0, 20.0], [0.0, 0.0]])) == [0.0, 10.0]
    assert median_within(np.array([10.0]), np.full((3, 1), np.nan)) is None


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("rho", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(12))
def test_the_bound_of_a_log_rank_test_covers_every_order_inside_the_steps(seed, rho, groups) -> None:
    """The same counts by group and step, their times dealt anew: at random, tied, or one group before the others."""
    draw = np.random.default_rng(seed)
    rows = int(draw.integers(60, 300))
    which = draw.integers(0, groups, rows)
    step, event = draw.integers(0, 5, rows), (draw.random(rows) < draw.uniform(0.2, 0.8)) * 1.0
    asked = {"time": "time", "event": "event", "by": "g", "rho": rho}
    table = {"time": step * 20.0 + 20, "event": event, "g": texts(*np.array(["a", "b", "c"])[which])}
    on_grid = report("log_rank", asked | {"grid": {"every": 20, "to": 80}}, table)
    found, bound = on_grid["fit"]["statistic"], on_grid["bound"]
    table["event"] = np.where(step < 4, event, 0.0)  # the grid asks about follow-up until its end
    orders = [
        draw.integers(1, 20, rows).astype(float),
        np.full(rows, 10.0),
        *(1.0 + 18.0 * (which == g) for g in range(groups)),  # others leave first
        *(19.0 - 18.0 * (which == g) for g in range(groups)),
        *(np.where(which == g, 15.0 + event, 5.0 - 4.0 * event) + draw.random(rows) for g in range(groups)),
        1.0 + 9.0 * event,
        10.0 - 9.0 * event,
        *(np.where(event > 0, 10 + draw.random(rows), np.where(which == g, 19.0, 1.0)) for g in range(groups)),
    ]
    for order in orders:
        pooled = report("log_rank", asked, table | {"time": step * 20 + order})["fit"]["statistic"]
        assert bound is None or abs(pooled - found) <= bound * (1 + 1e-9)


def test_the_bound_of_a_log_rank_test_is_reached_where_the_groups_leave_in_turn() -> None:
    """One step of 40 and 60, of whom 10 and 30 die; the others' deaths before those of the first group, or after them."""
    event = np.concatenate([np.ones(10), np.zeros(30), np.ones(30), np.zeros(30)])
    first = np.repeat([1.0, 0.0], [40, 60])
    table = {"event": event, "g": texts(*np.where(first > 0, "a", "b"))}
    gaps = []
    for late in (first, 1 - first):
        time = np.where(event > 0, 1 + 50 * late + np.arange(100) / 100, 200)
        fit = report("log_rank", {"time": "time", "event": "event", "by": "g"}, table | {"time": time})["fit"]
        gaps.append(fit["observed"][0] - fit["expected"][0])
    counts = [np.array(v, dtype=float).reshape(1, 2, 1) for v in ([10, 30], [0, 0], [40, 60])]
    ends = reach(Tables(*counts, (0.0, 0.0)), np.zeros(2), np.eye(2)).gaps[:, 0]
    least = 10 - 10 * 40 / 70 - sum(40 / (100 - k) for k in range(30))
    assert ends[0] == pytest.approx(least, rel=1e-12)  # the group's own deaths all at once, when the others' are over
    assert ends[0] <= gaps[0] <= gaps[1] <= ends[1]


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize(("open_", "known"), [(0.1, True), (1.0, False)])
def test_no_bound_of_a_chi_square_whose_variance_may_be_0(groups: int, open_: float, known: bool) -> None:
    """Each variance is 1 and may be less by `open_`."""
    gap, one = np.ones(groups), np.ones(groups)
    spreads = np.array([one * (1.0 - open_), one * (1.0 + open_)])
    bounds = Reach(one * 0.1, np.eye(groups) * open_, np.array([gap - 0.1, gap + 0.1]), spreads)
    assert (farthest(gap, one, np.eye(groups), bounds) is not None) == known
