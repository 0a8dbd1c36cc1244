"""The course of a study: each state can be reached and left, each step writes its ledger event, and a ledger tells it back."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.governance.review import STATES, TRANSITIONS, Event, advance, course, diagram
from isthmus.ledger.entries import EVENTS, Entry
from isthmus.model.errors import Invalid, Refused

ENDS = {"Returned", "Released", "Rejected", "Withdrawn", "Stopped"}


def entry(event: str, **facts: Any) -> Entry:
    return Entry(event=event, facts={"run": "r", **facts}, time="2026-11-23T12:00:00.000Z", sequence=0)


def step(name: str) -> Entry:
    return entry("approval", step=name)


def test_the_table_is_whole() -> None:
    assert set(TRANSITIONS) | ENDS == set(STATES)
    assert not set(TRANSITIONS) & ENDS
    reached = {s.after for steps in TRANSITIONS.values() for s in steps.values()} | {"Draft"}
    assert reached == set(STATES)
    assert {s.writes for steps in TRANSITIONS.values() for s in steps.values()} <= set(EVENTS)


def test_no_step_without_its_ledger_entry() -> None:
    assert advance("Draft", "submit", step("submit")) == "Submitted"
    for state, steps in TRANSITIONS.items():
        for event, leads in steps.items():
            assert advance(state, event, entry(leads.writes)) == leads.after
            with pytest.raises(Invalid, match="ledger event"):
                advance(state, event, entry("round"))


@pytest.mark.parametrize(
    ("state", "event"),
    [("Released", "release"), ("In review", "release"), ("Draft", "approve"), ("Returned", "accept")],
)
def test_what_cannot_be(state: Any, event: Event) -> None:
    with pytest.raises(Refused, match="does not"):
        advance(state, event, step(event))


TOLD = [
    step("submit"),
    step("ask"),
    entry("decision", verdict="approved"),
    step("accept"),
    step("accept"),
    step("approve"),
    entry("study"),
    entry("round"),
    entry("waiting", sites=["leeds"]),
    entry("waiting", sites=[]),
    Entry(event="refusal", facts={"run": "another"}, time="2026-11-23T12:00:00.000Z", sequence=0),
    entry("release"),
    step("vote"),
    step("vote"),
    step("release"),
]


def test_a_ledger_tells_the_course() -> None:
    told = course(TOLD, "r", people_check_results=True)
    assert [m.state for m in told if m.event not in {"accept", "vote"}] == [
        "Submitted",
        "In review",
        "Approved",
        "Running",
        "Waiting",
        "Running",
        "Results in egress review",
        "Released",
    ]


def test_a_run_that_nobody_reviews_has_a_course_too() -> None:
    late = entry("waiting", sites=[], unerased=["leeds"])  # no step: the run is over
    told = course([entry("study"), entry("release"), late], "r", people_check_results=False)
    assert [m.state for m in told] == ["Running", "Released"]


def test_a_ledger_that_releases_without_review_is_noticed() -> None:
    with pytest.raises(Refused):
        course([step("submit"), step("ask"), entry("study")], "r", people_check_results=True)


def test_the_diagram_has_every_move() -> None:
    assert diagram().count(" --> ") == 1 + sum(map(len, TRANSITIONS.values())) + len(ENDS)
