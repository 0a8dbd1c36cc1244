"""The models that a meta-analysis fits in each level: which kinds it takes, which effects they have, and why other kinds have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from isthmus import strict
from isthmus.model.errors import Invalid
from isthmus.statistics import (
    calibration,
    conditional_logistic,
    cox,
    effect,
    fine_gray,
    gee,
    glm,
    mixed,
    multinomial,
    ordinal,
    parametric_survival,
    rate,
    rmst,
    roc,
    unsaid,
)
from isthmus.statistics.contract import Needs, Statistic

_TAKEN = (
    *(glm.STATISTIC, gee.STATISTIC, mixed.STATISTIC, multinomial.STATISTIC, ordinal.STATISTIC),
    *(conditional_logistic.STATISTIC, cox.STATISTIC, fine_gray.STATISTIC, parametric_survival.STATISTIC),
    *(effect.STATISTIC, rate.STATISTIC, rmst.STATISTIC, roc.STATISTIC, calibration.STATISTIC),
)
MODELS: Mapping[str, Statistic] = MappingProxyType({own.kind: own for own in _TAKEN})
_COUNTED = "it has counts or summaries and no effect with an error: state `treatment` and `outcome`, or a glm"
_TESTED = "it is a test or a curve, which no two numbers stand for: pool `cox`, `fine_gray` or `rmst`"
_RANKED = "it has no error on a scale that may be pooled: pool a glm"
NOT_POOLED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("count", "crosstab", "table_one", "histogram", "quantiles"), _COUNTED),
        **dict.fromkeys(("kaplan_meier", "cumulative_incidence", "log_rank"), _TESTED),
        **dict.fromkeys(("correlation", "spearman", "kruskal_wallis"), _RANKED),
        "penalised": "its estimates are biased on purpose and have no standard error: pool a glm or cox",
        "propensity": "it is no effect: pool `effect`",
        "accuracy": "sensitivity and specificity are pooled jointly, by a bivariate model: pool `roc`",
        "decision_curve": "net benefit has no standard error",
        "validate_model": "it has several parts: pool `roc` and `calibration`, one at a time",
        "meta": "it is one already",
    }
)
SITE = "site"
RISK_RATIOS = ("log ratio", "log odds ratio")  # of `effect` on a 0/1 outcome
_OF_EFFECT = {"log hazard ratio": "HR", "log odds ratio": "OR", "log ratio": "RR"}
_OF_KIND = {
    "cox": "HR",
    "fine_gray": "SHR",
    "rate": "RR",
    **dict.fromkeys(("conditional_logistic", "multinomial", "ordinal"), "OR"),
}
_OF_LINK = {"logit": "OR", "log": "RR"}


@dataclass(frozen=True, slots=True)
class Inner:
    """The model that is fitted in each level: its kind and arguments."""

    statistic: Statistic
    question: Any

    @property
    def needs(self) -> Needs:
        """What it reads.

        Raises:
            Invalid: E-META, its groups or clusters are sites: how many of them a level has is not known beforehand, and
                sums over a few of them are their own. So is `release`: none of it would be shown, and `ridge`.
        """
        if getattr(self.question, "ridge", None) is not None:
            text = "estimates that a penalty draws to 0 are biased on purpose: a mean of them is too"
            raise Invalid("E-META", text, "leave `ridge` out")
        if getattr(self.question, "release", ()):
            raise Invalid("E-META", "of a model in each level one term is told", "leave `release` out")
        if SITE in (getattr(self.question, key, None) for key in ("group", "cluster")):
            hint = "group or cluster by a variable inside sites"
            raise Invalid("E-META", "in one level there may be a few sites only: too few to group or cluster by", hint)
        return self.statistic.needs(self.question)


def read(of: Mapping[str, Mapping[str, Any]]) -> Inner:
    """The model question of `of`.

    Raises:
        Invalid: E-KIND, not one kind that is pooled, with why; and what the kind says of its arguments.
    """
    kind = next(iter(of), "")
    if len(of) == 1 and kind in NOT_POOLED:
        raise Invalid("E-KIND", f"a {kind} is not pooled: {NOT_POOLED[kind]}", "pooled are: " + ", ".join(MODELS))
    if len(of) != 1 or kind not in MODELS:
        raise Invalid("E-KIND", "`of` is one model question", "known: " + ", ".join(MODELS))
    return Inner(MODELS[kind], strict.parse(MODELS[kind].question, of[kind], f"of.{kind}"))


def effect_of(shown: Mapping[str, Any], term: str) -> tuple[float, float] | None:
    """Estimate and standard error of a term in a level's answer; None where that level has not both.

    Raises:
        Invalid: E-TERM, the model has no such term.
    """
    rows = _areas(shown["fit"]) if shown["kind"] == "roc" else shown["terms"]
    if _undefined(shown, term):
        return None
    found = next((row for row in rows if row["term"] == term), None)
    if found is None:
        names = ", ".join(str(row["term"]) for row in rows)
        raise Invalid("E-TERM", f"{term!r} is not a term of the model", f"terms: {names}")
    whole = found["estimate"] is not None and found["std_error"]
    return (found["estimate"], found["std_error"]) if whole else None


def measure(shown: Mapping[str, Any], term: str) -> str | None:
    """What exp(estimate) of the term is called, if it is a ratio."""
    kind, fit = shown["kind"], shown["fit"]
    if kind == "effect":
        return _OF_EFFECT.get(term)
    if kind == "ordinal" and "|" in term:  # a threshold
        return None
    if fit.get("distribution") == "piecewise_exponential":
        return "HR"
    return _OF_KIND.get(kind, _OF_LINK.get(str(fit.get("link"))))


def _areas(fit: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What a ROC curve has for terms: the area, and the difference of two."""
    rows = [{"term": "auc", "estimate": fit["auc"], "std_error": fit["std_error"]}]
    if "difference" in fit:
        rows.append({"term": "difference", "estimate": fit["difference"], "std_error": fit["difference_error"]})
    return rows


def _undefined(shown: Mapping[str, Any], term: str) -> bool:
    """Whether it is a ratio of risks that this level has not: in an arm there nobody, or everybody, has the outcome."""
    if shown["kind"] != "effect":
        return False
    rows = shown["terms"]
    return term in RISK_RATIOS and all(row["term"] != term for row in rows) and unsaid.shares(rows)
