"""Meta-analysis of figures that are known already: published estimates or tables, or results of several studies.

No rows and no sites are involved; the question `meta` does the same over the levels of a category.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.sdk.result import AnalysisResult
from isthmus.strict import parse

if TYPE_CHECKING:
    from isthmus.statistics.meta_report import Studies


@record
class Ways:
    """How figures are pooled; the words are those of the question `meta`."""

    method: str = "REML"
    interval: str = "z"
    measure: str | None = None
    conf_level: float = 0.95
    groups: Mapping[str, str] | None = None


def pool_estimates(estimates: Mapping[str, Sequence[float]], **ways: Any) -> AnalysisResult:
    """Pool estimates, each with its standard error.

    Args:
        estimates: label -> (estimate, standard error); ratios as their logarithms.
        **ways: `method` (REML), `interval` (z), `measure` (what exp(estimate) is called: OR, RR, HR), `conf_level`
            (0.95), `groups` (label -> subgroup).

    Raises:
        Invalid: E-META, what cannot be pooled; E-UNKNOWN-KEY.

    >>> found = pool_estimates({"Leeds": (-0.41, 0.12), "Boston": (-0.22, 0.15), "Oslo": (-0.3, 0.2)}, measure="OR")
    >>> round(found.tidy()["estimate"][-1].as_py(), 3)
    -0.329
    """
    from isthmus.statistics.meta_report import Studies

    asked = parse(Ways, ways, "pool_estimates")
    if any(len(pair) != 2 for pair in estimates.values()):
        raise Invalid("E-META", "each figure is an estimate and its standard error", "as a pair")
    figures = np.array([*estimates.values()], dtype=np.float64).reshape(-1, 2)
    made = Studies(tuple(estimates), figures[:, 0], figures[:, 1] ** 2, None, _groups(asked, tuple(estimates)))
    return _result(made, asked, None)


def pool_tables(tables: Mapping[str, Sequence[float]], **ways: Any) -> AnalysisResult:
    """Pool fourfold tables.

    Args:
        tables: label -> (events of the treated, treated, events of the others, others).
        **ways: as for `pool_estimates`; `measure` is OR (unless stated), RR or RD, and `method` may be MH or Peto.

    Raises:
        Invalid: E-META, counts that are no table, or what cannot be pooled; E-UNKNOWN-KEY.
    """
    from isthmus.statistics.meta_report import of_tables

    asked = parse(Ways, {"measure": "OR", **ways}, "pool_tables")
    if any(len(row) != 4 or not _possible(row) for row in tables.values()):
        raise Invalid("E-META", "each table is events and people of two arms", "events_1, n_1, events_0, n_0")
    events = np.array([*tables.values()], dtype=np.float64).reshape(-1, 2, 2)
    cells = np.stack([events[:, :, 0], events[:, :, 1] - events[:, :, 0]], axis=2)
    made = of_tables(tuple(tables), cells, _how(asked), _groups(asked, tuple(tables)))
    return _result(made, asked, int(events[:, :, 1].sum()))


def _possible(row: Sequence[float]) -> bool:
    return 0 <= row[0] <= row[1] and 0 <= row[2] <= row[3] and row[1] > 0 and row[3] > 0


def _groups(asked: Ways, labels: tuple[str, ...]) -> tuple[str, ...] | None:
    if asked.groups is None:
        return None
    if set(asked.groups) != set(labels):
        raise Invalid("E-META", "`groups` names other figures than those given", "one subgroup for each label")
    return tuple(asked.groups[label] for label in labels)


def _how(asked: Ways) -> Any:
    from isthmus.statistics.meta_report import How

    stated = {name: getattr(asked, name) for name in ("method", "interval", "measure", "conf_level")}
    return parse(How, stated, "how")


def _result(studies: Studies, asked: Ways, people: int | None) -> AnalysisResult:
    from isthmus.statistics.meta_report import body

    made = {"kind": "meta", "exactness": "exact", "n": people, "rounds": 0, **body(studies, _how(asked))}
    return AnalysisResult("meta", made, {"title": "", "sites": []})
