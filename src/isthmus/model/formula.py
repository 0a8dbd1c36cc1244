"""The closed Wilkinson grammar: text -> `Formula` -> `Design` (column names), without touching any row.

    died ~ RXASP * SEX + AGE + offset(exposure)
    Surv(days, died) ~ RXASP + bs(AGE, knots = c(60, 75), Boundary.knots = c(18, 100)) + strata(site)

Operators as R reads them: `+` adds, `:` interacts, `a*b` is `a + b + a:b`, `(a + b)^2` all pairs, `-` removes; `- 1`
or `+ 0` drops the intercept. Around a variable: `log exp sqrt`, `C` (a number as category), `I` (arithmetic on
numbers: `I(AGE^2)`, `I((AGE - 50)/10)`), `bs ns` (agreed knots and boundary knots, never taken from rows). Alone:
`offset strata cluster` (`offset(log(x))` too), and `site`, an intercept of each site that no result shows. On the left: a variable, `Surv(time, event)` or `Surv(entry, time, event)`. Nothing else:
a formula is read, never evaluated.
"""

from __future__ import annotations

from isthmus.model.design import design
from isthmus.model.errors import Invalid
from isthmus.model.formula_parser import parse
from isthmus.model.terms import Arithmetic, Design, DesignColumn, Factor, Formula, Surv, offset_reads

__all__ = [
    "Arithmetic",
    "Design",
    "DesignColumn",
    "Factor",
    "Formula",
    "Surv",
    "design",
    "no_site",
    "offset_reads",
    "parse",
    "some_column",
    "variables",
]


def variables(formula: Formula) -> tuple[str, ...]:
    """Every variable read, left side, offset, strata and cluster included (`site` excluded), in order of appearance."""
    surv = formula.surv
    left = [] if surv is None else [name for name in (surv.entry, surv.time, surv.event) if name is not None]
    response = [] if formula.response is None else [formula.response]
    right = [name for term in formula.terms for factor in term for name in factor.reads]
    cluster = [] if formula.cluster is None else [formula.cluster]
    names = [*response, *left, *right, *offset_reads(formula.offset), *formula.strata, *cluster]
    return tuple(dict.fromkeys(name for name in names if name != "site"))


def no_site(formula: Formula, hint: str) -> Formula:
    """The formula of a question whose sums cannot be freed of an intercept of each site; `hint`: what to write.

    Raises:
        Invalid: E-FORMULA, it has the term `site`.
    """
    if formula.site:
        raise Invalid("E-FORMULA", "`site` is not a term of this kind of question", hint)
    return formula


def some_column(formula: Formula) -> Formula:
    """The formula of a model that has something to estimate.

    Raises:
        Invalid: E-FORMULA, it has neither intercept nor term.
    """
    if not (formula.intercept or formula.terms):
        raise Invalid("E-FORMULA", "a model has an intercept or a term", "leave `0` or `- 1` out, or add a term")
    return formula
