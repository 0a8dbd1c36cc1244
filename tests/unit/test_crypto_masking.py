"""Masks cancel for any roster and any dropout; sums are the same to the bit whatever the order of the sites."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.crypto.masking import mask_chunks, mask_key, share_key, sum_chunks, unmask_chunks, unmask_into
from isthmus.crypto.ring import Packing, add_into, pack, pack_chunks, regroup, unpack, unpack_chunks
from isthmus.model.errors import Invalid, Untrusted
from isthmus.summary import Field, Layout, Summary

CTX = b"the round's context digest"
KINDS = st.sampled_from(["count", "sum", "gram", "histogram", "moment", "vote"])
SHAPES = st.sampled_from([(), (0,), (1,), (3,), (2, 3)])


def secret(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    fields = draw(st.lists(st.tuples(SHAPES, KINDS), max_size=5))
    return Layout(fields=tuple(Field(name=f"f{at}", shape=s, kind=k) for at, (s, k) in enumerate(fields)))


@st.composite
def summaries(draw: st.DrawFn, layout: Layout) -> Summary:
    values = {}
    for f in layout.fields:
        whole = st.integers(-(2**40), 2**40) if f.kind != "vote" else st.integers(0, 2**64 - 1)
        number = st.floats(-1e15, 1e15, allow_subnormal=True)
        items = draw(st.lists(number if f.dtype == np.float64 else whole, min_size=f.size, max_size=f.size))
        values[f.name] = np.array(items, dtype=f.dtype).reshape(f.shape)
    return Summary(layout, values)


@st.composite
def rounds(draw: st.DrawFn) -> tuple[list[Summary], list[int], int]:
    """Summaries of 2 to 6 sites, the survivors, and a chunk size."""
    layout, n = draw(layouts()), draw(st.integers(2, 6))
    sites = [draw(summaries(layout)) for _ in range(n)]
    survivors = draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n, unique=True))
    return sites, survivors, draw(st.integers(2, 9))


class Round:
    """A round of sites 0..n-1 with masks as `secagg/1` says."""

    def __init__(self, sites: list[Summary], chunk: int) -> None:
        self.sites, self.chunk, self.n = sites, chunk, len(sites)
        self.packing = Packing.of(sites[0].layout, self.n)
        self.seeds = [secret("self", i) for i in range(self.n)]

    def key(self, i: int, j: int) -> bytes:
        return mask_key(secret("pair", *sorted((i, j))), CTX)

    def reply(self, i: int) -> bytes:
        plain = pack_chunks(self.packing, self.sites[i], CTX, self.chunk)
        plus = [self.key(i, j) for j in range(i + 1, self.n)]
        return b"".join(mask_chunks(self.packing, plain, self.seeds[i], plus, [self.key(i, j) for j in range(i)]))

    def missing(self, survivors: list[int]) -> tuple[list[bytes], list[bytes]]:
        dropped = [j for j in range(self.n) if j not in survivors]
        plus = [self.key(i, j) for i in survivors for j in dropped if j > i]
        return plus, [self.key(i, j) for i in survivors for j in dropped if j < i]


@given(rounds())
def test_masks_cancel_for_any_roster_and_any_dropout(case: tuple[list[Summary], list[int], int]) -> None:
    sites, survivors, chunk = case
    run = Round(sites, chunk)
    replies = [regroup(run.packing, [run.reply(i)], chunk) for i in survivors]
    seeds = [run.seeds[i] for i in survivors]
    opened = unmask_chunks(run.packing, sum_chunks(run.packing, replies), seeds, *run.missing(survivors))
    pooled = unpack_chunks(run.packing, opened, CTX)
    for f in sites[0].layout.fields:
        columns = [sites[i].values[f.name].reshape(-1).tolist() for i in survivors]
        sums = [sum(map(Fraction, values)) for values in zip(*columns, strict=True)]
        found = pooled.values[f.name].reshape(-1).tolist()
        if f.kind == "vote":
            assert found == [int(x) % 2**64 for x in sums]
        elif f.dtype == np.int64:
            assert found == sums
        else:  # each encoding is off by at most 2**-65, the decoding by half a unit in the last place
            for x, exact in zip(found, sums, strict=True):
                assert abs(Fraction(x) - exact) <= Fraction(len(survivors) + 1, 2**65) + abs(exact) / 2**52


@given(rounds(), st.randoms(use_true_random=False))
def test_the_sum_is_the_same_to_the_bit_in_any_order(case: tuple[list[Summary], list[int], int], order: object) -> None:
    sites, _, _ = case
    packing = Packing.of(sites[0].layout, len(sites))
    shuffled = list(sites)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    sums = []
    for listed in (sites, shuffled):
        total = np.zeros(packing.words, dtype=np.uint64)
        for site in listed:
            add_into(packing, total, pack(packing, site, CTX))
        sums.append(unpack(packing, total, CTX))
    for name, value in sums[0].values.items():
        assert value.tobytes() == sums[1].values[name].tobytes()


def toy(n: int = 4) -> list[Summary]:
    layout = Layout(
        fields=(
            Field(name="rows", shape=(3,), kind="count"),
            Field(name="gram", shape=(50, 50), kind="gram"),
            Field(name="score", shape=(7,), kind="score"),
        )
    )
    numbers = np.linspace(-3, 5, 2500).reshape(50, 50)
    return [
        Summary(layout, {"rows": np.arange(3) + i, "gram": numbers * (i + 1), "score": numbers[0, :7] - i})
        for i in range(n)
    ]


def test_a_reply_looks_like_its_masks_and_not_like_its_values() -> None:
    one, other = Round(toy(), 4096), Round([*reversed(toy())], 4096)
    differing = np.frombuffer(one.reply(0), np.uint8) != np.frombuffer(other.reply(0), np.uint8)
    assert differing.any()  # same masks, other values
    ones = np.unpackbits(np.frombuffer(one.reply(0), np.uint8)).mean()
    assert abs(ones - 0.5) < 0.01


def test_chunks_and_frames_of_any_size_give_the_same_reply() -> None:
    run = Round(toy(), 4096)
    whole = run.reply(1)
    for chunk in (2, 3, 64, 1001):
        again = Round(toy(), chunk)
        assert again.reply(1) == whole
    frames = [whole[at : at + 777] for at in range(0, len(whole), 777)]
    assert np.concatenate(list(regroup(run.packing, frames, 100))).astype("<u8").tobytes() == whole


def test_masking_leaves_the_stored_plain_words_alone() -> None:
    run = Round(toy(), 4096)
    plain = pack(run.packing, run.sites[0], CTX)
    kept = plain.copy()
    first, second = (
        b"".join(mask_chunks(run.packing, [plain], secret("attempt", at), [secret("peer")], [])) for at in (0, 1)
    )
    assert np.array_equal(plain, kept)
    assert first != second


def test_unmasking_in_place_is_unmasking_by_chunks() -> None:
    run = Round(toy(), 64)
    everyone = list(range(4))
    replies = [regroup(run.packing, [run.reply(i)]) for i in everyone]
    total = np.concatenate(list(sum_chunks(run.packing, replies)))
    unmask_into(run.packing, total, run.seeds, [], [])
    pooled = unpack(run.packing, total, CTX)
    assert np.array_equal(pooled["rows"], [6, 10, 14])
    np.testing.assert_allclose(pooled["gram"], toy()[0]["gram"] * 10, rtol=1e-15)


@pytest.mark.parametrize("left_out", ["a seed", "a missing pair"])
def test_one_mask_left_in_is_noticed(left_out: str) -> None:
    run = Round(toy(), 4096)
    survivors = [0, 1, 3]
    total = np.concatenate(list(sum_chunks(run.packing, [regroup(run.packing, [run.reply(i)]) for i in survivors])))
    seeds, (plus, minus) = [run.seeds[i] for i in survivors], run.missing(survivors)
    if left_out == "a seed":
        seeds = seeds[1:]
    else:
        plus = plus[1:]
    unmask_into(run.packing, total, seeds, plus, minus)
    with pytest.raises(Untrusted, match="E-CHECKSUM"):
        unpack(run.packing, total, CTX)


def test_a_stream_key_is_used_once_per_reply() -> None:
    run = Round(toy(), 4096)
    plain = [pack(run.packing, run.sites[0], CTX)]
    for plus, minus in (([secret(1)], [secret(1)]), ([run.seeds[0]], []), ([], [secret(2), secret(2)])):
        with pytest.raises(Invalid, match="E-MASK"):
            mask_chunks(run.packing, plain, run.seeds[0], plus, minus)
        with pytest.raises(Invalid, match="E-MASK"):
            unmask_chunks(run.packing, plain, [run.seeds[0]], plus, minus)


def test_plain_chunks_must_cover_the_stream_exactly() -> None:
    run = Round(toy(), 4096)
    plain = pack(run.packing, run.sites[0], CTX)
    for chunks in ([plain[:-1]], [plain, plain[:1]], [plain[:4], plain[4:]], []):
        with pytest.raises(Invalid, match="E-LAYOUT"):
            list(mask_chunks(run.packing, chunks, run.seeds[0], [], []))
    with pytest.raises(Invalid, match="E-LAYOUT"):
        unmask_into(run.packing, plain[:-1], run.seeds, [], [])


def test_replies_of_different_lengths_do_not_add_up() -> None:
    packing = Round(toy(), 4096).packing
    whole = np.zeros(packing.words, dtype=np.uint64)
    for replies in ([[whole], [whole, whole[:1]]], [[whole], [whole[:-1]]], []):
        with pytest.raises(Invalid, match="E-LAYOUT"):
            list(sum_chunks(packing, replies))


def test_mask_and_share_keys_are_bound_to_round_and_direction() -> None:
    pair = secret("pair")
    keys = [mask_key(pair, CTX), mask_key(pair, CTX + b"1"), mask_key(secret("other"), CTX)]
    keys += [share_key(pair, 1, 2, CTX), share_key(pair, 2, 1, CTX), share_key(pair, 1, 2, CTX + b"1")]
    assert len(set(keys)) == len(keys)


def test_masking_holds_a_chunk_and_not_the_summary() -> None:
    layout = Layout(fields=(Field(name="x", shape=(200_000,), kind="sum"),))
    packing = Packing.of(layout, 3)
    alive: list[int] = []

    def counted(chunks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for chunk in chunks:
            alive.append(len(chunk))
            yield chunk

    plain = counted(pack_chunks(packing, Summary(layout, {"x": np.ones(200_000)}), CTX, 4096))
    for at, piece in enumerate(mask_chunks(packing, plain, secret(0), [secret(1)], [secret(2)])):
        assert len(alive) == at + 1  # pulled one by one, never ahead
        assert len(piece) <= 8 * 4096
