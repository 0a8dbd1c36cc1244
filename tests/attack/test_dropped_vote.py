"""Attack: an output checker refuses a result, and the hub goes on with a ledger in which that vote never was.

No run follows, so no round shows the head. The hub shows it after each decision of people instead; each site follows and
cosigns it. And no site releases a result by votes that are not in that ledger, or that came after the checker's training ended.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW, key_of
from reviewed_alliance import AGREEMENT, alliance, asked, case, envelope, person, request

from attack import Attack, Say
from isthmus.federation.gossip import SqlMemory
from isthmus.federation.node import Ledger
from isthmus.federation.review_store import SqlReviews
from isthmus.federation.site_review import Shown, SiteReview, SiteReviewer
from isthmus.federation.site_witness import SiteWitness
from isthmus.federation.store import Store, open_store
from isthmus.governance.agreement import Agreement
from isthmus.governance.approval import make_approval, sign_approval
from isthmus.ledger.bundle import release_statement
from isthmus.ledger.checkpoint import sign_checkpoint, verify_checkpoint, with_cosignatures
from isthmus.ledger.log import Log, MemoryStore
from isthmus.ledger.proved import proof_of
from isthmus.model.canonical import digest, plain
from isthmus.model.errors import IsthmusError, Refused, Untrusted
from isthmus.sdk.connect import entered

ATTACK = Attack(
    "The hub drops an output checker's vote", "sites follow and cosign each head between runs, and release by signature"
)

HUB = key_of("hub")
REQUEST = request()
RESULT_DIGEST = digest({"analyses": {}})
OVER = case(REQUEST, RESULT_DIGEST)


def ledger(*votes: Any, before: int = 3, at: Any = NOW) -> Log:
    """A hub's ledger with the votes in it."""
    log = Log(MemoryStore(), "hub", lambda: at)
    for number in range(before):
        log.append("decision", {"run": f"{number}"})
    for vote in votes:
        log.append("approval", {"step": "vote", "run": OVER.run, "envelope": digest(vote)})
    return log


def offered(log: Log, old: int, key: Any = HUB) -> dict[str, Any]:
    head = log.head()
    proof = log.consistency(old, head.size) if old <= head.size else ()
    return {"note": sign_checkpoint("hub", head, key), "old": old, "proof": [step.hex() for step in proof]}


def witness(store: Store) -> SiteWitness:
    memory = SqlMemory(store, Ledger(store, "site/leeds", lambda: NOW))
    identity: Any = SimpleNamespace(name="leeds", key=key_of("leeds"))
    return SiteWitness(memory, identity, HUB.public, lambda: int(NOW.timestamp()))


def code_of(action: Any) -> str:
    with pytest.raises(IsthmusError) as caught:
        action()
    return caught.value.code


REJECTS, ACCEPTS = envelope("cleo", OVER, "reject", "result"), envelope("cora", OVER, "accept", "result")


def test_the_hubs_own_signature_stands_under_either_story(leak: Say) -> None:
    whole, without = ledger(REJECTS, ACCEPTS), ledger(ACCEPTS)
    for log in (whole, without):
        assert verify_checkpoint(offered(log, 0)["note"], HUB.public, {}).head == log.head()
    leak("both ledgers are signed by the hub, and the refusal is in one of them alone")


def test_a_site_that_holds_the_vote_takes_no_ledger_without_it(tmp_path: Path, stop: Say) -> None:
    store = open_store(tmp_path / "state.db")
    site, whole = witness(store), ledger(REJECTS)
    answer = site.cosigned(offered(whole, 0))
    note = with_cosignatures(offered(whole, 0)["note"], [answer["line"]])
    assert verify_checkpoint(note, HUB.public, {"leeds": key_of("leeds").public}).cosigners == ("leeds",)
    for other in (ledger(), ledger(ACCEPTS), ledger(ACCEPTS, ACCEPTS), ledger(before=9)):
        assert code_of(lambda other=other: site.cosigned(offered(other, whole.head().size))) == "E-LEDGER"
        again = witness(store)  # after a restart too
        assert code_of(lambda other=other, again=again: again.cosigned(offered(other, whole.head().size))) == "E-LEDGER"
    assert "line" not in site.cosigned(offered(ledger(ACCEPTS), 0))  # from a head that it does not hold any more
    grown = ledger(REJECTS, ACCEPTS)
    assert "line" in site.cosigned(offered(grown, whole.head().size))
    assert code_of(lambda: site.cosigned(offered(grown, grown.head().size, key_of("oslo")))) == "E-SIGNATURE"
    stop("each site refuses four other ledgers, without a run and after a restart, and follows the one that goes on")


def votes_in(log: Log) -> dict[str, Any]:
    size = log.head().size
    found = [at for at in range(size) if log.entry(at).facts.get("step") == "vote"]
    proven = [{"entry": plain(log.entry(at)), "proof": [h.hex() for h in log.inclusion(at, size)]} for at in found]
    return {"size": size, "entries": proven}


def released(
    tmp_path: Path, votes: list[Any], log: Log, agreement: Agreement = AGREEMENT, *, dropped_out: bool = False
) -> Any:
    """What the site says to votes that the hub shows it, with their entries in this ledger."""
    store = open_store(tmp_path / "state.db")
    site = witness(store)
    site.cosigned(offered(log, 0))
    reviewer = SiteReviewer(SiteReview(agreement, "leeds", SqlReviews(store)), lambda _request, _now: None)  # type: ignore[arg-type,return-value]
    if not dropped_out:
        reviewer.concluded(OVER.run, RESULT_DIGEST)
    shown = Shown(OVER.run, asked(REQUEST), tuple(votes), site.voted(votes_in(log), OVER.run))
    return reviewer.consider(shown, NOW)


CLEO, CARL = envelope("cleo", OVER, "accept", "result"), envelope("carl", OVER, "accept", "result")


def test_two_votes_of_two_countries_in_the_ledger_release_it(tmp_path: Path) -> None:
    heard = released(tmp_path, [CLEO, ACCEPTS], ledger(CLEO, ACCEPTS))
    assert (heard.answer.verdict, set(heard.answer.by)) == ("released", {"cleo", "cora"})
    votes = [digest(CLEO), digest(ACCEPTS)]
    assert heard.release == release_statement("federated", OVER.run, RESULT_DIGEST, votes)


def test_a_site_that_dropped_out_of_the_run_signs_no_release(tmp_path: Path) -> None:
    assert released(tmp_path, [CLEO, ACCEPTS], ledger(CLEO, ACCEPTS), dropped_out=True).release is None


@pytest.mark.parametrize(
    ("votes", "entered"),
    [
        ([CLEO, ACCEPTS], [CLEO]),  # a vote that is not in the ledger
        ([CLEO], [CLEO]),
        ([CLEO, CARL], [CLEO, CARL]),  # one country
        ([CLEO, envelope("cora", case(REQUEST, digest("other")), "accept", "result")], [CLEO, ACCEPTS]),
    ],
)
def test_other_votes_do_not(tmp_path: Path, votes: list[Any], entered: list[Any]) -> None:
    with pytest.raises(Refused) as refused:
        released(tmp_path, votes, ledger(*entered))
    assert refused.value.code == "E-NOT-CHECKED"


def test_one_refusal_among_the_votes_is_what_counts(tmp_path: Path) -> None:
    heard = released(tmp_path, [ACCEPTS, REJECTS], ledger(ACCEPTS, REJECTS))
    assert (heard.answer.verdict, heard.answer.by, heard.release) == ("rejected", ("cleo",), None)


def test_training_is_that_of_the_day_on_which_the_ledger_took_the_vote_in(tmp_path: Path) -> None:
    """All trainings end today: votes that were entered today count, and the same ones entered tomorrow do not."""
    ended = alliance(str(NOW.date()))
    old = [
        sign_approval(make_approval(OVER, "result", "accept", person(who), (NOW, "")), key_of(who))
        for who in ("cleo", "cora")
    ]
    early = ledger(*old, at=NOW)
    for name in ("early", "late"):
        (tmp_path / name).mkdir()
    assert released(tmp_path / "early", old, early, ended).answer.verdict == "released"
    with pytest.raises(Refused, match="E-TRAINING"):
        released(tmp_path / "late", old, ledger(*old, at=NOW + timedelta(days=1)), ended)
    with pytest.raises(Untrusted):  # entries of a ledger that this site does not hold
        witness(open_store(tmp_path / "other.db")).voted(votes_in(early), OVER.run)


def test_what_the_hub_says_of_an_entry_is_what_the_ledger_says(tmp_path: Path) -> None:
    """An entry told with an earlier time, one of another run's vote, and a head of another ledger."""
    site, late = witness(open_store(tmp_path / "state.db")), ledger(CLEO, ACCEPTS, at=NOW + timedelta(days=1))
    site.cosigned(offered(late, 0))
    said = votes_in(late)
    assert set(site.voted(said, OVER.run).values()) == {NOW + timedelta(days=1)}
    said["entries"][0]["entry"]["time"] = ledger(CLEO).entry(3).time
    assert code_of(lambda: site.voted(said, OVER.run)) == "E-LEDGER"
    assert site.voted(votes_in(late), "sha256:" + "0" * 64) == {}
    fresh = witness(open_store(tmp_path / "fresh.db"))
    private = {**offered(late, 0), "note": sign_checkpoint("hub/private", late.head(), HUB)}
    assert code_of(lambda: fresh.cosigned(private)) == "E-LEDGER"


def test_a_voter_is_shown_that_the_vote_is_entered_or_believes_nothing() -> None:
    """A hub that takes a vote and does not enter it has no proof to show for it."""
    log = ledger(CLEO, ACCEPTS)
    sites = {site.site: site.key for site in AGREEMENT.sites}

    def answer(index: int, key: Any = HUB) -> dict[str, Any]:
        note = offered(log, 0, key)["note"]
        return {"proof": proof_of(log, index, (note, log.head().size), (key.public.hex(), sites)).decode()}

    assert entered(answer(3), CLEO, AGREEMENT, "vote") == {"entry": 3, "sites": []}
    other = envelope("carl", OVER, "accept", "result")
    for shown, code in ((answer(3), "E-LEDGER"), (answer(0), "E-LEDGER"), ({}, "E-LEDGER")):
        assert code_of(lambda shown=shown: entered(shown, other, AGREEMENT, "vote")) == code
    assert code_of(lambda: entered(answer(3, key_of("oslo")), CLEO, AGREEMENT, "vote")) == "E-LEDGER"
