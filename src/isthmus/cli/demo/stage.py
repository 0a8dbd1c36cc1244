"""What an alliance sets up once: keys, cards, an agreement that every party signs, data and a configuration per site."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.cli.demo.data import SITES, codebook_data
from isthmus.cli.demo.question import KINDS, RULES, STUDY
from isthmus.model.errors import Invalid
from isthmus.model.record import record

if TYPE_CHECKING:
    import pyarrow as pa

    from isthmus.federation.identity import Identity
    from isthmus.governance.agreement import Agreement
    from isthmus.model.codebook import Codebook

MARK = ".isthmus-demo"
HUB = "hub"
RESEARCHER = "researcher"
OFFICE = "alliance-office"  # the legal entity that runs the hub and employs the researcher


@record
class Node:
    """A node of the demonstration: its name, country and folder."""

    name: str
    country: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything in place before a process starts."""

    folder: Path
    hub: Node
    sites: tuple[Node, ...]
    agreement: Agreement
    codebook: Codebook


def make_stage(folder: Path, tables: Mapping[str, pa.Table], address: str, now: datetime) -> Stage:
    """Write the folder of the demonstration; the one of an earlier demonstration is replaced.

    Raises:
        Invalid: E-EXISTS, the folder holds something else.
    """
    from isthmus.model.codebook import Codebook
    from isthmus.strict import parse

    _clear(folder)
    codebook = parse(Codebook, codebook_data(), "codebook")
    hub = Node(name=HUB, country="GB", folder=folder / HUB)
    sites = tuple(Node(name=name, country=country, folder=folder / name) for name, country in SITES.items())
    custodians = _identities(folder, hub, sites, now)
    agreement = _agree(folder, codebook, custodians, now)
    _write_data(hub, sites, tables)
    _write_configurations(folder, hub, sites, custodians, address)
    (folder / "study.json").write_text(json.dumps(STUDY, indent=1) + "\n", encoding="utf-8")
    (folder / "rules.json").write_text(json.dumps(RULES, indent=1) + "\n", encoding="utf-8")
    return Stage(folder, hub, sites, agreement, codebook)


def _clear(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise Invalid("E-EXISTS", f"{str(folder)!r} holds other files", "choose another folder with --out")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def _identities(folder: Path, hub: Node, sites: tuple[Node, ...], now: datetime) -> dict[str, Identity]:
    """Keys and cards of every node and the researcher; gives each party's custodian."""
    from isthmus.federation.identity import Owner, make_identity

    custodians = {}
    for node in (hub, *sites):
        party = OFFICE if node is hub else f"{node.name}-hospital"
        role = HUB if node is hub else "site"
        make_identity(node.folder / "keys", _owner(Owner, role, node.name, party, node.country), now)
        person = f"custodian-{party}"
        owner = _owner(Owner, "custodian", person, party, node.country)
        custodians[node.name] = make_identity(folder / "custodians" / party, owner, now)
    make_identity(folder / RESEARCHER / "keys", _owner(Owner, RESEARCHER, RESEARCHER, OFFICE, hub.country), now)
    return custodians


def _owner(kind: Any, role: str, name: str, party: str, country: str) -> Any:
    return kind(role=role, name=name, party=party, country=country)


def _agree(folder: Path, codebook: Codebook, custodians: Mapping[str, Identity], now: datetime) -> Agreement:
    """The agreement, from the cards, signed by every party."""
    from isthmus.cli.demo.law import Cast, invented_custody, invented_terms
    from isthmus.governance.agreement import DatasetEntry
    from isthmus.governance.card import read_card
    from isthmus.governance.drafting import Terms, new_agreement
    from isthmus.governance.signing import sign_agreement, unsigned
    from isthmus.model.canonical import canonical, digest
    from isthmus.model.rules import Rules
    from isthmus.strict import parse

    starts, expires = ((now + timedelta(days=days)).date().isoformat() for days in (-1, 7))
    cast = Cast(
        dataset=codebook.name,
        sites={site: f"{site}-hospital" for site in SITES},
        countries=SITES,
        office=OFFICE,
        researcher=(RESEARCHER, OFFICE, "GB"),
        custodian=custodians[HUB].name,
        starts=starts,
        expires=expires,
        others={custodian.name: custodian.card.country for custodian in custodians.values()},
    )
    entry = DatasetEntry(
        dataset=codebook.name, codebook=digest(codebook), sites=tuple(SITES), custody=invented_custody(cast)
    )
    terms = Terms(
        id="isthmus-demo",
        title="UK and US demonstration alliance",
        starts=starts,
        expires=expires,
        datasets=(entry,),
        analyses=KINDS,
        releases=(),
        disclosure=parse(Rules, RULES, "rules"),
        two_party=False,
        facilities={},
        names={},
        **invented_terms(cast),
    )
    cards = [read_card(path.read_bytes()) for path in sorted(folder.glob("**/card.json"))]
    agreement = new_agreement(terms, cards)
    signed = unsigned(agreement)
    for custodian in custodians.values():
        signed = sign_agreement(signed, custodian.key, now)
    (folder / "agreement.json").write_bytes(canonical(signed))
    return agreement


def _write_data(hub: Node, sites: tuple[Node, ...], tables: Mapping[str, pa.Table]) -> None:
    from pyarrow import parquet

    for node in sites:
        parquet.write_table(tables[node.name], node.folder / "actg175.parquet")
    for node in (hub, *sites):
        book = json.dumps(codebook_data(), indent=1) + "\n"  # JSON is YAML
        (node.folder / "codebook.yaml").write_text(book, encoding="utf-8")


def _write_configurations(
    folder: Path, hub: Node, sites: tuple[Node, ...], custodians: Mapping[str, Identity], address: str
) -> None:
    common = f'hub = "{address}"\nkey = "file:keys"\nagreement = "../agreement.json"\n'
    hub_text = f'[hub]\nname = "{hub.name}"\nlisten = "{address}"\nkey = "file:keys"\nagreement = "../agreement.json"\n'
    _write(hub.folder, f'{hub_text}[dataset.actg175]\ncodebook = "codebook.yaml"\n{_STORE}')
    for node in sites:
        anchor = f'custodian = "{custodians[node.name].card.key}"\nfacility = "{node.name}-dc1"\n'
        _write(node.folder, f'[site]\nname = "{node.name}"\n{common}{anchor}{_DATASET}{_STORE}')
    _write(folder / RESEARCHER, f'[person]\nname = "{RESEARCHER}"\n{common}')


_DATASET = '[dataset.actg175]\nsource = "actg175.parquet"\nperson = "patient"\ncodebook = "codebook.yaml"\n'
_STORE = '[store]\npath = "state.db"\n'


def _write(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "isthmus.toml").write_text(text, encoding="utf-8")
