"""A public tree of cuts inside cells of a grid, and which of its cuts every site can show.

A cell [low, high) is halved again and again, `depth` times. Whether a cut may be shown is voted on, one masked word a
cut: a site agrees where the counts of both halves, and of the halves of every larger cell around them, may be shown by
its own rules. So what passes is always a partition whose cells every site may show, and of a cut that fails nobody
learns at which site or by how many; below it no word tells anything. A half without rows may be shown where zeros
may, so that a smallest value is known to lie in a cell of enough people of its site, and no better. Where the first cut fails because one half is
sparse, the cut of `SINGLE` equal parts nearest the middle that leaves enough rows on both sides is taken instead: a
side without rows counts as too few there, else those words would tell where the smallest and the largest value lie.

Trees over the declared range have the same cuts whatever is asked: cells of two questions never overlap in part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from isthmus.model.codebook import Variable
from isthmus.statistics.grids import Cells
from isthmus.summary import FloatArray, IntArray

MOST_WORDS = 16_384  # of one ballot: 128 kB a site
FINEST = 2.0**-11  # of the range: a cell of one person of all sites is still no order statistic
DEEPEST = 10  # 1,024 parts of a cell
Sorted: TypeAlias = tuple[FloatArray, ...]  # values of each group, in order
SINGLE = 16  # parts whose ends are offered as single cuts, and towards each end halves of the outermost


@dataclass(frozen=True, slots=True)
class Tree:
    """Cuts inside one cell, whose own ends lie beyond them.

    `cuts` (2**depth - 1,) increasing; `single` (k,) are those offered one by one, from the middle outwards.
    """

    cuts: FloatArray
    depth: int
    single: FloatArray

    @property
    def words(self) -> int:
        """Of the ballot on this tree."""
        return len(self.cuts) + len(self.single)


def depth(cells: int) -> int:
    """How often `cells` cells may be halved in one ballot."""
    return max(1, min(DEEPEST, int(math.log2(MOST_WORDS / max(cells, 1) + 1))))


def tree(low: float, high: float, variable: Variable, times: int) -> Tree | None:
    """Cuts of [low, high); None where there is nothing to cut.

    Without both ends, it is halved as the declared range. Without one, so that the first cut is the end of that range.
    Nothing is cut below `FINEST`, whole numbers not below 1.
    """
    start, stop = span(variable)
    if math.isinf(low) and math.isinf(high):
        low, high = start, stop
    elif math.isinf(low):
        low = 2.0 * start - high if start < high else high
    elif math.isinf(high):
        high = 2.0 * stop - low if low < stop else low
    least = (stop - start) * FINEST
    if variable.type == "integer":
        least = max(least, 1.0)
    if not high - low > least:
        return None
    levels = min(times, max(1, math.ceil(math.log2((high - low) / least))))
    parts = 2**levels
    cuts = low + (high - low) * np.arange(1, parts) / parts
    return Tree(cuts, levels, cuts[_outwards(parts) - 1])


def _outwards(parts: int) -> Cells:
    """Of `parts` equal parts, the ends offered as single cuts: from the middle outwards, ever nearer to both ends."""
    near = [parts >> k for k in range(1, parts.bit_length())]
    even = range(max(1, parts // SINGLE), parts, max(1, parts // SINGLE))
    offered = np.array(sorted({*even, *near, *(parts - k for k in near)}), dtype=np.intp)
    return offered[np.argsort(np.abs(2 * offered - parts), kind="stable")]


def span(variable: Variable) -> tuple[float, float]:
    """About the middle of the range, a width that is a power of two, by steps of its 1,024th (of 1 for whole numbers)."""
    if variable.range is None:
        return 0.0, 0.0
    low, high = variable.range
    width = 2.0 ** math.ceil(math.log2(high - low)) if high > low else 1.0
    while True:
        step = 1.0 if variable.type == "integer" else width * 2.0**-DEEPEST
        start = math.floor(((low + high) / 2.0 - width / 2.0) / step) * step
        if start <= low and high < start + width:
            return start, start + width
        width *= 2.0


def between(values: Sorted, ends: FloatArray) -> IntArray:
    """Counts (groups, len(ends) - 1) of the values in [end, next end), ends increasing."""
    return np.array([np.diff(np.searchsorted(own, ends, side="left")) for own in values], dtype=np.int64)


def choices(leaves: IntArray, made: Tree) -> tuple[IntArray, IntArray]:
    """Counts that each word would show: (cuts, groups * 2 * depth) and (single, groups * 2).

    `leaves` (groups, cuts + 1) counts the rows of the tree's cell between its cuts.
    The row of a cut holds both halves of its own cell and of each larger cell around it, the smaller ones repeated to
    fill; that of a single cut both sides of it.
    """
    groups = len(leaves)
    halves: list[IntArray] = []  # per level from the whole cell down: (cells of the level, 2 * groups)
    level = leaves
    for _ in range(made.depth):
        pairs = level.reshape(groups, -1, 2)
        halves.insert(0, np.moveaxis(pairs, 1, 0).reshape(pairs.shape[1], -1))
        level = pairs.sum(axis=2)
    found = np.empty((2**made.depth - 1, made.depth, 2 * groups), dtype=np.int64)
    for at in range(made.depth):
        ranks = np.arange(2**at)
        rows = (2 * ranks + 1) * 2 ** (made.depth - 1 - at) - 1  # cuts are kept in order of size
        for above in range(made.depth):
            seen = min(above, at)
            found[rows, above] = halves[seen][ranks >> (at - seen)]
    return found.reshape(len(found), -1), _sides(leaves, made)


def _sides(leaves: IntArray, made: Tree) -> IntArray:
    """(single, groups * 2) rows below and above each single cut; a side without rows is shown as 1 if the other has some."""
    below = np.add.accumulate(leaves, axis=1)[:, np.searchsorted(made.cuts, made.single)].T
    above = leaves.sum(axis=1) - below
    found = np.concatenate([below, above], axis=1)
    return np.where((found == 0) & np.tile(below + above > 0, 2), 1, found)


def refined(edges: tuple[float, ...], trees: tuple[Tree, ...], passed: NDArray[np.bool_]) -> tuple[float, ...]:
    """`edges` with the cuts that passed, in the order of the trees."""
    found, at = [np.array(edges)], 0
    for made in trees:
        halved, alone = np.split(passed[at : at + made.words], [len(made.cuts)])
        at += made.words
        found.append(made.cuts[halved] if halved.any() else made.single[alone][:1])
    return tuple(np.unique(np.concatenate(found)).tolist())
