"""`kill -9` at twenty random moments of real studies: each completes, with the same numbers to the bit and one ledger."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_processes_agreed import SITES, alliance, logs, study
from toy_fleet import follow
from wires import now

from isthmus.federation.agreed import Researcher, connect
from isthmus.federation.launch import Fleet
from isthmus.federation.store import open_store
from isthmus.ledger.bundle import read_bundle
from isthmus.ledger.log import Log
from isthmus.ledger.verify import verify_bundle
from isthmus.model.errors import Unavailable

KILLS = 20
NODES = ("hub", *SITES)
STUDY = study(
    analyses={
        "people": {"count": {"by": ["arm"]}},
        "death": {"glm": {"formula": "died ~ arm + age", "family": "binomial"}},
        "older": {"glm": {"formula": "age ~ arm", "family": "gaussian"}},
        "rate": {"glm": {"formula": "died ~ arm", "family": "poisson"}},
    }
)


@pytest.mark.long
def test_twenty_random_kills(tmp_path: Path) -> None:
    made = alliance(tmp_path)
    seed = time.time_ns() % 2**32
    draw = np.random.default_rng(seed)
    print(f"\nseed {seed}")
    with Fleet(environ=dict(os.environ)) as fleet:
        for name in NODES:
            role = "hub" if name == "hub" else "site"
            config = {"config": str(made.config(name))}
            fleet.start(name, f"isthmus.federation.{role}_node:node", tmp_path / name, config)
            fleet.await_event(name, "port" if name == "hub" else "joined")
        ada = connect(made.config("ada"), os.environ, now)
        start = time.monotonic()
        calm = _result(ada, _through(ada, ada.submit(STUDY, 1, now()), tmp_path))
        usual = time.monotonic() - start
        for number in range(2, KILLS + 2):
            victim = NODES[int(draw.integers(len(NODES)))]
            delay = float(draw.uniform(0.0, usual))
            run = ada.submit(STUDY, number, now())
            time.sleep(delay)
            before = fleet.pid(victim)
            stage = _stage(ada, run)
            fleet.kill(victim)
            fleet.restart(victim)
            print(f"run {number}: killed {victim} {before} after {delay:.3f} s in {stage}, now {fleet.pid(victim)}")
            last = _through(ada, run, tmp_path)
            assert last["state"] == "concluded", f"{last}\n{logs(tmp_path)}"
            assert _result(ada, last) == calm
        ada.client.close()
        for name in NODES:
            fleet.stop(name)
    _one_ledger(tmp_path)


def _stage(ada: Researcher, run: str) -> str:
    try:
        seen = ada.client.status(run)
    except Unavailable:
        return "?"
    return f"{seen.get('step', '')} ({seen['state']})"


def _through(ada: Researcher, run: str, directory: Path) -> dict[str, Any]:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            return follow(ada.client, run)
        except Unavailable:
            time.sleep(0.05)
    raise AssertionError(f"the run did not end\n{logs(directory)}")


def _result(ada: Researcher, last: dict[str, Any]) -> Any:
    raw = ada.client.bundle(last["run"])
    verify_bundle(raw, ())
    return read_bundle(raw)["result"]["analyses"]


def _one_ledger(directory: Path) -> None:
    """Every hub entry once, in order; each run admitted once and released once."""
    store = open_store(directory / "hub" / "state.db")
    entries = list(Log(store.leaves("hub"), "hub", now).entries())
    store.close()
    runs = [e.facts["run"] for e in entries if e.event == "study"]
    assert len(runs) == len(set(runs)) == KILLS + 1
    assert sorted(e.facts["run"] for e in entries if e.event == "release") == sorted(runs)
    rounds = [e.facts["context"] for e in entries if e.event == "round"]
    assert len(rounds) == len(set(rounds))
