"""A site's own copy of the run: rows become columns, evidence and summaries.

The disclosure gate stands between the summary and everything that could send it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.frame import Frame, fetch_frame
from isthmus.data.persons import positions, read_keys, same_rows
from isthmus.data.source import Source
from isthmus.disclosure.budget import Purse
from isthmus.disclosure.gate import (
    Clearance,
    Release,
    abstain,
    clear,
    refusal,
    refuse_round,
    release,
    release_ballot,
    release_vote,
)
from isthmus.disclosure.site import consider, reaches, reasons_in_words, shows, weigh
from isthmus.disclosure.traces import Floors, RowSet, set_of
from isthmus.evidence import Evidence
from isthmus.federation import selected
from isthmus.federation.outputs import Own
from isthmus.federation.plan import COUNTRY, POPULATION, VOTE, Plan, is_missing
from isthmus.federation.protocol.charter import Step
from isthmus.federation.protocol.context import check_encodable
from isthmus.federation.question import Question
from isthmus.federation.recall import Book, Enrolled, judge
from isthmus.federation.results import released
from isthmus.federation.rowsets import Asked, asked_for, row_sets, sides_of
from isthmus.federation.script import Script
from isthmus.federation.spending import Spending
from isthmus.model.canonical import digest, plain
from isthmus.model.codebook import Codebook
from isthmus.model.errors import DEFECTS, Invalid, IsthmusError, Refused, Untrusted, coded
from isthmus.model.rules import Rules, applies
from isthmus.statistics.contract import Answer, Inputs, Round
from isthmus.summary import IntArray, Summary

# Whether a table fits its codebook says nothing about what a study asks; other data-dependent errors might.
FAULTS = frozenset({"E-COLUMN-MISSING", "E-COLUMN-TYPE", "E-TEXT-IN-NUMBER", "E-LEVEL", "E-RESERVED-NAME"})
Cache = MutableMapping[str, Any]


@dataclass(slots=True)
class SiteWork:
    """A site's copy: rows stay behind it.

    `rules` are this site's own effective rules, at least as strict as the plan's, which the output gate applies.
    `cache` outlives the run, so that columns, designs and evidence are built once per question and data snapshot.
    `note` takes the exact reason of a local refusal to the site's own ledger, never to the wire.
    `book` is this site's record of earlier questions on the dataset, `codebook` the dataset's own, `person` the column
    that tells people apart, `purse` its privacy budget where the dataset has one.
    """

    plan: Plan
    site: str
    country: str
    source: Source
    rules: Rules
    randomness: Callable[[int], bytes]
    cache: Cache
    note: Callable[[str, str], None]
    book: Book
    codebook: Codebook
    person: str | None
    purse: Purse | None = None
    script: Script = field(init=False)
    faults: dict[str, IsthmusError] = field(default_factory=dict)
    _firsts: dict[tuple[str, int], Answer] = field(default_factory=dict)
    _clearances: dict[tuple[str, int], Clearance] = field(default_factory=dict)
    _at: int = 0
    _rows: Frame | None = None
    _latest: tuple[str, Inputs] | None = None
    _places: NDArray[np.intp] | None = None
    _snapshot: str = field(init=False)
    _spending: Spending = field(init=False)

    def __post_init__(self) -> None:
        self.script = Script(self.plan)
        study = self.plan.study
        rows = (study.population, study.derive, study.missing, study.subgroups, self.plan.variables)
        self._snapshot = digest([plain(rows), self.plan.dictionary, self.country, self.source.fingerprint()])
        kept = digest([self._snapshot, self.site, self.rules])
        self._spending = Spending(self.purse, kept, self.randomness)

    def open(self) -> None:
        """Read the rows, so that data which do not fit the codebook decline the study instead of looking like a refusal.

        Raises:
            Invalid: a fault of the table itself (`FAULTS`). What depends on the study's expressions is left to the vote.
            Unavailable: E-SOURCE.
        """
        known = f"opened {self._snapshot}"
        if known in self.cache:
            return
        declared = self.plan.dictionary.variables
        try:
            frame = self._frame()
            for name in self.plan.variables:
                if declared[name].type == "category" and declared[name].levels:
                    frame.codes(name, declared[name].levels or ())
        except Invalid as fault:
            if fault.code in FAULTS:
                raise
        self.cache[known] = True

    def step(self, question: str, round: int) -> Step:  # noqa: A002 - the protocol's word
        """The step as this site derives it.

        Raises:
            Untrusted: E-STEP, for a question or round that does not come next.
        """
        if question == VOTE:
            if self.script.voted:
                raise Untrusted("E-STEP", "the vote was already counted")
            return self.script.vote_step()
        names = [q.name for q in self.script.order()]
        if question not in names or names.index(question) < self._at:
            raise Untrusted("E-STEP", f"{question!r} does not come next")
        self._at = names.index(question)
        step = self.script.first(self.plan.question(question))
        if step.round != round:
            raise Untrusted("E-STEP", f"round {round} of {question!r} does not come next")
        return step

    def answer(self, step: Step) -> Release:
        """This site's gated part of a round, or noise in its place: what keeps it from answering stays here."""
        if step.question == VOTE:
            return release_vote(step.layout, self._votes(), self.randomness)
        question = self.plan.question(step.question)
        if not question.concerns(self.site, self.country):
            return abstain(step.layout)
        try:
            return self._released(question, step)
        except (Refused, Invalid, *DEFECTS) as error:
            met = coded(error)
            if isinstance(met, Invalid):
                self.faults[question.name] = met
            why = met.message if met.code == "E-DISCLOSURE" else met.code
            self.note(question.name, f"round {step.round}: {why}")
            return refuse_round(step.layout, self.randomness)

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        """Advance this site's own flow by the sum over the survivors."""
        self.script.learn(step, pooled, survivors)
        self._spending.hear(step.question, pooled)
        if step.question == VOTE:
            self.book.settle(self.plan.name, self.script.agreed)

    def conclude(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        """The released result, as this site computes it."""
        return released(self.script, survivors)

    def own(self, question: Question) -> Own:
        """What this site finds, once the run is over, in its own part of an answer: by its evidence and its history."""
        if not question.concerns(self.site, self.country):
            return Own(pieces=True, remembered=True)  # nobody of this site is in it
        whose = {question.name, question.of, *(q.name for q in self.plan.sites if q.of == question.name)}
        return Own(
            pieces=reaches(self._weighed(question, self.script.rung(question)), self.rules),
            remembered=not self._guarded or bool(whose & self.book.kept_of(self.plan.name)),
        )

    def _votes(self) -> list[bool]:
        """A yes or no to each word of the vote. When this returns, what was answered yes is in the history."""
        if not self._guarded:
            return [self._agrees(question, rung) for question, rung in self.plan.words]
        rows = self.book.enrol(
            self.source.fingerprint(), lambda secret: read_keys(self.source, self.codebook, self.person, secret)
        )
        agrees, asked = dict[tuple[str, int], bool](), list[Asked]()
        alone = {question.of: question for question in self.plan.sites if question.site == self.site}
        every = (*self.plan.questions, *self.plan.lacking)
        for question in every:  # one after another: both need the question's inputs
            yes = [self._agrees(question, rung) for rung in range(len(question.rungs))]
            if any(yes):
                sets = self._asked(question, [rung for rung, agreed in enumerate(yes) if agreed], rows)
                asked += self._with_own(sets, alone.get(question.name))
            agrees |= {(question.name, rung): agreed for rung, agreed in enumerate(yes)}
        agrees |= {(q.name, rung): self._agrees(q, rung) for q in self.plan.sites for rung in range(len(q.rungs))}
        self._latest = self._rows = self._places = None  # what the rounds need is cached
        own = [question for question in self.plan.groups if question.country == self.country]
        asked += [Asked(question.name, self._key(question), ()) for question in own]  # on rows that are there already
        own += alone.values()
        charged = [self._key(question) for question in (*self.plan.questions[1:], *own)]
        refused = judge(self.book, self.plan.name, rows, self._floors, asked, charged)
        for name, why in refused.items():
            self.note(name, why)
        denied = {*refused, *(question.of for question in own if question.name in refused)}
        return [agrees[q.name, rung] and q.name not in denied for q, rung in self.plan.words]

    def _with_own(self, sets: Asked, own: Question | None) -> list[Asked]:
        """With this site's own answer, where one is asked for: on the same rows, and it may be given where the whole is not."""
        if own is None:
            return [sets]
        return [replace(sets, name=own.name, key=self._key(own)), replace(sets, sets=(), decided=())]

    @property
    def _floors(self) -> Floors:
        people = self.rules.minimum_count or 1
        return Floors(people, min(people, self.rules.minimum_count_site or 1))

    def _key(self, question: Question) -> str:
        """Equal for the same question on the same snapshot; the answer of this site, or of its country, is one more."""
        return digest([question.digest, self._snapshot, *question.whose])

    def _asked(self, question: Question, rungs: Sequence[int], rows: Enrolled) -> Asked:
        """The question as the history sees it; kept, as its rows are the same whenever it is asked of this snapshot."""
        floor = self._floors.people

        def build() -> tuple[tuple[RowSet, ...], tuple[RowSet, ...]]:
            frame = self._frame()
            ids = rows.ids[self._positions()]
            kept = selected.kept(question.where, frame)
            if question.name == POPULATION:
                return (asked_for(ids[kept]),), ()
            enters = kept & frame.complete(self._needed(question))
            told = frame.indicators
            texts = [t for name in question.reads for t in (told.shown.get(name, ()) if told else ())]
            codes = {text: told.codes[text][enters] for text in texts} if told else {}
            decided = (
                sides_of(codes, ids[enters], rows.people, floor) if not question.lacks else self._gone(question, ids)
            )
            sets = row_sets(question, rungs, self._inputs(question), ids[enters], rows.people, floor)
            return (asked_for(ids[kept]), sets[0], *decided, *sets[1:]), decided

        return Asked(question.name, self._key(question), *self._cached(f"row sets {floor} {rungs}", question, 0, build))

    def _gone(self, question: Question, ids: NDArray[np.uint32]) -> tuple[RowSet, ...]:
        """Who lacks a derived variable, and each column behind it: numbers of those are told, so the sets may not be near."""
        frame = self._frame()
        columns = (frame.filter(is_missing(name)) for name in question.behind if name != COUNTRY)
        masks = (frame.missing(question.lacks), *columns)
        return tuple(RowSet("cells", False, set_of(ids[mask])) for mask in masks if mask.any())

    def _positions(self) -> NDArray[np.intp]:
        """Places of the population's rows in the source, read once for a run."""
        if self._places is None:
            places = positions(self.source, self.plan.study, self.plan.dictionary, self.country)
            same_rows(places, self._frame().rows)
            self._places = places
        return self._places

    def _released(self, question: Question, step: Step) -> Release:
        """This site's part of a round.

        Raises:
            Refused: E-DISCLOSURE, by the gate, or because what it agreed to in the vote no longer holds.
            Invalid: rows that cannot be summarised; E-RANGE, a sum that cannot be encoded.
        """
        rung = self.script.rung(question)
        if (question.name, rung) not in self._clearances and not self._agrees(question, rung):
            raise refusal(question.statistic.kind)
        answer = self._firsts.pop((question.name, rung), None) if step.round == 1 else None
        asked: Round = self.script.outcomes[question.name].round  # type: ignore[union-attr]
        if answer is None:
            answer = self.summarised(question, rung, asked)
        clearance = self._clearances[question.name, rung]
        met = (consider(evidence, self.rules) for evidence in answer.evidence)
        for guard in (weigh(answer.weights, self.rules), shows(answer.cells or {}, self.rules), *met):
            if not guard.holds:
                raise Refused("E-DISCLOSURE", reasons_in_words(guard))
        check_encodable(asked.layout, question.base.sites, answer.summary, question.reads)
        if answer.choices is not None:
            return release_ballot(answer.summary, answer.choices, clearance, self.rules, self.randomness, answer.cells)
        till = self._spending.till(question, rung, step.round, asked)
        return release(answer.summary, answer.weights, clearance, self.rules, answer.cells, till)

    def _agrees(self, question: Question, rung: int) -> bool:
        """Whether every disclosure rule admits this question on this rung; the reason stays here."""
        if not question.concerns(self.site, self.country):
            return True
        try:
            evidence = self._weighed(question, rung)
            first = self._first(question, rung)
        except (Invalid, *DEFECTS) as error:
            fault = coded(error)
            self.faults[question.name] = fault
            self.note(question.name, fault.code)
            return False
        considered = consider(evidence, self.rules)
        if not considered.holds:
            self.note(question.name, reasons_in_words(considered))
            return False
        if first is not None and not weigh(first.weights, self.rules).holds:
            self.note(question.name, reasons_in_words(weigh(first.weights, self.rules)))
            return False
        if not self._spending.affords(question, rung):
            self.note(question.name, "E-BUDGET")
            return False
        asked = (question.statistic.kind, question.base.privacy)
        self._clearances[question.name, rung] = clear(question.digest, considered, *asked)
        if first is not None:
            self._firsts[question.name, rung] = first
        return True

    def check(self) -> Mapping[str, IsthmusError]:
        """Questions that fail on this site's rows for another reason than a rule, and why; it stays here."""
        for question, rung in self.plan.words:
            self._agrees(question, rung)
        return self.faults

    def _first(self, question: Question, rung: int) -> Answer | None:
        """This site's part of the first round, made before the vote: what cannot be summed is a refusal there, and no
        sign in a later round. None where the question fails alike at every party.

        Raises:
            Invalid: rows that cannot be summarised; E-RANGE, a sum that cannot be encoded.
        """
        try:
            opening = next(question.statistic.flow(question.arguments, question.setting(rung)))
        except (Invalid, StopIteration, *DEFECTS):
            return None
        answer = self.summarised(question, rung, opening)
        check_encodable(opening.layout, question.base.sites, answer.summary, question.reads)
        return answer

    def summarised(self, question: Question, rung: int, asked: Round) -> Answer:
        """This site's part of a round as it is, before any gate: for the gate, and for a preview over invented rows."""
        prepared = self._prepared(question, rung)
        with np.errstate(all="ignore"):  # a sum that is not finite is refused where it is encoded (E-RANGE)
            return question.statistic.summarise(question.arguments, question.setting(rung), prepared, asked)

    def _weighed(self, question: Question, rung: int) -> Evidence:
        what = "evidence, sides" if self._guarded else "evidence"  # rules differ between runs of one cache
        kept: Evidence = self._cached(what, question, rung, lambda: self._evidence(question, rung))
        return kept

    def _evidence(self, question: Question, rung: int) -> Any:
        setting = question.setting(rung)
        evidence = question.statistic.evidence(question.arguments, setting, self._prepared(question, rung))
        sides = self._cached("sides", question, 0, lambda: self._sides(question)) if self._guarded else {}
        return replace(evidence, sides={**evidence.sides, **sides})

    @property
    def _guarded(self) -> bool:
        return applies(self.rules, "minimum_count")

    def _sides(self, question: Question) -> dict[str, IntArray]:
        return selected.sides(question, self._frame(), (question.lacks,) if question.lacks else self._needed(question))

    def _needed(self, question: Question) -> tuple[str, ...]:
        """Variables that a row must have to enter."""
        if question.needs.gaps or question.lacks:
            return ()
        return self.plan.variables if self.plan.study.missing == "study" else question.reads

    def _prepared(self, question: Question, rung: int) -> Any:
        told = (question.arguments, question.setting(rung))
        return self._cached(
            "prepared", question, rung, lambda: question.statistic.prepare(*told, self._inputs(question))
        )

    def _inputs(self, question: Question) -> Inputs:
        """Those of the latest question are kept until the vote is cast."""
        if self._latest is None or self._latest[0] != question.name:
            self._latest = (question.name, self._selected(question))
        return self._latest[1]

    def _selected(self, question: Question) -> Inputs:
        frame = self._frame()
        if question.name == POPULATION:
            return selected.missing(question, frame)
        if question.lacks:
            return selected.lacking(question, frame)
        mask = frame.complete(self._needed(question)) & selected.kept(question.where, frame)
        rows = frame.subset(mask)
        if not question.needs.gaps:
            return selected.complete(question, rows, self.site)
        told = (self.codebook, self.person, self.book.secret(), self.book.elsewhere())
        return selected.with_gaps(question, rows, read_keys(self.source, *told).rows[self._positions()][mask])

    def _frame(self) -> Frame:
        if self._rows is None:
            plan = self.plan
            read = (plan.study, plan.dictionary, plan.variables, self.country, plan.conditions)
            self._rows = fetch_frame(self.source, *read, told=self._guarded)
        return self._rows

    def _cached(self, what: str, question: Question, rung: int, build: Callable[[], Any]) -> Any:
        key = f"{what} {question.digest} {rung} {self._snapshot}"
        if key not in self.cache:
            self.cache[key] = build()
        return self.cache[key]
