"""Masks of `secagg/1`: y_i = x_i + PRG(b_i) + sum_{j>i} PRG(k_ij) - sum_{j<i} PRG(k_ij) in the ring.

Each key is one stream over the whole reply, checksum word included. `ctx` must bind study, question, round and
attempt: the same key is never used for two different plain texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.crypto.prg import Stream, Words, derive
from isthmus.crypto.ring import Packing, add_into, subtract_into
from isthmus.model.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_INDEX_SIZE = 4


def mask_key(pair_secret: bytes, ctx: bytes) -> bytes:
    """k_ij of one round: what M5 may reveal of a pair, and no more."""
    return derive(pair_secret, "mask", ctx)


def share_key(pair_secret: bytes, i: int, j: int, ctx: bytes) -> bytes:
    """The key that seals the share which site i sends to site j in one round; i to j and j to i differ."""
    return derive(pair_secret, "share", i.to_bytes(_INDEX_SIZE, "big"), j.to_bytes(_INDEX_SIZE, "big"), ctx)


def mask_chunks(
    packing: Packing,
    plain_chunks: Iterable[Words],
    self_seed: bytes | None,
    plus: Sequence[bytes],
    minus: Sequence[bytes],
) -> Iterator[bytes]:
    """The masked reply, little-endian bytes, one piece per plain chunk; the plain chunks stay as they are.

    Args:
        packing: of the round's layout.
        plain_chunks: aligned chunks that cover the stream, as `ring.pack_chunks` gives them.
        self_seed: b_i, fresh for each attempt; None where no k_ij can be revealed.
        plus: k_ij of peers with a higher index.
        minus: k_ij of peers with a lower index.

    Raises:
        Invalid: E-MASK, a key given twice (two masks that cancel or repeat); E-LAYOUT, chunks that do not cover the
            stream or cut a value in two.
    """
    adding, taking = _streams(plus if self_seed is None else (self_seed, *plus), minus)
    return (words.astype("<u8", copy=False).tobytes() for words in _apply(packing, plain_chunks, adding, taking))


def unmask_chunks(
    packing: Packing,
    total_chunks: Iterable[Words],
    self_seeds: Sequence[bytes],
    plus_missing: Sequence[bytes],
    minus_missing: Sequence[bytes],
) -> Iterator[Words]:
    """The sum of the survivors' masked replies, chunk by chunk, without its masks.

    Args:
        packing: of the round's layout.
        total_chunks: aligned chunks of the sum of the replies.
        self_seeds: b_i of every survivor.
        plus_missing: k_ij that a survivor i added for a dropped j > i: taken off here.
        minus_missing: k_ij that a survivor i took off for a dropped j < i: added back here.

    Raises:
        Invalid: E-MASK, E-LAYOUT; as `mask_chunks`.
    """
    adding, taking = _streams(minus_missing, (*self_seeds, *plus_missing))
    return _apply(packing, total_chunks, adding, taking)


def unmask_into(
    packing: Packing,
    total: Words,
    self_seeds: Sequence[bytes],
    plus_missing: Sequence[bytes],
    minus_missing: Sequence[bytes],
) -> None:
    """`unmask_chunks` in place on the whole stream, (packing.words,).

    Raises:
        Invalid: E-MASK, E-LAYOUT; as `mask_chunks`.
    """
    if len(total) != packing.words:
        raise _uncovered()
    spans = list(packing.chunks())
    chunks = unmask_chunks(packing, (total[a:b] for a, b in spans), self_seeds, plus_missing, minus_missing)
    for (start, stop), opened in zip(spans, chunks, strict=True):
        total[start:stop] = opened


def sum_chunks(packing: Packing, replies: Sequence[Iterable[Words]]) -> Iterator[Words]:
    """Replies in equally aligned chunks (`ring.regroup`), added up chunk by chunk: memory of one chunk per reply.

    Raises:
        Invalid: E-LAYOUT, no replies, or replies of different lengths.
    """
    if not replies:
        raise Invalid("E-LAYOUT", "there are no replies to add up")
    at = 0
    try:
        for first, *others in zip(*replies, strict=True):
            total = first.copy()
            for other in others:
                add_into(packing, total, other, at)
            yield total
            at += len(total)
    except ValueError as error:
        raise Invalid("E-LAYOUT", "replies of different lengths do not add up") from error


def _streams(adding: Sequence[bytes], taking: Sequence[bytes]) -> tuple[list[Stream], list[Stream]]:
    if len({*adding, *taking}) != len(adding) + len(taking):
        raise Invalid("E-MASK", "one mask key was given twice", "masks must be pairwise different")
    return [Stream(key) for key in adding], [Stream(key) for key in taking]


def _apply(
    packing: Packing, chunks: Iterable[Words], adding: Sequence[Stream], taking: Sequence[Stream]
) -> Iterator[Words]:
    at = 0
    for chunk in chunks:
        words = chunk.copy()
        for stream in adding:
            add_into(packing, words, stream.words(len(words)), at)
        for stream in taking:
            subtract_into(packing, words, stream.words(len(words)), at)
        at += len(words)
        yield words
    if at != packing.words:
        raise _uncovered()


def _uncovered() -> Invalid:
    return Invalid("E-LAYOUT", "the chunks do not cover the stream")
