"""Which variable is imputed by which model: from the study and the dictionary alone, so equal at every party.

A variable's model holds every other variable of the question, the terms of the analysis that do not read it, and, for
each interaction it takes part in, the outcome's interaction with the rest: so it is never poorer than the analysis
(Meng 1994; Bartlett et al. 2015 on what such models cannot hold: functions of an incomplete variable, refused here).
Numbers take a linear model, two levels a logistic, more levels a multinomial one; with an intercept of each site where
asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from isthmus.model.design import BOOLEAN_LEVELS, design
from isthmus.model.errors import Invalid
from isthmus.model.formula import Factor, Formula, parse
from isthmus.model.terms import number
from isthmus.statistics import glm, mixed, multinomial
from isthmus.statistics.contract import Setting, Statistic

Method = Literal["linear", "logistic", "multinomial"]
LEVELLED = frozenset({"C", "bs", "ns"})  # functions whose columns hold the variable itself


@dataclass(frozen=True, slots=True)
class Model:
    """The imputation model of one variable: a question and its setting; `cuts`: its levels but one, where it has more
    than two; `effects`: with an intercept of each site; `fitted`: False where a chain starts from a guess.
    """

    target: str
    method: Method
    statistic: Statistic
    question: Any
    setting: Setting
    cuts: int = 1
    effects: bool = False
    fitted: bool = True

    @property
    def told(self) -> str:
        """The method as people read it."""
        return f"{self.method}, an intercept of each site" if self.effects else self.method


@dataclass(frozen=True, slots=True)
class Frame:
    """What all models of a question have in common.

    Attributes:
        formula: of the analysis.
        variables: all that the imputation holds, as terms.
        outcomes: terms that stand for the outcome in interactions.
        binary: the analysis takes its outcome as 0 or 1.
        effects: variables whose models have an intercept of each site.
    """

    formula: Formula
    variables: tuple[str, ...]
    outcomes: tuple[str, ...]
    setting: Setting
    binary: bool
    effects: tuple[str, ...] = ()


def model(target: str, frame: Frame) -> Model:
    """The full model of `target`, a variable with missing values.

    Raises:
        Invalid: E-IMPUTE, a function of the variable in the analysis.
    """
    for term in frame.formula.terms:
        for factor in term:
            if factor.function is not None and target in factor.reads:
                message = f"{target!r} has missing values and stands inside {factor.label!r}"
                raise Invalid("E-IMPUTE", message, "derive a variable for it, and use that in the formula")
    right = dict.fromkeys([*_main(target, frame), *_interactions(target, frame)])
    return _made(target, " + ".join(right) or "1", frame, target in frame.effects)


def margin(target: str, frame: Frame) -> Model:
    """The model with the mean alone, from which the chains start; more than two levels start as likely each."""
    return _made(target, "1", frame, False)


def _made(target: str, right: str, frame: Frame, effects: bool) -> Model:
    setting, binary = frame.setting, frame.binary and target == frame.formula.response
    method, text = _method(target, setting, binary), f"{target} ~ {right}"
    here = replace(setting, design=design(parse(text), setting.dictionary, {}, {}), grid=None)
    if method == "multinomial":
        if effects:
            message = f"{target!r} has more than two levels, whose model takes no intercept of each site"
            raise Invalid("E-IMPUTE", message, "derive 0/1 variables of its levels, or leave it out of `site_effects`")
        question = multinomial.Multinomial(formula=text)
        cuts = len(setting.levels[target]) - 1
        return Model(target, method, multinomial.STATISTIC, question, here, cuts, fitted=right != "1")
    family: Literal["gaussian", "binomial"] = "gaussian" if method == "linear" else "binomial"
    if effects:
        asked = mixed.Mixed(formula=text, group=mixed.SITE, family=family, points=1)
        return Model(target, method, mixed.STATISTIC, asked, here, effects=True)
    return Model(target, method, glm.STATISTIC, glm.Glm(formula=text, family=family), here)


def _method(target: str, setting: Setting, binary: bool) -> Method:
    variable = setting.dictionary.variables[target]
    levels = BOOLEAN_LEVELS if variable.type == "boolean" else setting.levels.get(target, ())
    if levels:
        if len(levels) < 2:
            raise Invalid("E-IMPUTE", f"{target!r} has missing values and one level only", "leave it out")
        return "logistic" if len(levels) == 2 else "multinomial"
    if variable.type not in {"integer", "number"}:
        raise Invalid("E-IMPUTE", f"{target!r} has missing values and is a {variable.type}", "derive a number from it")
    declared = (variable.type == "integer" and variable.range == (0, 1)) or set(variable.levels or ()) == {"0", "1"}
    return "logistic" if binary or declared else "linear"


def _main(target: str, frame: Frame) -> Iterator[str]:
    """Every other variable, and the functions of it that the analysis has."""
    alone = [term[0] for term in frame.formula.terms if len(term) == 1 and term[0].function is not None]
    covered = {name for factor in alone if factor.function in LEVELLED for name in factor.reads}
    yield from (name for name in frame.variables if name != target and name not in covered)
    yield from (text(factor) for factor in alone if target not in factor.reads)


def _interactions(target: str, frame: Frame) -> Iterator[str]:
    for term in (term for term in frame.formula.terms if len(term) > 1):
        others = [factor for factor in term if target not in factor.reads]
        shown = ":".join(text(factor) for factor in others)
        if len(others) == len(term):
            yield shown
        elif target not in frame.outcomes:
            yield from (f"{outcome}:{shown}" for outcome in frame.outcomes)


def text(factor: Factor) -> str:
    """A factor as the formula grammar reads it."""
    if factor.function not in {"bs", "ns"} or factor.boundary is None:
        return factor.label
    knots, edges = (", ".join(number(v) for v in values) for values in (factor.knots, factor.boundary))
    degree = f", degree = {number(factor.arguments[0])}" if factor.function == "bs" else ""
    return f"{factor.function}({factor.name}, knots = c({knots}){degree}, Boundary.knots = c({edges}))"


def terms(variables: Sequence[str], time: str | None, outcomes: Sequence[str]) -> tuple[str, ...]:
    """The variables as terms: a time gives way to what stands for it."""
    made = [term for name in variables for term in (outcomes if name == time else (name,))]
    return tuple(dict.fromkeys(made))
