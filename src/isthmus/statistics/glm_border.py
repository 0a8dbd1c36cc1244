"""Why scoring has no end: coefficients that run away, or a best fit on the border of what a link allows.

Where a mean must stay below 1 (`log` and `identity` of a share) or above 0, the likelihood may be largest where some
rows' predicted mean reaches that end. Coefficients are finite there, but no estimate lies inside, and no error follows.
Steps are then halved for ever, and the rows at the border take all the weight: the columns in which these rows differ
from all rows are named. Reference: Marschner & Gillett (2012), Biostatistics 13:179.
"""

from __future__ import annotations

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.statistics.glm_model import Model
from isthmus.statistics.glm_start import Start
from isthmus.statistics.newton import MAX_ROUNDS, diverged
from isthmus.summary import FloatArray

OFTEN = MAX_ROUNDS // 3  # rounds that were halved: more than a start far from the end needs
APART = 0.5  # share of the largest difference, in standard deviations, from which a column is named
INSTEAD = {
    "log": "use `family: poisson` with `robust: HC0`, or link logit",
    "identity": "use `family: gaussian` with `robust: HC0`, or link logit",
}


def no_end(
    model: Model, start: Start, path: tuple[FloatArray, FloatArray | None], halved: int, grams: list[FloatArray]
) -> Invalid:
    """The error after the coefficients (p,) of `path`, now and before, and X'WX (p, p) at the first and the last of them."""
    now, before = path
    outcome = f"outcome {model.outcome!r}"
    if not (model.family.bounded and halved >= OFTEN and grams):
        move = now if before is None else now - before
        return diverged(start.place, move, now, model.design.names, outcome)
    named = _apart(model, start, grams)
    rows = f", in rows told by {named}" if named else ""
    link = model.family.link
    text = f"{outcome}: the best fit lies on the border of link {link!r}, where a predicted mean has no room left{rows}"
    return Invalid("E-CONVERGENCE", text, INSTEAD.get(link, "use another link"))


def _apart(model: Model, start: Start, grams: list[FloatArray]) -> str:
    """Columns whose mean, weighted as at the end, is furthest from that at the start, where all rows weigh the same."""
    if not model.design.intercept or start.place.rotation is not None:
        return ""
    first, last = grams[0], grams[-1]
    mean, end = first[0] / first[0, 0], last[0] / last[0, 0]
    spread = np.sqrt(np.maximum(np.diag(first) / first[0, 0] - mean**2, 0.0))
    apart = np.divide(np.abs(end - mean), spread, out=np.zeros_like(mean), where=spread > 0.0)
    far = apart >= APART * float(apart.max())
    return ", ".join(
        repr(n) for n, told in zip(model.design.names, far.tolist(), strict=True) if told and n != "(Intercept)"
    )
