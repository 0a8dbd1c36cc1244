"""Steps of review at a hub that come at the same moment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from governance_alliance import NOW, key_of
from reviewed_alliance import AGREEMENT, KEEPER, STUDY, asked, case, envelope, person, request

from isthmus.federation.hub_cases import APPROVAL, OPEN, SEEN, VOTE
from isthmus.federation.hub_review import HubReview
from isthmus.federation.hub_runs import new_row
from isthmus.federation.hub_window import answer
from isthmus.federation.node import Ledger
from isthmus.federation.parties import parties_of
from isthmus.federation.refusals import Refusals
from isthmus.federation.request import charter_of
from isthmus.federation.store import open_store
from isthmus.governance.agreement import Agreement, agreement_digest
from isthmus.governance.approval import make_approval, sign_approval
from isthmus.governance.citations import grounded
from isthmus.governance.rulepack import own_pack
from isthmus.ledger.bundle import SCHEMA, release_statement
from isthmus.ledger.checkpoint import sign_checkpoint
from isthmus.ledger.log import Log, MemoryStore
from isthmus.ledger.words import in_words
from isthmus.model.canonical import canonical, digest, plain
from isthmus.model.errors import IsthmusError, Refused, Untrusted
from isthmus.sdk.reviewing import explained

REQUEST = request()
SITES = ("boston", "leeds", "oslo")
APPROVED = {"verdict": "approved", "since": NOW.isoformat(), "by": [KEEPER]}


def steps(hub: Any) -> list[Any]:
    return [hub.ledger.log.entry(i).facts.get("step") for i in range(hub.ledger.log.head().size)]


class Hub:
    """What review needs of a hub: a store, a ledger whose writes take a moment, and who is told what."""

    def __init__(self, folder: Path) -> None:
        self.store, self.started, self.told = open_store(folder / "state.db"), list[str](), list[str]()
        self.ledger = Ledger(self.store, "hub", self.clock)
        self.refusals, self.day = Refusals(self.store, self.ledger, self.clock), 0
        self.worker = SimpleNamespace(run=self.later)
        self.means: Any = SimpleNamespace(
            store=self.store, identity=SimpleNamespace(name="hub", key=key_of("hub")), clock=self.clock
        )
        self.runs: dict[str, Any] = {}
        own = agreement_digest(AGREEMENT)
        self.desk = SimpleNamespace(desk=SimpleNamespace(in_force=lambda _now: None, agreement=own))

    def clock(self) -> datetime:
        return NOW + timedelta(days=self.day)

    async def later(self, _job: str, work: Callable[..., Any], *arguments: Any) -> Any:
        await asyncio.sleep(0)
        return work(*arguments)

    async def enter(self, event: str, facts: Any) -> int:
        await asyncio.sleep(0)
        return self.ledger.append(event, facts)

    async def start_run(self, row: Any) -> None:
        await asyncio.sleep(0)  # the hub admits the request again
        self.started.append(row.run)
        self.store.set_state(row.run, "running")

    def link(self, _site: str) -> None:
        return None

    def said(self, run: str, state: str) -> None:
        self.told.append(state)


def review(folder: Path, agreement: Agreement = AGREEMENT) -> tuple[Hub, HubReview, str]:
    hub: Any = Hub(folder)
    row = new_row(charter_of(REQUEST, agreement), asked(REQUEST), NOW.isoformat())
    hub.store.add_run(row)
    hub.store.set_state(row.run, "in_review")
    made = HubReview(hub, agreement)
    for party in {agreement.site(site).party for site in SITES}:
        keeper = agreement.custodians(party)[0].person
        made.cases.kept.put(row.run, APPROVAL, keeper, envelope(keeper, case(REQUEST)))
    return hub, made, row.run


async def together(*steps: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*steps, return_exceptions=True)


def test_a_study_starts_once_when_all_sites_answer_together(tmp_path: Path) -> None:
    hub, made, run = review(tmp_path)
    answers = [made.answered(site, {"run": run, "answer": APPROVED}) for site in SITES * 2]
    assert asyncio.run(together(*answers)) == [None] * len(answers)
    assert (hub.started, steps(hub)) == ([run], ["approve"])


def test_a_return_that_comes_while_the_study_starts_is_too_late(tmp_path: Path) -> None:
    hub, made, run = review(tmp_path)
    party = parties_of(AGREEMENT)[KEEPER]
    answers = [made.answered(site, {"run": run, "answer": APPROVED}) for site in SITES]
    *_, late = asyncio.run(together(*answers, made.decided(party, envelope(KEEPER, case(REQUEST), "return"))))
    assert (hub.started, hub.told, late.code) == ([run], [], "E-STATE")
    assert steps(hub)[0] == "approve"
    assert "return" not in steps(hub)


def test_a_listing_reads_no_run_that_is_over(tmp_path: Path) -> None:
    """What waits is found by the database: a past run that cannot even be read does not matter."""
    hub, made, run = review(tmp_path)
    store: Any = hub.means.store
    past = replace(store.run(run), run="sha256:past", state="concluded", request=b"", charter=b"")
    store.add_run(past)
    assert [row.run for row in made.cases.rows(OPEN)] == [run]
    read: list[int] = []
    rows = store.rows
    store.rows = lambda query: read.append(len(found := rows(query))) or found
    made.cases.listed(parties_of(AGREEMENT)[KEEPER])
    made.cases.untold("leeds")
    assert max(read) <= len(SITES)
    assert made.cases.asked(store.run(run).study)
    assert not made.cases.asked("sha256:" + "0" * 64)


def test_an_amended_study_is_shown_with_the_one_it_amends(tmp_path: Path) -> None:
    hub, made, run = review(tmp_path)
    change = {"title": "Does it?", "amends": digest(STUDY), "reason": "clearer"}
    amended = request(replace(STUDY, **change))
    row = replace(new_row(charter_of(amended, AGREEMENT), asked(amended), NOW.isoformat()), state="in_review")
    hub.store.add_run(row)
    party = parties_of(AGREEMENT)[KEEPER]
    assert made.cases.shown(row.run, party)["amended"] == plain(STUDY)
    assert made.cases.shown(run, party)["amended"] is None
    me: Any = SimpleNamespace(agreement=AGREEMENT)
    told = explained(me, made.cases.shown(row.run, party), {})
    assert told["about"]["changes"] == ["title: Does it?; was Does age matter?"]
    assert told["about"]["questions"][0] == "death: glm, with formula = died ~ age + sex + old; family = binomial"
    assert told["asked"]["amends"] == digest(STUDY)
    silent = explained(me, {**made.cases.shown(row.run, party), "amended": None}, {})
    assert "does not show" in silent["about"]["changes"][0]


def test_what_waits_ends_with_its_version_of_the_agreement(tmp_path: Path) -> None:
    hub, made, run = review(tmp_path)
    asyncio.run(made.resume())
    assert hub.store.run(run).state == "in_review"  # type: ignore[union-attr]
    hub.desk.desk.agreement = "sha256:of version 2"
    asyncio.run(made.resume())
    assert (hub.store.run(run).state, hub.told) == ("refused", ["refused"])  # type: ignore[union-attr]
    assert hub.ledger.log.entry(0).facts == grounded({"run": run, "code": "E-AGREEMENT-VERSION"})


def test_a_site_that_can_make_nothing_of_an_end_is_not_told_again(tmp_path: Path) -> None:
    hub, made, run = review(tmp_path)
    hub.store.set_state(run, "rejected")
    assert [row.run for row in made.cases.untold("leeds")] == [run]
    asyncio.run(made.declined("leeds", run, Refused("E-SIGNER", "signed by nobody whom the agreement names")))
    assert made.cases.untold("leeds") == []
    assert made.cases.kept.get(run, SEEN, "leeds") == "E-SIGNER"
    assert [row.run for row in made.cases.untold("boston")] == [run]


RESULT: dict[str, Any] = {"analyses": {}}
PARTS: dict[str, Any] = {
    **{key: {} for key in ("charter", "study", "signatures")},
    **{key: [] for key in ("agreement", "entries", "inclusion")},
    **dict.fromkeys(("transcript_digest", "seal"), ""),
    "checkpoint": sign_checkpoint("hub", Log(MemoryStore(), "hub", lambda: NOW).head(), key_of("hub")),
    "schema": SCHEMA,
    "mode": "federated",
    "result": RESULT,
}


def in_egress(folder: Path) -> tuple[Hub, HubReview, str, list[dict[str, Any]]]:
    """A result on which two output checkers of two countries have voted."""
    hub, made, run = review(folder)
    raw = canonical(PARTS)
    hub.store.finish(run, (raw, raw), "", "egress")
    votes = [envelope(who, case(REQUEST, digest(RESULT)), "accept", "result") for who in ("cleo", "cora")]
    for who, vote in zip(("cleo", "cora"), votes, strict=True):
        made.cases.kept.put(run, VOTE, who, vote)
    return hub, made, run, votes


def signed(site: str, run: str, votes: list[dict[str, Any]], by: str | None = None) -> dict[str, Any]:
    """What a site answers to votes that hold; `by`: with whose key."""
    statement = release_statement("federated", run, digest(RESULT), map(digest, votes))
    answer = {"verdict": "released", "since": NOW.isoformat(), "by": ["cleo", "cora"]}
    return {"run": run, "answer": answer, "signature": key_of(by or site).sign(statement).hex()}


def test_a_result_is_released_by_as_many_sites_as_sign_one(tmp_path: Path) -> None:
    hub, made, run, votes = in_egress(tmp_path)
    asyncio.run(made.resume())
    state = lambda: hub.store.run(run).state  # type: ignore[union-attr]  # noqa: E731
    for wrong in (signed("leeds", run, votes, by="boston"), signed("leeds", run, votes[:1])):
        with pytest.raises(Untrusted):
            asyncio.run(made.answered("leeds", wrong))
    for site in ("leeds", "leeds", "boston"):
        asyncio.run(made.answered(site, signed(site, run, votes)))
        assert state() == "egress"
    assert {w["whom"] for w in made.cases.told(made.cases.row(run))["waiting"]} == {"the site oslo"}
    asyncio.run(made.answered("oslo", signed("oslo", run, votes)))
    assert state() == "released"
    bundle = json.loads(hub.store.bundle(run) or b"{}")
    assert set(bundle["released"]) == set(SITES)
    (entry,) = bundle["later"]["entries"]  # with the time of the release, in the ledger that goes on
    assert (entry["facts"]["step"], entry["facts"]["sites"]) == ("release", list(SITES))
    assert steps(hub) == ["vote", "vote", "release"]


def test_a_decision_that_is_refused_is_told_and_written_down_with_its_rule(tmp_path: Path) -> None:
    """A second vote, a time before the study, a vote on what was changed since, and one of who asked."""
    hub, made, _, votes = in_egress(tmp_path)
    old = approval_at("cora", digest(RESULT), "2001-01-01T00:00:00+00:00")
    changed = envelope("cora", case(REQUEST, digest("another result")), "accept", "result")
    own = envelope("dr ada", case(REQUEST, digest(RESULT)), "accept", "result")
    for who, vote, code, rule in (
        ("cora", votes[1], "E-DECIDED", "OUT-13"),
        ("cora", old, "E-CLOCK", "GOV-14"),
        ("cora", changed, "E-APPROVAL", "GOV-04"),
        ("dr ada", own, "E-ROLE", "GOV-02"),
    ):
        checker: Any = SimpleNamespace(name=who, roles=("output_checker",))
        with pytest.raises(IsthmusError) as caught:
            asyncio.run(made.decided(checker, vote))
        assert caught.value.code == code
        citation = next(r.citation for r in own_pack().rules if r.id == rule)
        assert f"rule {rule}: {citation}" in caught.value.hint
        said = hub.ledger.log.entry(hub.ledger.log.head().size - 1).facts
        assert said == {"by": who, "what": "approval", "code": code, "rule": rule, "citation": citation}


def approval_at(who: str, result: str, time: str) -> dict[str, Any]:
    made = make_approval(case(REQUEST, result), "result", "accept", person(who), (NOW, ""))
    return sign_approval(replace(made, time=time), key_of(who))


@pytest.mark.parametrize("role", ["auditor", "manager", "researcher"])
def test_nobody_but_an_output_checker_fetches_a_result_before_its_release(tmp_path: Path, role: str) -> None:
    hub, made, run, _ = in_egress(tmp_path)
    who: Any = SimpleNamespace(name="ann", roles=(role,))
    checker: Any = SimpleNamespace(name="cora", roles=("output_checker",))
    made.cases.require_fetch(checker, made.cases.row(run))
    for state, code in (("egress", "E-NOT-RELEASED"), ("rejected", "E-REJECTED"), ("withdrawn", "E-WITHDRAWN")):
        hub.store.set_state(run, state)
        with pytest.raises(IsthmusError) as caught:
            made.cases.require_fetch(who, made.cases.row(run))
        assert caught.value.code == code
    hub.store.set_state(run, "released")
    made.cases.require_fetch(who, made.cases.row(run))


def test_nothing_is_released_once_the_agreement_has_ended(tmp_path: Path) -> None:
    hub, made, run, votes = in_egress(tmp_path)
    revoked = Refused("E-REVOKED", "leeds revoked the agreement")

    def ended(_now: Any) -> None:
        raise revoked

    hub.desk.desk.in_force = ended
    for site in SITES:
        asyncio.run(made.answered(site, signed(site, run, votes)))
    assert hub.store.run(run).state == "egress"  # type: ignore[union-attr]
    asyncio.run(made.halt(revoked))
    assert hub.store.run(run).state == "refused"  # type: ignore[union-attr]


def test_sites_that_find_no_votes_stop_a_release_that_cannot_come_any_more(tmp_path: Path) -> None:
    """All three must sign: the first that does not ends it."""
    hub, made, run, _ = in_egress(tmp_path)
    asyncio.run(made.declined("oslo", run, Refused("E-NOT-CHECKED", "a site does not find the votes")))
    assert hub.store.run(run).state == "refused"  # type: ignore[union-attr]
    said = [hub.ledger.log.entry(at).facts for at in range(hub.ledger.log.head().size)]
    assert said == [
        grounded({"by": "oslo", "what": "release", "code": "E-NOT-CHECKED", "about": run}),
        grounded({"run": run, "code": "E-NOT-CHECKED"}),
    ]


def test_nobody_fills_the_ledger_with_what_is_not_taken(tmp_path: Path) -> None:
    """Ten approvals of a changed result, ten votes before the study, ten amended studies, on each of two days."""
    hub, made, run, _ = in_egress(tmp_path)
    changed = envelope("cora", case(REQUEST, digest("another result")), "accept", "result")
    old = approval_at("cora", digest(RESULT), "2001-01-01T00:00:00+00:00")
    amends = request(replace(STUDY, amends="sha256:" + "0" * 64, reason="clearer"))
    checker: Any = SimpleNamespace(name="cora", roles=("output_checker",))
    for hub.day in (0, 1):
        for _ in range(10):
            for vote in (changed, old):
                with pytest.raises(IsthmusError):
                    asyncio.run(made.decided(checker, vote))
            with pytest.raises(Refused):
                asyncio.run(made.submitted(charter_of(amends, AGREEMENT), asked(amends)))
            asyncio.run(made.releases.withheld("oslo", made.cases.row(run), Refused("E-NOT-CHECKED", "no votes")))
    said = [hub.ledger.log.entry(at).facts for at in range(hub.ledger.log.head().size)]
    codes = [facts["code"] for facts in said if "code" in facts]
    assert sorted(codes) == sorted(["E-APPROVAL", "E-CLOCK", "E-AMENDS"] * 2 + ["E-NOT-CHECKED"])


def test_what_somebody_is_refused_is_entered_once_a_day(tmp_path: Path) -> None:
    """An auditor's submission, and a result fetched before its release: by whom, in which role, the code, its rule."""
    hub, made, run, _ = in_egress(tmp_path)
    hub.review = made
    hub.store.bundle = lambda _run: b"a bundle"
    ann: Any = SimpleNamespace(name="ann", roles=frozenset({"auditor"}), trained_until="2099-12-31")
    before = hub.ledger.log.head().size

    async def ask(question: Any) -> None:
        async for _ in answer(hub, ann, question):
            pass

    for question, code in (({"what": "submit"}, "E-ROLE"), ({"what": "bundle", "run": run}, "E-NOT-RELEASED")) * 3:
        with pytest.raises(IsthmusError) as caught:
            asyncio.run(ask(question))
        assert caught.value.code == code
        assert "rule " in caught.value.hint
    ann.trained_until = ""
    with pytest.raises(Refused, match="E-TRAINING"):
        asyncio.run(ask({"what": "bundle", "run": run}))
    entries = [hub.ledger.log.entry(at) for at in range(before, hub.ledger.log.head().size)]
    assert [in_words(entry).partition(", rule")[0] for entry in entries] == [
        "ann (auditor) was refused to submit a study: E-ROLE",
        f"ann (auditor) was refused the result of run {run[7:19]}: E-NOT-RELEASED",
        f"ann (auditor) was refused the result of run {run[7:19]}: E-TRAINING",
    ]
    assert {entry.event for entry in entries} == {"refusal"}
    assert all(entry.facts["citation"] for entry in entries)
