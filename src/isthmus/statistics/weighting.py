"""Weights of rows and clusters of errors: what questions of every regression kind state about them, and evidence about them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

import numpy as np

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, offset_reads
from isthmus.model.record import record
from isthmus.statistics import coordinates, indicators, sandwich, unusual
from isthmus.statistics.contract import Inputs
from isthmus.statistics.sandwich import Errors
from isthmus.summary import FloatArray

LARGEST_OFFSET = 100.0  # exp(100) = 3e43: no time and no number of people is as large
FAINT = 2.0**-19  # mean weight whose square keeps 26 of the 64 fractional bits of a masked sum


@record
class Weighting:
    """What a row's weight means; there is no default, because standard errors differ."""

    variable: str
    kind: Literal["frequency", "precision", "sampling"]


class Stated(Protocol):
    """What a question may state about them."""

    @property
    def weights(self) -> Weighting | None:
        """Of the rows."""

    @property
    def cluster(self) -> str | None:
        """Beside the formula."""

    @property
    def robust(self) -> Any:
        """True, or a name, where errors are robust."""


def cluster_of(stated: str | None, formula: Formula) -> str | None:
    """What errors are clustered by, stated in the formula or beside it.

    Raises:
        Invalid: E-CLUSTER, both, and they differ.
    """
    if formula.cluster is not None and stated not in {None, formula.cluster}:
        raise Invalid("E-CLUSTER", "two cluster variables are stated", "state it once")
    return stated or formula.cluster


def errors_of(question: Stated, formula: Formula) -> Errors:
    """Public facts about both."""
    kind = None if question.weights is None else question.weights.kind
    return Errors(kind, bool(question.robust), cluster_of(question.cluster, formula))


def read(weighting: Weighting | None) -> tuple[str, ...]:
    """The number that a question reads."""
    return () if weighting is None else (weighting.variable,)


def offsets(stated: str | None, formula: Formula) -> tuple[str, ...]:
    """Variables added to the linear predictor, or `log(...)` of one, of the formula and beside it."""
    return tuple(dict.fromkeys((*formula.offset, *(() if stated is None else (stated,)))))


def offset_of(names: Sequence[str], inputs: Inputs, dictionary: Codebook | None = None) -> FloatArray | None:
    """(rows,) their sum, or None; with a `dictionary` about the middle of its ranges, where a constant does not matter.

    Raises:
        Invalid: E-OFFSET, the logarithm of a number that is not above 0.
    """
    if not names:
        return None
    middle = 0.0 if dictionary is None else sum(_middle(name, dictionary) for name in names)
    found: FloatArray = np.sum([_offset(name, inputs) for name in names], axis=0) - middle
    return found


def _offset(name: str, inputs: Inputs) -> FloatArray:
    (read,) = offset_reads((name,))
    values: FloatArray = inputs.numbers[read]
    if read == name:
        return values
    if bool(np.any(values <= 0.0)):
        hint = "a time or a number of people is above 0: leave rows without any out by `where`"
        raise Invalid("E-OFFSET", f"offset {name!r}: {read!r} is not above 0 in every row", hint)
    return np.log(values)


def _middle(name: str, dictionary: Codebook) -> float:
    (read,) = offset_reads((name,))
    middle = coordinates.variable_scale(read, dictionary)[0]
    return middle if read == name else math.log(max(middle, 1.0))


def link_offset(link: str, names: Sequence[str], inputs: Inputs) -> FloatArray | None:
    """The offset of a generalized linear model.

    Raises:
        Invalid: E-OFFSET, of a link `log` one that can be no logarithm of a time or a number.
    """
    total = offset_of(names, inputs)
    if total is not None and link == "log" and bool(np.any(np.abs(total) > LARGEST_OFFSET)):
        listed = ", ".join(repr(name) for name in names)
        text = f"offset {listed} has a value beyond {LARGEST_OFFSET:.0f}, and the mean is multiplied by its exponential"
        raise Invalid("E-OFFSET", text, "an offset is the logarithm of a time or a number: write offset(log(...))")
    return total


def keys(cluster: str | None) -> tuple[str, ...]:
    """The identifier that a question reads."""
    return () if cluster in {None, sandwich.SITE} else (str(cluster),)


def prior_of(weighting: Weighting | None, inputs: Inputs) -> FloatArray | None:
    """(rows,) weights, or None.

    Raises:
        Invalid: E-WEIGHTS.
    """
    if weighting is None:
        return None
    prior = inputs.numbers[weighting.variable]
    check_weights(weighting, prior)
    return prior


def filled(prior: FloatArray | None, rows: int) -> FloatArray:
    """(rows,) weights: 1 where the question has none."""
    return np.ones(rows) if prior is None else prior


def relative(prior: FloatArray | None) -> FloatArray | None:
    """(rows,) weights over the largest, or None where there are none."""
    return None if prior is None or not prior.size else prior / float(prior.max())


def leverage(columns: FloatArray, weights: FloatArray | None) -> float:
    """As `indicators.leverage`, of rows that weigh differently."""
    return indicators.leverage(columns if weights is None else columns * np.sqrt(weights))


def no_rows(kind: str | None) -> Invalid:
    """No row is left; `kind`: of the weights, None where the question has none."""
    weighed = "" if kind is None else " and a weight above 0"
    return Invalid("E-NO-ROWS", f"no row has all variables of this question{weighed}", "look at `excluded`")


def heavy(prior: FloatArray | None) -> Any:
    """Positions of the rows with a weight, or None where every row has one."""
    return None if prior is None or bool(np.all(prior > 0.0)) else np.flatnonzero(prior > 0.0)


def taken(values: Any, at: Any) -> Any:
    """(rows,) values of the rows `at`; None where there are none."""
    return None if values is None else values[at]


def clusters_of(inputs: Inputs) -> Any:
    """(rows,) codes of the clusters, or None: all rows are one."""
    return next(iter(inputs.keys.values()), None)


def check_weights(weighting: Weighting, prior: Any) -> None:
    """Weights are not negative; those that count rows are whole.

    Raises:
        Invalid: E-WEIGHTS.
    """
    if not bool(np.all(prior >= 0.0)):
        raise Invalid("E-WEIGHTS", f"weights {weighting.variable!r} must not be negative")
    if weighting.kind == "frequency" and not bool(np.all(prior == np.rint(prior))):
        raise Invalid("E-WEIGHTS", f"frequency weights {weighting.variable!r} must be whole numbers")


def check_mean(total: float, rows: float) -> None:
    """Whether sums of weights, and of their squares in robust errors, keep their digits in the masked sums.

    Raises:
        Invalid: E-WEIGHTS, they are far below 1.
    """
    if rows > 0.0 and total < FAINT * rows:
        text = "weights are a millionth or less on average: sums of their squares would lose digits"
        raise Invalid("E-WEIGHTS", text, "multiply them by a constant, so that they are near 1")


def with_weights(found: Evidence, prior: FloatArray | None, silent: int) -> Evidence:
    """Evidence with who stands behind weights (rows,) above 0 of a site; `silent` more rows have none."""
    if prior is None:
        return found
    sides = {**found.sides, "rows without weight": np.array([silent], dtype=np.int64)}
    if not prior.size:
        return replace(found, sides=sides)
    sides["unusual weights"] = unusual.unusual(prior)
    supports = {**found.supports, "weights": np.array([unusual.effective(prior)], dtype=np.int64)}
    sums = {**found.sums, "weights": np.abs(prior - unusual.middle(prior))}
    return replace(found, sides=sides, supports=supports, sums=sums)


def with_clusters(found: Evidence, errors: Errors, rows: int, cluster: Any) -> Evidence:
    """Evidence with how many clusters the `rows` that have a weight are in."""
    if errors.cluster in {None, sandwich.SITE}:
        return found
    return replace(found, supports={**found.supports, "clusters": sandwich.present(rows, cluster, None)})
