"""The crypto layer against its vectors: what must come out, and what must fail with which code."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regenerate

from isthmus.crypto.envelope import open_envelope, pre_authentication, sign_envelope
from isthmus.crypto.exchange import ExchangeKeys, ExchangePublic, decapsulate
from isthmus.crypto.keys import SigningKey, fingerprint, verify
from isthmus.crypto.masking import mask_chunks, mask_key, share_key, sum_chunks, unmask_into
from isthmus.crypto.prg import Stream, derive
from isthmus.crypto.ring import Packing, pack, regroup, unpack
from isthmus.crypto.sealing import seal, unseal
from isthmus.crypto.shares import combine, split
from isthmus.model.errors import Invalid, IsthmusError, Untrusted
from isthmus.summary import Field, Layout, Summary

HERE = Path(__file__).resolve().parent


def load(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def failing(name: str, part: str = "must_fail") -> Any:
    return pytest.mark.parametrize("case", load(name)[part], ids=lambda case: case["name"])


def layout_of(fields: list[dict[str, Any]]) -> Layout:
    return Layout(fields=tuple(Field(name=f["name"], shape=tuple(f["shape"]), kind=f["kind"]) for f in fields))


def words_of(raw: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(raw), dtype="<u8").astype(np.uint64)


@pytest.mark.parametrize("name", list(regenerate.FILES))
def test_rerunning_the_generator_changes_nothing(name: str) -> None:
    assert (HERE / f"{name}.json").read_text(encoding="utf-8") == regenerate.text(name)


def test_keys() -> None:
    for answer in load("keys")["answers"]:
        key = SigningKey.from_bytes(bytes.fromhex(answer["seed"]))
        message = bytes.fromhex(answer["message"])
        assert key.public.hex() == answer["public"]
        assert key.sign(message).hex() == answer["signature"]
        assert fingerprint(key.public) == answer["fingerprint"]
        verify(key.public, bytes.fromhex(answer["signature"]), message)


@failing("keys")
def test_keys_must_fail(case: dict[str, Any]) -> None:
    parts = [bytes.fromhex(case[name]) for name in ("public", "signature", "message")]
    with pytest.raises(Untrusted) as caught:
        verify(*parts)
    assert caught.value.code == case["error"]


def test_prg() -> None:
    vectors = load("prg")
    for answer in vectors["answers"]:
        context = [bytes.fromhex(part) for part in answer["context"]]
        assert derive(bytes.fromhex(answer["secret"]), answer["label"], *context).hex() == answer["key"]
    assert len({answer["key"] for answer in vectors["answers"]}) == len(vectors["answers"])
    for answer in vectors["streams"]:
        count = len(answer["bytes"]) // 16
        assert Stream(bytes.fromhex(answer["key"])).words(count).tobytes().hex() == answer["bytes"]


@failing("prg")
def test_prg_must_fail(case: dict[str, Any]) -> None:
    for attempt in (Stream, lambda secret: derive(secret, "mask")):
        with pytest.raises(Invalid) as caught:
            attempt(bytes.fromhex(case["secret"]))
        assert caught.value.code == case["error"]


def agree(case: dict[str, Any]) -> bytes:
    own, peer = (ExchangeKeys.from_bytes(bytes.fromhex(case[name])) for name in ("own", "peer"))
    public = peer.public
    if "peer_x25519" in case:
        public = ExchangePublic(x25519=bytes.fromhex(case["peer_x25519"]), mlkem=public.mlkem)
    return decapsulate(own, public, bytes.fromhex(case["ciphertext"]), bytes.fromhex(case["context"]))


def test_exchange() -> None:
    for answer in load("exchange")["answers"]:
        assert agree(answer).hex() == answer["secret"]


@failing("exchange", "other_secret")
def test_exchange_gives_a_secret_under_which_nothing_opens(case: dict[str, Any]) -> None:
    right = bytes.fromhex(load("exchange")["answers"][0]["secret"])
    sealed = seal(right, b"share", b"")
    with pytest.raises(Untrusted) as caught:
        unseal(agree(case), sealed, b"")
    assert caught.value.code == "E-SEAL"


@failing("exchange")
def test_exchange_must_fail(case: dict[str, Any]) -> None:
    with pytest.raises(Untrusted) as caught:
        agree(case)
    assert caught.value.code == case["error"]


def test_numbers_are_coded_as_whole_python_numbers_say() -> None:
    cases = load("ring")["numbers"]
    values = np.array([float.fromhex(case["value"]) for case in cases])
    layout = layout_of([{"name": "x", "shape": [len(cases)], "kind": "sum"}])
    packing = Packing.of(layout, 1)
    words = pack(packing, Summary(layout, {"x": values}), b"")
    codes = [f"{int(high):016x}{int(low):016x}" for low, high in words[:-1].reshape(-1, 2)]
    assert codes == [case["code"] for case in cases]
    decoded = [float(x).hex() for x in unpack(packing, words, b"")["x"]]
    assert decoded == [case["decoded"] for case in cases]


def test_ring() -> None:
    for answer in load("ring")["answers"]:
        layout = layout_of(answer["layout"])
        values = {
            f.name: np.array(
                [float.fromhex(x) if f.dtype == np.float64 else int(x) for x in numbers], dtype=f.dtype
            ).reshape(f.shape)
            for f, numbers in zip(layout.fields, answer["fields"], strict=True)
        }
        packing, ctx = Packing.of(layout, answer["parties"]), bytes.fromhex(answer["ctx"])
        words = pack(packing, Summary(layout, values), ctx)
        assert words.astype("<u8").tobytes().hex() == answer["words"]
        back = unpack(packing, words, ctx)
        assert np.array_equal(back.values["rows"], values["rows"])
        assert np.array_equal(back.values["agree"], values["agree"])


@failing("ring", "must_not_pack")
def test_ring_must_not_pack(case: dict[str, Any]) -> None:
    layout = layout_of(case["layout"])
    value = np.array([float.fromhex(case["value"])]).astype(layout.fields[0].dtype)
    with pytest.raises(Invalid) as caught:
        pack(Packing.of(layout, case["parties"]), Summary(layout, {"x": value}), bytes.fromhex(case["ctx"]))
    assert caught.value.code == case["error"]


@failing("ring")
def test_ring_must_fail(case: dict[str, Any]) -> None:
    packing = Packing.of(layout_of(case["layout"]), case["parties"])
    with pytest.raises(Untrusted) as caught:
        unpack(packing, words_of(case["words"]), bytes.fromhex(case["ctx"]))
    assert caught.value.code == case["error"]


class Masked:
    """The four sites of masking.json; `ctx_of` gives the context each site derives its keys from."""

    def __init__(self, ctx_of: dict[int, bytes] | None = None) -> None:
        self.answer = load("masking")["answers"][0]
        self.ctx = bytes.fromhex(self.answer["ctx"])
        self.packing = Packing.of(layout_of(self.answer["layout"]), 4)
        self.seeds = {int(i): bytes.fromhex(seed) for i, seed in self.answer["self_seeds"].items()}
        self.ctx_of = dict.fromkeys(self.seeds, self.ctx) | (ctx_of or {})
        self.survivors = [i for i in self.seeds if i != self.answer["dropped"]]

    def key(self, own: int, peer: int) -> bytes:
        low, high = sorted((own, peer))
        return mask_key(bytes.fromhex(self.answer["pair_secrets"][f"{low}-{high}"]), self.ctx_of[own])

    def reply(self, i: int) -> bytes:
        plus, minus = ([self.key(i, j) for j in self.seeds if (j > i) == up and j != i] for up in (True, False))
        plain = regroup(self.packing, [bytes.fromhex(self.answer["plain"][str(i)])], 3)
        return b"".join(mask_chunks(self.packing, plain, self.seeds[i], plus, minus))

    def total(self, dropped_above: bool) -> np.ndarray:
        dropped = self.answer["dropped"]
        replies = [regroup(self.packing, [self.reply(i)]) for i in self.survivors]
        total = np.concatenate(list(sum_chunks(self.packing, replies)))
        above = [self.key(i, dropped) for i in self.survivors if i < dropped]
        below = [self.key(i, dropped) for i in self.survivors if i > dropped]
        keys = (above, below) if dropped_above else (below, above)
        unmask_into(self.packing, total, [self.seeds[i] for i in self.survivors], *keys)
        return total


def test_masking() -> None:
    sites = Masked()
    assert {str(i): sites.reply(i).hex() for i in sites.seeds} == sites.answer["replies"]
    total = sites.total(dropped_above=True)
    assert total.astype("<u8").tobytes().hex() == sites.answer["total"]
    assert unpack(sites.packing, total, sites.ctx).values["rows"].tolist() == [7, 70]


def test_a_site_in_another_context_makes_the_sum_undecodable() -> None:
    sites = Masked({2: bytes.fromhex(load("ring")["must_fail"][0]["ctx"])})
    with pytest.raises(Untrusted) as caught:
        unpack(sites.packing, sites.total(dropped_above=True), sites.ctx)
    assert caught.value.code == "E-CHECKSUM"


def test_indices_the_wrong_way_round_make_the_sum_undecodable() -> None:
    sites = Masked()
    with pytest.raises(Untrusted) as caught:
        unpack(sites.packing, sites.total(dropped_above=False), sites.ctx)
    assert caught.value.code == "E-CHECKSUM"


@failing("masking")
def test_masking_must_fail(case: dict[str, Any]) -> None:
    packing = Packing.of(layout_of(load("masking")["answers"][0]["layout"]), 2)
    plus, minus = ([bytes([number]) * 32 for number in case[side]] for side in ("plus", "minus"))
    with pytest.raises(Invalid) as caught:
        mask_chunks(packing, [np.zeros(packing.words, dtype=np.uint64)], bytes([9]) * 32, plus, minus)
    assert caught.value.code == "E-MASK"


def test_a_share_for_one_direction_does_not_open_in_the_other() -> None:
    secret, ctx = bytes(32), b"ctx"
    sealed = seal(share_key(secret, 1, 2, ctx), b"share", b"")
    with pytest.raises(Untrusted) as caught:
        unseal(share_key(secret, 2, 1, ctx), sealed, b"")
    assert caught.value.code == "E-SEAL"


def test_shares() -> None:
    for answer in load("shares")["answers"]:
        secret, source = bytes.fromhex(answer["secret"]), iter(bytes.fromhex(raw) for raw in answer["randomness"])
        made = split(secret, answer["threshold"], answer["indices"], lambda _, source=source: next(source))
        assert {str(index): share.hex() for index, share in made.items()} == answer["shares"]
        for left_out in answer["indices"]:
            assert combine({x: s for x, s in made.items() if x != left_out}, answer["threshold"]) == secret


@failing("shares")
def test_shares_must_fail(case: dict[str, Any]) -> None:
    with pytest.raises(IsthmusError) as caught:
        combine({int(x): bytes.fromhex(share) for x, share in case["shares"].items()}, case["threshold"])
    assert caught.value.code == case["error"]


def test_sealing() -> None:
    for answer in load("sealing")["answers"]:
        key, plaintext, associated = (bytes.fromhex(answer[name]) for name in ("key", "plaintext", "associated"))
        assert seal(key, plaintext, associated).hex() == answer["sealed"]
        assert unseal(key, bytes.fromhex(answer["sealed"]), associated) == plaintext


@failing("shares", "other_secret")
def test_a_forged_share_never_gives_the_secret(case: dict[str, Any]) -> None:
    found = combine({int(x): bytes.fromhex(share) for x, share in case["shares"].items()}, case["threshold"])
    assert found != bytes.fromhex(load("shares")["answers"][0]["secret"])


@failing("sealing")
def test_sealing_must_fail(case: dict[str, Any]) -> None:
    with pytest.raises(Untrusted) as caught:
        unseal(*(bytes.fromhex(case[name]) for name in ("key", "sealed", "associated")))
    assert caught.value.code == case["error"]


def test_envelope() -> None:
    vectors = load("envelope")
    pae = vectors["pae"]
    assert pre_authentication(pae["type"], pae["payload"].encode()) == pae["bytes"].encode()
    for answer in vectors["answers"]:
        key = SigningKey.from_bytes(bytes.fromhex(answer["seed"]))
        payload = answer["payload"].encode()
        assert sign_envelope(answer["type"], payload, [("alice", key)]) == answer["envelope"]
        keys = {keyid: bytes.fromhex(public) for keyid, public in answer["keys"].items()}
        assert open_envelope(answer["envelope"], answer["type"], keys) == (payload, ("alice",))


@failing("envelope")
def test_envelope_must_fail(case: dict[str, Any]) -> None:
    keys = {keyid: bytes.fromhex(public) for keyid, public in case["keys"].items()}
    with pytest.raises(IsthmusError) as caught:
        open_envelope(case["envelope"], case["type"], keys)
    assert caught.value.code == case["error"]


def test_every_vector_that_must_fail_has_a_name() -> None:
    parts = chain.from_iterable(load(name).items() for name in regenerate.FILES)
    cases = [case for part, cases in parts if part.startswith("must") for case in cases]
    assert len(cases) > 80
    assert all(case["name"] for case in cases)
