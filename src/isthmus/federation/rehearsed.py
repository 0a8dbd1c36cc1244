"""A rehearsal whose hub and sites are processes of their own, talking over mutual TLS on loopback."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import feather

from isthmus.data.source import open_source
from isthmus.federation.desk import Desk, Note, Request, Seat
from isthmus.federation.grpc_client import HubClient
from isthmus.federation.grpc_hub import Party
from isthmus.federation.grpc_site import HubAddress
from isthmus.federation.hub_node import HubSetup, serve_hub
from isthmus.federation.hub_work import HubWork as OurHubWork
from isthmus.federation.identity import Identity, Owner, load_identity, make_identity
from isthmus.federation.launch import Fleet
from isthmus.federation.node import Means, Tell
from isthmus.federation.protocol.charter import Charter, HubWork
from isthmus.federation.reasons import error_of
from isthmus.federation.rehearsal import COUNTRY, Progress, Stage, candid, charter_of, open_all, site_work, stage
from isthmus.federation.results import proof_of_bundle
from isthmus.federation.site_node import SiteSetup, serve_site
from isthmus.federation.store import open_store
from isthmus.governance.card import Card, Role, read_card
from isthmus.ledger.verify import verify_bundle
from isthmus.model.canonical import plain
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.privacy import Privacy
from isthmus.model.record import record
from isthmus.model.rules import Rules
from isthmus.model.study import Study
from isthmus.strict import parse

MODULE = "isthmus.federation.rehearsed"
ASKER = "asker"
SCRIPT = "rehearsal.json"


@record
class Staged:
    """What every process of a rehearsal reads: the study, the rules, the dictionary, where each site is."""

    study: Study
    rules: Rules
    dictionary: Codebook
    countries: Mapping[str, str]
    created: str
    privacy: Privacy | None = None
    releases: tuple[str, ...] = ()


def rehearse_processes(  # noqa: PLR0913 - the SDK's options
    study: Study,
    sites: Mapping[str, Any],
    *,
    rules: Rules,
    countries: Mapping[str, str] | None = None,
    codebook: Codebook | None = None,
    progress: Progress | None = None,
    privacy: Privacy | None = None,
    releases: tuple[str, ...] = (),
    now: datetime,
) -> dict[str, Any]:
    """As `rehearsal.rehearse`, with each party in a process of its own.

    Raises:
        IsthmusError: as `rehearse`; Unavailable (E-NODE) when a process ends before its time.
    """
    staged = stage(
        study, sites, rules=rules, countries=countries, codebook=codebook, privacy=privacy, releases=releases
    )
    open_all(staged)
    with tempfile.TemporaryDirectory(prefix="isthmus-") as name:
        folder = Path(name)
        asker = _set_up(folder, staged, now)
        with Fleet((MODULE,)) as fleet:
            address = _start(fleet, folder, sites)
            card = _cards(folder)["hub"]
            hub = HubAddress(address, "hub", bytes.fromhex(card.key), card.certificate.encode())
            with HubClient(asker, hub, _now) as client:
                return candid(_follow(client, progress), staged)


def _set_up(folder: Path, staged: Stage, now: datetime) -> Identity:
    def made(name: str, role: Role) -> Identity:
        owner = Owner(role=role, name=name, party=name, country=staged.countries.get(name, COUNTRY))
        return make_identity(folder / name / "keys", owner, now)

    for name in staged.countries:
        made(name, "site")
    made("hub", "hub")
    script = Staged(
        study=staged.study,
        rules=staged.rules,
        dictionary=staged.dictionary,
        countries=staged.countries,
        created=now.isoformat(),
        privacy=staged.privacy,
        releases=staged.releases,
    )
    (folder / SCRIPT).write_text(json.dumps(plain(script)), encoding="utf-8")
    return made(ASKER, "researcher")


def _start(fleet: Fleet, folder: Path, sites: Mapping[str, Any]) -> str:
    address = f"127.0.0.1:{_free_port()}"
    fleet.start("hub", f"{MODULE}:hub", folder / "hub", {"address": address})
    fleet.await_event("hub", "port")
    files = {name: _on_disk(spec, folder / name) for name, spec in sites.items()}
    for name in sites:
        known = {other: file for other, file in files.items() if other <= name}  # equal rows are numbered through all
        fleet.start(name, f"{MODULE}:site", folder / name, {"hub": address, "sources": known})
    for name in sites:
        fleet.await_event(name, "joined")
    return address


def _on_disk(spec: Any, folder: Path) -> str:
    """Where another process finds a site's rows."""
    if isinstance(spec, str | Path):
        path, mark, table = str(spec).partition("::")
        return str(Path(path).resolve()) + mark + table
    rows = str(folder / "rows.arrow")
    feather.write_feather(pa.table(spec), rows, compression="uncompressed")
    return rows


def _follow(client: HubClient, progress: Progress | None) -> dict[str, Any]:
    run = client.submit({"rehearsal": 1})
    state: Mapping[str, Any] = {}
    for state in client.watch(run):
        if progress is not None:
            progress(state)
    if state.get("error"):
        raise error_of(state["error"])
    raw = client.bundle(run)
    held = verify_bundle(raw, ())
    proof = proof_of_bundle(held)
    head = {"run": 1, "mode": "rehearsal", "status": "rehearsed"}
    return {**held.bundle["result"], **head, "traffic": state["traffic"], "proof": proof}


# -- in the processes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HubRehearsal:
    """The hub's desk."""

    staged: Stage
    charter: Charter

    @property
    def desk(self) -> Desk:
        """What is common."""
        return _desk(self.charter)

    def admit(self, request: Request, now: datetime) -> tuple[Charter, HubWork]:
        """The one run of this rehearsal."""
        del now
        _check(request)
        return self.charter, OurHubWork(self.staged.plan(self.charter.run), self.staged.dictionary)

    def envelopes(self) -> list[Any]:
        """Nobody signed an agreement."""
        return []


@dataclass(frozen=True, slots=True)
class SiteRehearsal:
    """A site's desk."""

    staged: Stage
    charter: Charter
    name: str

    @property
    def desk(self) -> Desk:
        """What is common."""
        return _desk(self.charter)

    def admit(self, request: Request, now: datetime, note: Note) -> Seat:
        """The one run of this rehearsal."""
        del now
        _check(request)
        work = site_work(self.staged, self.staged.plan(self.charter.run), self.name, note)
        work.open()
        return Seat(self.charter, work, self.staged.sources[self.name].fingerprint())


def hub(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    """The hub's process."""
    staged, charter = _read(directory.parent, {})
    cards = _cards(directory.parent)
    parties = {
        card.name: Party(
            card.name,
            "site" if card.role == "site" else "person",
            bytes.fromhex(card.key),
            card.certificate.encode(),
        )
        for card in cards.values()
        if card.role in {"site", "researcher"}
    }
    return serve_hub(HubSetup(_means(directory), parties, HubRehearsal(staged, charter), arguments["address"]), tell)


def site(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    """A site's process."""
    name = directory.name
    staged, charter = _read(directory.parent, arguments["sources"])
    card = _cards(directory.parent)["hub"]
    address = HubAddress(arguments["hub"], "hub", bytes.fromhex(card.key), card.certificate.encode())
    return serve_site(SiteSetup(_means(directory), address, SiteRehearsal(staged, charter, name)), tell)


def _read(folder: Path, files: Mapping[str, str]) -> tuple[Stage, Charter]:
    script = parse(Staged, json.loads((folder / SCRIPT).read_text(encoding="utf-8")), "rehearsal")
    sources = {name: open_source(file) for name, file in files.items()}
    stated = (script.countries, script.rules, script.dictionary, script.privacy, script.releases)
    staged = Stage(script.study, sources, *stated)
    cards = _cards(folder)
    keys = {name: bytes.fromhex(cards[name].key) for name in script.countries}
    return staged, charter_of(staged, keys, bytes.fromhex(cards["hub"].key), script.created)


def _cards(folder: Path) -> dict[str, Card]:
    read = [read_card(path.read_bytes()) for path in sorted(folder.glob("*/keys/card.json"))]
    return {card.name: card for card in read}


def _means(directory: Path) -> Means:
    return Means(load_identity(directory / "keys"), open_store(directory / "state.db"), directory / "spool", _now)


def _desk(charter: Charter) -> Desk:
    return Desk("rehearsal", charter.agreement, lambda _now: None)


def _check(request: Request) -> None:
    if dict(request) != {"rehearsal": 1}:
        raise Invalid("E-REQUEST", "this hub rehearses one study", "start another rehearsal")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - an entry point
