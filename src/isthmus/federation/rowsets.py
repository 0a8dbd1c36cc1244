"""The row sets of a question at a site: who entered its sums, and who stands in each group, cell and indicator.

Built from what every question kind declares (its categories and its design), not in each statistic. Nothing here leaves
the site.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.indicators import is_hinge
from isthmus.disclosure.traces import People, RowSet, Track, set_of
from isthmus.federation.question import Question
from isthmus.statistics import grids, meta, survival
from isthmus.statistics.contract import Grid, Inputs
from isthmus.statistics.indicators import marked
from isthmus.statistics.unusual import two_values
from isthmus.statistics.validate_model import RISK, ValidateModel, risks

MOST_PARTS = 256  # levels and indicators come first, then cells, larger ones first; what lies beyond is not remembered
_CROSSED = frozenset({"count", "crosstab"})  # kinds whose answer is the full cross-classification of their categories

IdArray = NDArray[np.uint32]
Marks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the history sees it.

    Attributes:
        name: in the study.
        key: equal for the same question on the same snapshot, whatever the study is called.
        sets: the populations first.
        decided: of those, the sides of what its expressions decide, which are compared with each other too.
    """

    name: str
    key: str
    sets: tuple[RowSet, ...]
    decided: tuple[RowSet, ...] = ()


def asked_for(ids: IdArray) -> RowSet:
    """The population that filters keep, before missing values."""
    return RowSet("asked", True, set_of(ids))


def sides_of(codes: Mapping[str, Any], ids: IdArray, people: People, floor: int) -> tuple[RowSet, ...]:
    """Rows on each side of what expressions decide, of `floor` people or more, each once.

    A bend (LEAST, say) is compared with other bends alone: whoever stands right at it is on neither side, and adds the
    same whichever side they are counted on.

    Args:
        codes: text -> (rows,) side of each row, -1 for none, for each comparison, CASE arm and so on.
        ids: (rows,) of the rows that enter.
        people: who stands behind the ids.
        floor: `minimum_count`.
    """
    found: list[RowSet] = []
    for text, one in codes.items():
        track: Track = "hinges" if is_hinge(text) else "rows"
        for side in np.unique(one[one >= 0]).tolist():
            rows = RowSet(track, False, set_of(ids[one == side]))
            if people.count(rows.rows) >= floor and rows not in found:
                found.append(rows)
    return tuple(found)


def row_sets(
    question: Question, rungs: Sequence[int], inputs: Inputs, ids: IdArray, people: People, floor: int
) -> tuple[RowSet, ...]:
    """What enters the sums of a question: its population and, of `floor` people or more, the parts of it.

    Args:
        question: with its arguments.
        rungs: those that this site agrees to; any of them may be chosen.
        inputs: its complete rows at this site.
        ids: (rows,) of `inputs`.
        people: who stands behind the ids.
        floor: `minimum_count`; smaller cells pass, or do not, by the rules for cells.
    """
    heavy = _heavy(_inside(question), inputs)
    order = np.argsort(ids[heavy])
    places = np.flatnonzero(heavy)[order]
    sorted_ids = ids[places]
    everyone = RowSet("rows", True, set_of(sorted_ids))
    parts: list[RowSet] = []
    seen = {len(places): [everyone.rows]}
    for track, marks in _parts(question, rungs, inputs):
        rows = set_of(sorted_ids[marks[places]])
        same = seen.setdefault(len(rows), [])
        if len(rows) >= floor and people.count(rows) >= floor and rows not in same:
            same.append(rows)
            parts.append(RowSet(track, False, rows))
        if len(parts) == MOST_PARTS:
            break
    return (everyone, *parts)


def _inside(question: Question) -> Question:
    """Of a model of its own in each level, that model's question; else the question itself."""
    told = question.arguments
    model = meta.inner(told) if isinstance(told, meta.Meta) else None
    if model is None:
        return question
    return replace(question, statistic=model.statistic, arguments=model.question, needs=model.needs)


def _heavy(question: Question, inputs: Inputs) -> Marks:
    """Rows that weigh anything."""
    weights = getattr(question.arguments, "weights", None)
    if weights is None:
        return np.ones(inputs.rows, dtype=np.bool_)
    heavy: Marks = inputs.numbers[weights.variable] != 0.0
    return heavy


def _parts(question: Question, rungs: Sequence[int], inputs: Inputs) -> Iterator[tuple[Track, Marks]]:
    """(rows,) masks of the parts of a question; of a model of its own in each level, the levels and what each has of its parts."""
    inside = _inside(question)
    if inside is question:
        yield from _own(question, rungs, inputs)
        return
    by = inputs.codes[question.arguments.by]
    levels = [by == level for level in np.unique(by)]
    yield from (("rows", level) for level in levels)
    own = replace(inputs, codes={name: inputs.codes[name] for name in inside.needs.categories})
    yield from _own(inside, rungs, own)
    yield from (("cells", level & marks) for _, marks in _own(inside, rungs, own) for level in levels)


def _own(question: Question, rungs: Sequence[int], inputs: Inputs) -> Iterator[tuple[Track, Marks]]:
    """(rows,) masks of levels, indicators, two-valued numbers and cells; `cells` where only their number leaves."""
    kind, told = question.statistic.kind, question.arguments
    counted = kind in _CROSSED or kind == "meta"
    groups = [codes == level for codes in inputs.codes.values() for level in np.unique(codes)]
    yield from (("cells" if counted else "rows", group) for group in groups)
    design = question.base.design
    found = [] if design is None or inputs.design is None else marked(design, inputs.design)
    indicators = [values == 1.0 for _, values in found]
    yield from (("rows", marks) for marks in indicators)
    pairs = [(n, two_values(n)) for n in inputs.numbers.values() if n.size]
    classes = [numbers == values[1] for numbers, values in pairs if values is not None]
    yield from (("rows", marks) for marks in classes)
    if counted:
        yield from (("cells", marks) for marks in _cells(inputs))
        return
    levels = _levels(question, inputs)
    for bins in _bins(question, rungs, inputs, levels):
        yield from (("cells", group & bins) for group in (groups or [bins]))
    yield from (("cells", one & other) for at, one in enumerate(classes) for other in classes[at + 1 :])
    for side in (*groups, *indicators):
        yield from (("cells", side & marks) for one in classes for marks in (one, ~one))
    yield from (("cells", side & level) for level in levels for one in indicators for side in (one, ~one))
    if getattr(told, "by", None) is not None:
        yield from (("cells", group & marks) for group in groups for marks in indicators)


def _levels(question: Question, inputs: Inputs) -> list[Marks]:
    """Who has each level of an outcome that is a category: of `multinomial` and `ordinal`, and the causes of `fine_gray`."""
    formula = question.needs.formula
    outcome = None if formula is None else (formula.surv.event if formula.surv else formula.response)
    codes = None if outcome is None else inputs.codes.get(outcome)
    return [] if codes is None else [codes == level for level in np.unique(codes)]


def _bins(question: Question, rungs: Sequence[int], inputs: Inputs, levels: Sequence[Marks]) -> Iterator[Marks]:
    """Bins of the grids of `rungs`, or between stated thresholds or cuts; each class and level of the outcome too."""
    classes = [numbers == 1.0 for numbers in inputs.numbers.values() if two_values(numbers) == (0.0, 1.0)]
    for cell in _cut(question, rungs, inputs):
        for bins in (cell == at for at in np.unique(cell)):
            yield bins
            yield from (bins & side for one in classes for side in (one, ~one))
            yield from (bins & level for level in levels)


def _cut(question: Question, rungs: Sequence[int], inputs: Inputs) -> Iterator[NDArray[np.intp]]:
    """(rows,) bin of each row, for every variable that is cut and every grid it may be cut on."""
    told, cuts = question.arguments, getattr(question.arguments, "cuts", ())
    surv = None if question.needs.formula is None else question.needs.formula.surv
    time = getattr(told, "time", None if surv is None else surv.time)
    names = question.needs.times or tuple(
        value for value in (getattr(told, key, None) for key in ("variable", "marker", "prediction")) if value
    )
    numbers = inputs.numbers
    if isinstance(told, ValidateModel) and told.prediction is None:  # cut where the equation's risk passes a threshold
        names, numbers = (RISK,), {RISK: risks(told, question.base, inputs)}
    if cuts and surv is not None:  # of a hazard: where rows leave, and where late ones enter
        names = tuple(name for name in (surv.time, surv.entry) if name)
    stated = cuts or getattr(told, "thresholds", None) or (getattr(told, "threshold", None),)
    edges = tuple(edge for edge in stated if edge is not None)
    chosen = [question.rungs[rung] for rung in rungs] + [Grid(edges, recorded=False) if edges else None]
    for grid in (one for one in chosen if one is not None and not one.recorded):
        for name in names:
            if time is None or name not in {time, getattr(surv, "entry", None)}:
                yield grids.cells(name, numbers[name], grid)
                continue
            left = survival.grid_steps(time, numbers[time], grid)
            yield left if name == time else survival.entry_steps(numbers[name], left, grid)


def _cells(inputs: Inputs) -> Iterator[Marks]:
    """Cells of all categories crossed, larger first."""
    if len(inputs.codes) < 2:
        return
    table = np.column_stack([*inputs.codes.values()])
    _, cell, sizes = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    for at in np.argsort(-sizes, kind="stable"):
        yield cell.reshape(-1) == at
