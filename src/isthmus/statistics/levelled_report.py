"""What people see of a model of an outcome with levels."""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus.statistics.contract import Estimate, Setting
from isthmus.statistics.levelled import Model
from isthmus.statistics.model_body import Asked, model_body
from isthmus.statistics.show import counts, size


def report(model: Model, question: Asked, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    """The body of the result."""
    deviance, n = float(estimate.values["deviance"]), float(estimate.counts["n"].values[0])
    fit = {
        "deviance": deviance,
        "loglik": -deviance / 2.0,
        "aic": deviance + 2.0 * model.size,
        "df_residual": int(n) - model.size,
        "converged": True,
    }
    shown = counts(np.asarray(estimate.counts["levels"].values, dtype=np.float64))
    body = model_body(question, setting, estimate, fit)
    body |= {"levels": dict(zip(model.levels, shown, strict=True)), "error": model.errors.name("HC0")}
    return body | ({"clusters": size(estimate.counts["clusters"])} if "clusters" in estimate.counts else {})
