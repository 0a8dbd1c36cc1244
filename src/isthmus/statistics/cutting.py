"""Rounds that count rows by group on a grid, and refine it by ballots on public cuts (`halving.py`).

For flows: `counted` asks for counts, `refined` for ballots and the counts on what passed. For sites: `summarised` answers
both; it names every cell it shows, for the gate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping
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
    """What is counted: a variable by name and declaration, in the named groups; `halvings` of a cell in one ballot."""

    name: str
    variable: Variable
    groups: tuple[str, ...]
    halvings: int = halving.DEEPEST


@dataclass(frozen=True, slots=True)
class Counted:
    """Pooled counts (groups, cells) on a grid, and the rounds so far."""

    grid: Grid
    counts: IntArray
    rounds: int


Asking = Generator[Round, Summary, Counted]


def counted(what: Cut, grid: Grid, rounds: int = 0) -> Asking:
    """One round: counts on the grid."""
    shape = (len(what.groups), len(grid.edges) + 1)
    layout = Layout(fields=(Field(name="cells", shape=shape, kind="histogram"),))
    pooled = yield Round(layout, {"step": "cells", "of": what.name, "edges": np.array(grid.edges)})
    return Counted(grid, pooled["cells"].astype(np.int64), rounds + 1)


def refined(what: Cut, start: Counted, wanted: Callable[[IntArray], Iterable[int]], stages: int) -> Asking:
    """Up to `stages` times: a ballot on cuts inside the cells that `wanted` names from the counts, and counts again."""
    at = start
    for _ in range(stages):
        edges = at.grid.edges
        chosen = np.array([c for c in wanted(at.counts) if _tree(what, edges, c, 1) is not None], dtype=np.float64)
        if not chosen.size:
            break
        trees = tuple(made for _, made in _trees(what, edges, chosen))
        layout = Layout(fields=(Field(name="cuts", shape=(sum(made.words for made in trees),), kind="vote"),))
        votes = yield Round(layout, {"step": "ballot", "of": what.name, "edges": np.array(edges), "cells": chosen})
        finer = halving.refined(edges, trees, votes.values["cuts"] == 0)
        if finer == edges:
            return Counted(at.grid, at.counts, at.rounds + 1)
        at = yield from counted(what, Grid(finer, recorded=False), at.rounds + 1)
    return at


def grouped(values: FloatArray, group: Cells, groups: int) -> Sorted:
    """Values (rows,) of each group by itself, in order: made once for a question, so that a round takes no pass over the rows."""
    return tuple(np.sort(values[group == which]) for which in range(groups))


def summarised(what: Cut, values: Sorted, recorded: bool, asked: Round) -> Answer:
    """A site's answer to either round."""
    params: Mapping[str, Any] = asked.params
    edges = params["edges"]
    if params["step"] == "cells":
        found = counts(what.name, values, Grid(tuple(edges.tolist()), recorded))
        return Answer(Summary(asked.layout, {"cells": found}), cells=named(what, found))
    ends = np.concatenate([[-math.inf], edges, [math.inf]])
    blocks: list[IntArray] = []
    for cell, tree in _trees(what, tuple(edges.tolist()), params["cells"]):
        leaves = halving.between(values, np.concatenate([ends[cell : cell + 1], tree.cuts, ends[cell + 1 : cell + 2]]))
        blocks += halving.choices(leaves, tree)
    blank = np.zeros(sum(len(block) for block in blocks), dtype=np.uint64)
    return Answer(Summary(asked.layout, {"cuts": blank}), choices=tuple(blocks))


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


def _tree(what: Cut, edges: tuple[float, ...], cell: int, times: int) -> halving.Tree | None:
    ends = (-math.inf, *edges, math.inf)
    return halving.tree(ends[cell], ends[cell + 1], what.variable, times)


def _trees(what: Cut, edges: tuple[float, ...], chosen: FloatArray) -> tuple[tuple[int, halving.Tree], ...]:
    """The chosen cells with their cuts."""
    times = min(what.halvings, halving.depth(chosen.size))
    made = [(int(cell), _tree(what, edges, int(cell), times)) for cell in chosen.tolist()]
    return tuple((cell, tree) for cell, tree in made if tree is not None)
