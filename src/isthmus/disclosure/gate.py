"""The gate: the one place where a `Release` is made, and the only thing a site's link accepts.

    considered = consider(evidence, rules)                     every rule, once per question and grid
    clearance  = clear(question, considered, kind)             Refused unless every rule holds
    vote       = release_vote(layout, agreed, randomness)      masked: only "all agree" is learned
    sent       = release(summary, weights, clearance, rules)   every round, after the weight guard
    sent       = release_ballot(layout, choices, ...)          a round that asks which finer cells all sites may show

`Clearance` and `Release` refuse to be made anywhere else: their constructor asks for a token that only this module
holds and that is not stored in the value, so neither copying, `replace` nor unpickling makes one. A test reads the
syntax tree of the whole package for forgeries. What a refusal says is one text per question kind, equal whichever
rule or site refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass

import numpy as np

from isthmus.disclosure.site import SITE_RULES, Considered, admits, shows, weigh
from isthmus.evidence import Weights
from isthmus.model.errors import Invalid, Refused, Untrusted
from isthmus.model.names import Digest
from isthmus.model.rules import Rules
from isthmus.summary import IntArray, Layout, Summary

_TOKEN = object()
WORD = 8  # bytes of a vote word, in Z_2^64


@dataclass(frozen=True, slots=True)
class Clearance:
    """Every site rule holds for one question at this site, under these rules. Made by `clear` alone."""

    question: Digest
    kind: str
    rules: Rules
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _only_here(token)


@dataclass(frozen=True, slots=True)
class Release:
    """A summary that may leave the site. Made by `release`, `release_ballot` and `release_vote` alone."""

    summary: Summary
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _only_here(token)


def clear(question: Digest, considered: Considered, kind: str = "") -> Clearance:
    """Permission for the rounds of one question, from what `site.consider` found.

    Raises:
        Refused: E-DISCLOSURE, the constant text of `refusal(kind)`.
        Untrusted: E-GATE, when a rule was not considered.
    """
    if not isinstance(considered, Considered) or [v.rule for v in considered.verdicts] != list(SITE_RULES):
        raise Untrusted("E-GATE", "not every disclosure rule was considered", "pass what consider returned")
    if not considered.holds:
        raise refusal(kind)
    return Clearance(question, kind, considered.rules, _TOKEN)


def release(
    summary: Summary,
    weights: Weights | None,
    clearance: Clearance,
    rules: Rules,
    cells: Mapping[str, IntArray] | None = None,
) -> Release:
    """One round's summary as a release, after the weight guard.

    Args:
        summary: this site's part; finite.
        weights: working weights of the round, where it has any.
        clearance: of the question that the round belongs to.
        rules: this site's effective rules; those of the clearance.
        cells: counts that the round shows beyond those the clearance was given for.

    Raises:
        Refused: E-DISCLOSURE, constant text; `reasons(weigh(weights, rules))` is for the site's own ledger.
        Untrusted: E-GATE, no clearance, or one given under other rules.
        Invalid: E-RANGE, a value that is not finite.
    """
    if not isinstance(clearance, Clearance) or clearance.rules != rules:
        raise Untrusted("E-GATE", "this clearance was not given under these rules", "clear the question again")
    if not weigh(weights, rules).holds or not shows(cells or {}, rules).holds:
        raise refusal(clearance.kind)
    floats = (value for value in summary.values.values() if value.dtype.kind == "f")
    if not all(np.all(np.isfinite(value)) for value in floats):
        raise Invalid("E-RANGE", "a sum is not finite", "check the ranges of the variables in the codebook")
    return Release(summary, _TOKEN)


def release_ballot(
    layout: Layout,
    choices: Sequence[IntArray],
    clearance: Clearance,
    rules: Rules,
    randomness: Callable[[int], bytes],
) -> Release:
    """This site's words of a ballot inside a question: as in the vote, nobody learns more than which words all agree to.

    Args:
        layout: one field of kind `vote`.
        choices: blocks (words, k) of the counts that each word would show.
        clearance: of the question that the round belongs to.
        rules: this site's effective rules; those of the clearance.
        randomness: cryptographic, `secrets.token_bytes`.

    Raises:
        Untrusted: E-GATE, no clearance, or one given under other rules.
        Invalid: E-LAYOUT, another layout or number of words.
    """
    if not isinstance(clearance, Clearance) or clearance.rules != rules:
        raise Untrusted("E-GATE", "this clearance was not given under these rules", "clear the question again")
    agreed = [bool(yes) for block in choices for yes in admits(block, rules)]
    return release_vote(layout, agreed, randomness)


def release_vote(layout: Layout, agreed: Sequence[bool], randomness: Callable[[int], bytes]) -> Release:
    """This site's words of the vote: 0 where it agrees, uniformly random where it refuses.

    Args:
        layout: one field of kind `vote`.
        agreed: one answer per word, in the layout's order.
        randomness: cryptographic, `secrets.token_bytes`; as many bytes are drawn whatever the answers.

    Raises:
        Invalid: E-LAYOUT, another layout or number of answers.
    """
    if [f.kind for f in layout.fields] != ["vote"] or layout.fields[0].shape != (len(agreed),):
        raise Invalid("E-LAYOUT", "a vote is one field of as many words as there are answers")
    noise = np.frombuffer(randomness(WORD * len(agreed)), dtype="<u8").astype(np.uint64)
    words = np.where(np.asarray(agreed, dtype=bool), np.uint64(0), noise)
    return Release(Summary(layout, {layout.fields[0].name: words}), _TOKEN)


def refusal(kind: str) -> Refused:
    """The one text of a refusal for this question kind: the rules that could apply and what to change.

    It depends on the kind alone, never on the rule that failed, on the site or on how many refused.
    """
    return Refused(
        "E-DISCLOSURE",
        "not answered: not every site's disclosure rules allow this question; rules that could apply: "
        + ", ".join(could_apply(kind)),
        _HINTS.get(kind, "ask for larger groups, fewer terms or a coarser grid"),
    )


def could_apply(kind: str) -> tuple[str, ...]:
    """Rules that could refuse a question of this kind, whatever did."""
    return _COULD.get(kind, _FIT)


def _only_here(token: object) -> None:
    if token is not _TOKEN:
        raise Untrusted("E-GATE", "only the disclosure gate makes this", "call disclosure.gate.clear and release")


_TABLE = ("minimum_count", "minimum_count_site", "zeros", "dominance")
_CURVE = ("minimum_count", "minimum_count_site", "zeros")
_FIT = (*SITE_RULES, "maximum_weight_share")

_COULD: Mapping[str, tuple[str, ...]] = {
    "count": _CURVE,
    "table_one": _TABLE,
    "crosstab": _CURVE,
    "histogram": _CURVE,
    "quantiles": _CURVE,
    "roc": (*_CURVE, "maximum_weight_share"),
    "accuracy": _CURVE,
    "kaplan_meier": _CURVE,
    "log_rank": _CURVE,
    "rmst": _CURVE,
    "cumulative_incidence": _CURVE,
}

_MODEL_HINT = "fewer terms, merged levels of rare categories, or a wider population"
_CURVE_HINT = "a coarser grid, a shorter follow-up, or fewer and larger groups"
_HINTS: Mapping[str, str] = {
    "count": "a wider population or larger groups",
    "table_one": "larger groups, fewer variables, or merged levels of rare categories",
    "crosstab": "merged levels of rare categories, or a wider population",
    "histogram": "fewer and wider bins, or a wider population",
    "quantiles": "probabilities nearer 0.5, larger groups, or a wider population",
    "roc": "a coarser grid, or a population with more people of both classes",
    "accuracy": "a wider population, or another threshold",
    "glm": _MODEL_HINT,
    "correlation": "fewer variables, or a wider population",
    "cox": _MODEL_HINT + "; with one baseline also a coarser grid or strata: [site]",
    "kaplan_meier": _CURVE_HINT,
    "log_rank": _CURVE_HINT,
    "rmst": _CURVE_HINT,
    "cumulative_incidence": _CURVE_HINT,
}
