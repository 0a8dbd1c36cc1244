"""Values of theta in a round of a linear mixed model, and the scale of their sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.statistics import linear, mixed_steps
from isthmus.statistics.mixed_steps import Known
from isthmus.summary import FloatArray

MOST_LIFT = 2.0**36  # keeps sums of a hundred million rows in the 63 bits above the point


@dataclass(frozen=True, slots=True)
class Asked:
    """One value of theta, and what makes its sums of a size that 64 fractional bits hold well.

    With a large variance V^-1 leaves of what is between groups as good as nothing: sums are multiplied by `lift` before
    they leave. Derivatives are by S with I + D = C S C', C C' what I + D is here, so that they are of the size of the sums.
    """

    place: FloatArray
    factor: FloatArray

    @property
    def lift(self) -> float:
        """1 and the largest variance."""
        return min(1.0 + float(np.max(linear.total(self.factor**2))), MOST_LIFT)

    @property
    def theta(self) -> FloatArray:
        """(m,)."""
        return mixed_steps.entries(linear.product(self.place, self.factor))

    @property
    def frame(self) -> FloatArray:
        """F (q, q) of the derivatives."""
        return linear.product(self.place, mixed_steps.root(self.factor))

    def known(self, logs: FloatArray, grams: FloatArray, groups: int) -> Known:
        """The sums as they are, from those that left."""
        own = logs.copy()
        own[0] += len(self.factor) * groups * math.log(self.lift)
        return Known(self.factor, own, grams / self.lift)


def params(each: list[Asked]) -> dict[str, Any]:
    """Of a round."""
    return {"theta": np.array([one.theta for one in each]), "lift": np.array([one.lift for one in each])}
