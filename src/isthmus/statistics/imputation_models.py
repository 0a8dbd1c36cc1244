"""Which variable is imputed by which model: from the study and the dictionary alone, so equal at every party.

A variable's model holds every other variable of the question, the terms of the analysis that do not read it, and, for
each interaction it takes part in, the outcome's interaction with the rest: so it is never poorer than the analysis
(Meng 1994; Bartlett et al. 2015 on what such models cannot hold: functions of an incomplete variable, refused here).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from isthmus.model.design import BOOLEAN_LEVELS, design
from isthmus.model.errors import Invalid
from isthmus.model.formula import Factor, Formula, parse
from isthmus.model.terms import number
from isthmus.statistics.contract import Setting
from isthmus.statistics.glm import Glm

Method = Literal["linear", "logistic"]
LEVELLED = frozenset({"C", "bs", "ns"})  # functions whose columns hold the variable itself


@dataclass(frozen=True, slots=True)
class Model:
    """The imputation model of one variable: a question of kind `glm` and its setting."""

    target: str
    method: Method
    question: Glm
    setting: Setting


def model(target: str, formula: Formula, variables: Sequence[str], setting: Setting, binary: bool) -> Model:
    """The full model of `target`.

    Args:
        target: a variable with missing values.
        formula: of the analysis.
        variables: all that the imputation holds.
        setting: of the analysis.
        binary: whether the analysis takes `target` as 0 or 1.

    Raises:
        Invalid: E-IMPUTE, a function of the variable in the analysis, or one of more than two levels.
    """
    for term in formula.terms:
        for factor in term:
            if factor.function is not None and target in factor.reads:
                message = f"{target!r} has missing values and stands inside {factor.label!r}"
                raise Invalid("E-IMPUTE", message, "derive a variable for it, and use that in the formula")
    right = dict.fromkeys([*_main(target, formula, variables), *_interactions(target, formula)])
    return _made(target, " + ".join(right) or "1", setting, binary)


def margin(target: str, setting: Setting, binary: bool) -> Model:
    """The model with the mean alone, from which the chains start."""
    return _made(target, "1", setting, binary)


def _made(target: str, right: str, setting: Setting, binary: bool) -> Model:
    method = _method(target, setting, binary)
    family = "gaussian" if method == "linear" else "binomial"
    text = f"{target} ~ {right}"
    columns = design(parse(text), setting.dictionary, {}, {})
    return Model(target, method, Glm(formula=text, family=family), replace(setting, design=columns, grid=None))  # type: ignore[arg-type]


def _method(target: str, setting: Setting, binary: bool) -> Method:
    variable = setting.dictionary.variables[target]
    levels = BOOLEAN_LEVELS if variable.type == "boolean" else setting.levels.get(target, ())
    if levels:
        if len(levels) != 2:
            message = f"{target!r} has missing values and more than two levels"
            raise Invalid("E-IMPUTE", message, "derive 0/1 variables of its levels; only these and numbers are imputed")
        return "logistic"
    if variable.type not in {"integer", "number"}:
        raise Invalid("E-IMPUTE", f"{target!r} has missing values and is a {variable.type}", "derive a number from it")
    declared = (variable.type == "integer" and variable.range == (0, 1)) or set(variable.levels or ()) == {"0", "1"}
    return "logistic" if binary or declared else "linear"


def _main(target: str, formula: Formula, variables: Sequence[str]) -> Iterator[str]:
    """Every other variable, and the functions of it that the analysis has."""
    alone = [term[0] for term in formula.terms if len(term) == 1 and term[0].function is not None]
    covered = {name for factor in alone if factor.function in LEVELLED for name in factor.reads}
    yield from (name for name in variables if name != target and name not in covered)
    yield from (text(factor) for factor in alone if target not in factor.reads)


def _interactions(target: str, formula: Formula) -> Iterator[str]:
    for term in (term for term in formula.terms if len(term) > 1):
        others = [factor for factor in term if target not in factor.reads]
        shown = ":".join(text(factor) for factor in others)
        if len(others) == len(term):
            yield shown
        elif target != formula.response:
            yield f"{formula.response}:{shown}"


def text(factor: Factor) -> str:
    """A factor as the formula grammar reads it."""
    if factor.function not in {"bs", "ns"} or factor.boundary is None:
        return factor.label
    knots, edges = (", ".join(number(v) for v in values) for values in (factor.knots, factor.boundary))
    degree = f", degree = {number(factor.arguments[0])}" if factor.function == "bs" else ""
    return f"{factor.function}({factor.name}, knots = c({knots}){degree}, Boundary.knots = c({edges}))"
