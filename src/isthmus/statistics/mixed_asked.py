"""One value of theta in a round of a linear mixed model, and the scale of its sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.statistics import linear, mixed_groups
from isthmus.statistics.mixed_steps import Turn
from isthmus.summary import FloatArray, Summary

MOST_LIFT = 2.0**36  # keeps sums of a hundred million rows in the 63 bits above the point


@dataclass(frozen=True, slots=True)
class Asked:
    """One value of theta, and what makes its sums of a size that 64 fractional bits hold well.

    With a large variance V^-1 leaves of what is between groups as good as nothing, and derivatives by theta even less:
    sums are multiplied by `lift`, derivatives by `stretch` (m,), before they leave.
    """

    place: Turn
    factor: FloatArray

    @property
    def lift(self) -> float:
        """1 and the largest variance."""
        return min(1.0 + float(np.max(linear.total(self.factor**2))), MOST_LIFT)

    @property
    def stretch(self) -> FloatArray:
        """Of each entry the standard deviation in its row, where that is above 1."""
        rows = np.sqrt(np.maximum(linear.total(self.factor**2), 1.0))
        made: FloatArray = np.ldexp(1.0, np.frexp(rows)[1] - 1)
        return made[np.tril_indices(len(rows))[0]]

    def params(self) -> dict[str, Any]:
        """Of a round."""
        return {"theta": self.place.theta(self.factor), "lift": self.lift, "stretch": self.stretch}

    def plain(self, pooled: Summary, groups: int) -> tuple[FloatArray, FloatArray]:
        """`logs` and `grams` as they are."""
        small = 1.0 / mixed_groups.orders(self.stretch)
        logs, grams = pooled["logs"] * small, pooled["grams"] * (small / self.lift)[:, None, None]
        logs[0] += len(self.factor) * groups * math.log(self.lift)
        return logs, grams
