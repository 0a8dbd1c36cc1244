"""Multiple imputation at one site: chains of filled rows, and the part of each fit that this site adds.

A chain's rows follow from the rows as they came and the draws of parameters so far, which every round names; what was
last filled is kept, so that a step costs one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.evidence import Evidence
from isthmus.model.errors import Invalid
from isthmus.statistics import imputation_draws, imputation_survival
from isthmus.statistics.contract import Answer, CodeArray, Gaps, Inputs, Round, Setting, Statistic
from isthmus.statistics.imputation_draws import Draw
from isthmus.statistics.imputation_models import Model
from isthmus.statistics.imputation_survival import HAZARD, Times, Timing
from isthmus.summary import FloatArray, IntArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filled:
    """Rows of one chain: numbers (NaN) and codes (-1) where nothing is filled in yet."""

    rows: int
    numbers: Mapping[str, FloatArray]
    codes: Mapping[str, CodeArray]
    levels: Mapping[str, Sequence[str]]

    def number(self, name: str) -> FloatArray:
        """(rows,) values; a category of two levels is 0 or 1."""
        return self.numbers[name] if name in self.numbers else self.codes[name].astype(np.float64)

    def coded(self, name: str, levels: Sequence[str]) -> CodeArray:
        """(rows,) index into `levels`, -1 where there is none."""
        if name in self.codes:
            known = list(levels)
            places = [known.index(level) if level in known else -1 for level in self.levels[name]]
            return np.array([*places, -1], dtype=np.int32)[self.codes[name]]
        found = np.full(self.rows, -1, dtype=np.int32)
        for at, level in enumerate(levels):
            found[self.numbers[name] == float(level)] = at
        return found

    def taken(self, mask: Mask) -> Filled:
        """The rows where `mask` is true."""
        numbers = {name: values[mask] for name, values in self.numbers.items()}
        codes = {name: values[mask] for name, values in self.codes.items()}
        return Filled(int(np.count_nonzero(mask)), numbers, codes, self.levels)

    def put(self, name: str, mask: Mask, values: FloatArray) -> Filled:
        """With `values` of `name` where `mask` is true."""
        if name in self.codes:
            codes = self.codes[name].copy()
            codes[mask] = values.astype(np.int32)
            return Filled(self.rows, self.numbers, {**self.codes, name: codes}, self.levels)
        numbers = self.numbers[name].copy()
        numbers[mask] = values
        return Filled(self.rows, {**self.numbers, name: numbers}, self.codes, self.levels)


@dataclass(frozen=True, slots=True)
class Step:
    """One draw: the model, its parameters, the text that decides the noise of rows."""

    model: Model
    draw: Draw
    seed: str


@dataclass(slots=True)
class Site:
    """One site's rows, and what it has filled in last, which a later run with other draws does not take for its own.

    Attributes:
        keyed: identifiers of clusters, which the analysis alone reads.
        times: of an outcome that is a time.
        chains: chain -> draws behind its rows, in order, and the rows.
        fits: what was prepared at the newest step alone.
        newest: names that step and the draws before it.
    """

    first: Filled
    gaps: Gaps
    missing: Mapping[str, Mask]
    keyed: Mapping[str, CodeArray] = field(default_factory=dict)
    times: Times | None = None
    chains: dict[int, tuple[tuple[bytes, ...], Filled]] = field(default_factory=dict)
    fits: dict[str, tuple[Any, Evidence]] = field(default_factory=dict)
    newest: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a question the rows of a site depend on: `held` variables, those whose models have `effects` of sites."""

    held: Sequence[str]
    effects: Sequence[str]
    timing: Timing | None


def open_site(asked: Asked, setting: Setting, inputs: Inputs) -> Site:
    """The rows as they came.

    Raises:
        Invalid: E-IMPUTE, a variable without any value here: nothing here says what it would be.
    """
    if inputs.gaps is None:
        raise Invalid("E-IMPUTE", "the rows came without what it takes to fill them")
    numbers = {name: inputs.numbers[name] for name in asked.held if name in inputs.numbers}
    codes = {name: inputs.codes[name] for name in asked.held if name not in numbers}
    missing = {name: np.isnan(values) for name, values in numbers.items()}
    missing |= {name: values < 0 for name, values in codes.items()}
    missing |= {name: values < 0 for name, values in inputs.keys.items() if name not in missing}
    for name, mask in missing.items():
        if inputs.rows and bool(mask.all()) and name not in asked.effects:
            message = f"{name!r} is missing in every row of a site"
            hint = "leave the variable out, ask the other sites, or give its model an intercept of each site: `site_effects`"
            raise Invalid("E-IMPUTE", message, hint)
    times = None if asked.timing is None else imputation_survival.times(asked.timing, setting, numbers, codes)
    if times is not None and asked.timing is not None and asked.timing.baseline == "site":
        numbers[HAZARD] = imputation_survival.own_hazard(times)
    first = Filled(inputs.rows, numbers, codes, setting.levels)
    return Site(first, inputs.gaps, missing, inputs.keys, times)


def hazarded(site: Site, timing: Timing, setting: Setting, hazard: FloatArray) -> None:
    """Give the rows a pooled hazard; what was filled in with another is forgotten."""
    if site.times is None:
        return
    values = imputation_survival.of_rows(timing, setting, site.times, hazard)
    known = site.first.numbers.get(HAZARD)
    if known is None or known.tobytes() != values.tobytes():
        site.first = Filled(
            site.first.rows, {**site.first.numbers, HAZARD: values}, site.first.codes, site.first.levels
        )
        site.chains.clear()
        site.fits.clear()


def pattern(site: Site, asked: Asked, parameters: int, setting: Setting) -> Evidence:
    """Who is missing what: each is nobody or enough people, alone, with another variable missing, within each level.

    What changes between chains are sums over these rows, so they are held to what a fit of `parameters` takes as well.
    """
    variables = asked.held
    sides: dict[str, IntArray] = {}
    fits: dict[str, tuple[int, int]] = {}
    for i, name in enumerate(variables):
        mask = site.missing[name]
        sides[f"missing {name}"] = np.array([np.count_nonzero(mask), np.count_nonzero(~mask)], dtype=np.int64)
        if not bool(mask.any()):
            continue
        fits[f"missing {name}"] = (int(np.count_nonzero(mask)), parameters)
        for other in (other for j, other in enumerate(variables) if j != i):
            sides[f"missing {name} by {other}"] = _levels_within(site, other, mask)
    return Evidence(
        rows=site.first.rows, sides=sides, fits=fits, cells=imputation_survival.cells(_tallies(site, asked, setting))
    )


def _tallies(site: Site, asked: Asked, setting: Setting) -> dict[str, IntArray]:
    if asked.timing is None or asked.timing.baseline != "grid" or site.times is None:
        return {}
    return imputation_survival.tallies(asked.timing, setting, site.times)


def counted(site: Site, asked: Asked, setting: Setting, names: Sequence[str]) -> dict[str, IntArray]:
    """This site's part of the first round: rows, those that lack each of `names`, and times where a hazard is pooled."""
    absent = [np.count_nonzero(site.missing[name]) for name in names]
    values = {"n": np.array([site.first.rows]), "missing": np.array(absent)} | _tallies(site, asked, setting)
    return {name: v.astype(np.int64) for name, v in values.items()}


def _levels_within(site: Site, name: str, mask: Mask) -> IntArray:
    """Counts among the rows of `mask`: of each level (two values of a number are levels), and of those without a value."""
    absent = site.missing[name] & mask
    values: NDArray[Any] = site.first.number(name)[mask & ~absent]
    distinct, counts = np.unique(values, return_counts=True)
    levelled = name in site.first.codes or distinct.size <= 2
    return np.array([np.count_nonzero(absent), *(counts if levelled else [values.size])], dtype=np.int64)


def filled(site: Site, chain: int, steps: Sequence[Step]) -> Filled:
    """The rows of a chain after `steps`."""
    draws = tuple(step.draw.told().tobytes() for step in steps)
    done, rows = site.chains.get(chain, ((), site.first))
    if done != draws[: len(done)]:
        done, rows = (), site.first
    for step in steps[len(done) :]:
        mask = site.missing[step.model.target]
        if bool(mask.any()):
            rows = rows.put(step.model.target, mask, _filling(site, step, rows, mask))
    site.chains[chain] = (draws, rows)
    return rows


def _filling(site: Site, step: Step, rows: Filled, mask: Mask) -> FloatArray:
    """Values where `mask` is true."""
    model, draw = step.model, step.draw
    uniform = imputation_draws.noise(site.gaps.keys[mask], step.seed)
    if not model.fitted:
        made: FloatArray = np.floor(uniform * (model.cuts + 1))
        return made
    predictors = _predictors(site, step, rows.taken(mask))
    if model.effects:
        seen = rows.taken(~mask)
        own = imputation_draws.noise(imputation_draws.site_key(site.gaps.keys), f"{step.seed} site")
        told = (seen.number(model.target), _predictors(site, step, seen)[0])
        predictors = predictors + imputation_draws.site_effect(model, draw, told, float(own[0]))
    return imputation_draws.values(model, predictors, draw, uniform)


def _predictors(site: Site, step: Step, rows: Filled) -> FloatArray:
    """(k, rows) linear predictors."""
    made: FloatArray = step.draw.coefficients.reshape(step.model.cuts, -1) @ columns(site, step.model.setting, rows)
    return made


def columns(site: Site, setting: Setting, rows: Filled) -> FloatArray:
    """(p, rows) of the setting's design."""
    if setting.design is None:
        raise Invalid("E-DESIGN", "imputation needs a design")
    return site.gaps.matrix(setting.design, rows.rows, rows.number, rows.coded)


def model_inputs(site: Site, model: Model, rows: Filled) -> Inputs:
    """Inputs of an imputation model: rows in which its variable has a value, the others filled in."""
    seen = rows.taken(~site.missing[model.target])
    design, target = columns(site, model.setting, seen), model.target
    if model.method == "multinomial":
        return Inputs(rows=seen.rows, numbers={}, codes={target: seen.codes[target]}, design=design)
    return Inputs(rows=seen.rows, numbers={target: seen.number(target)}, codes={}, design=design)


def part(
    site: Site, name: str, fit: tuple[Statistic, Any, Setting], inputs: Callable[[], Inputs], asked: Round
) -> tuple[Answer, Evidence]:
    """This site's part of one member's round, and the evidence about its fit; `name` is unique to the rows behind it."""
    statistic, question, setting = fit
    if name not in site.fits:
        prepared = statistic.prepare(question, setting, inputs())
        site.fits[name] = (prepared, statistic.evidence(question, setting, prepared))
    prepared, evidence = site.fits[name]
    return statistic.summarise(question, setting, prepared, asked), evidence
