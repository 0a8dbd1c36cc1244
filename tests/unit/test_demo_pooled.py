"""The demonstration's own pooled fits: their defining equations hold."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.cli.demo import pooled


@pytest.fixture(scope="module")
def rows() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(7)
    n = 400
    x = np.column_stack([np.ones(n), draw.normal(size=n), draw.integers(0, 2, n)])
    time = np.ceil(draw.exponential(np.exp(-0.5 * x[:, 1])) * 20)  # many ties
    event = (draw.random(n) < 0.7).astype(float)
    outcome = (draw.random(n) < 1 / (1 + np.exp(-x @ [0.2, 0.5, -0.4]))).astype(float)
    return {"x": x, "time": time, "event": event, "y": outcome, "strata": draw.integers(0, 3, n).astype(float)}


def test_a_logistic_score_is_zero_at_its_estimate(rows: dict[str, np.ndarray]) -> None:
    x = rows["x"]
    fit = pooled.logistic(x, rows["y"])
    mean = 1 / (1 + np.exp(-x @ fit.estimate))
    np.testing.assert_allclose(x.T @ (rows["y"] - mean), 0.0, atol=1e-9)
    information = x.T @ (x * (mean * (1 - mean))[:, None])
    np.testing.assert_allclose(fit.std_error**2, np.diag(np.linalg.inv(information)), rtol=1e-10)


def test_kaplan_meier_by_hand() -> None:
    time, event = np.array([1.0, 2, 2, 3, 4, 4]), np.array([1.0, 1, 0, 0, 1, 1])
    curve = pooled.kaplan_meier(time, event, np.array([0.0, 2.0, 4.0]))
    np.testing.assert_array_equal(curve.at_risk, [6, 3])
    np.testing.assert_array_equal(curve.events, [2, 2])
    np.testing.assert_allclose(curve.survival, [4 / 6, 4 / 6 * 1 / 3])


def test_log_rank_of_two_equal_groups_is_zero() -> None:
    time, event = np.tile([1.0, 2, 3, 4], 2), np.ones(8)
    group = np.repeat([0, 1], 4)
    assert pooled.log_rank(time, event, group, np.array([0.0, 1, 2, 3, 4])) == pytest.approx(0.0, abs=1e-12)


def test_log_rank_by_hand() -> None:
    # one interval: 4 + 4 at risk, 3 + 1 events; E = 2, V = d (N - d) n0 n1 / (N^2 (N - 1)) = 4*4*16/(64*7)
    time, event = np.ones(8), np.array([1.0, 1, 1, 0, 1, 0, 0, 0])
    statistic = pooled.log_rank(time, event, np.repeat([0, 1], 4), np.array([0.0, 1.0]))
    assert statistic == pytest.approx(1.0 / (4 * 4 * 16 / (64 * 7)))


def test_a_cox_score_is_zero_at_its_estimate(rows: dict[str, np.ndarray]) -> None:
    x = rows["x"][:, 1:]
    fit = pooled.cox(x, rows["time"], rows["event"], rows["strata"])
    score = np.zeros(2)
    for stratum in range(3):
        k = rows["strata"] == stratum
        score += pooled._cox_stratum(fit.estimate, x[k], rows["time"][k], rows["event"][k])[0]
    np.testing.assert_allclose(score, 0.0, atol=1e-10)
    assert np.all(fit.std_error > 0)
