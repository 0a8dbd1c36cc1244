"""Sums of Cox models over pieces of the rows and groups of blocks."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from isthmus.statistics import cox_rows, cox_site, cox_sums
from isthmus.statistics.chunks import PAIR


def sorted_patients(seed: int, late: bool, weighted: bool) -> cox_rows.Rows:
    draw = np.random.default_rng(seed)
    start = draw.integers(0, 9, 400) * late
    time, event = start + draw.integers(1, 30, 400), draw.random(400) < 0.5
    told = cox_rows.Told(
        time=time.astype(float),
        event=event,
        stratum=draw.choice([0, 2, 3], 400),  # nobody is in stratum 1
        entry=start.astype(float) if late else None,
        weight=draw.uniform(0.5, 2.0, 400) if weighted else None,
    )
    return cox_rows.sorted_rows(draw.normal(size=(3, 400)), told, 4)


PLACE = {"coefficients": np.array([0.4, -0.3, 0.1]), "scale": np.array([1.0, 2.0, 0.5])}
TURNED = {**PLACE, "rotation": np.array([[1.0, 0.0, 0.0], [0.3, 1.0, 0.0], [-0.2, 0.5, 1.0]])}


@pytest.mark.parametrize("params", [PLACE, TURNED])
@pytest.mark.parametrize(("late", "weighted"), list(product([False, True], repeat=2)))
def test_sums_do_not_depend_on_how_many_blocks_are_in_hand(monkeypatch, params, late, weighted) -> None:
    rows = sorted_patients(3, late, weighted)
    whole = cox_site.site_sums(rows, "efron", params)
    for blocks, within in ((1, 1), (3, 1000), (1000, 20)):
        monkeypatch.setattr(cox_site, "GROUP", blocks)
        monkeypatch.setattr(cox_site, "ROWS", within)
        parts = cox_site.site_sums(rows, "efron", params)
        assert parts.loglik == pytest.approx(whole.loglik, rel=1e-13)
        assert parts.score == pytest.approx(whole.score, rel=1e-11)
        assert parts.information == pytest.approx(whole.information, rel=1e-12)
        assert parts.weights.total == pytest.approx(whole.weights.total, rel=1e-12)


def test_segments_over_several_pieces() -> None:
    draw = np.random.default_rng(5)
    block, died = np.sort(draw.integers(-1, 9, 70_000)), draw.random(70_000) < 0.4
    order = np.lexsort((~died, block))
    segments = cox_sums.Segments.of(block, died[order])
    x, weight = draw.normal(size=(2, 70_000)), draw.random(70_000)
    sums = cox_sums.segment_sums(cox_sums.Columns(x), weight, segments.starts)
    expected = [[(v * weight)[(block == b) & (died[order] == d)].sum() for b in range(9) for d in (True, False)] for v in (*x, np.ones(70_000))]  # fmt: skip
    assert sums == pytest.approx(np.array(expected), rel=1e-9, abs=1e-9)
    assert cox_sums.joined(sums[-1], segments.first) == pytest.approx(
        np.bincount(block[block >= 0], weights=weight[block >= 0]), rel=1e-12
    )


def test_a_weighted_product_over_several_pieces_is_symmetric() -> None:
    draw = np.random.default_rng(4)
    rows = 2 * PAIR + 3
    x, weight = draw.normal(size=(4, rows)), draw.uniform(0.0, 2.0, rows)
    found = cox_sums.weighted_gram(x, weight)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(found, np.einsum("in,jn,n->ij", x, x, weight), rtol=1e-13, atol=1e-10)
