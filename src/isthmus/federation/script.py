"""The run as every party computes it: which round comes next, and what the sums mean.

Hub and sites each hold a `Script` over the same `Plan`. It is a pure function of the study, the agreed dictionary and
rules, the roster and the pooled sums so far; so no party ever has to be told parameters by another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TypeAlias

from isthmus.federation.places import among, check_countries
from isthmus.federation.plan import POPULATION, VOTE, Plan
from isthmus.federation.protocol.charter import Step
from isthmus.federation.question import Question
from isthmus.model.canonical import digest
from isthmus.model.errors import DEFECTS, Invalid, IsthmusError, Refused, Untrusted, coded
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.summary import AGREE, Field, Layout, Summary, closed, feed


@dataclass(frozen=True, slots=True)
class Asked:
    """A round of this question is open or its sum is awaited."""

    number: int
    flow: Flow
    round: Round
    transcript: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The flow gave its estimate."""

    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Errored:
    """The flow cannot give an estimate: separation, collinear columns, no event; or may not."""

    error: IsthmusError


@dataclass(frozen=True, slots=True)
class Barred:
    """At least one site refused a round; nobody knows which, how many or why. The sum was noise."""


Outcome: TypeAlias = Asked | Ended | Errored | Barred


@dataclass(slots=True)
class Script:
    """One party's copy of the run.

    `agreed` maps a question to its rung once the vote is known; `apart`: the sites that voted may tell countries apart.
    """

    plan: Plan
    agreed: dict[str, int] = field(default_factory=dict)
    voted: bool = False
    apart: bool = False
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def order(self) -> list[Question]:
        """Questions that every site can answer, in the order they run; those of countries once the whole has an answer.

        Before, a country whose sites answer would tell that a refusal came from another one. Single sites, where their
        custodians allow results of them, answer or refuse each by itself.
        """
        whole = [q for q in self.plan.questions if q.name in self.agreed]
        answered = [q for q in self.plan.groups if self.apart and isinstance(self.outcomes.get(q.of), Ended)]
        return [*whole, *answered, *(q for q in (*self.plan.sites, *self.plan.lacking) if q.name in self.agreed)]

    def rung(self, question: Question) -> int:
        """The rung that the vote chose; of a country, or a site beside an answer of all, that of the whole.

        So no site's cells are shown on two grids.
        """
        return self.agreed[question.of if question.of in self.agreed else question.name]

    def first(self, question: Question) -> Step:
        """Open a question: its first round needs no sum."""
        self.open(question)
        return self.current(question.name)

    def open(self, question: Question) -> None:
        """Start a question's flow, once."""
        if question.name not in self.outcomes:
            rung = self.rung(question)
            asked = {"run": self.plan.name, "question": question.digest, "rung": rung}
            own = {key: value for key in ("country", "site") if (value := getattr(question, key)) is not None}
            start = digest({**asked, **own})
            try:
                flow = question.statistic.flow(question.arguments, question.setting(rung))
            except (Invalid, Refused, *DEFECTS) as error:  # a flow that checks before its first round
                self.outcomes[question.name] = Errored(coded(error))
            else:
                self.outcomes[question.name] = _advance(flow, None, 0, start)

    def current(self, name: str) -> Step:
        """The open round of a question.

        Raises:
            Untrusted: E-STEP, when no round of it is open.
        """
        asked = self.outcomes.get(name)
        if not isinstance(asked, Asked):
            raise Untrusted("E-STEP", f"no round of {name!r} is open here")
        question = self.plan.question(name)
        return Step(
            question=name,
            kind=question.statistic.kind,
            round=asked.number,
            layout=closed(asked.round.layout),
            transcript=asked.transcript,
            after=question.of,
        )

    def vote_step(self) -> Step:
        """The masked vote: one word per question and rung."""
        layout = Layout(fields=(Field(name="vote", shape=(len(self.plan.words),), kind="vote"),))
        start = digest({"run": self.plan.name, "words": [[q.name, rung] for q, rung in self.plan.words]})
        return Step(question=VOTE, kind="vote", round=1, layout=layout, transcript=start)

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        """Take in a pooled sum, of the sites `survivors`, and advance.

        Raises:
            Untrusted: E-STEP, when the sum belongs to no open round.
        """
        if step.question == VOTE:
            self._count_votes(pooled)
            self._count_countries(survivors)
            return
        asked = self.outcomes.get(step.question)
        if not isinstance(asked, Asked) or asked.number != step.round:
            raise Untrusted("E-STEP", f"no sum of {step.question!r} is awaited")
        site = self.plan.question(step.question).site
        if pooled.values[AGREE.name].any() or (site is not None and site not in survivors):
            self._bar(step.question)
            return
        told = Summary(asked.round.layout, {f.name: pooled.values[f.name] for f in asked.round.layout.fields})
        self.outcomes[step.question] = _advance(asked.flow, told, asked.number, chain(asked.transcript, pooled))

    def _bar(self, name: str) -> None:
        """End a question as refused. Without the population, none is answered."""
        self.outcomes[name] = Barred()
        if name == POPULATION:
            self.agreed.clear()

    def _count_votes(self, pooled: Summary) -> None:
        if self.voted:
            raise Untrusted("E-STEP", "the vote was already counted")
        self.voted = True
        for (question, rung), word in zip(self.plan.words, pooled.values["vote"], strict=True):
            if int(word) == 0 and question.name not in self.agreed:
                self.agreed[question.name] = rung
        if POPULATION not in self.agreed:
            self.agreed.clear()

    def _count_countries(self, survivors: tuple[str, ...]) -> None:
        """Whether countries still have enough parties after a loss; these survivors bind the rest of the run."""
        for lost in (q for q in self.plan.sites if q.site not in survivors):
            self.agreed.pop(lost.name, None)
        try:
            check_countries(among(self.plan.places, survivors), self.plan.rules)
        except Refused:
            for name in [*self.agreed] if POPULATION in self.plan.by_country else self.plan.by_country:
                self.agreed.pop(name, None)
            return
        self.apart = True


def chain(transcript: str, pooled: Summary) -> str:
    """Digest of a question's pooled sums so far."""
    state = hashlib.sha256(transcript.encode())
    feed(state, pooled)
    return "sha256:" + state.hexdigest()


def _advance(flow: Flow, pooled: Summary | None, number: int, transcript: str) -> Outcome:
    try:
        following = next(flow) if pooled is None else flow.send(pooled)
    except StopIteration as stop:
        return Ended(stop.value)
    except (Invalid, Refused, *DEFECTS) as error:
        return Errored(coded(error))
    return Asked(number + 1, flow, following, transcript)


def require_ended(script: Script) -> None:
    """Return when every question has an outcome; a round still open means that a sum was withheld.

    Raises:
        Untrusted: E-STEP, when a flow has not ended.
    """
    at = 0
    while at < len(order := script.order()):  # it grows by the questions of countries
        script.open(order[at])  # a flow that asks nothing was never stepped
        if isinstance(script.outcomes[order[at].name], Asked):
            raise Untrusted("E-STEP", f"{order[at].name!r} was not run to its end")
        at += 1
