"""What people see of an analysis over imputed data: Rubin's rules over the bodies of m fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from isthmus.statistics import rubin
from isthmus.statistics.contract import Estimate, Setting, Statistic
from isthmus.statistics.imputation_models import Model
from isthmus.statistics.show import counts, size

KEPT = ("family", "link", "distribution", "ties", "converged")  # of `fit`: what m fits have in common


def body(
    asked: tuple[Statistic, Any], setting: Setting, estimate: Estimate, models: Sequence[Model], told: Mapping[str, Any]
) -> dict[str, Any]:
    """The body; `asked` is the analysis' statistic and arguments, `told` what is said of the imputation beside models."""
    statistic, analysis = asked
    fits = estimate.values["fits"]
    bodies = [_one(statistic, analysis, setting, (estimate, i, values)) for i, values in enumerate(fits)]
    first, df = bodies[0], float(estimate.counts["rows"].values[0]) - estimate.parameters
    pairs = [(np.asarray(values["estimates"]), np.asarray(values["vcov"])) for values in fits]
    made: dict[str, Any] = {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": size(estimate.counts["rows"]),
        "rounds": estimate.rounds,
        "terms": rubin.combined([body["terms"] for body in bodies], df, setting.conf_level),
        "fit": {k: first["fit"][k] for k in KEPT if k in first["fit"]},
        "reference": first.get("reference", {}),
        "conf_level": setting.conf_level,
        "test": "t",
        "error": first.get("error", "model"),
        "vcov": rubin.covariance(pairs).tolist() if "vcov" in analysis.release else None,
        "imputation": {
            "m": len(fits),
            "rule": "Rubin, with Barnard-Rubin df",
            **told,
            "models": {m.target: {"method": m.told, "formula": m.question.formula} for m in models},
        },
    }
    made |= {key: first[key] for key in ("events", "clusters", "strata", "grid", "bound") if key in first}
    if first.get("contrasts"):
        made["contrasts"] = rubin.combined([body["contrasts"] for body in bodies], df, setting.conf_level)
    if first.get("tests"):
        names = [str(row["term"]) for row in first["terms"]]
        made["tests"] = rubin.d1(analysis.tests, names, pairs, df)
    return made


def missing(estimate: Estimate, names: Sequence[str]) -> dict[str, Any]:
    """Rows that lack each variable."""
    return dict(zip(names, counts(np.asarray(estimate.counts["missing"].values)), strict=True))


def _one(
    statistic: Statistic, analysis: Any, setting: Setting, fit: tuple[Estimate, int, Mapping[str, Any]]
) -> dict[str, Any]:
    """The report of one completed data set."""
    estimate, i, values = fit
    own = {name.split(" ", 1)[1]: one for name, one in estimate.counts.items() if name.startswith(f"{i} ")}
    return statistic.report(analysis, setting, replace(estimate, counts=own, values=values))
