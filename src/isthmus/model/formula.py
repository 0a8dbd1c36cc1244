"""The closed Wilkinson grammar: text -> `Formula` -> `Design` (column names), without touching any row."""

from __future__ import annotations

from isthmus.model.codebook import Codebook
from isthmus.model.record import record


@record
class Surv:
    """Left side `Surv(time, event)` or `Surv(entry, time, event)`."""

    time: str
    event: str
    entry: str | None = None


@record
class Factor:
    """One factor of a term: `name` (a variable), `function` applied to it (None, `log`, `exp`, `sqrt`, `C`, `power`, `bs`, `ns`), and literal arguments."""

    name: str
    function: str | None = None
    arguments: tuple[float, ...] = ()
    knots: tuple[float, ...] = ()
    boundary: tuple[float, float] | None = None


@record
class Formula:
    """A parsed formula. `terms` are main effects as written, then interactions by degree, as R orders them."""

    text: str
    response: str | None
    surv: Surv | None
    terms: tuple[tuple[Factor, ...], ...]
    intercept: bool
    offset: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    cluster: str | None = None


@record
class DesignColumn:
    """One column: its name as results show it (`RXASP[Y]`, `a:b`, `bs(AGE)[1]`) and how it is computed.

    `parts`: per factor (factor, level for a category or None, basis index for a spline or 0).
    `indicator`: True where values are 0 or 1 only (levels of categories and their interactions).
    """

    name: str
    parts: tuple[tuple[Factor, str | None, int], ...]
    indicator: bool


@record
class Design:
    """Columns of the right-hand side in R's order, intercept first when there is one."""

    columns: tuple[DesignColumn, ...]
    intercept: bool
    reference: tuple[tuple[str, str], ...]  # (variable, reference level)

    @property
    def names(self) -> tuple[str, ...]:
        """Term names."""
        return tuple(c.name for c in self.columns)


def parse(text: str) -> Formula:
    """Parse; anything outside the grammar is `Invalid` E-FORMULA with the place."""
    raise NotImplementedError  # the data track writes this


def variables(formula: Formula) -> tuple[str, ...]:
    """Every variable read, left side, offset and strata included (`site` excluded), in order of appearance."""
    raise NotImplementedError


def design(
    formula: Formula, dictionary: Codebook, reference: dict[str, str], levels: dict[str, tuple[str, ...]]
) -> Design:
    """Expand terms to columns, with levels and references from the dictionary (`levels` overrides)."""
    raise NotImplementedError
