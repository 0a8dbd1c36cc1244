"""A summary as one stream of uint64 words that adds up: Z_2^128 for numbers, Z_2^64 for whole numbers.

Fields follow one another in layout order. A number takes two words (low, high) and adds with carry: independent
lanes would show each lane's sum. Counts, histograms and vote words take one. The last word is the checksum.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isthmus.crypto.fixed import CHUNK_VALUES, decode, encode
from isthmus.crypto.prg import WORD_SIZE, Stream, Words, derive
from isthmus.model.errors import Invalid, Untrusted
from isthmus.model.record import record
from isthmus.summary import WHOLE, Blind, Layout, Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

CHUNK_WORDS = 2 * CHUNK_VALUES
RANGE_BITS = 62
Coding = Literal["number", "whole", "vote", "check"]
Values: TypeAlias = NDArray[Any]  # float64, int64 or uint64, by the kind of field
Writer: TypeAlias = "Callable[[tuple[int, int], Words], None]"  # fills the words [start, stop) of one run


@record
class Segment:
    """One field (or, as a run, neighbours of one coding) in the stream: words [start, stop)."""

    name: str
    coding: Coding
    start: int
    stop: int

    @property
    def limbs(self) -> int:
        """Words per value."""
        return 2 if self.coding == "number" else 1


@record
class Packing:
    """Where each field of a layout lies in the word stream, for sums over at most `parties` sites."""

    layout: Layout
    parties: int
    segments: tuple[Segment, ...]
    runs: tuple[Segment, ...]

    @classmethod
    def of(cls, layout: Layout, parties: int) -> Packing:
        """The packing of `layout`.

        Raises:
            Invalid: E-LAYOUT, no parties or so many that nothing is left of the range.
        """
        if not 1 <= parties <= 2**16:
            raise Invalid("E-LAYOUT", "between 1 and 65,536 parties")
        segments: list[Segment] = []
        at = 0
        for field in layout.fields:
            coding: Coding = "vote" if field.kind == "vote" else "whole" if field.kind in WHOLE else "number"
            stop = at + field.size * (2 if coding == "number" else 1)
            segments.append(Segment(name=field.name, coding=coding, start=at, stop=stop))
            at = stop
        check = Segment(name="", coding="check", start=at, stop=at + 1)
        return cls(layout=layout, parties=parties, segments=tuple(segments), runs=_merge([*segments, check]))

    @property
    def words(self) -> int:
        """Words in the stream, the checksum word included."""
        return self.runs[-1].stop

    @property
    def bound(self) -> float:
        """Every |value| is below this power of two, so that no sum leaves the ring."""
        return 2.0 ** (RANGE_BITS - (self.parties - 1).bit_length())

    def chunks(self, chunk_words: int = CHUNK_WORDS) -> Iterator[tuple[int, int]]:
        """(start, stop) pairs that cover the stream; none but the last longer or more than a word shorter than asked.

        A two-word value is never split. The pairs depend on the packing and `chunk_words` alone.
        """
        if chunk_words < 2:
            raise Invalid("E-LAYOUT", "a chunk holds at least two words")
        start = 0
        while start < self.words:
            stop = min(start + chunk_words, self.words)
            run = next(run for run in self.runs if stop <= run.stop)
            stop -= (stop - run.start) % run.limbs
            yield start, stop
            start = stop

    def pieces(self, start: int, stop: int) -> Iterator[tuple[Segment, int, int]]:
        """(run, start, stop) of what lies in the words [start, stop).

        Raises:
            Invalid: E-LAYOUT, words outside the stream or a value cut in two.
        """
        if not 0 <= start <= stop <= self.words:
            raise Invalid("E-LAYOUT", "these words are not in the stream")
        for run in self.runs:
            low, high = max(start, run.start), min(stop, run.stop)
            if low < high:
                if run.limbs == 2 and ((low - run.start) % 2 or (high - run.start) % 2):
                    raise Invalid("E-LAYOUT", "a chunk may not cut a value in two")
                yield run, low, high


def add_into(packing: Packing, total: Words, other: Words, start: int = 0) -> None:
    """`total += other` in the ring, in place, for the words from `start` on.

    Raises:
        Invalid: E-LAYOUT, other lengths, words outside the stream or a value cut in two.
    """
    _check_slices(total, other)
    for run, low, high in packing.pieces(start, start + len(total)):
        left, right = total[low - start : high - start], other[low - start : high - start]
        left += right
        if run.limbs == 2:
            left[1::2] += left[0::2] < right[0::2]  # carry


def subtract_into(packing: Packing, total: Words, other: Words, start: int = 0) -> None:
    """`total -= other` in the ring, in place, for the words from `start` on.

    Raises:
        Invalid: E-LAYOUT, other lengths, words outside the stream or a value cut in two.
    """
    _check_slices(total, other)
    for run, low, high in packing.pieces(start, start + len(total)):
        left, right = total[low - start : high - start], other[low - start : high - start]
        if run.limbs == 2:
            borrow = left[0::2] < right[0::2]
            left -= right
            left[1::2] -= borrow
        else:
            left -= right


def pack(packing: Packing, summary: Summary | Blind, ctx: bytes) -> Words:
    """The whole stream of `summary`, (packing.words,); `pack_chunks` for one that should not lie in memory.

    Raises:
        Invalid: E-RANGE, E-LAYOUT; as `pack_chunks`.
    """
    return np.concatenate(list(pack_chunks(packing, summary, ctx)))


def pack_chunks(
    packing: Packing, summary: Summary | Blind, ctx: bytes, chunk_words: int = CHUNK_WORDS
) -> Iterator[Words]:
    """The stream of `summary`, chunk by chunk as `packing.chunks(chunk_words)`, before any mask.

    Every value is checked before the first chunk is given. Of a blind one the words are drawn from its seed; the
    checksum is that of what is sent, whichever it is.

    Args:
        packing: made from the summary's layout.
        summary: the values.
        ctx: the round's context digest; gives the public multipliers of the checksum.
        chunk_words: words in memory at a time.

    Raises:
        Invalid: E-RANGE, a value that is not finite or too large for a sum over the parties; E-LAYOUT, the summary
            has another layout than the packing.
    """
    if summary.layout != packing.layout:
        raise Invalid("E-LAYOUT", "the summary's layout is not the packing's")
    if isinstance(summary, Blind):
        return _packed(packing, _drawing(summary.seed), ctx, chunk_words)
    check_range(packing, summary)
    flat = _flat(summary)
    return _packed(packing, lambda span, out: _write(packing, flat, span, out), ctx, chunk_words)


def check_range(packing: Packing, summary: Summary) -> None:
    """Return when every value of `summary` can be summed over the parties. Invalid (E-RANGE) otherwise."""
    flat = _flat(summary)
    for segment in packing.segments:
        _check_range(packing, segment, flat[segment.name])


def _flat(summary: Summary) -> Mapping[str, Values]:
    return {name: value.reshape(-1) for name, value in summary.values.items()}  # a view, but for Fortran order


def _drawing(seed: bytes) -> Writer:
    """Writes uniformly random words, whatever the coding: each value is uniform in its ring."""
    stream = Stream(derive(seed, "refusal"))

    def draw(_span: tuple[int, int], out: Words) -> None:
        out[:] = stream.words(len(out))

    return draw


def _packed(packing: Packing, write: Writer, ctx: bytes, chunk_words: int) -> Iterator[Words]:
    checksum = Checksum(ctx)
    for start, stop in packing.chunks(chunk_words):
        out = np.empty(stop - start, dtype=np.uint64)
        for run, low, high in packing.pieces(start, stop):
            part = out[low - start : high - start]
            if run.coding == "check":
                part[0] = checksum.value
            else:
                write((low, high), part)
                checksum.feed(part[:: run.limbs])
        yield out


def unpack(packing: Packing, words: Words, ctx: bytes) -> Summary:
    """The summary in an unmasked sum (packing.words,).

    Raises:
        Untrusted: E-CHECKSUM, a wrong key, lost chunk or another version; E-LENGTH, another number of words.
    """
    if len(words) != packing.words:
        raise _length()
    return unpack_chunks(packing, (words[start:stop] for start, stop in packing.chunks()), ctx)


def unpack_chunks(packing: Packing, chunks: Iterable[Words], ctx: bytes) -> Summary:
    """The summary in an unmasked sum given in aligned chunks of any length.

    Raises:
        Untrusted: E-CHECKSUM, E-LENGTH; as `unpack`.
    """
    checksum, claimed, at = Checksum(ctx), -1, 0
    values: dict[str, Values] = {
        field.name: np.empty(field.shape, dtype=field.dtype) for field in packing.layout.fields
    }
    for chunk in chunks:
        if at + len(chunk) > packing.words:
            raise _length()
        for run, low, high in packing.pieces(at, at + len(chunk)):
            part = chunk[low - at : high - at]
            if run.coding == "check":
                claimed = int(part[0])
            else:
                checksum.feed(part[:: run.limbs])
                _read(packing, values, (low, high), part)
        at += len(chunk)
    if at != packing.words:
        raise _length()
    if claimed != checksum.value:
        raise Untrusted("E-CHECKSUM", "the sum does not decode", "a site used another key, chunk or version")
    return Summary(packing.layout, values)


class Checksum:
    """sum_k h_k q_k mod 2**64 over the values q_k (a number counts with its low word), h_k public, odd, from ctx.

    Linear, so the sum of the sites' checksums is the checksum of the sum. It notices accidents (a wrong key, a lost
    chunk); against malice there are signatures.
    """

    __slots__ = ("_stream", "value")

    def __init__(self, ctx: bytes) -> None:
        self._stream = Stream(derive(sha256(ctx).digest(), "checksum"))
        self.value = 0

    def feed(self, low: Words) -> None:
        """Take in the next low words, (n,)."""
        factors = self._stream.words(len(low))
        factors |= np.uint64(1)
        self.value = (self.value + int(np.dot(factors, low))) % 2**64


def regroup(packing: Packing, pieces: Iterable[bytes], chunk_words: int = CHUNK_WORDS) -> Iterator[Words]:
    """Bytes in pieces of any length (frames, file blocks) as aligned chunks of words, holding one chunk and a piece.

    Raises:
        Untrusted: E-LENGTH, more or fewer bytes than the stream has.
    """
    source, held = iter(pieces), bytearray()
    for start, stop in packing.chunks(chunk_words):
        size = WORD_SIZE * (stop - start)
        while len(held) < size:
            piece = next(source, None)
            if piece is None:
                raise _length()
            held += piece
        yield np.frombuffer(bytes(held[:size]), dtype="<u8").astype(np.uint64, copy=False)
        del held[:size]
    if held or any(len(piece) for piece in source):
        raise _length()


def _merge(segments: list[Segment]) -> tuple[Segment, ...]:
    runs: list[Segment] = []
    for segment in segments:
        if runs and runs[-1].coding == segment.coding:
            last = runs.pop()
            segment = Segment(name="", coding=last.coding, start=last.start, stop=segment.stop)
        if segment.start < segment.stop:
            runs.append(segment)
    return tuple(runs)


def _check_slices(total: Words, other: Words) -> None:
    if len(total) != len(other):
        raise Invalid("E-LAYOUT", "only slices of one length add up")


def _check_range(packing: Packing, segment: Segment, flat: Values) -> None:
    for at in range(0, (segment.stop - segment.start) // segment.limbs, CHUNK_VALUES):
        part = flat[at : at + CHUNK_VALUES]
        # NaN fails both comparisons; vote words are uniform and have no range
        if segment.coding != "vote" and not (part.max() < packing.bound and part.min() > -packing.bound):
            raise Invalid(
                "E-RANGE",
                f"field {segment.name!r} holds a value that is not finite or too large to be summed",
                "rescale the variable by a power of two in the codebook",
            )


def _overlaps(packing: Packing, low: int, high: int) -> Iterator[tuple[Segment, int, int]]:
    for segment in packing.segments:
        first, last = max(low, segment.start), min(high, segment.stop)
        if first < last:
            yield segment, first, last


def _write(packing: Packing, flat: Mapping[str, Values], span: tuple[int, int], out: Words) -> None:
    """Code the words `span` of one run into `out`; small neighbours are coded in one go."""
    parts, limbs = [], 1
    for segment, first, last in _overlaps(packing, *span):
        limbs = segment.limbs
        parts.append(flat[segment.name][(first - segment.start) // limbs : (last - segment.start) // limbs])
    values = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if limbs == 1:
        out[:] = values.view(np.uint64)
        return
    for at in range(0, len(values), CHUNK_VALUES):
        encode(values[at : at + CHUNK_VALUES], out[2 * at : 2 * (at + CHUNK_VALUES)])


def _read(packing: Packing, values: Mapping[str, Values], span: tuple[int, int], part: Words) -> None:
    for segment, first, last in _overlaps(packing, *span):
        words = part[first - span[0] : last - span[0]]
        flat = values[segment.name].reshape(-1)[
            (first - segment.start) // segment.limbs : (last - segment.start) // segment.limbs
        ]
        if segment.limbs == 1:
            flat.view(np.uint64)[:] = words
            continue
        for at in range(0, len(flat), CHUNK_VALUES):
            decode(words[2 * at : 2 * (at + CHUNK_VALUES)], flat[at : at + CHUNK_VALUES])


def _length() -> Untrusted:
    return Untrusted("E-LENGTH", "the reply has another number of words than its layout")
