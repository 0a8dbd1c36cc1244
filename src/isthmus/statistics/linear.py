"""Small symmetric systems with the same bits on every machine: elementwise numpy only, never `np.linalg`.

BLAS and LAPACK choose kernels by processor, and their last bits differ; every party derives the next parameters
itself, so what stands between two rounds must not depend on the machine. Matrices here are (p, p) with p the number
of terms; the cost is O(p**2) array operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.summary import FloatArray

# A column is collinear when less than this share of its sum of squares is left after the columns before it. Exact
# copies leave about p * 2**-52; year and year**2, uncentred, leave 5e-10.
COLLINEAR = 1e-11
SMALL = 64  # rows of a system solved number by number; its square: terms of a product that are added up in one go
SWEEPS = 12  # of Jacobi's rotations; they converge quadratically, and matrices here are small
NOTHING = 2.0**-60  # of the diagonal beside it: an entry that is 0
INVOLVED = 1e-6  # a coefficient of a dependence, in standard deviations, that is worth naming


class Dependent(Exception):
    """Internal: the column at `pivot` depends on the columns at `others` (positions)."""

    def __init__(self, pivot: int, others: tuple[int, ...]) -> None:
        super().__init__(pivot, others)
        self.pivot = pivot
        self.others = others


def cholesky(matrix: FloatArray) -> FloatArray:
    """Lower L with L L' = `matrix` (p, p), symmetric.

    Raises:
        Dependent: a pivot falls below `COLLINEAR` of its diagonal.
    """
    size = len(matrix)
    rest = matrix.copy()
    lower = np.zeros_like(rest)
    for j in range(size):
        pivot = rest[j, j]
        if not pivot > COLLINEAR * matrix[j, j]:
            raise Dependent(j, _dependence(lower, matrix, j))
        lower[j:, j] = rest[j:, j] / math.sqrt(pivot)
        below = lower[j + 1 :, j]
        rest[j + 1 :, j + 1 :] -= np.multiply.outer(below, below)
    return lower


def collinear(error: Dependent, names: Sequence[str], within: str = "") -> Invalid:
    """The error people see, naming the columns; `within` what they do not vary."""
    pivot, others = names[error.pivot], [names[i] for i in error.others]
    if not others or others == ["(Intercept)"]:
        hint = (
            "leave it out of the formula; if it varies, an absurd value is so large that the rest is constant beside it"
        )
        return Invalid("E-COLLINEAR", f"column {pivot!r} is constant{within}", hint)
    listed = ", ".join(repr(name) for name in others)
    return Invalid("E-COLLINEAR", f"column {pivot!r} follows from {listed}", "leave one of them out of the formula")


def solve(lower: FloatArray, right: FloatArray) -> FloatArray:
    """x with L L' x = `right`; `right` is (p,) or (p, k)."""
    return backward(lower, forward(lower, right))


def forward(lower: FloatArray, right: FloatArray) -> FloatArray:
    """x with L x = `right`; `right` is (p,) or (p, k)."""
    if right.ndim == 1 and len(lower) <= SMALL:
        return np.array(_substituted(lower.tolist(), right.tolist()))
    x = right.astype(np.float64, copy=True)
    for j in range(len(lower)):
        x[j] = x[j] / lower[j, j]
        x[j + 1 :] -= np.multiply.outer(lower[j + 1 :, j], x[j])
    return x


def backward(lower: FloatArray, right: FloatArray) -> FloatArray:
    """x with L' x = `right`; `right` is (p,) or (p, k)."""
    if right.ndim == 1 and len(lower) <= SMALL:
        return np.array(_substituted(lower.T[::-1, ::-1].tolist(), right[::-1].tolist())[::-1])
    x = right.copy()
    for j in range(len(lower) - 1, -1, -1):
        x[j] = x[j] / lower[j, j]
        x[:j] -= np.multiply.outer(lower[j, :j], x[j])
    return x


def _substituted(lower: list[list[float]], x: list[float]) -> list[float]:
    """x with L x = `x`, the same operations on the same numbers: few numbers take less time one by one."""
    for j, line in enumerate(lower):
        at = x[j]
        for below, found in zip(line[:j], x[:j], strict=True):
            at -= below * found
        x[j] = at / line[j]
    return x


def inverse(lower: FloatArray) -> FloatArray:
    """(L L')**-1, symmetric to the bit."""
    half = forward(lower, np.eye(len(lower)))
    return product(half.T, half)


def product(left: FloatArray, right: FloatArray) -> FloatArray:
    """`left` @ `right` in a fixed order of operations; (p, q) by (q, r) or by (q,)."""
    if 0 < left.size * right[:1].size <= SMALL**2:
        terms = left.T * right[:, None] if right.ndim == 1 else left.T[:, :, None] * right[:, None, :]
        added: FloatArray = np.add.accumulate(terms, axis=0)[-1]
        return added
    total = np.zeros((left.shape[0], *right.shape[1:]))
    for k in range(left.shape[1]):
        total += np.multiply.outer(left[:, k], right[k])
    return total


def congruence(matrix: FloatArray, middle: FloatArray) -> FloatArray:
    """`matrix` `middle` `matrix`', symmetric to the bit."""
    made = product(product(matrix, middle), matrix.T)
    return (made + made.T) / 2.0


def dot(left: FloatArray, right: FloatArray) -> float:
    """Sum of products, added from the first to the last."""
    total = 0.0
    for a, b in zip(left.tolist(), right.tolist(), strict=True):
        total += a * b
    return total


def total(values: FloatArray) -> FloatArray:
    """Sums over the last axis, added from the first to the last (`sum` and `@` group terms by processor)."""
    if values.shape[-1] == 0:
        return np.zeros(values.shape[:-1])
    added: FloatArray = np.add.accumulate(values, axis=-1)[..., -1]
    return added


def trace(matrix: FloatArray) -> float:
    """Sum of the diagonal."""
    return float(total(np.diag(matrix)))


def eigen(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (p,) and eigenvectors, columns of (p, p), of a small symmetric matrix, by Jacobi's rotations.

    Reference: Golub & Van Loan (2013), Matrix Computations, section 8.5.
    """
    size = len(matrix)
    now, vectors = matrix.astype(np.float64, copy=True), np.eye(size)
    for _ in range(SWEEPS):
        for i in range(size):
            for j in range(i + 1, size):
                if not np.abs(now[i, j]) > NOTHING * (np.abs(now[i, i]) + np.abs(now[j, j])):
                    continue
                turned = _rotation(size, i, j, now)
                now = congruence(turned.T, now)
                now[i, j] = now[j, i] = 0.0
                vectors = product(vectors, turned)
    return np.diag(now).copy(), vectors


def _rotation(size: int, i: int, j: int, matrix: FloatArray) -> FloatArray:
    """The rotation of axes i and j that takes entry (i, j) to 0."""
    ratio = (matrix[j, j] - matrix[i, i]) / (2.0 * matrix[i, j])
    tangent = (1.0 if ratio >= 0.0 else -1.0) / (np.abs(ratio) + np.sqrt(1.0 + ratio * ratio))
    cosine = 1.0 / np.sqrt(1.0 + tangent * tangent)
    made = np.eye(size)
    made[i, i] = made[j, j] = cosine
    made[i, j], made[j, i] = tangent * cosine, -tangent * cosine
    return made


def _dependence(lower: FloatArray, matrix: FloatArray, j: int) -> tuple[int, ...]:
    """Positions before `j` that take part in column j, by standardised coefficient."""
    if j == 0 or not matrix[j, j] > 0.0:
        return ()
    head = lower[:j, :j]
    share = solve(head, matrix[:j, j]) * np.sqrt(np.diag(matrix)[:j] / matrix[j, j])
    return tuple(int(i) for i in np.flatnonzero(np.abs(share) > INVOLVED))
