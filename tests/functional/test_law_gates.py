"""A site takes no agreement and admits no study that the rules of law stop, and its ledger says which rule and which pack."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from identity_tokens import BROKER, GRANTS, jwks, key_of, passport, seconds, visa
from test_processes_agreed import SITES, Alliance, alliance, follow, logs, now, study

from isthmus.federation.agreed import connect, hub_setup, request_for, site_setup, unsigned_request
from isthmus.federation.border import read_register
from isthmus.federation.identity import load_identity
from isthmus.federation.launch import Fleet
from isthmus.federation.node import Ledger
from isthmus.federation.store import open_store
from isthmus.governance.admission import sign_request
from isthmus.governance.duties import Judgement
from isthmus.governance.identities import Login, PassportIssuer
from isthmus.governance.rulepack import own_pack, pack_digest
from isthmus.governance.signing import claims, read_signed
from isthmus.governance.verdicts import RuleRefused
from isthmus.ledger.entries import decode_entry
from isthmus.model.canonical import canonical, plain
from isthmus.model.errors import Untrusted
from isthmus.sdk.bundle import verify

Change = Callable[[Any], Any]


def decisions(made: Alliance, site: str) -> list[Mapping[str, Any]]:
    store = open_store(made.directory / site / "state.db")
    leaves = store.leaves(f"site/{site}")
    found = [decode_entry(leaf) for leaf in leaves.read(0, leaves.size())]
    store.close()
    return [entry.facts for entry in found if entry.event == "decision"]


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, Change], Alliance]:
    """An alliance whose agreement differs in one part of its duties, people or parties."""

    def make(part: str, change: Change) -> Alliance:
        return alliance(tmp_path, law={part: change})

    return make


def taken(made: Alliance) -> Any:
    return site_setup_of(made, now)


# ---- the agreement gate


def test_an_agreement_that_the_rules_stop_is_not_taken_and_the_ledger_says_why(changed: Any) -> None:
    made = changed(
        "duties",
        lambda d: replace(d, flows=tuple(replace(f, personal=True, mechanism="not_restricted") for f in d.flows)),
    )
    with pytest.raises(RuleRefused) as caught:
        taken(made)
    assert (caught.value.code, caught.value.where) == ("E-RULE", "XB-01")
    assert "UK GDPR Art 44A" in caught.value.hint
    (entry,) = decisions(made, "leeds")
    assert (entry["verdict"], entry["pack"]) == ("declined", pack_digest(own_pack()))
    assert "XB-01" in entry["rules"]["fail"]
    store = open_store(made.directory / "leeds" / "state.db")
    assert store.fact("agreement") is None
    store.close()


def test_an_agreement_that_states_nothing_for_the_law_is_not_taken(tmp_path: Path) -> None:
    made = alliance(tmp_path, law={"duties": None, "people": None, "parties": None})
    with pytest.raises(RuleRefused) as caught:
        taken(made)
    assert caught.value.code == "E-RULE"
    assert "cannot be decided" in caught.value.message


def test_what_needs_a_person_is_taken_once_a_custodian_decided(changed: Any) -> None:
    def bare(duties: Any) -> Any:
        flows = (replace(duties.flows[0], personal=True, mechanism="art49"), duties.flows[1])
        return replace(duties, flows=flows)

    made = changed("duties", bare)
    with pytest.raises(RuleRefused) as caught:
        taken(made)
    assert (caught.value.code, caught.value.where) == ("E-HUMAN", "XB-07")


def test_a_judgement_of_a_day_to_come_keeps_the_site_from_taking_it(changed: Any) -> None:
    said = Judgement(rule="XB-07", person="keeper-leeds", reason="one transfer, once", date="2099-01-01")
    made = changed("duties", lambda duties: replace(duties, judgements=(said,)))
    with pytest.raises(RuleRefused) as caught:
        taken(made)
    assert (caught.value.code, caught.value.where) == ("E-RULE", "GOV-10")


def test_a_custodians_judgement_stands_in_the_ledger(changed: Any) -> None:
    said = Judgement(rule="XB-07", person="keeper-leeds", reason="one transfer, once", date="2026-11-01")

    def judged(duties: Any) -> Any:
        flows = (replace(duties.flows[0], personal=True, mechanism="art49"), duties.flows[1])
        return replace(duties, flows=flows, judgements=(said,))

    made = changed("duties", judged)
    taken(made).means.store.close()
    taken(made).means.store.close()  # a restart decides again and adds no entry
    (entry,) = decisions(made, "leeds")
    assert entry["verdict"] == "admitted"
    assert entry["judged"] == {"XB-07": "keeper-leeds, 2026-11-01: one transfer, once"}


def test_the_signatures_stand_in_the_ledgers_of_hub_and_site(tmp_path: Path) -> None:
    """Each with the time it claims; a time in the future, beyond what two clocks may differ by, is not taken."""
    made = alliance(tmp_path)
    setups = {"hub": hub_setup(made.config("hub"), {}, now), "site/leeds": taken(made)}
    signed = read_signed((made.directory / "hub" / "agreement.json").read_text())
    for log, setup in setups.items():
        leaves = setup.means.store.leaves(log)
        (entry,) = (decode_entry(leaf) for leaf in leaves.read(0, leaves.size()) if b"signatures" in leaf)
        setup.means.store.close()
        assert [(s["by"], s["time"], s["envelope"]) for s in entry.facts["signatures"]] == [
            (c.person, c.time, c.envelope) for c in claims(signed)
        ]
        assert len(entry.facts["signatures"]) == len(signed.agreement.parties)
    for setup_of in (lambda clock: hub_setup(made.config("hub"), {}, clock), partial(site_setup_of, made)):
        with pytest.raises(Untrusted) as caught:
            setup_of(lambda: now() - timedelta(hours=1))
        assert caught.value.code == "E-CLOCK"
        assert "in the future" in caught.value.message
    hub_setup(made.config("hub"), {}, now).means.store.close()
    store = open_store(made.directory / "hub" / "state.db")
    assert store.leaves("hub").size() == 2  # the refusal too; a restart enters nothing again
    store.close()


def site_setup_of(made: Alliance, clock: Callable[[], Any]) -> Any:
    return site_setup(made.config("leeds"), {}, clock, os.urandom)


def test_the_pack_that_the_agreement_names_is_the_pack_that_is_used(changed: Any) -> None:
    made = changed("duties", lambda d: replace(d, rule_pack="sha256:" + "b" * 64))
    with pytest.raises(Untrusted) as caught:
        taken(made)
    assert caught.value.code == "E-PACK"


def test_a_consortiums_own_rules_stop_too(tmp_path: Path) -> None:
    made = alliance(tmp_path)
    (made.directory / "leeds" / "ours.yaml").write_text("""isthmus: rule-pack/1
id: urn:ours
version: 1
date: "2026-11-25"
title: Ours
constants: {}
rules:
  - id: OURS-01
    gate: agreement
    jurisdiction: ours
    severity: deny
    citation: our committee
    why: Eleven is not enough for us.
    applies: "true"
    requires: a.disclosure.minimum_count >= 20
    fault: {a.disclosure.minimum_count: 11}
""")
    path = made.config("leeds")
    path.write_text(path.read_text().replace("[dataset.trial]", 'rule_pack = "ours.yaml"\n[dataset.trial]'))
    with pytest.raises(RuleRefused) as caught:
        taken(made)
    assert caught.value.where == "OURS-01"


# ---- the run gate


def admitted(made: Alliance, passport: str | None = None, **asked: Any) -> Any:
    setup = taken(made)
    key = load_identity(made.directory / "ada" / "keys2").key
    desk: Any = setup.desk
    try:
        request = replace(unsigned_request(study(**asked), desk.agreement, 1, now()), passport=passport)
        return desk.admit(sign_request(request, key), now(), lambda *_: None)
    finally:
        setup.means.store.close()


def test_an_admitted_study_brings_its_verdicts(tmp_path: Path) -> None:
    seat = admitted(alliance(tmp_path))
    assert (seat.decision["gate"], seat.decision["pack"]) == ("run", pack_digest(own_pack()))
    assert set(seat.decision["rules"]) == {"pass", "n/a"}
    assert sum(len(rules) for rules in seat.decision["rules"].values()) == len(own_pack().at("run"))


@pytest.mark.parametrize(
    ("part", "change", "rule"),
    [
        ("people", lambda p: {n: replace(s, training_expires="2026-01-01") for n, s in p.items()}, "GOV-03"),
        ("people", lambda p: {n: replace(s, country="CN") for n, s in p.items()}, "XB-11"),  # results would go there
        ("people", lambda p: {n: replace(s, covered_person=None) for n, s in p.items()}, "US-DSP-01"),
        ("duties", lambda d: replace(d, flows=d.flows[:1]), "XB-10"),
        ("duties", lambda d: replace(d, approvals=()), "GOV-02"),
        ("duties", lambda d: replace(d, facilities=tuple(replace(f, controls=None) for f in d.facilities)), "GOV-05"),
    ],
)
def test_a_study_that_the_rules_stop_is_not_admitted(changed: Any, part: str, change: Change, rule: str) -> None:
    with pytest.raises(RuleRefused) as caught:
        admitted(changed(part, change))
    assert rule in [*caught.value.record["rules"].get("fail", ()), *caught.value.record["rules"].get("unknown", ())]
    assert caught.value.code == "E-RULE"


def test_a_purpose_that_the_agreement_does_not_name_is_not_admitted(tmp_path: Path) -> None:
    with pytest.raises(RuleRefused) as caught:
        admitted(alliance(tmp_path), purpose={"duo": "DUO:0000011", "text": "ancestry"})
    assert "GOV-04" in caught.value.record["rules"]["fail"]


# ---- processes


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet() as started:
        yield started


def test_between_processes_the_asker_is_told_the_rule_and_every_ledger_has_it(fleet: Fleet, changed: Any) -> None:
    yesterday = str(now().date() - timedelta(days=1))
    made = changed("people", lambda p: {n: replace(s, training_expires=yesterday) for n, s in p.items()})
    fleet.start("hub", "isthmus.federation.hub_node:node", made.directory / "hub", {"config": str(made.config("hub"))})
    fleet.await_event("hub", "port")
    for site in SITES:
        where = {"config": str(made.config(site))}
        fleet.start(site, "isthmus.federation.site_node:node", made.directory / site, where)
    for site in SITES:
        fleet.await_event(site, "joined")
    ada = connect(made.config("ada"), os.environ, now)
    with ada.client as client:
        last = follow(client, ada.submit(study(), 1, now()))
    assert last["state"] != "concluded", logs(made.directory)
    assert (last["error"]["code"], last["error"]["where"]) == ("E-RULE", "GOV-03")
    for name in (*SITES, "hub"):
        assert fleet.stop(name) == 0
    entries = [entry for entry in decisions(made, "leeds") if entry.get("run") == last["run"]]
    assert [(e["verdict"], e["code"], e["pack"]) for e in entries] == [("declined", "E-RULE", pack_digest(own_pack()))]
    assert "GOV-03" in entries[0]["rules"]["fail"]
    store = open_store(made.directory / "boston" / "state.db")  # that it declined crossed the border too
    register = read_register(store, Ledger(store, "site/boston", now).log.entries())
    store.close()
    (row,) = [row for row in register.rows if row["message"] == "decline"]
    assert (row["run"], row["study"], row["statistics"]) == (last["run"], last["study"], ["decision"])
    assert (row["from_country"], row["to_country"], row["flow"]) == ("US", "GB", "sums-to-hub")
    assert register.sealed == len(register.rows)


# ---- visas of a passport as facts


def pinning(duties: Any) -> Any:
    issuers = tuple(PassportIssuer(issuer=i, keys=jwks(key_of(i))) for i in (BROKER, GRANTS))
    return replace(duties, passport_issuers=issuers)


@pytest.fixture
def demanding(tmp_path: Path) -> Alliance:
    """Leeds demands the grant of docs/reference/identity.md; Ada is known at two issuers."""
    logins = tuple(Login(issuer=i, subject="ada-1") for i in (BROKER, GRANTS))
    made = alliance(tmp_path, law={"duties": pinning, "logins": {"ada": logins}})
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "identity.md"
    rule = re.search(r"```yaml\n(isthmus: rule-pack/1.*?)```", page.read_text(), re.DOTALL)
    assert rule is not None
    (made.directory / "leeds" / "ours.yaml").write_text(rule[1])
    path = made.config("leeds")
    path.write_text(path.read_text().replace("[dataset.trial]", 'rule_pack = "ours.yaml"\n[dataset.trial]'))
    return made


def grant(**changed: Any) -> str:
    value = {"value": "https://grants.example.org/datasets/trial"}
    return visa(**{"at": now(), "body": value, **changed})


def test_a_site_admits_the_study_of_who_shows_the_grant(demanding: Alliance) -> None:
    seat = admitted(demanding, passport=passport(grant(), at=now()))
    assert "OURS-VISA-01" in seat.decision["rules"]["pass"]


@pytest.mark.parametrize(
    "made",
    [
        lambda: None,
        lambda: passport(at=now()),
        lambda: passport(grant(exp=seconds(now(), -3600)), at=now()),
        lambda: passport(grant(subject="grace-1"), at=now()),
        lambda: passport(grant(issuer="https://evil.example.org"), at=now()),
    ],
)
def test_without_a_grant_that_counts_the_rule_says_no(demanding: Alliance, made: Callable[[], str | None]) -> None:
    with pytest.raises(RuleRefused) as caught:
        admitted(demanding, passport=made())
    assert caught.value.where == "OURS-VISA-01"


def test_a_passport_of_someone_else_is_no_passport(demanding: Alliance) -> None:
    with pytest.raises(Untrusted) as caught:
        admitted(demanding, passport=passport(grant(), at=now(), sub="grace-1"))
    assert caught.value.code == "E-PASSPORT"


def test_a_passport_cannot_be_slipped_under_a_signed_request(demanding: Alliance) -> None:
    setup = taken(demanding)
    key = load_identity(demanding.directory / "ada" / "keys2").key
    desk: Any = setup.desk
    envelope = request_for(study(), desk.agreement, 1, now(), key)
    body = json.loads(base64.b64decode(envelope["payload"]))
    body["passport"] = passport(grant(), at=now())
    with pytest.raises(Untrusted, match="E-SIGNATURE"):
        desk.admit({**envelope, "payload": base64.b64encode(canonical(body)).decode()}, now(), lambda *_: None)
    setup.means.store.close()


def test_between_processes_a_passport_opens_the_way_and_the_bundle_verifies(fleet: Fleet, demanding: Alliance) -> None:
    for name, node in (("hub", "hub_node"), *((site, "site_node") for site in SITES)):
        where = {"config": str(demanding.config(name))}
        fleet.start(name, f"isthmus.federation.{node}:node", demanding.directory / name, where)
        fleet.await_event(name, "port" if name == "hub" else "joined")
    home = demanding.directory / "ada"
    (home / "study.json").write_text(json.dumps(plain(study())))
    (home / "passport.jwt").write_text(passport(grant(), grant(subject="grace-1"), at=now()) + "\n")
    (home / "stolen.jwt").write_text(passport(grant(), at=now(), sub="grace-1"))
    submit = [sys.executable, "-m", "isthmus.cli", "study", "submit", "study.json", "--passport"]
    stolen = subprocess.run([*submit, "stolen.jwt"], cwd=home, capture_output=True, text=True, check=False)
    assert (stolen.returncode, "E-PASSPORT" in stolen.stderr) == (8, True)  # said before anything is sent
    done = subprocess.run([*submit, "passport.jwt"], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "visa: ControlledAccessGrants https://grants.example.org/datasets/trial, by dac" in done.stderr
    assert "does not count: visa 2: it is someone else's" in done.stderr
    ada = connect(demanding.config("ada"), os.environ, now)
    with ada.client as client:
        run = client.runs()[0]["run"]
        assert follow(client, run)["state"] == "concluded", logs(demanding.directory)
        assert verify(client.bundle(run))["run"] == run
    for name in (*SITES, "hub"):
        assert fleet.stop(name) == 0
    (entry,) = [e for e in decisions(demanding, "leeds") if e.get("run") == run and e["gate"] == "run"]
    assert "OURS-VISA-01" in entry["rules"]["pass"]
