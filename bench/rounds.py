"""What a masked round costs, and what memory big summaries take: real nodes, made-up numbers."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition
from typing import Any

from bench.nodes import now
from bench.synthetic import reset_peak, resident
from bench.table import Measure
from bench.targets import MEMORY, ROUND_BIG, ROUND_SMALL
from isthmus.federation.grpc_client import HubClient
from isthmus.federation.grpc_site import HubAddress
from isthmus.federation.identity import Identity, Owner, make_identity
from isthmus.federation.launch import Fleet

SMALL = 128  # values: 1 KB
BIG = 1_000_000  # values: 8 MB
HUGE = 10_000_000  # values: 80 MB
ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Told:
    """What the nodes said, in order."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)

    def hear(self, name: str, event: Mapping[str, Any]) -> None:
        with self.changed:
            self.events.append((name, dict(event)))
            self.changed.notify_all()

    def take(self, key: str) -> list[dict[str, Any]]:
        """Events with `key`, which are then forgotten."""
        with self.changed:
            found = [event for _, event in self.events if key in event]
            self.events = [(name, event) for name, event in self.events if key not in event]
        return found


@dataclass(frozen=True)
class Alliance:
    """A running hub and its sites."""

    fleet: Fleet
    sites: tuple[str, ...]
    told: Told
    client: HubClient

    def run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Submit and follow to the end; the last status."""
        *_, last = self.client.watch(self.client.submit(request))
        if last.get("state") != "concluded":
            raise RuntimeError(f"the bench's run did not conclude: {last}")
        return last


@contextmanager
def alliance(sites: int) -> Iterator[Alliance]:
    """Keys, a hub and `sites` sites on loopback, stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as text:
        folder, told = Path(text), Told()
        names = tuple(f"site{number:02d}" for number in range(1, sites + 1))
        hub, ada = identity(folder, "hub", "hub"), identity(folder, "researcher", "ada")
        for name in names:
            identity(folder, "site", name)
        address = f"127.0.0.1:{free_port()}"
        path = os.pathsep.join((str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])))
        environment = {**os.environ, "PYTHONPATH": path}
        with Fleet(("bench.nodes", "grpc.aio"), environment, told.hear) as fleet:
            start(fleet, folder, names, "numbers", {"address": address})
            with HubClient(ada, HubAddress(address, "hub", hub.key.public, hub.certificate), now) as client:
                yield Alliance(fleet, names, told, client)


def start(fleet: Fleet, folder: Path, sites: tuple[str, ...], kind: str, arguments: Mapping[str, Any]) -> None:
    """Start a hub and its sites, and wait until all have joined."""
    fleet.start("hub", f"bench.nodes:{kind}_hub", folder / "hub", arguments)
    fleet.await_event("hub", "port", 60.0)
    for name in sites:
        fleet.start(name, f"bench.nodes:{kind}_site", folder / name, arguments)
    for name in sites:
        fleet.await_event(name, "joined", 60.0)


def identity(folder: Path, role: Any, name: str) -> Identity:
    return make_identity(folder / name / "keys", Owner(role=role, name=name, party=name, country="GB"), now())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def round_times(repeats: int) -> list[Measure]:
    """Seconds of a round of 1 KB and of 8 MB, with 3 and 10 sites. The first round of a run is left out."""
    measures = []
    for sites in (3, 10):
        print(f"rounds: {sites} sites", file=sys.stderr, flush=True)
        with alliance(sites) as running:
            small = seconds(running, {"number": 1, "values": SMALL, "rounds": 20 * repeats + 1})
            big = seconds(running, {"number": 2, "values": BIG, "rounds": repeats + 2})
        what = f"{sites} sites"
        measures.append(Measure(ROUND_SMALL, what, "ms", tuple(1000 * s for s in small), "masked, signed, durable"))
        measures.append(Measure(ROUND_BIG, what, "s", tuple(big), "16 MB masked from each site"))
    return measures


def seconds(running: Alliance, request: Mapping[str, Any]) -> list[float]:
    running.run(request)
    told = running.told.take("round")
    return [event["seconds"] for event in told if event["round"] > 1]


def memory() -> list[Measure]:
    """Peak memory of the hub and of the sites while ten summaries of 80 MB are added up, twice."""
    print("memory: ten summaries of 80 MB", file=sys.stderr, flush=True)
    with alliance(10) as running:
        pids = running.fleet.pids
        before = resident("VmRSS", pids["hub"])
        reset_peak(pids["hub"])
        running.run({"number": 1, "values": HUGE, "rounds": 2})
        hub = resident("VmHWM", pids["hub"])
        columns = {name: event["resident"] for name, event in running.told.events if "columns" in event}
        sites = tuple(resident("VmHWM", pids[name]) - columns[name] for name in running.sites)
    return [
        Measure(MEMORY, "hub, peak", "MB", (hub,), f"{before:.0f} MB of it before the run"),
        Measure(MEMORY, "site, peak above its columns", "MB", (max(sites),), "largest of ten sites"),
    ]
