"""The demonstration, act by act: set up, start, ask, compare, prove, stop."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from isthmus.cli.demo import data, report
from isthmus.cli.demo.stage import HUB, RESEARCHER, Stage, make_stage
from isthmus.cli.live import watching
from isthmus.cli.screen import Screen
from isthmus.model.errors import Exit

if TYPE_CHECKING:
    import pyarrow as pa

    from isthmus.federation.launch import Fleet
    from isthmus.sdk.connect import Client
    from isthmus.sdk.result import Result

NODES = "isthmus.cli.demo.nodes"
PATIENCE = 60.0  # seconds for a node to come up
STUDY_FILE = "study.json"


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it."""

    stage: Stage
    tables: Mapping[str, pa.Table]
    bundle: Path
    audit: bytes
    result: Result
    seconds: float


def play(screen: Screen, folder: Path, *, keep: bool) -> int:
    """Run the demonstration and show it; stops everything it started unless `keep`."""
    start = perf_counter()
    path = data.locate()
    report.opening(screen)
    from isthmus.federation.launch import Fleet

    with Fleet(preload=(NODES, "cel")) as fleet:
        tables = _deal(path)
        stage = make_stage(folder, tables, _address(), _now())
        report.staged(screen, stage, tables)
        _start(fleet, stage)
        bundle, result = _ask(screen, stage)
        audit = _audit(stage, result)
        if keep:
            fleet.detach()
        else:
            fleet.stop(HUB)  # first, while the sites still hear its bye
        played = Played(stage, tables, bundle, audit, result, perf_counter() - start)
        report.closing(screen, played, fleet.pids if keep else {})
    return int(Exit.DONE)


def _deal(path: Path) -> dict[str, pa.Table]:
    with path.open(encoding="utf-8", newline="") as lines:
        return data.deal(lines)


def _start(fleet: Fleet, stage: Stage) -> None:
    fleet.start(HUB, f"{NODES}:hub", stage.hub.folder, {})
    fleet.await_event(HUB, "port", PATIENCE)
    for node in stage.sites:
        fleet.start(node.name, f"{NODES}:site", node.folder, {})
    for node in stage.sites:
        fleet.await_event(node.name, "joined", PATIENCE)


def _ask(screen: Screen, stage: Stage) -> tuple[Path, Result]:
    """Submit the study as its researcher, follow it, keep its bundle."""
    from isthmus.sdk.bundle import SUFFIX, result_of
    from isthmus.sdk.connect import connect, ended, with_traffic
    from isthmus.sdk.study import Study

    file = stage.folder / f"actg175{SUFFIX}"
    with connect(stage.folder / RESEARCHER / "isthmus.toml", {}) as client:
        run = client.submit(Study.read(stage.folder / STUDY_FILE))
        countries = {node.name: node.country for node in stage.sites}
        with watching(screen, tuple(countries), countries) as progress:
            state = _follow(client, run, progress)
        ended(state)
        file.write_bytes(client.bundle(run))
        return file, with_traffic(result_of(file.read_bytes()), state)


def _audit(stage: Stage, result: Result) -> bytes:
    """The hub's own form of the bundle, with the pooled sums; what `isthmus hub audit` writes."""
    from isthmus.federation.bundles import audit_bundle

    return audit_bundle(stage.hub.folder / "isthmus.toml", str(result.provenance["proof"]["run"]), {})


def _follow(client: Client, run: str, progress: Callable[[Mapping[str, Any]], None] | None) -> Mapping[str, Any]:
    state: Mapping[str, Any] = {}
    for state in client.watch(run):
        if progress is not None:
            progress(state)
    return state


def _address() -> str:
    """A free port of this machine, on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - an entry point
