"""False sums that steer a logistic model to where one patient alone has a weight, and what is read off the next sum.

After a false second round, with information I and score target - now, the scoring step ends at the target: a
slope so steep through the victim's age that every other fitted value is 0 or 1. The next information matrix is then the
victim's row, times itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from history_lab import VICTIM, VICTIMS_AGE, Forgetful

from isthmus.disclosure import gate
from isthmus.disclosure.site import Considered
from isthmus.federation import work
from isthmus.statistics.glm_kernel import _turned
from isthmus.summary import Summary
from stated_rules import STRICT

MODEL = {"glm": {"formula": "DIED ~ AGE + SBP", "family": "binomial"}}
STEEP = 2000.0  # a year; the victim's neighbours are a month away
PROBES = np.array(
    [[1.0, 1.0, 1.0], [0.0, 100.0, 0.0], [0.0, 0.0, 100.0]]
)  # columns (Intercept), AGE, SBP of three rows


def frame(params: Mapping[str, Any]) -> np.ndarray:
    """(3, 3) that takes a row (1, AGE, SBP) to the coordinates of a round."""
    ((_, turned),) = _turned(PROBES, params)
    scaled = turned if "rotation" in params else turned / np.asarray(params["scale"])[:, None]
    return scaled @ np.linalg.inv(PROBES)


def move(params: Mapping[str, Any]) -> np.ndarray:
    """From the coefficients of a round to the steep ones."""
    steep = np.linalg.solve(frame(params).T, STEEP * np.array([-VICTIMS_AGE, 1.0, 0.0]))
    return steep - np.asarray(params["coefficients"])


def false(honest: Summary, params: Mapping[str, Any], size: float) -> Summary:
    """The part of a second round that makes the steep coefficients come next, `size` above what others can say."""
    changed = {"gram": size * np.eye(3), "score": size * move(params)}
    return Summary(honest.layout, {name: changed.get(name, 0 * value) for name, value in honest.values.items()})


def row_in(gram: np.ndarray, params: Mapping[str, Any]) -> np.ndarray:
    """(1, AGE, SBP) of the patient who makes up an information matrix."""
    back = np.linalg.inv(frame(params))
    found = back @ gram @ back.T
    return found[0] / found[0, 0]


def victim(sites: Forgetful) -> tuple[float, float]:
    """Age and pressure."""
    return VICTIMS_AGE, sites.tables["leeds"]["SBP"][VICTIM].as_py()


def unguarded(monkeypatch: Any) -> None:
    """Sites that do not weigh their rounds."""
    for module in (gate, work):
        monkeypatch.setattr(module, "weigh", lambda _weights, rules: Considered(rules=rules, verdicts=()))


SHARE = f"maximum_weight_share {STRICT['maximum_weight_share']}"
