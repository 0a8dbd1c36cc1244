"""Every question kind, and the analyses of a study as typed questions.

To add a kind: write one file with its question record and `STATISTIC`, and add one entry here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from isthmus import strict
from isthmus.model.errors import Invalid
from isthmus.model.privacy import Spend
from isthmus.model.record import record
from isthmus.model.study import Study
from isthmus.statistics import (
    accuracy,
    calibration,
    conditional_logistic,
    correlation,
    count,
    cox,
    crosstab,
    cumulative_incidence,
    decision_curve,
    effect,
    fine_gray,
    gee,
    glm,
    histogram,
    kaplan_meier,
    kruskal_wallis,
    log_rank,
    meta,
    mixed,
    multinomial,
    ordinal,
    parametric_survival,
    penalised,
    propensity,
    quantiles,
    rate,
    rmst,
    roc,
    spearman,
    table_one,
    validate_model,
)
from isthmus.statistics.contract import Statistic
from isthmus.statistics.noisy import glm as noisy_glm
from isthmus.statistics.noisy import histogram as noisy_histogram
from isthmus.statistics.noisy import quantiles as noisy_quantiles
from isthmus.statistics.noisy import table_one as noisy_table_one

CATALOGUE: Mapping[str, Statistic] = {
    "count": count.STATISTIC,
    "rate": rate.STATISTIC,
    "table_one": replace(table_one.STATISTIC, noisy=noisy_table_one.STATISTIC),
    "crosstab": crosstab.STATISTIC,
    "histogram": replace(histogram.STATISTIC, noisy=noisy_histogram.STATISTIC),
    "quantiles": replace(quantiles.STATISTIC, noisy=noisy_quantiles.STATISTIC),
    "roc": roc.STATISTIC,
    "accuracy": accuracy.STATISTIC,
    "calibration": calibration.STATISTIC,
    "decision_curve": decision_curve.STATISTIC,
    "correlation": correlation.STATISTIC,
    "spearman": spearman.STATISTIC,
    "kruskal_wallis": kruskal_wallis.STATISTIC,
    "glm": replace(glm.STATISTIC, noisy=noisy_glm.STATISTIC),
    "multinomial": multinomial.STATISTIC,
    "ordinal": ordinal.STATISTIC,
    "penalised": penalised.STATISTIC,
    "mixed": mixed.STATISTIC,
    "gee": gee.STATISTIC,
    "conditional_logistic": conditional_logistic.STATISTIC,
    "kaplan_meier": kaplan_meier.STATISTIC,
    "log_rank": log_rank.STATISTIC,
    "rmst": rmst.STATISTIC,
    "cumulative_incidence": cumulative_incidence.STATISTIC,
    "propensity": propensity.STATISTIC,
    "effect": effect.STATISTIC,
    "cox": cox.STATISTIC,
    "fine_gray": fine_gray.STATISTIC,
    "parametric_survival": parametric_survival.STATISTIC,
    "meta": meta.STATISTIC,
    "validate_model": validate_model.STATISTIC,
}


@record
class Common:
    """Keys any analysis takes, overriding the study's.

    `for_` (written `for`) repeats the analysis for several outcomes: `{outcome}` in its texts.
    """

    where: str | None = None
    subgroup: str | None = None
    conf_level: float | None = None
    reference: Mapping[str, str] | None = None
    for_: tuple[str, ...] | None = None
    privacy: Spend | None = None


@record
class Analysis:
    """One question of a study: its kind, arguments (the kind's record) and common keys.

    `outcomes`: how many outcomes the analysis was repeated for (1 unless `for` says more); then `name` is
    `analysis[outcome]`.
    """

    name: str
    kind: str
    question: Any
    where: str | None = None
    subgroup: str | None = None
    conf_level: float | None = None
    reference: Mapping[str, str] | None = None
    outcomes: int = 1
    privacy: Spend | None = None


_COMMON = ("where", "subgroup", "conf_level", "reference", "for", "privacy")


def analyses(study: Study) -> tuple[Analysis, ...]:
    """The study's analyses in its order, `for` expanded.

    Raises:
        Invalid: E-KIND (not exactly one known kind; names the nearest), E-UNKNOWN-KEY, E-MISSING-KEY, E-TYPE,
            E-CONF-LEVEL, E-NO-ANALYSES.
    """
    if not study.analyses:
        raise Invalid("E-NO-ANALYSES", "the study asks nothing", "state an analysis", "analyses")
    found = [a for name, stated in study.analyses.items() for a in _read(name, stated)]
    return tuple(_seeded(analysis, study.seed) for analysis in found)


def _seeded(analysis: Analysis, seed: int | None) -> Analysis:
    """With the study's seed where its question draws folds and states none of its own."""
    question = analysis.question
    if not getattr(question, "folds", 0) or question.seed is not None:
        return analysis
    return replace(analysis, question=replace(question, seed=seed))


def _read(name: str, stated: Mapping[str, Mapping[str, Any]]) -> list[Analysis]:
    where = f"analyses.{name}"
    kind = _kind(stated, where)
    arguments = stated[kind]
    _check_keys(kind, arguments, where)
    common = strict.parse(Common, {k: v for k, v in arguments.items() if k in _COMMON}, f"{where}.{kind}")
    _check_level(common.conf_level, where)
    rest = {k: v for k, v in arguments.items() if k not in _COMMON}
    outcomes = common.for_ or ("",)
    made = []
    for outcome in outcomes:
        filled = _filled(rest, outcome) if common.for_ else rest
        question = strict.parse(CATALOGUE[kind].question, filled, f"{where}.{kind}")
        made.append(
            Analysis(
                name=f"{name}[{outcome}]" if common.for_ else name,
                kind=kind,
                question=question,
                where=common.where,
                subgroup=common.subgroup,
                conf_level=common.conf_level,
                reference=common.reference,
                outcomes=len(outcomes),
                privacy=common.privacy,
            )
        )
    return made


def _kind(stated: Any, where: str) -> str:
    if not isinstance(stated, Mapping) or len(stated) != 1:
        raise Invalid(
            "E-KIND", "an analysis is exactly one question", "write the kind, then its arguments below it", where
        )
    kind = next(iter(stated))
    if kind not in CATALOGUE:
        raise Invalid("E-KIND", f"unknown question kind {kind!r}", _nearest(str(kind), list(CATALOGUE)), where)
    if not isinstance(stated[kind], Mapping):
        raise Invalid("E-TYPE", "the arguments of a question are keys and values", "", f"{where}.{kind}")
    return str(kind)


def _check_keys(kind: str, stated: Mapping[str, Any], where: str) -> None:
    """Unknown keys, with the common ones among the known."""
    known = [*CATALOGUE[kind].question.__dataclass_fields__, *_COMMON]
    for key in stated:
        if key not in known:
            hint = _nearest(str(key), known)
            raise Invalid("E-UNKNOWN-KEY", f"unknown key {str(key)!r}", hint, f"{where}.{kind}.{key}")


def _check_level(level: float | None, where: str) -> None:
    if level is not None and not 0.0 < level < 1.0:
        raise Invalid("E-CONF-LEVEL", "conf_level lies between 0 and 1", "0.95 for example", where)


def _nearest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(known)


def _filled(value: Any, outcome: str) -> Any:
    """`{outcome}` replaced in every text."""
    if isinstance(value, str):
        return value.replace("{outcome}", outcome)
    if isinstance(value, Mapping):
        return {key: _filled(item, outcome) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(item, outcome) for item in value]
    return value
