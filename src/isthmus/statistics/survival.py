"""What survival questions share: checks of times and events, ties, and the public ladder of time grids.

A time belongs to a step. Where every recorded time is its own step (`Grid.recorded`) results are exact; else steps
are the bins (edge[k-1], edge[k]] of the grid, times beyond the last edge stay at risk throughout, and results are
those of the binned rows; a time that rounding has put beyond an edge (0.1 * 3 is above 0.3) lies on it. At a step, events come before censoring, as in R and SAS.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.privacy import exact
from isthmus.model.record import record
from isthmus.statistics.contract import Grid
from isthmus.summary import FloatArray, IntArray

SAME_TIME = 2.0**-26  # sqrt of the machine epsilon, 1.5e-8: coxph's timefix
CHAIN = 1_000  # times tied in a row that are still one recorded time
FEW_STEPS = 12  # of a grid with coarser forms: with two groups their cells are 256, as many as the history compares
MAX_EDGES = 20_000  # a finer grid than days over 50 years is a mistake
Steps = NDArray[np.intp]


@record
class GridWish:
    """A grid as a study states it: `{every, to}`, `{edges}` or `{from, to, bins}`; `coarser`: or the finest of its coarser forms."""

    every: float | None = None
    to: float | None = None
    edges: tuple[float, ...] | None = None
    from_: float | None = None
    bins: int | None = None
    coarser: bool | None = None


def rungs(time: str, wish: GridWish | None, dictionary: Codebook, *, cut: bool = False) -> tuple[Grid, ...]:
    """The study's grid, or else recorded times (in a rehearsal) and the codebook's ladder, finest first.

    With `coarser` the study's grid is followed by its coarser forms, which are public as it is; `cut`: the curve may
    end earlier.

    Raises:
        Invalid: E-GRID, a grid without increasing edges; E-NO-GRID, neither study nor codebook has one.
    """
    if wish is not None:
        stated = _edges(wish)
        forms = coarsened(stated, cut=cut) if wish.coarser else (stated,)
        return tuple(Grid(edges, recorded=False) for edges in forms)
    variable = dictionary.variables.get(time)
    if variable is None:
        raise Invalid("E-VARIABLE", f"{time!r} is not a variable of the codebook or of `derive`")
    ladder = [Grid(checked(edges), recorded=False) for edges in variable.grid or ()]
    if variable.recorded is not None:
        distinct = np.array(sorted(variable.recorded), dtype=np.float64)
        ladder.insert(0, Grid(tuple(tie_cuts(distinct).tolist()), recorded=True))
    if not ladder:
        raise Invalid("E-NO-GRID", f"no grid for {time!r}", "state `grid` in the study or in the codebook")
    return tuple(ladder)


def check_asked(times: tuple[float, ...]) -> None:
    """Times that a curve is asked at.

    Raises:
        Invalid: E-TIME, one is negative.
    """
    if not all(time >= 0.0 for time in times):
        raise Invalid("E-TIME", "`at` holds times of 0 or above", "time starts at 0")


def check_times(names: tuple[str, str], time: FloatArray, event: FloatArray) -> None:
    """Times are not negative; events are 0 or 1. The text names columns, never values.

    Raises:
        Invalid: E-TIME, E-EVENT.
    """
    if not bool(np.all(time >= 0.0)):
        raise Invalid("E-TIME", f"time {names[0]!r} must not be negative", "check its origin and unit")
    if not bool(np.all((event == 0.0) | (event == 1.0))):
        raise Invalid("E-EVENT", f"event {names[1]!r} must be 0 or 1", "derive it with CASE WHEN")


def tolerance(names: Sequence[str | None], dictionary: Codebook) -> float | None:
    """How far apart ties may lie, the same at every site; None where the codebook says nothing of these variables.

    R's aeqSurv takes 1.5e-8 of 1 or of the mean of all distinct times. Where these are not known (all but open
    rehearsals with one baseline) it is of the middle of the declared range.
    """
    known = [dictionary.variables.get(name) for name in names if name is not None]
    recorded = [one.recorded for one in known if one is not None and one.recorded is not None]
    if known and len(recorded) == len(known):
        return _of(np.unique(np.concatenate([np.array(values, dtype=np.float64) for values in recorded])))
    ranges = [one.range for one in known if one is not None and one.range is not None]
    if not known or len(ranges) < len(known):
        return None
    return SAME_TIME * max(1.0, float(np.mean(np.abs(np.array(ranges, dtype=np.float64)))))


def _of(distinct: FloatArray) -> float:
    return SAME_TIME * max(1.0, float(np.mean(np.abs(distinct)))) if distinct.size else SAME_TIME


def _reach(grid: Grid) -> FloatArray | float:
    """How far from each edge a time still lies on it; of a stated grid it is less than half a step, and far edges say nothing."""
    edges = np.array(grid.edges)
    if grid.recorded:
        return _of(edges)
    steps = np.diff(edges, prepend=0.0)
    near: FloatArray = np.minimum(
        SAME_TIME * np.maximum(1.0, np.abs(edges)), steps[steps > 0.0].min(initial=math.inf) / 2
    )
    return near


def tie_cuts(distinct: FloatArray, near: float | None = None) -> FloatArray:
    """First values of the groups of sorted `distinct` (k,) times that differ by rounding only, as R's aeqSurv; `near`: how far ties may lie apart."""
    if distinct.size < 2:
        return distinct
    same = np.diff(distinct) <= (_of(distinct) if near is None else near)
    kept: FloatArray = distinct[np.concatenate([[True], ~same])]
    return kept


def own_steps(time: FloatArray, entry: FloatArray | None = None, near: float | None = None) -> Steps:
    """Rank of each time (rows,) among this site's distinct ones, ties joined; those of the entries come after."""
    every = time if entry is None else np.concatenate([time, entry])
    return np.searchsorted(tie_cuts(np.unique(every), near), every, side="right") - 1


def check_entries(names: tuple[str, str], entry: FloatArray, time: FloatArray, dictionary: Codebook) -> None:
    """A row enters, at 0 or later, before it leaves. The text names columns, never values.

    Raises:
        Invalid: E-TIME.
    """
    if not bool(np.all(entry >= 0.0)):
        raise Invalid("E-TIME", f"entry {names[0]!r} must not be negative", "check its origin and unit")
    near = tolerance(names, dictionary)
    if not bool(np.all(time - entry > (_of(np.unique(np.concatenate([time, entry]))) if near is None else near))):
        hint = "a row is at risk after its entry, up to its time"
        raise Invalid("E-TIME", f"entry {names[0]!r} must come before time {names[1]!r} in every row", hint)


def entry_steps(entry: FloatArray, leaving: Steps, grid: Grid) -> Steps:
    """First step (rows,) at which a row is at risk: that of a time within a bin that it entered earlier or in it.

    So no row loses its own bin, the one it is `leaving` at; `len(grid.edges)` where the entry lies beyond the grid.
    """
    edges = np.array(grid.edges)
    first: Steps = np.minimum(np.searchsorted(edges - _reach(grid), entry, side="right"), leaving)
    return first


def grid_steps(name: str, time: FloatArray, grid: Grid, near: float | None = None) -> Steps:
    """Step of each time (rows,); `len(grid.edges)` where it lies beyond the grid; `near`: how far ties may lie apart.

    Raises:
        Invalid: E-GRID, a time is not among the recorded ones.
    """
    edges = np.array(grid.edges)
    if not grid.recorded:
        return np.searchsorted(edges + _reach(grid), time, side="left")
    found = np.searchsorted(edges, time, side="right") - 1
    tied = time - edges[np.maximum(found, 0)] <= CHAIN * (_of(edges) if near is None else near)
    if bool(np.any(found < 0)) or not bool(np.all(tied)):
        raise Invalid("E-GRID", f"a time of {name!r} is not among the recorded ones", "infer the codebook again")
    return found


def tally(steps: Steps, keep: Any, shape: tuple[int, ...], *codes: Any) -> IntArray:
    """Counts of the rows where `keep`, by leading `codes` and step: an array of `shape` (..., steps)."""
    flat = np.zeros(steps.shape, dtype=np.intp)
    for code, length in zip((*codes, steps), shape, strict=True):
        flat = flat * length + code
    return np.bincount(flat[keep], minlength=int(np.prod(shape))).reshape(shape).astype(np.int64)


def at_risk(leaving: FloatArray, beyond: FloatArray) -> FloatArray:
    """Rows at risk at each step (..., steps) from those that leave there and those (...) that outlast the grid."""
    later = np.add.accumulate(leaving[..., ::-1], axis=-1)[..., ::-1]
    risk: FloatArray = later + beyond[..., None]
    return risk


def group_code(levels: Sequence[str], name: str, code: Any) -> Any:
    """`code` (rows,) as it is.

    Raises:
        Invalid: E-LEVEL, a value outside the declared levels.
    """
    if not bool(np.all((code >= 0) & (code < len(levels)))):
        raise Invalid("E-LEVEL", f"{name!r} has a value that is not a declared level", "declare it in the codebook")
    return code


def strata_count(strata: Sequence[str], levels: Mapping[str, tuple[str, ...]]) -> int:
    """Combinations of the levels of the categories among `strata` (`site` apart)."""
    count = 1
    for name in strata:
        count *= 1 if name == "site" else len(levels[name])
    return count


def strata_codes(
    strata: Sequence[str], levels: Mapping[str, tuple[str, ...]], codes: Mapping[str, Any], rows: int
) -> Steps:
    """Number (rows,) of each row's combination of strata, `site` apart."""
    found = np.zeros(rows, dtype=np.intp)
    for name in strata:
        if name != "site":
            found = found * len(levels[name]) + group_code(levels[name], name, codes[name])
    return found


def strata_levels(strata: Sequence[str], levels: Mapping[str, tuple[str, ...]], code: int) -> dict[str, str]:
    """Levels of the combination numbered `code`."""
    found = {}
    for name in reversed(strata):
        code, at = divmod(code, len(levels[name]))
        found[name] = levels[name][at]
    return {name: found[name] for name in strata}


def crossed(first: Any, firsts: int, second: Any, seconds: int) -> IntArray:
    """Counts (firsts, seconds) of rows by two codes."""
    return np.bincount(first * seconds + second, minlength=firsts * seconds).reshape(firsts, seconds).astype(np.int64)


def coarsened(edges: tuple[float, ...], *, cut: bool) -> tuple[tuple[float, ...], ...]:
    """Grid edges and their coarser forms, finest first: they follow from the edges alone, whatever the rows are.

    As they are, with the last two steps joined, the first two, or both; where a curve may be `cut`, without the last
    quarter, which may begin with the first two joined; then the same of steps twice as wide, up to one step in all.

    Raises:
        Invalid: E-GRID, more than `FEW_STEPS` steps.
    """
    if len(edges) > FEW_STEPS:
        raise Invalid(
            "E-GRID", f"`coarser` is for grids of up to {FEW_STEPS} steps, not {len(edges)}", "use wider steps"
        )
    found: list[tuple[float, ...]] = []
    while True:
        few = edges[: -(-3 * len(edges) // 4)]
        forms = [edges, (*edges[:-2], edges[-1]), edges[1:], (*edges[1:-2], edges[-1])]
        forms = [*forms, few, few[1:]] if cut else forms
        found += [form for form in forms if len(form) > 1]
        if len(edges) == 1:
            return (*dict.fromkeys(found), edges)
        edges = (*edges[1:-1:2], edges[-1])


def _edges(wish: GridWish) -> tuple[float, ...]:
    if wish.edges is not None and wish.every is wish.to is wish.from_ is wish.bins is None:
        return checked(wish.edges)
    if wish.to is not None and wish.edges is None:
        if wish.every is not None and wish.every > 0 and wish.from_ is wish.bins is None:
            made = spaced(0.0, wish.every, range(1, _count(wish.to / wish.every) + 1))
            return checked((*made, wish.to) if not made or made[-1] < wish.to * (1 - SAME_TIME) else made)
        if wish.from_ is not None and wish.bins is not None and wish.every is None and wish.bins > 0:
            _count(wish.bins)
            return checked(parted(wish.from_, wish.to, wish.bins)[1:])
    raise Invalid("E-GRID", "a grid is {every, to}, {edges} or {from, to, bins}")


def spaced(start: float, step: float, places: Iterable[int]) -> tuple[float, ...]:
    """`start` + k `step` of the decimals as they are written: 3 times 0.1 is 0.3, to the bit of a row that says 0.3."""
    return tuple(float(exact(start) + k * exact(step)) for k in places)


def parted(start: float, stop: float, parts: int) -> tuple[float, ...]:
    """Ends of equal parts between two decimals, as `spaced`."""
    return tuple(float(exact(start) + (exact(stop) - exact(start)) * k / parts) for k in range(parts + 1))


def _count(steps: float) -> int:
    if not 0 < steps <= MAX_EDGES:
        raise Invalid("E-GRID", f"a grid has 1 to {MAX_EDGES} steps", "use a wider step")
    return int(steps * (1 + SAME_TIME))


def checked(edges: tuple[float, ...]) -> tuple[float, ...]:
    """Edges as they are.

    Raises:
        Invalid: E-GRID, none, too many, not finite, or not increasing.
    """
    finite = all(math.isfinite(edge) for edge in edges)
    if not edges or len(edges) > MAX_EDGES or not finite or any(b <= a for a, b in pairwise(edges)):
        raise Invalid("E-GRID", f"grid edges increase, from 1 to {MAX_EDGES} of them")
    return tuple(float(edge) for edge in edges)
