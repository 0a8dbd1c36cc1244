"""Table 1 (kind `table_one`): numbers by mean and standard deviation, categories by counts and percent, by group.

Result keys: `cells`, one per variable (and level) and group, first over all groups (`by` null): numbers `variable`,
`n`, `missing`, `mean`, `sd` (n - 1); categories `variable`, `level`, `count`, `percent`; `groups` ({level: n}); `n`;
`fit.smd` ({variable: standardised mean difference}, the mean over pairs of groups) where `smd: true`; `fit.tests`
({variable: test between groups}, see `table_tests`) where `tests: true`.

Rows are those complete in all variables of the table (or study), so `missing` is 0 here and `excluded` says the rest.
Sums are taken about an agreed centre, and once more about the groups' own pooled means where that lost digits. SMD as `tableone`:
Austin (2009) for numbers, Yang & Dalton (2012) for categories. Percents, tests, and SMDs of categories, follow from the counts shown.

References: Austin (2009), Commun Stat Simul 38:1228; Yang & Dalton (2012), SAS Global Forum 335.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Design, Factor, Formula
from isthmus.model.record import record
from isthmus.statistics import coordinates, linear, table_evidence, table_tests
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.crosstab import pearson
from isthmus.statistics.show import count, head, number, ratio
from isthmus.statistics.survival import group_code
from isthmus.statistics.table_evidence import Rows, Variables
from isthmus.summary import Field, FloatArray, Layout, Summary

LOSS = 64.0  # (mean - centre)**2 over the variance; beyond it squares lose more than two digits
SMALL = 2.0**-20  # of a mean square: below it the 64 fractional bits of sums tell too little
SAME = 2.0**-48  # of a centre: what rounding leaves of the deviations of a constant
FAR = 2.0**10  # of a mean: distance of the centre that costs it three digits
ORDINARY = 2.0**20  # units of a number; where the range asks for larger ones, something in it is absurd
ROUNDS = 8  # an absurd value takes one more for about 12 digits between it and the rest


@dataclass(frozen=True, slots=True)
class Place:
    """(numbers, groups): where sums are taken about, and in which units; `least` (numbers, 1): units that are fine enough."""

    centre: FloatArray
    scale: FloatArray
    least: FloatArray


@record
class TableOne:
    """Arguments of `table_one`.

    `by` makes a column per level; `smd` adds standardised mean differences between them, `tests` p values.
    """

    variables: tuple[str, ...]
    by: str | None = None
    smd: bool = False
    tests: bool = False


def _needs(question: TableOne) -> Needs:
    if question.tests and question.by is None:
        raise Invalid("E-MISSING-KEY", "`tests` compare groups", "state `by`")
    if not question.variables:
        raise Invalid("E-VARIABLE", "a table needs a variable", "name them under `variables`")
    terms = tuple((Factor(name=name),) for name in dict.fromkeys(question.variables))
    text = "~ " + " + ".join(question.variables)
    formula = Formula(text=text, response=None, surv=None, terms=terms, intercept=True)
    return Needs(categories=() if question.by is None else (question.by,), formula=formula)


def _rungs(question: TableOne, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _design(setting: Setting) -> Design:
    if setting.design is None:
        raise Invalid("E-DESIGN", "a table needs the columns of its variables")
    return setting.design


def groups_of(question: TableOne, setting: Setting) -> tuple[str, ...]:
    """Names of the groups; one without a name where there is no `by`."""
    return ("",) if question.by is None else setting.levels[question.by]


def variables_of(setting: Setting) -> Variables:
    """The numbers and categories of the table, by column of its design."""
    return _variables(_design(setting))


def _variables(design: Design) -> Variables:
    references = dict(design.reference)
    numbers: list[tuple[str, int]] = []
    categories: dict[str, list[tuple[str, int]]] = {}
    for j, column in enumerate(design.columns):
        if column.parts:
            factor, level, _ = column.parts[0]
            if level is None:
                numbers.append((factor.name, j))
            else:
                categories.setdefault(factor.name, []).append((level, j))
    return Variables(
        tuple(numbers),
        tuple(
            (name, (references[name], *(level for level, _ in found)), tuple(j for _, j in found))
            for name, found in categories.items()
        ),
    )


def _prepare(question: TableOne, setting: Setting, inputs: Inputs) -> Rows:
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a table needs the columns of its variables")
    if question.by is None:
        return Rows(inputs.design, np.zeros(inputs.rows, dtype=np.intp))
    return Rows(inputs.design, group_code(setting.levels[question.by], question.by, inputs.codes[question.by]))


def _evidence(question: TableOne, setting: Setting, prepared: Rows) -> Evidence:
    return table_evidence.table_evidence(variables_of(setting), prepared, question.by, groups_of(question, setting))


def _layout(variables: Variables, groups: int) -> Layout:
    numbers = (len(variables.numbers), groups)
    return Layout(
        fields=(
            Field(name="n", shape=(groups,), kind="count"),
            Field(name="sum", shape=numbers, kind="sum"),
            Field(name="square", shape=numbers, kind="moment"),
            Field(name="marks", shape=(2, *numbers), kind="moment"),
            *(
                Field(name=f"count {name}", shape=(len(levels), groups), kind="histogram")
                for name, levels, _ in variables.categories
            ),
        )
    )


def _summarise(question: TableOne, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    variables, groups = variables_of(setting), len(groups_of(question, setting))
    centre, scale = np.asarray(asked.params["centre"]), np.asarray(asked.params["scale"])  # (numbers, groups)
    shape = (len(variables.numbers), groups)
    values: dict[str, Any] = {"sum": np.zeros(shape), "square": np.zeros(shape)}
    values["n"] = np.bincount(prepared.group, minlength=groups).astype(np.int64)
    for i, (_, j) in enumerate(variables.numbers):
        z = (prepared.columns[j] - centre[i][prepared.group]) / scale[i][prepared.group]
        values["sum"][i] = np.bincount(prepared.group, weights=z, minlength=groups)
        values["square"][i] = np.bincount(prepared.group, weights=z * z, minlength=groups)
    bounds = table_evidence.ranges(variables, setting.dictionary)
    values["marks"] = table_evidence.marks(variables, prepared, bounds, groups)
    tallies = table_evidence.tallies(variables, prepared, groups)
    values |= {f"count {name}": table for name, table in tallies.items()}
    return Answer(Summary(asked.layout, {f.name: values[f.name] for f in asked.layout.fields}))


def _flow(question: TableOne, setting: Setting) -> Flow:
    variables, groups = variables_of(setting), len(groups_of(question, setting))
    at, pooled, rounds = yield from _summed(variables, _layout(variables, groups), _stated(variables, setting, groups))
    n = pooled["n"]
    found = {"n": Counts("size", np.array([int(n.sum())])), "groups": Counts("size", n.astype(np.int64))}
    for name, _, _ in variables.categories:
        found[f"count {name}"] = Counts("cells", pooled[f"count {name}"].astype(np.int64))
    bounds = table_evidence.ranges(variables, setting.dictionary)
    two = table_evidence.pooled_marks(variables, bounds, n, pooled["marks"])
    found |= {f"mark {name}": Counts("cells", table) for name, (table, _, _) in two.items()}
    moments = {
        name: moments_of(at.centre[i], at.scale[i], n.astype(np.float64), pooled["sum"][i], pooled["square"][i])
        for i, (name, _) in enumerate(variables.numbers)
    }
    values = {"moments": moments, "two": two}
    return Estimate(kind="table_one", exactness="exact", n=int(n.sum()), rounds=rounds, counts=found, values=values)


def _summed(
    variables: Variables, layout: Layout, place: Place
) -> Generator[Round, Summary, tuple[Place, Summary, int]]:
    """Sums that keep their digits, where they were taken about, and the rounds that took."""
    lost = np.zeros((0, 0), dtype=np.bool_)
    for rounds in range(1, ROUNDS + 1):
        pooled = yield Round(layout, {"step": "sums", "centre": place.centre, "scale": place.scale})
        if not pooled["n"].sum() > 0:
            raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
        closer, lost = _closer(place, pooled["n"].astype(np.float64), pooled)
        if not lost.any():
            return place, pooled, rounds
        place = closer
    names = ", ".join(repr(variables.numbers[i][0]) for i in np.flatnonzero(lost.any(axis=1)))
    hint = "look for absurd values, such as codes of missing ones"
    raise Invalid("E-RANGE", f"sums of {names} lose their digits", hint)


def _stated(variables: Variables, setting: Setting, groups: int) -> Place:
    """The same for every group, by the ranges of the codebook."""
    stated = [coordinates.variable_scale(name, setting.dictionary) for name, _ in variables.numbers]
    made = np.array(stated, dtype=np.float64).reshape(-1, 2)
    centre, scale = (np.repeat(part[:, None], groups, axis=1) for part in made.T)
    return Place(centre, scale, 2.0**-32 * np.minimum(made[:, 1:], ORDINARY))


def _closer(place: Place, n: FloatArray, pooled: Summary) -> tuple[Place, NDArray[np.bool_]]:
    """Centres at the means of groups, scales at their deviations, where the last ones cost digits; and which these are.

    One absurd value is far from its own group alone, so the others keep their digits.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, square = pooled["sum"] / n, pooled["square"] / n
    variance = np.maximum(square - mean * mean, 0.0)
    middle = place.centre + mean * place.scale
    constant = np.sqrt(square) * place.scale < SAME * np.abs(place.centre)
    constant |= (square == 0.0) & (place.scale * 2.0**-32 <= place.least)  # nobody is further than that from the centre
    alone = (n == 1.0) & (np.abs(mean) * place.scale <= FAR * np.abs(middle))
    lost = ((mean * mean > LOSS * variance) | (square <= SMALL)) & ~constant & ~alone & (n > 0.0)
    lost &= place.scale > place.least
    spread = np.where(square > 0.0, np.sqrt(np.maximum(variance, 2.0**-40 * square)), 2.0**-32)
    steps = np.reshape(
        [coordinates.power_of_two(v) if ok else 1.0 for v, ok in zip(spread.flat, lost.flat, strict=True)], lost.shape
    )
    scale = np.maximum(place.scale * steps, place.least)
    return Place(np.where(lost, middle, place.centre), np.where(lost, scale, place.scale), place.least), lost


def moments_of(
    centre: FloatArray, scale: FloatArray, n: FloatArray, sums: FloatArray, squares: FloatArray
) -> FloatArray:
    """(2, 1 + groups): mean and sd over all rows, then per group; NaN where there are too few rows."""
    there = n > 0.0
    size, first, second = n[there], sums[there], squares[there]
    means = centre[there] + first / size * scale[there]
    within = np.maximum(second - first * first / size, 0.0) * scale[there] ** 2
    whole = linear.total(size * means) / linear.total(size)
    about = linear.total(within) + linear.total(size * (means - whole) ** 2)
    found = np.full((3, 1 + n.size), np.nan)
    found[:, 0] = linear.total(size), whole, about
    found[:, 1:][:, there] = size, means, within
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array([found[1], np.where(found[0] > 1.0, np.sqrt(found[2] / (found[0] - 1.0)), np.nan)])


def _moments_shown(name: str, estimate: Estimate) -> FloatArray:
    """Mean and sd; of a number with two values they follow from the counts that the gate left."""
    moments: FloatArray = estimate.values["moments"][name]
    if name not in estimate.values["two"]:
        return moments
    exact, low, high = estimate.values["two"][name]
    shown = np.asarray(estimate.counts[f"mark {name}"].values, dtype=np.float64)
    return moments if np.array_equal(exact, shown) else table_evidence.moments_of_marks(shown, low, high)


def _report(question: TableOne, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    variables, names = variables_of(setting), groups_of(question, setting)
    sizes = np.asarray(estimate.counts["groups"].values, dtype=np.float64)
    heads = _heads(question, names)
    cells: list[dict[str, Any]] = []
    kinds = {name: None for name, _ in variables.numbers} | {name: levels for name, levels, _ in variables.categories}
    for name in dict.fromkeys(question.variables):
        levels = kinds[name]
        if levels is None:
            cells += _number_cells(name, heads, estimate, sizes)
        else:
            table = np.asarray(estimate.counts[f"count {name}"].values, dtype=np.float64)
            cells += _category_cells(name, levels, heads, table)
    body: dict[str, Any] = {
        **head(estimate),
        "cells": cells,
    }
    if question.by is not None:
        body["groups"] = dict(zip(names, (count(v) for v in sizes.tolist()), strict=True))
    fit: dict[str, Any] = {}
    if question.smd and question.by is not None:
        fit["smd"] = {name: number(_smd(name, kinds[name], estimate)) for name in kinds}
    if question.tests:
        fit["tests"] = {name: _test(name, kinds[name], estimate, sizes) for name in kinds}
    return body | ({"fit": fit} if fit else {})


def _test(name: str, levels: tuple[str, ...] | None, estimate: Estimate, sizes: FloatArray) -> dict[str, Any]:
    if levels is None:
        means, deviations = _moments_shown(name, estimate)[:, 1:]
        return table_tests.of_number(sizes, means, deviations)
    table = np.asarray(estimate.counts[f"count {name}"].values, dtype=np.float64)
    return {"test": "chi_square", **pearson(table, correct=True)}


def _heads(question: TableOne, names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{}] if question.by is None else [{question.by: None}, *({question.by: name} for name in names)]


def _number_cells(
    name: str, heads: list[dict[str, Any]], estimate: Estimate, sizes: FloatArray
) -> list[dict[str, Any]]:
    means, deviations = _moments_shown(name, estimate)
    shown = np.append(estimate.counts["n"].values[0], sizes)
    return [
        {
            "variable": name,
            **label,
            "n": count(float(shown[i])),
            "missing": 0,
            "mean": number(float(means[i])),
            "sd": number(float(deviations[i])),
        }
        for i, label in enumerate(heads)
    ]


def _category_cells(
    name: str, levels: tuple[str, ...], heads: list[dict[str, Any]], table: FloatArray
) -> list[dict[str, Any]]:
    """Counts over all groups are the sums of those shown: a suppressed cell blanks its total."""
    whole = np.column_stack([table.sum(axis=1), table]) if len(heads) > 1 else table
    columns = whole.sum(axis=0).tolist()
    cells = []
    for level, row in zip(levels, whole.tolist(), strict=True):
        for label, value, total in zip(heads, row, columns, strict=True):
            percent = ratio(100.0 * value if math.isfinite(value) else None, number(total))
            cells.append({"variable": name, "level": level, **label, "count": count(value), "percent": percent})
    return cells


def _smd(name: str, levels: tuple[str, ...] | None, estimate: Estimate) -> float:
    """Mean over pairs of groups of the standardised mean difference."""
    if levels is None:
        means, deviations = _moments_shown(name, estimate)[:, 1:]
        found = [
            abs(means[a] - means[b]) / math.sqrt((deviations[a] ** 2 + deviations[b] ** 2) / 2.0)
            if deviations[a] ** 2 + deviations[b] ** 2 > 0.0
            else math.nan
            for a, b in combinations(range(len(means)), 2)
        ]
    else:
        table = np.asarray(estimate.counts[f"count {name}"].values, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = table / table.sum(axis=0)
        found = [_category_smd(shares[:, a], shares[:, b]) for a, b in combinations(range(shares.shape[1]), 2)]
    return float(sum(found)) / len(found) if found else math.nan


def _category_smd(first: FloatArray, second: FloatArray) -> float:
    """Mahalanobis distance of two multinomials, all levels with rows but one."""
    if not bool(np.all(np.isfinite(first) & np.isfinite(second))):
        return math.nan
    used = np.flatnonzero(first + second > 0.0)[1:]
    if not used.size:
        return 0.0
    a, b = first[used], second[used]
    spread = (np.diag(a) - a[:, None] * a + np.diag(b) - b[:, None] * b) / 2.0
    try:
        half = linear.forward(linear.cholesky(spread), a - b)
    except linear.Dependent:
        return math.nan
    return math.sqrt(linear.dot(half, half))


STATISTIC = Statistic(
    kind="table_one",
    question=TableOne,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
