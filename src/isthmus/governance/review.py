"""The course of a study as data: its states, what moves it on, and which ledger event each move writes.

The words are those of OpenSAFELY's Airlock, which UK output checkers know. `course` reads a run's states back from a
ledger alone; the diagram in the documentation is drawn from the same dict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from isthmus.ledger.entries import Entry
from isthmus.model.errors import Invalid, Refused
from isthmus.model.record import record

State = Literal[
    "Draft",
    "Submitted",
    "In review",
    "Returned",
    "Approved",
    "Running",
    "Waiting",
    "Results in egress review",
    "Released",
    "Rejected",
    "Withdrawn",
    "Stopped",
]
Event = Literal[
    "submit",
    "ask",
    "accept",
    "approve",
    "return",
    "reject",
    "withdraw",
    "start",
    "wait",
    "resume",
    "conclude",
    "vote",
    "release",
    "stop",
]

STATES: Mapping[State, str] = {
    "Draft": "with the researcher",
    "Submitted": "the hub admitted the signed study",
    "In review": "sites and custodians look at it",
    "Returned": "a person asks for changes and says why; an amended study is a new one",
    "Approved": "every party whose site takes part has agreed",
    "Running": "the sites answer its questions",
    "Waiting": "for named sites, since a named time",
    "Results in egress review": "output checkers look at the result; nobody else can fetch it",
    "Released": "the researcher can fetch the result",
    "Rejected": "a person refused it and says why",
    "Withdrawn": "the researcher took it back",
    "Stopped": "a rule or a failure ended it",
}


@record
class Step:
    """Where an event leads, and the ledger event that it writes."""

    after: State
    writes: str


_ENDS: Mapping[Event, Step] = {
    "return": Step(after="Returned", writes="approval"),
    "reject": Step(after="Rejected", writes="approval"),
    "withdraw": Step(after="Withdrawn", writes="approval"),
}
_STOP = Step(after="Stopped", writes="refusal")
_UNDER_WAY: Mapping[Event, Step] = {
    "conclude": Step(after="Results in egress review", writes="release"),
    "release": Step(after="Released", writes="release"),
    "withdraw": _ENDS["withdraw"],
    "stop": _STOP,
}

TRANSITIONS: Mapping[State, Mapping[Event, Step]] = {
    "Draft": {
        "submit": Step(after="Submitted", writes="approval"),
        "start": Step(after="Running", writes="study"),  # the rules alone decide
    },
    "Submitted": {"ask": Step(after="In review", writes="approval")},
    "In review": {
        "accept": Step(after="In review", writes="approval"),
        "approve": Step(after="Approved", writes="approval"),
        **_ENDS,
        "stop": _STOP,
    },
    "Approved": {"start": Step(after="Running", writes="study"), "stop": _STOP},
    "Running": {"wait": Step(after="Waiting", writes="waiting"), **_UNDER_WAY},
    "Waiting": {"resume": Step(after="Running", writes="waiting"), **_UNDER_WAY},
    "Results in egress review": {
        "vote": Step(after="Results in egress review", writes="approval"),
        "release": Step(after="Released", writes="approval"),
        **_ENDS,
        "stop": _STOP,
    },
}


def advance(before: State, event: Event, written: Entry) -> State:
    """The state after an event; `written` is the ledger entry that records it.

    Raises:
        Refused: E-STATE, the event does not happen in this state.
        Invalid: E-ENTRY, the entry is not the one that this step writes.
    """
    step = TRANSITIONS.get(before, {}).get(event)
    if step is None:
        raise Refused("E-STATE", f"a study that is {before} does not {event}", "see `isthmus study status`")
    if written.event != step.writes:
        raise Invalid("E-ENTRY", f"{event} writes a ledger event {step.writes}, not {written.event}")
    return step.after


@record
class Moment:
    """One move of a run: the state it led to, when, and the entry that says so."""

    state: State
    event: Event
    entry: Entry


def course(entries: Iterable[Entry], run: str, *, people_check_results: bool) -> tuple[Moment, ...]:
    """The states of a run, read from a hub's ledger alone.

    Args:
        entries: of the ledger, oldest first; those of other runs are passed over.
        run: the run's digest.
        people_check_results: whether the agreement asks for egress review.

    Raises:
        Refused: E-STATE, the ledger tells of a step that cannot be.
    """
    found: list[Moment] = []
    state: State = "Draft"
    for entry in entries:
        event = event_of(entry, people_check_results=people_check_results)
        if event is None or entry.facts.get("run") != run or (event == "stop" and state not in TRANSITIONS):
            continue  # what stops a run that was withdrawn is no step of its own
        state = advance(state, event, entry)
        found.append(Moment(state=state, event=event, entry=entry))
    return tuple(found)


def event_of(entry: Entry, *, people_check_results: bool) -> Event | None:
    """What an entry of a hub's ledger says of its run; None where it moves nothing."""
    match entry.event:
        case "approval":
            step = entry.facts.get("step")
            return next((event for event in get_args(Event) if event == step), None)
        case "waiting":
            if "unerased" in entry.facts:  # of a run that is over: who has not said that its secrets are erased
                return None
            return "wait" if entry.facts.get("sites") else "resume"
        case "release":
            return "conclude" if people_check_results else "release"
        case other:
            return _PLAIN.get(other)


_PLAIN: Mapping[str, Event] = {"study": "start", "refusal": "stop"}


def diagram() -> str:
    """The states and moves as a Mermaid state diagram."""
    names = {state: state.title().replace(" ", "") for state in STATES}
    lines = ["stateDiagram-v2", "    [*] --> Draft"]
    lines += [f"    state {state!r} as {names[state]}".replace("'", '"') for state in STATES if " " in state]
    for before, steps in TRANSITIONS.items():
        lines += [f"    {names[before]} --> {names[step.after]}: {event}" for event, step in steps.items()]
    lines += [f"    {names[state]} --> [*]" for state in STATES if state not in TRANSITIONS]
    return "\n".join(lines)
