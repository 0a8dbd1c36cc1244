"""The whole way from `isthmus init` to a released result: signed agreement, configuration files, real statistics."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from toy_fleet import follow, free_port
from wires import now

from isthmus.cli.demo.law import Cast, invented_custody, invented_terms
from isthmus.data.dictionary import read_codebook
from isthmus.federation.agreed import connect, site_setup
from isthmus.federation.bundles import audit_bundle
from isthmus.federation.identity import Identity, Owner, load_identity, make_identity
from isthmus.federation.launch import Fleet
from isthmus.federation.store import open_store
from isthmus.governance.agreement import Agreement, DatasetEntry
from isthmus.governance.drafting import Terms, new_agreement
from isthmus.governance.signing import sign_agreement, unsigned
from isthmus.ledger.bundle import read_bundle, seal_statement
from isthmus.ledger.verify import verify_bundle
from isthmus.model.canonical import canonical, digest, plain
from isthmus.model.errors import Invalid, Refused, Untrusted
from isthmus.model.rules import Dominance, Rules
from isthmus.model.study import Study
from isthmus.sdk.bundle import verify
from isthmus.strict import parse

SITES = {"leeds": "GB", "oxford": "GB", "boston": "US"}
ROWS = 400
FLOOR = Rules(
    minimum_count=11,
    minimum_count_site=11,
    round_to=5,
    zeros="allowed",
    dominance=Dominance(n=2, k=0.9, p=0.1),
    minimum_dof=10,
    parameters_per_row=0.1,
    maximum_leverage=0.5,
    maximum_weight_share=0.1,
    minimum_sites=3,
    digits=12,
)
CODEBOOK = {
    "name": "trial",
    "person": "pid",
    "variables": {
        "age": {"type": "number", "range": [0, 90]},
        "arm": {"type": "category", "levels": ["A", "B"]},
        "died": {"type": "integer", "range": [0, 1]},
    },
}


def rows(seed: int) -> pa.Table:
    age = 50 + 15 * np.sin(np.arange(ROWS) * 1.7 + seed)
    arm = np.where(np.arange(ROWS) * 7 % 5 < 2, "B", "A")
    died = (np.sin(np.arange(ROWS) * 3.1 + 5 * seed) + (age - 50) / 20 > 0.2).astype(np.int64)
    return pa.table({"pid": np.arange(ROWS), "age": age, "arm": arm, "died": died})


@dataclass
class Alliance:
    directory: Path
    hub: str
    custodians: Mapping[str, Identity]

    def config(self, name: str) -> Path:
        return self.directory / name / "isthmus.toml"


def alliance(
    directory: Path,
    law: Mapping[str, Any] | None = None,
    kinds: tuple[str, ...] = ("count", "glm"),
    custody: Mapping[str, Any] | None = None,
    more: Mapping[str, tuple[str, str]] | None = None,
    draft: Callable[[Agreement], Agreement] = lambda made: made,
    **entry: Any,
) -> Alliance:
    """`law`: part of the terms -> another value, or a function of the invented one; `custody`: changes to each controller's.

    `more`: name -> (role, party); `draft`: changes it before it is signed.
    """
    everyone = [*((n, "site", c) for n, c in SITES.items()), ("hub", "hub", "GB"), ("ada", "researcher", "GB")]
    made = {n: _identity(directory / n / "keys", n, role, n, c) for n, role, c in everyone}
    made["ada"] = _identity(directory / "ada" / "keys2", "ada", "researcher", "leeds", "GB")
    parties = {**SITES, "hub": "GB"}
    others = {n: _identity(directory / n / "keys2", n, role, p, parties[p]) for n, (role, p) in (more or {}).items()}
    keepers = {p: _identity(directory / p / "custodian", f"keeper-{p}", "custodian", p, c) for p, c in parties.items()}
    book = directory / "trial.yaml"
    book.write_text(yaml.safe_dump(CODEBOOK))
    starts, expires = (str(now().date() + timedelta(days=days)) for days in (-1, 30))
    cast = Cast(
        dataset="trial",
        sites={name: name for name in SITES},
        countries=SITES,
        office="hub",
        researcher=("ada", "leeds", "GB"),
        custodian="keeper-hub",
        starts=starts,
        expires=expires,
        others={f"keeper-{p}": c for p, c in parties.items()} | {n: parties[p] for n, (_, p) in (more or {}).items()},
    )
    stated_custody = tuple(replace(c, **(custody or {})) for c in invented_custody(cast))
    dataset = {"codebook": digest(read_codebook(book)), "sites": tuple(SITES), "custody": stated_custody}
    stated = invented_terms(cast)
    stated |= {part: change(stated[part]) if callable(change) else change for part, change in (law or {}).items()}
    terms = Terms(
        id="urn:alliance:test",
        title="A test",
        starts=starts,
        expires=expires,
        datasets=(DatasetEntry(dataset="trial", **dataset, **entry),),
        analyses=kinds,
        releases=(),
        disclosure=FLOOR,
        two_party=False,
        facilities={},
        names={},
        **stated,
    )
    drafted = new_agreement(terms, [i.card for i in (*made.values(), *keepers.values(), *others.values())])
    signed = unsigned(draft(drafted))
    for keeper in keepers.values():
        signed = sign_agreement(signed, keeper.key, now())
    for name in (*SITES, "hub", "ada", *others):
        (directory / name / "agreement.json").write_text(json.dumps(plain(signed)))
    address = f"127.0.0.1:{free_port()}"
    for seed, name in enumerate(SITES):
        pq.write_table(rows(seed), directory / name / "trial.parquet")
        (directory / name / "isthmus.toml").write_text(
            f'[site]\nname = "{name}"\nhub = "{address}"\nkey = "file:keys"\nagreement = "agreement.json"\n'
            f'custodian = "{keepers[name].card.key}"\n[dataset.trial]\nsource = "trial.parquet"\n'
            f'codebook = "../trial.yaml"\n[store]\npath = "state.db"\n'
        )
    (directory / "hub" / "isthmus.toml").write_text(
        f'[hub]\nlisten = "{address}"\nkey = "file:keys"\nagreement = "agreement.json"\n'
        '[dataset.trial]\ncodebook = "../trial.yaml"\n[store]\npath = "state.db"\n'
    )
    for name in ("ada", *others):
        (directory / name / "isthmus.toml").write_text(
            f'[person]\nname = "{name}"\nhub = "{address}"\nkey = "file:keys2"\nagreement = "agreement.json"\n'
        )
    for party, keeper in keepers.items():
        (directory / party / "custodian.toml").write_text(
            f'[person]\nname = "{keeper.name}"\nhub = "{address}"\nkey = "file:custodian"\nagreement = "agreement.json"\n'
            '[dataset.trial]\ncodebook = "../trial.yaml"\n'
        )
    return Alliance(directory, address, keepers)


def _identity(directory: Path, name: str, role: Any, party: str, country: str) -> Identity:
    return make_identity(directory, Owner(role=role, name=name, party=party, country=country), now())


def study(**changed: Any) -> Study:
    stated = {
        "isthmus": "study/1",
        "title": "Does arm B save lives?",
        "dataset": "trial",
        "purpose": {"duo": "DUO:0000007", "text": "a test"},
        "population": {"where": "age >= 18"},
        "analyses": {"death": {"glm": {"formula": "died ~ arm + age", "family": "binomial"}}},
    }
    return parse(Study, {**stated, **changed})


@pytest.fixture(scope="module")
def fleet():
    with Fleet(environ=dict(os.environ)) as opened:
        yield opened


def test_from_cards_to_a_released_result(fleet: Fleet, tmp_path: Path) -> None:
    made = alliance(tmp_path)
    fleet.start("hub", "isthmus.federation.hub_node:node", tmp_path / "hub", {"config": str(made.config("hub"))})
    fleet.await_event("hub", "port")
    for site in SITES:
        fleet.start(site, "isthmus.federation.site_node:node", tmp_path / site, {"config": str(made.config(site))})
    for site in SITES:
        fleet.await_event(site, "joined")
    ada = connect(made.config("ada"), os.environ, now)
    with ada.client as client:
        with pytest.raises(Refused, match="E-KIND"):
            ada.submit(study(analyses={"t": {"cox": {"formula": "Surv(age, died) ~ arm"}}}), 1, now())
        with pytest.raises(Invalid, match="E-VARIABLE"):
            ada.submit(study(population={"where": "pid > 3"}), 1, now())
        last = follow(client, ada.submit(study(), 1, now()))
        assert last["state"] == "concluded", logs(tmp_path)
        assert last["traffic"]["rows_left"] == 0
        raw = client.bundle(last["run"])
    verify_bundle(raw, ())
    result = read_bundle(raw)["result"]["analyses"]["death"]
    estimates = {term["term"]: term["estimate"] for term in result["terms"]}
    for name, value in pooled_logistic().items():
        assert estimates[name] == pytest.approx(value, rel=1e-9)
    for name in ("hub", *SITES):
        assert fleet.stop(name) == 0
        text = (tmp_path / name / "node.log").read_text()
        assert "Traceback" not in text
    check_audit(made, raw, last["run"])


def test_the_head_in_hello_does_not_tell_who_voted_against_a_question(fleet: Fleet, tmp_path: Path) -> None:
    """Leeds alone has a cell below the floor: its reasons stay in a log whose head never leaves."""
    made = alliance(tmp_path)
    table = rows(0)
    arm = np.where(np.arange(ROWS) < 3, "B", "A")
    pq.write_table(table.set_column(2, "arm", pa.array(arm)), tmp_path / "leeds" / "trial.parquet")
    fleet.start("hub", "isthmus.federation.hub_node:node", tmp_path / "hub", {"config": str(made.config("hub"))})
    fleet.await_event("hub", "port")
    for site in SITES:
        fleet.start(site, "isthmus.federation.site_node:node", tmp_path / site, {"config": str(made.config(site))})
    for site in SITES:
        fleet.await_event(site, "joined")
    ada = connect(made.config("ada"), os.environ, now)
    with ada.client as client:
        last = follow(client, ada.submit(study(), 1, now()))
    for site in SITES:
        fleet.await_event(site, "ended")
    for name in ("hub", *SITES):
        assert fleet.stop(name) == 0
    sizes = {}
    for site in SITES:
        store = open_store(tmp_path / site / "state.db")
        sizes[site] = (store.leaves(f"site/{site}").size(), store.leaves(f"site/{site}/private").size())
        store.close()
    assert len({public for public, _ in sizes.values()}) == 1, (sizes, last)
    assert {site for site, (_, private) in sizes.items() if private} == {"leeds"}, (sizes, last)


def check_audit(made: Alliance, raw: bytes, run: str) -> None:
    """The auditor's form: estimates computed again from the sums; sums that were changed do not pass, hub's seal or not."""
    audit = audit_bundle(made.config("hub"), run, {})
    assert "transcript" not in read_bundle(raw)
    assert verify(audit)["result"] == verify(raw)["result"]
    hub = load_identity(made.directory / "hub" / "keys")
    for change in (another_sum, another_codebook, another_result):
        told = read_bundle(audit)
        change(told)
        body = {name: part for name, part in told.items() if name != "seal"}
        forged = canonical(body | {"seal": hub.key.sign(seal_statement(body)).hex()})
        with pytest.raises(Untrusted):
            verify(forged)


def another_sum(told: dict[str, Any]) -> None:
    last = told["transcript"]["rounds"][-1]
    last["sum"] = ("00" if last["sum"][:2] != "00" else "01") + last["sum"][2:]


def another_codebook(told: dict[str, Any]) -> None:
    told["transcript"]["codebook"]["variables"]["age"]["range"] = [0, 100]


def another_result(told: dict[str, Any]) -> None:
    told["result"]["analyses"]["death"]["n"] += 5


def logs(directory: Path) -> str:
    return "\n".join(f"== {path}\n{path.read_text()}" for path in sorted(directory.glob("*/node.log")))


def pooled_logistic() -> dict[str, float]:
    table = pa.concat_tables([rows(seed) for seed in range(len(SITES))])
    age, died = (np.asarray(table[c], dtype=np.float64) for c in ("age", "died"))
    arm = np.asarray(table["arm"].to_pylist()) == "B"
    x = np.column_stack([np.ones(len(age)), arm, age])[age >= 18]
    y = died[age >= 18]
    beta = np.zeros(3)
    for _ in range(30):
        mean = 1 / (1 + np.exp(-x @ beta))
        beta += np.linalg.solve(x.T @ (x * (mean * (1 - mean))[:, None]), x.T @ (y - mean))
    return dict(zip(("(Intercept)", "arm[B]", "age"), beta, strict=True))


def test_a_site_trusts_only_its_own_custodian(tmp_path: Path) -> None:
    made = alliance(tmp_path)
    path = made.config("leeds")
    stranger = make_identity(tmp_path / "x", Owner(role="custodian", name="x", party="x", country="GB"), now())
    own = made.custodians["leeds"].card.key
    path.write_text(path.read_text().replace(own, stranger.card.key))
    with pytest.raises(Untrusted, match="E-CUSTODIAN"):
        site_setup(path, {}, now, os.urandom)


def test_an_older_agreement_is_not_taken_back(tmp_path: Path) -> None:
    made = alliance(tmp_path)
    setup = site_setup(made.config("leeds"), {}, now, os.urandom)
    setup.means.store.close()
    again = site_setup(made.config("leeds"), {}, now, os.urandom)
    agreement = again.desk.agreement  # type: ignore[attr-defined]
    again.means.store.set_fact("agreement", json.dumps(plain(replace(agreement, version=2))))
    again.means.store.close()
    with pytest.raises(Untrusted, match="E-AGREEMENT-VERSION"):
        site_setup(made.config("leeds"), {}, now, os.urandom)


def test_outside_its_dates_nothing_is_taken(tmp_path: Path) -> None:
    made = alliance(tmp_path)
    setup = site_setup(made.config("leeds"), {}, now, os.urandom)
    setup.desk.desk.in_force(now())
    with pytest.raises(Refused, match="E-EXPIRED"):
        setup.desk.desk.in_force(now() + timedelta(days=60))
    setup.means.store.close()
    assert date.fromisoformat(setup.desk.agreement.expires)  # type: ignore[attr-defined]
