"""Mixed models on made-up rows: sites as groups, boundaries, bad input, what may leave."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from bare import make, over

from isthmus import strict
from isthmus.model.errors import Invalid
from isthmus.statistics import mixed_groups, mixed_guard, mixed_quadrature
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Round
from isthmus.summary import Field, Layout
from isthmus.testing import Trace, largest_difference, run_flow, split

MIXED = CATALOGUE["mixed"]
GROUPS, SIZE = 40, 6


def rows(effect: float = 2.0, seed: int = 3) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    group = np.repeat(np.arange(GROUPS), SIZE)
    x = draw.normal(0, 1, group.size)
    return {
        "x": x,
        "group": group.astype(float),
        "y": 10 + x + draw.normal(0, effect, GROUPS)[group] + draw.normal(0, 1, group.size),
    }


def ask(table: dict[str, Any], sites: np.ndarray | None = None, **more: Any) -> Trace:
    question = strict.parse(MIXED.question, {"formula": "y ~ x", "group": "group", **more})
    dealt = (table["group"] % 3).astype(int) if sites is None else sites
    return over(MIXED, question, make(MIXED, question, table), dealt)


def test_sites_as_groups_equal_a_variable_that_says_so() -> None:
    table = rows()
    sites = (table["group"] % 8).astype(int)
    by_site = ask(table, sites, group="site").report
    by_name = ask({**table, "clinic": sites.astype(float)}, sites * 0, group="clinic").report
    for key in ("terms", "fit"):
        assert largest_difference(by_site[key], by_name[key]) < 1e-9


def test_a_variance_of_nothing_is_zero_and_said() -> None:
    table = rows()
    table["y"] = 10 + table["x"] + np.tile([1.0, -1.0, 2.0, -2.0, 3.0, -3.0], GROUPS)  # every group has the same mean
    body = ask(table, reml=False).report
    assert body["fit"]["variances"]["(Intercept)"] == 0.0
    assert body["fit"]["singular"] is True
    plain = CATALOGUE["glm"]
    question = strict.parse(plain.question, {"formula": "y ~ x", "family": "gaussian"})
    alone = over(plain, question, make(plain, question, table), np.zeros(len(table["y"]), dtype=int)).report
    assert body["fit"]["loglik"] == pytest.approx(alone["fit"]["loglik"], rel=1e-12)
    assert [t["estimate"] for t in body["terms"]] == pytest.approx([t["estimate"] for t in alone["terms"]], rel=1e-10)


def test_slopes_that_do_not_vary_are_zero() -> None:
    body = ask(rows(), slopes=["x"], reml=False).report
    single = ask(rows(), reml=False).report
    assert body["fit"]["loglik"] >= single["fit"]["loglik"] - 1e-9
    assert body["fit"]["variances"]["x"] < 0.2


def test_a_site_without_rows_is_no_group() -> None:
    table = rows()
    question = strict.parse(MIXED.question, {"formula": "y ~ x", "group": "site"})
    made = make(MIXED, question, table)
    sites = (table["group"] % 6).astype(int)
    with_empty = run_flow(MIXED, question, made.setting, split(made.inputs, sites, 7)).report
    assert with_empty["fit"]["groups"] == 6


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"group": lambda t: t["group"] * 0}, "E-GROUPS", "one group of 'group'"),
        ({"group": lambda t: np.arange(t["x"].size) * 1.0}, "E-GROUPS", "every row is a group"),
        ({"y": lambda t: t["group"]}, "E-OUTCOME|E-CONVERGENCE", "group"),
        ({"y": lambda t: t["x"] * 0 + 4}, "E-OUTCOME", "unexplained"),
        ({"y": lambda t: t["x"] * 3 + 1}, "E-OUTCOME", "unexplained"),
        ({"x": lambda t: t["x"] * 0 + 1}, "E-COLLINEAR", "'x'"),
    ],
)
def test_bad_input_ends_in_an_error_that_names_the_column(change, code, says) -> None:
    table = rows()
    table |= {name: make_(table) for name, make_ in change.items()}
    with pytest.raises(Invalid) as caught:
        ask(table)
    assert caught.value.code in code.split("|")
    assert says in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("sites", [1, 3])
@pytest.mark.parametrize("value", [1e6, 1e30])
def test_a_slope_that_one_absurd_value_makes_is_refused_alike_at_one_site_and_three(value: float, sites: int) -> None:
    table = rows()
    table["x"][7] = value
    with pytest.raises(Invalid, match="'x' differs in hardly more than one row") as caught:
        ask(table, (table["group"] % sites).astype(int), slopes=["x"])
    assert caught.value.code == "E-COLLINEAR"
    assert ask(table).report["fit"]["groups"] == GROUPS  # without the slope it is an answer


@pytest.mark.parametrize("sites", [1, 3])
def test_the_same_for_a_binary_outcome(sites: int) -> None:
    table = binary()
    table["x"][7] = 1e9
    with pytest.raises(Invalid, match="'x' differs in hardly more than one row"):
        ask(table, (table["group"] % sites).astype(int), slopes=["x"], family="binomial", points=1)


def test_two_groups_of_a_rare_treatment_may_have_a_slope() -> None:
    table = rows()
    table["x"] = (table["group"] < 2).astype(float) * (np.arange(table["y"].size) % 2)
    assert ask(table, slopes=["x"]).report["fit"]["variances"]["x"] >= 0.0


@pytest.mark.parametrize("effect", [0.0, 0.05, 0.3, 1.0, 5.0, 100.0])
@pytest.mark.parametrize("seed", range(3))
def test_few_rounds_whatever_the_variance(effect: float, seed: int) -> None:
    assert ask(rows(effect, seed)).report["rounds"] <= 6
    sloped = rows(effect, seed)
    sloped["y"] = (
        sloped["y"] + np.random.default_rng(seed).normal(0, effect, GROUPS)[sloped["group"].astype(int)] * sloped["x"]
    )
    assert ask(sloped, slopes=["x"]).report["rounds"] <= 9


def test_without_a_variance_between_groups_t_has_the_residual_degrees() -> None:
    table = rows()
    table["y"] = 10 + table["x"] + np.tile([1.0, -1.0, 2.0, -2.0, 3.0, -3.0], GROUPS)
    body = ask(table, df="satterthwaite").report
    assert body["fit"]["singular"] is True
    assert [t["df"] for t in body["terms"]] == pytest.approx([GROUPS * SIZE - 2] * 2, rel=1e-12)
    assert body["test"] == "t"


def test_few_groups_need_open_rules() -> None:
    table = rows()
    question = strict.parse(MIXED.question, {"formula": "y ~ x", "group": "site"})
    made = make(MIXED, question, table)
    parts = split(made.inputs, (table["group"] % 4).astype(int), 4)
    with pytest.raises(Invalid, match="fewer than 5 groups") as caught:
        run_flow(MIXED, question, replace(made.setting, open_rules=False), parts)
    assert caught.value.code == "E-GROUPS"


@pytest.mark.parametrize("sites", range(2, 13))
def test_fewer_than_five_sites_as_groups_are_an_answer_with_a_warning(sites: int) -> None:
    table = rows()
    body = ask(table, (table["group"] % sites).astype(int), group="site").report
    assert body["fit"]["groups"] == sites
    assert body["rounds"] <= 6
    assert any("fewer than 5 groups" in warning for warning in body.get("warnings", ())) == (sites < 5)


def test_misspelt_slopes_and_countries_are_refused() -> None:
    for more, code in (
        ({"slopes": ["z"]}, "E-FORMULA"),
        ({"slopes": ["x", "x"]}, "E-FORMULA"),
        ({"group": "country"}, "E-GROUPS"),
    ):
        with pytest.raises(Invalid) as caught:
            ask(rows(), **more)
        assert caught.value.code == code


def test_counts_of_the_guard() -> None:
    common = mixed_guard.of_groups(np.array([3] * 50), 5, 600)
    assert [int(v.min()) for v in common.values()] == [50, 50]
    lone = mixed_guard.of_groups(np.array([3] * 50 + [2]), 5, 600)
    assert int(lone["rows of a group, or groups of its size"].min()) == 2
    large = mixed_guard.of_groups(np.arange(20, 170), 5, 600)  # 150 groups, all of different sizes
    assert int(large["groups of one size, or sums that stay open"].min()) == 150
    few = mixed_guard.of_groups(np.arange(20, 40), 5, 600)
    assert int(few["groups of one size, or sums that stay open"].min()) == 1
    assert int(mixed_guard.of_sites(np.array([500]), 5, 5, 600)["sums of sites that stay open"][0]) == 1


def binary(effect: float = 1.0) -> dict[str, Any]:
    table = rows(effect)
    draw = np.random.default_rng(9)
    table["y"] = (draw.random(table["x"].size) < 1.0 / (1.0 + np.exp(-(table["y"] - 10.0)))).astype(float)
    return table


def leaving(asked: Round) -> int:
    """Numbers about the groups in a round, symmetric products once."""
    sizes = [(f, int(np.prod(f.shape))) for f in asked.layout.fields]
    return sum(n // f.shape[-1] * (f.shape[-1] + 1) // 2 if f.kind == "gram" else n for f, n in sizes)


MOST_VALUES = 32  # of theta in a step with derivatives: 28 of two slopes, and four more


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"slopes": ["x"]},
        {"formula": "y ~ x + z", "slopes": ["x", "z"]},
        {"family": "binomial"},
        {"family": "binomial", "slopes": ["x"], "points": 1},
    ],
)
def test_the_guard_counts_all_numbers_that_may_leave(monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]) -> None:
    table = binary() if "family" in more else rows()
    table["z"] = np.random.default_rng(4).normal(size=table["x"].size)
    question = strict.parse(MIXED.question, {"formula": "y ~ x", "group": "group", **more})
    made, told = make(MIXED, question, table), []
    monkeypatch.setattr(mixed_guard, "of_groups", lambda _sizes, _sums, numbers: told.append(numbers) or {})
    MIXED.evidence(question, made.setting, MIXED.prepare(question, made.setting, made.inputs))
    found = over(MIXED, question, made, (table["group"] % 3).astype(int)).rounds
    steps = [asked for asked in found if asked.params["step"] in {"newton", "quadrature"}]
    grids = [asked for asked in found if asked.params["step"] == "grid"]
    most = {"newton": (4, 24), "quadrature": (20, 40)}[steps[0].params["step"]]["slopes" in more]
    beside = [asked for asked in steps if asked.layout.fields[0].shape[0] > MOST_VALUES]  # of a singular end, once
    steps = [asked for asked in steps if asked not in beside]
    one = leaving(steps[-1])  # of derivatives at one theta
    entries = {"['x']": 3, "['x', 'z']": 6}.get(str(more.get("slopes")), 1)
    if steps[0].params["step"] == "newton" and entries > 1:  # deviances at four more
        kept = 1 + entries + entries * (entries + 1) // 2
        one = one // kept * (kept + 4)
    if steps[0].params["step"] == "quadrature":
        size = 2 + entries
        one = 5 + size + size * (size + 1) // 2
    assert all(leaving(asked) <= one for asked in steps[1:])
    whole = sum(leaving(asked) for asked in grids) + most * one
    if (
        grids and len(grids) == 1
    ):  # eleven values more may be asked; a step asks three: one, its slope and its curvature
        whole += 11 * one // 3
    if beside:
        width = beside[0].layout.fields[1].shape[-1]
        probes = 48 * (1 + width * (width + 1) // 2)
        assert leaving(beside[0]) <= one + probes
        whole += probes
    if not grids:
        whole += 2 * len(more.get("slopes", ()))  # what is asked once
    assert 0 <= told[0] - whole <= 1


def test_a_variance_of_nothing_is_zero_for_binary_outcomes_too() -> None:
    table = binary()
    table["y"] = np.tile([1.0, 0.0, 1.0, 0.0, 1.0, 0.0], GROUPS)  # every group has the same share
    body = ask(table, family="binomial").report
    assert body["fit"]["variances"]["(Intercept)"] == 0.0
    assert body["fit"]["singular"] is True
    plain = CATALOGUE["glm"]
    question = strict.parse(plain.question, {"formula": "y ~ x", "family": "binomial"})
    alone = over(plain, question, make(plain, question, table), np.zeros(len(table["y"]), dtype=int)).report
    assert [t["estimate"] for t in body["terms"]] == pytest.approx([t["estimate"] for t in alone["terms"]], abs=1e-9)
    assert body["fit"]["loglik"] == pytest.approx(alone["fit"]["loglik"], rel=1e-10)


def test_more_points_come_to_rest() -> None:
    found = [ask(binary(), family="binomial", points=k).report["fit"]["loglik"] for k in (1, 9, 25)]
    assert abs(found[1] - found[2]) < 1e-3 * abs(found[0] - found[2])


@pytest.mark.parametrize(
    ("change", "more", "code", "says"),
    [
        (lambda t: t["y"] * 0, {}, "E-NO-EVENTS", "'y'"),
        (lambda t: t["y"] * 2, {}, "E-OUTCOME", "'y'"),
        (lambda t: (t["x"] > 0) * 1.0, {}, "E-SEPARATED", "'x'"),
        (lambda t: (t["group"] % 2 == 0) * 1.0, {}, "E-CONVERGENCE", "'y' hardly varies inside 'group'"),
        (lambda t: t["y"], {"slopes": ["x"]}, "E-FORMULA", "Laplace"),
        (lambda t: t["y"], {"df": "satterthwaite"}, "E-FORMULA", "`df`"),
        (lambda t: t["y"], {"points": 0}, "E-FORMULA", "`points`"),
        (lambda t: t["y"] - 2, {"family": "poisson"}, "E-OUTCOME", "'y'"),
    ],
)
def test_bad_input_of_other_families_names_the_column(change, more, code, says) -> None:
    table = binary()
    table["y"] = change(table)
    with pytest.raises(Invalid) as caught:
        ask(table, **{"family": "binomial", **more})
    assert caught.value.code == code
    assert says in caught.value.message


@pytest.mark.parametrize("effect", [0.0, 0.1, 1.0, 10.0])
@pytest.mark.parametrize(("groups", "size"), [(3, 1000), (5, 20_000), (400, 3)])
def test_any_size_of_group_and_variance_comes_to_an_end(groups: int, size: int, effect: float) -> None:
    draw = np.random.default_rng(7)
    group = np.repeat(np.arange(groups), size)
    x = draw.normal(0, 1, group.size)
    y = x + draw.normal(0, 1, group.size) + draw.normal(0, effect, groups)[group]
    assert ask({"x": x, "group": group * 1.0, "y": y}, np.zeros(group.size, dtype=int)).report["rounds"] <= 8


@pytest.mark.parametrize("family", ["binomial", "poisson"])
@pytest.mark.parametrize(("slopes", "points"), [((), 1), ((), 7), ((1,), 1), ((2, 1), 1)])
def test_derivatives_of_the_likelihood_are_those_of_differences(family: str, slopes: Any, points: int) -> None:
    draw = np.random.default_rng(1)
    group = np.sort(draw.integers(0, 40, 600))
    columns = np.vstack([np.ones(600), draw.normal(size=600), draw.integers(0, 2, 600)])
    eta = -0.5 + 0.5 * columns[1] + draw.normal(0, 0.8, 40)[group]
    y = (draw.random(600) < 1 / (1 + np.exp(-eta))) * 1.0 if family == "binomial" else draw.poisson(np.exp(eta)) * 1.0
    known = mixed_groups.sorted_rows(columns, y, group, slopes)
    at = np.array([-0.4, 0.45, 0.2, 0.7, 0.2, 0.5, -0.1, 0.3, 0.4])
    size = 3 + (1 + len(slopes)) * (2 + len(slopes)) // 2
    shapes = {"loglik": (1,), "score": (size,), "bend": (size, size)}
    layout = Layout(fields=tuple(Field(name=name, shape=shape, kind="sum") for name, shape in shapes.items()))
    place = {"centre": np.zeros(3), "scale": np.ones(3)}

    def found(where: np.ndarray) -> Any:
        asked = Round(layout, {"coefficients": where[:3], "theta": where[3:], **place})
        return mixed_quadrature.summarise(family, known, points, asked).summary.values

    here, steps = found(at[:size]), 1e-4 * np.eye(size)
    for above, below, score, bend in (
        (found(at[:size] + step), found(at[:size] - step), here["score"][j], here["bend"][j])
        for j, step in enumerate(steps)
    ):
        assert (above["loglik"][0] - below["loglik"][0]) / 2e-4 == pytest.approx(score, abs=1e-5)
        assert (above["score"] - below["score"]) / 2e-4 == pytest.approx(bend, abs=1e-4)


@pytest.mark.parametrize("points", [1, 9])
@pytest.mark.parametrize("family", ["binomial", "poisson"])
@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_one_giant_group_beside_small_ones_comes_to_an_end_for_other_families(
    family: str, points: int, effect: float
) -> None:
    """No less likely than without a variance; steps that only halved had no end at some of these."""
    draw = np.random.default_rng([len(family), points])
    group = np.repeat(np.arange(5), [2000, 4, 4, 4, 4])
    x = draw.normal(0, 1, 5)[group] + 0.05 * draw.normal(0, 1, group.size)
    eta = -0.5 + 0.5 * x + effect * draw.normal(0, 1, 5)[group]
    y = (draw.random(x.size) < 1 / (1 + np.exp(-eta))) if family == "binomial" else draw.poisson(np.exp(eta))
    table = {"x": x, "group": group * 1.0, "y": y * 1.0}
    body = ask(table, np.zeros(x.size, dtype=int), family=family, points=points).report
    plain = CATALOGUE["glm"]
    question = strict.parse(plain.question, {"formula": "y ~ x", "family": family})
    alone = over(plain, question, make(plain, question, table), np.zeros(x.size, dtype=int)).report
    assert body["fit"]["loglik"] >= alone["fit"]["loglik"] - 1e-6
