"""What an analysis over imputed data asks: what its models hold, what must be whole, and which model is drawn when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from isthmus.model.codebook import Codebook
from isthmus.model.design import category_levels
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, offset_reads, parse, variables
from isthmus.model.record import record
from isthmus.statistics import imputation_models, imputation_survival, weighting
from isthmus.statistics.contract import Needs, Setting, Statistic
from isthmus.statistics.imputation_models import Frame, Model
from isthmus.statistics.imputation_survival import Timing

KINDS = ("glm", "multinomial", "ordinal", "cox", "parametric_survival")
ALONE = ("zph", "concordance")  # arguments without a rule over m data sets
SITE = "site"
MOST = 100  # data sets, and cycles


@record
class Wish:
    """What the study asks for."""

    m: int
    cycles: int
    seed: int
    with_: tuple[str, ...] = ()
    site_effects: tuple[str, ...] = ()


@record
class Imputed:
    """Arguments of an analysis over imputed data: its own and what it reads, the study's wish, all that is read now.

    Attributes:
        variables: what the models hold; `whole`: of all that is read, what must have a value in every row.
        timing: of an outcome that is a time.
    """

    analysis: Any
    needs: Needs
    reads: Needs
    wish: Wish
    variables: tuple[str, ...]
    whole: tuple[str, ...]
    timing: Timing | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """An analysis as the plan has it."""

    statistic: Statistic
    arguments: Any
    needs: Needs
    setting: Setting


def stated(asked: Asked, wish: Wish) -> tuple[Imputed, Setting]:
    """The arguments of the analysis over imputed data, and its setting.

    Raises:
        Invalid: E-IMPUTE, a kind or an argument that has no answer over imputed data, or m, cycles out of range.
    """
    formula, kind = asked.needs.formula, asked.statistic.kind
    if kind not in KINDS or formula is None:
        raise Invalid("E-IMPUTE", f"{kind!r} has no answer over imputed data", "ask it in a study of its own", kind)
    _check(asked, wish)
    needs, dictionary = asked.needs, asked.setting.dictionary
    timing = imputation_survival.timing(kind, asked.arguments, _strata(asked))
    read = (*variables(formula), *needs.numbers, *needs.categories, *wish.with_)
    held = tuple(dict.fromkeys(name for name in read if name not in needs.keys))
    coded = [name for name in held if _is_category(name, dictionary)]
    numbers = tuple(n for n in held if n not in coded)
    reads = Needs(numbers=numbers, categories=tuple(coded), keys=needs.keys, gaps=True)
    levels = {name: asked.setting.levels.get(name) or category_levels(name, dictionary) for name in coded}
    arguments = Imputed(
        analysis=asked.arguments,
        needs=needs,
        reads=reads,
        wish=wish,
        variables=held,
        whole=_whole(asked, timing),
        timing=timing,
    )
    dictionary = imputation_survival.held(timing, dictionary)
    setting = replace(asked.setting, levels={**asked.setting.levels, **levels}, dictionary=dictionary)
    return arguments, setting


def _check(asked: Asked, wish: Wish) -> None:
    kind = asked.statistic.kind
    shown = set(getattr(asked.arguments, "release", ())) - {"vcov"}
    for name in (*(n for n in ALONE if getattr(asked.arguments, n, None)), *sorted(shown)):
        raise Invalid("E-IMPUTE", f"{name!r} cannot be asked for over imputed data", "leave it out", kind)
    formula = parse(asked.arguments.formula)
    if kind == "glm" and (asked.arguments.strata or formula.strata or formula.site):
        message = "models of missing values know no site, so a glm over imputed data takes no strata and no term `site`"
        raise Invalid("E-IMPUTE", message, "ask for complete rows, or leave the strata out", kind)
    weights = getattr(asked.arguments, "weights", None)
    if weights is not None and weights.kind == "frequency":
        message = "a row that stands for several cannot be imputed: each of them would have its own value"
        raise Invalid("E-IMPUTE", message, "give each its row, or weights of kind precision or sampling", kind)
    if not (2 <= wish.m <= MOST and 1 <= wish.cycles <= MOST):
        raise Invalid("E-IMPUTE", f"`m` is 2 to {MOST}, `cycles` 1 to {MOST}", "impute: {m: 20, cycles: 10}", "impute")


def _strata(asked: Asked) -> tuple[str, ...]:
    """Categories that a survival analysis is stratified by."""
    formula = parse(asked.arguments.formula)
    stated = (*(getattr(asked.arguments, "strata", ()) or ()), *formula.strata)
    return tuple(dict.fromkeys(name for name in stated if name != SITE))


def _whole(asked: Asked, timing: Timing | None) -> tuple[str, ...]:
    """What is not imputed: times, events, strata, weights, offsets, clusters."""
    formula, stated = parse(asked.arguments.formula), asked.arguments
    times = () if timing is None else (timing.entry, timing.time, timing.event, *timing.strata)
    weights, offsets = getattr(stated, "weights", None), weighting.offsets(getattr(stated, "offset", None), formula)
    named = (*times, weights and weights.variable, *offset_reads(offsets), *asked.needs.keys)
    return tuple(dict.fromkeys(name for name in named if name is not None))


def _is_category(name: str, dictionary: Codebook) -> bool:
    kind = dictionary.variables[name].type
    if kind == "date":
        raise Invalid("E-IMPUTE", f"{name!r} is a date, which no imputation model holds", "derive a number from it")
    return kind in {"category", "boolean"}


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which model is drawn at which step: the margins first, then the full models over and over."""

    margins: tuple[Model, ...]
    full: tuple[Model, ...]

    def model(self, step: int) -> Model:
        """Of a step, from 0."""
        first = len(self.margins)
        return self.margins[step] if step < first else self.full[(step - first) % first]


def schedule(question: Imputed, setting: Setting, targets: Sequence[str]) -> Schedule:
    """Of the variables with missing values."""
    formula, timing = formula_of(question), question.timing
    outcomes = (str(formula.response),) if timing is None else timing.outcomes
    frame = Frame(
        formula=formula,
        variables=imputation_models.terms(question.variables, None if timing is None else timing.time, outcomes),
        outcomes=outcomes,
        setting=setting,
        binary=str(getattr(question.analysis, "family", "")).endswith("binomial"),
        effects=question.wish.site_effects,
    )
    margins = tuple(imputation_models.margin(name, frame) for name in targets)
    return Schedule(margins, tuple(imputation_models.model(name, frame) for name in targets))


def formula_of(question: Imputed) -> Formula:
    """Of the analysis."""
    if question.needs.formula is None:
        raise Invalid("E-FORMULA", "an analysis over imputed data has a formula")
    return question.needs.formula
