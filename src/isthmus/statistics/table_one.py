"""Table 1 (kind `table_one`): numbers by mean and standard deviation, categories by counts and percent, by group.

Result keys: `cells`, one per variable (and level) and group, first over all groups (`by` null): numbers `variable`,
`n`, `missing`, `mean`, `sd` (n - 1); categories `variable`, `level`, `count`, `percent`; `groups` ({level: n}); `n`;
`fit.smd` ({variable: standardised mean difference}, the mean over pairs of groups) where `smd: true`; `fit.tests`
({variable: test between groups}, see `table_tests`) where `tests: true`.

Rows are those complete in all variables of the table (or study), so `missing` is 0 here and `excluded` says the rest.
Sums are taken about an agreed centre, and once more about the pooled mean where that lost digits. SMD as `tableone`:
Austin (2009) for numbers, Yang & Dalton (2012) for categories. Percents, tests, and SMDs of categories, follow from the counts shown.

References: Austin (2009), Commun Stat Simul 38:1228; Yang & Dalton (2012), SAS Global Forum 335.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Design, Factor, Formula
from isthmus.model.record import record
from isthmus.statistics import coordinates, linear, table_evidence, table_tests
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.crosstab import pearson
from isthmus.statistics.show import count, number, ratio, size
from isthmus.statistics.survival import group_code
from isthmus.statistics.table_evidence import Rows, Variables
from isthmus.summary import Field, FloatArray, Layout, Summary

LOSS = 64.0  # (mean - centre)**2 over the variance; beyond it squares lose more than two digits


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
    centre, scale = np.asarray(asked.params["centre"]), np.asarray(asked.params["scale"])
    shape = (len(variables.numbers), groups)
    values: dict[str, Any] = {"sum": np.zeros(shape), "square": np.zeros(shape)}
    values["n"] = np.bincount(prepared.group, minlength=groups).astype(np.int64)
    for i, (_, j) in enumerate(variables.numbers):
        z = (prepared.columns[j] - centre[i]) / scale[i]
        values["sum"][i] = np.bincount(prepared.group, weights=z, minlength=groups)
        values["square"][i] = np.bincount(prepared.group, weights=z * z, minlength=groups)
    bounds = table_evidence.ranges(variables, setting.dictionary)
    values["marks"] = table_evidence.marks(variables, prepared, bounds, groups)
    tallies = table_evidence.tallies(variables, prepared, groups)
    values |= {f"count {name}": table for name, table in tallies.items()}
    return Answer(Summary(asked.layout, {f.name: values[f.name] for f in asked.layout.fields}))


def _flow(question: TableOne, setting: Setting) -> Flow:
    variables, groups = variables_of(setting), len(groups_of(question, setting))
    place = [coordinates.variable_scale(name, setting.dictionary) for name, _ in variables.numbers]
    layout, rounds = _layout(variables, groups), 1
    pooled = yield Round(layout, _params(place))
    n = pooled["n"]
    if not n.sum() > 0:
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    closer = _closer(place, float(n.sum()), pooled)
    if closer != place:
        place, rounds = closer, 2
        pooled = yield Round(layout, _params(place))
    found = {"n": Counts("size", np.array([int(n.sum())])), "groups": Counts("size", n.astype(np.int64))}
    for name, _, _ in variables.categories:
        found[f"count {name}"] = Counts("cells", pooled[f"count {name}"].astype(np.int64))
    bounds = table_evidence.ranges(variables, setting.dictionary)
    two = table_evidence.pooled_marks(variables, bounds, n, pooled["marks"])
    found |= {f"mark {name}": Counts("cells", table) for name, (table, _, _) in two.items()}
    moments = {
        name: moments_of(centre_scale, n, pooled["sum"][i], pooled["square"][i])
        for i, ((name, _), centre_scale) in enumerate(zip(variables.numbers, place, strict=True))
    }
    values = {"moments": moments, "two": two}
    return Estimate(kind="table_one", exactness="exact", n=int(n.sum()), rounds=rounds, counts=found, values=values)


def _params(place: list[tuple[float, float]]) -> dict[str, Any]:
    made = np.array(place, dtype=np.float64).reshape(-1, 2)
    return {"step": "sums", "centre": made[:, 0].copy(), "scale": made[:, 1].copy()}


def _closer(place: list[tuple[float, float]], n: float, pooled: Summary) -> list[tuple[float, float]]:
    """Centres at the pooled means where the first ones were too far from them, scales where squares were tiny."""
    made = []
    for i, (centre, scale) in enumerate(place):
        mean, square = float(pooled["sum"][i].sum()) / n, float(pooled["square"][i].sum()) / n
        variance = square - mean * mean
        if mean * mean <= LOSS * variance and square > 2.0**-20:
            made.append((centre, scale))
            continue
        spread = coordinates.power_of_two(math.sqrt(max(variance, 2.0**-40 * square))) if square > 0.0 else 2.0**-32
        made.append((centre + mean * scale, scale * spread))
    return made


def moments_of(place: tuple[float, float], n: FloatArray, sums: FloatArray, squares: FloatArray) -> FloatArray:
    """(2, 1 + groups): mean and sd over all rows, then per group; NaN where there are too few rows."""
    centre, scale = place
    size = np.append(n.sum(), n)
    first, second = (np.append(linear.total(values), values) for values in (sums, squares))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = first / size
        variance = (second - first * mean) / (size - 1.0)
        sd = np.where(size > 1.0, np.sqrt(np.maximum(variance, 0.0)), np.nan)
    return np.array([np.where(size > 0.0, centre + mean * scale, np.nan), sd * scale])


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
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": size(estimate.counts["n"]),
        "rounds": estimate.rounds,
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
            **head,
            "n": count(float(shown[i])),
            "missing": 0,
            "mean": number(float(means[i])),
            "sd": number(float(deviations[i])),
        }
        for i, head in enumerate(heads)
    ]


def _category_cells(
    name: str, levels: tuple[str, ...], heads: list[dict[str, Any]], table: FloatArray
) -> list[dict[str, Any]]:
    """Counts over all groups are the sums of those shown: a suppressed cell blanks its total."""
    whole = np.column_stack([table.sum(axis=1), table]) if len(heads) > 1 else table
    columns = whole.sum(axis=0).tolist()
    cells = []
    for level, row in zip(levels, whole.tolist(), strict=True):
        for head, value, total in zip(heads, row, columns, strict=True):
            percent = ratio(100.0 * value if math.isfinite(value) else None, number(total))
            cells.append({"variable": name, "level": level, **head, "count": count(value), "percent": percent})
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
