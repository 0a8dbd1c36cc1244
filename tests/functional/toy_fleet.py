"""A toy alliance of processes: keys, a hub, sites, a researcher, and what the result must be."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from wires import now

from isthmus.federation.grpc_client import HubClient
from isthmus.federation.grpc_site import HubAddress
from isthmus.federation.identity import Identity, Owner, make_identity
from isthmus.federation.launch import Fleet
from isthmus.ledger.bundle import read_bundle
from isthmus.ledger.verify import verify_bundle

HERE = Path(__file__).parent
PRELOAD = ("toy_nodes", "grpc.aio")


def open_fleet() -> Fleet:
    """Imports once; every test forks its nodes from it."""
    path = os.pathsep.join((str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])))
    return Fleet(PRELOAD, {**os.environ, "PYTHONPATH": path})


class Alliance:
    """Processes of one test: `with Alliance(fleet, ...).start() as alliance`."""

    def __init__(self, fleet: Fleet, directory: Path, sites: Sequence[str] = ("boston", "leeds", "oxford")) -> None:
        self.fleet = fleet
        self.directory = directory
        self.sites = tuple(sites)
        self.ada = self._identity("researcher", "ada")
        self.hub = self._identity("hub", "hub")
        for site in sites:
            self._identity("site", site)
        self.address = f"127.0.0.1:{free_port()}"

    def _identity(self, role: Any, name: str) -> Identity:
        return make_identity(
            self.directory / name / "keys", Owner(role=role, name=name, party=name, country="GB"), now()
        )

    def __enter__(self) -> Alliance:
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.fleet.pids:
            self.fleet.signal(name, signal.SIGCONT)
            self.fleet.signal(name, signal.SIGTERM)
        for name in ("hub", *self.sites):
            self.fleet.await_event(name, "exited")

    def start(self, hub: Mapping[str, Any] | None = None, **sites: Mapping[str, Any]) -> Alliance:
        """Start the hub and every site, with arguments of their own."""
        self.fleet.start("hub", "toy_nodes:hub", self.directory / "hub", {"address": self.address, **(hub or {})})
        self.fleet.await_event("hub", "port")
        for site in self.sites:
            self.start_site(site, **sites.get(site, {}))
        for site in self.sites:
            self.fleet.await_event(site, "joined")
        return self

    def start_site(self, site: str, **arguments: Any) -> None:
        self.fleet.start(site, "toy_nodes:site", self.directory / site, {"hub": self.address, **arguments})

    def client(self, who: Identity | None = None) -> HubClient:
        hub = HubAddress(self.address, "hub", self.hub.key.public, self.hub.certificate)
        return HubClient(who or self.ada, hub, now)

    def run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Submit and follow to the end; the last status."""
        with self.client() as client:
            return follow(client, client.submit(request))

    def bundle(self, run: str) -> dict[str, Any]:
        """The verified bundle."""
        with self.client() as client:
            raw = client.bundle(run)
        verify_bundle(raw, ())
        return dict(read_bundle(raw)["result"])

    def logs(self) -> str:
        """Every node's log, for a failing test's message."""
        return "\n".join(f"== {path}\n{path.read_text()}" for path in sorted(self.directory.glob("*/node.log")))


def follow(client: HubClient, run: str) -> dict[str, Any]:
    return list(client.watch(run))[-1]


def expected(request: Mapping[str, Any], sites: int) -> list[float]:
    """The sums as one table would give them, up to rounding."""
    base = sum(np.sin(np.arange(request["size"], dtype=np.float64) + seed) for seed in range(1, sites + 1))
    sums: list[float] = []
    for _ in range(request["rounds"]):
        factor = 1.0 + (sums[-1] % 7.0 if sums else 0.0)
        sums.append(float((base * factor).sum()))
    return sums


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
