"""What people see of every regression model: terms, fit, and what is computed from estimates and their covariance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from isthmus.statistics.contract import Estimate, Setting
from isthmus.statistics.inference import contrast_rows, term_rows, wald_tests
from isthmus.statistics.show import head, size


class Asked(Protocol):
    """What a question about a model may ask for besides its terms."""

    @property
    def contrasts(self) -> Mapping[str, Mapping[str, float]] | None:
        """Name -> {term: weight}."""

    @property
    def tests(self) -> Mapping[str, Sequence[str]] | None:
        """Name -> terms."""

    @property
    def release(self) -> Sequence[str]:
        """`vcov` among them, where the covariance matrix is wanted."""


def model_body(
    question: Asked, setting: Setting, estimate: Estimate, fit: Mapping[str, Any], df: float | None = None
) -> dict[str, Any]:
    """The body of a result with `estimates` (p,) and `vcov` (p, p) among its values, and `names` where these are not the design's.

    Args:
        question: with contrasts, tests and releases.
        setting: of the question.
        estimate: `events` are shown where they are among its counts.
        fit: the kind's own scalars.
        df: of t; None for z.
    """
    found, design = estimate.values, setting.design
    names = found.get("names", () if design is None else design.names)
    model = (found["estimates"], found["vcov"])
    body: dict[str, Any] = {
        **head(estimate),
        "terms": term_rows(names, model[0], np.sqrt(np.diag(model[1])), setting.conf_level, df),
        "fit": dict(fit),
        "reference": {} if design is None else dict(design.reference),
        "conf_level": setting.conf_level,
        "test": "z" if df is None else "t",
        "vcov": model[1].tolist() if "vcov" in question.release else None,
    }
    if "events" in estimate.counts:
        body["events"] = size(estimate.counts["events"])
    if question.contrasts:
        body["contrasts"] = contrast_rows(question.contrasts, names, model, setting.conf_level, df)
    if question.tests:
        body["tests"] = wald_tests(question.tests, names, model, df)
    if estimate.exactness == "grid" and setting.grid is not None:
        body |= {"grid": {"edges": list(setting.grid.edges)}, "bound": None}
    return body
