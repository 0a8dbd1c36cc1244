"""What nodes keep and what they let others see of it: file modes, snapshot ids, private logs, refused bodies."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from toy_fleet import Alliance
from toy_nodes import ToyHubDesk, ToySiteDesk, cards, charter, toy_request
from wires import now

from isthmus.federation import hub_greeting
from isthmus.federation.desk import Note, Request, Seat
from isthmus.federation.grpc_site import HubAddress
from isthmus.federation.hub import HubNode
from isthmus.federation.hub_runs import held_run, new_row
from isthmus.federation.identity import load_identity
from isthmus.federation.messages import HUB, Author, FilePayload, Message
from isthmus.federation.node import Means
from isthmus.federation.protocol.hub import Gathering, HubRun
from isthmus.federation.reasons import facts
from isthmus.federation.site import SiteNode
from isthmus.federation.store import open_store
from isthmus.model.errors import Invalid, Refused, Unavailable, Untrusted

REQUEST = toy_request(1, rounds=1, size=1 << 18)
SITES = ("leeds", "oxford")


class Twins(ToySiteDesk):
    """Sites with the very same data; `refuses` says no to a question."""

    def admit(self, request: Request, now: Any, note: Note) -> Seat:
        if self.behave.get("refuses"):
            note("q1", "E-DISCLOSURE")
        return replace(super().admit(request, now, note), snapshot="sha256:the same data")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A network administrator's umask: whatever a node writes is for all to read, unless it says otherwise."""
    before = os.umask(0o000)
    Alliance(None, tmp_path, SITES)  # type: ignore[arg-type] - keys alone, no process
    yield tmp_path
    os.umask(before)


def means(directory: Path, name: str) -> Means:
    home = directory / name
    return Means(load_identity(home / "keys"), open_store(home / "state.db"), home / "spool", now)


def site(directory: Path, name: str, **behave: Any) -> SiteNode:
    everyone = cards(directory)
    card = everyone["hub"]
    hub = HubAddress("127.0.0.1:1", "hub", bytes.fromhex(card.key), card.certificate.encode())
    return SiteNode(means(directory, name), hub, Twins(everyone, name, behave), lambda _: None)


def joined(directory: Path, node: SiteNode, number: int = 1) -> str:
    """The snapshot id that a site says in M1."""
    request = {**REQUEST, "number": number}
    run = node._seated(charter(request, cards(directory)).run, request)
    return str(run.connected()[0].header["snapshot"])


def test_a_snapshot_id_says_nothing_about_the_data(directory: Path) -> None:
    leeds, oxford = (joined(directory, site(directory, name)) for name in SITES)
    assert leeds != oxford  # the same data
    assert leeds == joined(directory, site(directory, "leeds"), 2)  # another run after a restart
    assert "the same data" not in leeds


def test_the_head_in_hello_is_the_same_whatever_a_site_refuses(directory: Path) -> None:
    nodes = [site(directory, "leeds", refuses=True), site(directory, "oxford")]
    for node in nodes:
        joined(directory, node)
    refusing, agreeing = nodes
    assert refusing.hello()["ledger"]["size"] == agreeing.hello()["ledger"]["size"]
    assert [entry.facts["code"] for entry in refusing.private.log.entries()] == ["E-DISCLOSURE"]
    assert list(agreeing.private.log.entries()) == []


def test_a_ledger_that_is_two_stories_is_written_down_once(directory: Path) -> None:
    """The hub shows no proof that its ledger continues what the sites hold of it."""
    nodes = {name: site(directory, name) for name in SITES}
    run, told = charter(REQUEST, cards(directory)).run, {}
    for name, node in nodes.items():
        node._runs[run] = node._seated(run, REQUEST)
        (message,) = node._runs[run].connected()
        told[name] = {"keys": dict(message.header), "signature": message.signature.hex()}
    hub = Author("rehearsal", run, HUB, load_identity(directory / "hub" / "keys").key)
    header = {"cards": told, "head": {"size": 1, "root": "00" * 32}, "growth": {name: ["00" * 32] for name in SITES}}
    leeds = nodes["leeds"]
    for _ in range(2):
        asyncio.run(leeds.received(hub.say("roster", header)))
    (entry,) = [entry for entry in leeds.ledger.log.entries() if entry.event == "refusal"]
    assert (entry.facts["run"], entry.facts["code"], entry.facts["site"]) == (run, "E-LEDGER", "leeds")


def test_only_the_owner_reads_what_a_node_keeps(directory: Path) -> None:
    os.chmod(directory / "leeds", 0o777)  # noqa: PTH101
    own = means(directory, "leeds")
    own.store.set_fact("x", "y")
    own.spool("sha256:r").gather("reply", [bytes(1 << 20)] * 2, 2 << 20)
    files = [path for path in (directory / "leeds").rglob("*") if path.is_file() and "keys" not in path.parts]
    assert {path.suffix for path in files} == {".db", ".db-wal", ".db-shm", ".spool"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_store_that_others_could_read_is_closed_to_them(directory: Path) -> None:
    path = directory / "old.db"
    open_store(path).close()
    path.chmod(0o644)
    open_store(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


class Hub:
    """A hub that does not listen, with one run under way, and large messages that reach it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        own, everyone = means(directory, "hub"), cards(directory)
        self.node = HubNode(own, {}, ToyHubDesk(everyone), lambda _: None)
        admitted = self.node.desk.admit(REQUEST, now())
        self.name = admitted[0].run
        row = new_row(admitted[0], REQUEST, now().isoformat())
        own.store.add_run(row)
        self.node.runs[self.name] = held_run(row, admitted, own, self.node.ledger.log, 0.0)
        self.spool = own.settings().spool

    @property
    def run(self) -> HubRun:
        return self.node.runs[self.name].run

    def large(self, run: str, sender: str) -> Message:
        body = self.spool.gather("received", [bytes(1 << 20)] * 2, 2 << 20)
        assert isinstance(body, FilePayload)
        key = load_identity(self.directory / "leeds" / "keys").key
        return Author("rehearsal", run, sender, key).say("masked", {"context": "", "commitment": ""}, body)

    def files(self) -> list[Path]:
        return list((self.directory / "hub" / "spool").rglob("*.spool"))


@pytest.mark.parametrize("case", ["an unknown run", "another sender", "not expected now", "malformed"])
def test_a_refused_body_does_not_stay(directory: Path, case: str) -> None:
    hub = Hub(directory)
    message = hub.large(
        "sha256:none" if case == "an unknown run" else hub.name, "oxford" if "sender" in case else "leeds"
    )
    if case == "malformed":
        message = replace(message, kind="keys")
    assert len(hub.files()) == 1

    async def play() -> None:
        try:
            await hub.node.received("leeds", message)
        except Untrusted:
            assert case == "another sender"

    asyncio.run(play())
    assert hub.files() == []


def test_the_hub_keeps_no_large_body_but_the_reply_it_waits_for(directory: Path) -> None:
    hub = Hub(directory)
    head = {"run": hub.name, "kind": "masked", "sender": "leeds"}
    assert hub.node.expected("leeds", head) == 0  # no round is open yet
    for changed in ({"run": "sha256:none"}, {"kind": "keys"}, {"sender": "oxford"}):
        assert hub.node.expected("leeds", {**head, **changed}) == 0


def test_who_takes_no_part_in_a_run_cannot_decline_it(directory: Path) -> None:
    hub = Hub(directory)
    said = {"run": hub.name, "error": facts(Refused("E-DATASET", "no such data"))}
    decline: Any = SimpleNamespace(kind="decline", body=said)
    with pytest.raises(Untrusted, match="E-ROSTER"):
        asyncio.run(hub.node.received("another", decline))
    assert isinstance(hub.run.state, Gathering)
    asyncio.run(hub.node.received("leeds", decline))
    row = hub.node.means.store.run(hub.name)
    assert row is not None
    assert row.state == "refused"


@pytest.mark.parametrize("defect", [KeyError("row 7: diabetes"), Invalid("E-PROOF", "no such entry")])
def test_a_run_that_cannot_be_held_ends_alone(directory: Path, defect: Exception) -> None:
    """The hub goes on, sites are told to let the run go, and no word of the defect itself is kept."""
    hub, told = Hub(directory), list[tuple[str, Any]]()

    def broken(*_: object) -> None:
        raise defect

    link: Any = SimpleNamespace(say=lambda kind, body: told.append((kind, body)), news=None)
    hub.node.runs[hub.name].run.progress = broken  # type: ignore[method-assign,assignment]
    hub.node.runs[hub.name].moved = -1e9  # a deadline has passed

    async def play() -> None:
        hub.node._links["leeds"] = link
        await hub.node._tick()

    asyncio.run(play())
    row = hub.node.means.store.run(hub.name)
    assert row is not None
    assert (hub.node.runs, row.state) == ({}, "failed")
    assert ("done", hub.name) in [(kind, body["run"]) for kind, body in told]
    assert "diabetes" not in row.note + str(told) + str([e.facts for e in hub.node.ledger.log.entries()])


def test_a_site_is_greeted_again_when_it_could_not_be_told_everything(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, told, failing = Hub(directory), list[str](), [Unavailable("E-DISK", "full"), KeyError("x")]
    monkeypatch.setattr(hub_greeting, "AGAIN", 0.0)

    def connected(_site: str) -> tuple[()]:
        if failing:
            raise failing.pop()
        return ()

    hub.run.connected = connected  # type: ignore[method-assign]
    link: Any = SimpleNamespace(say=lambda kind, _body: told.append(kind), send=lambda _items: None)

    async def play() -> None:
        hub.node._links["leeds"] = link
        await hub_greeting.greet(hub.node, "leeds", link, 5)

    asyncio.run(play())
    assert (failing, told) == ([], ["invite"] * 3)
