"""Numbers into the ring and back, exactly; what does not fit is refused before any mask."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.crypto.ring import Packing, add_into, pack, pack_chunks, regroup, subtract_into, unpack, unpack_chunks
from isthmus.model.errors import Invalid, Untrusted
from isthmus.summary import Blind, Field, FieldKind, Layout, Summary

CTX = b"ctx"
NUMBERS = st.floats(-(2.0**59), 2.0**59, exclude_min=True, exclude_max=True)


def one(values: list[float] | np.ndarray, kind: FieldKind = "sum") -> Summary:
    field = Field(name="x", shape=(len(values),), kind=kind)
    return Summary(Layout(fields=(field,)), {"x": np.array(values, dtype=field.dtype)})


def packing_of(summary: Summary, parties: int = 5) -> Packing:
    return Packing.of(summary.layout, parties)


def code(word_pair: np.ndarray) -> int:
    value = int(word_pair[0]) + (int(word_pair[1]) << 64)
    return value - (1 << 128) if value >> 127 else value


@given(st.lists(NUMBERS, min_size=1, max_size=30))
def test_encoding_is_the_rounded_whole_number_and_decoding_the_nearest_float(values: list[float]) -> None:
    summary = one(values)
    words = pack(packing_of(summary), summary, CTX)
    exact = [round(Fraction(x) * 2**64) for x in values]
    assert [code(pair) for pair in words[:-1].reshape(-1, 2)] == exact
    back = unpack(packing_of(summary), words, CTX)["x"].tolist()
    assert back == [float(Fraction(q, 2**64)) for q in exact]


@given(st.lists(NUMBERS.filter(lambda x: x == 0 or abs(x) >= 2.0**-11), min_size=1, max_size=30))
def test_a_number_of_ordinary_size_comes_back_to_the_bit(values: list[float]) -> None:
    summary = one(values)
    words = pack(packing_of(summary), summary, CTX)
    assert unpack(packing_of(summary), words, CTX)["x"].tolist() == values


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_the_code_of_minus_x_is_minus_the_code_of_x(values: list[float]) -> None:
    plus, minus = one(values), one([-x for x in values])
    packing = packing_of(plus)
    total = pack(packing, plus, CTX)
    add_into(packing, total, pack(packing, minus, CTX))
    assert not total.any()


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20))
def test_subtracting_undoes_adding(pairs: list[tuple[float, float]]) -> None:
    left, right = (one([pair[side] for pair in pairs]) for side in (0, 1))
    packing = packing_of(left)
    words, other = (pack(packing, s, CTX) for s in (left, right))
    total = words.copy()
    add_into(packing, total, other)
    assert [code(p) for p in total[:-1].reshape(-1, 2)] == [
        code(a) + code(b) for a, b in zip(words[:-1].reshape(-1, 2), other[:-1].reshape(-1, 2), strict=True)
    ]
    subtract_into(packing, total, other)
    assert np.array_equal(total, words)


def test_a_sum_of_the_largest_values_of_every_party_stays_in_the_ring() -> None:
    for parties in (1, 2, 3, 10, 100):
        bound = 2.0 ** (62 - (parties - 1).bit_length())
        largest = np.nextafter(bound, 0)
        for kind in ("sum", "count"):
            summary = one([largest, -largest], kind)
            packing = packing_of(summary, parties)
            total = np.zeros(packing.words, dtype=np.uint64)
            for _ in range(parties):
                add_into(packing, total, pack(packing, summary, CTX))
            assert unpack(packing, total, CTX)["x"].tolist() == [parties * largest, -parties * largest]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**59, -(2.0**59)])
def test_what_does_not_fit_is_refused_before_the_first_chunk(value: float) -> None:
    values = np.zeros(100_000)
    values[-1] = value
    summary = one(values)
    with pytest.raises(Invalid, match="E-RANGE") as caught:
        pack_chunks(packing_of(summary, 5), summary, CTX)
    assert str(value) not in str(caught.value)


def test_vote_words_have_no_range() -> None:
    field = Field(name="v", shape=(2,), kind="vote")
    summary = Summary(Layout(fields=(field,)), {"v": np.array([0, 2**64 - 1], dtype=np.uint64)})
    packing = packing_of(summary)
    assert unpack(packing, pack(packing, summary, CTX), CTX).values["v"].tolist() == [0, 2**64 - 1]


def test_an_array_in_fortran_order_is_the_same_summary() -> None:
    layout = Layout(fields=(Field(name="x", shape=(30, 40), kind="gram"),))
    values = np.arange(1200.0).reshape(30, 40) / 7
    packing = Packing.of(layout, 3)
    words = [pack(packing, Summary(layout, {"x": x}), CTX) for x in (values, np.asfortranarray(values))]
    assert np.array_equal(*words)


def mixed() -> Summary:
    kinds: list[tuple[tuple[int, ...], FieldKind]] = [((3,), "count"), ((4,), "sum"), ((), "gram"), ((5,), "histogram")]
    layout = Layout(fields=tuple(Field(name=f"f{at}", shape=s, kind=k) for at, (s, k) in enumerate(kinds)))
    return Summary(layout, {f.name: np.full(f.shape, 7, dtype=f.dtype) for f in layout.fields})


@given(st.integers(2, 30))
def test_chunks_cover_the_stream_and_never_cut_a_value(size: int) -> None:
    packing = packing_of(mixed())
    assert packing.words == 3 + 8 + 2 + 5 + 1
    spans = list(packing.chunks(size))
    assert [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])]
    assert spans[-1][1] == packing.words
    assert all(size - 1 <= stop - start <= size for start, stop in spans[:-1])
    for start, stop in spans:
        list(packing.pieces(start, stop))  # raises where a value is cut


@given(st.integers(2, 30), st.integers(2, 30))
def test_every_chunk_size_gives_the_same_words_and_summary(packed: int, read: int) -> None:
    summary = mixed()
    packing = packing_of(summary)
    words = np.concatenate(list(pack_chunks(packing, summary, CTX, packed)))
    assert np.array_equal(words, pack(packing, summary, CTX))
    back = unpack_chunks(packing, (words[a:b] for a, b in packing.chunks(read)), CTX)
    assert all(np.array_equal(back.values[name], value) for name, value in summary.values.items())


def test_slices_that_cut_a_value_or_leave_the_stream_are_refused() -> None:
    packing = packing_of(mixed())
    for start, length in ((4, 1), (3, 1), (0, 4), (packing.words, 1), (-1, 2)):
        words = np.zeros(length, dtype=np.uint64)
        for change in (add_into, subtract_into):
            with pytest.raises(Invalid, match="E-LAYOUT"):
                change(packing, words, words, start)
    with pytest.raises(Invalid, match="E-LAYOUT"):
        add_into(packing, np.zeros(3, dtype=np.uint64), np.zeros(1, dtype=np.uint64))
    with pytest.raises(Invalid, match="E-LAYOUT"):
        list(packing.chunks(1))


def test_a_packing_has_parties() -> None:
    for parties in (0, 2**16 + 1):
        with pytest.raises(Invalid, match="E-LAYOUT"):
            Packing.of(mixed().layout, parties)


def test_a_summary_of_another_layout_is_refused() -> None:
    with pytest.raises(Invalid, match="E-LAYOUT"):
        pack(packing_of(mixed()), one([1.0]), CTX)


def test_every_low_word_is_under_the_checksum() -> None:
    summary = mixed()
    packing = packing_of(summary)
    words = pack(packing, summary, CTX)
    for segment in packing.segments:
        for at in range(segment.start, segment.stop, segment.limbs):
            changed = words.copy()
            changed[at] ^= np.uint64(2**63)
            with pytest.raises(Untrusted, match="E-CHECKSUM"):
                unpack(packing, changed, CTX)


def test_a_stream_of_another_length_is_refused() -> None:
    summary = mixed()
    packing = packing_of(summary)
    words = pack(packing, summary, CTX)
    raw = words.astype("<u8").tobytes()
    for pieces in ([raw[:-1]], [raw, b"\0"], [raw[:8]], []):
        with pytest.raises(Untrusted, match="E-LENGTH"):
            list(regroup(packing, pieces))
    for chunks in ([words[:-1]], [words, words[:1]], []):
        with pytest.raises(Untrusted, match="E-LENGTH"):
            unpack_chunks(packing, chunks, CTX)
    for other in (words[:-1], np.append(words, np.uint64(0))):
        with pytest.raises(Untrusted, match="E-LENGTH"):
            unpack(packing, other, CTX)


@given(st.lists(NUMBERS, min_size=1, max_size=20), st.binary(min_size=32, max_size=32))
def test_noise_in_the_place_of_values_passes_the_checksum_and_hides_what_it_is_added_to(
    values: list[float], seed: bytes
) -> None:
    summary = one(values)
    packing = packing_of(summary)
    noise = pack(packing, Blind(summary.layout, seed), CTX)
    total = noise.copy()
    add_into(packing, total, pack(packing, summary, CTX))
    unpack(packing, total, CTX)  # a wrong key is noticed all the same
    with pytest.raises(Untrusted):
        unpack(packing, total, b"another ctx")
    assert len(set(noise.tolist())) == packing.words  # no word is 0 or said twice
