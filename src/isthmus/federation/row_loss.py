"""What the one row set of a study (`missing: study`) costs an analysis: a warning, from numbers that are shown anyway.

How many rows have all variables of one analysis is not asked of the sites: beside the study's row set it would tell how
many lack the others' variables alone, and each such row set would burden the history. But the population, its complete
rows and the rows that lack each variable are known, and they bound it: at most as many rows lack a variable of the
analysis as lack each of them, added up, and at least as many as lack the one that is missing most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST = 0.05  # of an analysis' own complete cases, without a word


@dataclass(frozen=True, slots=True)
class Known:
    """Gated numbers of a study.

    Attributes:
        rows: of the population.
        complete: those that have every variable of the study.
        lacking: variable -> rows that lack it; None where that is not told.
        derived: variables of which not even the order of such a number is known.
        floor: numbers below it are not told.
        half: what rounding may have added or taken.
    """

    rows: int
    complete: int
    lacking: Mapping[str, int | None]
    derived: frozenset[str]
    floor: int
    half: float

    def span(self, name: str) -> tuple[float, float]:
        """Least and most rows that lack a variable."""
        value = self.lacking.get(name, 0)
        if value is None:
            return (0.0, float(self.rows)) if name in self.derived else (0.0, self.floor - 1.0)
        return (max(value - self.half, 0.0), value + self.half) if value else (0.0, 0.0)


def warning(known: Known, own: Sequence[str], others: Sequence[str], n: int | None = None) -> str | None:
    """What to say of an analysis; nothing where it loses 5 % of its own complete cases or fewer.

    Args:
        known: of the study.
        own: variables that it reads.
        others: those of other analyses.
        n: its rows, where conditions of its own leave some out of the population.
    """
    spans = [known.span(name) for name in own]
    most = sum(known.span(name)[1] for name in others)
    rows = n if n is not None else known.complete
    least = 0.0
    if n is None:
        most = min(most, known.rows + known.half - max((low for low, _ in spans), default=0.0) - rows + known.half)
        least = max(known.rows - known.half - sum(high for _, high in spans) - rows - known.half, 0.0)
    low, high = least / max(rows + known.half + least, 1.0), most / max(rows - known.half + most, 1.0)
    if high <= MOST:
        return None
    if low > MOST and least >= known.floor:
        share = f"{100.0 * low:.0f} %" if round(100.0 * high) <= round(100.0 * low) else f"{100.0 * low:.0f} % or more"
        return f"{share} of its own complete cases are left out, for they lack variables of other analyses alone; `missing: analysis` keeps them"
    return (
        "not checked: whether more than 5 % of its own complete cases are left out, for they lack variables of other analyses "
        "alone; the numbers that may be told do not say"
    )
