"""Studies that custodians approve and results that output checkers release: real processes over mTLS."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from review_fleet import (
    STUDIES,
    agreement_of,
    ask,
    decide,
    person,
    reviewed,
    signed,
    standing_rule,
    start,
    start_hub,
    start_node,
    start_site,
    status,
    stop,
)
from test_processes_agreed import SITES, Alliance, follow, logs
from typer.testing import CliRunner
from wires import now

from isthmus.cli.app import app
from isthmus.crypto.envelope import sign_envelope
from isthmus.crypto.keys import SigningKey
from isthmus.federation.hub_witness import COSIGNED
from isthmus.federation.identity import load_identity
from isthmus.federation.launch import Fleet
from isthmus.federation.leaves import LEAVES
from isthmus.federation.store import Mark, open_store
from isthmus.federation.tables import REVIEWS
from isthmus.governance.agreement import Review
from isthmus.governance.approval import MEANINGS, PAYLOAD_TYPE
from isthmus.governance.review import course
from isthmus.ledger.bundle import read_bundle, resealed
from isthmus.ledger.checkpoint import verify_checkpoint
from isthmus.ledger.entries import Entry
from isthmus.ledger.log import Log
from isthmus.model.canonical import canonical
from isthmus.model.errors import IsthmusError, Refused, Untrusted, Waiting
from isthmus.sdk.bundle import result_in_review, verify


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(environ=dict(os.environ)) as opened:
        yield opened


def until(what: Callable[[], bool], why: str, seconds: float = 90.0) -> None:
    for _ in range(int(seconds / 0.1)):
        if what():
            return
        time.sleep(0.1)
    raise AssertionError(why)


def entries(made: Alliance, name: str) -> list[Entry]:
    """The ledger of a node that has stopped."""
    store = open_store(made.directory / name / "state.db")
    origin = "hub" if name == "hub" else f"site/{name}"
    found = list(Log(store.leaves(origin), origin, now).entries())
    store.close()
    return found


def waits(made: Alliance, run: str) -> set[str]:
    return {w["party"] for w in status(made, run)["review"]["waiting"]}


def whom(made: Alliance, run: str) -> set[str]:
    return {w["whom"] for w in status(made, run)["review"]["waiting"]}


def settled(made: Alliance, run: str, state: str) -> dict[str, Any]:
    until(lambda: status(made, run)["state"] == state, f"never {state}: {status(made, run)}\n{logs(made.directory)}")
    return status(made, run)


def in_egress(fleet: Fleet, directory: Path) -> tuple[Alliance, str]:
    """A study that standing rules approved, whose result waits for output checkers."""
    made = reviewed(directory)
    for site in SITES:
        standing_rule(made, site)
    start(fleet, made)
    run = ask(made)
    settled(made, run, "egress")
    return made, run


def test_custodians_approve_output_checkers_release(fleet: Fleet, tmp_path: Path) -> None:
    made = reviewed(tmp_path)
    standing_rule(made, "oxford")
    start(fleet, made)
    run = ask(made)
    until(lambda: waits(made, run) == {"leeds", "boston"}, "oxford's standing rule did not approve")
    seen = status(made, run)
    assert seen["state"] == "in_review"
    until(lambda: whom(made, run) == {"keeper-leeds", "keeper-boston"}, "the others did not say who may decide")
    assert all(w["since"] for w in seen["review"]["waiting"])
    decide(made, "keeper-leeds", run)
    until(lambda: waits(made, run) == {"boston"}, "leeds did not answer")
    decide(made, "keeper-boston", run)
    settled(made, run, "egress")
    check_egress(made, run)
    stop(fleet)
    told = course(entries(made, "hub"), run, people_check_results=True)
    assert [m.state for m in told if m.event not in {"accept", "vote"}] == [
        "Submitted",
        "In review",
        "Approved",
        "Running",
        "Results in egress review",
        "Released",
    ]
    votes = [m.entry.facts for m in told if m.event == "vote"]
    assert all("decision" not in vote and "reason" not in vote for vote in votes)
    by = {site: [e.facts for e in entries(made, site) if e.event == "approval"] for site in SITES}
    assert by["oxford"][0]["standing"].startswith("sha256:")
    assert [f["verdict"] for f in by["leeds"]] == ["waiting", "approved", "released"]
    assert [f["by"] for f in by["leeds"][1:]] == [["keeper-leeds"], ["cleo", "cora"]]
    check_held(made)


def check_held(made: Alliance) -> None:
    """Every site holds, and has cosigned, the hub's ledger with the vote and the release in it; no run came after them."""
    store = open_store(made.directory / "hub" / "state.db")
    log = Log(store.leaves("hub"), "hub", now)
    last = max(e.sequence for e in log.entries() if e.facts.get("step") == "release")
    held_to = log.head(last + 1)  # what people fetched since is entered too, and cosigned with the next decision
    note = json.loads(store.fact(COSIGNED) or "{}")["note"]
    key = load_identity(made.directory / "hub" / "keys").key.public
    store.close()
    sites = {site: load_identity(made.directory / site / "keys").key.public for site in SITES}
    cosigned = verify_checkpoint(note, key, sites)
    assert (cosigned.head, set(cosigned.cosigners)) == (held_to, set(SITES))
    for site in SITES:
        held = open_store(made.directory / site / "state.db")
        mark = held.mark("hub")
        held.close()
        assert mark == Mark(size=held_to.size, root=held_to.root.hex())


def check_egress(made: Alliance, run: str) -> None:
    """Only output checkers see the result; two of two countries release it, to the auditor too; votes are sealed."""
    ada, cleo, cora, ann = (person(made, name) for name in ("ada", "cleo", "cora", "ann"))
    with ada.client as researcher, cleo.client as first, cora.client as second, ann.client as auditor:
        for early in (researcher, auditor):
            with pytest.raises(Waiting, match="not released"):
                early.bundle(run)
        raw = second.bundle(run)
        assert result_in_review(raw)["death"].tidy()
        with pytest.raises(Untrusted) as unchecked:
            verify(raw)
        assert unchecked.value.code == "E-NOT-CHECKED"
        decide(made, "cleo", run, kind="result")
        for who in (first, second, auditor, researcher):
            assert [d for d in who.case(run)["review"]["decisions"] if d["kind"] == "result"] == []
        with pytest.raises(Refused) as again:
            decide(made, "cleo", run, kind="result")
        assert again.value.code == "E-DECIDED"
        with pytest.raises(Refused) as same:
            decide(made, "carl", run, kind="result")
        assert same.value.code == "E-ONE-PER-COUNTRY"
        decide(made, "cora", run, kind="result")
        last = follow(researcher, run)
        assert last["state"] == "released"
        assert {d["by"] for d in last["review"]["decisions"] if d["kind"] == "result"} == {"cleo", "cora"}
        released = researcher.bundle(run)
        assert auditor.bundle(run) == released
        checked = verify(released)["checked"]
    check_forged(made, run, released, raw)
    assert any("released by cleo and cora" in line for line in checked)
    assert any("a standing rule of keeper-oxford" in line for line in checked)


def check_forged(made: Alliance, run: str, released: bytes, unreleased: bytes) -> None:
    """A hub that seals what it likes: without the approvals, with others, or with those of the wrong people."""
    hub = load_identity(made.directory / "hub" / "keys").key
    held, signed = read_bundle(released)["approvals"], read_bundle(released)["released"]
    assert set(signed) == set(SITES)
    said = {body["name"]: (body, e) for e in held if (body := told_of(e))["isthmus"] == "approval/1"}
    study = [e for e in held if e not in (said["cleo"][1], said["cora"][1])]
    cleo, cora = said["cleo"][1], said["cora"][1]
    stranger = SigningKey.generate()
    as_cora = sign_envelope(
        PAYLOAD_TYPE, canonical(said["cora"][0]), [(said["cora"][1]["signatures"][0]["keyid"], stranger)]
    )
    carl = other_vote(made, "carl", said["cleo"][0])
    rejected = other_vote(
        made, "cora", {**said["cora"][0], "decision": "reject", "reason": "too few people", "meaning": REJECTS}
    )
    other = other_vote(made, "cora", {**said["cora"][0], "subject": "sha256:" + "0" * 64})
    by_rule = [e for e in study if told_of(e)["isthmus"] == "standing-rule/1"]
    forgeries = {
        "E-NOT-CHECKED": (
            [*study],
            [*study, cleo],
            [*study, cleo, cleo],
            [*study, cleo, carl],
            [*study, cleo, rejected],
        ),
        "E-NOT-APPROVED": ([cleo, cora], [*by_rule, cleo, cora], [*(e for e in study if e not in by_rule), cleo, cora]),
        "E-SIGNATURE": ([*study, cleo, as_cora],),
        "E-APPROVAL": ([*study, cleo, other], [*study, cleo, {"payload": "", "payloadType": "", "signatures": []}]),
    }
    assert (
        verify(remade(unreleased, [*study, cleo, cora], signed, hub))["run"] == run
    )  # the order and the hub's own seal are no matter
    for code, cases in forgeries.items():
        for number, approvals in enumerate(cases):
            with pytest.raises(Untrusted) as refused:
                verify(remade(released, approvals, signed, hub))
            assert refused.value.code == code, (code, number, refused.value)
    again = other_vote(made, "cora", {**said["cora"][0], "reason": "signed anew"})
    of_sites = {
        "the hub alone": ("E-NOT-CHECKED", [cleo, cora], {}),
        "two sites of three": ("E-NOT-CHECKED", [cleo, cora], {site: signed[site] for site in ("leeds", "oxford")}),
        "one site for another": ("E-SIGNATURE", [cleo, cora], {**signed, "boston": signed["leeds"]}),
        "a stranger": ("E-SIGNATURE", [cleo, cora], {**signed, "paris": signed["leeds"]}),
        "votes that no site saw": ("E-SIGNATURE", [cleo, again], signed),
    }
    for name, (code, votes, sites) in of_sites.items():
        with pytest.raises(Untrusted) as refused:
            verify(remade(unreleased, [*study, *votes], sites, hub))
        assert refused.value.code == code, (name, refused.value)


def remade(raw: bytes, approvals: list[Any], released: dict[str, str], hub: SigningKey) -> bytes:
    return resealed(read_bundle(raw), {"approvals": approvals, "released": released}, hub)


REJECTS = MEANINGS["result", "reject"][0]


def told_of(envelope: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(base64.b64decode(envelope["payload"])))


def other_vote(made: Alliance, who: str, like: dict[str, Any]) -> dict[str, Any]:
    key = load_identity(made.directory / who / "keys2").key
    return sign_envelope(PAYLOAD_TYPE, canonical({**like, "name": who}), [(key.public.hex(), key)])


def test_a_return_says_why_and_an_amended_study_starts_anew(fleet: Fleet, tmp_path: Path) -> None:
    made = reviewed(tmp_path, STUDIES)
    start(fleet, made)
    run = ask(made)
    decide(made, "keeper-leeds", run)
    old = signed(made, "keeper-boston", run, "accept")
    decide(made, "keeper-boston", run, "return", "say how age enters")
    last = settled(made, run, "returned")
    assert last["error"]["code"] == "E-RETURNED"
    assert "keeper-boston (boston) returned it: say how age enters" in last["error"]["message"]
    with pytest.raises(Refused) as late:
        decide(made, "keeper-oxford", run)
    assert late.value.code == "E-STATE"
    with pytest.raises(Refused) as unknown:
        ask(made, title="Amended", amends="sha256:" + "0" * 64, reason="age is linear")
    assert unknown.value.code == "E-AMENDS"
    amended = ask(made, title="Amended", amends=last["study"], reason="age is linear")
    assert amended != run
    with pytest.raises(Refused) as replayed, person(made, "keeper-boston").client as client:
        client.decide(old)  # the earlier study's approval
    assert replayed.value.code == "E-STATE"
    until(lambda: waits(made, amended) == set(SITES), "an approval of the earlier study counted")
    for site in SITES:
        decide(made, f"keeper-{site}", amended)
    settled(made, amended, "concluded")
    with person(made, "ada").client as client:
        verify(client.bundle(amended))
    stop(fleet)
    refused = [e.facts for e in entries(made, "hub") if e.event == "refusal"]
    assert [(f["by"], f["what"], f["code"]) for f in refused] == [
        ("keeper-oxford", "approval", "E-STATE"),
        ("ada", "amended study", "E-AMENDS"),
        ("keeper-boston", "approval", "E-STATE"),
    ]
    assert all(f["rule"] == "GOV-04" and "SATRE 2.1.03" in f["citation"] for f in refused)
    for site in SITES:
        said = [e.facts for e in entries(made, site) if e.event == "approval" and e.facts["run"] == run]
        assert said[-1]["verdict"] == "returned"
        assert said[-1]["reason"] == "say how age enters"


def test_a_rejection_ends_standing_rules_of_the_project(fleet: Fleet, tmp_path: Path) -> None:
    made = reviewed(tmp_path, STUDIES)
    for site in ("leeds", "oxford"):
        standing_rule(made, site)
    start(fleet, made)
    run = ask(made, project="p1")
    until(lambda: waits(made, run) == {"boston"}, "two standing rules did not approve")
    decide(made, "keeper-boston", run, "reject", "not with our data")
    settled(made, run, "rejected")
    again = ask(made, 2, project="p1")
    until(lambda: waits(made, again) == set(SITES), "a rejected project was approved by rule")
    other = ask(made, project="p2")
    until(lambda: waits(made, other) == set(SITES), "the same study under another project was approved by rule")
    stop(fleet)


def test_the_cap_of_a_standing_rule_counts_questions(fleet: Fleet, tmp_path: Path) -> None:
    made = reviewed(tmp_path, STUDIES)
    standing_rule(made, "leeds", monthly=1)
    start(fleet, made)
    first = ask(made)
    until(lambda: waits(made, first) == {"oxford", "boston"}, "the first question is under the cap")
    second = ask(made, 2)
    until(lambda: waits(made, second) == set(SITES), "the second question is over it")
    stop(fleet)


def test_a_study_is_withdrawn_by_who_asked(fleet: Fleet, tmp_path: Path) -> None:
    made = reviewed(tmp_path, STUDIES)
    start(fleet, made)
    run = ask(made)
    with pytest.raises(Refused) as other:
        decide(made, "keeper-leeds", run, "withdraw")
    assert other.value.code in {"E-ROLE", "E-SELF"}
    decide(made, "ada", run, "withdraw")
    assert settled(made, run, "withdrawn")["error"]["code"] == "E-WITHDRAWN"
    with pytest.raises(Refused) as late:
        decide(made, "keeper-leeds", run)
    assert late.value.code == "E-STATE"
    stop(fleet)
    told = course(entries(made, "hub"), run, people_check_results=False)
    assert told[-1].state == "Withdrawn"


def test_review_goes_on_after_kill_9_of_hub_and_site(fleet: Fleet, tmp_path: Path) -> None:
    made = reviewed(tmp_path)
    start(fleet, made)
    run = ask(made)
    decide(made, "keeper-leeds", run)
    until(lambda: waits(made, run) == {"oxford", "boston"}, "leeds did not answer")
    kill(fleet, "hub", "boston")
    start(fleet, made, "boston")
    until(lambda: waits(made, run) == {"oxford", "boston"}, "the hub forgot")
    decide(made, "keeper-oxford", run)
    decide(made, "keeper-boston", run)
    settled(made, run, "egress")
    decide(made, "cleo", run, kind="result")
    kill(fleet, "hub")
    start_hub(fleet, made)
    decide(made, "cora", run, kind="result")
    assert settled(made, run, "released")["state"] == "released"
    stop(fleet)
    told = course(entries(made, "hub"), run, people_check_results=True)
    assert told[-1].state == "Released"
    assert len([m for m in told if m.event == "vote"]) == 2


def kill(fleet: Fleet, *names: str) -> None:
    for name in names:
        fleet.signal(name, signal.SIGKILL)
        fleet.await_event(name, "exited")


def test_a_site_that_was_away_hears_of_a_return(fleet: Fleet, tmp_path: Path) -> None:
    made = reviewed(tmp_path, STUDIES)
    start(fleet, made, "leeds", "boston")
    run = ask(made)
    decide(made, "keeper-boston", run, "return", "too few people")
    settled(made, run, "returned")
    start_site(fleet, made, "oxford")
    until(lambda: logs(made.directory).count("joined") >= 3, "oxford did not join")
    time.sleep(1.0)
    stop(fleet)
    said = [e.facts for e in entries(made, "oxford") if e.event == "approval"]
    assert [f["verdict"] for f in said] == ["returned"]


def test_output_checkers_alone(fleet: Fleet, tmp_path: Path) -> None:
    """Nobody is asked about studies, two output checkers of any country about results."""
    made = reviewed(tmp_path, Review(study="none", egress=2, one_per_country=False))
    start(fleet, made)
    run = ask(made)
    settled(made, run, "egress")
    decide(made, "cleo", run, kind="result")
    decide(made, "carl", run, "reject", "a table would do", kind="result")
    last = settled(made, run, "rejected")
    assert "carl (oxford) rejected it: a table would do" in last["error"]["message"]
    assert len(last["review"]["decisions"]) == 2
    stop(fleet)
    told = course(entries(made, "hub"), run, people_check_results=True)
    assert [m.state for m in told][:2] == ["Running", "Results in egress review"]
    assert told[-1].state == "Rejected"


def test_a_result_that_is_returned_is_not_given_out(fleet: Fleet, tmp_path: Path) -> None:
    made, run = in_egress(fleet, tmp_path)
    decide(made, "cora", run, "return", "round the estimate", kind="result")
    decide(made, "cleo", run, kind="result")
    last = settled(made, run, "returned")
    assert "cora (boston) returned it: round the estimate" in last["error"]["message"]
    with person(made, "ada").client as client, pytest.raises(Refused) as refused:
        client.bundle(run)
    assert refused.value.code == "E-RETURNED"
    stop(fleet)


def test_who_is_no_custodian_of_a_site_that_takes_part_decides_nothing(fleet: Fleet, tmp_path: Path) -> None:
    made = reviewed(tmp_path, STUDIES)
    start(fleet, made, "leeds")
    run = ask(made)
    for who in ("keeper-hub", "cleo", "ann"):
        with pytest.raises(Refused) as refused:
            decide(made, who, run)
        assert refused.value.code == "E-ROLE"
    assert agreement_of(made).review == STUDIES
    stop(fleet, "hub", "leeds")


def test_an_output_checkers_refusal_ends_standing_rules_of_the_project_at_every_site(
    fleet: Fleet, tmp_path: Path
) -> None:
    """Boston is away when the votes are given, and hears of them when it comes back; another project's name changes nothing."""
    made = reviewed(tmp_path)
    for site in SITES:
        standing_rule(made, site, monthly=9)
    start(fleet, made)
    run = ask(made, project="p1")
    settled(made, run, "egress")
    stop(fleet, "boston")
    decide(made, "cleo", run, kind="result")
    decide(made, "cora", run, "reject", "a curve of few people", kind="result")
    settled(made, run, "rejected")
    start_site(fleet, made, "boston")
    rejected = {"run": run, "verdict": "rejected", "by": ["cora"], "reason": "a curve of few people"}
    for site in SITES:
        until(lambda site=site: rejected.items() <= last_approval(made, site).items(), f"{site} did not hear of it")
    again = ask(made, 2, project="p1")
    until(lambda: waits(made, again) == set(SITES), "a project whose result was refused was approved by rule")
    other = ask(made, project="p2")
    until(lambda: waits(made, other) == set(SITES), "the same study under another project was approved by rule")
    stop(fleet)


def last_approval(made: Alliance, site: str) -> dict[str, Any]:
    said = [e.facts for e in entries(made, site) if e.event == "approval"]
    return dict(said[-1]) if said else {}


def test_a_hub_that_drops_a_vote_is_noticed_without_another_run(fleet: Fleet, tmp_path: Path) -> None:
    """The hub comes back with the ledger it had before the vote: every site refuses it, and writes down why."""
    made = reviewed(tmp_path, Review(study="none", egress=2, one_per_country=False))
    start(fleet, made)
    run = ask(made)
    settled(made, run, "egress")
    decide(made, "cleo", run, "reject", "a curve of few people", kind="result")
    stop(fleet)
    drop_last(made, "vote")
    come_back(fleet, made)
    stop(fleet)


def come_back(fleet: Fleet, made: Alliance) -> None:
    """Hub and sites start anew, and each site has refused the hub's ledger."""
    start_hub(fleet, made)
    for site in SITES:
        start_node(fleet, made, site)
    for site in SITES:
        until(lambda site=site: "E-LEDGER" in codes(made, site), f"{site} did not notice: {logs(made.directory)}")


def test_a_site_answers_nothing_to_a_hub_whose_ledger_it_calls_false(fleet: Fleet, tmp_path: Path) -> None:
    """Not even a study under its standing rule, however often the hub comes back; status and the hub's ledger say why."""
    made, run = in_egress(fleet, tmp_path)
    decide(made, "cleo", run, "reject", "a curve of few people", kind="result")
    stop(fleet)
    answered = {site: [e.facts for e in entries(made, site) if e.event == "approval"] for site in SITES}
    drop_last(made, "vote")
    come_back(fleet, made)
    other = ask(made, number=2)
    until(lambda: set(states(made, other)) == set(SITES), f"status does not say who left: {status(made, other)}")
    assert set(states(made, other).values()) == {"left (E-LEDGER)"}
    time.sleep(2.0)  # longer than a site's first pauses before it comes back
    assert waits(made, other) == set(SITES)
    stop(fleet)
    assert answered == {site: [e.facts for e in entries(made, site) if e.event == "approval"] for site in SITES}
    told = [e.facts["by"] for e in entries(made, "hub") if e.event == "refusal" and e.facts["code"] == "E-LEDGER"]
    assert sorted(told) == sorted(SITES)  # once each, however often it came back


def states(made: Alliance, run: str) -> dict[str, str]:
    return {site: told["state"] for site, told in status(made, run)["sites"].items()}


def codes(made: Alliance, site: str) -> list[str]:
    return [str(e.facts.get("code")) for e in entries(made, site) if e.event == "refusal"]


def drop_last(made: Alliance, step: str) -> None:
    """The hub's ledger ends before its last entry of this step, and its store does not know the vote."""
    store = open_store(made.directory / "hub" / "state.db")
    at = max(e.sequence for e in Log(store.leaves("hub"), "hub", now).entries() if e.facts.get("step") == step)
    store.write(
        sa.delete(LEAVES).where(LEAVES.c.log == "hub", LEAVES.c.position >= at),
        sa.delete(REVIEWS).where(REVIEWS.c.kind.in_(("vote", "entered"))),
    )
    store.close()


def test_withdrawn_in_mid_study_it_stops_at_every_site_within_one_round(fleet: Fleet, tmp_path: Path) -> None:
    made = reviewed(tmp_path, Review(study="none", egress=2, one_per_country=False))
    start(fleet, made)
    run = ask(
        made, analyses={f"a{i}": {"glm": {"formula": "died ~ arm + age", "family": "binomial"}} for i in range(40)}
    )
    until(lambda: status(made, run).get("rounds", 0) >= 5, "it did not begin")
    fleet.signal("oxford", signal.SIGSTOP)  # holds a round open
    opened = status(made, run)["rounds"]
    decide(made, "ada", run, "withdraw")
    fleet.signal("oxford", signal.SIGCONT)
    last = settled(made, run, "withdrawn")
    assert (last["error"]["code"], last["review"]["state"]) == ("E-WITHDRAWN", "Withdrawn")
    for site in SITES:
        assert fleet.await_event(site, "ended") == run
    stop(fleet)
    told = entries(made, "hub")
    (withdrawn,) = [e for e in told if e.facts.get("step") == "withdraw"]
    assert sum(e.event == "round" for e in told) <= opened + 1
    assert not [e for e in told if e.sequence > withdrawn.sequence and e.event in {"round", "release"}]
    for site in SITES:
        store = open_store(made.directory / site / "state.db")
        assert store.run(run).state == "failed"  # type: ignore[union-attr]
        assert [key for key, _ in store.journal(run).read()] == ["ended"]  # its secrets are gone
        store.close()


def test_after_a_revocation_nothing_is_released_and_what_was_released_stays(fleet: Fleet, tmp_path: Path) -> None:
    made = reviewed(tmp_path, Review(study="none", egress=2, one_per_country=False))
    start(fleet, made)
    released, waiting = ask(made), ask(made, 2)
    settled(made, waiting, "egress")
    settled(made, released, "egress")
    for who in ("cleo", "carl"):
        decide(made, who, released, kind="result")
    settled(made, released, "released")
    decide(made, "cleo", waiting, kind="result")
    late = signed(made, "carl", waiting, "accept", kind="result")
    file, key = made.directory / "leeds" / "agreement.json", made.directory / "leeds" / "custodian"
    words = ["agreement", "revoke", str(file), "--key", str(key), "--reason", "consent was withdrawn"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert settled(made, waiting, "refused")["error"]["code"] == "E-REVOKED"
    with person(made, "carl").client as carl, pytest.raises(Refused) as refused:
        carl.decide(late)
    assert refused.value.code == "E-REVOKED"
    with person(made, "ada").client as ada:
        assert verify(ada.bundle(released))["run"] == released
        with pytest.raises(IsthmusError) as kept:
            ada.bundle(waiting)
    assert kept.value.code == "E-NOT-RELEASED"
    stop(fleet)
    assert course(entries(made, "hub"), waiting, people_check_results=True)[-1].state == "Stopped"
