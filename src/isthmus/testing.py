"""Public checks that extension authors run on their own statistics (and the project's law tests on the catalogue).

    check_statistic(my_statistic, Example(question, setting, inputs))

raises `Invalid` E-LAW when a law does not hold: parts add up across any split of the rows, a site without rows
changes nothing, federated equals pooled, a replay gives the same bits, the result is JSON.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.statistics.contract import Estimate, Inputs, Round, Setting, Statistic
from isthmus.summary import WHOLE, FloatArray, Summary, add

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FRACTION_BITS = 64  # of the masked sums
TOLERANCE = 1e-9  # relative; STATISTICS.md's gate for iterative fits


@dataclass(frozen=True, slots=True)
class Example:
    """A question with the rows of all sites pooled."""

    question: Any
    setting: Setting
    inputs: Inputs


@dataclass(frozen=True, slots=True)
class Trace:
    """What a run of a flow asked, what was pooled, what came out and its report."""

    rounds: tuple[Round, ...]
    pooled: tuple[Summary, ...]
    estimate: Estimate
    report: dict[str, Any]


def run_flow(statistic: Statistic, question: Any, setting: Setting, parts: Sequence[Inputs]) -> Trace:
    """Drive a flow over in-memory sites without masking; sums are rounded to the masked sums' fixed point."""
    setting = replace(setting, sites=len(parts))
    prepared = [statistic.prepare(question, setting, part) for part in parts]
    asked: list[Round] = []
    sums: list[Summary] = []
    flow = statistic.flow(question, setting)
    try:
        request = next(flow)
        while True:
            answers = [statistic.summarise(question, setting, own, request).summary for own in prepared]
            if any(answer.layout != request.layout for answer in answers):
                raise Invalid("E-LAW", "an answer has another layout than its round")
            pooled = fixed(answers[0])
            for answer in answers[1:]:
                pooled = add(pooled, fixed(answer))
            asked.append(request)
            sums.append(pooled)
            request = flow.send(pooled)
    except StopIteration as stop:
        return Trace(tuple(asked), tuple(sums), stop.value, statistic.report(question, setting, stop.value))


def replay(statistic: Statistic, question: Any, setting: Setting, trace: Trace) -> Estimate:
    """Drive the flow again from recorded sums, as another party does."""
    flow = statistic.flow(question, replace(setting, sites=setting.sites))
    try:
        next(flow)
        for pooled in trace.pooled:
            flow.send(pooled)
    except StopIteration as stop:
        estimate: Estimate = stop.value
        return estimate
    raise Invalid("E-LAW", "a replay asks for more rounds than the run had")


def fixed(summary: Summary) -> Summary:
    """Every float rounded to 64 fractional bits, as the masked sums carry it."""
    unit = 2.0**FRACTION_BITS
    made = {
        f.name: summary.values[f.name] if f.kind in WHOLE else np.rint(summary[f.name] * unit) / unit
        for f in summary.layout.fields
    }
    if not all(bool(np.all(np.isfinite(v))) for v in made.values()):
        raise Invalid("E-LAW", "a sum is not finite")
    return Summary(summary.layout, made)


def subset(inputs: Inputs, keep: NDArray[np.bool_]) -> Inputs:
    """The rows where `keep` (rows,) is True."""
    gaps = inputs.gaps
    return Inputs(
        rows=int(np.count_nonzero(keep)),
        numbers={name: values[keep] for name, values in inputs.numbers.items()},
        codes={name: values[keep] for name, values in inputs.codes.items()},
        design=None if inputs.design is None else np.ascontiguousarray(inputs.design[:, keep]),
        keys={name: values[keep] for name, values in inputs.keys.items()},
        gaps=None if gaps is None else replace(gaps, keys=gaps.keys[keep]),
    )


def split(inputs: Inputs, sites: NDArray[np.int64], count: int) -> list[Inputs]:
    """Rows dealt to `count` sites by number; a site may stay empty."""
    return [subset(inputs, sites == site) for site in range(count)]


def together(inputs: Inputs, sites: NDArray[np.int64]) -> NDArray[np.int64]:
    """`sites` (rows,) with rows of one key at one site, that of the first of them: no identifier spans sites."""
    dealt = sites
    for key in inputs.keys.values():
        _, first, code = np.unique(key, return_index=True, return_inverse=True)
        dealt = dealt[first][code.reshape(-1)]
    return dealt


def check_statistic(statistic: Statistic, example: Example, sites: NDArray[np.int64] | None = None) -> Trace:
    """Check every law on one example; `sites` deals the rows (default: three sites in turn and an empty one);
    rows that share a key stay together.

    Raises:
        Invalid: E-LAW, naming the law.
    """
    question, inputs = example.question, example.inputs
    dealt = together(inputs, np.arange(inputs.rows) % 3 if sites is None else sites)
    parts = split(inputs, dealt, int(dealt.max(initial=0)) + 2)
    setting = replace(example.setting, sites=len(parts))
    pooled = run_flow(statistic, question, setting, [inputs])
    federated = run_flow(statistic, question, setting, parts)
    _check_additive(statistic, question, setting, (inputs, parts), pooled)
    difference = largest_difference(federated.report, pooled.report)
    if difference > TOLERANCE:
        raise Invalid("E-LAW", f"federated and pooled differ by {difference:.1e} relative")
    for _ in range(2):
        again = statistic.report(question, setting, replay(statistic, question, setting, federated))
        if json.dumps(again) != json.dumps(federated.report):
            raise Invalid("E-LAW", "a replay gives other bits")
    if json.loads(json.dumps(federated.report, allow_nan=False)) != federated.report:
        raise Invalid("E-LAW", "the result is not JSON")
    for part in parts:
        statistic.evidence(question, setting, statistic.prepare(question, setting, part))
    return federated


def largest_difference(left: Any, right: Any) -> float:
    """Largest relative difference of two results of one shape; infinite when their shapes or texts differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        if set(left) != set(right):
            return math.inf
        return max((largest_difference(left[k], right[k]) for k in left), default=0.0)
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            return math.inf
        return max((largest_difference(a, b) for a, b in zip(left, right, strict=True)), default=0.0)
    if isinstance(left, float) and isinstance(right, (int, float)):
        return abs(left - right) / max(abs(left), abs(right), 1e-8)
    return 0.0 if left == right else math.inf


def _check_additive(
    statistic: Statistic, question: Any, setting: Setting, rows: tuple[Inputs, list[Inputs]], trace: Trace
) -> None:
    """At the parameters of every round, the parts' answers add up to the answer of all rows (unless sites are strata)."""
    if "site" in (getattr(question, "strata", None) or ()):
        return
    whole = statistic.prepare(question, setting, rows[0])
    own = [statistic.prepare(question, setting, part) for part in rows[1]]
    for request in trace.rounds:
        expected = statistic.summarise(question, setting, whole, request).summary
        found = [statistic.summarise(question, setting, part, request).summary for part in own]
        for f in request.layout.fields:
            total: FloatArray = np.sum([summary[f.name] for summary in found], axis=0)
            room = 1e-10 * np.sum([np.abs(summary[f.name]) for summary in found], axis=0) + 1e-12
            if f.kind in WHOLE:
                room = room * 0.0
            if bool(np.any(np.abs(total - expected[f.name]) > room)):
                raise Invalid("E-LAW", f"parts of {f.name!r} do not add up to the whole")
