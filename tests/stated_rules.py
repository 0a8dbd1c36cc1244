"""Disclosure rules with every rule stated, as a careful custodian would; tests alter single ones."""

from __future__ import annotations

from typing import Any

STRICT: dict[str, Any] = {
    "minimum_count": 11,
    "minimum_count_site": 11,
    "round_to": 5,
    "zeros": "allowed",
    "dominance": {"n": 2, "k": 0.9, "p": 0.1},
    "minimum_dof": 10,
    "parameters_per_row": 0.1,
    "maximum_leverage": 0.5,
    "maximum_weight_share": 0.1,
    "minimum_sites": 3,
    "digits": 4,
}
