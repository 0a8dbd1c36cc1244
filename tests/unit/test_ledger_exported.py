"""A whole ledger in a file: what holds is said, and whatever was changed, cut or told twice is noticed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from isthmus.crypto.envelope import sign_envelope
from isthmus.crypto.keys import SigningKey
from isthmus.ledger.checkpoint import cosign, sign_checkpoint, verify_checkpoint, with_cosignatures
from isthmus.ledger.exported import (
    Beside,
    Cover,
    Exported,
    Signer,
    check_agreed,
    check_decisions,
    check_envelopes,
    check_exports,
    check_keys,
    export_lines,
    open_exported,
    uncosigned,
)
from isthmus.ledger.log import Log, MemoryStore
from isthmus.ledger.proved import check_proof, is_proof, proof_of
from isthmus.ledger.words import Search, found, in_words, runs_of
from isthmus.model.errors import Invalid, IsthmusError, Untrusted

KEYS = {name: SigningKey.from_bytes(name.encode().ljust(32)) for name in ("hub", "leeds", "boston")}
SITES = {name: KEYS[name].public.hex() for name in ("leeds", "boston")}
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def grown(origin: str, facts: list[dict[str, Any]]) -> tuple[MemoryStore, Log]:
    store, seconds = MemoryStore(), iter(range(10_000))
    log = Log(store, origin, lambda: NOON + timedelta(seconds=next(seconds)))
    for fact in facts:
        log.append(fact.pop("event", "round"), fact)
    return store, log


def rounds(count: int) -> list[dict[str, Any]]:
    return [{"round": at} for at in range(count)]


def exported(path: Path, owner: str, log: tuple[MemoryStore, Log], marks: Any = None, notes: Any = ()) -> Exported:
    store, held = log
    cover = Cover(
        owner=owner,
        key=KEYS[owner].public.hex(),
        time=NOON.isoformat(),
        checkpoint=sign_checkpoint(held.origin, held.head(), KEYS[owner]),
        cosigned=tuple(notes),
        witnesses=SITES if owner == "hub" else {},
        marks=marks or {},
    )
    path.write_bytes(b"".join(export_lines(cover, store.read(0, store.size()), KEYS[owner])))
    return open_exported(path)


def cosigned(log: Log, size: int) -> str:
    note = sign_checkpoint(log.origin, log.head(size), KEYS["hub"])
    return with_cosignatures(note, [cosign(note, site, KEYS[site], 1_750_000_000) for site in SITES])


def test_a_ledger_that_holds_says_what_it_holds(tmp_path: Path) -> None:
    held = grown("hub", rounds(7))
    made = exported(tmp_path / "hub.ledger", "hub", held, notes=[cosigned(held[1], 5)])
    assert check_exports([made]) == ["hub: signed by its owner, 7 entries", "hub: cosigned by leeds, boston, 5 entries"]
    assert [entry.facts["round"] for entry in made.entries()] == list(range(7))


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    held = grown("hub", rounds(3))
    path = tmp_path / "hub.ledger"
    exported(path, "hub", held, notes=[cosigned(held[1], 2)])
    raw = path.read_bytes()
    for at in range(len(raw)):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ (1 << at % 8)]) + raw[at + 1 :])
        with pytest.raises(IsthmusError):
            check_exports([open_exported(path)])


@pytest.mark.parametrize("cut", ["last", "first", "added", "exchanged"])
def test_an_entry_that_is_lost_added_or_exchanged_is_noticed(tmp_path: Path, cut: str) -> None:
    path = tmp_path / "hub.ledger"
    exported(path, "hub", grown("hub", rounds(5)))
    cover, *leaves = path.read_bytes().splitlines(keepends=True)
    changed = {
        "last": leaves[:-1],
        "first": leaves[1:],
        "added": [*leaves, leaves[-1]],
        "exchanged": [leaves[1], leaves[0], *leaves[2:]],
    }[cut]
    path.write_bytes(b"".join([cover, *changed]))
    with pytest.raises(Untrusted, match="E-LEDGER"):
        check_exports([open_exported(path)])


def test_two_exports_of_one_ledger_are_one_story(tmp_path: Path) -> None:
    store, log = grown("hub", rounds(4))
    early = exported(tmp_path / "early.ledger", "hub", (store, log))
    for at in range(4, 9):
        log.append("round", {"round": at})
    late = exported(tmp_path / "late.ledger", "hub", (store, log))
    assert "hub: continues early.ledger, 4 entries" in check_exports([early, late])
    other = exported(tmp_path / "other.ledger", "hub", grown("hub", [{"round": 99}, *rounds(8)]))
    with pytest.raises(Untrusted, match="E-LEDGER"):
        check_exports([early, other])


def test_a_hub_that_shows_another_history_than_a_site_remembers_is_found(tmp_path: Path) -> None:
    told, shown = grown("hub", rounds(6)), grown("hub", [{"round": 99}, *rounds(8)])
    mark = {"hub": told[1].head(5).to_json()}
    leeds = exported(tmp_path / "leeds.ledger", "leeds", grown("site/leeds", rounds(2)), marks=mark)
    honest = exported(tmp_path / "hub.ledger", "hub", told)
    assert "hub: as leeds remembers it, 5 entries" in check_exports([honest, leeds])
    for path, log in (("forked", shown), ("cut", grown("hub", rounds(4)))):
        with pytest.raises(Untrusted, match="E-LEDGER"):
            check_exports([exported(tmp_path / f"{path}.ledger", "hub", log), leeds])


def test_a_hub_that_wrote_its_ledger_anew_is_found_by_a_checkpoint_that_came_in_another_file(tmp_path: Path) -> None:
    told, anew = grown("hub", rounds(6)), grown("hub", [{"round": 99}, *rounds(8)])
    witnesses = {site: KEYS[site].public for site in SITES}
    note = verify_checkpoint(cosigned(told[1], 5), KEYS["hub"].public, witnesses)
    shown = Beside(what="the bundle of a run", checkpoint=note, key=KEYS["hub"].public.hex())
    honest, forged = (exported(tmp_path / f"{n}.ledger", "hub", log) for n, log in (("a", told), ("b", anew)))
    assert uncosigned([honest]) == ("hub",)
    assert uncosigned([honest], [shown]) == ()
    assert "hub: the bundle of a run, cosigned by leeds, boston, 5 entries" in check_exports([honest], [shown])
    with pytest.raises(Untrusted, match="the bundle of a run, cosigned by leeds, boston is of another ledger"):
        check_exports([forged], [shown])
    cut = exported(tmp_path / "c.ledger", "hub", grown("hub", rounds(3)))
    with pytest.raises(Untrusted, match="has 5 entries, and this file 3: it is older, or entries were cut off"):
        check_exports([cut], [shown])
    with pytest.raises(Untrusted, match="signed by two keys"):
        check_exports([honest], [replace(shown, key="00" * 32)])


def test_a_site_that_shows_less_than_the_hub_remembers_is_found(tmp_path: Path) -> None:
    site = grown("site/leeds", rounds(6))
    hub = exported(tmp_path / "hub.ledger", "hub", grown("hub", []), marks={"leeds": site[1].head().to_json()})
    assert "site/leeds: as hub remembers it, 6 entries" in check_exports(
        [hub, exported(tmp_path / "leeds.ledger", "leeds", site)]
    )
    with pytest.raises(Untrusted, match="E-LEDGER"):
        check_exports([hub, exported(tmp_path / "old.ledger", "leeds", grown("site/leeds", rounds(3)))])


def test_keys_are_those_of_the_agreement(tmp_path: Path) -> None:
    made = exported(tmp_path / "hub.ledger", "hub", grown("hub", rounds(1)))
    signer = Signer(owner="hub", key=KEYS["hub"].public.hex(), witnesses=SITES)
    keys = (made.cover.key, made.cover.witnesses)
    check_keys(made.origin, keys, signer)
    for other in (replace(signer, key=KEYS["leeds"].public.hex()), replace(signer, witnesses={})):
        with pytest.raises(Untrusted, match="E-LEDGER"):
            check_keys(made.origin, keys, other)


def test_signatures_of_people_in_entries_are_checked(tmp_path: Path) -> None:
    signer = SigningKey.from_bytes(b"bo".ljust(32))
    people = {"bo": signer.public}

    def told(envelope: Any) -> Exported:
        facts: dict[str, Any] = {"event": "revocation", "by": "bo", "envelope": envelope}
        return exported(tmp_path / "leeds.ledger", "leeds", grown("site/leeds", [dict(facts) for _ in range(3)]))

    good = sign_envelope("application/json", b"{}", [("bo", signer)])
    assert check_envelopes(told(good), people, None) == (3, 3)
    assert check_envelopes(told(good), people, 2) == (2, 3)
    for bad in ({**good, "payload": "e30g"}, sign_envelope("application/json", b"{}", [("eve", signer)])):
        with pytest.raises(IsthmusError, match=r"E-SIGNATURE|E-ENVELOPE"):
            check_envelopes(told(bad), people, None)


def test_another_file_is_no_ledger(tmp_path: Path) -> None:
    for raw in (b"", b"{}\n", b"[]\n", b'{"schema":"isthmus/ledger/1"}\n', b"\xff\n"):
        (tmp_path / "x").write_bytes(raw)
        with pytest.raises(Invalid):
            open_exported(tmp_path / "x")


def test_one_entry_is_proved_to_whoever_has_the_file() -> None:
    _, log = grown("hub", rounds(9))
    raw = proof_of(log, 3, (cosigned(log, 7), 7), (KEYS["hub"].public.hex(), SITES))
    entry, checkpoint, _, _ = check_proof(raw)
    assert (entry.facts, checkpoint.head, checkpoint.cosigners) == ({"round": 3}, log.head(7), ("leeds", "boston"))
    assert is_proof(raw)
    for at in range(len(raw)):
        try:
            same, held, _, _ = check_proof(raw[:at] + bytes([raw[at] ^ (1 << at % 8)]) + raw[at + 1 :])
        except IsthmusError:
            continue
        assert (same, held.head) == (entry, checkpoint.head)
        assert len(held.cosigners) < 2  # a line of another name or key is passed over
    with pytest.raises(Invalid, match="E-PROOF"):
        proof_of(log, 8, (cosigned(log, 7), 7), (KEYS["hub"].public.hex(), SITES))


STORY: list[dict[str, Any]] = [
    {"event": "study", "run": "sha256:aa11", "study": "sha256:bb22"},
    {"event": "decision", "run": "sha256:aa11", "decision": "joined", "snapshots": {"leeds": "x"}},
    {"event": "round", "run": "sha256:aa11", "question": "q", "round": 1, "survivors": ["leeds"]},
    {"event": "refusal", "by": "ada", "code": "E-KIND"},
    {
        "event": "decision",
        "agreement": "sha256:cc33",
        "verdict": "admitted",
        "judged": {"XB-07": "bo, 2026-11-01: once"},
    },
    {"event": "release", "run": "sha256:aa11", "result": "sha256:dd44"},
    {"event": "approval", "run": "sha256:aa11", "step": "return", "by": "bo", "party": "uk", "reason": "say why"},
    {"event": "waiting", "run": "sha256:aa11", "sites": ["leeds"]},
    {"event": "border", "run": "sha256:aa11", "messages": 3, "bytes": 99, "head": "ab"},
]


def test_a_ledger_is_told_in_plain_words() -> None:
    _, log = grown("hub", [dict(facts) for facts in STORY])
    assert [in_words(entry) for entry in log.entries()] == [
        "study bb22 was admitted and became run aa11",
        "run aa11: leeds take part",
        "run aa11, question q round 1: the sum over leeds was opened",
        "a request of ada was not admitted: E-KIND",
        "agreement cc33: admitted; XB-07 judged by bo, 2026-11-01: once",
        "run aa11: result dd44 was concluded, signed by the sites",
        "run aa11: bo (uk) returned: say why",
        "run aa11: waits for leeds",
        "run aa11: the border register is sealed at 3 messages, 99 bytes",
    ]


def test_a_refused_decision_is_told_with_its_rule() -> None:
    refused = {"event": "refusal", "by": "ada", "what": "approval", "code": "E-SELF", "rule": "GOV-02"}
    _, log = grown("hub", [refused, {"event": "refusal", "what": "revocation", "code": "E-SIGNER", "by": "oslo"}])
    assert [in_words(entry) for entry in log.entries()] == [
        "an approval from ada was not taken: E-SELF, rule GOV-02",
        "a revocation from oslo was not taken: E-SIGNER",
    ]


def signature(by: str, time: str, envelope: str = "e1") -> dict[str, Any]:
    return {"by": by, "party": "uk", "key": "aa", "meaning": "is bound", "time": time, "envelope": envelope}


def agreed(*signatures: dict[str, Any]) -> dict[str, Any]:
    return {"event": "decision", "agreement": "sha256:cc33", "verdict": "admitted", "signatures": list(signatures)}


def test_who_signed_the_agreement_is_told_with_what_is_odd_about_the_time_they_claim() -> None:
    times = ("2026-01-31T13:59:00+02:00", "2026-01-31T12:03:00+00:00", "2025-12-17T11:00:00Z")
    _, log = grown("hub", [agreed(*(signature(f"bo{i}", time) for i, time in enumerate(times)))])
    assert in_words(log.entry(0)).split("; ") == [
        "agreement cc33: admitted",
        "signed by bo0 (uk), who says on 2026-01-31 at 11:59:00",
        "signed by bo1 (uk), who says on 2026-01-31 at 12:03:00, by a clock ahead of this ledger's",
        "signed by bo2 (uk), who says on 2025-12-17 at 11:00:00, 45 days before it was entered",
    ]
    assert list(found(log.entries(), Search(person="bo1"), frozenset()))


def test_a_signature_on_the_agreement_is_the_one_that_was_entered(tmp_path: Path) -> None:
    one, two, again = (signature(by, "2026-01-31T12:00:00Z", e) for by, e in [("bo", "e1"), ("al", "e2"), ("bo", "e3")])
    ledger = exported(tmp_path / "hub.ledger", "hub", grown("hub", [agreed(one, two), agreed(again, two)]))
    said = "hub: 2 of 2 signatures on the agreement were entered by 2026-01-31T12:00:00.000Z, entry 0"
    assert check_agreed(ledger, "sha256:cc33", {"e1": "bo", "e2": "al"}) == [said]
    assert "2 of 3" in check_agreed(ledger, "sha256:cc33", {"e2": "al", "e3": "bo", "e4": "who signed later"})[0]
    assert check_agreed(ledger, "sha256:other", {"e1": "bo"}) == []
    with pytest.raises(Untrusted, match="another signature of bo"):  # made afterwards, whatever time it claims
        check_agreed(ledger, "sha256:cc33", {"e9": "bo", "e2": "al"})


@pytest.mark.parametrize(
    ("asked", "which"),
    [
        (Search(), list(range(9))),
        (Search(event="decision"), [1, 4]),
        (Search(run="aa1"), [0, 1, 2, 5, 6, 7, 8]),
        (Search(study="sha256:bb22"), [0, 1, 2, 5, 6, 7, 8]),
        (Search(person="ada"), [3]),
        (Search(person="bo"), [4, 6]),
        (Search(code="E-KIND"), [3]),
        (Search(since="2026-01-31T12:00:04"), [4, 5, 6, 7, 8]),
        (Search(until="2026-01-31T12:00:01"), [0, 1]),
        (Search(until="2026-01"), list(range(9))),
        (Search(since="2026-02"), []),
        (Search(event="round", run="zz"), []),
    ],
)
def test_entries_are_found_by_what_they_say(asked: Search, which: list[int]) -> None:
    _, log = grown("hub", [dict(facts) for facts in STORY])
    runs = runs_of(asked.study, log.entries()) if asked.study else frozenset[str]()
    assert [entry.sequence for entry in found(log.entries(), asked, runs)] == which


def test_what_people_signed_is_what_the_ledger_names(tmp_path: Path) -> None:
    """Of one run: an accepted study, signed twice (the last counts), and two votes; a decision of another run beside."""
    said = [("accept", "a1"), ("accept", "a2"), ("vote", "v1"), ("vote", "v2")]
    facts = [{"event": "approval", "step": step, "run": "r", "envelope": envelope} for step, envelope in said]
    facts += [{"event": "approval", "step": "vote", "run": "other", "envelope": "v9"}, {"round": 1}]
    ledger = exported(tmp_path / "hub.ledger", "hub", grown("hub", facts))
    assert check_decisions(ledger, "r", ["a2", "v1", "v2"]) == 3
    for signed in (["a2", "v1"], ["a2", "v1", "v2", "v3"], ["a2", "v1", "v9"]):
        with pytest.raises(Untrusted, match="E-LEDGER"):
            check_decisions(ledger, "r", signed)
