"""Steps of a survival curve: merged forward until no step shows a few people, and cut where few remain."""

from __future__ import annotations

import numpy as np

from isthmus.summary import FloatArray


def gate_curve(values: FloatArray, floor: int, bars_zero: bool) -> FloatArray:
    """Merge the steps of one curve forward and cut its tail.

    A step is shown when the events, the censored and the people left at risk since the last shown step are each 0
    (where zeros are allowed) or at least `floor`; until then its events and censored pass to the next step. At the
    first shown step with fewer than `floor` at risk, the curve ends.

    Args:
        values: (3 or more, steps) at risk before the step, events (a line per cause), censored, in time order.
        floor: minimum_count.
        bars_zero: zeros are barred.

    Returns:
        The same shape, NaN where a step is merged away or cut. At risk is that of the first merged step.
    """
    at_risk, leaving = values[0], values[1:]
    shown = np.full(values.shape, np.nan)
    start = 0
    for stop in range(at_risk.size):
        if at_risk[start] < floor:
            break
        lost = leaving[:, start : stop + 1].sum(axis=1).tolist()
        remain = float(at_risk[stop] - leaving[:, stop].sum())
        if all(_fits(count, floor, bars_zero) for count in (*lost, remain)):
            shown[:, stop] = at_risk[start], *lost
            start = stop + 1
    return shown


def _fits(count: float, floor: int, bars_zero: bool) -> bool:
    return count >= floor or (count == 0 and not bars_zero)
