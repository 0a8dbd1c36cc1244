"""Models of an outcome with levels: what `multinomial` and `ordinal` share, from the evidence to the last Newton step.

A row has K - 1 predictors. Of `multinomial` predictor k is x'b_k; of `ordinal` it is zeta_k - x'b. Both
log-likelihoods are concave, so Newton's method with halving ends wherever an answer exists.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Design, Formula, no_site, parse
from isthmus.statistics import coordinates, implied, indicators, linear, sandwich, unusual, weighting
from isthmus.statistics.contract import CodeArray, Estimate, Flow, Inputs, Round, Setting
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.newton import MAX_ROUNDS, STEP, must_halve, newton_step, running, separated
from isthmus.statistics.sandwich import Errors
from isthmus.statistics.weighting import Weighting
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

SILENT = 50.0  # an offset this far from the usual one leaves nothing of a row
FINE = 1024.0  # starting values are multiples of 1 / FINE: the last bits of a logarithm differ between machines
Pooled = Generator[Round, Summary, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """Public facts. `ordered`: proportional odds, else baseline-category logits; `errors`: how rows count, what errors are."""

    kind: str
    outcome: str
    levels: tuple[str, ...]
    design: Design
    dictionary: Codebook
    ordered: bool
    errors: Errors

    @property
    def cuts(self) -> int:
        """Predictors of a row."""
        return len(self.levels) - 1

    @property
    def slopes(self) -> int:
        """Columns but the intercept."""
        return len(self.design.columns) - 1

    @property
    def size(self) -> int:
        """Parameters."""
        return self.cuts + self.slopes if self.ordered else self.cuts * (self.slopes + 1)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters, in order."""
        if self.ordered:
            cuts = [f"{low}|{high}" for low, high in zip(self.levels, self.levels[1:], strict=False)]
            return (*cuts, *self.design.names[1:])
        return tuple(f"{level}: {name}" for level in self.levels[1:] for name in self.design.names)


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows that have a weight: `columns` (p, rows), the level, weight, cluster and offset of each; `silent` more have no weight."""

    columns: FloatArray
    codes: CodeArray
    prior: FloatArray | None = None
    cluster: Any = None
    silent: int = 0
    offset: FloatArray | None = None

    @property
    def size(self) -> int:
        """Rows."""
        return len(self.codes)


@dataclass(frozen=True, slots=True)
class Start:
    """After the first rounds: coordinates, rows and weight of each level, marks, rounds used."""

    place: Coordinates
    levels: IntArray
    weight: FloatArray
    marks: FloatArray
    rounds: int


def read(formula: str, kind: str) -> Formula:
    """The formula of a model of levels.

    Raises:
        Invalid: E-FORMULA.
    """
    found = no_site(parse(formula), "take `country` as a term, or fit a glm of each cut of the outcome")
    if found.response is None or found.surv is not None:
        raise Invalid("E-FORMULA", f"{kind} has one outcome on the left", "write `outcome ~ terms`")
    if found.strata or (found.offset and kind != "ordinal"):
        raise Invalid("E-FORMULA", f"{kind} takes no strata() or offset()", "add the variable as a term")
    return found


def model_of(kind: str, formula: Formula, setting: Setting, errors: Errors) -> Model:
    """The model that a question asks for.

    Raises:
        Invalid: E-DESIGN, E-FORMULA (no intercept, no term), E-OUTCOME (fewer than two levels).
    """
    design, outcome = setting.design, str(formula.response)
    if design is None:
        raise Invalid("E-DESIGN", f"{kind} needs a design")
    if not design.intercept or len(design.columns) < 2:  # without a term the estimates would be the table itself
        raise Invalid("E-FORMULA", f"{kind} has an intercept and at least one term", "ask crosstab or count for shares")
    levels = setting.levels[outcome]
    if len(levels) < 2:
        raise Invalid("E-OUTCOME", f"outcome {outcome!r} has one level only", "nothing can be fitted to it")
    return Model(kind, outcome, tuple(levels), design, setting.dictionary, kind == "ordinal", errors)


def rows_of(model: Model, inputs: Inputs, weights: Weighting | None, offsets: tuple[str, ...] = ()) -> Rows:
    """A site's rows with a weight."""
    if inputs.design is None:
        raise Invalid("E-DESIGN", f"{model.kind} needs a design")
    prior, cluster = weighting.prior_of(weights, inputs), weighting.clusters_of(inputs)
    offset, at = weighting.offset_of(offsets, inputs), weighting.heavy(prior)
    every = Rows(inputs.design, inputs.codes[model.outcome], prior, cluster, 0, offset)
    if at is None:
        return every
    columns, (own, groups, offset) = inputs.design[:, at], (weighting.taken(v, at) for v in (prior, cluster, offset))
    return Rows(columns, every.codes[at], own, groups, every.size - at.size, offset)


def evidence(model: Model, rows: Rows) -> Evidence:
    """The design, and of each level of the outcome who has it, alone and with each indicator; light rows count for less."""
    weights = _weights(rows)
    own = weighting.leverage(rows.columns, weights)
    found = indicators.design_evidence(model.design, rows.columns, None, own, weights)
    cells: dict[str, IntArray] = {}
    sides = dict(found.sides)
    for k, level in enumerate(model.levels):
        outcome = (f"{model.outcome}[{level}]", (rows.codes == k).astype(np.float64))
        here = indicators.design_evidence(model.design, rows.columns, outcome, 0.0, weights)
        cells |= here.cells
        sides |= here.sides
    if rows.offset is not None:
        sides["unusual offset"] = unusual.unusual(rows.offset)
    found = replace(found, cells=cells, sides=sides, parameters=model.size)
    found = weighting.with_weights(found, rows.prior, rows.silent)
    return weighting.with_clusters(found, model.errors, rows.size, rows.cluster)


def _weights(rows: Rows) -> FloatArray | None:
    """How much each row can weigh: its prior weight, times what its offset leaves of it; largest 1."""
    found = weighting.relative(rows.prior)
    if rows.offset is None or not rows.size:
        return found
    left = np.exp(-np.minimum(np.abs(rows.offset - unusual.middle(rows.offset)), SILENT))
    return left if found is None else left * found


def start_layout(model: Model) -> Layout:
    """The first round: rows by level and their weight, X'WX, and the marks behind implied cells, by level."""
    size, levels = len(model.design.columns), len(model.levels)
    weighed = () if model.errors.weighting is None else (Field(name="weight", shape=(levels,), kind="sum"),)
    return Layout(
        fields=(
            Field(name="levels", shape=(levels,), kind="count"),
            *weighed,
            Field(name="gram", shape=(size, size), kind="gram"),
            Field(name="marks", shape=(levels, 3, len(implied.terms(model.design))), kind="moment"),
        )
    )


def newton_layout(model: Model) -> Layout:
    """One step."""
    return Layout(
        fields=(
            Field(name="score", shape=(model.size,), kind="score"),
            Field(name="gram", shape=(model.size, model.size), kind="gram"),
            Field(name="deviance", shape=(1,), kind="sum"),
        )
    )


def fit(model: Model) -> Flow:
    """The whole flow."""
    start: Start = yield from _begin(model)
    place = start.place
    jacobian = _jacobian(model, place)
    now, before, last = _first(model, start), None, math.inf
    for rounds in range(start.rounds + 1, MAX_ROUNDS + start.rounds + 1):
        while before is not None and not _increasing(model, now):
            now = (now + before) / 2.0
        pooled = yield Round(newton_layout(model), {"step": "newton", "coefficients": now, **place.params()})
        deviance = float(pooled["deviance"][0])
        if before is not None and must_halve(deviance, last):
            now = (now + before) / 2.0
            continue
        try:
            step = newton_step(pooled["gram"], pooled["score"])
        except linear.Dependent as error:  # columns were independent at the start: weights have vanished since
            raise _diverged(model, place, now, before) from error
        before, last, now = now, deviance, now + step.move
        vcov = linear.congruence(jacobian, step.inverse)
        moved = np.abs(linear.product(jacobian, step.move))
        if bool(np.all(moved < STEP * np.sqrt(np.diag(vcov)))):
            values = {
                "names": model.names,
                "estimates": linear.product(jacobian, now),
                "vcov": vcov,
                "deviance": deviance,
            }
            n, counts = _size(model, start), _counts(model, start)
            found = Estimate(model.kind, "exact", n, rounds, counts, values, model.size)
            return (yield from _robust(model, found, now, jacobian, (step.inverse, place)))
    raise _diverged(model, place, now, before)


def _robust(
    model: Model, found: Estimate, now: FloatArray, jacobian: FloatArray, at: tuple[FloatArray, Coordinates]
) -> Flow:
    """The estimate with the errors asked for: one more round where these are not the model's."""
    if not model.errors.sandwich:
        return found
    inverse, place = at
    params = {"step": "meat", "coefficients": now, **place.params()}
    pooled = yield Round(sandwich.layout(model.size, model.errors.cluster), params)
    vcov = linear.congruence(jacobian, linear.congruence(inverse, pooled["meat"]))
    counts = {**found.counts, **sandwich.counts(model.errors.cluster, pooled)}
    return replace(found, rounds=found.rounds + 1, counts=counts, values={**found.values, "vcov": vcov})


def _begin(model: Model) -> Pooled:
    """`Start`."""
    place = coordinates.declared(model.design, model.dictionary)
    fixed = np.array([column.indicator for column in model.design.columns])
    for attempt in (1, 2):
        pooled = yield Round(start_layout(model), {"step": "start", **place.params()})
        levels = np.rint(pooled["levels"]).astype(np.int64)
        weight = levels.astype(np.float64) if model.errors.weighting is None else pooled["weight"]
        _check(model, levels, weight)
        weighting.check_mean(float(weight.sum()), float(levels.sum()))
        target = coordinates.recentred(place, pooled["gram"], fixed)
        turned = coordinates.settled(place, pooled["gram"], target, model.design.names, again=attempt == 2)
        if turned is None:
            place = target
            continue
        return Start(turned, levels, weight, pooled["marks"], attempt)
    raise Invalid("E-COLLINEAR", "no start")


def _check(model: Model, levels: IntArray, weight: FloatArray) -> None:
    if levels.sum() == 0:
        raise weighting.no_rows(model.errors.weighting)
    empty = [name for name, rows in zip(model.levels, levels.tolist(), strict=True) if rows == 0]
    if empty:
        listed = ", ".join(repr(name) for name in empty)
        hint = "derive an outcome without it, or merge levels"
        raise Invalid("E-OUTCOME", f"no row of any site has outcome {model.outcome!r} at level {listed}", hint)
    if float(weight.sum() if model.errors.copies else levels.sum()) <= model.size:
        raise Invalid("E-TOO-MANY-TERMS", "there are at least as many terms as rows", "use fewer terms")


def _first(model: Model, start: Start) -> FloatArray:
    """Coefficients of the shares of the levels, slopes 0."""
    first = np.zeros(model.size)
    counts, place = start.weight.tolist(), start.place
    unit = 1.0 if place.rotation is None else float(place.rotation[0, 0])
    for k in range(model.cuts):
        if model.ordered:
            below = sum(counts[: k + 1])
            first[k] = math.log(below / (sum(counts) - below))
        else:
            first[k * (model.slopes + 1)] = math.log(counts[k + 1] / counts[0])
    first = np.rint(first * FINE) / FINE
    if not _increasing(model, first):  # rare levels in between: no two cuts may be equal
        first[: model.cuts] += np.arange(model.cuts) / FINE
    return first if model.ordered else first / unit


def _increasing(model: Model, coefficients: FloatArray) -> bool:
    """Whether every level has a positive probability."""
    cuts = coefficients[: model.cuts]
    return not model.ordered or bool(np.all(cuts[1:] > cuts[:-1]))


def _jacobian(model: Model, place: Coordinates) -> FloatArray:
    """J (size, size) with raw parameters = J @ parameters in the coordinates `place`."""
    one, made = place.matrix(), np.eye(model.size)
    if model.ordered:
        made[: model.cuts, model.cuts :] = -one[0, 1:]
        made[model.cuts :, model.cuts :] = one[1:, 1:]
        return made
    width = model.slopes + 1
    for k in range(model.cuts):
        made[k * width : (k + 1) * width, k * width : (k + 1) * width] = one
    return made


def _diverged(model: Model, place: Coordinates, now: FloatArray, before: FloatArray | None) -> Invalid:
    """The error for coefficients that run away, with the columns that separate the levels."""
    jacobian = _jacobian(model, place)
    scale = (
        np.concatenate([np.zeros(model.cuts), place.scale[1:]]) if model.ordered else np.tile(place.scale, model.cuts)
    )
    move = linear.product(jacobian, now if before is None else now - before) * scale
    columns = ((*(("",) * model.cuts), *model.design.names[1:])) if model.ordered else model.design.names * model.cuts
    shown = running(move, linear.product(jacobian, now) * scale, columns)
    outcome = f"outcome {model.outcome!r}"
    if shown:
        return separated(shown, outcome)
    size = np.where(np.array(columns) == "", 0.0, np.abs(move))
    text = f"{outcome}: no convergence in {MAX_ROUNDS} rounds, {columns[int(np.argmax(size))]!r} still moves"
    return Invalid("E-CONVERGENCE", text, "look for absurd values in it, or use fewer or simpler terms")


def _size(model: Model, start: Start) -> int:
    """Rows; frequency weights count them."""
    return round(float(start.weight.sum())) if model.errors.copies else int(start.levels.sum())


def _counts(model: Model, start: Start) -> dict[str, Counts]:
    """n, rows by level, and the cells of each level and indicator that the estimates give away."""
    levels, whole = start.levels, int(start.levels.sum())
    found = {"n": Counts("size", np.array([_size(model, start)])), "levels": Counts("cells", levels)}
    for k, level in enumerate(model.levels):
        cells = implied.implied_cells(model.design, start.marks[k], (whole, int(levels[k])))
        found |= {f"{name} x {model.outcome}[{level}]": cell for name, cell in cells.items()}
    return found
