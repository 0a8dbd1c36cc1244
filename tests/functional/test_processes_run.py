"""Runs across separate processes over mutual TLS: the happy path, and everything that may go wrong in one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from toy_fleet import HERE, Alliance, expected, follow, open_fleet
from toy_nodes import AGREEMENT, toy_request
from wires import Dialled, Ear, now, settings, soon

from isthmus.federation.grpc_site import HubAddress
from isthmus.federation.identity import load_identity
from isthmus.federation.launch import Fleet
from isthmus.federation.messages import Author
from isthmus.federation.node import Ledger
from isthmus.federation.store import OPENED, open_store
from isthmus.ledger.merkle import EMPTY_ROOT
from isthmus.ledger.verify import verify_bundle
from isthmus.model.errors import Invalid, IsthmusError, Refused, Unavailable

SLOW = {"pause": 0.05}


@pytest.fixture(scope="module")
def fleet():
    with open_fleet() as opened:
        yield opened


def check(alliance: Alliance, last: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    assert last["state"] == "concluded", f"{last}\n{alliance.logs()}"
    result = alliance.bundle(last["run"])
    assert result["sums"] == pytest.approx(expected(request, len(alliance.sites)), rel=1e-12)
    return result


def test_three_sites_agree_on_sums(fleet: Fleet, tmp_path: Path) -> None:
    with Alliance(fleet, tmp_path).start() as alliance:
        request = toy_request(1, rounds=5, size=100)
        last = alliance.run(request)
        result = check(alliance, last, request)
        assert result["sites"] == ["boston", "leeds", "oxford"]
        assert last["traffic"]["rows_left"] == 0
        assert set(last["traffic"]["bytes_out"]) == set(alliance.sites)
        assert len(set(alliance.fleet.pids.values())) == 4
        assert {alliance.fleet.await_event(site, "threads") for site in alliance.sites} == {"1"}
        assert len({alliance.fleet.await_event(site, "random") for site in alliance.sites}) == 3  # no shared state
        for site in alliance.sites:
            alliance.fleet.await_event(site, "ended")
        with alliance.client() as client:
            assert client.submit(request) == last["run"]  # asked again: the same run, not another
            assert [row["state"] for row in client.runs()] == ["concluded"]
            raw = client.bundle(last["run"])
        flipped = raw.replace(b'"sums":[', b'"sums":[ ', 1)
        with pytest.raises(IsthmusError):
            verify_bundle(flipped, ())
    secrets_are_gone(alliance, last["run"])


def secrets_are_gone(alliance: Alliance, run: str) -> None:
    for name in ("hub", *alliance.sites):
        store = open_store(alliance.directory / name / "state.db")
        kept = {key for key, _ in store.journal(run).read()}
        store.close()
        assert kept <= {"ended", "failed"}, f"{name} kept {kept}"
        assert not list((alliance.directory / name / "spool").rglob("*.spool"))


def test_what_a_researcher_is_told(fleet: Fleet, tmp_path: Path) -> None:
    with Alliance(fleet, tmp_path).start() as alliance, alliance.client() as client:
        with pytest.raises(Refused, match="E-KIND"):
            client.submit(toy_request(1, rounds=2000, size=1))
        with pytest.raises(Invalid, match="E-RUN"):
            client.status("sha256:none")
        with pytest.raises(Invalid, match="E-RUN"):
            client.bundle("sha256:none")
        run = client.submit(toy_request(2, rounds=40, size=10, **SLOW))
        with pytest.raises(Unavailable, match="E-NOT-RELEASED"):
            client.bundle(run)
        seen = list(client.watch(run))
        assert len(seen) > 3
        assert {s["state"] for s in seen} == {"running", "concluded"}
        text = str(seen)
        assert all(word not in text for word in ("sums", "param"))


def test_a_site_that_never_says_it_erased_its_secrets_holds_nothing_up_forever(fleet: Fleet, tmp_path: Path) -> None:
    with Alliance(fleet, tmp_path).start(hub={"erasing": 1.0}, leeds={"silent": True}) as alliance:
        request = toy_request(1, rounds=2, size=10)
        with alliance.client() as client:
            run = client.submit(request)
            follow(client, run)
            deadline = time.monotonic() + 20
            while "unerased" not in client.status(run) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert client.status(run)["unerased"] == ["leeds"], alliance.logs()
            assert client.status(run)["state"] == "concluded"
    store = open_store(tmp_path / "hub" / "state.db")
    leaves = Ledger(store, "hub", now).log.entries()
    (late,) = [e for e in leaves if "unerased" in e.facts]
    assert (late.event, late.facts["unerased"]) == ("waiting", ["leeds"])
    row = store.run(run)
    assert row is not None
    assert row.state == "concluded"  # and no longer closing: people can decide on its result
    store.close()


def test_a_site_declines_and_the_run_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    with Alliance(fleet, tmp_path).start(leeds={"decline": True}) as alliance:
        last = alliance.run(toy_request(1, rounds=2, size=10))
        assert last["state"] == "refused"
        assert last["error"]["code"] == "E-VARIABLE"
        assert "leeds" not in str(last["error"])
        quiet_about_bytes(last)


def quiet_about_bytes(last: dict[str, Any]) -> None:
    assert last["traffic"]["bytes_out"] == {}
    assert all("bytes" not in site for site in last["sites"].values())


def test_a_second_run_waits_for_the_site_of_the_first(fleet: Fleet, tmp_path: Path) -> None:
    """Invariant 5 over the stores: nothing is opened without d that was opened with it, and then all run again."""
    sites = ("boston", "leeds", "oxford", "york")
    with Alliance(fleet, tmp_path, sites).start(hub={"round": 1.0}) as alliance:
        request = toy_request(1, rounds=2, size=10)
        check(alliance, alliance.run(request), request)
        for name in ("leeds", "york"):
            alliance.fleet.kill(name)
        alliance.fleet.restart("leeds")
        alliance.fleet.await_event("leeds", "joined")
        last = alliance.run({**request, "number": 2})
        assert (last["state"], last["error"]["code"]) == ("failed", "E-SURVIVORS"), alliance.logs()
        assert "wait for" in last["error"]["hint"]
        alliance.fleet.restart("york")
        alliance.fleet.await_event("york", "joined")
        check(alliance, alliance.run({**request, "number": 3}), request)
    store = open_store(tmp_path / "leeds" / "state.db")
    assert {tuple(json.loads(row[0])) for row in store.rows(sa.select(OPENED.c.survivors))} == {sites}
    store.close()


def test_sums_that_sites_took_from_the_hub_are_named(fleet: Fleet, tmp_path: Path) -> None:
    """Replies of 4 MiB go through the spools; the status says in which rounds no site added up itself."""
    with Alliance(fleet, tmp_path).start() as alliance:
        request = toy_request(1, rounds=2, size=1 << 18)
        last = alliance.run(request)
        check(alliance, last, request)
        assert last["hub_sums"] == [["toy", 1], ["toy", 2]]
        small = alliance.run(toy_request(2, rounds=2, size=10))
        assert "hub_sums" not in small
    assert "took the hub's own sum in [('toy', 1), ('toy', 2)]" in (tmp_path / "hub" / "node.log").read_text()


def test_a_refused_round_ends_its_question_alike_everywhere(fleet: Fleet, tmp_path: Path) -> None:
    with Alliance(fleet, tmp_path).start(leeds={"refuse": True}) as alliance:
        last = alliance.run(toy_request(1, rounds=2, size=10))
        assert last["state"] == "concluded"
        result = alliance.bundle(last["run"])
        assert (result["refused"], result["sums"]) == (True, [])
        for site in alliance.sites:
            alliance.fleet.await_event(site, "ended")


Fault = Callable[[Alliance], None]


def _kill(name: str) -> Fault:
    def fault(alliance: Alliance) -> None:
        alliance.fleet.kill(name)
        alliance.fleet.restart(name)

    return fault


def _freeze(alliance: Alliance) -> None:
    alliance.fleet.signal("leeds", signal.SIGSTOP)
    time.sleep(2.0)
    alliance.fleet.signal("leeds", signal.SIGCONT)


@pytest.mark.parametrize(
    ("fault", "rounds"),
    [(_kill("leeds"), (0, 1, 4)), (_kill("hub"), (0, 2, 4)), (_freeze, (2,))],
    ids=["site killed", "hub killed", "site frozen"],
)
def test_a_run_survives(fleet: Fleet, tmp_path: Path, fault: Fault, rounds: tuple[int, ...]) -> None:
    """`kill -9` while a round is computed, again and again: same numbers to the bit, one ledger."""
    with Alliance(fleet, tmp_path).start() as alliance:
        request = toy_request(1, rounds=6, size=50, pause=0.1)
        with alliance.client() as client:
            run = client.submit(request)
            for number in rounds:
                _await_round(client, run, number)
                fault(alliance)
            disturbed = check(alliance, _follow_through(alliance, run), request)
        again = alliance.run({**request, "number": 2, "pause": 0.0})
        assert disturbed["sums"] == check(alliance, again, request)["sums"]  # to the bit


def _await_round(client: Any, run: str, number: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if client.status(run).get("rounds", 0) >= number:
                return
        except Unavailable:
            pass  # the hub was just killed
        time.sleep(0.02)
    raise AssertionError(f"round {number} was not reached")


def _await_log(alliance: Alliance, name: str, words: str) -> None:
    end = time.monotonic() + 15
    while words not in alliance.fleet.log(name).read_text():
        assert time.monotonic() < end, alliance.logs()
        time.sleep(0.05)


def _follow_through(alliance: Alliance, run: str) -> dict[str, Any]:
    """Follow a run across restarts of the hub."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with alliance.client() as client:
                return follow(client, run)
        except Unavailable:
            time.sleep(0.1)
    raise AssertionError(f"the run did not end\n{alliance.logs()}")


class Traitor(Ear):
    """Leeds' keys in other hands: greets as a site does, then says what the test wants."""

    def hello(self) -> dict[str, Any]:
        nothing = {"size": 0, "root": EMPTY_ROOT.hex()}
        return {"mode": "rehearsal", "agreement": AGREEMENT, "ledger": nothing, "open": []}


def test_altered_replayed_and_borrowed_messages_change_nothing(fleet: Fleet, tmp_path: Path) -> None:
    with Alliance(fleet, tmp_path).start() as alliance, alliance.client() as client:
        fleet.kill("leeds")
        request = toy_request(1, rounds=2, size=10)
        run = client.submit(request)
        asyncio.run(_betray(alliance, run))
        for words in ("E-SIGNATURE", "not under way", "E-SENDER"):
            _await_log(alliance, "hub", words)
        assert "Traceback" not in fleet.log("hub").read_text()
        fleet.restart("leeds")
        check(alliance, follow(client, run), request)


async def _betray(alliance: Alliance, run: str) -> None:
    leeds = load_identity(alliance.directory / "leeds" / "keys")
    address = HubAddress(alliance.address, "hub", alliance.hub.key.public, alliance.hub.certificate)
    dialled = Dialled(leeds, address, settings(alliance.directory / "traitor"))
    dialled.ear = dialled._client._branch = Traitor()
    async with dialled as ear:
        link, _ = await soon(ear.ready)
        assert (await soon(ear.heard)).kind == "invite"
        author = Author("rehearsal", run, "leeds", leeds.key)
        keys = {"x25519": "00" * 32, "mlkem": "00", "snapshot": "s", "head": {"size": 0, "root": "00" * 32}}
        altered = replace(author.say("keys", keys), header={**keys, "snapshot": "t"})
        replayed = Author("rehearsal", "sha256:another", "leeds", leeds.key).say("keys", keys)
        other_run = replace(replayed, run=run)  # signed for another run
        link.send([altered, other_run, replace(altered, run="sha256:unknown")])
        link.send([replace(author.say("keys", keys), sender="oxford")])
        ended = await soon(ear.ends)
        assert ended.error.code == "E-SENDER"


def test_a_site_lost_in_the_first_round_is_left_behind(fleet: Fleet, tmp_path: Path) -> None:
    """Four sites, one gone for good before anything is opened: the others go on (t = 3 of 4)."""
    sites = ("boston", "durham", "leeds", "oxford")
    with Alliance(fleet, tmp_path, sites).start(hub={"round": 1.0}, leeds={"slow": True}) as alliance:
        alliance.fleet.signal("leeds", signal.SIGSTOP)
        last = alliance.run(toy_request(1, rounds=3, size=10))
        assert last["state"] == "concluded", alliance.logs()
        assert alliance.bundle(last["run"])["sites"] == ["boston", "durham", "oxford"]
        alliance.fleet.signal("leeds", signal.SIGCONT)


def test_a_site_lost_later_is_waited_for_until_the_deadline(fleet: Fleet, tmp_path: Path) -> None:
    with Alliance(fleet, tmp_path).start(hub={"round": 0.5, "waiting": 3.0}) as alliance, alliance.client() as client:
        run = client.submit(toy_request(1, rounds=50, size=10, **SLOW))
        _await_round(client, run, 2)
        alliance.fleet.kill("leeds")
        states = list(client.watch(run))
        waiting = [seen for seen in states if seen["state"] == "waiting"]
        assert waiting[-1]["waiting"] == ["leeds"]
        assert (states[-1]["state"], states[-1]["error"]["code"]) == ("failed", "E-LOST")


def test_a_full_disk_at_a_site_is_survived(fleet: Fleet, tmp_path: Path) -> None:
    """The journal hits its ceiling in mid-run; with space again the site goes on, nothing half done."""
    with Alliance(fleet, tmp_path).start(leeds={"maximum_bytes": 200_000}) as alliance, alliance.client() as client:
        request = toy_request(1, rounds=6, size=3000)
        run = client.submit(request)
        _await_log(alliance, "leeds", "E-DISK")
        assert client.status(run)["state"] == "running"
        alliance.fleet.stop("leeds")
        alliance.start_site("leeds")
        check(alliance, follow(client, run), request)


def test_a_full_spool_at_a_site_is_survived(fleet: Fleet, tmp_path: Path) -> None:
    with Alliance(fleet, tmp_path).start(leeds={"largest_file": 1_000_000}) as alliance, alliance.client() as client:
        request = toy_request(1, rounds=2, size=100_000)  # 1.6 MB masked: spooled
        run = client.submit(request)
        _await_log(alliance, "leeds", "E-SPOOL")
        alliance.fleet.stop("leeds")
        alliance.start_site("leeds")
        check(alliance, follow(client, run), request)


def test_a_wrong_clock_keeps_a_site_out(fleet: Fleet, tmp_path: Path) -> None:
    with Alliance(fleet, tmp_path, ("boston", "oxford")).start() as alliance:
        alliance.fleet.kill("oxford")
        alliance.start_site("oxford", clock_shift=-3600.0)
        _await_log(alliance, "oxford", "E-CLOCK")
        assert alliance.fleet.alive("oxford")  # it keeps trying; the log says why


def test_a_restored_backup_of_a_site_is_noticed(fleet: Fleet, tmp_path: Path) -> None:
    with Alliance(fleet, tmp_path).start() as alliance:
        last = alliance.run(toy_request(1, rounds=1, size=3))
        alliance.fleet.await_event("leeds", "ended")
        alliance.fleet.stop("leeds")
        alliance.fleet.restart("leeds")
        alliance.fleet.await_event("leeds", "joined")
        alliance.fleet.stop("leeds")
        for path in (alliance.directory / "leeds").glob("state.db*"):
            path.unlink()
        alliance.fleet.restart("leeds")
        _await_log(alliance, "leeds", "E-ROLLBACK")
        assert last["state"] == "concluded"


def test_large_summaries_stream(fleet: Fleet, tmp_path: Path) -> None:
    """8 MB of values, 16 MB masked, from each of three sites: nobody holds them in memory at once."""
    with Alliance(fleet, tmp_path).start() as alliance:
        before = {name: peak(pid) for name, pid in alliance.fleet.pids.items()}
        request = toy_request(1, rounds=1, size=1_000_000)
        check(alliance, alliance.run(request), request)
        grown = {name: peak(pid) - before[name] for name, pid in alliance.fleet.pids.items()}
        assert grown["hub"] < 150, grown
        assert all(grown[site] < 150 for site in alliance.sites), grown


@pytest.mark.long
def test_ten_sites_of_80_mb_each(fleet: Fleet, tmp_path: Path) -> None:
    sites = tuple(f"site{n}" for n in range(10))
    with Alliance(fleet, tmp_path, sites).start(hub={"round": 600.0}) as alliance:
        before = {name: peak(pid) for name, pid in alliance.fleet.pids.items()}
        request = toy_request(1, rounds=1, size=10_000_000)
        start = time.monotonic()
        check(alliance, alliance.run(request), request)
        seconds = time.monotonic() - start
        now = {name: peak(pid) for name, pid in alliance.fleet.pids.items()}
        print(f"seconds {seconds:.1f} hub {now['hub']:.0f} MB sites {[now[s] - before[s] for s in sites]}")
        assert now["hub"] < 400
        # the toy's columns are 80 MB, its part 80 MB more
        assert all(now[site] - before[site] < 300 + 160 for site in sites)


def peak(pid: int) -> float:
    """Largest resident memory of a process so far, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    raise AssertionError("no VmHWM")


def test_the_fleet_stops_what_it_started_when_its_parent_is_gone(tmp_path: Path) -> None:
    code = (
        "import pathlib, os, sys\n"
        "from isthmus.federation.launch import Fleet\n"
        "fleet = Fleet(('time',)).__enter__()\n"
        f"fleet.start('a', 'time:sleep', pathlib.Path({str(tmp_path)!r}), {{}})\n"
        "print(fleet.pid('a'), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert os.getpid() != pid


def test_nodes_that_end_are_told_from_nodes_that_are_late(tmp_path: Path) -> None:
    with Fleet(("time",)) as fleet:
        fleet.start("gone", "isthmus.federation.nothing:here", tmp_path / "gone", {})
        with pytest.raises(Unavailable, match="ended before"):
            fleet.await_event("gone", "ready", 10)
        assert "ModuleNotFoundError" in fleet.log("gone").read_text()
        with pytest.raises(Invalid, match="E-NODE"):
            fleet.restart("never")
    assert fleet.pids == {}


def test_detached_nodes_stay(tmp_path: Path) -> None:
    with Fleet(("toy_nodes",), {**os.environ, "PYTHONPATH": str(HERE)}) as fleet:
        fleet.start("a", "toy_nodes:sleep", tmp_path, {})
        pid = fleet.pid("a")
        fleet.detach()
    assert Path(f"/proc/{pid}").exists()
    os.kill(pid, signal.SIGTERM)
