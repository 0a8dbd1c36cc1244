from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.statistics import linear


def positive(size: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    half = draw.normal(size=(size, size + 3))
    return half @ half.T


@given(size=st.integers(1, 8), seed=st.integers(0, 1000))
def test_solve_and_inverse(size, seed) -> None:
    matrix = positive(size, seed)
    lower = linear.cholesky(matrix)
    right = np.arange(1.0, size + 1)
    np.testing.assert_allclose(linear.solve(lower, right), np.linalg.solve(matrix, right), rtol=1e-7)
    inverse = linear.inverse(lower)
    np.testing.assert_allclose(inverse @ matrix, np.eye(size), atol=1e-7)
    assert (inverse == inverse.T).all()


def test_products_and_sums() -> None:
    draw = np.random.default_rng(3)
    left, right = draw.normal(size=(3, 4)), draw.normal(size=(4, 2))
    np.testing.assert_allclose(linear.product(left, right), left @ right)
    np.testing.assert_allclose(linear.congruence(left, np.eye(4)), left @ left.T)
    np.testing.assert_allclose(linear.total(right), right.sum(axis=1))
    assert linear.total(np.zeros((2, 0))).tolist() == [0.0, 0.0]


def test_a_dependent_column_is_named_with_those_it_follows_from() -> None:
    x = np.random.default_rng(1).normal(size=(3, 50))
    columns = np.vstack([np.ones(50), x[0], x[1], 2 * x[0] - x[1], x[2]])
    with pytest.raises(linear.Dependent) as caught:
        linear.cholesky(columns @ columns.T)
    error = linear.collinear(caught.value, ["(Intercept)", "a", "b", "c", "d"])
    assert error.code == "E-COLLINEAR"
    assert "'c' follows from 'a', 'b'" in error.message


@pytest.mark.parametrize("value", [0.0, 4.0])
def test_a_constant_column_is_called_constant(value) -> None:
    columns = np.vstack([np.ones(9), np.full(9, value)])
    with pytest.raises(linear.Dependent) as caught:
        linear.cholesky(columns @ columns.T)
    assert "'x' is constant" in linear.collinear(caught.value, ["(Intercept)", "x"]).message


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_eigenvalues_and_vectors(size: int) -> None:
    half = np.random.default_rng(size).normal(size=(size, size))
    matrix = half @ half.T
    values, vectors = linear.eigen(matrix)
    assert np.sort(values) == pytest.approx(np.linalg.eigvalsh(matrix), rel=1e-9)
    assert vectors @ np.diag(values) @ vectors.T == pytest.approx(matrix, rel=1e-12, abs=1e-12)
    assert vectors.T @ vectors == pytest.approx(np.eye(size), abs=1e-13)
