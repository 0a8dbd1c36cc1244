"""A peer prints "quantiles of the pooled data" over a weighted mean of site quantiles (ds.quantileMean). Not here.

The mean of site quantiles is wrong and, at a small site, one person's value; Isthmus gives the pooled quantile.
"""

from __future__ import annotations

import numpy as np
import pytest
from hole_lab import STRICT, ask, refused

import isthmus
from attack import Attack

ATTACK = Attack(
    "Quantiles, and the largest value, out of site quantiles",
    "counts on public cells alone; probs 0 and 1 are refused; minimum_count on each side",
    peer="DataSHIELD's ds.quantileMean",
)

SIZES = (700, 300, 150)
MEANS = ((50.0, 8.0), (60.0, 15.0), (68.0, 10.0))


def sites() -> list[dict[str, np.ndarray]]:
    """Hospitals whose patients differ in age."""
    draw = np.random.default_rng(11)
    return [{"AGE": np.round(draw.normal(*mean, size))} for mean, size in zip(MEANS, SIZES, strict=True)]


def pooled(tables: list[dict[str, np.ndarray]], prob: float) -> float:
    return float(np.quantile(np.concatenate([t["AGE"] for t in tables]), prob, method="linear"))


def site_mean(tables: list[dict[str, np.ndarray]], prob: float) -> float:
    """What the peer prints."""
    sizes = [t["AGE"].size for t in tables]
    return float(np.average([np.quantile(t["AGE"], prob) for t in tables], weights=sizes))


@pytest.mark.parametrize("prob", [0.1, 0.75, 0.9])
def test_bare_the_mean_of_site_quantiles_is_another_number(prob: float, leak) -> None:
    assert abs(site_mean(sites(), prob) - pooled(sites(), prob)) > 1.0
    if prob == 0.9:
        leak(
            f"printed as the pooled 90th percentile: {site_mean(sites(), prob):.1f}; it is {pooled(sites(), prob):.1f}"
        )


@pytest.mark.parametrize("prob", [0.1, 0.5, 0.75, 0.9])
def test_open_rules_give_the_pooled_quantile(prob: float) -> None:
    (cell,) = ask("quantiles", {"variable": "AGE", "probs": [prob]}, sites())["cells"]
    assert cell["value"] == pytest.approx(pooled(sites(), prob), rel=1e-12)


@pytest.mark.parametrize("prob", [0.1, 0.5, 0.75, 0.9])
def test_strict_rules_give_an_interval_that_holds_it(prob: float, stop) -> None:
    answer = ask("quantiles", {"variable": "AGE", "probs": [prob]}, sites(), {**STRICT, "digits": 17})
    (cell,) = answer["cells"]
    assert cell["from"] <= pooled(sites(), prob) <= cell["to"]
    assert abs(cell["value"] - pooled(sites(), prob)) <= answer.get("bound", 0.0)
    if prob == 0.9:
        stop("an interval on public cuts that holds the pooled quantile; under open rules the quantile itself")


def test_the_largest_value_is_one_persons_and_not_answered(leak, stop) -> None:
    tables = sites()
    tables[2]["AGE"][7] = 104.0
    assert pooled(tables, 1.0) == 104.0
    leak("the oldest patient's age, 104")
    with pytest.raises(isthmus.Refused) as caught:
        ask("quantiles", {"variable": "AGE", "probs": [1.0]}, tables)
    assert caught.value.code == "E-ENDPOINT"
    stop("E-ENDPOINT, with the 95th percentile offered")


def test_too_few_people_beyond_a_quantile_are_refused() -> None:
    """Six of 1,150 lie beyond."""
    assert refused("quantiles", {"variable": "AGE", "probs": [0.995]}, sites())
