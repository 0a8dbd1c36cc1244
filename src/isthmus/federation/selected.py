"""A question's rows at a site, as arrays."""

from __future__ import annotations

import numpy as np

from isthmus.data.design_matrix import matrix
from isthmus.data.frame import Frame
from isthmus.data.persons import KeyArray
from isthmus.federation.plan import SITE, Question
from isthmus.statistics.contract import CodeArray, Gaps, Inputs
from isthmus.statistics.unusual import two_values


def missing(question: Question, frame: Frame) -> Inputs:
    """Of the population: 1 where a variable has no value."""
    marks = {name: frame.missing(name).astype(np.float64) for name in question.arguments.variables}
    return Inputs(rows=frame.rows, numbers=marks, codes={})


def complete(question: Question, rows: Frame, site: str) -> Inputs:
    """Of rows that have every value."""
    needs, levels = question.needs, question.base.levels
    codes = {n: rows.codes(n, levels[n]) for n in needs.categories}
    if needs.by_site:
        codes[SITE] = np.full(rows.rows, levels[SITE].index(site), dtype=np.int32)
    return Inputs(
        rows=rows.rows,
        numbers={n: rows.numbers(n) for n in (*needs.numbers, *needs.times)},
        codes=codes,
        design=rows.matrix(question.base.design) if question.base.design else None,
        keys={n: rows.keys(n) for n in needs.keys},
    )


def with_gaps(question: Question, rows: Frame, keys: KeyArray) -> Inputs:
    """Of rows that may lack values. Who lacks one, and who has either of two, are codes too: the history asks for them."""
    needs, levels = question.needs, question.base.levels
    numbers = {n: rows.numbers(n) for n in needs.numbers}
    codes: dict[str, CodeArray] = {n: rows.codes(n, levels[n]) for n in needs.categories}
    for name, values in numbers.items():
        absent = np.isnan(values)
        codes[f"{name} is missing"] = absent.astype(np.int32)
        found = two_values(values[~absent])
        if found is not None:
            codes[f"{name} is {found[1]:g}"] = np.where(absent, -1, values == found[1]).astype(np.int32)
    keyed = {n: np.where(rows.missing(n), -1, rows.keys(n)).astype(np.int32) for n in needs.keys}
    return Inputs(rows=rows.rows, numbers=numbers, codes=codes, keys=keyed, gaps=Gaps(keys, matrix))
