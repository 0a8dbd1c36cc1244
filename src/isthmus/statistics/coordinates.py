"""The coordinates a model is fitted in: centred and scaled columns, by constants every party knows.

Raw columns such as year and year**2 lose digits in X'X, and squares of a tiny column vanish in the 64 fractional bits
of the masked sums. So a column x enters as (x - centre) / scale, scale a power of two (exact). The first constants
come from the codebook's ranges, the next from the first pooled sums. Where columns are still nearly dependent, all
are turned by a triangular `rotation` T as well: z = T (x - centre) / scale. Results are turned back exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.model.codebook import Codebook, Variable
from isthmus.model.formula import Arithmetic, Design, DesignColumn, Factor
from isthmus.statistics import linear
from isthmus.summary import FloatArray

NEARLY_DEPENDENT = 1e-4  # smallest relative pivot that needs no rotation: the step's rounding stays below 1e-12 errors
UNSEEN_SCALE = 2.0**-32  # tried for a column whose squares vanished in fixed point
FINE = 16.0  # centres are multiples of scale / FINE, so that x - centre rarely rounds
INSIDE = 2.0**-20  # of a range: what sums of squares still tell from its ends

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Coordinates:
    """`centre` and `scale` (p,), `rotation` (p, p) lower triangular or None; `intercept`: column 0 is all ones."""

    centre: FloatArray
    scale: FloatArray
    intercept: bool
    rotation: FloatArray | None = None

    def params(self) -> dict[str, FloatArray | float | int | str]:
        """As parameters of a round."""
        made: dict[str, FloatArray | float | int | str] = {"centre": self.centre, "scale": self.scale}
        return made if self.rotation is None else {**made, "rotation": self.rotation}

    def uncentred(self) -> Coordinates:
        """The same scales about 0, for models that centring would change."""
        return Coordinates(np.zeros_like(self.centre), self.scale, self.intercept, self.rotation)

    def matrix(self) -> FloatArray:
        """J (p, p) with raw coefficients = J @ coefficients in these coordinates."""
        size = len(self.centre)
        turned = np.eye(size) if self.rotation is None else self.rotation.T
        raw = turned / self.scale[:, None]
        if self.intercept:
            for j in range(1, size):
                raw[0] -= self.centre[j] * raw[j]
        return raw

    def raw(self, coefficients: FloatArray) -> FloatArray:
        """Coefficients of the columns as they are in the formula."""
        return linear.product(self.matrix(), coefficients)

    def covariance(self, matrix: FloatArray) -> FloatArray:
        """A covariance of coefficients in these coordinates, for the raw ones."""
        return linear.congruence(self.matrix(), matrix)

    def moved(self, coefficients: FloatArray, target: Coordinates) -> FloatArray:
        """Coefficients in `target` that give the same linear predictor."""
        plain = coefficients if self.rotation is None else linear.product(self.rotation.T, coefficients)
        slopes = plain / self.scale
        made = slopes * target.scale
        if self.intercept:
            for j in range(1, len(slopes)):
                made[0] += slopes[j] * (target.centre[j] - self.centre[j])
        return made if target.rotation is None else linear.backward(target.rotation, made)


def turn(columns: FloatArray, params: Mapping[str, Any]) -> FloatArray:
    """Columns (p, rows) in the coordinates that a round's parameters state."""
    z: FloatArray = (columns - np.asarray(params["centre"])[:, None]) / np.asarray(params["scale"])[:, None]
    return np.asarray(params["rotation"]) @ z if "rotation" in params else z


def in_units(values: FloatArray, low: float, width: float) -> FloatArray:
    """(rows,) values moved to 0..1 by their range; only its ends become 0 and 1.

    A value inside is `INSIDE` from them at least, so that sums of u and u**2 are equal only where no value is inside: with
    one absurd value at an end, 50 of 0 to 1e30 is not 0.
    """
    u = (values - low) / width
    return np.where((values == low) | (u == 1.0), u, np.clip(u, INSIDE, 1.0 - INSIDE))


def response(
    y: FloatArray, offset: FloatArray | None, params: Mapping[str, Any]
) -> tuple[FloatArray, FloatArray | None]:
    """Outcome and offset (rows,) as a round's parameters state them: about `response_centre`, less the offset, if there is one."""
    if "response_centre" not in params:
        return y, offset
    return (y if offset is None else y - offset) - float(params["response_centre"]), None


def declared(design: Design, dictionary: Codebook) -> Coordinates:
    """The first coordinates: middle and half width of what the codebook declares (size of a single value), else 0 and 1.

    Without an intercept column the caller says what centring means: `uncentred` unless the model is free of it.
    """
    ranges = [column_range(column, dictionary.variables) for column in design.columns]
    centre, scale = np.zeros(len(ranges)), np.ones(len(ranges))
    for j, (column, found) in enumerate(zip(design.columns, ranges, strict=True)):
        if found is not None and not column.indicator:
            centre[j], scale[j] = _middle(found)
    return Coordinates(centre, scale, design.intercept)


def recentred(old: Coordinates, gram: FloatArray, fixed: FloatArray) -> Coordinates:
    """Centre at the weighted means of a pooled X'WX (p, p) in `old` coordinates, scale by its standard deviations.

    Columns where `fixed` (p,) is True keep their 0 and 1 (indicators).
    """
    size = len(gram)
    centre, scale = old.centre.copy(), old.scale.copy()
    total = gram[0, 0] if old.intercept else 1.0
    if not total > 0.0:
        return old
    for j in range(1 if old.intercept else 0, size):
        if fixed[j]:
            continue
        mean = gram[0, j] / total if old.intercept else 0.0
        spread = gram[j, j] / total - mean * mean
        if not gram[j, j] > 0.0:
            scale[j] = old.scale[j] * UNSEEN_SCALE
            continue
        scale[j] = old.scale[j] * power_of_two(math.sqrt(max(spread, 2.0**-40 * gram[j, j] / total)))
        centre[j] = coarse(old.centre[j] + mean * old.scale[j], scale[j]) if old.intercept else 0.0
    return Coordinates(centre, scale, old.intercept)


def settled(
    place: Coordinates, gram: FloatArray, target: Coordinates, names: Sequence[str], *, again: bool
) -> Coordinates | None:
    """Where to go on from the first X'WX (p, p), in `place`: at `target`, rotated where the columns need it.

    None: squares of a tiny column are gone, so that the sums must be asked once more, at `target`. `again`: they were.

    Raises:
        Invalid: E-COLLINEAR, of columns `names`.
    """
    try:
        linear.cholesky(gram)
        return rotated(target, turned(gram, place, target))
    except linear.Dependent as error:
        if again:
            raise linear.collinear(error, names) from error
        return None


def rotated(plain: Coordinates, gram: FloatArray) -> Coordinates:
    """`plain` with a rotation where the columns of a positive definite `gram` (p, p) are nearly dependent.

    `gram` is in the coordinates `plain`.
    """
    lower = linear.cholesky(gram)
    left = np.diag(lower) ** 2 / np.diag(gram)
    if bool(np.all(left > NEARLY_DEPENDENT)):
        return plain
    root = np.sqrt(np.max(np.diag(gram)))
    rotation = linear.forward(lower, np.eye(len(gram))) * root
    return Coordinates(plain.centre, plain.scale, plain.intercept, np.tril(rotation))


def turned(gram: FloatArray, old: Coordinates, target: Coordinates) -> FloatArray:
    """A pooled X'WX in `old` coordinates as it would be in `target` (neither rotated; up to rounding)."""
    size = len(gram)
    move = np.diag(old.scale / target.scale)
    if old.intercept:
        for j in range(1, size):
            move[j, 0] = (old.centre[j] - target.centre[j]) / target.scale[j]
    return linear.congruence(move, gram)


def power_of_two(value: float) -> float:
    """The power of two next below `value` (1.0 where it is not positive and finite); exact on every machine."""
    if not (value > 0.0 and math.isfinite(value)):
        return 1.0
    return math.ldexp(1.0, math.frexp(value)[1] - 1)


def variable_scale(name: str, dictionary: Codebook) -> tuple[float, float]:
    """(centre, scale) of one number variable from its declared range, else (0, 1)."""
    variable = dictionary.variables.get(name)
    return (0.0, 1.0) if variable is None or variable.range is None else _middle(variable.range)


def _middle(found: Range) -> tuple[float, float]:
    """(centre, scale): middle and half width; of a single value itself and its size."""
    low, high = found
    if not high > low:
        return high, power_of_two(abs(high)) if high else 1.0
    scale = power_of_two((high - low) / 2.0)
    return coarse((low + high) / 2.0, scale), scale


def coarse(value: float, scale: float) -> float:
    """The multiple of `scale` / `FINE` next to `value`."""
    step = scale / FINE
    return float(np.rint(value / step)) * step


def column_range(column: DesignColumn, variables: Mapping[str, Variable]) -> Range | None:
    """What the codebook's ranges say of a column, or None."""
    found: Range = (1.0, 1.0)
    for factor, level, basis in column.parts:
        part = (0.0, 1.0) if level is not None else _factor_range(factor, basis, variables)
        if part is None:
            return None
        found = _times(found, part)
    return found


def _factor_range(factor: Factor, basis: int, variables: Mapping[str, Variable]) -> Range | None:
    if basis:
        return None
    if factor.arithmetic is not None:
        return _node_range(factor.arithmetic, variables)
    stated = variables[factor.name].range if factor.name in variables else None
    if stated is None or factor.function is None:
        return stated
    if factor.function == "sqrt" and stated[0] >= 0.0:
        return math.sqrt(stated[0]), math.sqrt(stated[1])
    return None  # log and exp differ in the last bit between machines: the first pooled sums will do


def _node_range(node: Arithmetic | str | float, variables: Mapping[str, Variable]) -> Range | None:
    if isinstance(node, str):
        return variables[node].range if node in variables else None
    if isinstance(node, float):
        return node, node
    left, right = _node_range(node.left, variables), _node_range(node.right, variables)
    if left is None or right is None:
        return None
    if node.operator == "^":
        return _power(left, right[0])
    if node.operator == "/":
        return None if right[0] <= 0.0 <= right[1] else _times(left, (1.0 / right[1], 1.0 / right[0]))
    if node.operator == "*":
        return _times(left, right)
    sign = 1.0 if node.operator == "+" else -1.0
    ends = (left[0] + sign * right[0], left[1] + sign * right[1])
    return ends if sign > 0 else (left[0] - right[1], left[1] - right[0])


def _times(left: Range, right: Range) -> Range:
    corners = [a * b for a in left for b in right]
    return min(corners), max(corners)


def _power(base: Range, exponent: float) -> Range | None:
    if exponent != int(exponent) or not 1 <= exponent <= 8:
        return None
    found = base
    for _ in range(int(exponent) - 1):
        found = _times(found, base)
    return found


def unit_range(name: str, dictionary: Codebook) -> tuple[float, float]:
    """(low, width) that takes a variable to 0..1 by its declared range; as it is without one."""
    return low_width(dictionary.variables[name].range if name in dictionary.variables else None)


def low_width(declared: Range | None) -> tuple[float, float]:
    """Of a range; 0 and 1 where there is none, of a single value 0 and twice its size."""
    if declared is None or not declared[1] > declared[0]:
        return 0.0, max(1.0, 0.0 if declared is None else 2.0 * abs(declared[1]))
    return float(declared[0]), float(declared[1] - declared[0])
