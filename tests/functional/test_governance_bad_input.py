"""What must not get in by way of agreement, people, data, rules, clocks or hubs: refused, told why with the rule and its
citation, and written down."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from review_fleet import STUDIES, agreement_of, reviewed
from test_egress_gate import OURS
from test_processes_agreed import CODEBOOK, SITES, Alliance, alliance, logs, now, study
from test_revocation import NODES, entries, until
from toy_fleet import follow, free_port, open_fleet

from isthmus.crypto.envelope import sign_envelope
from isthmus.federation.agreed import connect, hub_setup, request_for, site_setup
from isthmus.federation.control import Clock
from isthmus.federation.hub import HubNode
from isthmus.federation.identity import Owner, load_identity, make_identity
from isthmus.federation.launch import Fleet
from isthmus.federation.link import Ended
from isthmus.federation.site_node import SiteNode
from isthmus.federation.site_review import case_of
from isthmus.governance.agreement import Agreement
from isthmus.governance.approval import make_approval, sign_approval
from isthmus.governance.citations import cited
from isthmus.governance.duties import DataUse, Deidentification
from isthmus.governance.rulepack import own_pack
from isthmus.governance.signing import PAYLOAD_TYPE
from isthmus.model.canonical import canonical
from isthmus.model.errors import IsthmusError, Refused, Unavailable, Untrusted
from isthmus.model.study import study_digest

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


# ---- the list of the issue: what is handed in, and what is said of it


def at_site(made: Alliance) -> IsthmusError:
    with pytest.raises(IsthmusError) as caught:
        site_setup(made.config("leeds"), {}, now, os.urandom)
    return caught.value


def at_hub(made: Alliance) -> IsthmusError:
    with pytest.raises(IsthmusError) as caught:
        hub_setup(made.config("hub"), {}, now)
    return caught.value


Signed = dict[str, Any]


def missing(_made: Alliance, signed: Signed) -> None:
    signed["signatures"].pop()


def forged(_made: Alliance, signed: Signed) -> None:
    (signature,) = signed["signatures"][1]["signatures"]
    raw = bytearray(base64.b64decode(signature["sig"]))
    raw[3] ^= 1
    signature["sig"] = base64.b64encode(bytes(raw)).decode()


def another_meaning(made: Alliance, signed: Signed) -> None:
    resigned(made, signed, meaning="has received this agreement")


def no_time(made: Alliance, signed: Signed) -> None:
    resigned(made, signed, time="banana")


def before_the_key(made: Alliance, signed: Signed) -> None:
    resigned(made, signed, time="2019-01-01T00:00:00+00:00")


def after_the_key(made: Alliance, signed: Signed) -> None:
    resigned(made, signed, time="2099-01-01T00:00:00+00:00")


def resigned(made: Alliance, signed: Signed, **said_otherwise: str) -> None:
    said = json.loads(base64.b64decode(signed["signatures"][0]["payload"]))
    said["predicate"] |= said_otherwise
    key = made.custodians[said["predicate"]["party"]].key
    signed["signatures"][0] = sign_envelope(PAYLOAD_TYPE, canonical(said), [(key.public.hex(), key)])


def another_character(_made: Alliance, signed: Signed) -> None:
    signed["agreement"]["title"] += "."


def stranger(made: Alliance, signed: Signed) -> None:
    who = make_identity(made.directory / "x", Owner(role="custodian", name="x", party="leeds", country="GB"), now())
    payload = base64.b64decode(signed["signatures"][0]["payload"])
    signed["signatures"].append(sign_envelope(PAYLOAD_TYPE, payload, [(who.card.key, who.key)]))


def agreement(node: str, change: Callable[[Alliance, Signed], None]) -> Callable[[Path], IsthmusError]:
    """A node starts on an agreement that was changed after it was signed."""

    def start(folder: Path) -> IsthmusError:
        made, file = alliance(folder), folder / node / "agreement.json"
        signed = json.loads(file.read_text())
        change(made, signed)
        file.write_text(json.dumps(signed))
        return at_hub(made) if node == "hub" else at_site(made)

    return start


def rekeyed(name: str) -> Callable[[Path], IsthmusError]:
    """A node of that name with other keys than its agreement names: of a hub, a second one that claims the agreement."""

    def start(folder: Path) -> IsthmusError:
        made, keys = alliance(folder), folder / name / "keys"
        shutil.rmtree(keys)
        role: Any = "hub" if name == "hub" else "site"
        make_identity(keys, Owner(role=role, name=name, party=name, country="GB"), now())
        return at_hub(made) if name == "hub" else at_site(made)

    return start


def pack(requires: str) -> Callable[[Path], IsthmusError]:
    """A site starts on a pack with this rule of the consortium's own."""

    def start(folder: Path) -> IsthmusError:
        made = alliance(folder)
        rule = {
            "id": "OURS-01", "gate": "agreement", "jurisdiction": "ours", "severity": "deny", "citation": "our committee",
            "why": "Ours.", "applies": "true", "fault": {"a.version": 0}, "requires": requires,
        }  # fmt: skip
        (folder / "leeds" / "ours.yaml").write_text(yaml.safe_dump({**OURS, "rules": [rule]}))
        path = made.config("leeds")
        path.write_text(path.read_text().replace("[dataset.trial]", 'rule_pack = "ours.yaml"\n[dataset.trial]'))
        return at_site(made)

    return start


def declined(made: Alliance, clock: Clock = now, times: int = 1, **asked: Any) -> IsthmusError:
    """What a site answers to an invitation; its ledger has it."""
    setup = site_setup(made.config("leeds"), {}, now, os.urandom)
    node = SiteNode(replace(setup.means, clock=clock), setup.hub, setup.desk, lambda _: None)
    key = load_identity(made.directory / "ada" / "keys2").key
    desk: Any = setup.desk
    found: list[IsthmusError] = []
    keep, node._declined = node._declined, lambda name, error, asked: (found.append(error), keep(name, error, asked))[1]  # type: ignore[method-assign]
    request = request_for(study(**asked), desk.agreement, 1, clock(), key)
    for _ in range(times):
        asyncio.run(node._invited({"run": "sha256:" + "0" * 64, "request": request}))
    node._worker.close()
    setup.means.store.close()
    return found[0]


def asked(clock: Clock = now, **terms: Any) -> Callable[[Path], IsthmusError]:
    """A site is invited under such terms; it is invited again, and enters it once."""
    return lambda folder: cited(declined(alliance(folder, **terms), clock, times=2))


def new_column(folder: Path) -> IsthmusError:
    made = alliance(folder)
    widened(folder)
    return cited(declined(made))


def widened(folder: Path) -> None:
    wider = {**CODEBOOK, "variables": {**CODEBOOK["variables"], "postcode": {"type": "category", "levels": ["LS1"]}}}  # type: ignore[dict-item]
    (folder / "trial.yaml").write_text(yaml.safe_dump(wider))


def untrained(people: Any) -> Any:
    return {name: replace(standing, training_expires=None) for name, standing in people.items()}


def keeper_too(drafted: Agreement) -> Agreement:
    """Ada, who asks, is a custodian of her party besides."""
    people = tuple(replace(p, roles=(*p.roles, "custodian")) if p.person == "ada" else p for p in drafted.people)
    return replace(drafted, people=people)


def decided(folder: Path, who: str, amended: Mapping[str, Any]) -> IsthmusError:
    """Somebody approves ada's study at the hub; where it is amended, after it was returned."""
    made = reviewed(folder, STUDIES, draft=keeper_too)
    setup = hub_setup(made.config("hub"), {}, now)
    node, agreed = HubNode(setup.means, setup.parties, setup.desk, lambda _: None), agreement_of(made)
    assert node.review is not None
    ada = load_identity(folder / "ada" / "keys2").key
    key = ada if who == "ada" else made.custodians["leeds"].key
    first = request_for(study(), agreed, 1, now(), ada)
    mine = next(p for p in agreed.people if p.person == who)
    approval = sign_approval(make_approval(case_of(first, agreed), "study", "accept", mine, (now(), "")), key)

    async def play() -> None:
        run = await node.submit("ada", first)
        if amended:
            setup.means.store.set_state(run, "returned", "{}")
            changed = study(**amended, amends=study_digest(study()))
            await node.submit("ada", request_for(changed, agreed, 1, now(), ada))
        await node.review.decided(setup.parties[who], approval)  # type: ignore[union-attr]

    with pytest.raises(IsthmusError) as caught:
        asyncio.run(play())
    node.worker.close()
    setup.means.store.close()
    return caught.value


ONE_DISEASE = DataUse(permission="DUO:0000007", modifiers=(), until="2099-01-01", disease="MONDO:0005068")
UNPINNED: Callable[[Agreement], Agreement] = lambda a: replace(a, duties=replace(a.duties, rule_pack=None))  # type: ignore[type-var]  # noqa: E731
AMENDED = {"title": "Does arm B save lives yet?", "reason": "clearer"}

# what is handed in: how, the code, the rule behind it, and whose ledger holds it
LIST: Mapping[str, tuple[Callable[[Path], IsthmusError], str, str, str]] = {
    "a missing signature": (agreement("leeds", missing), "E-AGREEMENT-UNSIGNED", "GOV-01", "leeds"),
    "a missing signature, hub": (agreement("hub", missing), "E-AGREEMENT-UNSIGNED", "GOV-01", "hub"),
    "a forged signature": (agreement("leeds", forged), "E-SIGNATURE", "GOV-01", "leeds"),
    "a forged signature, hub": (agreement("hub", forged), "E-SIGNATURE", "GOV-01", "hub"),
    "a signature of another meaning": (agreement("leeds", another_meaning), "E-SIGNATURE", "GOV-01", "leeds"),
    "a signature of another meaning, hub": (agreement("hub", another_meaning), "E-SIGNATURE", "GOV-01", "hub"),
    "a signature without a time": (agreement("leeds", no_time), "E-SIGNATURE", "GOV-01", "leeds"),
    "a signature before its key": (agreement("leeds", before_the_key), "E-CLOCK", "GOV-14", "leeds"),
    "an expired signature": (agreement("leeds", after_the_key), "E-CLOCK", "GOV-14", "leeds"),
    "an expired signature, hub": (agreement("hub", after_the_key), "E-CLOCK", "GOV-14", "hub"),
    "a changed character": (agreement("leeds", another_character), "E-SIGNATURE", "GOV-01", "leeds"),
    "a changed character, hub": (agreement("hub", another_character), "E-SIGNATURE", "GOV-01", "hub"),
    "a stranger's signature": (agreement("leeds", stranger), "E-SIGNER", "GOV-13", "leeds"),
    "a key not in the roster": (rekeyed("leeds"), "E-KEY-PINNED", "GOV-01", "leeds"),
    "two hubs that claim one agreement": (rekeyed("hub"), "E-KEY-PINNED", "GOV-01", "hub"),
    "a person without training": (asked(law={"people": untrained}), "E-RULE", "GOV-03", "leeds"),
    "a purpose outside DUO terms": (asked(custody={"duo": ONE_DISEASE}), "E-RULE", "DUO-01", "leeds"),
    "a column that is not agreed": (asked(variables=("arm", "died")), "E-VARIABLE", "US-HIP-08", "leeds"),
    "a new dataset column": (new_column, "E-CODEBOOK", "US-HIP-08", "leeds"),
    "a study after the last day": (asked(lambda: now() + timedelta(days=60)), "E-EXPIRED", "DUO-07", "leeds"),
    "a pack with a syntax error": (pack("a.parties.all(p, "), "E-PACK", "GOV-01", "leeds"),
    "a pack without a constant": (pack("a.version >= k.least"), "E-PACK", "GOV-01", "leeds"),
    "no pack at all": (asked(draft=UNPINNED), "E-RULE", "GOV-09", "leeds"),
    "a reviewer who is the author": (lambda f: decided(f, "ada", {}), "E-SELF", "GOV-02", "hub"),
    "a study approved and then amended": (lambda f: decided(f, "keeper-leeds", AMENDED), "E-STATE", "GOV-04", "hub"),
}


@pytest.mark.parametrize("what", LIST)
def test_what_must_not_get_in_is_refused_with_its_rule_and_entered(tmp_path: Path, what: str) -> None:
    play, code, rule, node = LIST[what]
    error = play(tmp_path)
    assert error.code == code
    told(error, rule)
    entered = recorded(Alliance(tmp_path, "", {}), node)
    assert {(e["code"], e["rule"], e["citation"]) for e in entered} == {(code, rule, RULES[rule].citation)}
    assert len({canonical(e) for e in entered}) == len(entered)


def test_a_node_that_is_started_again_and_again_enters_once_a_day_why_it_is_not(tmp_path: Path) -> None:
    play, code, _, _ = LIST["a missing signature"]
    play(tmp_path)
    made = Alliance(tmp_path, "", {})
    for _ in range(3):
        assert at_site(made).code == code
    assert len(recorded(made)) == 1


def test_a_site_says_at_its_start_that_its_codebook_is_not_the_agreed_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = alliance(tmp_path)
    site_setup(made.config("leeds"), {}, now, os.urandom).means.store.close()
    assert recorded(made) == []
    widened(tmp_path)
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


def test_a_stream_that_ends_for_a_reason_is_entered_by_the_site_once_a_day(tmp_path: Path) -> None:
    """Not one that was lost."""
    made = alliance(tmp_path)
    setup = site_setup(made.config("leeds"), {}, now, os.urandom)
    node = SiteNode(setup.means, setup.hub, setup.desk, lambda _: None)

    async def play() -> None:
        for error in (Refused("E-EXPIRED", "over"), Unavailable("E-UNREACHABLE", "gone")) * 2:
            await node.left(Ended("error", error))

    asyncio.run(play())
    node._worker.close()
    setup.means.store.close()
    assert recorded(made) == [
        {"by": "hub", "code": "E-EXPIRED", "rule": "DUO-07", "citation": RULES["DUO-07"].citation}
    ]


def test_a_stream_that_the_hub_turns_away_is_entered_once_a_day(tmp_path: Path) -> None:
    made = alliance(tmp_path)
    setup = hub_setup(made.config("hub"), {}, now)
    node = HubNode(setup.means, setup.parties, setup.desk, lambda _: None)

    async def play() -> None:
        for _ in range(2):
            node.turned_away("leeds", "site", Untrusted("E-AGREEMENT-VERSION", "another version"))
            node.turned_away("leeds", "site", Unavailable("E-UNREACHABLE", "it hung up"))
            await asyncio.gather(*node._tasks)

    asyncio.run(play())
    node.worker.close()
    setup.means.store.close()
    citation = RULES["GOV-01"].citation
    (entry,) = recorded(made, "hub")
    assert entry == {
        "by": "leeds",
        "what": "stream",
        "code": "E-AGREEMENT-VERSION",
        "rule": "GOV-01",
        "citation": citation,
    }


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


def test_a_hub_without_the_agreed_certificate_is_entered_by_who_dialled_it(fleet: Fleet, tmp_path: Path) -> None:
    """What answers at the hub's address is not the hub: the site's ledger and log say so, with the rule; a person is told."""
    made = alliance(tmp_path)
    make_identity(tmp_path / "x", Owner(role="hub", name="hub", party="hub", country="GB"), now())
    with answering(made.hub, tmp_path / "x"):
        fleet.start("leeds", "law_nodes:site", tmp_path / "leeds", {"config": str(made.config("leeds"))})
        until(lambda: bool(recorded(made)))
        ada = connect(made.config("ada"), os.environ, now)
        with pytest.raises(Untrusted) as caught, ada.client as client:
            client.runs()
        assert caught.value.code == "E-TLS"
        until(lambda: "E-TLS" in logs(tmp_path))
    begin(fleet, made, "hub")  # the twin: the agreed one, at the same place
    fleet.await_event("hub", "port")
    fleet.await_event("leeds", "joined")
    for name in ("leeds", "hub"):
        fleet.stop(name)
    assert recorded(made) == [{"by": "hub", "code": "E-TLS", "rule": "GOV-05", "citation": RULES["GOV-05"].citation}]
    assert RULES["GOV-05"].citation in logs(tmp_path)


@contextmanager
def answering(address: str, folder: Path) -> Iterator[None]:
    """Somebody else's TLS at the hub's address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "transport.pem", folder / "transport.key")
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    with socket.create_server((host, int(port)), reuse_port=True) as listening:
        listening.settimeout(0.1)
        over = threading.Event()
        thread = threading.Thread(target=shake, args=(listening, context, over))
        thread.start()
        yield
        over.set()
        thread.join()


def shake(listening: socket.socket, context: ssl.SSLContext, over: threading.Event) -> None:
    while not over.is_set():
        with suppress(OSError):
            call, _ = listening.accept()
            with call, context.wrap_socket(call, server_side=True) as shaken:
                shaken.recv(1)


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
