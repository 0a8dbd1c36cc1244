from __future__ import annotations

import numpy as np
import pytest

from isthmus.model.codebook import Codebook, Variable
from isthmus.model.formula import design, parse
from isthmus.statistics import coordinates
from isthmus.statistics.coordinates import Coordinates

BOOK = Codebook(
    name="b",
    variables={
        "y": Variable(type="number"),
        "age": Variable(type="number", range=(20.0, 80.0)),
        "free": Variable(type="number"),
        "arm": Variable(type="category", levels=("a", "b")),
    },
)


def made(text: str) -> Coordinates:
    return coordinates.declared(design(parse(text), BOOK, {}, {}), BOOK)


def test_codebook_ranges_give_middle_and_half_width() -> None:
    place = made("y ~ age + free + arm + I(age^2)")
    assert place.centre.tolist() == [0.0, 50.0, 0.0, 0.0, 3456.0]
    assert place.scale.tolist() == [1.0, 16.0, 1.0, 1.0, 2048.0]


@pytest.mark.parametrize("text", ["I(age - 50)", "I(age / 2)", "sqrt(age)", "I(age * age)", "age:arm", "I(1 / age)"])
def test_ranges_of_terms_contain_their_values(text) -> None:
    place = made(f"y ~ {text}")
    values = {"I(age - 50)": (-30, 30), "I(age / 2)": (10, 40), "sqrt(age)": (4.5, 8.9), "I(age * age)": (400, 6400)}
    low, high = values.get(text, (0, 80) if text == "age:arm" else (1 / 80, 1 / 20))
    assert np.all(np.abs((np.array([low, high]) - place.centre[1]) / place.scale[1]) <= 2.0)


def test_results_are_turned_back() -> None:
    draw = np.random.default_rng(0)
    x = np.vstack([np.ones(40), draw.uniform(2000, 2020, 40), draw.normal(size=40)])
    place = coordinates.recentred(
        Coordinates(np.zeros(3), np.ones(3), intercept=True), x @ x.T, np.array([True, False, False])
    )
    z = (x - place.centre[:, None]) / place.scale[:, None]
    turned = coordinates.rotated(place, z @ z.T)
    raw = np.array([3.0, 0.5, -2.0])
    inside = Coordinates(np.zeros(3), np.ones(3), intercept=True).moved(raw, place)
    np.testing.assert_allclose(inside @ z, raw @ x, rtol=1e-12)
    np.testing.assert_allclose(place.raw(inside), raw, rtol=1e-11)
    np.testing.assert_allclose(turned.raw(place.moved(inside, turned)), raw, rtol=1e-11)
    covariance = place.covariance(np.linalg.inv(z @ z.T))
    np.testing.assert_allclose(covariance, np.linalg.inv(x @ x.T), rtol=1e-6)


def test_nearly_dependent_columns_are_rotated() -> None:
    t = np.linspace(0, 1, 60)
    x = np.vstack([np.ones(60), t, t + 1e-3 * np.cos(40 * t)])
    plain = Coordinates(np.zeros(3), np.ones(3), intercept=True)
    turned = coordinates.rotated(plain, x @ x.T)
    z = turned.rotation @ x
    np.testing.assert_allclose(z @ z.T / 60, np.eye(3), atol=1e-9)
    assert np.allclose(plain.moved(np.array([1.0, 2.0, 3.0]), turned) @ z, np.array([1.0, 2.0, 3.0]) @ x)


@pytest.mark.parametrize(("value", "power"), [(1.0, 1.0), (3.9, 2.0), (0.3, 0.25), (0.0, 1.0), (np.inf, 1.0)])
def test_power_of_two(value, power) -> None:
    assert coordinates.power_of_two(value) == power
