"""What secondary suppression of the largest table costs: 20 x 20 counts, sparse to full."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from bench.table import Measure
from bench.targets import SUPPRESSION
from isthmus.disclosure.suppression import gate_table

SIDE, FLOOR, TABLES = 20, 11, 10
RATES = (2.0, 4.0, 8.0, 15.0)  # mean counts: nearly all cells are small, to few


def tables() -> list[Measure]:
    """Seconds for one table, a measure for each rate of small cells."""
    draw = np.random.default_rng(20)
    found = []
    for rate in RATES:
        taken = []
        for _ in range(TABLES):
            counts = draw.poisson(rate, (SIDE, SIDE))
            small = (counts > 0) & (counts < FLOOR)
            start = perf_counter()
            gate_table(counts.astype(np.float64), small, FLOOR, bars_zero=False)
            taken.append(perf_counter() - start)
        found.append(Measure(SUPPRESSION, f"mean count {rate:g}", "s", tuple(taken)))
    return found
