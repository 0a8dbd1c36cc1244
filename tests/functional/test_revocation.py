"""One party revokes in mid-study: every site stops within one round, every ledger shows it, and nothing brings it back."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_processes_agreed import SITES, Alliance, alliance, logs, now, study
from toy_fleet import follow
from typer.testing import CliRunner

from isthmus.cli.app import app
from isthmus.crypto.envelope import sign_envelope
from isthmus.federation.agreed import Researcher, connect, hub_setup, site_setup
from isthmus.federation.identity import load_identity
from isthmus.federation.launch import Fleet
from isthmus.federation.revocations import beside, revocation_beside
from isthmus.federation.site import SiteNode
from isthmus.federation.store import open_store
from isthmus.governance.agreement import Agreement, agreement_digest
from isthmus.governance.revocation import PAYLOAD_TYPE, read_revocation
from isthmus.governance.rulepack import own_pack
from isthmus.governance.signing import read_signed, sign_agreement, unsigned
from isthmus.ledger.entries import Entry, decode_entry
from isthmus.model.canonical import plain
from isthmus.model.errors import Refused

NODES = ("hub", *SITES)
MANY = {f"a{i}": {"glm": {"formula": "died ~ arm + age", "family": "binomial"}} for i in range(40)}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(environ=dict(os.environ)) as started:
        yield started


def start(fleet: Fleet, made: Alliance) -> None:
    for name in NODES:
        role = "hub" if name == "hub" else "site"
        where = {"config": str(made.config(name))}
        fleet.start(name, f"isthmus.federation.{role}_node:node", made.directory / name, where)
        fleet.await_event(name, "port" if name == "hub" else "joined")


def agreement_of(made: Alliance) -> Agreement:
    return read_signed((made.directory / "leeds" / "agreement.json").read_text()).agreement


def revoke(made: Alliance, at: str, by: str, reason: str = "consent was withdrawn") -> None:
    """A party's custodian revokes, by the command, beside the agreement of a node."""
    file, key = made.directory / at / "agreement.json", made.directory / by / "custodian"
    done = CliRunner().invoke(app, ["agreement", "revoke", str(file), "--key", str(key), "--reason", reason])
    assert done.exit_code == 0, done.output


def entries(made: Alliance, name: str, origin: str = "") -> list[Entry]:
    store = open_store(made.directory / name / "state.db")
    leaves = store.leaves(origin or ("hub" if name == "hub" else f"site/{name}"))
    found = [decode_entry(leaf) for leaf in leaves.read(0, leaves.size())]
    store.close()
    return found


def until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def in_mid_study(ada: Researcher) -> str:
    run = ada.submit(study(analyses=MANY), 1, now())
    until(lambda: ada.client.status(run).get("rounds", 0) >= 5)
    return run


def test_revoked_in_mid_study_every_site_stops_within_one_round_and_nothing_brings_it_back(
    fleet: Fleet, tmp_path: Path
) -> None:
    made = alliance(tmp_path)
    start(fleet, made)
    ada = connect(made.config("ada"), os.environ, now)
    with ada.client as client:
        run = in_mid_study(ada)
        fleet.signal("oxford", signal.SIGSTOP)  # holds a round open, so that the revocation comes in the middle of it
        opened = client.status(run)["rounds"]
        revoke(made, "leeds", "leeds")
        last = follow(client, run)
        fleet.signal("oxford", signal.SIGCONT)
        assert (last["state"], last["error"]["code"]) == ("refused", "E-REVOKED"), logs(tmp_path)
        assert "leeds revoked the agreement (keeper-leeds): consent was withdrawn" in last["error"]["message"]
        assert last["rounds"] - opened <= 1
        for site in SITES:
            assert fleet.await_event(site, "ended") == run
        with pytest.raises(Refused, match="E-REVOKED"):
            ada.submit(study(), 2, now())
        for name in NODES:
            until(lambda name=name: "revocation" in [e.event for e in entries(made, name)])
        for name in ("hub", "oxford"):  # a restart does not bring it back, nor does a site that lost its link
            fleet.stop(name)
            fleet.restart(name)
            fleet.await_event(name, "port" if name == "hub" else "joined")
        with pytest.raises(Refused, match="E-REVOKED"):
            ada.submit(study(), 3, now())
    for name in NODES:
        assert fleet.stop(name) == 0
    for name in NODES:
        found = entries(made, name)
        (revoked,) = [e for e in found if e.event == "revocation"]
        assert read_revocation(revoked.facts["envelope"], agreement_of(made)).party == "leeds"
        after = [e.event for e in found if e.sequence > revoked.sequence]
        assert "round" not in after, after
        assert "release" not in [e.event for e in found]


def test_a_hub_that_forwards_nothing_leaves_the_own_site_stopped(fleet: Fleet, tmp_path: Path) -> None:
    """The hub is frozen: Leeds ends its part by itself, and its secrets are erased before the hub moves again."""
    made = alliance(tmp_path)
    start(fleet, made)
    ada = connect(made.config("ada"), os.environ, now)
    run = in_mid_study(ada)
    fleet.signal("hub", signal.SIGSTOP)
    revoke(made, "leeds", "leeds")
    assert fleet.await_event("leeds", "ended") == run
    store = open_store(made.directory / "leeds" / "state.db")
    assert store.run(run).state == "failed"  # type: ignore[union-attr]
    assert [key for key, _ in store.journal(run).read()] == ["ended"]
    store.close()
    assert "revocation" in [e.event for e in entries(made, "leeds")]
    assert "revocation" not in [e.event for e in entries(made, "boston")]
    ada.client.close()
    for name in NODES:
        fleet.kill(name)


def test_a_forged_file_stops_nothing_and_is_written_down(fleet: Fleet, tmp_path: Path) -> None:
    """Ada signs in the name of Leeds' custodian; the twins of this test are the two above."""
    made = alliance(tmp_path)
    revoke(made, "leeds", "leeds")
    laid = beside(made.directory / "leeds" / "agreement.json")
    payload = base64.b64decode(json.loads(laid.read_text())["payload"])
    key = load_identity(made.directory / "ada" / "keys2").key
    laid.write_text(json.dumps(sign_envelope(PAYLOAD_TYPE, payload, [(key.public.hex(), key)])))
    start(fleet, made)
    ada = connect(made.config("ada"), os.environ, now)
    until(lambda: "refusal" in [e.event for e in entries(made, "leeds")])
    last = follow(ada.client, ada.submit(study(), 1, now()))
    assert last["state"] == "concluded", logs(tmp_path)
    ada.client.close()
    for name in NODES:
        fleet.stop(name)
        assert "revocation" not in [e.event for e in entries(made, name)]
    (entry,) = [e for e in entries(made, "leeds") if e.event == "refusal"]
    told = {"by": "a file", "what": "revocation", "code": "E-SIGNER", "rule": "GOV-13"}
    assert entry.facts == told | {"citation": next(r.citation for r in own_pack().rules if r.id == "GOV-13")}


def taken(made: Alliance, site: str) -> Any:
    return site_setup(made.config(site), {}, now, os.urandom)


def test_a_site_keeps_a_revocation_whose_file_is_gone(tmp_path: Path) -> None:
    made = alliance(tmp_path)
    revoke(made, "leeds", "boston")  # any party's custodian may, wherever the file lies
    setup = taken(made, "leeds")
    node = SiteNode(setup.means, setup.hub, setup.desk, lambda _: None)
    assert node._standing.look() is True
    setup.means.store.close()
    beside(made.directory / "leeds" / "agreement.json").unlink()
    again = taken(made, "leeds")
    again = taken(made, "leeds")
    with pytest.raises(Refused, match=r"E-REVOKED.*boston"):
        again.desk.desk.in_force(now())
    again.means.store.close()


def test_show_check_and_doctor_say_that_it_is_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = alliance(tmp_path)
    file = str(made.directory / "leeds" / "agreement.json")
    before = CliRunner().invoke(app, ["agreement", "check", file])
    assert "ok  consistent" in before.output
    assert "No site takes it" not in before.output
    revoke(made, "leeds", "leeds")
    after = CliRunner().invoke(app, ["agreement", "check", file])
    assert "No site takes it: leeds revoked the agreement (keeper-leeds): consent was withdrawn" in after.output
    told = json.loads(CliRunner().invoke(app, ["agreement", "check", file, "--json"]).output)["refused"]
    assert (told["code"], "rule DUO-07: DUO:0000025 TS" in told["hint"]) == ("E-REVOKED", True)
    shown = CliRunner().invoke(app, ["agreement", "show", file])
    assert "Revoked by leeds (keeper-leeds): consent was withdrawn" in shown.output
    monkeypatch.chdir(made.directory / "leeds")
    examined = CliRunner().invoke(app, ["doctor", "--json"])
    (found,) = [c for c in json.loads(examined.output)["checks"] if c["what"] == "agreement"]
    assert found["state"] == "failed"
    assert "E-REVOKED: leeds revoked it: consent was withdrawn" in found["note"]


def test_a_revocation_from_the_network_is_laid_beside_the_agreement_too(tmp_path: Path) -> None:
    """So that who looks at the file is not told that all is well: here on a hub that heard of it from a site."""
    made = alliance(tmp_path)
    revoke(made, "leeds", "leeds")
    envelope = json.loads(beside(made.directory / "leeds" / "agreement.json").read_text())
    file = made.directory / "hub" / "agreement.json"
    beside(file).write_text('{"not": "a revocation"}')
    setup = hub_setup(made.config("hub"), {}, now)
    setup.desk.desk.in_force(now())
    said = setup.desk.revocations.take(envelope, lambda _event, _facts: None)  # type: ignore[attr-defined]
    assert said is not None
    assert revocation_beside(file, agreement_of(made)) == said
    assert "No site takes it: leeds" in CliRunner().invoke(app, ["agreement", "check", str(file)]).output
    setup.means.store.close()


def test_a_new_version_that_every_party_signs_goes_on(tmp_path: Path) -> None:
    made = alliance(tmp_path)
    revoke(made, "leeds", "leeds")
    setup = taken(made, "leeds")
    assert SiteNode(setup.means, setup.hub, setup.desk, lambda _: None)._standing.look() is True
    setup.means.store.close()
    old = agreement_of(made)
    signed = unsigned(replace(old, version=2, previous=agreement_digest(old)))
    for keeper in made.custodians.values():
        signed = sign_agreement(signed, keeper.key, now())
    (made.directory / "leeds" / "agreement.json").write_text(json.dumps(plain(signed)))
    again = taken(made, "leeds")
    again.desk.desk.in_force(now())
    node = SiteNode(again.means, again.hub, again.desk, lambda _: None)
    assert node._standing.look() is False  # the file of version 1 lies there still, and is over another agreement
    again.means.store.close()
    assert "refusal" not in [e.event for e in entries(made, "leeds")]
