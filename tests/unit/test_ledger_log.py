"""The log over a store, its entries, how a witness follows it, and the notes made of its heads."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from isthmus.crypto.keys import SigningKey
from isthmus.ledger.checkpoint import cosign, sign_checkpoint, verify_checkpoint, with_cosignatures
from isthmus.ledger.document import read_canonical
from isthmus.ledger.entries import EVENTS, Entry, decode_entry, encode_entry, timestamp
from isthmus.ledger.log import Head, Log, MemoryStore, follow, head_of
from isthmus.ledger.merkle import Tree, root, verify_consistency, verify_inclusion
from isthmus.model.canonical import canonical
from isthmus.model.errors import Invalid, Untrusted

NOON = datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)


class Clock:
    """A second passes at every look."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def filled(count: int) -> tuple[MemoryStore, Log]:
    store = MemoryStore()
    log = Log(store, "isthmus/test", Clock())
    for at in range(count):
        assert log.append("round", {"round": at, "ctx": "sha256:00"}) == at
    return store, log


def test_an_entry_says_what_when_and_where() -> None:
    _, log = filled(2)
    assert log.entry(1) == Entry(
        event="round", facts={"round": 1, "ctx": "sha256:00"}, time="2026-01-31T12:00:02.123Z", sequence=1
    )
    assert [entry.sequence for entry in log.entries()] == [0, 1]
    with pytest.raises(Invalid, match="E-PROOF"):
        log.entry(2)


def test_a_time_is_utc_and_has_a_zone() -> None:
    assert timestamp(NOON.astimezone(timezone(timedelta(hours=-5)))) == "2026-01-31T12:00:00.123Z"
    with pytest.raises(Invalid, match="E-ENTRY"):
        timestamp(NOON.replace(tzinfo=None))


def test_every_event_is_explained_and_no_other_is_written() -> None:
    assert {"study", "decision", "round", "release", "refusal", "history", "border"} <= set(EVENTS)
    assert all(EVENTS.values())
    _, log = filled(0)
    for event in EVENTS:
        log.append(event, {})
    with pytest.raises(Invalid, match="E-ENTRY"):
        log.append("gossip", {})
    with pytest.raises(Invalid, match="E-ENTRY"):
        log.append("round", {"too": "long" * 20_000})
    with pytest.raises(Invalid, match="E-JSON"):
        log.append("round", {"not": float("nan")})
    assert log.head().size == len(EVENTS)  # what was refused left nothing


def test_a_log_opened_again_is_the_same_log() -> None:
    store, log = filled(2500)
    again = Log(store, "isthmus/test", Clock())
    assert again.head() == log.head()
    assert again.append("release", {}) == 2500
    assert again.head(2500) == log.head()


def test_a_store_with_a_changed_lost_or_exchanged_entry_does_not_open() -> None:
    store, _ = filled(5)
    leaves = list(store.read(0, 5))
    lost, exchanged = MemoryStore(), MemoryStore()
    for at in (0, 1, 3, 4):
        lost.append([leaves[at]], ())
    for at in (0, 2, 1, 3, 4):
        exchanged.append([leaves[at]], ())
    for bad in (lost, exchanged):
        with pytest.raises(Untrusted, match="E-LEDGER"):
            Log(bad, "isthmus/test", Clock())
    noise = MemoryStore()
    noise.append([leaves[0] + b" "], ())
    with pytest.raises(Invalid, match="E-CANONICAL"):
        Log(noise, "isthmus/test", Clock())


def test_a_log_of_many_blocks_proves_what_one_tree_proves() -> None:
    store, _ = filled(700)
    again = Log(store, "isthmus/test", Clock())
    leaves, tree = store.read(0, 700), Tree()
    for leaf in leaves:
        tree.append(leaf)
    assert list(store.roots()) == [root(leaves[:256]), root(leaves[256:512])]
    for size in (1, 255, 256, 257, 511, 512, 513, 700):
        assert again.head(size).root == tree.root(size) == root(leaves[:size])
        assert again.consistency(size) == tree.consistency_proof(size, 700)
        verify_consistency(size, 700, tree.root(size), tree.root(), again.consistency(size))
        for index in {0, size // 2, size - 1}:
            assert again.inclusion(index, size) == tree.inclusion_proof(index, size)
            verify_inclusion(index, size, leaves[index], again.inclusion(index, size), tree.root(size))


def test_entries_appended_together_are_all_there_or_none() -> None:
    store, log = filled(250)
    assert log.append_many([("round", {"round": at}) for at in range(600)]) == range(250, 850)
    assert len(store.roots()) == 3
    assert Log(store, "isthmus/test", Clock()).head() == log.head()
    with pytest.raises(Invalid, match="E-ENTRY"):
        log.append_many([("round", {}), ("gossip", {})])
    assert (store.size(), log.head().size) == (850, 850)


def test_a_store_from_before_the_blocks_gets_their_roots() -> None:
    store, log = filled(600)
    older = MemoryStore()
    older.append(store.read(0, 600), ())
    assert Log(older, "isthmus/test", Clock()).head() == log.head()
    assert older.roots() == store.roots()


def test_a_changed_entry_of_a_full_block_is_noticed_when_a_proof_needs_it() -> None:
    store, log = filled(600)
    leaves = list(store.read(0, 600))
    leaves[300] = leaves[300].replace(b'"round":300', b'"round":301')
    changed = MemoryStore()
    changed.append(leaves, store.roots())
    opened = Log(changed, "isthmus/test", Clock())
    assert opened.inclusion(5, 256) == log.inclusion(5, 256)
    with pytest.raises(Untrusted, match="E-LEDGER"):
        opened.inclusion(299, 600)


def test_a_store_with_a_block_whose_entries_are_lost_does_not_open() -> None:
    store, _ = filled(600)
    cut = MemoryStore()
    cut.append(store.read(0, 300), store.roots())
    with pytest.raises(Untrusted, match="E-LEDGER"):
        Log(cut, "isthmus/test", Clock())


@pytest.mark.parametrize(
    "changed",
    [
        {"event": "gossip"},
        {"time": "yesterday"},
        {"time": "2026-01-31T12:00:00Z"},
        {"sequence": -1},
        {"sequence": True},
        {"sequence": "0"},
        {"facts": []},
        {"more": 1},
    ],
)
def test_a_malformed_entry_is_refused(changed: dict[str, object]) -> None:
    good = Entry(event="round", facts={}, time="2026-01-31T12:00:00.000Z", sequence=0)
    raw = canonical(json.loads(encode_entry(good)) | changed)
    with pytest.raises(Invalid, match="E-ENTRY"):
        decode_entry(raw)
    for cut in (b"", b"[]", raw[:-1]):
        with pytest.raises(Invalid):
            decode_entry(cut)


@pytest.mark.parametrize("origin", ["", "a b", "1abc", "a\nb", "a+b", "DSSEv1 ", "x" * 129])
def test_an_origin_cannot_be_taken_for_another_text(origin: str) -> None:
    with pytest.raises(Invalid, match="E-ORIGIN"):
        Log(MemoryStore(), origin, Clock())


def test_a_witness_follows_a_log_that_only_grows() -> None:
    _, log = filled(3)
    seen = follow(None, log.head(), ())
    for _ in range(6):
        log.append("round", {})
        seen = follow(seen, log.head(), log.consistency(seen.size))
    assert seen == log.head()


def test_a_witness_leaves_a_log_that_was_cut_or_rewritten() -> None:
    _, log = filled(6)
    seen = log.head()
    _, short = filled(4)
    other = Log(MemoryStore(), "isthmus/test", Clock())
    for at in range(8):
        other.append("refusal", {"code": f"E-{at}"})
    with pytest.raises(Untrusted, match="E-LEDGER"):
        follow(seen, short.head(), ())
    with pytest.raises(Untrusted, match="E-LEDGER"):
        follow(seen, other.head(), other.consistency(6))


READ_BACK = [
    "a",
    "\x7f",
    "\u00e9",
    0,
    -1,
    10**14,
    10**15,
    2**53 - 1,
    1e20,
    0.5,
    -0.0,
    [],
    {"b": [None, True]},
    {"\U0001f600": 1},
]


@pytest.mark.parametrize("value", READ_BACK, ids=repr)
def test_what_is_canonical_is_read_back(value: object) -> None:
    raw = canonical({"a": value})
    assert canonical(read_canonical(raw, "test")) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1}', b'{"a":1,"a":1}', b'{"b":1,"a":2}', b'{"a":-0}', b'{"a":01}', b'{"a":1.0}', b'{"a":1e3}',
        b'{"a":NaN}', b'{"a":"\\u0041"}', b'{"a":"\\/"}', b'{"a":"\\u00e9"}', b'{"a":1}\n', b'{"a":"\xff"}', b"",
        b'{"a":1000000000000000000000}', b'{"a":9007199254740993}',
    ],
)  # fmt: skip
def test_what_is_not_canonical_is_not_read(raw: bytes) -> None:
    with pytest.raises(Invalid, match="E-CANONICAL"):
        read_canonical(raw, "test")


def test_an_entry_is_proved_to_whoever_holds_a_head() -> None:
    store, log = filled(9)
    head = log.head(7)
    leaf = store.read(4, 5)[0]
    verify_inclusion(4, head.size, leaf, log.inclusion(4, 7), head.root)
    with pytest.raises(Untrusted, match="E-LEDGER"):
        verify_inclusion(4, 9, leaf, log.inclusion(4, 7), head.root)


def test_a_head_travels_as_json_and_nothing_else_does() -> None:
    head = Head(size=3, root=bytes(32))
    sent = json.loads(json.dumps(head.to_json()))
    assert head_of(sent) == head
    bad = [None, {}, sent | {"size": -1}, sent | {"size": True}, sent | {"size": 1.0}, sent | {"x": 1}]
    bad += [sent | {"root": "0" * 63}, sent | {"root": "A" * 64}, sent | {"root": 7}]
    for value in bad:
        with pytest.raises(Invalid, match="E-HEAD"):
            head_of(value)


def test_a_checkpoint_carries_its_cosignatures() -> None:
    keys = {name: SigningKey.generate() for name in ("hub", "leeds", "boston")}
    public = {name: key.public for name, key in keys.items()}
    _, log = filled(5)
    note = sign_checkpoint(log.origin, log.head(), keys["hub"])
    lines = [cosign(note, site, keys[site], 1_750_000_000) for site in ("leeds", "boston")]
    full = with_cosignatures(note, lines)
    assert full == with_cosignatures(with_cosignatures(note, lines[:1]), lines[1:])
    found = verify_checkpoint(full, public["hub"], public)
    assert (found.origin, found.head, found.cosigners) == ("isthmus/test", log.head(), ("leeds", "boston"))
    assert verify_checkpoint(note, public["hub"], public).cosigners == ()


def test_every_changed_byte_of_a_checkpoint_is_refused_or_loses_its_cosigner() -> None:
    keys = {name: SigningKey.from_bytes(name.encode().ljust(32)) for name in ("hub", "leeds")}
    public = {name: key.public for name, key in keys.items()}
    _, log = filled(5)
    note = sign_checkpoint(log.origin, log.head(), keys["hub"])
    full = with_cosignatures(note, [cosign(note, "leeds", keys["leeds"], 1)])
    for at, letter in enumerate(full):
        changed = full[:at] + chr(ord(letter) ^ 1) + full[at + 1 :]
        try:
            found = verify_checkpoint(changed, public["hub"], public)
        except (Invalid, Untrusted):
            continue
        assert found.cosigners == ()
        assert found.head == log.head()


def test_a_cosignature_moved_to_another_checkpoint_is_refused() -> None:
    keys = {name: SigningKey.generate() for name in ("hub", "leeds")}
    public = {name: key.public for name, key in keys.items()}
    _, log = filled(2)
    old = sign_checkpoint(log.origin, log.head(1), keys["hub"])
    new = sign_checkpoint(log.origin, log.head(2), keys["hub"])
    moved = with_cosignatures(new, [cosign(old, "leeds", keys["leeds"], 1)])
    with pytest.raises(Untrusted, match="E-SIGNATURE"):
        verify_checkpoint(moved, public["hub"], public)


def test_bad_names_and_times_are_not_cosigned() -> None:
    key = SigningKey.generate()
    _, log = filled(1)
    note = sign_checkpoint(log.origin, log.head(), key)
    for name, seconds in (("a b", 1), ("", 1), ("a+b", 1), ("leeds", 0), ("leeds", 2**63)):
        with pytest.raises(Invalid, match="E-CHECKPOINT"):
            cosign(note, name, key, seconds)
    with pytest.raises(Invalid, match="E-CHECKPOINT"):
        with_cosignatures(note, ["not a line"])
