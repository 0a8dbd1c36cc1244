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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from isthmus.model.codebook import Variable
from isthmus.statistics.grids import Cells
from isthmus.summary import FloatArray, IntArray

MOST_WORDS = 16_384  # of one ballot: 128 kB a site
FINEST = 2.0**-11  # of the range: a cell of one person of all sites is still no order statistic
ONE_NUMBER = 2.0**-70  # of the range: down to cells of one floating-point number, in a rehearsal that nothing restricts
DEEPEST = 10  # 1,024 parts of a cell
Sorted: TypeAlias = tuple[FloatArray, ...]  # values of each group, in order
SINGLE = 16  # parts whose ends are offered as single cuts, and towards each end halves of the outermost


@dataclass(frozen=True, slots=True)
class Trees:
    """Cuts inside m cells that are halved equally often; their own ends lie beyond them.

    `cells` (m,); `cuts` (m, 2**depth - 1) increasing; `single` (m, k) are those offered one by one, from the middle outwards.
    """

    cells: Cells
    cuts: FloatArray
    depth: int
    single: FloatArray

    @property
    def words(self) -> int:
        """Of the ballot on these trees: all halvings, then all single cuts."""
        return self.cuts.size + self.single.size


def trees(edges: FloatArray, cells: Cells, variable: Variable, most: int, finest: float = FINEST) -> tuple[Trees, ...]:
    """Trees in `cells` of the grid with `edges`, by how often they are halved, `most` times or less; none where nothing can be cut.

    A cell without both ends is halved as the declared range. One without one end so that its first cut is the end of that
    range. Nothing is cut below `finest`, whole numbers not below 1. A ballot has at most `MOST_WORDS` words, if it can.
    """
    ends = np.concatenate([[-math.inf], edges, [math.inf]])
    low, high = _bounded(ends[cells], ends[cells + 1], variable)
    levels = _levels(high - low, variable, finest)
    kept = (levels > 0) & (np.nextafter(low, high) < high)
    cells, low, high, levels = cells[kept], low[kept], high[kept], np.minimum(levels[kept], most)
    while _words(levels) > MOST_WORDS and levels.max() > 1:
        levels = np.minimum(levels, levels.max() - 1)
    found = []
    for depth in np.unique(levels).tolist():
        here, parts = levels == depth, 2**depth
        cuts = low[here, None] + (high - low)[here, None] * np.arange(1, parts) / parts
        found.append(Trees(cells[here], cuts, depth, cuts[:, _outwards(parts) - 1]))
    return tuple(found)


def _bounded(low: FloatArray, high: FloatArray, variable: Variable) -> tuple[FloatArray, FloatArray]:
    """Ends of cells, those that are open put where halving them cuts at the end of the range."""
    start, stop = span(variable)
    with np.errstate(invalid="ignore"):  # the other branch, at infinite ends
        below = np.where(start < high, 2.0 * start - high, high)
        above = np.where(low < stop, 2.0 * stop - low, low)
    whole = np.isinf(low) & np.isinf(high)
    bottom = np.where(np.isinf(low), below, low)
    top = np.where(np.isinf(high), above, high)
    return np.where(whole, start, bottom), np.where(whole, stop, top)


def _levels(width: FloatArray, variable: Variable, finest: float) -> Cells:
    """How often cells may be halved until they are as narrow as they may become; 0 for those that are."""
    start, stop = span(variable)
    least = max((stop - start) * finest, 1.0 if variable.type == "integer" else 0.0)
    if not least > 0.0:
        return np.zeros(width.shape, dtype=np.intp)
    share, power = np.frexp(width / least)  # not log2, whose last bit differs between machines
    return np.where(width > least, np.maximum(power - (share == 0.5), 1), 0).astype(np.intp)


def _words(levels: Cells) -> int:
    """Of the ballot on trees halved so often."""
    depths, number = np.unique(levels, return_counts=True)
    return sum(n * (2**d - 1 + len(_outwards(2**d))) for d, n in zip(depths.tolist(), number.tolist(), strict=True))


@cache
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
    """Counts (groups, ..., len(ends) - 1) of the values in [end, next end), ends (..., k) increasing along the last axis."""
    return np.array([np.diff(np.searchsorted(own, ends, side="left"), axis=-1) for own in values], dtype=np.int64)


def leaves(values: Sorted, edges: FloatArray, made: Trees) -> IntArray:
    """Counts (groups, m, 2**depth) of the values between the cuts of each tree's cell."""
    ends = np.concatenate([[-math.inf], edges, [math.inf]])
    low, high = ends[made.cells, None], ends[made.cells + 1, None]
    return between(values, np.concatenate([low, made.cuts, high], axis=1))


def choices(counts: IntArray, made: Trees) -> tuple[IntArray, IntArray]:
    """Counts that each word would show: (m * cuts, groups * 2 * depth) and (m * single, groups * 2).

    `counts` (groups, m, 2**depth) as `leaves` gives them.
    The row of a cut holds both halves of its own cell and of each larger cell around it, the smaller ones repeated to
    fill; that of a single cut both sides of it.
    """
    groups, trees, parts = counts.shape
    halves: list[IntArray] = []  # per level from the whole cell down: (m, cells of the level, 2 * groups)
    level = counts
    for _ in range(made.depth):
        pairs = level.reshape(groups, trees, -1, 2)
        halves.insert(0, np.moveaxis(pairs, 0, 2).reshape(trees, -1, 2 * groups))
        level = pairs.sum(axis=3)
    found = np.empty((trees, parts - 1, made.depth, 2 * groups), dtype=np.int64)
    for at in range(made.depth):
        ranks = np.arange(2**at)
        rows = (2 * ranks + 1) * 2 ** (made.depth - 1 - at) - 1  # cuts are kept in order of size
        for above in range(made.depth):
            seen = min(above, at)
            found[:, rows, above] = halves[seen][:, ranks >> (at - seen)]
    return found.reshape(trees * (parts - 1), -1), _sides(counts, parts)


def _sides(counts: IntArray, parts: int) -> IntArray:
    """(m * single, groups * 2) rows below and above each single cut; a side without rows is shown as 1 if the other has some."""
    below = np.moveaxis(np.add.accumulate(counts, axis=2)[:, :, _outwards(parts) - 1], 0, 2)
    above = np.moveaxis(counts.sum(axis=2), 0, 1)[:, None, :] - below
    found = np.concatenate([below, above], axis=2).reshape(-1, 2 * len(counts))
    empty = (found == 0) & np.tile((below + above > 0).reshape(-1, len(counts)), 2)
    return np.where(empty, 1, found)


def refined(edges: FloatArray, made: Sequence[Trees], passed: NDArray[np.bool_]) -> FloatArray:
    """`edges` with the cuts that `passed`, in the order of the trees' words; in a cell without a half, the first single cut."""
    found, at = [edges], 0
    for each in made:
        halved, alone = np.split(passed[at : at + each.words], [each.cuts.size])
        at += each.words
        halved, alone = halved.reshape(each.cuts.shape), alone.reshape(each.single.shape)
        found.append(each.cuts[halved])
        lone = np.flatnonzero(alone.any(axis=1) & ~halved.any(axis=1))
        found.append(each.single[lone, np.argmax(alone[lone], axis=1)])
    return np.unique(np.concatenate(found))


def of_cells(made: Sequence[Trees], kept: Cells) -> NDArray[np.bool_]:
    """(words,) whether each word is about one of the cells `kept`."""
    parts = [np.zeros(0, dtype=np.bool_)]
    for each in made:
        mine = np.isin(each.cells, kept)
        parts += [np.repeat(mine, block.shape[1]) for block in (each.cuts, each.single)]
    return np.concatenate(parts)
