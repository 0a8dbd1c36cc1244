"""`kill -9` of the hub or a site at random moments of a real study: it completes, same numbers to the bit, one ledger."""

from __future__ import annotations

import random  # noqa: TID251 - where to kill; nothing secret
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli.demo import data
from isthmus.cli.demo.play import NODES
from isthmus.cli.demo.stage import HUB, RESEARCHER, Stage, make_stage
from isthmus.federation.launch import Fleet
from isthmus.ledger.bundle import read_bundle
from isthmus.ledger.verify import verify_bundle
from isthmus.sdk.connect import Client, connect
from isthmus.sdk.study import Study


@pytest.fixture(scope="module")
def alliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Stage]]:
    """The demonstration's hub and six sites, as processes."""
    with data.locate().open(encoding="utf-8", newline="") as lines:
        tables = data.deal(lines)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    folder = tmp_path_factory.mktemp("alliance") / "demo"
    stage = make_stage(folder, tables, address, datetime.now(UTC))  # noqa: TID251
    with Fleet(preload=(NODES,)) as fleet:
        fleet.start(HUB, f"{NODES}:hub", stage.hub.folder, {})
        fleet.await_event(HUB, "port", 60.0)
        for node in stage.sites:
            fleet.start(node.name, f"{NODES}:site", node.folder, {})
        for node in stage.sites:
            fleet.await_event(node.name, "joined", 60.0)
        yield fleet, stage


def ask(stage: Stage) -> Client:
    return connect(stage.folder / RESEARCHER / "isthmus.toml", {})


def finish(stage: Stage, run: str) -> dict[str, Any]:
    """Follow a run to its end over however many connections that takes; its verified bundle."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            with ask(stage) as client:
                state = client.status(run)["state"]
                if state in {"concluded", "closing"}:
                    raw = client.bundle(run)
                    verify_bundle(raw, ())
                    return dict(read_bundle(raw))
                assert state in {"running", "waiting"}, client.status(run)
        except Exception as error:  # the hub may be down at this moment
            if isinstance(error, AssertionError):
                raise
        time.sleep(0.1)
    raise AssertionError("the study did not complete: " + logs(stage))


def logs(stage: Stage) -> str:
    return "\n".join(f"== {path}\n{path.read_text()[-2000:]}" for path in sorted(stage.folder.glob("*/node.log")))


def check_kills(alliance: tuple[Fleet, Stage], kills: int, seed: int) -> None:
    fleet, stage = alliance
    study = Study.read(Path(stage.folder) / "study.json")
    with ask(stage) as client:
        begin = time.monotonic()
        expected = finish(stage, client.submit(study, number=1000 * seed))["result"]
        span = time.monotonic() - begin
    draw = random.Random(seed)
    for kill in range(kills):
        with ask(stage) as client:
            run = client.submit(study, number=1000 * seed + 1 + kill)
        victim = draw.choice([HUB, HUB, *(node.name for node in stage.sites)])
        moment = draw.uniform(0.0, span)
        time.sleep(moment)
        before = fleet.pid(victim)
        fleet.kill(victim)
        fleet.restart(victim)
        print(f"kill {kill + 1}: {victim} after {moment:.2f} s, pid {before} -> {fleet.pid(victim)}")
        bundle = finish(stage, run)
        assert bundle["result"]["analyses"] == expected["analyses"], f"kill {kill + 1}: other numbers"
        one_ledger(bundle)


def one_ledger(bundle: dict[str, Any]) -> None:
    """One study entry, one release, one entry per opened round."""
    events = [entry["event"] for entry in bundle["entries"]]
    assert events.count("study") == 1
    assert events.count("release") == 1
    contexts = [entry["facts"]["context"] for entry in bundle["entries"] if entry["event"] == "round"]
    assert len(contexts) == len(set(contexts)) > 10


def test_a_study_survives_kill_nine(alliance: tuple[Fleet, Stage]) -> None:
    check_kills(alliance, kills=4, seed=1)


@pytest.mark.long
def test_a_study_survives_twenty_random_kills(alliance: tuple[Fleet, Stage]) -> None:
    check_kills(alliance, kills=20, seed=2)
