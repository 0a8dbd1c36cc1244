"""Ways of dealing rows to sites that federated code has to bear, drawn by Hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Sites = NDArray[np.int64]
MOST = 12


def dealings(marks: Mapping[str, Any], sites: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[Sites]:
    """(rows,) site of each row, from 0; the highest number may hold no row (`check_statistic` adds an empty site).

    Args:
        marks: name -> (rows,) values; a site is made that lacks all but one value of one of them (no event, no case of
            a level).
        sites: how many; 2 to 12 unless stated.
    """
    rows = len(next(iter(marks.values())))
    return st.builds(
        lambda count, seed, shape, mark: SHAPES[shape](
            np.random.default_rng(seed), rows, count, np.asarray(marks[mark])
        ),
        sites or st.integers(2, MOST),
        st.integers(0, 2**32 - 1),
        st.sampled_from(sorted(SHAPES)),
        st.sampled_from(sorted(marks)),
    )


def _even(draw: np.random.Generator, rows: int, count: int, mark: Any) -> Sites:
    return draw.integers(0, count, rows)


def _giant(draw: np.random.Generator, rows: int, count: int, mark: Any) -> Sites:
    """One site has every row but one for each of the others."""
    sites = np.zeros(rows, dtype=np.int64)
    sites[draw.choice(rows, count - 1, replace=False)] = np.arange(1, count)
    return sites


def _lacking(draw: np.random.Generator, rows: int, count: int, mark: Any) -> Sites:
    """Site 0 has rows of one value of the mark only; what others have of that value is dealt at random."""
    value = draw.choice(np.unique(mark.astype(str)))
    same = mark.astype(str) == value
    sites = draw.integers(1, count, rows)
    sites[same & (draw.random(rows) < 0.8)] = 0
    return sites


def _sorted(draw: np.random.Generator, rows: int, count: int, mark: Any) -> Sites:
    """Runs of consecutive rows along the mark: sites have nearly nothing in common."""
    cuts = np.sort(draw.integers(0, rows + 1, count - 1))
    sites = np.empty(rows, dtype=np.int64)
    sites[np.argsort(mark.astype(str), kind="stable")] = np.searchsorted(cuts, np.arange(rows), side="right")
    return sites


def _holes(draw: np.random.Generator, rows: int, count: int, mark: Any) -> Sites:
    """Some sites have no row at all."""
    present = draw.choice(count, draw.integers(1, count + 1), replace=False)
    return draw.choice(present, rows)


SHAPES: Mapping[str, Callable[[np.random.Generator, int, int, Any], Sites]] = {
    "even": _even,
    "giant": _giant,
    "holes": _holes,
    "lacking": _lacking,
    "sorted": _sorted,
}
