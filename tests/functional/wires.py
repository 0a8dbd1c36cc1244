"""A hub server and site clients in one event loop, for tests of the network alone: real sockets, real TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isthmus.federation.control import Clock
from isthmus.federation.grpc_hub import HubServer, Party, Settings
from isthmus.federation.grpc_site import HubAddress, SiteClient
from isthmus.federation.identity import Identity, Owner, make_identity
from isthmus.federation.messages import Author, Message
from isthmus.federation.spool import Spool
from isthmus.model.errors import Invalid, IsthmusError


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a test of real clocks


def identity(directory: Path, role: str, name: str) -> Identity:
    return make_identity(directory / name, Owner(role=role, name=name, party=name, country="GB"), now())


def party(who: Identity) -> Party:
    role = "site" if who.card.role == "site" else "person"
    return Party(who.name, role, who.key.public, who.certificate)


def settings(directory: Path, clock: Clock = now, beat: float = 0.1, largest: int = 1 << 26) -> Settings:
    directory.mkdir(exist_ok=True)
    return Settings(Spool(directory), clock, beat, largest)


@dataclass
class Echo:
    """An office that sends every message back and keeps what happened."""

    links: dict[str, Any] = field(default_factory=dict)
    seen: list[Any] = field(default_factory=list)
    ends: list[Any] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    refuse: IsthmusError | None = None
    wanted: int = 1 << 40

    async def joined(self, site: str, link: Any, hello: Any) -> dict[str, Any]:
        if self.refuse:
            raise self.refuse
        self.links[site] = link
        return {"agreed": True}

    def welcomed(self, site: str, link: Any, hello: Any) -> None:
        return

    async def received(self, site: str, item: Any) -> None:
        self.seen.append(item)
        if isinstance(item, Message):
            self.links[site].send([item])
        self.changed.set()

    async def left(self, site: str, link: Any, ended: Any) -> None:
        self.ends.append(ended)
        self.changed.set()

    def turned_away(self, who: str, role: str, error: IsthmusError) -> None:
        self.refused.append((who, role, error.code))

    def expected(self, site: str, head: Mapping[str, Any]) -> int:
        return self.wanted

    async def asked(self, person: Party, question: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        if question["what"] == "status":
            raise Invalid("E-RUN", "no such run here", "ask for one that was submitted")
        yield {"run": "run-1", "by": person.name}


@dataclass
class Ear:
    """A site's branch that keeps what it hears."""

    heard: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    ends: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    ready: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    def hello(self) -> dict[str, Any]:
        return {"mode": "rehearsal"}

    async def joined(self, link: Any, welcome: Any) -> None:
        self.ready.put_nowait((link, welcome))

    async def received(self, item: Any) -> None:
        self.heard.put_nowait(item)

    async def left(self, ended: Any) -> None:
        self.ends.put_nowait(ended)


class Network:
    """One hub and one site, `leeds`, in `directory`."""

    def __init__(self, directory: Path, hub_settings: Settings | None = None) -> None:
        self.directory = directory
        self.hub = identity(directory, "hub", "hub")
        self.site = identity(directory, "site", "leeds")
        self.office = Echo()
        self.settings = hub_settings or settings(directory / "hub-spool")
        self.server = HubServer(self.hub, {"leeds": party(self.site)}, self.office, self.settings)
        self.port = 0

    async def __aenter__(self) -> Network:
        self.port = await self.server.start("127.0.0.1:0")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()

    def address(self, port: int | None = None) -> HubAddress:
        return HubAddress(f"127.0.0.1:{port or self.port}", "hub", self.hub.key.public, self.hub.certificate)

    def client(self, who: Identity | None = None, own: Settings | None = None, port: int | None = None) -> Dialled:
        return Dialled(who or self.site, self.address(port), own or settings(self.directory / "site-spool"))

    def author(self) -> Author:
        return Author("rehearsal", "run-1", "leeds", self.site.key)


class Dialled:
    """A site client that runs while the `async with` does."""

    def __init__(self, who: Identity, hub: HubAddress, own: Settings) -> None:
        self.ear = Ear()
        self._client = SiteClient(who, hub, self.ear, own)

    async def __aenter__(self) -> Ear:
        self._task = asyncio.create_task(self._client.run())
        return self.ear

    async def __aexit__(self, *_: object) -> None:
        await self._client.stop()
        await asyncio.wait_for(self._task, 10)


async def soon(queue: asyncio.Queue[Any], seconds: float = 5.0) -> Any:
    return await asyncio.wait_for(queue.get(), seconds)


async def until(ready: Any, seconds: float = 5.0) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while not ready():
        assert asyncio.get_running_loop().time() < end, "it did not happen in time"
        await asyncio.sleep(0.01)
