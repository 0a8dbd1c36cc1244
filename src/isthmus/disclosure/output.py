"""The output gate: what people may see of the pooled sums. A pure function, so every party computes the same bytes.

Suppression comes first, on exact counts; rounding last. Rates and curves are computed afterwards from what is left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.disclosure.curve import gate_curve
from isthmus.disclosure.gate import refusal
from isthmus.disclosure.rounding import round_counts
from isthmus.disclosure.rules import Finding, Status
from isthmus.disclosure.suppression import gate_table
from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.model.rules import MAXIMUM_DIGITS, Rules, applies
from isthmus.summary import FloatArray

# Lists of a result that come from the study and the codebook, not from rows: shown as they are.
PUBLIC = frozenset({"time", "grid", "edges", "from", "to", "prob", "at", "tau", "conf_level", "threshold"})


@dataclass(frozen=True, slots=True)
class Gated:
    """Counts that people may see (float64, NaN where suppressed), and what the rules did."""

    counts: Mapping[str, Counts]
    findings: tuple[Finding, ...]


def gate_counts(counts: Mapping[str, Counts], rules: Rules, kind: str = "") -> Gated:
    """Blank, merge and round pooled counts.

    `implied` counts are never shown: each is 0 (where zeros are allowed) or reaches the floor, else all is refused;
    they come back as NaN. `size` reaches the floor or all is refused.

    Raises:
        Refused: E-DISCLOSURE, the constant text of `refusal(kind)`.
    """
    floor = rules.minimum_count if rules.minimum_count is not None and applies(rules, "minimum_count") else 1
    least = _Least(floor=floor, bars_zero=applies(rules, "zeros"))
    if any(_forbidden(c, least) for c in counts.values()):
        raise refusal(kind)
    kept = {name: replace(c, values=_suppress(c, least)) for name, c in counts.items()}
    suppressed = any(_lost(kept[name]) for name in counts)
    shown = {name: replace(c, values=round_counts(c, rules.round_to or 1)) for name, c in kept.items()}
    status: Status = "Passed after suppression" if suppressed else "Passed"
    if any(_lost(c) and np.squeeze(c.values).ndim > 2 for c in kept.values()):
        status = "Look"  # more than two variables: lines were guarded one by one
    return Gated(shown, tuple(_findings(rules, status)))


def check_fit(n: int, parameters: int, rules: Rules, kind: str = "") -> tuple[Finding, ...]:
    """Degrees of freedom and parameters per row of a pooled fit; nothing where nothing is fitted.

    Raises:
        Refused: E-DISCLOSURE.
    """
    if parameters == 0:
        return ()
    found = []
    if rules.minimum_dof is not None and applies(rules, "minimum_dof"):
        found.append(("minimum_dof", n - parameters >= rules.minimum_dof))
    if rules.parameters_per_row is not None and applies(rules, "parameters_per_row"):
        found.append(("parameters_per_row", parameters <= rules.parameters_per_row * n * (1 + 1e-9)))
    if not all(holds for _, holds in found):
        raise refusal(kind)
    return tuple(Finding(rule=rule, status="Passed") for rule, _ in found)


def round_numbers(body: dict[str, Any], digits: int | None) -> dict[str, Any]:
    """A JSON body with every number that is not whole rounded to `digits` significant digits.

    Whole numbers are counts, gated and rounded before; public lists (`PUBLIC`) stay; NaN becomes null.

    Raises:
        Invalid: E-RANGE, an infinite number.
    """
    rounded: dict[str, Any] = _rounded(body, MAXIMUM_DIGITS if digits is None else digits)
    return rounded


@dataclass(frozen=True, slots=True)
class _Least:
    floor: int
    bars_zero: bool

    def too_small(self, values: Any) -> Any:
        zero = values == 0
        return (values < self.floor) & ~zero | (zero & self.bars_zero)


def _forbidden(counts: Counts, least: _Least) -> bool:
    if counts.kind == "implied":
        return bool(np.any(least.too_small(counts.values)))
    return counts.kind == "size" and least.floor > 1 and bool(np.any(counts.values < least.floor))


def _suppress(counts: Counts, least: _Least) -> FloatArray:
    values = np.asarray(counts.values, dtype=np.float64)
    if counts.kind == "implied":
        return np.full(values.shape, np.nan)
    if counts.kind == "size" or (least.floor == 1 and not least.bars_zero):
        return values
    if counts.kind == "survival":
        return gate_curve(values, least.floor, least.bars_zero)
    if counts.of is None:
        return gate_table(values, least.too_small(values), least.floor, least.bars_zero)
    both = np.stack([values, np.asarray(counts.of, dtype=np.float64) - values])
    kept: FloatArray = gate_table(both, least.too_small(both), least.floor, least.bars_zero)[0]
    return kept


def _lost(counts: Counts) -> bool:
    return counts.kind != "implied" and bool(np.any(np.isnan(counts.values)))


def _findings(rules: Rules, status: Status) -> list[Finding]:
    found = [Finding(rule=rule, status=status) for rule in ("minimum_count", "zeros") if applies(rules, rule)]
    if applies(rules, "round_to"):
        found.append(Finding(rule="round_to", status="Passed"))
        # Rounded counts come back exactly from estimates at full precision: a person should know.
        full = rules.digits is None or rules.digits >= MAXIMUM_DIGITS
        found.append(Finding(rule="digits", status="Look" if full else "Passed"))
    return found


def _rounded(value: Any, digits: int, public: bool = False) -> Any:
    match value:
        case Mapping():
            return {key: _rounded(item, digits, public or key in PUBLIC) for key, item in value.items()}
        case list() | tuple():
            return [_rounded(item, digits, public) for item in value]
        case np.ndarray():
            return _rounded(value.tolist(), digits, public)
        case float() | np.floating():
            return _number(float(value), MAXIMUM_DIGITS if public else digits)
        case np.bool_():
            return bool(value)
        case np.integer():
            return int(value)
        case _:
            return value


def _number(value: float, digits: int) -> float | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise Invalid("E-RANGE", "a result is infinite", "separated or empty groups; check the formula and the events")
    return value if digits >= MAXIMUM_DIGITS else float(f"{value:.{digits - 1}e}")
