"""What imputation models hold of an outcome that is a time: the event, and the cumulative baseline hazard at the time.

White & Royston (2009) show that a covariate's model holds the event indicator and H0(T), for which the Nelson-Aalen
estimate of H(T) stands well. With sites as strata each site takes it from its own rows, in each stratum; with one
baseline it comes from pooled events and numbers at risk at the steps of the grid. A parametric model has H0 by its
distribution: there the models hold the event, the time and its logarithm.

Reference: White & Royston (2009), Stat Med 28:1982.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.model.formula import parse
from isthmus.model.record import record
from isthmus.statistics import survival
from isthmus.statistics.contract import Setting
from isthmus.summary import Field, FloatArray, IntArray

HAZARD = "cumulative_hazard"  # the column's name in the formulas of models
Baseline = Literal["site", "grid", "parametric"]


@record
class Timing:
    """The names of an outcome that is a time, its strata (`site` apart), and where its hazard comes from."""

    entry: str | None
    time: str
    event: str
    strata: tuple[str, ...]
    baseline: Baseline

    @property
    def outcomes(self) -> tuple[str, ...]:
        """As terms of a model."""
        return (self.event, *((self.time, f"log({self.time})") if self.baseline == "parametric" else (HAZARD,)))


def timing(kind: str, arguments: Any, strata: Sequence[str]) -> Timing | None:
    """Of an analysis; None where its outcome is no time."""
    found = parse(arguments.formula)
    if found.surv is None:
        return None
    stated = (*(getattr(arguments, "strata", ()) or ()), *found.strata)
    baseline: Baseline = "parametric" if kind == "parametric_survival" else "site" if "site" in stated else "grid"
    return Timing(
        entry=found.surv.entry, time=found.surv.time, event=found.surv.event, strata=tuple(strata), baseline=baseline
    )


def held(timing: Timing | None, dictionary: Codebook) -> Codebook:
    """The dictionary with the hazard's column.

    Raises:
        Invalid: E-IMPUTE, a variable has its name.
    """
    if timing is None or timing.baseline == "parametric":
        return dictionary
    if HAZARD in dictionary.variables:
        raise Invalid("E-IMPUTE", f"a variable is called {HAZARD!r}, as the imputation models' own", "rename it")
    return Codebook(name=dictionary.name, variables={**dictionary.variables, HAZARD: Variable(type="number")})


@dataclass(frozen=True, slots=True)
class Times:
    """One site's rows: `event` is false and the rest is anything where `known` is false."""

    known: Any
    time: FloatArray
    event: Any
    entry: FloatArray
    stratum: Any
    strata: int


def times(timing: Timing, setting: Setting, numbers: Mapping[str, FloatArray], codes: Mapping[str, Any]) -> Times:
    """The rows' times."""
    time, event = numbers[timing.time], numbers[timing.event]
    entry = np.full(time.size, -np.inf) if timing.entry is None else numbers[timing.entry]
    known = ~(np.isnan(time) | np.isnan(event) | np.isnan(entry))
    for name in timing.strata:
        known &= codes[name] >= 0
    survival.check_times((timing.time, timing.event), time[known], event[known])
    clean = {name: np.maximum(codes[name], 0) for name in timing.strata}
    stratum = survival.strata_codes(timing.strata, setting.levels, clean, time.size)
    return Times(
        known, time, known & (event > 0.0), entry, stratum, survival.strata_count(timing.strata, setting.levels)
    )


def own_hazard(found: Times) -> FloatArray:
    """(rows,) Nelson-Aalen at each row's time, from this site's rows of the stratum."""
    made = np.zeros(found.time.size)
    for stratum in range(found.strata):
        here = found.known & (found.stratum == stratum)
        time, event, entry = found.time[here], found.event[here], np.sort(found.entry[here])
        steps, events = np.unique(time[event], return_counts=True)
        ordered = np.sort(time)
        risk = (ordered.size - np.searchsorted(ordered, steps, side="left")) - (
            entry.size - np.searchsorted(entry, steps, side="left")
        )
        whole = np.concatenate([[0.0], np.cumsum(events / np.maximum(risk, 1))])
        made[here] = whole[np.searchsorted(steps, time, side="right")]
    return made


def steps(setting: Setting, strata: int) -> int:
    """Cells of strata by steps of the grid, with what lies beyond."""
    if setting.grid is None:
        raise Invalid("E-NO-GRID", "the question has no time grid yet")
    return strata * (len(setting.grid.edges) + 1)


def fields(timing: Timing | None, setting: Setting) -> tuple[Field, ...]:
    """Of the first round, where the hazard is pooled: events, rows and entries of each cell."""
    if timing is None or timing.baseline != "grid":
        return ()
    cells = steps(setting, survival.strata_count(timing.strata, setting.levels))
    return tuple(
        Field(name=f"hazard {what}", shape=(cells,), kind="histogram") for what in ("events", "rows", "entries")
    )


def tallies(timing: Timing, setting: Setting, found: Times) -> dict[str, IntArray]:
    """This site's part of these fields."""
    if setting.grid is None:
        return {}
    known, shape = found.known, (found.strata, len(setting.grid.edges) + 1)
    time = survival.grid_steps(timing.time, found.time[known], setting.grid)
    came = survival.entry_steps(np.maximum(found.entry[known], 0.0), time, setting.grid)
    late, event = np.isfinite(found.entry[known]), found.event[known]
    at, every = found.stratum[known], np.ones(time.size, dtype=np.bool_)
    return {
        "hazard events": survival.tally(time, event, shape, at).reshape(-1),
        "hazard rows": survival.tally(time, every, shape, at).reshape(-1),
        "hazard entries": survival.tally(came, late, shape, at).reshape(-1),
    }


def cells(found: Mapping[str, IntArray]) -> dict[str, IntArray]:
    """What the tallies show: events, others, and entries of each cell."""
    if not found:
        return {}
    rest = found["hazard rows"] - found["hazard events"]
    return {
        "times with the event": found["hazard events"],
        "times without": rest,
        "entries": found["hazard entries"],
    }


def pooled_hazard(pooled: Mapping[str, Any], strata: int) -> FloatArray:
    """(strata * steps,) Nelson-Aalen at each step; what lies beyond the grid has that of its end."""
    events, rows, entries = (pooled[f"hazard {what}"].reshape(strata, -1) for what in ("events", "rows", "entries"))
    leaving = np.add.accumulate(rows[:, ::-1], axis=1)[:, ::-1]
    coming = np.add.accumulate(entries[:, ::-1], axis=1)[:, ::-1]
    later = np.concatenate([coming[:, 1:], np.zeros((strata, 1))], axis=1)
    jumps = np.where(events > 0.0, events / np.maximum(leaving - later, 1.0), 0.0)
    jumps[:, -1] = 0.0
    made: FloatArray = np.add.accumulate(jumps, axis=1).reshape(-1)
    return made


def of_rows(timing: Timing, setting: Setting, found: Times, hazard: FloatArray) -> FloatArray:
    """(rows,) a pooled hazard at each row's time."""
    made = np.zeros(found.time.size)
    if setting.grid is not None:
        time = survival.grid_steps(timing.time, found.time[found.known], setting.grid)
        made[found.known] = hazard.reshape(found.strata, -1)[found.stratum[found.known], time]
    return made
