"""Keys, exchange, derivation, shares, seals and envelopes: what holds and what is refused."""

from __future__ import annotations

import ast
import json
import secrets
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.crypto.envelope import open_envelope, sign_envelope
from isthmus.crypto.exchange import ExchangeKeys, decapsulate, encapsulate, exchange_public
from isthmus.crypto.keys import SigningKey, fingerprint, verify
from isthmus.crypto.prg import Stream, derive
from isthmus.crypto.sealing import OVERHEAD, seal, unseal
from isthmus.crypto.shares import combine, split, threshold_for
from isthmus.model.errors import Invalid, Untrusted

SECRETS = st.binary(min_size=32, max_size=32)
KEY = bytes(range(32))


def test_a_key_survives_storage_and_hides_itself() -> None:
    key = SigningKey.generate()
    again = SigningKey.from_bytes(key.to_bytes())
    assert again.public == key.public
    verify(key.public, again.sign(b"message"), b"message")
    assert key.to_bytes().hex() not in repr(key)
    assert "ExchangeKeys(...)" in repr(ExchangeKeys.generate())


def test_keys_of_another_length_are_refused() -> None:
    with pytest.raises(Invalid, match="E-KEY"):
        SigningKey.from_bytes(bytes(31))
    with pytest.raises(Invalid, match="E-KEY"):
        ExchangeKeys.from_bytes(bytes(95))
    with pytest.raises(Invalid, match="E-KEY"):
        seal(bytes(31), b"", b"")
    with pytest.raises(Invalid, match="E-KEY"):
        unseal(bytes(33), bytes(40), b"")


def test_a_fingerprint_is_short_enough_to_read_aloud() -> None:
    assert len(fingerprint(KEY).split()) == 6
    assert fingerprint(KEY) != fingerprint(KEY[::-1])


def test_both_ends_of_a_pair_agree_and_nobody_else_does() -> None:
    lower, higher, third = (ExchangeKeys.generate() for _ in range(3))
    ciphertext, secret = encapsulate(lower, higher.public, b"context")
    assert decapsulate(higher, lower.public, ciphertext, b"context") == secret
    assert decapsulate(ExchangeKeys.from_bytes(higher.to_bytes()), lower.public, ciphertext, b"context") == secret
    assert decapsulate(higher, lower.public, ciphertext, b"another") != secret
    assert decapsulate(higher, third.public, ciphertext, b"context") != secret
    assert decapsulate(third, lower.public, ciphertext, b"context") != secret
    again, other = encapsulate(lower, higher.public, b"context")
    assert (again, other) != (ciphertext, secret)  # fresh randomness each time


def test_public_exchange_keys_travel_as_json_and_nothing_else_does() -> None:
    public = ExchangeKeys.generate().public
    sent = json.loads(json.dumps(public.to_json()))
    assert exchange_public(sent) == public
    bad = [{}, [], None, sent | {"more": ""}, sent | {"x25519": sent["x25519"].upper()}]
    bad += [sent | {"x25519": sent["x25519"][2:]}, sent | {"mlkem": 5}, sent | {"mlkem": "zz"}]
    bad += [sent | {"x25519": " " + sent["x25519"]}]
    for json_value in bad:
        with pytest.raises(Invalid, match="E-KEY"):
            exchange_public(json_value)


def test_a_peer_key_that_is_no_key_is_refused() -> None:
    own, peer = ExchangeKeys.generate(), ExchangeKeys.generate()
    sent = peer.public.to_json()
    for changed in (sent | {"x25519": "00" * 32}, sent | {"mlkem": "ff" * 1184}):
        with pytest.raises(Untrusted, match="E-KEY"):
            encapsulate(own, exchange_public(changed), b"")
    with pytest.raises(Untrusted, match="E-KEY"):
        decapsulate(own, peer.public, bytes(1087), b"")


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_no_two_contexts_derive_one_key(one: list[bytes], other: list[bytes]) -> None:
    assert (derive(KEY, "mask", *one) == derive(KEY, "mask", *other)) == (one == other)


@given(st.lists(st.integers(0, 50), max_size=8))
def test_a_stream_goes_on_and_never_starts_again(counts: list[int]) -> None:
    stream = Stream(KEY)
    parts = [stream.words(count) for count in counts]
    whole = Stream(KEY).words(sum(counts))
    assert np.array_equal(np.concatenate([*parts, np.empty(0, dtype=np.uint64)]), whole)


def test_crypto_uses_no_generator_of_numpy_and_no_random_module() -> None:
    folder = Path(__file__).resolve().parents[2] / "src" / "isthmus" / "crypto"
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Attribute) and node.attr == "random"), file
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not any("random" in part.split(".") for part in (module, *names)), file


@given(SECRETS, st.integers(1, 6), st.data())
def test_any_threshold_of_shares_gives_the_secret(secret: bytes, threshold: int, data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(1, 65535), min_size=threshold, max_size=8, unique=True))
    shares = split(secret, threshold, indices, secrets.token_bytes)
    chosen = data.draw(st.permutations(indices))[:threshold]
    assert combine({index: shares[index] for index in chosen}, threshold) == secret
    assert combine(shares, threshold) == secret


def test_fewer_shares_than_the_threshold_say_nothing() -> None:
    shares = split(KEY, 3, [1, 2, 3, 4], secrets.token_bytes)
    for pair in combinations(shares, 2):
        some = {index: shares[index] for index in pair}
        with pytest.raises(Untrusted, match="E-SHARES"):
            combine(some, 3)
        # a line through two points of a parabola meets the axis somewhere else, nearly always above 2**256
        with pytest.raises(Untrusted, match="E-SHARES"):
            combine(some, 2)


def test_coefficients_are_drawn_again_when_they_are_not_field_elements() -> None:
    prime = (2**521 - 1).to_bytes(66, "big")
    drawn = iter([prime, bytes(65) + b"\x05"])
    assert int.from_bytes(split(bytes(32), 2, [1, 2], lambda _: next(drawn))[2], "big") == 10


@pytest.mark.parametrize(("threshold", "indices"), [(0, [1]), (2, [1]), (1, [0]), (1, [1, 1]), (1, [65536]), (1, [])])
def test_bad_thresholds_and_indices_are_refused(threshold: int, indices: list[int]) -> None:
    with pytest.raises(Invalid, match="E-SHARES"):
        split(KEY, threshold, indices, secrets.token_bytes)


def test_two_sets_of_threshold_size_share_an_honest_site() -> None:
    assert [threshold_for(n) for n in (2, 3, 4, 5, 6, 10)] == [2, 3, 3, 4, 5, 7]
    for n in range(2, 200):
        assert 3 * (2 * threshold_for(n) - n) > n


@given(st.binary(max_size=100), st.binary(max_size=20), st.data())
def test_a_seal_opens_as_it_was_and_no_other_way(plaintext: bytes, associated: bytes, data: st.DataObject) -> None:
    sealed = seal(KEY, plaintext, associated)
    assert sealed == seal(KEY, plaintext, associated)
    assert len(sealed) == len(plaintext) + OVERHEAD
    assert unseal(KEY, sealed, associated) == plaintext
    at, bit = data.draw(st.integers(0, len(sealed) - 1)), data.draw(st.integers(0, 7))
    changed = sealed[:at] + bytes([sealed[at] ^ (1 << bit)]) + sealed[at + 1 :]
    for key, blob, also in ((KEY, changed, associated), (KEY[::-1], sealed, associated), (KEY, sealed, b"x" * 21)):
        with pytest.raises(Untrusted, match="E-SEAL"):
            unseal(key, blob, also)


def test_two_messages_under_one_key_do_not_share_a_nonce() -> None:
    nonces = {seal(KEY, bytes([at]), b"")[:12] for at in range(200)} | {
        seal(KEY, b"", bytes([at]))[:12] for at in range(200)
    }
    assert len(nonces) == 400


def test_an_envelope_names_who_signed_it_of_those_we_know() -> None:
    keys = {name: SigningKey.generate() for name in ("alice", "bob", "carol")}
    envelope = sign_envelope("type", b"payload", [(name, keys[name]) for name in ("alice", "bob")])
    envelope = json.loads(json.dumps(envelope))
    public = {name: key.public for name, key in keys.items()}
    assert open_envelope(envelope, "type", public) == (b"payload", ("alice", "bob"))
    assert open_envelope(envelope, "type", {"bob": public["bob"]}) == (b"payload", ("bob",))
    for known in ({"carol": public["carol"]}, {"alice": public["bob"]}, {"alice": public["bob"], "bob": public["bob"]}):
        with pytest.raises(Untrusted, match="E-SIGNATURE"):
            open_envelope(envelope, "type", known)


def test_an_envelope_needs_signers_once_each() -> None:
    key = SigningKey.generate()
    for signers in ([], [("a", key), ("a", key)]):
        with pytest.raises(Invalid, match="E-ENVELOPE"):
            sign_envelope("type", b"", signers)
