"""A prediction that is flat but for one patient: the Brier score tells the patient's outcome."""

from __future__ import annotations

import numpy as np
import pytest
from hole_lab import ROWS, TARGET, answered, ask, refused, sites

from attack import Attack

ATTACK = Attack(
    "The Brier score of a prediction that is flat but for one person",
    "a regression's supports, effective rows and leverage, on the prediction",
)
QUESTION = {"prediction": "RISK", "outcome": "DIED"}


def flat(noise: float) -> list[dict[str, np.ndarray]]:
    """One half for everybody, to within `noise`; 0.9 for one patient of the first site."""
    tables = sites()
    for seed, table in enumerate(tables):
        table["RISK"] = 0.5 + noise * np.random.default_rng(seed).normal(size=ROWS)
    tables[0]["RISK"][TARGET] = 0.9
    return tables


@pytest.mark.parametrize("died", [0.0, 1.0])
def test_bare_the_score_tells_the_outcome(died: float, leak) -> None:
    tables = flat(0.0)
    tables[0]["DIED"][TARGET] = died
    n = 3 * ROWS
    try:
        brier = ask("calibration", QUESTION, tables)["fit"]["brier"]
    except KeyError:  # the patient's own fit has no end: the sum is what leaves
        risk, outcome = (np.concatenate([t[name] for t in tables]) for name in ("RISK", "DIED"))
        brier = float(np.mean((risk - outcome) ** 2))
    found = 0.9 - np.sqrt(brier * n - 0.25 * (n - 1))
    assert min(abs(found - died), abs(1.8 - found - died)) < 1e-6
    leak("one person's outcome, exactly")


@pytest.mark.parametrize("noise", [0.0, 1e-6])
def test_through_the_sites_it_is_refused(noise: float, stop) -> None:
    assert refused("calibration", QUESTION, flat(noise))
    stop("refused, hidden in noise or not")


def test_an_ordinary_prediction_is_answered() -> None:
    tables = sites()
    for table in tables:
        table["RISK"] = 1.0 / (1.0 + np.exp(-(table["AGE"] - 65.0) / 20.0))
    assert answered("calibration", QUESTION, tables)
    cells = ask("calibration", QUESTION, tables)["cells"]
    assert sum(cell["count"] for cell in cells) == 3 * ROWS
