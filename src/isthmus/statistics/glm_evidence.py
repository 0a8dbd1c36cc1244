"""Evidence about a generalized linear model: its design over the rows that count, its outcome, weights and offset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isthmus.evidence import Evidence
from isthmus.statistics import indicators, sandwich, unusual
from isthmus.statistics.glm_kernel import Rows
from isthmus.statistics.glm_model import Model
from isthmus.summary import FloatArray, IntArray

SILENT = 50.0  # an offset this far below the largest leaves nothing of a row


def glm_evidence(model: Model, rows: Rows) -> Evidence:
    """Facts about one site's rows with a weight above 0; a light row, or one an offset silences, counts for less."""
    used = _used(rows)
    weights = _weights(model, used)
    y = used.y if used.offset is None or model.family.base != "gaussian" else used.y - used.offset
    scaled = used.columns if weights is None else used.columns * np.sqrt(weights)
    outcome = _binary(model.outcome, y)
    number = None if outcome else (model.outcome, y)
    own = indicators.leverage(scaled)
    found = indicators.design_evidence(model.design, used.columns, outcome, own, weights, number)
    if not used.size:
        return found
    sums, supports, sides = {}, dict(found.supports), {**found.sides, **_sides(model, rows, used)}
    if outcome is None:
        sums[model.outcome] = np.abs(y - unusual.middle(y))
        supports[f"spread of {model.outcome}"] = np.array([unusual.spread(y, weights)], dtype=np.int64)
        sides[f"unusual {model.outcome}"] = np.array([unusual.away(y)], dtype=np.int64)
    if weights is not None:
        supports["weights"] = np.array([unusual.effective(weights)], dtype=np.int64)
    if model.cluster not in {None, sandwich.SITE}:
        supports["clusters"] = sandwich.present(rows.size, rows.cluster, rows.prior)
    if used.prior is not None:
        sums["weights"] = np.abs(used.prior - unusual.middle(used.prior))
    return replace(found, supports=supports, sides=sides, sums=sums)


def _used(rows: Rows) -> Rows:
    if rows.prior is None or bool(np.all(rows.prior > 0.0)):
        return rows
    kept = rows.prior > 0.0
    offset = None if rows.offset is None else rows.offset[kept]
    return Rows(rows.columns[:, kept], rows.y[kept], rows.prior[kept], offset)


def _weights(model: Model, rows: Rows) -> FloatArray | None:
    """How much each row can weigh: its prior weight, times what its offset leaves of it; largest 1."""
    if not rows.size or (rows.prior is None and (rows.offset is None or model.family.base == "gaussian")):
        return None
    found: FloatArray = np.ones(rows.size) if rows.prior is None else rows.prior / float(rows.prior.max())
    if rows.offset is not None and model.family.base in {"poisson", "gamma", "inverse_gaussian"}:
        found = found * np.exp(np.maximum(rows.offset - float(rows.offset.max()), -SILENT))
    elif rows.offset is not None and model.family.base == "binomial":
        far = np.abs(rows.offset - unusual.middle(rows.offset))
        found = found * np.exp(-np.minimum(far, SILENT))
    return found


def _sides(model: Model, rows: Rows, used: Rows) -> dict[str, IntArray]:
    found: dict[str, IntArray] = {}
    if rows.prior is not None:
        without = rows.size - used.size
        found["rows without weight"] = np.array([without], dtype=np.int64)
        found["unusual weights"] = unusual.unusual(rows.prior)
    if used.offset is not None:
        found["unusual offset"] = unusual.unusual(used.offset)
    return found


def _binary(name: str, y: FloatArray) -> tuple[str, FloatArray] | None:
    """Name and 0/1 values of an outcome with two values, whatever they are and whatever the family."""
    found = unusual.two_values(y)
    if found is None:
        return (name, y) if not y.size else None
    return name, (y == found[1]).astype(np.float64)
