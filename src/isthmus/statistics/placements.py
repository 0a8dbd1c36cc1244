"""Sums of products of two variables' ranks by cell: what such a sum tells, and so which counts are held to the rules.

`roc` compares two markers with it, `spearman` correlates: each row's rank follows from its cell on a public grid.
Where both variables have few cells, two of two values above all, the margins and one sum tell their joint counts: those
are cells, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isthmus.evidence import Weights, weights_of, worst
from isthmus.statistics import grids
from isthmus.statistics.contract import Grid
from isthmus.statistics.grids import Cells
from isthmus.summary import FloatArray, IntArray

JOINT = 16  # unknown joint counts once the margins are known: with more, one sum leaves too many tables open


def told(grids_: tuple[Grid, ...]) -> dict[str, Any]:
    """Parameters of a round that say on which grids its ranks stand."""
    params: dict[str, Any] = {}
    for i, grid in enumerate(grids_):
        params |= {f"edges {i}": np.array(grid.edges), f"recorded {i}": int(grid.recorded)}
    return params


def cells(name: str, values: FloatArray, params: Mapping[str, Any], i: int) -> Cells:
    """Cell (rows,) of each value on the round's grid `i`."""
    return grids.cells(name, values, Grid(tuple(params[f"edges {i}"].tolist()), recorded=bool(params[f"recorded {i}"])))


def joint(names: tuple[str, str], part: Cells, pair: tuple[Cells, Cells], parts: int) -> dict[str, IntArray]:
    """Joint counts of the cells that hold rows, by part of the rows, where they are so few that one sum tells them."""
    first, second = (np.unique(cell, return_inverse=True)[1] for cell in pair)
    wide = [int(cell.max(initial=0)) + 1 for cell in (first, second)]
    if (wide[0] - 1) * (wide[1] - 1) > JOINT:
        return {}
    counts = grids.tally(first * wide[1] + second, wide[0] * wide[1], part, parts)
    found = f"{names[0]} x {names[1]}"
    return {found if parts == 1 else f"{found}, class {level}": counts[level] for level in range(parts)}


def guard(product: FloatArray, part: Cells, pair: tuple[Cells, Cells], known: bool) -> Weights:
    """The largest share of a row in a sum of `product` (rows,) that leaves by part; with the joint counts `known`, of that alone."""
    if not known:
        for cell in pair:
            mark = np.unique(cell, return_inverse=True)[1]
            part = part if mark.max(initial=0) != 1 else 2 * part + mark  # margins known, its two sums follow
    return worst([weights_of(product[part == which], 1) for which in np.unique(part)] or [weights_of(product, 1)])
