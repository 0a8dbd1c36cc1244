"""What the hub's process holds after a run in which one site refused a round: the same whichever site it was."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from toy_fleet import Alliance, open_fleet
from toy_nodes import toy_request

from isthmus.federation.launch import Fleet
from isthmus.federation.store import open_store

SITES = ("boston", "leeds", "oxford")


@pytest.fixture(scope="module")
def fleet():
    with open_fleet() as opened:
        yield opened


def settle(path: Path, run: str) -> None:
    """Wait until the hub has sealed its border register over the run: a result fetched before would be sealed with it."""
    store, end = open_store(path), time.monotonic() + 30.0
    while store.rows(sa.text("SELECT state FROM runs WHERE run = :run").bindparams(run=run))[0][0] != "concluded":
        assert time.monotonic() < end
        time.sleep(0.05)
    store.close()


def held(fleet: Fleet, folder: Path, refusing: str) -> dict[str, Any]:
    """Traffic, log, remembered ledger heads, tables and files of the hub; every site says hello again at the end."""
    with Alliance(fleet, folder, SITES).start(**{refusing: {"refuse": True}}) as alliance:
        with alliance.client() as client:
            states = list(client.watch(client.submit(toy_request(1, rounds=2, size=50))))
        last = states[-1]
        assert last["state"] == "concluded"
        settle(folder / "hub" / "state.db", last["run"])
        result = alliance.bundle(last["run"])
        assert result["refused"] is True
        for site in SITES:
            alliance.fleet.await_event(site, "ended")
            alliance.fleet.restart(site)
        for site in SITES:
            alliance.fleet.await_event(site, "joined")
    hub = folder / "hub"
    store = open_store(hub / "state.db")
    names = sa.inspect(store.engine).get_table_names()
    rows = {name: store.rows(sa.text(f"SELECT count(*) FROM {name}"))[0][0] for name in names}
    heads = {site: store.mark(site).size for site in SITES}
    store.close()
    log = re.sub(r"[0-9a-f]{12,}|[0-9][0-9:.,TZ+-]*", "#", (hub / "node.log").read_text())
    files = sorted(str(path.relative_to(hub)) for path in hub.rglob("*") if path.is_file())
    return {
        "traffic": {key: value for key, value in last["traffic"].items() if key != "seconds"},
        "result": {key: result[key] for key in ("sums", "sites")},
        "heads": heads,
        "rows": rows,
        "log": [line for line in log.splitlines() if not re.search("joined|stream ended", line)],  # of connections
        "files": [re.sub(r"[0-9a-f]{12,}", "#", name) for name in files],
    }


def test_the_hub_holds_the_same_whichever_site_refused(fleet: Fleet, tmp_path: Path) -> None:
    first, *others = (held(fleet, tmp_path / site, site) for site in SITES)
    for other in others:
        assert other == first
