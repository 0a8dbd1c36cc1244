"""Rounds that count rows by group on a grid, and refine it by ballots on public cuts (`halving.py`).

For flows: `counted` asks for counts, `searched` for counts and ballots in the same rounds, `refined` for ballots on a few
cells. For sites: `summarised` answers all; it names every cell it shows, for the gate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Refused
from isthmus.statistics import grids, halving
from isthmus.statistics.contract import Answer, Grid, Round
from isthmus.statistics.grids import Cells
from isthmus.statistics.halving import Sorted
from isthmus.statistics.survival import GridWish
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary


@dataclass(frozen=True, slots=True)
class Cut:
    """What is counted: a variable by name and declaration, in the named groups; `halvings` of a cell in one ballot; its `finest` share of the range."""

    name: str
    variable: Variable
    groups: tuple[str, ...]
    halvings: int = halving.DEEPEST
    finest: float = halving.FINEST


@dataclass(frozen=True, slots=True)
class Counted:
    """Pooled counts (groups, cells) on a grid, and the rounds so far."""

    grid: Grid
    counts: IntArray
    rounds: int


Asking = Generator[Round, Summary, Counted]
Wanted = Callable[[IntArray], Iterable[int]]  # cells by their counts (groups, cells)


def counted(what: Cut, grid: Grid, rounds: int = 0) -> Asking:
    """One round: counts on the grid."""
    pooled = yield Round(Layout(fields=(_cells(what, len(grid.edges) + 1),)), _params(what, "cells", grid))
    return Counted(grid, pooled["cells"].astype(np.int64), rounds + 1)


def refined(what: Cut, start: Counted, wanted: Wanted, stages: int) -> Asking:
    """Up to `stages` times: a ballot on cuts inside the cells that `wanted` names from the counts, and counts again.

    For few cells of many.
    """
    at = start
    for _ in range(stages):
        edges = np.array(at.grid.edges)
        trees = _trees(what, edges, _named(wanted, at.counts))
        if not trees:
            break
        params = {**_params(what, "ballot", at.grid), "cells": _told(trees)}
        votes = yield Round(Layout(fields=(_cuts(trees),)), params)
        finer = halving.refined(edges, trees, votes.values["cuts"] == 0)
        if finer.size == edges.size:
            return Counted(at.grid, at.counts, at.rounds + 1)
        at = yield from counted(what, Grid(tuple(finer.tolist()), recorded=False), at.rounds + 1)
    return at


def searched(what: Cut, grid: Grid, wanted: Wanted, stages: int) -> Asking:
    """Counts on the finest grid that passes, from `grid` on, after up to `stages` ballots on the cells that `wanted` names.

    A round counts on the cuts that passed, and at once asks whether the cells between them, which nobody has asked about,
    may be cut; those that the counts then do not name stay whole. So a ballot costs one round. Recorded values are left as they are.
    """
    if grid.recorded or not stages:
        return (yield from counted(what, grid))
    edges, fresh, rounds = np.array(grid.edges), np.arange(len(grid.edges) + 1), 0
    while True:
        at = Grid(tuple(edges.tolist()), recorded=False)
        trees = _trees(what, edges, fresh) if rounds < stages else ()
        if not trees:
            return (yield from counted(what, at, rounds))
        rounds += 1
        layout = Layout(fields=(_cells(what, edges.size + 1), _cuts(trees)))
        pooled = yield Round(layout, {**_params(what, "search", at), "cells": _told(trees)})
        found = Counted(at, pooled["cells"].astype(np.int64), rounds)
        named = halving.of_cells(trees, _named(wanted, found.counts))
        finer = halving.refined(edges, trees, named & (pooled.values["cuts"] == 0))
        if finer.size == edges.size:
            return found
        fresh, edges = _changed(edges, finer), finer


def grouped(values: FloatArray, group: Cells, groups: int) -> Sorted:
    """Values (rows,) of each group by itself, in order: made once for a question, so that a round takes no pass over the rows."""
    return tuple(np.sort(values[group == which]) for which in range(groups))


def summarised(what: Cut, values: Sorted, recorded: bool, asked: Round) -> Answer:
    """A site's answer to either round."""
    params: Mapping[str, Any] = asked.params
    edges, step = params["edges"], params["step"]
    shown: dict[str, Any] = {}
    cells: dict[str, IntArray] = {}
    choices: list[IntArray] = []
    if step in {"cells", "search"}:
        shown["cells"] = counts(what.name, values, Grid(tuple(edges.tolist()), recorded))
        cells = named(what, shown["cells"])
    if step in {"ballot", "search"}:
        for made in _trees(what, edges, params["cells"].astype(np.intp)):
            choices += halving.choices(halving.leaves(values, edges, made), made)
        shown["cuts"] = np.zeros(sum(len(block) for block in choices), dtype=np.uint64)
    return Answer(Summary(asked.layout, shown), cells=cells, choices=tuple(choices) or None)


def uncut(name: str, whom: str, instead: str) -> Refused:
    """The refusal where all rows lie in one cell: no cut has enough of `whom` on either side."""
    message = f"no cut of {name!r} leaves enough {whom} on either side at every site"
    return Refused("E-DISCLOSURE", message, f"a wider population, {instead}, or sites that are larger")


def counts(name: str, values: Sorted, grid: Grid) -> IntArray:
    """Counts (groups, cells) on the grid.

    Raises:
        Invalid: E-GRID, a value is not among the recorded ones.
    """
    if grid.recorded:
        for own in values:
            grids.cells(name, own, grid)
    return halving.between(values, np.array([-math.inf, *grid.edges, math.inf]))


def named(what: Cut, counts: IntArray) -> dict[str, IntArray]:
    """The counts of each group under its name, as cells of evidence."""
    return {f"{what.name} {group}".strip(): counts[i] for i, group in enumerate(what.groups)}


def ladder(name: str, dictionary: Codebook, stated: GridWish | None) -> tuple[Grid, ...]:
    """The study's grid alone; else recorded values (rehearsals), then the codebook's ladder or one cell to cut.

    Raises:
        Invalid: E-GRID, E-VARIABLE, E-NO-GRID.
    """
    variable = grids.declared(name, dictionary)
    if stated is not None or (variable.grid is None and variable.range is None):
        return grids.rungs(name, stated, dictionary, 1)
    coarse = (Grid((), recorded=False),) if variable.grid is None else grids.rungs(name, None, dictionary, 1)
    return (*grids.recorded(name, dictionary), *coarse)


def _trees(what: Cut, edges: FloatArray, cells: Cells) -> tuple[halving.Trees, ...]:
    return halving.trees(edges, cells, what.variable, what.halvings, what.finest)


def _named(wanted: Wanted, counts: IntArray) -> Cells:
    return np.array(sorted(wanted(counts)), dtype=np.intp)


def _changed(edges: FloatArray, finer: FloatArray) -> Cells:
    """Cells of the grid `finer` that are none of the grid `edges`."""
    new = ~np.isin(finer, edges)
    return np.flatnonzero(np.append(new, False) | np.insert(new, 0, False))


def _params(what: Cut, step: str, grid: Grid) -> dict[str, Any]:
    return {"step": step, "of": what.name, "edges": np.array(grid.edges)}


def _cells(what: Cut, cells: int) -> Field:
    return Field(name="cells", shape=(len(what.groups), cells), kind="histogram")


def _cuts(trees: Sequence[halving.Trees]) -> Field:
    return Field(name="cuts", shape=(sum(made.words for made in trees),), kind="vote")


def _told(trees: Sequence[halving.Trees]) -> FloatArray:
    """The cells of a ballot as a parameter of its round."""
    return np.sort(np.concatenate([made.cells for made in trees])).astype(np.float64)
