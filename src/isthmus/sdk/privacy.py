"""Epsilon for people, from the rho and delta of a signed result.

It is computed where it is shown, not signed: the accountant works in floating point, whose last digits differ between
processors, and whoever holds the result can compute it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

DIGITS = 3


def with_epsilon(body: Mapping[str, Any]) -> dict[str, Any]:
    """A result whose analyses with noise also state epsilon."""
    shown = {name: _shown(analysis) for name, analysis in body["analyses"].items()}
    return {**body, "analyses": shown}


@lru_cache(maxsize=256)
def epsilon(rho: float, delta: float) -> float:
    """Epsilon at `delta` of Gaussian releases that cost `rho` together, by privacy loss distributions; rounded up.

    Gaussian releases compose to one of sensitivity 1 and variance 1 / (2 rho).
    """
    from dp_accounting.pld import privacy_loss_distribution as pld  # type: ignore[import-untyped]  # it brings scipy.stats

    found = pld.from_gaussian_mechanism((2.0 * rho) ** -0.5).get_epsilon_for_delta(delta)
    return float(f"{found * (1 + 0.5 * 10 ** (1 - DIGITS)):.{DIGITS - 1}e}")


def _shown(analysis: Mapping[str, Any]) -> dict[str, Any]:
    told = analysis.get("privacy")
    if told is None:
        return dict(analysis)
    return {**analysis, "privacy": {**told, "epsilon": epsilon(told["rho"], told["delta"])}}
