"""Inclusion and consistency for every size to 40, and no proof for anything else."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.ledger.merkle import EMPTY_ROOT, Tree, leaf_hash, node_hash, root, verify_consistency, verify_inclusion
from isthmus.model.errors import Invalid, Untrusted

LARGEST = 40
LEAVES = [f"leaf {at}".encode() for at in range(LARGEST)]


@pytest.fixture(scope="module")
def tree() -> Tree:
    made = Tree()
    for leaf in LEAVES:
        made.append(leaf)
    return made


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1 as written."""
    if len(leaves) < 2:
        return leaf_hash(leaves[0]) if leaves else sha256(b"").digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(plain_root(leaves[:split]), plain_root(leaves[split:]))


def test_the_root_is_the_recursive_one_at_every_size(tree: Tree) -> None:
    for size in range(LARGEST + 1):
        assert tree.root(size) == plain_root(LEAVES[:size]) == root(LEAVES[:size])
    assert root([]) == EMPTY_ROOT


def test_every_leaf_of_every_size_is_included(tree: Tree) -> None:
    for size in range(1, LARGEST + 1):
        for index in range(size):
            proof = tree.inclusion_proof(index, size)
            assert len(proof) <= (size - 1).bit_length()
            verify_inclusion(index, size, LEAVES[index], proof, tree.root(size))


def test_every_size_continues_every_smaller_one(tree: Tree) -> None:
    for new in range(LARGEST + 1):
        for old in range(new + 1):
            verify_consistency(old, new, tree.root(old), tree.root(new), tree.consistency_proof(old, new))


def test_an_inclusion_proof_holds_for_one_index_one_leaf_and_one_root(tree: Tree) -> None:
    size = 21
    for index in range(size):
        proof, head = tree.inclusion_proof(index, size), tree.root(size)
        wrong = [(other, size, LEAVES[index], proof, head) for other in range(-1, size + 1) if other != index]
        wrong += [(index, size, LEAVES[other], proof, head) for other in range(size) if other != index]
        wrong += [(index, size, LEAVES[index], proof, tree.root(other)) for other in range(LARGEST) if other != size]
        wrong += [(index, size, LEAVES[index], proof[:at] + proof[at + 1 :], head) for at in range(len(proof))]
        wrong += [(index, size, LEAVES[index], (*proof, bytes(32)), head)]
        for case in wrong:
            with pytest.raises(Untrusted, match="E-LEDGER"):
                verify_inclusion(*case)


def test_a_consistency_proof_holds_for_its_two_heads_alone(tree: Tree) -> None:
    new = 23
    for old in range(1, new):
        proof, roots = tree.consistency_proof(old, new), (tree.root(old), tree.root(new))
        wrong = [(old, new, tree.root(other), roots[1], proof) for other in range(LARGEST) if other != old]
        wrong += [(old, new, roots[0], tree.root(other), proof) for other in range(LARGEST) if other != new]
        wrong += [(old, new, *roots, proof[:at] + proof[at + 1 :]) for at in range(len(proof))]
        wrong += [(old, new, *roots, (*proof, bytes(32))), (old, new, *roots, (*proof[:-1], bytes(31)))]
        wrong += [(new, old, roots[1], roots[0], proof), (-1, new, *roots, proof)]
        for case in wrong:
            with pytest.raises(Untrusted, match="E-LEDGER"):
                verify_consistency(*case)


def test_equal_and_empty_heads_need_an_empty_proof(tree: Tree) -> None:
    head = tree.root(5)
    for case in (
        (5, 5, head, head, (bytes(32),)),
        (5, 5, head, tree.root(4), ()),
        (0, 5, EMPTY_ROOT, head, (bytes(32),)),
        (0, 5, bytes(32), head, ()),
        (0, 0, EMPTY_ROOT, head, ()),
        (0, 0, head, head, ()),
    ):
        with pytest.raises(Untrusted, match="E-LEDGER"):
            verify_consistency(*case)


def test_a_rewritten_entry_is_noticed_by_whoever_saw_a_later_head(tree: Tree) -> None:
    rewritten = Tree()
    for at, leaf in enumerate(LEAVES):
        rewritten.append(b"something else" if at == 3 else leaf)
    for seen in range(4, LARGEST):
        with pytest.raises(Untrusted, match="E-LEDGER"):
            verify_consistency(
                seen, LARGEST, tree.root(seen), rewritten.root(), rewritten.consistency_proof(seen, LARGEST)
            )


def test_proofs_beyond_the_log_are_not_made(tree: Tree) -> None:
    for ask in (
        lambda: tree.inclusion_proof(5, 5),
        lambda: tree.inclusion_proof(-1, 5),
        lambda: tree.inclusion_proof(0, LARGEST + 1),
        lambda: tree.consistency_proof(6, 5),
        lambda: tree.consistency_proof(-1, 5),
        lambda: tree.consistency_proof(1, LARGEST + 1),
        lambda: tree.root(LARGEST + 1),
        lambda: tree.root(-1),
    ):
        with pytest.raises(Invalid, match="E-PROOF"):
            ask()


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=70), st.data())
def test_any_log_proves_its_entries_and_its_growth(leaves: list[bytes], data: st.DataObject) -> None:
    made = Tree()
    for at, leaf in enumerate(leaves):
        assert made.append(leaf) == at
    new = data.draw(st.integers(1, len(leaves)))
    index, old = data.draw(st.integers(0, new - 1)), data.draw(st.integers(0, new))
    verify_inclusion(index, new, leaves[index], made.inclusion_proof(index, new), made.root(new))
    verify_consistency(old, new, made.root(old), made.root(new), made.consistency_proof(old, new))
