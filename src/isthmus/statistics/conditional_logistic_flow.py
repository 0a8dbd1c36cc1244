"""Newton's method for the conditional likelihood of matched sets: a round for each step, one more for clustered errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.statistics import coordinates, cox_flow, cox_model, implied, sandwich
from isthmus.statistics.contract import Flow, Round
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.cox_flow import At, Evaluate, Middle
from isthmus.statistics.cox_model import Model
from isthmus.summary import Field, FloatArray, Layout, Summary


def layout(model: Model, first: bool) -> Layout:
    """Of an evaluation; counts go once: `discordant` sets whose cases have more, and less, of a column than the set."""
    counted = (
        Field(name="n", shape=(1,), kind="count"),
        Field(name="events", shape=(1,), kind="count"),
        Field(name="sets", shape=(1,), kind="count"),
        Field(name="discordant", shape=(2, len(implied.terms(model.design))), kind="count"),
        cox_model.marks_field(model),
    )
    return Layout(
        fields=(
            *(counted if first else ()),
            Field(name="loglik", shape=(1,), kind="sum"),
            Field(name="score", shape=(model.size,), kind="score"),
            Field(name="information", shape=(model.size, model.size), kind="gram"),
        )
    )


def fit(model: Model, sets: str) -> Flow:
    """The whole flow."""
    place = coordinates.declared(model.design, model.dictionary).uncentred()
    first: list[Summary] = []

    def evaluate(here: Coordinates, coefficients: FloatArray) -> Evaluate:
        asked = {"step": "sums", "coefficients": coefficients, **here.params()}
        pooled = yield Round(layout(model, not first), asked)
        if not first:
            first.append(pooled)
            cox_flow.check(model, int(pooled["n"][0]), int(pooled["events"][0]))
            if not pooled["sets"][0] or pooled["events"][0] == pooled["n"][0]:
                text = f"no set of {sets!r} has a case and a control by {model.event!r}"
                raise Invalid("E-NO-EVENTS", text, "sets hold one case or more, and controls")
        loglik, deaths = float(pooled["loglik"][0]), float(first[0]["events"][0])
        return At(here, coefficients, loglik, pooled["score"], pooled["information"], deaths)

    found = yield from cox_flow.newton(model, place, evaluate)
    middle = None
    if model.cluster is not None:
        asked = {"step": "meat", "coefficients": found.last.coefficients, **found.last.place.params()}
        pooled = yield Round(cox_model.meat_layout(model), asked)
        middle = Middle(pooled["meat"], sandwich.counted(model.cluster, pooled))
    told = first[0]
    sizes = (int(told["n"][0]), int(told["events"][0]))
    made = cox_flow.estimate(model, found, sizes, told["marks"], found.evaluations, middle)
    counts = {**made.counts, "sets": Counts("size", told["sets"].astype(np.int64)), **_discordant(model, told)}
    return replace(made, kind="conditional_logistic", counts=counts)


def _discordant(model: Model, told: Summary) -> dict[str, Counts]:
    """Of each column that is an indicator: an odds ratio of pairs gives these two counts."""
    found = {}
    for at, j in enumerate(implied.terms(model.design)):
        total, squares, _ = told["marks"][:, at].tolist()
        if total == squares:
            name = model.design.columns[j].name
            found[f"implied:sets that differ by {name}"] = Counts("implied", told["discordant"][:, at].astype(np.int64))
    return found
