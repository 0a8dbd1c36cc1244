"""Table 1 with noise: counts, and means and deviations of numbers cut to the codebook's range.

A row is in one group, and moves each sum by at most half the range. Numbers that are far narrower than their declared
range get more noise than they need: declare the plausible range.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.model.privacy import Noise
from isthmus.statistics import linear, table_evidence, table_one
from isthmus.statistics.contract import Answer, Estimate, Flow, Round, Setting
from isthmus.statistics.noisy.grid import Bounded, counted, noise, quantised, sigmas, unquantised, whole
from isthmus.statistics.table_one import TableOne
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary


def ranges(names: tuple[str, ...], setting: Setting) -> list[tuple[float, float]]:
    """Middle and half width of each variable's declared range.

    Raises:
        Invalid: E-PRIVACY, a number without one: noise could not be sized.
    """
    made = []
    for name in names:
        stated = setting.dictionary.variables[name].range
        if stated is None or not stated[0] < stated[1]:
            raise Invalid("E-PRIVACY", f"{name!r} has no range in the codebook", "declare its plausible range", name)
        made.append(((stated[0] + stated[1]) / 2.0, (stated[1] - stated[0]) / 2.0))
    return made


def _noise(variables: Any, setting: Setting) -> Noise:
    k = len(variables.numbers)
    each = {"n": Bounded(Fraction(1), Fraction(1))}
    if k:
        each |= {"sum": Bounded(Fraction(k), Fraction(2 * k), k), "square": Bounded(Fraction(k), Fraction(k), k)}
    each |= {f"count {name}": Bounded(Fraction(1), Fraction(1)) for name, _, _ in variables.categories}
    total = sum(bound.part for bound in each.values())
    return noise(setting, {name: replace(bound, part=bound.part / total) for name, bound in each.items()})


def _layout(variables: Any, groups: int) -> Layout:
    numbers = [Field(name=name, shape=(len(variables.numbers), groups), kind="count") for name in ("sum", "square")]
    tables = [
        Field(name=f"count {name}", shape=(len(levels), groups), kind="histogram")
        for name, levels, _ in variables.categories
    ]
    return Layout(
        fields=(Field(name="n", shape=(groups,), kind="count"), *(numbers if variables.numbers else ()), *tables)
    )


def _flow(question: TableOne, setting: Setting) -> Flow:
    if question.tests:
        raise Invalid("E-PRIVACY", "noisy numbers have no tests between groups", "leave `tests` out")
    variables = table_one.variables_of(setting)
    place = ranges(tuple(name for name, _ in variables.numbers), setting)
    added = _noise(variables, setting)
    pooled = yield Round(_layout(variables, len(table_one.groups_of(question, setting))), {"step": "sums"}, added)
    found = {name: unquantised(pooled[name], f) for name, f in added.fields.items()}
    n = whole(found["n"])
    if not n.sum() > 0:
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "ask about more people")
    shown = {"n": Counts("size", np.array([int(n.sum())])), "groups": Counts("size", n)}
    shown |= {name: Counts("cells", whole(value)) for name, value in found.items() if name.startswith("count ")}
    moments = {
        name: _moments(place[i], n.astype(np.float64), found["sum"][i], found["square"][i])
        for i, (name, _) in enumerate(variables.numbers)
    }
    values = {"moments": moments, "two": {}, "sigma": sigmas(setting, added)}
    return Estimate("table_one", "approximate", int(n.sum()), rounds=1, counts=shown, values=values)


def _moments(place: tuple[float, float], n: FloatArray, sums: FloatArray, squares: FloatArray) -> FloatArray:
    """(2, 1 + groups): mean and sd over all rows, then per group; NaN where there are too few rows."""
    centre, scale = place
    size = np.append(n.sum(), n)
    first, second = (np.append(linear.total(values), values) for values in (sums, squares))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = first / size
        variance = (second - first * mean) / (size - 1.0)
        sd = np.where(size > 1.0, np.sqrt(np.maximum(variance, 0.0)), np.nan)
    return np.array([np.where(size > 0.0, centre + mean * scale, np.nan), sd * scale])


def _summarise(question: TableOne, setting: Setting, prepared: table_evidence.Rows, asked: Round) -> Answer:
    variables, groups = table_one.variables_of(setting), len(table_one.groups_of(question, setting))
    added = asked.noise if asked.noise is not None else _noise(variables, setting)
    values: dict[str, IntArray] = {
        "n": counted(np.bincount(prepared.group, minlength=groups).astype(np.int64), added.fields["n"])
    }
    names = tuple(name for name, _ in variables.numbers)
    if names:
        shape = (len(names), groups)
        values |= {"sum": np.zeros(shape, dtype=np.int64), "square": np.zeros(shape, dtype=np.int64)}
    for i, (centre, half) in enumerate(ranges(names, setting)):
        z = np.clip((prepared.columns[variables.numbers[i][1]] - centre) / half, -1.0, 1.0)
        for name, of_rows in (("sum", z), ("square", z * z)):
            np.add.at(values[name][i], prepared.group, quantised(of_rows, added.fields[name]))
    tallies = table_evidence.tallies(variables, prepared, groups)
    values |= {f"count {name}": counted(table, added.fields[f"count {name}"]) for name, table in tallies.items()}
    return Answer(Summary(asked.layout, values))


STATISTIC = replace(table_one.STATISTIC, flow=_flow, summarise=_summarise)
