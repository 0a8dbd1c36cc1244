"""Subdistribution hazards over pooled sums: the censoring curve, Newton's steps, and `crr`'s sandwich.

Late entries (Geskus 2011): who had another event at s counts at t by W(t-) / W(s-), W = G H, G the survival of censoring
and H the distribution of entries, the product-limit curve in reversed time: H(t-) is the product over entries from t on of
1 - (who enters) / (who is at risk just after).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.model.errors import Invalid, Refused
from isthmus.statistics import coordinates, cox_flow, cox_model, linear
from isthmus.statistics.contract import Flow, Round
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.cox_flow import At, Evaluate, Middle
from isthmus.statistics.cox_model import Model
from isthmus.statistics.newton import diverged
from isthmus.summary import Field, FloatArray, Layout


@dataclass(frozen=True, slots=True)
class Steps:
    """Pooled counts (strata, steps): rows `at_risk`, `events`, `competing`, `censored`, `entries`; W just `before` each step.

    `rows`: all there are; `sound`: nowhere is everybody at risk another while some stay after another event.
    """

    at_risk: FloatArray
    events: FloatArray
    competing: FloatArray
    censored: FloatArray
    entries: FloatArray
    before: FloatArray
    rows: int
    sound: bool

    @classmethod
    def of(cls, pooled: Any, late: bool = False) -> Steps:
        """From the first round; G is the Kaplan-Meier curve of censoring.

        Who has an event when others are censored is at risk of censoring as in `crr`; with late entries no more, as in
        `survival::finegray`.
        """
        events, competing, censored = pooled["events"], pooled["competing"], pooled["censored"]
        leaving = events + competing + censored
        risk = np.add.accumulate(leaving[:, ::-1], axis=1)[:, ::-1] + pooled["beyond"][:, None]
        rows, came, sound = int(risk[:, 0].sum()), np.zeros_like(risk), True
        facing = risk
        if late:
            came, risk = pooled["entries"][:, :-1], risk - _after(pooled["entries"])
            facing = risk - events - competing
        curve = np.multiply.accumulate(1.0 - censored / np.maximum(facing, 1.0), axis=1)
        ones = np.ones((len(curve), 1))
        before = np.concatenate([ones, curve[:, :-1]], axis=1)
        if late:
            there = np.where(risk > 0.0, 1.0 - came / np.maximum(risk, 1.0), 1.0)  # of those at risk, who was before
            stay = np.add.accumulate(competing, axis=1) - competing
            turned = ((there <= 0.0) & (stay > 0.0)) | ((before <= 0.0) & (competing > 0.0))
            before = before * _onward(np.concatenate([there, ones], axis=1), np.multiply)[:, 1:]
            sound = not bool(turned.any())
        before = np.where(before > 0.0, before, 1.0)
        return cls(risk, events, competing, censored, came, before, rows, sound)


@dataclass(frozen=True, slots=True)
class RiskSets:
    """Pooled sums at one evaluation: risks `s0` (strata, steps), means `mean` (p, strata, steps), and `c0`, `c1` of who stays."""

    steps: Steps
    s0: FloatArray
    mean: FloatArray
    c0: FloatArray
    c1: FloatArray
    event_x: FloatArray

    @classmethod
    def of(cls, steps: Steps, pooled: Any, late: bool = False) -> RiskSets:
        """Who leaves then or later and has come, and those who had another event before, weighted by the curves."""
        at = []
        stay = [_earlier(pooled[name]) for name in ("c0", "c1")]
        for name, more in zip(("s0", "s1"), stay, strict=True):
            later = np.add.accumulate(pooled[name][..., ::-1], axis=-1)[..., ::-1][..., :-1]
            if late:
                later = later - _after(pooled[f"e{name[1]}"])
            at.append(later + steps.before * more)
        s0 = at[0]
        return cls(steps, s0, at[1] / np.where(s0 > 0.0, s0, 1.0), stay[0], stay[1], pooled["event_x"])

    @property
    def sound(self) -> bool:
        """Whether somebody is at risk at each event, as far as numbers go."""
        return bool(np.all(self.s0[self.steps.events > 0.0] > 0.0))

    @property
    def hazard(self) -> FloatArray:
        """(strata, steps) events over the risks there."""
        d = self.steps.events
        return np.where(d > 0.0, d / np.where(self.s0 > 0.0, self.s0, 1.0), 0.0)

    def hazards(self) -> dict[str, Any]:
        """Cumulated hazard, and cumulated hazard times G, per step and beyond."""
        hazard = self.hazard
        return {"hazard": _upto(hazard), "later": _upto(hazard * self.steps.before), "before": self.steps.before}

    def shared(self) -> dict[str, Any]:
        """The same of the hazard over the risks: what a row's own risk takes off its information, squared."""
        each = self.hazard / np.where(self.s0 > 0.0, self.s0, 1.0)
        return {"hazard": _upto(each), "later": _upto(each * self.steps.before**2)}

    def score(self) -> FloatArray:
        """Gradient (p,)."""
        return self.event_x - _summed(self.mean * self.steps.events)

    def squares(self) -> FloatArray:
        """Sum over events of mean x mean'."""
        made = np.array([_summed(line * self.mean * self.steps.events) for line in self.mean])
        middle: FloatArray = (made + made.T) / 2.0
        return middle

    def loglik(self, coefficients: FloatArray) -> float:
        """Of the weighted risk sets, Breslow's ties."""
        d = self.steps.events
        logs = np.where(d > 0.0, d * np.log(np.where(self.s0 > 0.0, self.s0, 1.0)), 0.0)
        return linear.dot(coefficients, self.event_x) - float(_summed(logs))

    def residuals(self) -> dict[str, Any]:
        """What score residuals need, and the part of the censoring curve: `jump` and cumulated `drift` (p, strata, steps + 1).

        q(u) = sum over who had another event before u of their expected score from u on; each censored row at u adds
        q / (at risk), each row at risk takes off its share (Fine & Gray 1999, section 3.2).
        """
        hazard, risk = self.hazard, np.maximum(self.steps.at_risk, 1.0)
        weighted = hazard * self.steps.before
        after, after_mean = _onward(weighted), _onward(self.mean * weighted)
        q = self.c1 * after - self.c0 * after_mean
        jump = q / risk
        drift = _upto(jump * self.steps.censored / risk)
        none = np.zeros((*jump.shape[:-1], 1))
        spread = {"hazard_mean": _upto(self.mean * hazard), "later_mean": _upto(self.mean * weighted)}
        return {
            **self.hazards(),
            **spread,
            "mean": np.concatenate([self.mean, none], axis=-1),
            "jump": np.concatenate([jump, none], axis=-1),
            "drift": drift,
        }


def count_layout(model: Model) -> Layout:
    """First round: counts per step, moments of the columns."""
    names = ("events", "competing", "censored")
    late = (Field(name="entries", shape=(model.strata, model.steps + 1), kind="histogram"),) if model.late else ()
    return Layout(
        fields=(
            *(Field(name=name, shape=(model.strata, model.steps), kind="histogram") for name in names),
            *late,
            Field(name="beyond", shape=(model.strata,), kind="count"),
            Field(name="moments", shape=(2, model.size), kind="moment"),
            cox_model.marks_field(model),
        )
    )


def risk_layout(model: Model) -> Layout:
    """Sums of risks per step."""
    total = (model.strata, model.steps + 1)
    pairs = (("s0", "s1"), ("c0", "c1"), *((("e0", "e1"),) if model.late else ()))
    sums = [
        Field(name=name, shape=shape, kind="risk_set")
        for zero, one in pairs
        for name, shape in ((zero, total), (one, (model.size, *total)))
    ]
    return Layout(fields=(Field(name="event_x", shape=(model.size,), kind="score"), *sums))


def fit(model: Model) -> Flow:
    """The whole flow: counts, Newton's steps of two rounds each, the sandwich."""
    place = coordinates.declared(model.design, model.dictionary)
    pooled = yield Round(count_layout(model), {"step": "count", **place.params()})
    steps, marks = Steps.of(pooled, model.late), pooled["marks"]
    n, deaths = steps.rows, int(steps.events.sum())
    cox_flow.check(model, n, deaths)
    if not steps.sound:
        raise gap(model.time)
    place = cox_flow.centred(place, pooled["moments"] / float(n), model)
    sent, latest = [0], list[tuple[RiskSets, FloatArray]]()

    def evaluate(here: Coordinates, coefficients: FloatArray) -> Evaluate:
        sent[0] += 1
        _check_sequence(model, steps, sent[0])
        base = {"coefficients": coefficients, **here.params()}
        answer = yield Round(risk_layout(model), {"step": "risk", **base, "before": steps.before})
        sets = RiskSets.of(steps, answer, model.late)
        if not sets.sound:
            raise diverged(here, coefficients, coefficients, model.design.names, f"event {model.event!r}")
        latest[:] = [(sets, coefficients)]
        gram = yield Round(cox_model.hazard_layout(model), {"step": "hazard", **base, **sets.hazards()})
        information = gram["gram"] - sets.squares()
        return At(here, coefficients, sets.loglik(coefficients), sets.score(), information, float(deaths))

    found = yield from cox_flow.newton(model, place, evaluate)
    sets, at = latest[0]
    params = {"step": "meat", "coefficients": at, **found.last.place.params(), **sets.residuals()}
    middle = yield Round(cox_model.meat_layout(model), params)
    rounds = 1 + 2 * found.evaluations
    made = cox_flow.estimate(model, found, (n, deaths), marks, rounds, Middle(middle["meat"], None))
    return replace(made, kind="fine_gray")


def _check_sequence(model: Model, steps: Steps, rounds: int) -> None:
    """As a Cox model with one baseline: of each step, who leaves and who stays outnumber what is said about them."""
    if model.open_rules:
        return
    leaving, need = steps.events + steps.competing + steps.censored, rounds * (model.size + 2) / 2.0
    late = (steps.entries, steps.at_risk) if model.late else ()
    if not all(bool(np.all(v[v > 0.0] > need)) for v in (leaving, steps.competing, *late)):
        raise Refused(
            "E-DISCLOSURE",
            "risk sets of one baseline would be shown too often for their size",
            "use a coarser grid or fewer terms",
        )


def gap(time: str) -> Invalid:
    """Everybody at risk has just come, and who was there before has left: nothing says how many these stand for."""
    hint = "begin the population where somebody is at risk all along, or use cox with the other causes censored"
    text = f"at a value of {time!r} everybody at risk has just entered: who had another event before has no weight"
    return Invalid("E-TIME", text, hint)


def _summed(values: FloatArray) -> FloatArray:
    """Over strata and steps, added from the first to the last."""
    return linear.total(values.reshape(*values.shape[:-2], -1))


def _upto(values: FloatArray) -> FloatArray:
    """Cumulated over steps, the last repeated for who lies beyond them."""
    made = np.add.accumulate(values, axis=-1)
    return np.concatenate([made, made[..., -1:]], axis=-1)


def _earlier(values: FloatArray) -> FloatArray:
    """Sums over the steps before each; the last, beyond the grid, left out."""
    made = np.add.accumulate(values, axis=-1)
    return np.concatenate([np.zeros((*made.shape[:-1], 1)), made[..., :-2]], axis=-1)


def _onward(values: FloatArray, how: np.ufunc = np.add) -> FloatArray:
    """Sums over each step and those after it: censoring at a step weighs its own events too, as `crr` has it."""
    made: FloatArray = how.accumulate(values[..., ::-1], axis=-1)[..., ::-1]
    return made


def _after(values: FloatArray) -> FloatArray:
    """Sums over what comes after each step; `values` has one more, beyond the grid."""
    return _onward(values)[..., 1:]


def fit_sites(model: Model) -> Flow:
    """Sites as strata: each has its own censoring curve and baseline, and sends log-likelihood, score and information."""
    made = yield from cox_flow.fit_sites(model)
    return replace(made, kind="fine_gray")
