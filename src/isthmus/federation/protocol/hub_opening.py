"""From the answers to M6 to the sum: the hub combines shares, takes the masks off, and packs M7 for the sites."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.crypto.keys import verify
from isthmus.crypto.shares import SHARE_SIZE, combine
from isthmus.federation.messages import Message, Payload, check_signature, part, read_all
from isthmus.federation.protocol.context import Binding
from isthmus.federation.protocol.hub_phases import Asking, Block, Opening
from isthmus.federation.protocol.sums import by_replies, lifted, missing_masks, restored, self_seeds, summed
from isthmus.federation.spool import Spool
from isthmus.model.errors import Untrusted
from isthmus.summary import Summary


@dataclass(frozen=True, slots=True)
class Doubted:
    """Answers whose signature does not hold were dropped; these sites are asked again."""

    sites: tuple[str, ...]


def open_seeds(binding: Binding, phase: Opening) -> dict[str, bytes] | Doubted:
    """b_i of every survivor. Signatures of the answers are looked at only when a commitment does not hold.

    Raises:
        Untrusted: E-SHARES, signed shares give no seed that was committed to.
    """
    try:
        return _seeds(binding, phase)
    except Untrusted:
        bad = tuple(site for site, message in phase.answers.items() if not _signed(message, binding.key(site)))
        if not bad:
            raise
        for site in bad:
            del phase.answers[site]
        return Doubted(bad)


def _seeds(binding: Binding, phase: Opening) -> dict[str, bytes]:
    answers = {binding.indices[site]: read_all(message.body) for site, message in phase.answers.items()}
    seeds = {}
    for at, site in enumerate(phase.wanted.survivors):
        start = at * SHARE_SIZE
        shares = {index: raw[start : start + SHARE_SIZE] for index, raw in answers.items()}
        seed = combine(shares, binding.charter.threshold)
        if hashlib.sha256(seed).hexdigest() != phase.asked.replies[site].header["commitment"]:
            raise Untrusted("E-SHARES", "the opened shares give another seed than a site committed to")
        seeds[site] = seed
    return seeds


def open_sum(
    binding: Binding, asked: Asking, survivors: Sequence[str], seeds: Mapping[str, bytes], spool: Spool
) -> tuple[Block, Summary]:
    """The pooled sum, and what sites will get of it: the signed replies, or above 1 MiB a reply the sum's words.

    `seeds`: b_i of every survivor, or none where replies have none.

    Raises:
        Untrusted: E-CHECKSUM, masks did not cancel.
    """
    own, replies = asked.turn, [asked.replies[site] for site in survivors]
    revealed = {site: message.header["keys"] for site, message in asked.reveals.items()}
    masks = missing_masks(binding, list(seeds.values()), revealed)
    words = lifted(own, [reply.body for reply in replies], masks)
    if by_replies(own):
        pooled = summed(own, words, _forget)
        chunks = (chunk for reply in replies for chunk in reply.body.chunks())
        body = spool.gather("replies", chunks, own.size * len(replies))
        told = {site: _told(seeds.get(site, b""), reply) for site, reply in zip(survivors, replies, strict=True)}
    else:
        writer = spool.writer("sum")
        pooled = summed(own, words, writer.write)
        body, told = writer.close(), {}
    keys = {
        site: {"keys": dict(message.header["keys"]), "signature": message.signature.hex()}
        for site, message in asked.reveals.items()
    }
    return Block(own, {"context": own.name, "replies": told, "revealed": keys, "size": body.size}, body), pooled


def open_again(binding: Binding, block: Block, survivors: Sequence[str]) -> Summary:
    """The pooled sum of a block read back from the journal: the same bits."""
    if not by_replies(block.turn):
        return restored(block.turn, block.body)
    size = block.turn.size
    replies: list[Payload] = [part(block.body, at * size, size) for at in range(len(survivors))]
    seeds = self_seeds(block.sum["replies"][site]["seed"] for site in survivors)
    revealed = {site: told["keys"] for site, told in block.sum["revealed"].items()}
    return summed(block.turn, lifted(block.turn, replies, missing_masks(binding, seeds, revealed)), _forget)


def quorum_header(context: str, survivors: Sequence[str], signatures: Mapping[str, bytes]) -> dict[str, Any]:
    """Signatures on a survivor set as messages carry them."""
    told = {site: raw.hex() for site, raw in signatures.items()}
    return {"context": context, "survivors": list(survivors), "signatures": told}


def holding(binding: Binding, message: bytes, signatures: Mapping[str, bytes]) -> dict[str, bytes]:
    """The signatures that hold."""
    return {site: raw for site, raw in signatures.items() if _verifies(binding.key(site), raw, message)}


def _told(seed: bytes, reply: Message) -> dict[str, str]:
    shares = hashlib.sha256(reply.enclosed).hexdigest()
    return {"seed": seed.hex(), "shares": shares, "signature": reply.signature.hex()}


def _forget(_words: bytes) -> None:
    """The replies themselves are kept, not their sum."""


def _signed(message: Message, key: bytes) -> bool:
    try:
        check_signature(message, key)
    except Untrusted:
        return False
    return True


def _verifies(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        verify(key, signature, message)
    except Untrusted:
        return False
    return True
