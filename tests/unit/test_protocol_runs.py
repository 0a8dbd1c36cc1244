"""A whole run over the in-memory network: sums, any order of delivery, duplicates, the vote, large replies, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from isthmus.federation.memory import Link, Network
from isthmus.federation.messages import HUB, FilePayload, Message
from isthmus.federation.protocol.charter import Step
from isthmus.federation.protocol.hub import Concluded, Failed, Running
from isthmus.federation.protocol.site import Concluding
from isthmus.federation.protocol.stopped import told
from isthmus.ledger.bundle import Contents, make_bundle
from isthmus.ledger.log import Log
from isthmus.ledger.verify import verify_bundle
from isthmus.model.errors import Refused, Untrusted
from secagg_lab import Drawn, Lab, lab


def concluded(network: Network) -> Concluded:
    state = network.hub.state
    assert isinstance(state, Concluded), state
    return state


@pytest.mark.parametrize("sites", [2, 3, 4, 5, 10])
def test_the_sum_is_the_sum(tmp_path: Path, sites: int) -> None:
    made = lab(tmp_path, sites)
    network = made.network()
    network.run()
    done = concluded(network)
    assert network.refusals == []
    total = sum(np.float64(made.value(name)) for name in made.names)
    assert done.result["sums"]["count"] == pytest.approx([15 * total], rel=1e-15)
    assert done.result["counts"]["count"] == [sum(round(made.value(name)) for name in made.names)]
    assert len(done.signatures) >= made.charter.threshold
    for site in network.sites.values():
        assert site.state.result == done.result


def sums(network: Network) -> list[tuple[str, int, str]]:
    return [(e.question, e.round, e.sum) for e in concluded(network).signed.entries]


def shuffled(seed: str):
    draw = Drawn(seed)

    def choose(links: Sequence[Link]) -> Link:
        return links[int.from_bytes(draw(8), "big") % len(links)]

    return choose


@pytest.mark.parametrize("seed", ["one", "two", "three", "four"])
def test_any_order_of_delivery_gives_the_same_bits(tmp_path: Path, seed: str) -> None:
    first = lab(tmp_path / "first", 5).network()
    first.run()
    other = lab(tmp_path / "other", 5).network()
    other.run(shuffled(seed))
    assert concluded(first).result == concluded(other).result
    assert sums(first) == sums(other)
    assert concluded(first).transcript != concluded(other).transcript  # salted: knowing the sums does not give it
    assert other.refusals == []


def test_duplicates_change_nothing(tmp_path: Path) -> None:
    """Every message arrives twice, and old ones again later: nothing but E-REPLAY, E-ENDED or the cached bytes."""
    plain = lab(tmp_path / "plain", 4).network()
    plain.run()
    made = lab(tmp_path / "doubled", 4)
    network = made.network()
    old: list[tuple[str, Message]] = []
    deliver = Network.deliver

    for site in network.sites:
        network.connect(site)
    while network.links:
        link = next(iter(network.links))
        message = network.links[link][0]
        network.step(link)
        deliver(network, link[1], message)
        old.append((link[1], message))
        if len(old) % 7 == 0:
            deliver(network, *old[len(old) // 2])
    assert concluded(network).result == concluded(plain).result
    assert {refusal.error.code for refusal in network.refusals} <= {"E-REPLAY", "E-ENDED", "E-ORDER"}


def test_what_comes_again_while_the_result_is_signed_is_a_replay(tmp_path: Path) -> None:
    """It stops no run."""
    network = lab(tmp_path).network()
    for name in network.sites:
        network.connect(name)
    old = []
    while not isinstance(network.sites["a"].state, Concluding):
        link = next(iter(network.links))
        if link == (HUB, "a") and network.links[link][0].kind in {"round", "survivors", "open"}:
            old.append(network.links[link][0])
        network.step(link)
    for message in old:
        with pytest.raises(Untrusted) as caught:
            network.sites["a"].receive(message)
        assert caught.value.code == "E-REPLAY"
        assert network.sites["a"].refusal(caught.value) == ()


def test_a_masked_reply_is_made_once(tmp_path: Path) -> None:
    """Invariant 1: asked again, a site resends the very bytes."""
    network = lab(tmp_path).network()
    asked = run_until(network, "round", "a")
    first = network.sites["a"].receive(asked) or network.sites["a"].release()
    assert network.sites["a"].receive(asked) == first
    assert first[0].kind == "masked"


def run_until(network: Network, kind: str, site: str) -> Message:
    """Deliver until the hub sends `kind` to `site`; that message is taken off its link."""
    for name in network.sites:
        network.connect(name)
    while True:
        waiting = network.links.get((HUB, site))
        if waiting and waiting[0].kind == kind:
            return waiting.popleft()
        network.step(next(link for link in network.links if network.links[link][0].kind != kind or link[1] != site))


def test_the_vote_is_answered_at_a_fixed_time(tmp_path: Path) -> None:
    made = lab(tmp_path, vote_after=0.25)
    network = made.network()
    site = network.sites["a"]
    asked = run_until(network, "round", "a")
    assert site.due is None
    assert site.receive(asked) == ()
    assert site.due == 0.25
    assert site.receive(asked) == ()  # asked again before its time: still held back
    (answer,) = site.release()
    assert answer.kind == "masked"
    assert site.due is None
    assert site.receive(asked) == (answer,)


def test_final_sums_are_withheld_until_the_end(tmp_path: Path) -> None:
    """A sum after which no round of its question follows reaches no site before the release."""
    network = lab(tmp_path, questions={"count": 1, "model": 2}).network()
    asked = run_until(network, "sum", "a")
    script = network.sites["a"].state.rounds._work.script
    assert set(script.sums) == {"model"}
    assert len(script.sums["model"]) == 1
    assert asked.header["sum"]["context"]
    network.settle()


def test_large_replies_are_spooled_and_the_report_says_whose_sum_it_is(tmp_path: Path) -> None:
    made = lab(tmp_path, width=70_000, questions={"model": 2})  # 1.1 MB a reply
    network = made.network()
    seen = set()
    deliver = network.deliver

    def watch(receiver: str, message: Message) -> None:
        if isinstance(message.body, FilePayload):
            seen.add(message.kind)
        deliver(receiver, message)

    network_run(network, watch)
    done = concluded(network)
    total = sum(made.value(name) for name in made.names)
    expected = total * 70_000 * 70_001 / 2
    assert done.result["sums"]["model"][0] == pytest.approx(expected, rel=1e-13)
    assert {"masked", "round", "sum"} <= seen
    assert done.signed.trusted == (("model", 1), ("model", 2))
    assert not list((tmp_path / "a").iterdir())  # sites erase at the end
    network.hub.forget()
    assert not list((tmp_path / "hub").iterdir())


def network_run(network: Network, deliver) -> None:
    for site in network.sites:
        network.connect(site)
    while network.links:
        link = next(iter(network.links))
        message = network.links[link].popleft()
        if not network.links[link]:
            del network.links[link]
        deliver(link[1], message)


def test_a_site_knows_which_sums_it_took_from_the_hub(tmp_path: Path) -> None:
    network = lab(tmp_path, width=70_000, questions={"model": 2}).network()
    run_until(network, "conclude", "a")
    assert network.sites["a"].trusted == (("model", 1), ("model", 2))


@pytest.mark.parametrize("refusing", ["a", "bc"])
def test_a_refused_round_ends_its_question_and_the_run_goes_on(tmp_path: Path, refusing: str) -> None:
    made = lab(tmp_path)
    network = made.network()
    for name in refusing:
        made.works[name].refuses = frozenset({("model", 2)})
    network.run()
    result = network.hub.state.result
    assert result["refused"] == ["model"]
    assert {name: len(sums) for name, sums in result["sums"].items()} == {"count": 1, "model": 1, "curve": 1}
    assert {type(site.state).__name__ for site in network.sites.values()} == {"Concluded"}


def test_a_site_that_stops_with_words_of_its_own_is_not_quoted(tmp_path: Path) -> None:
    network = lab(tmp_path).network()
    work = network.sites["b"]._work

    def stop(step: Step):
        raise Refused("E-UNSIGNED", "b has 3 rows")

    work.answer = stop
    network.run()
    assert network.hub.state == Failed(*told("E-UNSIGNED"))  # never the site's own words
    assert {type(site.state).__name__ for site in network.sites.values()} == {"Left"}


def test_secrets_are_erased_at_the_end(tmp_path: Path) -> None:
    made = lab(tmp_path)
    network = made.network()
    network.run()
    for name in made.names:
        assert [key for key, _ in made.journals[name].entries] == ["ended"]
    network.hub.forget()
    assert made.journals[HUB].entries == []


def test_the_bundle_of_a_run_verifies(tmp_path: Path) -> None:
    """What `Concluded` holds is what a result bundle needs: t signatures, t cosignatures, entries in the log."""
    made = lab(tmp_path)
    network = made.network()
    network.run()
    done = concluded(network)
    contents = Contents(
        charter=made.charter, agreement=[], study={}, result=done.result,
        transcript_digest=done.transcript, signatures=done.signatures,
    )  # fmt: skip
    log = network.hub._log
    assert isinstance(log, Log)
    raw = make_bundle(
        contents, log, sorted(network.hub.recorder.indices.values()), done.note, done.size, made.keys[HUB]
    )
    verified = verify_bundle(raw, [])
    assert verified.signers == made.names
    assert [entry.event for entry in verified.entries] == ["study", "decision", *["round"] * 6, "release"]


def test_a_site_remembers_the_hubs_ledger_between_runs(tmp_path: Path) -> None:
    """The second run's first question proves that the ledger continues what the first run's sites signed."""
    first = lab(tmp_path / "one")
    network = first.network()
    network.run()
    held = network.sites["a"].head
    assert held.size == first.store.size()
    second = lab(tmp_path / "two", run="sha256:second")
    second.store = first.store
    sites = {name: second.site(name, anchor=held) for name in second.names}
    again = Network(second.hub(), sites, second.spools)
    again.run()
    assert concluded(again).size > held.size
    forged = lab(tmp_path / "three", run="sha256:third")  # a hub whose ledger was restored from an old backup
    forgot = Network(forged.hub(), {name: forged.site(name, anchor=held) for name in forged.names}, forged.spools)
    forgot.run()
    assert forgot.hub.state.code == "E-LEDGER"


def test_progress_and_traffic(tmp_path: Path) -> None:
    network = lab(tmp_path).network()
    assert network.hub.progress().stage == "gathering"
    assert network.hub.progress().awaited == ("a", "b", "c")
    run_until(network, "survivors", "b")
    assert isinstance(network.hub.state, Running)
    assert network.hub.progress().question == "vote"
    assert "b" in network.hub.progress().awaited
    assert network.hub.traffic["a"].received > 2000


def test_parties_must_be_the_charters(tmp_path: Path) -> None:
    made = lab(tmp_path)
    made.keys["a"], made.keys["b"] = made.keys["b"], made.keys["a"]
    with pytest.raises(Untrusted, match="charter") as caught:
        made.site("a")
    assert caught.value.code == "E-ROSTER"
    made.keys[HUB] = made.keys["a"]
    with pytest.raises(Untrusted) as caught:
        made.hub()
    assert caught.value.code == "E-ROSTER"


def test_a_site_that_computes_another_result_blocks_the_release(tmp_path: Path) -> None:
    made: Lab = lab(tmp_path)
    network = made.network()
    network.sites["c"]._work.conclude = lambda survivors: {"sums": "others"}
    network.run()
    assert network.hub.state.code == "E-RESULT"


def test_the_hub_expects_a_large_body_of_those_alone_whose_reply_is_missing(tmp_path: Path) -> None:
    network = lab(tmp_path, vote=False).network()
    assert network.hub.expects("a") == 0
    for name in network.sites:
        network.connect(name)
    while not any(message.kind == "masked" for queue in network.links.values() for message in queue):
        network.step(next(iter(network.links)))
    size = next(m.body.size for queue in network.links.values() for m in queue if m.kind == "masked")
    assert {name: network.hub.expects(name) for name in "abc"} == dict.fromkeys("abc", size)
    assert network.hub.expects("z") == 0
    link = next(key for key, queue in network.links.items() if queue[0].kind == "masked")
    network.step(link)
    assert network.hub.expects(link[0]) == 0


@pytest.mark.parametrize("code", ["leeds has 3 rows", "E-" + "A" * 60, "E-LEEDS-HAS-3\n", "E-ROW-1-2-3-4-5"])
def test_a_site_has_no_words_of_its_own_in_a_code(code: str) -> None:
    assert told(code) == told("E-UNKNOWN")
