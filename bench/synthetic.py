"""A run of rounds that only carry numbers: what the protocol costs without any statistics.

The hub and the sites are the real nodes (TLS, signatures, masks, journal, ledger); only the work is made up. Sums pass
the real gate, under open rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any

import numpy as np

from isthmus.crypto.shares import threshold_for
from isthmus.disclosure.gate import Clearance, Release, clear, release
from isthmus.disclosure.site import consider
from isthmus.evidence import Evidence
from isthmus.federation.desk import Desk, Note, Request, Seat
from isthmus.federation.protocol.charter import Charter, Member, Step
from isthmus.federation.script import chain
from isthmus.model.canonical import digest
from isthmus.model.names import Digest
from isthmus.model.rules import OPEN
from isthmus.summary import Field, FloatArray, Layout, Summary, closed

AGREEMENT = digest("bench")
Tell = Callable[[dict[str, Any]], None]


def layout_of(values: int) -> Layout:
    return Layout(fields=(Field(name="values", shape=(values,), kind="sum"),))


@dataclass(slots=True)
class Rounds:
    """Which round comes next: the same at every party. One question, `rounds` rounds of `values` numbers."""

    run: str
    values: int
    rounds: int
    at: int = 1
    transcript: str = field(init=False)

    def __post_init__(self) -> None:
        self.transcript = digest({"run": self.run, "values": self.values})

    def current(self) -> Step | None:
        if self.at > self.rounds:
            return None
        return Step(
            question="numbers",
            kind="bench",
            round=self.at,
            layout=closed(layout_of(self.values)),
            transcript=self.transcript,
        )

    def learn(self, pooled: Summary) -> None:
        self.transcript = chain(self.transcript, pooled)
        self.at += 1


@dataclass(slots=True)
class HubNumbers:
    """The hub's work; tells how long each round took, from asking to the opened sum."""

    rounds: Rounds
    tell: Tell
    asked: float | None = None

    def next(self) -> Step | None:
        step = self.rounds.current()
        if step is not None and self.asked is None:
            self.asked = perf_counter()
        return step

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        now = perf_counter()
        self.tell({"round": step.round, "seconds": now - (self.asked or now)})
        self.asked = None
        self.rounds.learn(pooled)

    def conclude(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        return {"survivors": list(survivors), "transcript": self.rounds.transcript}

    def transcript(self, cards: str) -> Any:
        return None


@dataclass(slots=True)
class SiteNumbers:
    """A site's work: the same invented numbers every round."""

    rounds: Rounds
    numbers: FloatArray
    clearance: Clearance

    def step(self, question: str, round: int) -> Step:  # noqa: A002 - the protocol's word
        step = self.rounds.current()
        if step is None or (question, round) != (step.question, step.round):
            raise RuntimeError("the bench's rounds are out of step")
        return step

    def answer(self, step: Step) -> Release:
        return release(Summary(layout_of(self.rounds.values), {"values": self.numbers}), None, self.clearance, OPEN)

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        self.rounds.learn(pooled)

    def conclude(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        return {"survivors": list(survivors), "transcript": self.rounds.transcript}


def charter_of(request: Request, members: tuple[Member, ...], hub_key: str) -> Charter:
    """The run that a request of the bench names: `{run, values, rounds}`."""
    return Charter(
        protocol="secagg/1",
        mode="rehearsal",
        run=digest({"bench": request["number"], "values": request["values"], "rounds": request["rounds"]}),
        number=int(request["number"]),
        study=digest("bench study"),
        agreement=AGREEMENT,
        roster=members,
        threshold=threshold_for(len(members)),
        minimum_sites=2,
        hub_key=hub_key,
        vote_after=0.0,
    )


DESK = Desk(mode="rehearsal", agreement=AGREEMENT, in_force=lambda now: None)


@dataclass(frozen=True, slots=True)
class HubBench:
    """The hub's desk: takes any request."""

    members: tuple[Member, ...]
    hub_key: str
    tell: Tell

    @property
    def desk(self) -> Desk:
        return DESK

    def admit(self, request: Request, now: datetime) -> tuple[Charter, HubNumbers]:
        charter = charter_of(request, self.members, self.hub_key)
        return charter, HubNumbers(Rounds(charter.run, int(request["values"]), int(request["rounds"])), self.tell)

    def envelopes(self) -> list[Any]:
        return []


@dataclass(frozen=True, slots=True)
class SiteBench:
    """A site's desk; its columns are the numbers it will send."""

    members: tuple[Member, ...]
    hub_key: str
    tell: Tell

    @property
    def desk(self) -> Desk:
        return DESK

    def admit(self, request: Request, now: datetime, note: Note) -> Seat:
        charter = charter_of(request, self.members, self.hub_key)
        values = int(request["values"])
        numbers = np.random.default_rng(1).normal(size=values)
        clearance = clear(Digest(charter.study), consider(Evidence(rows=1), OPEN), "bench")
        reset_peak()
        self.tell({"columns": True, "resident": resident("VmRSS")})
        return Seat(
            charter, SiteNumbers(Rounds(charter.run, values, int(request["rounds"])), numbers, clearance), "bench"
        )


def reset_peak(pid: int | None = None) -> None:
    """Forget the largest memory so far (Linux: proc(5), clear_refs)."""
    with open(f"/proc/{pid or os.getpid()}/clear_refs", "w") as file:  # noqa: PTH123 - a kernel switch, not a path to keep
        file.write("5")


def resident(what: str, pid: int | None = None) -> float:
    """MB of resident memory: `VmRSS` now, `VmHWM` the peak."""
    with open(f"/proc/{pid or os.getpid()}/status") as file:  # noqa: PTH123
        line = next(line for line in file if line.startswith(what))
    return int(line.split()[1]) / 1e3
