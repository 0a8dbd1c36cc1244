"""A toy run of `secagg/1` in one process: real state machines, toy questions, journals that can be cut anywhere."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.crypto.keys import SigningKey
from isthmus.crypto.shares import threshold_for
from isthmus.disclosure.gate import Release, clear, refuse_round, release, release_vote
from isthmus.disclosure.site import consider
from isthmus.evidence import Evidence
from isthmus.federation.memory import Network
from isthmus.federation.protocol.charter import Charter, Member, Step
from isthmus.federation.protocol.context import summary_digest
from isthmus.federation.protocol.gossip import Forgetful, Memory
from isthmus.federation.protocol.hub import HubRun
from isthmus.federation.protocol.journal import MemoryJournal
from isthmus.federation.protocol.local import History, Local, OneRun
from isthmus.federation.protocol.records import Head
from isthmus.federation.protocol.site import SiteRun
from isthmus.federation.spool import Spool
from isthmus.ledger.log import Log, MemoryStore
from isthmus.model.canonical import digest
from isthmus.model.errors import Untrusted
from isthmus.model.rules import OPEN
from isthmus.summary import AGREE, Field, Layout, Summary, closed

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
QUESTION = digest("toy")
VOTE_LAYOUT = Layout(fields=(Field(name="vote", shape=(2,), kind="vote"),))
DEFAULT = {"count": 1, "model": 3, "curve": 1}


class Drawn:
    """Reproducible bytes for tests: SHA-256 of a seed and a counter."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._calls = itertools.count()

    def __call__(self, size: int) -> bytes:
        call = next(self._calls)
        blocks = (hashlib.sha256(f"{self._seed} {call} {at}".encode()).digest() for at in range(size // 32 + 1))
        return b"".join(blocks)[:size]


@dataclass
class Script:
    """Every party's copy of the toy run: the vote, then questions with their number of rounds."""

    run: str
    questions: Mapping[str, int]
    width: int
    voted: bool = False
    sums: dict[str, list[Summary]] = field(default_factory=dict)
    transcripts: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def vote(self) -> Step:
        return Step(question="vote", kind="vote", round=1, layout=VOTE_LAYOUT, transcript="start")

    def layout(self, question: str) -> Layout:
        number = Field(name="x", shape=(self.width,), kind="sum")
        return Layout(fields=(number, Field(name=f"n_{question}", shape=(2,), kind="count")))

    def step(self, question: str) -> Step:
        done = self.sums.get(question, [])
        if not self.voted or self.ended(question):
            raise Untrusted("E-STEP", "not the next step")
        transcript = self.transcripts.get(question, "start")
        layout = closed(self.layout(question))
        return Step(question=question, kind="toy", round=len(done) + 1, layout=layout, transcript=transcript)

    def ended(self, question: str) -> bool:
        done = len(self.sums.get(question, ()))
        return question in self.refused or question not in self.questions or done >= self.questions[question]

    def learn(self, step: Step, pooled: Summary) -> None:
        if step.question == "vote":
            self.voted = True
            return
        if pooled.values[AGREE.name].any():
            self.refused.append(step.question)
            return
        self.sums.setdefault(step.question, []).append(pooled)
        old = self.transcripts.get(step.question, "start")
        self.transcripts[step.question] = digest([old, summary_digest(pooled)])

    def result(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        shown = {name: [float(s["x"].sum()) for s in sums] for name, sums in self.sums.items()}
        counts = {name: [int(s.values[f"n_{name}"][0]) for s in sums] for name, sums in self.sums.items()}
        return {"sums": shown, "counts": counts, "survivors": list(survivors), "refused": self.refused}


@dataclass
class ToyHub:
    script: Script

    def next(self) -> Step | None:
        if not self.script.voted:
            return self.script.vote()
        for name in self.script.questions:
            if not self.script.ended(name):
                return self.script.step(name)
        return None

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        self.script.learn(step, pooled)

    def conclude(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        return self.script.result(survivors)


@dataclass
class ToySite:
    script: Script
    value: float
    randomness: Drawn
    refuses: frozenset[tuple[str, int]] = frozenset()

    def step(self, question: str, round: int) -> Step:  # noqa: A002
        if question == "vote" and not self.script.voted:
            return self.script.vote()
        step = self.script.step(question)
        if step.round != round:
            raise Untrusted("E-STEP", "not the next round")
        return step

    def part(self, step: Step) -> Summary:
        """This site's part: depends on the pooled sums so far, as Newton steps do."""
        pooled = self.script.sums.get(step.question, [])
        scale = 1.0 / (1.0 + abs(float(pooled[-1]["x"][0]))) if pooled else 1.0
        x = self.value * scale * np.arange(1, self.script.width + 1, dtype=np.float64)
        n = np.array([round(self.value), 1], dtype=np.int64)
        return Summary(self.script.layout(step.question), {"x": x, f"n_{step.question}": n})

    def answer(self, step: Step) -> Release:
        if step.question == "vote":
            return release_vote(step.layout, [True, True], self.randomness)
        if (step.question, step.round) in self.refuses:
            return refuse_round(step.layout, self.randomness)
        clearance = clear(QUESTION, consider(Evidence(rows=10), OPEN))
        return release(self.part(step), None, clearance, OPEN)

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        self.script.learn(step, pooled)

    def conclude(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        return self.script.result(survivors)


class CutJournal(MemoryJournal):
    """A journal at whose n-th new entry (from 0) its party is killed: just before it is durable, or just after."""

    def __init__(self, entries: Iterable[tuple[str, bytes]], at: int, after: bool) -> None:
        super().__init__(list(entries))
        self.left = at
        self.after = after

    def append(self, key: str, blob: bytes) -> None:
        if self.left == 0 and not self.after:
            raise Killed
        super().append(key, blob)
        if self.left == 0:
            raise Killed
        self.left -= 1


class Killed(BaseException):
    """kill -9."""


@dataclass
class Lab:
    """Everything about one toy federation, so that any party can be made again from its journal."""

    directory: Path
    names: tuple[str, ...]
    questions: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT))
    width: int = 5
    minimum_sites: int = 2
    mode: Any = "rehearsal"
    run: str = "sha256:toy"
    parties: Mapping[str, str] = field(default_factory=dict)
    vote_after: float = 0.5
    vote: bool = True  # without: the first question is the first round
    works: dict[str, ToySite] = field(default_factory=dict)
    journals: dict[str, MemoryJournal] = field(default_factory=dict)
    spools: dict[str, Spool] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)  # of sites that remember beyond the run
    memories: dict[str, Memory] = field(default_factory=dict)  # of sites with a ledger

    def __post_init__(self) -> None:
        self.keys = {name: SigningKey.from_bytes(Drawn(f"key {name}")(32)) for name in (*self.names, "hub")}
        self.store = MemoryStore()
        self.charter = Charter(
            protocol="secagg/1",
            mode=self.mode,
            run=self.run,
            number=1,
            study="sha256:study",
            agreement="sha256:agreement",
            roster=tuple(
                Member(site=n, party=self.parties.get(n, f"party {n}"), country="UK", key=self.keys[n].public.hex())
                for n in self.names
            ),
            threshold=threshold_for(len(self.names)),
            minimum_sites=self.minimum_sites,
            hub_key=self.keys["hub"].public.hex(),
            vote_after=self.vote_after,
        )
        for name in (*self.names, "hub"):
            self.journals[name] = MemoryJournal()
            folder = self.directory / name
            folder.mkdir(parents=True, exist_ok=True)
            self.spools[name] = Spool(folder)

    def script(self) -> Script:
        return Script(self.run, self.questions, self.width, voted=not self.vote)

    def value(self, name: str) -> float:
        """Not a whole number of anything, so that lost bits would show."""
        return 10.0 + self.names.index(name) + 0.1

    def site(self, name: str, anchor: Head | None = None, charter: Charter | None = None) -> SiteRun:
        work = ToySite(self.script(), self.value(name), Drawn(f"vote {name} {len(self.journals[name].entries)}"))
        self.works[name] = work
        seed = f"site {name} {len(self.journals[name].entries)}"
        local = Local(
            key=self.keys[name],
            journal=self.journals[name],
            spool=self.spools[name],
            randomness=Drawn(seed),
            clock=lambda: 1_770_000_000,
            snapshot=f"snapshot {name}",
            anchor=anchor,
            history=self.histories.get(name) or OneRun(),
            memory=self.memories.get(name) or Forgetful(),
        )
        return SiteRun(name, charter or self.charter, work, local)

    def hub(self) -> HubRun:
        work = ToyHub(self.script())
        log = Log(self.store, "hub.example/log", lambda: NOW)
        return HubRun(self.keys["hub"], self.charter, work, self.journals["hub"], self.spools["hub"], log)

    def network(self) -> Network:
        return Network(self.hub(), {name: self.site(name) for name in self.names}, self.spools)


def lab(directory: Path, sites: int = 3, **options: Any) -> Lab:
    """A lab with sites a, b, c ..."""
    return Lab(directory, tuple("abcdefghijklmnopqrstuvwxyz"[:sites]), **options)
