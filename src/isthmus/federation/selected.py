"""A question's rows at a site, as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isthmus.data.design_matrix import matrix
from isthmus.data.frame import Frame, Mask
from isthmus.data.indicators import side_counts
from isthmus.data.persons import KeyArray
from isthmus.federation.plan import SITE
from isthmus.federation.question import Question
from isthmus.statistics.contract import CodeArray, Gaps, Inputs
from isthmus.statistics.unusual import two_values, unusual
from isthmus.summary import IntArray


def missing(question: Question, frame: Frame) -> Inputs:
    """Of the population: 1 where a variable has no value."""
    marks = {name: frame.missing(name).astype(np.float64) for name in question.arguments.variables}
    return Inputs(rows=frame.rows, numbers=marks, codes={})


def lacking(question: Question, frame: Frame) -> Inputs:
    """Of rows that may lack a derived variable: whether each does."""
    marks = frame.missing(question.lacks).astype(np.int32)
    return Inputs(rows=frame.rows, numbers={}, codes=dict.fromkeys(question.needs.categories, marks))


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


def kept(conditions: Sequence[str], frame: Frame) -> Mask:
    """(rows,) where a question's own conditions hold."""
    found = np.ones(frame.rows, dtype=np.bool_)
    for condition in conditions:
        found &= frame.filter(condition)
    return found


def sides(question: Question, frame: Frame, needed: Sequence[str]) -> dict[str, IntArray]:
    """Rows on each side of what the question's expressions decide.

    Of its own `where`: of the population. Of a derived variable: of the rows that enter, and of all that its
    `where` keeps, for a variable may itself be missing where its maker chose. Of the numbers that it combines:
    effective rows, as of a number asked for by itself.

    Args:
        question: whose.
        frame: rows of the population, with what their expressions decide.
        needed: variables that a row must have to enter.
    """
    told = frame.indicators
    if told is None:
        return {}
    counts = {f"population {text}": both for text, both in told.entry.items()}
    for condition in question.where:
        others = kept([c for c in question.where if c != condition], frame)
        for text in told.of[f"where {condition}"]:
            codes = told.codes[text]
            counts[f"where {text}"], counts[f"where also {text}"] = side_counts(codes), side_counts(codes[others])
    asked = kept(question.where, frame)
    enters = asked & frame.complete(needed)
    for text in dict.fromkeys(text for name in needed for text in told.of.get(name, ())):
        codes = told.codes[text]
        counts[f"kept {text}"], counts[text] = side_counts(codes[asked]), side_counts(codes[enters])
    for text in dict.fromkeys(text for name in needed for text in told.parts.get(name, ())):
        values = told.numbers[text][enters]
        counts[f"part {text}"] = unusual(values[~np.isnan(values)])
    return counts
