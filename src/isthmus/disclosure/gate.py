"""The gate: the one place where a `Release` is made, and the only thing a site's link accepts.

    considered = consider(evidence, rules)                     every rule, once per question and grid
    clearance  = clear(question, considered, kind)             Refused unless every rule holds
    vote       = release_vote(layout, agreed, randomness)      masked: only "all agree" is learned
    sent       = release(summary, weights, clearance, rules)   every round, after the weight guard
    sent       = release_ballot(summary, choices, ...)         a round that asks which finer cells all sites may show
    sent       = refuse_round(layout, randomness)              in its place where a round cannot be answered
    sent       = abstain(layout)                               zeros, where a round is about other sites' people

`Clearance` and `Release` refuse to be made anywhere else: their constructor asks for a token that only this module
holds and that is not stored in the value, so neither copying, `replace` nor unpickling makes one. A test reads the
syntax tree of the whole package for forgeries. What a refusal says is one text per question kind, equal whichever
rule or site refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from isthmus.disclosure.budget import Purse
from isthmus.disclosure.noise import discrete_gaussian
from isthmus.disclosure.site import SITE_RULES, Considered, admits, shows, weigh
from isthmus.evidence import Weights
from isthmus.model.errors import Invalid, Refused, Untrusted
from isthmus.model.names import Digest
from isthmus.model.privacy import LEAST_VARIANCE, Allowance, FieldNoise, Noise
from isthmus.model.rules import Rules
from isthmus.summary import AGREE, WHOLE, Blind, IntArray, Layout, Summary, closed

_TOKEN = object()
WORD = 8  # bytes of a vote word, in Z_2^64
SEED = 32  # bytes that a blind refusal is drawn from


@dataclass(frozen=True, slots=True)
class Clearance:
    """Every site rule holds for one question at this site, under these rules. Made by `clear` alone.

    With an `allowance`, nothing is released without noise.
    """

    question: Digest
    kind: str
    rules: Rules
    allowance: Allowance | None
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _only_here(token)


@dataclass(frozen=True, slots=True)
class Release:
    """What may leave the site. Made by `release`, `release_ballot`, `release_vote`, `refuse_round` and `abstain` alone."""

    summary: Summary | Blind
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        _only_here(token)


def clear(question: Digest, considered: Considered, kind: str = "", allowance: Allowance | None = None) -> Clearance:
    """Permission for the rounds of one question, from what `site.consider` found.

    Raises:
        Refused: E-DISCLOSURE, the constant text of `refusal(kind)`.
        Untrusted: E-GATE, when a rule was not considered.
    """
    if not isinstance(considered, Considered) or [v.rule for v in considered.verdicts] != list(SITE_RULES):
        raise Untrusted("E-GATE", "not every disclosure rule was considered", "pass what consider returned")
    if not considered.holds:
        raise refusal(kind)
    return Clearance(question, kind, considered.rules, allowance, _TOKEN)


@dataclass(frozen=True, slots=True)
class Till:
    """What a release with noise takes: the noise, and the budget that pays for it.

    Attributes:
        noise: of the round, as every party derived it.
        purse: this site's budget.
        key: equal for the same question, round and sums so far on the same rows: paid for once, noised once.
        randomness: cryptographic, `secrets.token_bytes`.
    """

    noise: Noise
    purse: Purse
    key: str
    randomness: Callable[[int], bytes]


def release(
    summary: Summary,
    weights: Weights | None,
    clearance: Clearance,
    rules: Rules,
    cells: Mapping[str, IntArray] | None = None,
    till: Till | None = None,
) -> Release:
    """One round's summary as a release, after the weight guard; with noise where the clearance asks for it.

    It is closed with a 0: this site does not refuse the round.

    Args:
        summary: this site's part; finite.
        weights: working weights of the round, where it has any.
        clearance: of the question that the round belongs to.
        rules: this site's effective rules; those of the clearance.
        cells: counts that the round shows beyond those the clearance was given for.
        till: noise and budget, where the clearance has an allowance; there alone.

    Raises:
        Refused: E-DISCLOSURE, constant text; `reasons(weigh(weights, rules))` is for the site's own ledger.
            E-BUDGET, when the privacy budget does not cover it.
        Untrusted: E-GATE, no clearance, or one given under other rules; noise that is missing or too small.
        Invalid: E-RANGE, a value that is not finite.
    """
    if not isinstance(clearance, Clearance) or clearance.rules != rules:
        raise Untrusted("E-GATE", "this clearance was not given under these rules", "clear the question again")
    if not weigh(weights, rules).holds or not shows(cells or {}, rules).holds:
        raise refusal(clearance.kind)
    floats = (value for value in summary.values.values() if value.dtype.kind == "f")
    if not all(np.all(np.isfinite(value)) for value in floats):
        raise Invalid("E-RANGE", "a sum is not finite", "check the ranges of the variables in the codebook")
    if (till is None) != (clearance.allowance is None):
        raise Untrusted("E-GATE", "noise is added where the agreement asks for it, and only there")
    if till is not None and clearance.allowance is not None:
        _check_noise(summary.layout, till.noise, clearance.allowance)
        summary = _noised(summary, till)
    return _closed(summary)


def _closed(summary: Summary) -> Release:
    agrees = {AGREE.name: np.zeros(AGREE.shape, dtype=np.uint64)}
    return Release(Summary(closed(summary.layout), {**summary.values, **agrees}), _TOKEN)


def refuse_round(layout: Layout, randomness: Callable[[int], bytes]) -> Release:
    """A refusal in mid-run: uniformly random words in the place of this site's part, the closing one among them.

    This site's part does not enter, and the sum over all sites is uniformly random too: it is no sum over the others.
    All parties open a closing word that is not 0 (but for one chance in 2**64), so that the question ends as refused,
    and nobody can tell at which site, at how many, or why.

    Args:
        layout: of the round, closed.
        randomness: cryptographic, `secrets.token_bytes`.

    Raises:
        Invalid: E-LAYOUT, a round whose layout is not closed: its sum would pass for an answer.
    """
    if layout.fields[-1:] != (AGREE,):
        raise Invalid("E-LAYOUT", "a round that can be refused closes with the word that says so")
    return Release(Blind(layout, randomness(SEED)), _TOKEN)


def abstain(layout: Layout) -> Release:
    """Zeros: this site has no part in a round that is about other sites' people. It tells nothing, and refuses nothing.

    Args:
        layout: of the round, closed.
    """
    nothing: dict[str, Any] = {f.name: np.zeros(f.shape, dtype=f.dtype) for f in layout.fields}
    return Release(Summary(layout, nothing), _TOKEN)


def _check_noise(layout: Layout, noise: Noise, allowance: Allowance) -> None:
    """Every field is whole numbers with enough noise on them for what is charged."""
    rho = Fraction(*noise.rho)
    sound = (
        set(noise.fields) == {f.name for f in layout.fields}
        and all(f.kind in WHOLE and f.kind != "vote" for f in layout.fields)
        and all(f.variance >= LEAST_VARIANCE for f in noise.fields.values())
        and noise.honest == allowance.honest
        and noise.cost() <= rho <= Fraction(*allowance.rho)
    )
    if not sound:
        raise Untrusted("E-GATE", "the noise of this round is not what the agreement asks for")


def _noised(summary: Summary, till: Till) -> Summary:
    """The values with noise on them, as they were paid for the first time."""
    layout = summary.layout

    def make() -> bytes:
        parts = (_add_noise(summary, f.name, till.noise.fields[f.name], till.randomness) for f in layout.fields)
        return b"".join(part.astype("<i8").tobytes() for part in parts)

    kept = np.frombuffer(till.purse.spend(till.key, Fraction(*till.noise.rho), make), dtype="<i8").astype(np.int64)
    if kept.size != sum(f.size for f in layout.fields):
        raise Untrusted("E-GATE", "what was kept of this release has another length")
    values, at = {}, 0
    for f in layout.fields:
        values[f.name] = kept[at : at + f.size].reshape(f.shape)
        at += f.size
    return Summary(layout, values)


def _add_noise(summary: Summary, name: str, noise: FieldNoise, randomness: Callable[[int], bytes]) -> IntArray:
    value = np.asarray(summary.values[name], dtype=np.int64)
    return value.reshape(-1) + discrete_gaussian(Fraction(noise.variance), value.size, randomness)


def release_ballot(
    summary: Summary,
    choices: Sequence[IntArray],
    clearance: Clearance,
    rules: Rules,
    randomness: Callable[[int], bytes],
    cells: Mapping[str, IntArray] | None = None,
) -> Release:
    """A round with a ballot inside a question: of its words, as in the vote, nobody learns more than which all agree to.

    Counts that the round asks for beside are held to every guard of `release`; no round with working weights has a ballot.

    Args:
        summary: this site's part; the words in it, fields of kind `vote` of one dimension, are put in here.
        choices: blocks (words, k) of the counts that each word would show, in the layout's order.
        clearance: of the question that the round belongs to.
        rules: this site's effective rules; those of the clearance.
        randomness: cryptographic, `secrets.token_bytes`.
        cells: counts that the round shows beyond those the clearance was given for.

    Raises:
        Refused: E-DISCLOSURE, as `release`.
        Untrusted: E-GATE, no clearance, or one given under other rules.
        Invalid: E-LAYOUT, another number of words.
    """
    if isinstance(clearance, Clearance) and clearance.allowance is not None:
        raise Untrusted("E-GATE", "a ballot has no noise")
    agreed = np.concatenate([admits(block, rules) for block in choices]) if choices else np.zeros(0, dtype=np.bool_)
    ballot = Layout(fields=tuple(f for f in summary.layout.fields if f.kind == "vote"))
    words = _words(ballot, agreed.tolist(), randomness)
    return release(Summary(summary.layout, {**summary.values, **words.values}), None, clearance, rules, cells)


def release_vote(layout: Layout, agreed: Sequence[bool], randomness: Callable[[int], bytes]) -> Release:
    """This site's words of the vote: 0 where it agrees, uniformly random where it refuses.

    Args:
        layout: fields of kind `vote`, of one dimension, and no other.
        agreed: one answer per word, in the layout's order.
        randomness: cryptographic, `secrets.token_bytes`; as many bytes are drawn whatever the answers.

    Raises:
        Invalid: E-LAYOUT, another layout or number of answers.
    """
    return Release(_words(layout, agreed, randomness), _TOKEN)


def _words(layout: Layout, agreed: Sequence[bool], randomness: Callable[[int], bytes]) -> Summary:
    ends = np.add.accumulate([f.size for f in layout.fields])
    if any(f.kind != "vote" or len(f.shape) != 1 for f in layout.fields) or ends[-1:].tolist() != [len(agreed)]:
        raise Invalid("E-LAYOUT", "a vote is as many words as there are answers, and nothing else")
    noise = np.frombuffer(randomness(WORD * len(agreed)), dtype="<u8").astype(np.uint64)
    words = np.split(np.where(np.asarray(agreed, dtype=bool), np.uint64(0), noise), ends[:-1])
    return Summary(layout, {f.name: own for f, own in zip(layout.fields, words, strict=True)})


def refusal(kind: str) -> Refused:
    """The one text of a refusal for this question kind: the rules that could apply and what to change.

    It depends on the kind alone, never on the rule that failed, on the site or on how many refused.
    """
    return Refused(
        "E-DISCLOSURE",
        "not answered: not every site's disclosure rules allow this question; rules that could apply: "
        + ", ".join(could_apply(kind))
        + ", and the history of questions",
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
    "rate": _TABLE,
    "table_one": _TABLE,
    "crosstab": _CURVE,
    "histogram": _CURVE,
    "quantiles": _CURVE,
    "roc": (*_CURVE, "maximum_weight_share"),
    "accuracy": _CURVE,
    "decision_curve": _CURVE,
    "kaplan_meier": _CURVE,
    "log_rank": _CURVE,
    "rmst": _CURVE,
    "cumulative_incidence": _CURVE,
    "calibration": _FIT,
    "correlation": _FIT,
    "spearman": (*_CURVE, "maximum_weight_share"),
    "kruskal_wallis": _CURVE,
    "glm": _FIT,
    "multinomial": _FIT,
    "ordinal": _FIT,
    "penalised": _FIT,
    "mixed": _FIT,
    "gee": _FIT,
    "conditional_logistic": _FIT,
    "propensity": _FIT,
    "effect": _FIT,
    "cox": _FIT,
    "fine_gray": _FIT,
    "parametric_survival": _FIT,
    "meta": _FIT,
    "validate_model": _FIT,
}

_MODEL_HINT = "fewer terms, merged levels of rare categories, or a wider population"
_CURVE_HINT = (
    "wider steps, a shorter follow-up, or fewer and larger groups; with `coarser: true` in `grid` its coarser forms are"
    " voted on too, and the finest that every site agrees to is used"
)
_HINTS: Mapping[str, str] = {
    "rate": "larger groups, fewer strata, or a wider population",
    "count": "a wider population or larger groups",
    "table_one": "larger groups, fewer variables, or merged levels of rare categories",
    "crosstab": "merged levels of rare categories, or a wider population",
    "histogram": "fewer and wider bins, or a wider population",
    "quantiles": "probabilities nearer 0.5, larger groups, or a wider population",
    "roc": "a coarser grid, or a population with more people of both classes",
    "accuracy": "a wider population, or another threshold",
    "decision_curve": "fewer thresholds further apart, or a wider population",
    "glm": _MODEL_HINT,
    "multinomial": _MODEL_HINT + "; merged levels of the outcome",
    "ordinal": _MODEL_HINT + "; merged levels of the outcome",
    "gee": _MODEL_HINT + "; more clusters, or correlation: independence",
    "conditional_logistic": _MODEL_HINT + "; more sets with a case and a control",
    "mixed": _MODEL_HINT + "; more groups, and groups of enough people",
    "penalised": _MODEL_HINT + "; fewer penalties or folds",
    "correlation": "fewer variables, or a wider population",
    "spearman": "a coarser grid, or a wider population",
    "kruskal_wallis": "a coarser grid, fewer and larger groups, or a wider population",
    "calibration": "a population with more people of both classes, or a coarser grid",
    "propensity": _MODEL_HINT,
    "effect": _MODEL_HINT + ", or people who could have had either treatment",
    "validate_model": "a population with more people of both classes, fewer thresholds, or fewer terms of the equation",
    "meta": "fewer levels, merged levels with few people, or fewer terms of the model",
    "parametric_survival": _MODEL_HINT,
    "fine_gray": _MODEL_HINT + "; also a coarser grid",
    "cox": _MODEL_HINT + "; with one baseline also a coarser grid or strata: [site]",
    "kaplan_meier": _CURVE_HINT,
    "log_rank": _CURVE_HINT,
    "rmst": _CURVE_HINT,
    "cumulative_incidence": _CURVE_HINT,
}
