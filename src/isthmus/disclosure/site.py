"""What a site checks beside its rows before anything is encoded: one small function per rule over `Evidence`.

Every rule is looked at even when an earlier one failed, so that the time taken does not tell which. What they
return stays at the site: `Verdict.broken` names what failed (never a count), for the site's own ledger. A rule at its open value (`model.rules.OPEN`) restricts nothing, a site with no row included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.evidence import Evidence, Weights
from isthmus.model.record import record
from isthmus.model.rules import Rules, applies
from isthmus.summary import FloatArray, IntArray

SLACK = 1e-9  # relative: 0.29 * 100 is below 29 in binary, and equal weights sum to within an ulp or two


@record
class Verdict:
    """One rule on one question at this site. It never leaves the site.

    `broken` names the groups, indicators, cells or sums that fail; empty when the rule holds.
    """

    rule: str
    limit: str
    broken: tuple[str, ...]


@record
class Considered:
    """Every site rule on one question under the rules named. Made here only; it never leaves the site."""

    rules: Rules
    verdicts: tuple[Verdict, ...]

    @property
    def holds(self) -> bool:
        """Whether every rule holds."""
        return not any(verdict.broken for verdict in self.verdicts)


def consider(evidence: Evidence, rules: Rules) -> Considered:
    """Every site rule on one question, in a fixed order; a rule that does not apply holds."""
    verdicts = tuple(_verdict(rule, rules, check(evidence, rules)) for rule, check in SITE_RULES.items())
    return Considered(rules=rules, verdicts=verdicts)


def weigh(weights: Weights | None, rules: Rules) -> Considered:
    """The weight guard of one round: effective rows and the largest share of one row.

    Effective rows (sum w)^2 / sum w^2 must reach minimum_count and parameters / parameters_per_row, so that
    parameters which make one row speak for all are refused whoever chose them. A round without weights passes.
    """
    if weights is None:
        return Considered(rules=rules, verdicts=())
    checks = (
        ("minimum_count", _too_few),
        ("parameters_per_row", _too_steep),
        ("maximum_weight_share", _too_heavy),
    )
    return Considered(rules=rules, verdicts=tuple(_verdict(r, rules, check(weights, rules)) for r, check in checks))


def shows(cells: Mapping[str, IntArray], rules: Rules) -> Considered:
    """The rules for cells on what one round shows beyond the evidence."""
    evidence = Evidence(rows=0, cells=cells)
    checks = (("minimum_count_site", minimum_count_site), ("zeros", zeros))
    return Considered(rules=rules, verdicts=tuple(_verdict(r, rules, check(evidence, rules)) for r, check in checks))


def admits(block: IntArray, rules: Rules) -> NDArray[np.bool_]:
    """Per row of `block` (words, k): whether counts of this site in all its cells may be shown, by the rules for cells."""
    allowed = np.ones(len(block), dtype=np.bool_)
    if rules.minimum_count_site is not None and applies(rules, "minimum_count_site"):
        allowed &= ~np.any((block != 0) & (block < rules.minimum_count_site), axis=1)
        if applies(rules, "zeros"):
            allowed &= ~np.any(block == 0, axis=1)
    return allowed


def reasons(considered: Considered) -> list[dict[str, Any]]:
    """The exact reasons, for the site's own ledger and custodian only: rule, limit, what failed; no counts."""
    return [{"rule": v.rule, "limit": v.limit, "broken": list(v.broken)} for v in considered.verdicts if v.broken]


def reasons_in_words(considered: Considered) -> str:
    """The same as one line: `minimum_count 11: population, support arm; maximum_share 0.9: arm`."""
    return "; ".join(f"{r['rule']} {r['limit']}: {', '.join(r['broken'])}" for r in reasons(considered))


def reaches(evidence: Evidence, rules: Rules) -> bool:
    """Whether what a question sent was nobody or enough, looked at once more, and apart from the rules, before a result is signed."""
    least = rules.minimum_count_site or 1
    few = any(np.any((np.ravel(c) > 0) & (np.ravel(c) < least)) for c in evidence.cells.values())
    return not few and evidence.rows >= (rules.minimum_count or 1)


def minimum_count(evidence: Evidence, rules: Rules) -> tuple[str, ...]:
    """Populations, groups and supports reach `minimum_count`, zero included; pairs and sides do or are zero."""
    if rules.minimum_count is None or not applies(rules, "minimum_count"):
        return ()
    floor = rules.minimum_count
    named = {"population": np.asarray([evidence.rows], dtype=np.int64)}
    named |= {f"group {name}": counts for name, counts in evidence.groups.items()}
    named |= {f"support {name}": counts for name, counts in evidence.supports.items()}
    broken = [name for name, counts in named.items() if np.any(counts < floor)]
    broken += [f"pair {name}" for name in _small(evidence.pairs, floor)]
    return (*broken, *(f"side {name}" for name in _small(evidence.sides, floor)))


def minimum_count_site(evidence: Evidence, rules: Rules) -> tuple[str, ...]:
    """Cells, bins and steps at this site are zero or reach `minimum_count_site`."""
    if rules.minimum_count_site is None or not applies(rules, "minimum_count_site"):
        return ()
    return tuple(f"cell {name}" for name in _small(evidence.cells, rules.minimum_count_site))


def zeros(evidence: Evidence, rules: Rules) -> tuple[str, ...]:
    """No pair of indicators is empty, where zeros are barred; no cell either, unless only sums over sites leave."""
    if not applies(rules, "zeros"):
        return ()
    named = {f"pair {name}": counts for name, counts in evidence.pairs.items()}
    if applies(rules, "minimum_count_site"):  # at 1 the cells of one site are nobody's to see: the sum is gated
        named |= {f"cell {name}": counts for name, counts in evidence.cells.items()}
    return tuple(name for name, counts in named.items() if np.any(counts == 0))


def minimum_dof(evidence: Evidence, rules: Rules) -> tuple[str, ...]:
    """Rows beyond the fitted parameters, of every fit; where groups have fits of their own (a standard deviation), in each group."""
    least = rules.minimum_dof
    if least is None or not applies(rules, "minimum_dof"):
        return ()
    fits = [name for name, (rows, parameters) in _fits(evidence).items() if parameters and rows < parameters + least]
    need = evidence.parameters + least
    groups = [name for name, counts in evidence.groups.items() if np.any((counts > 0) & (counts < need))]
    return (*fits, *(f"group {name}" for name in groups if evidence.parameters))


def parameters_per_row(evidence: Evidence, rules: Rules) -> tuple[str, ...]:
    """A fit with nearly as many parameters as rows gives the outcomes back; so do risk sets in too many bins."""
    share = rules.parameters_per_row
    if share is None or not applies(rules, "parameters_per_row"):
        return ()
    fits = _fits(evidence)
    return tuple(name for name, (rows, parameters) in fits.items() if parameters > share * rows * (1 + SLACK))


def maximum_leverage(evidence: Evidence, rules: Rules) -> tuple[str, ...]:
    """No row determines its own fitted value."""
    if rules.maximum_leverage is None or not applies(rules, "maximum_leverage"):
        return ()
    return () if evidence.leverage <= rules.maximum_leverage * (1 + SLACK) else ("fit",)  # NaN fails


def dominance(evidence: Evidence, rules: Rules) -> tuple[str, ...]:
    """n-k: the largest n contributions are at most a share k; p: what the two largest leave is at least p of the largest.

    On absolute values. Where signs mix, the positive and the negative contributions are each held to the rule as well,
    for the sum of the absolute values tells each of them apart; a side of n people or fewer cannot meet it.
    """
    if not applies(rules, "dominance"):
        return ()
    return tuple(f"sum {name}" for name, values in evidence.sums.items() if _dominated_by_sign(values, rules))


SITE_RULES: Mapping[str, Callable[[Evidence, Rules], tuple[str, ...]]] = {
    "minimum_count": minimum_count,
    "minimum_count_site": minimum_count_site,
    "zeros": zeros,
    "minimum_dof": minimum_dof,
    "parameters_per_row": parameters_per_row,
    "maximum_leverage": maximum_leverage,
    "dominance": dominance,
}


def _fits(evidence: Evidence) -> dict[str, tuple[int, int]]:
    """Rows and parameters of the fit, if there is one, and of what is as good as one."""
    return {"fit": (evidence.rows, evidence.parameters), **evidence.fits}


def _verdict(rule: str, rules: Rules, broken: tuple[str, ...]) -> Verdict:
    return Verdict(rule=rule, limit=str(getattr(rules, rule)), broken=broken)


def _small(named: Mapping[str, IntArray], floor: int) -> list[str]:
    return [name for name, counts in named.items() if np.any((counts != 0) & (counts < floor))]


def _dominated_by_sign(values: FloatArray, rules: Rules) -> bool:
    sides = (values[values > 0.0], values[values < 0.0])
    mixed = all(side.size for side in sides)
    return _dominated(values, rules) or (mixed and any(_dominated(side, rules) for side in sides))


def _dominated(values: FloatArray, rules: Rules) -> bool:
    rule = rules.dominance
    if rule is None or not values.size:
        return False
    if not np.all(np.isfinite(values)):
        return True
    most = min(max(rule.n, 2), values.size)
    top = np.sort(np.partition(np.abs(values), values.size - most)[values.size - most :])[::-1]
    total = float(np.sum(np.abs(values)))
    shared = rule.k >= 1.0 or float(np.sum(top[: rule.n])) <= rule.k * total * (1 + SLACK)
    rest = total - float(np.sum(top[:2]))
    return not (shared and (rule.p <= 0.0 or rest >= rule.p * float(top[0]) * (1 - SLACK)))


def _effective_rows(weights: Weights) -> float:
    return weights.total / weights.squares * weights.total if weights.squares > 0 else 0.0


def _too_few(weights: Weights, rules: Rules) -> tuple[str, ...]:
    if rules.minimum_count is None or not applies(rules, "minimum_count"):
        return ()
    return () if _effective_rows(weights) >= rules.minimum_count * (1 - SLACK) else ("effective rows",)


def _too_steep(weights: Weights, rules: Rules) -> tuple[str, ...]:
    if rules.parameters_per_row is None or not applies(rules, "parameters_per_row"):
        return ()
    need = weights.parameters / rules.parameters_per_row
    return () if _effective_rows(weights) >= need * (1 - SLACK) else ("effective rows per parameter",)


def _too_heavy(weights: Weights, rules: Rules) -> tuple[str, ...]:
    if rules.maximum_weight_share is None or not applies(rules, "maximum_weight_share"):
        return ()
    share = weights.largest / weights.total if weights.total > 0 else 1.0
    return () if share <= rules.maximum_weight_share * (1 + SLACK) else ("largest weight",)
