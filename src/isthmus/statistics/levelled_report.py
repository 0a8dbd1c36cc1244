"""What people see of a model of an outcome with levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isthmus.statistics.contract import Estimate, Setting
from isthmus.statistics.inference import term_rows
from isthmus.statistics.levelled import Model
from isthmus.statistics.show import counts, size


def report(model: Model, setting: Setting, estimate: Estimate, release: Sequence[str]) -> dict[str, Any]:
    """The body of the result."""
    found, n = estimate.values, float(estimate.counts["n"].values[0])
    deviance = float(found["deviance"])
    shown = counts(np.asarray(estimate.counts["levels"].values, dtype=np.float64))
    return {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": size(estimate.counts["n"]),
        "rounds": estimate.rounds,
        "terms": term_rows(model.names, found["estimates"], np.sqrt(np.diag(found["vcov"])), setting.conf_level, None),
        "fit": {
            "deviance": deviance,
            "loglik": -deviance / 2.0,
            "aic": deviance + 2.0 * model.size,
            "df_residual": int(n) - model.size,
            "converged": True,
        },
        "levels": dict(zip(model.levels, shown, strict=True)),
        "reference": dict(model.design.reference),
        "conf_level": setting.conf_level,
        "test": "z",
        "vcov": found["vcov"].tolist() if "vcov" in release else None,
    }
