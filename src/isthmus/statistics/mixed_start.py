"""Where the search of a linear mixed model begins: few values of theta, and the sums between them.

As functions of the ratio rho of a group's variance to that of its mean's error, the sums have their poles on the
negative axis. With t the root of rho, x = (t - a) / (t + a) takes all of 0 to infinity to -1 to 1 and the poles to the
unit circle, whatever the sizes of the groups: a polynomial through Chebyshev's nodes in x is close everywhere, and much
closer on a part of the range, about its own middle a (Trefethen 2013, chapter 8).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from isthmus.statistics import linear
from isthmus.statistics.mixed_profile import Explained, Profile
from isthmus.summary import FloatArray

DIGITS = 13  # binary, of a node: the last bits of a cosine differ between machines
INNER, FARTHER = 0.1, 1e3  # of the outermost root at 0 and at infinity: the sums there are as good as at the end itself
OUTER = (1e1, 1e2, 1e3, 1e4)  # times the last node of a range without end
BESIDE = 1e-3  # of a node: nearer to it the interpolant's slope has few digits
WIDE = 2.0  # ratio of the ends of a bracket that is halved first
STEPS = 40  # of the search between two nodes
CLOSE = 1e-12  # relative change of a root at which the search ends

Evaluate = Callable[[FloatArray, FloatArray], Profile]


@dataclass(frozen=True, slots=True)
class Range:
    """Roots t from `low` (may be 0) to `high` (may be infinite)."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """a."""
        if self.low == 0.0 and math.isinf(self.high):
            return 1.0
        if self.low == 0.0 or math.isinf(self.high):
            return self.high if self.low == 0.0 else self.low
        return float(np.sqrt(self.low * self.high))

    def turned(self, roots: FloatArray) -> FloatArray:
        """x."""
        return (roots - self.middle) / (roots + self.middle)

    def nodes(self, count: int) -> FloatArray:
        """(count,) rising."""
        at = coarse(-np.cos((2.0 * np.arange(count) + 1.0) * math.pi / (2.0 * count)))
        low = -1.0 if self.low == 0.0 else float(self.turned(np.array(self.low)))
        high = 1.0 if math.isinf(self.high) else float(self.turned(np.array(self.high)))
        x = 0.5 * ((high + low) + (high - low) * at)
        return self.middle * (1.0 + x) / (1.0 - x)


@dataclass(frozen=True, slots=True)
class Curve:
    """Sums at `roots` (k,) rising in `over`, as they have ends other than 0 and infinity at both ends of all theta.

    `logs` (k,) of log det V less `grows` log(1 + t^2); `between` (k, P, P) times 1 + t^2; `within` (P, P) beside it.
    """

    over: Range
    roots: FloatArray
    logs: FloatArray
    between: FloatArray
    within: FloatArray
    grows: float

    def every_other(self) -> Curve:
        """The same through half of the nodes."""
        return Curve(self.over, self.roots[::2], self.logs[::2], self.between[::2], self.within, self.grows)

    def node(self, k: int) -> tuple[FloatArray, FloatArray]:
        """Sums at a node, (1,) and (1, P, P)."""
        lift = 1.0 + float(self.roots[k]) ** 2
        log = float(self.logs[k]) + self.grows * math.log(lift)
        return np.array([log]), (self.within + self.between[k] / lift)[None]

    def at(self, root: float) -> tuple[FloatArray, FloatArray]:
        """Sums and their first derivatives by the root there, with 0 for second ones (Berrut & Trefethen 2004)."""
        nodes = self.over.turned(self.roots)
        gap = float(self.over.turned(np.array(root))) - nodes
        if bool(np.any(gap == 0.0)):
            return self.at(root * (1.0 + BESIDE))
        apart = nodes[:, None] - nodes[None] + np.eye(len(nodes))
        share = 1.0 / (np.multiply.accumulate(apart / np.abs(apart).max(), axis=1)[:, -1] * gap)
        share = share / np.add.accumulate(share)[-1]
        turn = 2.0 * self.over.middle / (root + self.over.middle) ** 2
        made = []
        for values in (self.logs, self.between):
            each = share.reshape(-1, *[1] * (values.ndim - 1))
            here = np.add.accumulate(each * values)[-1]
            slope = np.add.accumulate(each * (here - values) / gap.reshape(each.shape))[-1] * turn
            made.append((here, slope))
        (log, log_slope), (gram, gram_slope) = made
        lift, falls = 1.0 + root**2, 2.0 * root / (1.0 + root**2)
        logs = np.array([log + self.grows * math.log(lift), log_slope + self.grows * falls, 0.0])
        grams = np.array([self.within + gram / lift, (gram_slope - falls * gram) / lift, np.zeros_like(gram)])
        return logs, grams


@dataclass(frozen=True, slots=True)
class Least:
    """`root` where a deviance is least, infinite where it falls without end; the nodes `about` it; False where the slopes did not say."""

    root: float
    about: Range
    found: bool


def least(curve: Curve, values: FloatArray, evaluate: Evaluate) -> Least:
    """Where the deviance is least, by its slope between the nodes about the least of `values` (k,), those at the nodes."""
    roots, values = _with_outer(curve, values, evaluate)
    best, last, over = int(np.argmin(values)), len(values) - 1, curve.over
    low = float(roots[best - 1]) if best else over.low
    high = float(roots[best + 1]) if best < last else over.high
    inner = len(curve.roots) - 1
    about, node = (Range(low, high) if best < inner else Range(float(roots[inner - 1]), over.high)), float(roots[best])

    def slope(root: float) -> float:
        try:
            return float(evaluate(*curve.at(root)).gradient[0])
        except (Explained, linear.Dependent):  # too few digits there
            return math.nan

    left = float(np.sqrt(low * node)) if low else node * INNER
    right = node * FARTHER if math.isinf(high) else float(np.sqrt(node * high))
    at_left, at_right = slope(left), slope(right)
    if at_left >= 0.0:
        if low == 0.0:
            return Least(0.0, about, True)
        left, at_left, right, at_right = low * (1.0 + BESIDE), slope(low * (1.0 + BESIDE)), left, at_left
    elif at_right <= 0.0:
        if math.isinf(high):
            return Least(high, about, True)
        left, at_left, right, at_right = right, at_right, high * (1.0 - BESIDE), slope(high * (1.0 - BESIDE))
    if not at_left < 0.0 < at_right:
        return Least(node, about, False)
    return Least(_crossing(slope, (left, at_left), (right, at_right)), about, True)


def _with_outer(curve: Curve, values: FloatArray, evaluate: Evaluate) -> tuple[FloatArray, FloatArray]:
    """Roots and deviances, beyond the last node too where the range is open: a second minimum may lie there."""
    if not math.isinf(curve.over.high):
        return curve.roots, values
    outer = float(curve.roots[-1]) * np.array(OUTER)
    told = []
    for root in outer.tolist():
        try:
            told.append(evaluate(*curve.at(root)).deviance)
        except (Explained, linear.Dependent):
            told.append(math.inf)
    return np.append(curve.roots, outer), np.append(values, told)


def _crossing(slope: Callable[[float], float], low: tuple[float, float], high: tuple[float, float]) -> float:
    """Where `slope` turns positive between two (root, slope), by false position after Illinois (Dahlquist & Bjorck 1974)."""
    (a, left), (b, right) = low, high
    side, root = 0, a
    for _ in range(STEPS):
        before, root = root, (left * b - right * a) / (left - right)
        if b > WIDE * a:
            root = float(np.sqrt(a * b))
        here = slope(root)
        if here == 0.0 or math.isnan(here) or abs(root - before) < CLOSE * root:
            break
        if here < 0.0:
            a, left, right = root, here, right * (0.5 if side < 0 else 1.0)
            side = -1
        else:
            b, right, left = root, here, left * (0.5 if side > 0 else 1.0)
            side = 1
    return root


def coarse(values: FloatArray) -> FloatArray:
    """To few binary digits."""
    fraction, exponent = np.frexp(values)
    made: FloatArray = np.ldexp(np.rint(fraction * 2.0**DIGITS) / 2.0**DIGITS, exponent)
    return made
