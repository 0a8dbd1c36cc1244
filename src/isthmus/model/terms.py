"""What a formula is made of: frozen records shared by the parser and the expansion to columns."""

from __future__ import annotations

from typing import TypeAlias

from isthmus.model.record import record


@record
class Surv:
    """Left side `Surv(time, event)` or `Surv(entry, time, event)`."""

    time: str
    event: str
    entry: str | None = None


@record
class Arithmetic:
    """`left operator right` inside `I(...)`; operator is one of `+ - * / ^`, the right side of `^` a literal."""

    operator: str
    left: Operand
    right: Operand


Operand: TypeAlias = Arithmetic | str | float


@record
class Factor:
    """One factor of a term: `name` (a variable) and the `function` applied to it.

    `function` is None, `log`, `exp`, `sqrt`, `C`, `I`, `bs` or `ns`. `arguments` holds the degree of `bs`; `knots`
    and `boundary` belong to splines; `arithmetic` to `I`, whose `name` is the first variable it reads.
    """

    name: str
    function: str | None = None
    arguments: tuple[float, ...] = ()
    knots: tuple[float, ...] = ()
    boundary: tuple[float, float] | None = None
    arithmetic: Arithmetic | None = None

    @property
    def label(self) -> str:
        """As results show it: `AGE`, `log(AGE)`, `C(ward)`, `I(AGE^2)`, `bs(AGE)`."""
        if self.arithmetic is not None:
            return f"I({write(self.arithmetic)})"
        return self.name if self.function is None else f"{self.function}({self.name})"

    @property
    def reads(self) -> tuple[str, ...]:
        """Variables it reads, in order of appearance."""
        return (self.name,) if self.arithmetic is None else tuple(dict.fromkeys(_names(self.arithmetic)))

    @property
    def basis(self) -> int:
        """Columns of a spline; 0 for anything else."""
        if self.function == "bs":
            return len(self.knots) + int(self.arguments[0])
        return len(self.knots) + 1 if self.function == "ns" else 0


@record
class Formula:
    """A parsed formula. `terms` are main effects as written, then interactions by degree, as R orders them.

    `offset`: variables, or `log(...)` of one. `site`: it has the term `site`, which is none of `terms`: an intercept of each
    site that no result shows.
    """

    text: str
    response: str | None
    surv: Surv | None
    terms: tuple[tuple[Factor, ...], ...]
    intercept: bool
    offset: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    cluster: str | None = None
    site: bool = False


@record
class DesignColumn:
    """One column: its name as results show it (`RXASP[Y]`, `a:b`, `bs(AGE)[1]`) and how it is computed.

    `parts`: per factor (factor, level for a category or None, basis index from 1 for a spline or 0); empty for
    the intercept. `indicator`: True where values are 0 or 1 only (levels of categories and their interactions).
    """

    name: str
    parts: tuple[tuple[Factor, str | None, int], ...]
    indicator: bool


@record
class Design:
    """Columns of the right-hand side in R's order, intercept first when there is one.

    `reference`: (variable, reference level) of each category that has one.
    """

    columns: tuple[DesignColumn, ...]
    intercept: bool
    reference: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Term names."""
        return tuple(c.name for c in self.columns)


def offset_reads(offsets: tuple[str, ...]) -> tuple[str, ...]:
    """Variables behind offsets: `time` of `log(time)`."""
    return tuple(dict.fromkeys(text.removeprefix("log(").removesuffix(")") for text in offsets))


_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 3}
_SHOWN = {"+": " + ", "-": " - ", "*": " * ", "/": "/", "^": "^"}  # spacing as R writes an expression


def write(node: Operand) -> str:
    """An operand as text that reads back as itself, with the fewest parentheses."""
    if isinstance(node, str):
        return node
    if isinstance(node, float):
        return number(node)
    binding = _BINDING[node.operator]
    left, right = write(node.left), write(node.right)
    if isinstance(node.left, Arithmetic) and _loose(node.left, binding, node.operator == "^"):
        left = f"({left})"
    if isinstance(node.right, Arithmetic) and _loose(node.right, binding, True):
        right = f"({right})"
    return f"{left}{_SHOWN[node.operator]}{right}"


def number(value: float) -> str:
    """A number as levels and names show it: no trailing `.0`."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _loose(node: Arithmetic, binding: int, ties: bool) -> bool:
    inner = _BINDING[node.operator]
    return inner < binding or (ties and inner == binding)


def _names(node: Operand) -> tuple[str, ...]:
    if isinstance(node, Arithmetic):
        return _names(node.left) + _names(node.right)
    return (node,) if isinstance(node, str) else ()
