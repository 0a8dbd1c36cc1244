"""Adding up and unmasking: the hub does it with what it gathered, every site again with the signed replies (M7).

Above 1 MiB a reply the sites get the hub's signed sum instead, and each party's report names the round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from isthmus.crypto.keys import verify
from isthmus.crypto.masking import sum_chunks, unmask_chunks
from isthmus.crypto.prg import Words
from isthmus.crypto.ring import regroup, unpack_chunks
from isthmus.federation.messages import CHUNK, EMPTY, BytesPayload, Payload, header_digest, read_all, signed_bytes
from isthmus.federation.protocol.context import Binding, Turn, masked_bytes
from isthmus.federation.protocol.records import Sum
from isthmus.federation.wire import unhex
from isthmus.model.errors import Untrusted
from isthmus.summary import Summary

KEY_SIZE = 32


@dataclass(frozen=True, slots=True)
class Own:
    """What a site still knows of its own reply once it is sent: its signature is not verified again."""

    commitment: str
    signature: bytes
    shares: str
    body: str


@dataclass(frozen=True, slots=True)
class Masks:
    """What hides a sum: b_i of the survivors, and k_ij that survivors added (or took off) for dropped sites."""

    seeds: tuple[bytes, ...]
    plus: tuple[bytes, ...] = ()
    minus: tuple[bytes, ...] = ()


def by_replies(turn: Turn) -> bool:
    """Whether sites add up the signed replies themselves (up to 1 MiB a reply)."""
    return turn.size <= CHUNK


def lifted(turn: Turn, replies: Sequence[Payload], masks: Masks) -> Iterator[Words]:
    """The unmasked sum, chunk by chunk."""
    chunks = [regroup(turn.packing, reply.chunks()) for reply in replies]
    return unmask_chunks(turn.packing, sum_chunks(turn.packing, chunks), masks.seeds, masks.plus, masks.minus)


def summed(turn: Turn, chunks: Iterator[Words], keep: Callable[[bytes], None]) -> Summary:
    """The pooled summary in an unmasked sum; `keep` gets its words. Untrusted (E-CHECKSUM) when masks did not cancel."""
    return unpack_chunks(turn.packing, _kept(chunks, keep), turn.context)


def restored(turn: Turn, words: Payload) -> Summary:
    """The pooled summary of kept words."""
    return unpack_chunks(turn.packing, regroup(turn.packing, words.chunks()), turn.context)


def _kept(chunks: Iterator[Words], keep: Callable[[bytes], None]) -> Iterator[Words]:
    for chunk in chunks:
        keep(chunk.astype("<u8", copy=False).tobytes())
        yield chunk


def missing_masks(binding: Binding, seeds: Sequence[bytes], revealed: Mapping[str, Mapping[str, str]]) -> Masks:
    """Masks of a sum whose dropped sites' keys were revealed: survivor -> dropped -> k_ij in hex."""
    plus: list[bytes] = []
    minus: list[bytes] = []
    for survivor, keys in revealed.items():
        for dropped, key in keys.items():
            higher = binding.indices[dropped] > binding.indices[survivor]
            (plus if higher else minus).append(unhex(key, KEY_SIZE))
    return Masks(tuple(seeds), tuple(plus), tuple(minus))


def self_seeds(told: Iterable[str]) -> list[bytes]:
    """b_i of those that have one."""
    return [unhex(seed, KEY_SIZE) for seed in told if seed]


def check_sum(
    binding: Binding, turn: Turn, survivors: tuple[str, ...], block: Sum, body: Payload, own: tuple[str, Own]
) -> tuple[Summary, bytes]:
    """The pooled sum and its words, as this site adds and unmasks it: every reply's signature, and SHA-256(b_i), must hold.

    Args:
        binding: the charter.
        turn: the round, as this site derived it.
        survivors: the final set a quorum signed.
        block: seeds, digests and signatures.
        body: the masked replies, in survivor order.
        own: this site's name and reply.

    Raises:
        Untrusted: E-SUM, E-CHECKSUM.
    """
    if set(block.replies) != set(survivors):
        raise _false("not the replies of the survivors")
    if body.size != turn.size * len(survivors):
        raise _false("a reply has another length")
    raw = read_all(body)
    replies = [BytesPayload(raw[at : at + turn.size]) for at in range(0, len(raw), turn.size)]
    for site, reply in zip(survivors, replies, strict=True):
        _check_reply(binding, turn, (site, reply), block, own)
    keys = _check_revealed(binding, turn, survivors, block)
    seeds = self_seeds(block.replies[site].seed for site in survivors)
    words: list[bytes] = []
    pooled = summed(turn, lifted(turn, replies, missing_masks(binding, seeds, keys)), words.append)
    return pooled, b"".join(words)


def _check_reply(binding: Binding, turn: Turn, sent: tuple[str, Payload], block: Sum, own: tuple[str, Own]) -> None:
    site, payload = sent
    reply = block.replies[site]
    signature = unhex(reply.signature)
    commitment = hashlib.sha256(unhex(reply.seed, KEY_SIZE)).hexdigest() if reply.seed else ""
    if site == own[0]:
        if Own(commitment, signature, reply.shares, payload.sha256) != own[1]:
            raise _false("this site's own reply was changed")
        return
    header = {"context": turn.name, "commitment": commitment}
    message = masked_bytes(binding.charter, site, header, (reply.shares, payload.sha256))
    _check(binding, site, signature, message)


def _check_revealed(
    binding: Binding, turn: Turn, survivors: tuple[str, ...], block: Sum
) -> dict[str, Mapping[str, str]]:
    dropped = set(turn.roster) - set(survivors)
    if not dropped:
        return {}
    keys = {}
    for site in survivors:
        if site not in block.revealed or set(block.revealed[site].keys) != dropped:
            raise _false("mask keys of the dropped sites are missing")
        revealed = block.revealed[site]
        header = {"context": turn.name, "survivors": list(survivors), "keys": dict(revealed.keys)}
        charter = binding.charter
        digests = (header_digest(header), EMPTY.sha256, EMPTY.sha256)
        _check(
            binding, site, unhex(revealed.signature), signed_bytes(charter.mode, "reveal", charter.run, site, digests)
        )
        keys[site] = revealed.keys
    return keys


def _check(binding: Binding, site: str, signature: bytes, message: bytes) -> None:
    try:
        verify(binding.key(site), signature, message)
    except Untrusted as error:
        raise _false("a reply's signature does not hold") from error


def _false(why: str) -> Untrusted:
    return Untrusted("E-SUM", f"the hub's sum is not what the sites sent: {why}", "the round is refused")
