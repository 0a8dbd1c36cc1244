"""What must not get in by way of agreement, people, data, rules, clocks or hubs: refused, told why with the rule and its
citation, and written down. What concerns review (a study amended after approval, a reviewer who is the author) is in
the tests of review."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from test_egress_gate import OURS
from test_processes_agreed import CODEBOOK, SITES, Alliance, alliance, logs, now, study
from test_revocation import NODES, entries, until
from toy_fleet import follow, free_port, open_fleet

from isthmus.crypto.envelope import sign_envelope
from isthmus.federation.agreed import connect, hub_setup, request_for, site_setup
from isthmus.federation.control import Clock
from isthmus.federation.identity import Owner, load_identity, make_identity
from isthmus.federation.launch import Fleet
from isthmus.federation.site_node import SiteNode
from isthmus.governance.citations import cited
from isthmus.governance.duties import DataUse, Deidentification
from isthmus.governance.rulepack import own_pack
from isthmus.governance.signing import PAYLOAD_TYPE
from isthmus.model.canonical import canonical
from isthmus.model.errors import IsthmusError

RULES = {rule.id: rule for rule in own_pack().rules}


def told(error: IsthmusError, rule: str) -> None:
    """The error says which rule and where it stands."""
    assert rule in f"{error.where} {error.hint}", error.to_dict()
    assert RULES[rule].citation in error.hint, error.to_dict()


def recorded(made: Alliance, site: str = "leeds") -> list[Mapping[str, Any]]:
    """Entries of what was refused; each says which rule, and where it stands."""
    found = [e.facts for e in entries(made, site) if e.event in {"refusal", "decision"} and e.facts.get("code")]
    for facts in found:
        if facts.get("rule") in RULES:
            assert facts["citation"] == RULES[facts["rule"]].citation
    return found


# ---- an agreement that is not what every party signed


def edited(made: Alliance, change: Callable[[dict[str, Any]], None]) -> None:
    path = made.directory / "leeds" / "agreement.json"
    signed = json.loads(path.read_text())
    change(signed)
    path.write_text(json.dumps(signed))


def missing(_made: Alliance) -> Callable[[dict[str, Any]], None]:
    return lambda signed: signed["signatures"].pop()


def forged(_made: Alliance) -> Callable[[dict[str, Any]], None]:
    def change(signed: dict[str, Any]) -> None:
        (signature,) = signed["signatures"][1]["signatures"]
        raw = bytearray(base64.b64decode(signature["sig"]))
        raw[3] ^= 1
        signature["sig"] = base64.b64encode(bytes(raw)).decode()

    return change


def another_meaning(made: Alliance) -> Callable[[dict[str, Any]], None]:
    return resigned(made, meaning="has received this agreement")


def no_time(made: Alliance) -> Callable[[dict[str, Any]], None]:
    return resigned(made, time="banana")


def before_the_key(made: Alliance) -> Callable[[dict[str, Any]], None]:
    return resigned(made, time="2019-01-01T00:00:00+00:00")


def after_the_key(made: Alliance) -> Callable[[dict[str, Any]], None]:
    return resigned(made, time="2099-01-01T00:00:00+00:00")


def resigned(made: Alliance, **said_otherwise: str) -> Callable[[dict[str, Any]], None]:
    def change(signed: dict[str, Any]) -> None:
        said = json.loads(base64.b64decode(signed["signatures"][0]["payload"]))
        said["predicate"] |= said_otherwise
        key = made.custodians[said["predicate"]["party"]].key
        signed["signatures"][0] = sign_envelope(PAYLOAD_TYPE, canonical(said), [(key.public.hex(), key)])

    return change


def another_character(_made: Alliance) -> Callable[[dict[str, Any]], None]:
    def change(signed: dict[str, Any]) -> None:
        signed["agreement"]["title"] += "."

    return change


def stranger(made: Alliance) -> Callable[[dict[str, Any]], None]:
    who = make_identity(made.directory / "x", Owner(role="custodian", name="x", party="leeds", country="GB"), now())

    def change(signed: dict[str, Any]) -> None:
        payload = base64.b64decode(signed["signatures"][0]["payload"])
        signed["signatures"].append(sign_envelope(PAYLOAD_TYPE, payload, [(who.card.key, who.key)]))

    return change


@pytest.mark.parametrize(
    ("change", "code", "rule"),
    [
        (missing, "E-AGREEMENT-UNSIGNED", "GOV-01"),
        (forged, "E-SIGNATURE", "GOV-01"),
        (another_meaning, "E-SIGNATURE", "GOV-01"),
        (another_character, "E-SIGNATURE", "GOV-01"),
        (stranger, "E-SIGNER", "GOV-13"),
        (no_time, "E-SIGNATURE", "GOV-01"),
        (before_the_key, "E-CLOCK", "GOV-14"),
        (after_the_key, "E-CLOCK", "GOV-14"),
    ],
    ids=["missing", "forged", "meaning", "character", "stranger", "no time", "too early", "expired"],
)
def test_an_agreement_that_not_every_party_signed_as_it_stands(
    tmp_path: Path, change: Callable[[Alliance], Callable[[dict[str, Any]], None]], code: str, rule: str
) -> None:
    made = alliance(tmp_path)
    edited(made, change(made))
    refused_at_start(made, code, rule)


def refused_at_start(made: Alliance, code: str, rule: str) -> None:
    with pytest.raises(IsthmusError) as caught:
        site_setup(made.config("leeds"), {}, now, os.urandom)
    assert caught.value.code == code
    told(caught.value, rule)
    (entry,) = recorded(made)
    assert entry == {"what": "agreement", "code": code, "rule": rule, "citation": RULES[rule].citation}


def rekeyed(made: Alliance, owner: Owner) -> None:
    """A node of that name with other keys than its agreement names."""
    keys = made.directory / owner.name / "keys"
    shutil.rmtree(keys)
    make_identity(keys, owner, now())


def test_a_site_whose_key_is_not_in_the_roster(tmp_path: Path) -> None:
    made = alliance(tmp_path)
    rekeyed(made, Owner(role="site", name="leeds", party="leeds", country="GB"))
    refused_at_start(made, "E-KEY-PINNED", "GOV-01")


@pytest.mark.parametrize(
    "change", [{"requires": "a.parties.all(p, "}, {"requires": "a.version >= k.least"}], ids=["syntax", "constant"]
)
def test_a_rule_pack_that_cannot_be_used(tmp_path: Path, change: Mapping[str, str]) -> None:
    """A syntax error, or a constant that was taken away."""
    made = alliance(tmp_path)
    rule = {
        "id": "OURS-01", "gate": "agreement", "jurisdiction": "ours", "severity": "deny", "citation": "our committee",
        "why": "Ours.", "applies": "true", "fault": {"a.version": 0}, **change,
    }  # fmt: skip
    (made.directory / "leeds" / "ours.yaml").write_text(yaml.safe_dump({**OURS, "rules": [rule]}))
    path = made.config("leeds")
    path.write_text(path.read_text().replace("[dataset.trial]", 'rule_pack = "ours.yaml"\n[dataset.trial]'))
    refused_at_start(made, "E-PACK", "GOV-01")


# ---- a study that may not be asked


def declined(made: Alliance, clock: Clock = now, **asked: Any) -> IsthmusError:
    """What a site answers to an invitation; its ledger has it."""
    setup = site_setup(made.config("leeds"), {}, now, os.urandom)
    node = SiteNode(replace(setup.means, clock=clock), setup.hub, setup.desk, lambda _: None)
    key = load_identity(made.directory / "ada" / "keys2").key
    desk: Any = setup.desk
    found: list[IsthmusError] = []
    keep, node._declined = node._declined, lambda name, error, asked: (found.append(error), keep(name, error, asked))[1]  # type: ignore[method-assign]
    request = request_for(study(**asked), desk.agreement, 1, clock(), key)
    asyncio.run(node._invited({"run": "sha256:" + "0" * 64, "request": request}))
    node._worker.close()
    setup.means.store.close()
    (error,) = found
    return error


ONE_DISEASE = DataUse(permission="DUO:0000007", modifiers=(), until="2099-01-01", disease="MONDO:0005068")


def untrained(people: Any) -> Any:
    return {name: replace(standing, training_expires=None) for name, standing in people.items()}


@pytest.mark.parametrize(
    ("terms", "code", "rule"),
    [
        ({"law": {"people": untrained}}, "E-RULE", "GOV-03"),
        ({"custody": {"duo": ONE_DISEASE}}, "E-RULE", "DUO-01"),
        ({"variables": ("arm", "died")}, "E-VARIABLE", "US-HIP-08"),
    ],
    ids=["training", "duo", "column"],
)
def test_a_study_that_may_not_be_asked(tmp_path: Path, terms: Mapping[str, Any], code: str, rule: str) -> None:
    made = alliance(tmp_path, **terms)
    error = declined(made)
    assert error.code == code
    (entry,) = [e for e in recorded(made) if e.get("verdict") == "declined"]
    assert (entry["code"], entry["rule"]) == (code, rule)
    told(cited(error), rule)


def test_a_new_column_in_a_sites_codebook(tmp_path: Path) -> None:
    made = alliance(tmp_path)
    wider = {**CODEBOOK, "variables": {**CODEBOOK["variables"], "postcode": {"type": "category", "levels": ["LS1"]}}}  # type: ignore[dict-item]
    (tmp_path / "trial.yaml").write_text(yaml.safe_dump(wider))
    error = declined(made)
    assert error.code == "E-CODEBOOK"
    assert recorded(made)[-1]["rule"] == "US-HIP-08"


def test_a_site_says_at_its_start_that_its_codebook_is_not_the_agreed_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = alliance(tmp_path)
    site_setup(made.config("leeds"), {}, now, os.urandom).means.store.close()
    assert recorded(made) == []
    wider = {**CODEBOOK, "variables": {**CODEBOOK["variables"], "postcode": {"type": "category", "levels": ["LS1"]}}}  # type: ignore[dict-item]
    (tmp_path / "trial.yaml").write_text(yaml.safe_dump(wider))
    for _ in range(2):  # once a day
        site_setup(made.config("leeds"), {}, now, os.urandom).means.store.close()
    (entry,) = recorded(made)
    assert (entry["what"], entry["about"], entry["code"], entry["rule"]) == (
        "codebook",
        "trial",
        "E-CODEBOOK",
        "US-HIP-08",
    )
    assert "is not the agreed one" in caplog.text


def test_a_column_that_the_codebook_does_not_have_is_said_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = alliance(tmp_path)
    file = made.directory / "leeds" / "trial.parquet"
    rows = pq.read_table(file)
    pq.write_table(rows.append_column("postcode", pa.array(["LS1"] * rows.num_rows)), file)
    site_setup(made.config("leeds"), {}, now, os.urandom).means.store.close()
    assert "no study reads: postcode" in caplog.text


def test_a_second_hub_that_claims_the_agreement(tmp_path: Path) -> None:
    made = alliance(tmp_path)
    rekeyed(made, Owner(role="hub", name="hub", party="hub", country="GB"))
    for _ in range(2):  # entered once a day
        with pytest.raises(IsthmusError) as caught:
            hub_setup(made.config("hub"), {}, now)
        assert caught.value.code == "E-KEY-PINNED"
        told(caught.value, "GOV-01")
    (entry,) = recorded(made, "hub")
    assert (entry["what"], entry["by"], entry["rule"]) == ("agreement", "hub", "GOV-01")


def test_a_study_after_the_last_day(tmp_path: Path) -> None:
    made = alliance(tmp_path)
    error = declined(made, clock=lambda: now() + timedelta(days=60))
    assert error.code == "E-EXPIRED"
    assert recorded(made)[-1]["rule"] == "DUO-07"


# ---- between processes


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with open_fleet() as started:
        yield started


def begin(fleet: Fleet, made: Alliance, name: str) -> None:
    role = "hub" if name == "hub" else "site"
    fleet.start(name, f"law_nodes:{role}", made.directory / name, {"config": str(made.config(name))})


def test_a_clock_that_disagrees_keeps_a_site_out_and_its_ledger_says_so(fleet: Fleet, tmp_path: Path) -> None:
    made = alliance(tmp_path)
    (tmp_path / "leeds" / "clock").write_text("0 30")
    for name in NODES:
        begin(fleet, made, name)
        fleet.await_event(name, "port" if name == "hub" else "started" if name == "leeds" else "joined")
    clocks = {"by": "hub", "code": "E-CLOCK", "rule": "GOV-14", "citation": RULES["GOV-14"].citation}
    until(lambda: clocks in [e.facts for e in entries(made, "leeds")])
    ada = connect(made.config("ada"), os.environ, now)
    run = ada.submit(study(), 1, now())
    assert ada.client.status(run)["sites"]["leeds"]["state"] != "answered"
    (tmp_path / "leeds" / "clock").write_text("0")  # the twin: set right, it joins, and the study runs
    assert follow(ada.client, run)["state"] == "concluded", logs(tmp_path)
    ada.client.close()
    for name in NODES:
        fleet.stop(name)


def test_a_second_hub_with_copied_keys_is_not_believed(fleet: Fleet, tmp_path: Path) -> None:
    """The same keys and agreement, another ledger: sites hold what they cosigned against it, and no sum is opened."""
    made = alliance(tmp_path)
    assert one_study(fleet, made, "hub", 1)["state"] == "concluded", logs(tmp_path)
    take_over(made)
    last = one_study(fleet, made, "second", 2)
    assert last["state"] != "concluded", logs(tmp_path)
    assert last["error"]["code"] in {"E-LEDGER", "E-ROLLBACK"}
    assert RULES["GOV-14"].citation in last["error"]["hint"]
    accused = [facts for site in SITES for facts in recorded(made, site) if "verdict" not in facts]
    assert {"E-LEDGER", "E-ROLLBACK"} & {facts["code"] for facts in accused}
    for site in SITES:
        released = [e for e in entries(made, site) if e.event == "release"]
        assert len(released) == 1


def one_study(fleet: Fleet, made: Alliance, hub: str, number: int) -> dict[str, Any]:
    fleet.start(hub, "law_nodes:hub", made.directory / hub, {"config": str(made.config(hub))})
    fleet.await_event(hub, "port")
    for name in SITES:
        begin(fleet, made, name)
    for name in SITES:
        fleet.await_event(name, "joined")
    ada = connect(made.config("ada"), os.environ, now)
    with ada.client as client:
        last = follow(client, ada.submit(study(), number, now()))
    for name in (*SITES, hub):
        fleet.stop(name)
    return last


def take_over(made: Alliance) -> None:
    """A second hub with the first one's keys and agreement, to which everyone's configuration now points."""
    shutil.copytree(made.directory / "hub" / "keys", made.directory / "second" / "keys")
    for file in ("isthmus.toml", "agreement.json"):
        shutil.copy(made.directory / "hub" / file, made.directory / "second" / file)
    address = f"127.0.0.1:{free_port()}"
    for name in ("second", *SITES, "ada"):
        path = made.config(name)
        path.write_text(path.read_text().replace(made.hub, address))


# ---- rows that are not what their party calls them


def test_rows_with_an_identifier_are_not_served_and_only_the_site_knows_why(tmp_path: Path) -> None:
    claim = {
        "identifiability": "hipaa_safe_harbor",
        "hipaa_path": "deidentified",
        "deidentification": Deidentification(),
    }
    made = alliance(tmp_path, custody=claim)
    site_setup(made.config("boston"), {}, now, os.urandom).means.store.close()  # the twin: it serves
    file = tmp_path / "boston" / "trial.parquet"
    rows = pq.read_table(file)
    pq.write_table(rows.set_column(2, "arm", pa.array(["943 476 5919", *rows["arm"].to_pylist()[1:]])), file)
    before = len(entries(made, "boston"))
    with pytest.raises(IsthmusError) as caught:
        site_setup(made.config("boston"), {}, now, os.urandom)
    assert caught.value.code == "E-IDENTIFIERS"
    told(caught.value, "US-HIP-02")
    assert "943" not in str(caught.value)
    assert len(entries(made, "boston")) == before  # the head of this one is shown to others
    (entry,) = entries(made, "boston", "site/boston/private")
    citation = RULES["US-HIP-02"].citation
    assert entry.facts == {"what": "rows", "code": "E-IDENTIFIERS", "rule": "US-HIP-02", "citation": citation}


# ---- an agreement that does not say which rules decide


def test_no_study_runs_where_the_parties_did_not_say_which_rules_decide(tmp_path: Path) -> None:
    made = alliance(tmp_path, pinned=False)
    error = declined(made)
    assert error.code == "E-RULE"
    (entry,) = [e for e in recorded(made) if e.get("verdict") == "declined"]
    assert entry["rule"] == "GOV-09"
    told(cited(error), "GOV-09")
