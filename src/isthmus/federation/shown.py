"""What a hub shows people of review, and a site the hub: the form of it, checked before anything is read from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from isthmus.governance.approval import Choice, Kind
from isthmus.governance.verdicts import Outcome
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.strict import parse

Verdict: TypeAlias = Literal["approved", "waiting", "returned", "rejected", "withdrawn", "released"]


@record
class Answer:
    """What a site says of a study.

    Attributes:
        since: when it first said so, ISO 8601, UTC.
        by: who decided; of what waits, who may.
        reason: of a return or a refusal.
        standing: digest of the standing rule that covers it.
        verdicts: rules of law by outcome, and the digest of their pack.
    """

    verdict: Verdict
    since: str
    by: tuple[str, ...] = ()
    reason: str | None = None
    standing: str | None = None
    verdicts: Mapping[str, str | tuple[str, ...] | None] | None = None


@record
class Waited:
    """Somebody for whom a run waits."""

    whom: str
    party: str
    since: str | None = None
    country: str | None = None


@record
class Decision:
    """What a person decided."""

    by: str
    party: str
    kind: Kind
    decision: Choice
    time: str
    reason: str | None


@record
class Review:
    """Where a run stands in review; `standing`: site -> whose standing rule approved it there."""

    state: str
    waiting: tuple[Waited, ...]
    decisions: tuple[Decision, ...]
    standing: Mapping[str, tuple[str, ...]]


@record
class Listed:
    """A study or result that waits for people."""

    run: str
    study: str
    created: str
    title: str
    review: Review
    mine: bool


@record
class Shown:
    """All that a person needs to decide; the request and the study that it amends have doors of their own."""

    run: str
    title: str
    request: Mapping[str, Any]
    result: str | None
    review: Review
    answers: Mapping[str, Answer]
    mine: bool
    amended: Any


@record
class Taken:
    """A decision that was taken in."""

    run: str
    review: Review
    proof: str


def read_answer(said: Any) -> Answer:
    """What a site says of a study.

    Raises:
        Invalid: E-TYPE, and those of `strict.parse`.
    """
    return _by_outcome(parse(Answer, said, "answer"))


def read_shown(said: Any) -> Shown:
    """What a hub shows of a run.

    Raises:
        Invalid: E-TYPE, and those of `strict.parse`.
    """
    shown = parse(Shown, said, "case")
    for answer in shown.answers.values():
        _by_outcome(answer)
    return shown


def _by_outcome(answer: Answer) -> Answer:
    law = answer.verdicts or {}
    if any(not isinstance(law.get(outcome, ()), tuple) for outcome in get_args(Outcome)):
        raise Invalid("E-TYPE", "a verdict lists rules", "use the same release on both sides", "answer.verdicts")
    return answer
