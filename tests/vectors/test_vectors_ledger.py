"""The ledger against its vectors: what must come out, and what must fail with which code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.crypto.keys import SigningKey
from isthmus.ledger.checkpoint import cosign, sign_checkpoint, verify_checkpoint, with_cosignatures
from isthmus.ledger.log import Head
from isthmus.ledger.merkle import Tree, root, verify_consistency, verify_inclusion
from isthmus.ledger.verify import verify_bundle
from isthmus.model.errors import IsthmusError, Untrusted

HERE = Path(__file__).resolve().parent


def load(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def failing(name: str, part: str = "must_fail") -> Any:
    return pytest.mark.parametrize("case", load(name)[part], ids=lambda case: case["name"])


def hashes(steps: list[str]) -> list[bytes]:
    return [bytes.fromhex(step) for step in steps]


def check_inclusion(case: dict[str, Any]) -> None:
    leaf, head = bytes.fromhex(case["leaf"]), bytes.fromhex(case["root"])
    verify_inclusion(case["index"], case["size"], leaf, hashes(case["proof"]), head)


def check_consistency(case: dict[str, Any]) -> None:
    old_root, new_root = bytes.fromhex(case["old_root"]), bytes.fromhex(case["new_root"])
    verify_consistency(case["old"], case["new"], old_root, new_root, hashes(case["proof"]))


def test_merkle() -> None:
    vectors = load("merkle")
    leaves, tree = hashes(vectors["leaves"]), Tree()
    assert [root(leaves[:size]).hex() for size in range(9)] == vectors["roots"]
    for leaf in leaves:
        tree.append(leaf)
    for case in vectors["inclusion"]:
        assert list(tree.inclusion_proof(case["index"], case["size"])) == hashes(case["proof"])
        check_inclusion(case)
    for case in vectors["consistency"]:
        assert list(tree.consistency_proof(case["old"], case["new"])) == hashes(case["proof"])
        check_consistency(case)


@failing("merkle", "must_fail_inclusion")
def test_inclusion_must_fail(case: dict[str, Any]) -> None:
    with pytest.raises(Untrusted, match="E-LEDGER"):
        check_inclusion(case)


@failing("merkle", "must_fail_consistency")
def test_consistency_must_fail(case: dict[str, Any]) -> None:
    with pytest.raises(Untrusted, match="E-LEDGER"):
        check_consistency(case)


def test_checkpoint() -> None:
    for answer in load("checkpoint")["answers"]:
        head = Head(size=answer["size"], root=bytes.fromhex(answer["root"]))
        witnesses = {site: bytes.fromhex(key) for site, key in answer["witnesses"].items()}
        found = verify_checkpoint(answer["note"], bytes.fromhex(answer["log_key"]), witnesses)
        assert (found.origin, found.head, list(found.cosigners)) == (answer["origin"], head, answer["cosigners"])
        if "seed" in answer:
            note = sign_checkpoint(answer["origin"], head, SigningKey.from_bytes(bytes.fromhex(answer["seed"])))
            keys = [SigningKey.from_bytes(bytes.fromhex(answer["seeds"][site])) for site in answer["cosigners"]]
            named = enumerate(zip(answer["cosigners"], keys, strict=True))
            lines = [cosign(note, site, key, 1_750_000_000 + at) for at, (site, key) in named]
            assert with_cosignatures(note, lines) == answer["note"]


@failing("checkpoint")
def test_checkpoint_must_fail(case: dict[str, Any]) -> None:
    witnesses = {site: bytes.fromhex(key) for site, key in case["witnesses"].items()}
    with pytest.raises(IsthmusError) as caught:
        verify_checkpoint(case["note"], bytes.fromhex(case["log_key"]), witnesses)
    assert caught.value.code == case["error"]


def test_bundle() -> None:
    for answer in load("bundle")["answers"]:
        verified = verify_bundle(answer["bundle"].encode(), [])
        assert (list(verified.signers), verified.run) == (answer["signers"], answer["run"])


@failing("bundle")
def test_bundle_must_fail(case: dict[str, Any]) -> None:
    with pytest.raises(IsthmusError) as caught:
        verify_bundle(case["bundle"].encode(), [])
    assert caught.value.code == case["error"]
