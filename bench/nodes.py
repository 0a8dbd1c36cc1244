"""Entry points of the bench's processes (`isthmus.federation.launch.Fleet` forks and calls them)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.synthetic import HubBench, SiteBench
from isthmus.federation.agreed import hub_setup, site_setup
from isthmus.federation.desk import Desk, HubDesk, Request
from isthmus.federation.grpc_hub import Party
from isthmus.federation.grpc_site import HubAddress
from isthmus.federation.hub_node import HubSetup, serve_hub
from isthmus.federation.hub_runs import Deadlines
from isthmus.federation.identity import load_identity
from isthmus.federation.node import Means, Tell
from isthmus.federation.protocol.charter import Charter, HubWork, Member, Step
from isthmus.federation.site_node import SiteSetup, serve_site
from isthmus.federation.store import open_store
from isthmus.governance.card import Card, read_card
from isthmus.summary import Summary

PATIENT = Deadlines(600.0, 600.0)


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - real processes, real clocks


# -- real studies ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class TimedWork:
    """The hub's work, telling how long each question took: from its first round asked to its last sum opened."""

    work: HubWork
    tell: Tell
    question: str = ""
    began: float = 0.0
    ended: float = 0.0
    rounds: int = 0

    def next(self) -> Step | None:
        step = self.work.next()
        name = "" if step is None else step.question
        if name != self.question:
            if self.question:
                self.tell({"question": self.question, "seconds": self.ended - self.began, "rounds": self.rounds})
            self.question, self.began, self.rounds = name, perf_counter(), 0
        return step

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        self.work.learn(step, pooled, survivors)
        self.ended = perf_counter()
        self.rounds += 1

    def conclude(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        return self.work.conclude(survivors)

    def transcript(self, cards: str) -> Any:
        return None


@dataclass(frozen=True, slots=True)
class TimedDesk:
    """A hub's desk whose works tell the time."""

    inner: HubDesk
    tell: Tell

    @property
    def desk(self) -> Desk:
        return self.inner.desk

    def admit(self, request: Request, now: datetime) -> tuple[Charter, HubWork]:
        charter, work = self.inner.admit(request, now)
        return charter, TimedWork(work, self.tell)

    def envelopes(self) -> list[Any]:
        return self.inner.envelopes()


def agreed_hub(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    setup = hub_setup(directory / "isthmus.toml", os.environ, now)
    timed = HubSetup(setup.means, setup.parties, TimedDesk(setup.desk, tell), setup.address, PATIENT)
    return serve_hub(timed, tell)


def agreed_site(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    return serve_site(site_setup(directory / "isthmus.toml", os.environ, now, secrets.token_bytes), tell)


# -- made-up rounds -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Everyone:
    """The cards of all parties, read from their folders."""

    cards: Mapping[str, Card] = field(default_factory=dict)

    @property
    def members(self) -> tuple[Member, ...]:
        sites = sorted(name for name, card in self.cards.items() if card.role == "site")
        return tuple(Member(site=s, party=s, country="GB", key=self.cards[s].key) for s in sites)

    @property
    def parties(self) -> dict[str, Party]:
        return {
            name: Party(
                name,
                "site" if card.role == "site" else "person",
                bytes.fromhex(card.key),
                card.certificate.encode(),
            )
            for name, card in self.cards.items()
            if card.role != "hub"
        }


def everyone(folder: Path) -> Everyone:
    read = [read_card(path.read_bytes()) for path in sorted(folder.glob("*/keys/card.json"))]
    return Everyone({card.name: card for card in read})


def means(directory: Path) -> Means:
    return Means(load_identity(directory / "keys"), open_store(directory / "state.db"), directory / "spool", now)


def numbers_hub(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    known = everyone(directory.parent)
    desk = HubBench(known.members, known.cards["hub"].key, tell)
    return serve_hub(HubSetup(means(directory), known.parties, desk, arguments["address"], PATIENT), tell)


def numbers_site(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    known = everyone(directory.parent)
    card = known.cards["hub"]
    address = HubAddress(arguments["address"], "hub", bytes.fromhex(card.key), card.certificate.encode())
    desk = SiteBench(known.members, card.key, tell)
    return serve_site(SiteSetup(means(directory), address, desk), tell)
