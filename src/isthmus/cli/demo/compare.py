"""The federated fit before rounding for release, beside the same analysis on all rows in one table.

The left side is computed again from the pooled sums in the hub's auditor's bundle; the right side is `pooled.py`.
Nothing here ever runs in a real study: nobody has all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.cli.demo import pooled
from isthmus.cli.demo.data import ARMS

if TYPE_CHECKING:
    import pyarrow as pa

    from isthmus.federation.script import Script

Unrounded = Mapping[str, tuple[Mapping[str, Any], tuple[float, ...]]]


def before_rounding(audit: bytes) -> Unrounded:
    """Every analysis at full precision, from the auditor's form of the bundle."""
    from isthmus.federation.audit import replayed
    from isthmus.sdk.bundle import verified

    return unrounded(replayed(verified(audit, [])))


def unrounded(script: Script) -> Unrounded:
    """Analysis -> (its body at full precision; the ends of its grid's steps), from the pooled sums alone."""
    from isthmus.federation.script import Ended

    bodies = {}
    for question in script.order():
        outcome = script.outcomes.get(question.name)
        if question is not script.plan.questions[0] and isinstance(outcome, Ended):
            setting = question.setting(script.agreed[question.name])
            body = question.statistic.report(question.arguments, setting, outcome.estimate)
            bodies[question.name] = (body, setting.grid.edges if setting.grid else ())
    return bodies


def differences(federated: Unrounded, sites: Mapping[str, pa.Table]) -> dict[str, dict[str, float]]:
    """Analysis -> `largest_difference` between the two, over estimates and errors, curve values or the statistic."""
    rows = Rows(sites)
    found: dict[str, dict[str, float]] = {}
    for name, (body, edges) in federated.items():
        pair = _pair(body, edges, rows)
        if pair is not None:
            ours, theirs = (np.asarray(side, dtype=np.float64) for side in pair)
            found[name] = {"largest_difference": float(np.abs(ours - theirs).max())}
    return found


class Rows:
    """All rows of all sites in one table: what no party of a real study ever has."""

    def __init__(self, sites: Mapping[str, pa.Table]) -> None:
        import pyarrow as pa

        table = pa.concat_tables(list(sites.values()))
        self.columns = {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}
        self.site = np.repeat(np.arange(len(sites)), [t.num_rows for t in sites.values()]).astype(np.float64)
        self.arm = np.array([ARMS.index(a) for a in self.columns["arm"]])

    def number(self, name: str) -> pooled.Array:
        """A numeric column."""
        base, _, unit = name.partition("_1")  # age_10 is age / 10, cd4_100 is cd4 / 100
        if unit:
            return np.asarray(self.columns[base], dtype=np.float64) / float(f"1{unit}")
        return np.asarray(self.columns[name], dtype=np.float64)

    def design(self, terms: Sequence[str]) -> pooled.Array:
        """Columns named as results name them: `(Intercept)`, `age`, `arm[ddI]`."""
        return np.column_stack([self._column(term) for term in terms])

    def _column(self, term: str) -> pooled.Array:
        if term == "(Intercept)":
            return np.ones(self.arm.size)
        name, _, level = term.partition("[")
        if not level:
            return self.number(name)
        return np.asarray(self.columns[name] == level.removesuffix("]"), dtype=np.float64)


def _pair(
    body: Mapping[str, Any], edges: tuple[float, ...], rows: Rows
) -> tuple[Sequence[float], Sequence[float]] | None:
    days, event, ends = rows.number("days"), rows.number("event"), np.array([0.0, *edges])
    if "terms" in body:
        return _model(body, rows, days, event)
    if "curves" in body:
        ours = [s for curve in body["curves"] for s in curve["survival"]]
        groups = [ARMS.index(curve["group"]["arm"]) for curve in body["curves"]]
        curves = [pooled.kaplan_meier(days[rows.arm == g], event[rows.arm == g], ends) for g in groups]
        return ours, [float(s) for curve in curves for s in curve.survival]
    if "statistic" in body.get("fit", {}):
        return [body["fit"]["statistic"]], [pooled.log_rank(days, event, rows.arm, ends)]
    return None


def _model(
    body: Mapping[str, Any], rows: Rows, days: pooled.Array, event: pooled.Array
) -> tuple[Sequence[float], Sequence[float]]:
    x = rows.design([term["term"] for term in body["terms"]])
    if "family" in body["fit"]:
        fit = pooled.logistic(x, (rows.number("cd4_week20") > rows.number("cd4")).astype(np.float64))
    else:
        fit = pooled.cox(x, days, event, rows.site)
    ours = [t[key] for key in ("estimate", "std_error") for t in body["terms"]]
    return ours, [*fit.estimate.tolist(), *fit.std_error.tolist()]
