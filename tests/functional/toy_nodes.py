"""Nodes whose study is a sum of vectors, so that processes can be tested without statistics. Entry points of `Fleet`."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.crypto.shares import threshold_for
from isthmus.disclosure.gate import clear, refuse_round, release
from isthmus.disclosure.site import consider
from isthmus.evidence import Evidence
from isthmus.federation.desk import Desk, Note, Request, Seat
from isthmus.federation.grpc_hub import Party
from isthmus.federation.grpc_site import HubAddress
from isthmus.federation.hub_node import HubSetup, serve_hub
from isthmus.federation.hub_runs import Deadlines
from isthmus.federation.identity import load_identity
from isthmus.federation.link import Link
from isthmus.federation.node import Means, Tell
from isthmus.federation.protocol.charter import Charter, Member, Step
from isthmus.federation.site_node import SiteSetup, serve_site
from isthmus.federation.store import open_store
from isthmus.governance.card import Card, read_card
from isthmus.model.canonical import digest
from isthmus.model.errors import Refused
from isthmus.model.rules import OPEN
from isthmus.summary import AGREE, Field, Layout, Summary, closed

AGREEMENT = digest("the toy agreement")


def clock(shift: float) -> Any:
    return lambda: datetime.now(UTC) + timedelta(seconds=shift)  # noqa: TID251 - real processes, real clocks


def toy_request(number: int, rounds: int, size: int, **more: Any) -> dict[str, Any]:
    return {"number": number, "rounds": rounds, "size": size, "pause": 0.0, **more}


def cards(directory: Path) -> dict[str, Card]:
    read = [read_card(path.read_bytes()) for path in sorted(directory.glob("*/keys/card.json"))]
    return {card.name: card for card in read}


def charter(request: Request, everyone: Mapping[str, Card]) -> Charter:
    sites = sorted(name for name, card in everyone.items() if card.role == "site")
    return Charter(
        protocol="secagg/1",
        mode="rehearsal",
        run=digest(dict(request)),
        number=request["number"],
        study=digest("the toy study"),
        agreement=AGREEMENT,
        roster=tuple(Member(site=s, party=s, country="GB", key=everyone[s].key) for s in sites),
        threshold=threshold_for(len(sites)),
        minimum_sites=2,
        hub_key=everyone["hub"].key,
        vote_after=0.0,
    )


class Course:
    """Which round comes next: round r's part is base * (1 + total of round r - 1 modulo 7), so every sum matters."""

    def __init__(self, request: Request, run: str) -> None:
        self.request = request
        self.layout = Layout(fields=(Field(name="v", shape=(request["size"],), kind="sum"),))
        self.transcript = digest(run)
        self.sums: list[float] = []
        self.refused = False

    def step(self) -> Step | None:
        if self.refused or len(self.sums) >= self.request["rounds"]:
            return None
        layout = closed(self.layout)
        return Step(question="toy", kind="count", round=len(self.sums) + 1, layout=layout, transcript=self.transcript)

    @property
    def factor(self) -> float:
        return 1.0 + (self.sums[-1] % 7.0 if self.sums else 0.0)

    def learn(self, pooled: Summary) -> None:
        if pooled.values[AGREE.name].any():
            self.refused = True
            return
        self.sums.append(float(pooled["v"].sum()))
        self.transcript = digest([self.transcript, self.sums[-1]])

    def result(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        return {"schema": "toy/1", "sums": self.sums, "sites": list(survivors), "refused": self.refused}


class ToyHub:
    def __init__(self, course: Course) -> None:
        self.course = course

    def next(self) -> Step | None:
        return self.course.step()

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        self.course.learn(pooled)

    def conclude(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        return self.course.result(survivors)

    def transcript(self, cards: str) -> Any:
        return None


class ToySite:
    def __init__(self, course: Course, seed: int, refuse: bool) -> None:
        self.course = course
        self.refuse = refuse
        self.base = np.sin(np.arange(course.request["size"], dtype=np.float64) + seed)

    def step(self, question: str, round: int) -> Step:  # noqa: A002
        step = self.course.step()
        assert step is not None
        return step

    def answer(self, step: Step) -> Any:
        time.sleep(self.course.request["pause"])
        if self.refuse:
            return refuse_round(step.layout, secrets.token_bytes)
        clearance = clear(digest("toy"), consider(Evidence(rows=10), OPEN))
        part = Summary(self.course.layout, {"v": self.base * self.course.factor})
        return release(part, None, clearance, OPEN)

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        self.course.learn(pooled)

    def conclude(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        return self.course.result(survivors)


class ToyHubDesk:
    desk = Desk("rehearsal", AGREEMENT, lambda _: None)

    def __init__(self, everyone: Mapping[str, Card]) -> None:
        self.everyone = everyone

    def admit(self, request: Request, now: datetime) -> tuple[Charter, ToyHub]:
        if request["rounds"] > 1000:
            raise Refused("E-KIND", "the toy agreement does not allow so many rounds")
        made = charter(request, self.everyone)
        return made, ToyHub(Course(request, made.run))

    def envelopes(self) -> list[Any]:
        return []


class ToySiteDesk:
    desk = Desk("rehearsal", AGREEMENT, lambda _: None)

    def __init__(self, everyone: Mapping[str, Card], name: str, behave: Mapping[str, Any]) -> None:
        self.everyone, self.name, self.behave = everyone, name, behave

    def admit(self, request: Request, now: datetime, note: Note) -> Seat:
        if self.behave.get("decline"):
            raise Refused("E-VARIABLE", "this site does not allow it")
        made = charter(request, self.everyone)
        seed = made.index(self.name)
        work = ToySite(Course(request, made.run), seed, bool(self.behave.get("refuse")))
        return Seat(made, work, digest(seed))


def means(directory: Path, arguments: Mapping[str, Any]) -> Means:
    store = open_store(directory / "state.db", arguments.get("maximum_bytes"))
    return Means(
        load_identity(directory / "keys"),
        store,
        directory / "spool",
        clock(arguments.get("clock_shift", 0.0)),
        beat=arguments.get("beat", 0.5),
    )


def hub(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    everyone = cards(directory.parent)
    parties = {
        card.name: Party(
            card.name,
            "site" if card.role == "site" else "person",
            bytes.fromhex(card.key),
            card.certificate.encode(),
        )
        for card in everyone.values()
        if card.role in {"site", "researcher"}
    }
    deadlines = Deadlines(*(arguments.get(n, s) for n, s in (("round", 30.0), ("waiting", 60.0), ("erasing", 60.0))))
    made = means(directory, arguments)
    return serve_hub(HubSetup(made, parties, ToyHubDesk(everyone), arguments["address"], deadlines), tell)


def site(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    limit = arguments.get("largest_file")
    if limit is not None:
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    if arguments.get("silent"):  # it never says that it erased a run's secrets
        say = Link.say
        Link.say = lambda self, kind, body: None if kind == "done" else say(self, kind, body)  # type: ignore[method-assign]
    everyone = cards(directory.parent)
    card = everyone["hub"]
    address = HubAddress(arguments["hub"], "hub", bytes.fromhex(card.key), card.certificate.encode())
    made = means(directory, arguments)
    desk = ToySiteDesk(everyone, made.identity.name, arguments)
    tell({"threads": os.environ.get("OPENBLAS_NUM_THREADS"), "random": secrets.token_hex(4)})
    return serve_site(SiteSetup(made, address, desk), tell)


def sleep(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    time.sleep(600)
    return 0
