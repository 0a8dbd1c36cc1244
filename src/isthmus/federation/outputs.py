"""The facts `o` of each output of a study, for the rules of the egress gate.

Every party that computed the result derives the same facts from it, so a refusal may name its rule. Two are a site's own, measured
once more after its gate: they differ from the others' only where a gate or a history failed. A count is never a fact: of a
number there is the highest threshold of any rule that it reaches, or nothing could be written down of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.disclosure.output import gate_counts
from isthmus.evidence import Counts
from isthmus.federation.body import extension, names, shows_rows
from isthmus.federation.question import Question
from isthmus.federation.script import Ended, Script
from isthmus.governance.agreement import Agreement, legal_entities
from isthmus.governance.claims import origins
from isthmus.model.canonical import plain
from isthmus.model.rules import Rules
from isthmus.statistics.contract import Estimate

REFUSED = {"refused", "failed"}


@dataclass(frozen=True, slots=True)
class Own:
    """What a site finds in its own part of an answer.

    Attributes:
        pieces: its cells are zero or reach `minimum_count_site`, its population `minimum_count`.
        remembered: its history of questions let the question through, and keeps its sets of rows.
    """

    pieces: bool
    remembered: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """What outputs are held against.

    Attributes:
        rules: those that every party of the run applies.
        floors: origin -> least count, of the rule pack.
        statbarns: question kind -> kind of output, of the rule pack.
        people: who looks at an output besides the machine.
        requester: who asked.
        own: what this site finds in its own part of a question's answer.
    """

    agreement: Agreement
    rules: Rules
    floors: Mapping[str, int]
    statbarns: Mapping[str, str]
    people: tuple[str, ...]
    requester: str
    own: Callable[[Question], Own]


def outputs(script: Script, result: Mapping[str, Any], terms: Terms) -> dict[str, dict[str, Any]]:
    """Output -> its facts, of everything that the result shows; an analysis that is refused in it shows nothing.

    Args:
        script: ended, as it gave the result.
        result: as the site is about to sign it.
        terms: of the agreement, dataset and pack.
    """
    shared = _shared(script, terms)
    return {
        name: shared
        | _numbers(estimate, terms)
        | _held(body, (question, estimate), terms)
        | _asked(script, question, body, (result["sites"], terms))
        for name, question, body, estimate in _shown(script, result)
    }


def _shown(script: Script, result: Mapping[str, Any]) -> Iterator[tuple[str, Question, Mapping[str, Any], Estimate]]:
    for question in (*script.plan.questions[1:], *script.plan.groups, *script.plan.sites):
        body = result["analyses"][question.of or question.name]
        if question.whose:
            apart = body.get("sites" if question.site else "groups") or body.get("countries") or {}
            body = apart.get(question.whose[0], {"status": "refused"})
        outcome = script.outcomes.get(question.name)
        if body.get("status") not in REFUSED and isinstance(outcome, Ended):
            yield question.name, question, body, outcome.estimate


def _shared(script: Script, terms: Terms) -> dict[str, Any]:
    """True of every output of a study: what a result can hold at all, and the rules that every cell was held to."""
    custody = terms.agreement.dataset(script.plan.study.dataset).custody
    known = {"origins": sorted({o for c in custody for o in origins(terms.agreement, c)})} if custody else {}
    held = {name: value for name, value in plain(terms.rules).items() if value is not None}
    return {
        **known,
        "dataset": script.plan.study.dataset,
        "requester": terms.requester,
        "held": held,
    }


def _held(body: Mapping[str, Any], asked: tuple[Question, Estimate], terms: Terms) -> dict[str, Any]:
    """What the output holds besides its numbers, its steps, and what this site finds in its own part."""
    question, estimate = asked
    floor, own = terms.rules.minimum_count or 0, terms.own(question)
    return {
        "rows": shows_rows(body, estimate.n, floor),
        "names": names(body),
        "extension": extension(body),
        "site_smallest": (terms.rules.minimum_count_site or 0) if own.pieces else 0,
        "smallest_difference": floor if own.remembered else 0,
        "smallest_step": floor if _steps_reach(estimate, terms.rules, floor) else 0,
    }


def _steps_reach(estimate: Estimate, rules: Rules, floor: int) -> bool:
    """Whether what each step of a curve shows, as people see it, is nobody or reaches the floor; rounded as it is."""
    curves = {name: counts for name, counts in estimate.counts.items() if counts.kind == "survival"}
    shown = gate_counts(curves, rules, estimate.kind).counts.values()
    leaving = [n for c in shown for n in np.asarray(c.values, dtype=np.float64)[1:].ravel() if n > 0]
    return bool(min(leaving, default=floor) >= floor - (rules.round_to or 1) / 2)


def _asked(
    script: Script, question: Question, body: Mapping[str, Any], whose: tuple[list[str], Terms]
) -> dict[str, Any]:
    sites, terms = whose
    kind = question.statistic.kind
    here = [s for s in sites if question.concerns(s, terms.agreement.site(s).country)]
    asked = script.plan.study.analyses[question.of or question.name]
    released = sorted({extra for arguments in asked.values() for extra in arguments.get("release") or ()})
    probs: tuple[float, ...] = getattr(question.arguments, "probs", ())
    status = {finding["status"] for finding in body.get("disclosure", ())}
    machine = "fail" if "Blocked" in status else "review" if "Look" in status else "pass"
    return {
        "kind": kind,
        **({"statbarn": terms.statbarns[kind]} if kind in terms.statbarns else {}),
        "released": released,
        "endpoints": any(not 0.0 < p < 1.0 for p in probs),
        "sites": len(legal_entities(terms.agreement, here)),
        "checks": {"record": bool(status), "machine": machine, "people": list(terms.people)},
    }


def _numbers(estimate: Estimate, terms: Terms) -> dict[str, Any]:
    """Of the counts that people see, and of those that can be worked out from them."""
    rules = terms.rules
    least = rules.minimum_count or 0
    steps = sorted({0, least, *terms.floors.values()})
    seen = [estimate.n, *_values(estimate.counts, ("cells", "size"))]
    shown = [n for n in seen if n >= least]  # what is below was suppressed, and shows nothing
    implied = [n for n in _values(estimate.counts, ("implied",)) if n > 0]
    cells = [c for c in estimate.counts.values() if c.kind == "cells"]
    dof = rules.minimum_dof or 0
    return {
        "smallest": _reached(min(shown, default=0), steps),
        "derived_smallest": min(least, _reached(min(implied, default=least), steps)),
        "zeros": any(bool(np.any(c.values == 0)) for c in cells),
        "class_disclosive": any(c.of is not None and bool(np.any(c.values == c.of)) for c in cells),
        "dof": dof if estimate.n - estimate.parameters >= dof else 0,
        "quantile_n": _reached(estimate.n, steps),
    }


def _values(counts: Mapping[str, Counts], kinds: Iterable[str]) -> list[float]:
    chosen = [np.asarray(c.values, dtype=np.float64).ravel() for c in counts.values() if c.kind in kinds]
    return [float(v) for values in chosen for v in values if not np.isnan(v)]


def _reached(number: float, steps: list[int]) -> int:
    return max((step for step in steps if step <= number), default=0)
