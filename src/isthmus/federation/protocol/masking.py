"""What a paired site does with its secrets: mask a release, seal and open shares, reveal mask keys of the dropped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from isthmus.crypto.masking import mask_chunks, mask_key, share_key
from isthmus.crypto.ring import pack_chunks
from isthmus.crypto.sealing import OVERHEAD, seal, unseal
from isthmus.crypto.shares import SHARE_SIZE, split
from isthmus.federation.messages import Payload, read_all
from isthmus.federation.protocol.context import Binding, Turn, bound_context
from isthmus.federation.protocol.records import Head
from isthmus.federation.spool import Spool
from isthmus.model.errors import Untrusted
from isthmus.summary import Blind, Summary

SEALED_SIZE = SHARE_SIZE + OVERHEAD
SEED_SIZE = 32


@dataclass(frozen=True, slots=True)
class Circle:
    """A site among the sites it has pair secrets with.

    Attributes:
        roster: sites of the first round, this one among them, in roster order.
        secrets: peer -> s_ij.
    """

    binding: Binding
    me: str
    roster: tuple[str, ...]
    secrets: Mapping[str, bytes]

    @property
    def index(self) -> int:
        """This site's share index."""
        return self.binding.indices[self.me]

    def mask_key(self, peer: str, bound_to: bytes) -> bytes:
        """k_ij of the round with this context (`Turn.context`, or `bound_context` once a round has bound the run)."""
        return mask_key(self.secrets[peer], bound_to)

    def share_key(self, giver: str, taker: str, turn: Turn) -> bytes:
        """The key that seals `giver`'s share for `taker` in this round; one of the two is this site."""
        peer = taker if giver == self.me else giver
        indices = self.binding.indices
        return share_key(self.secrets[peer], indices[giver], indices[taker], turn.context)


@dataclass(frozen=True, slots=True)
class Reply:
    """A masked reply before it is signed, and the share of b_i that stays here; without b_i there are no shares."""

    header: dict[str, str]
    body: Payload
    sealed: bytes = b""
    own_share: bytes = b""


def masked(
    circle: Circle, turn: Turn, summary: Summary | Blind, randomness: Callable[[int], bytes], spool: Spool
) -> Reply:
    """M3: y_i = enc(x_i) + PRG(b_i) + sum_{j>i} PRG(k_ij) - sum_{j<i} PRG(k_ij), with fresh b_i and its sealed shares.

    Raises:
        Invalid: E-RANGE, a value that is not finite or out of range; E-LAYOUT, another layout than the round's.
    """
    seed = randomness(SEED_SIZE)
    indices = circle.binding.indices
    shares = split(seed, circle.binding.charter.threshold, [indices[site] for site in turn.roster], randomness)
    peers = [site for site in turn.roster if site != circle.me]
    sealed = b"".join(
        seal(circle.share_key(circle.me, peer, turn), shares[indices[peer]], turn.context) for peer in peers
    )
    body = _hidden(circle, turn, summary, (seed, turn.context), spool)
    header = {"context": turn.name, "commitment": hashlib.sha256(seed).hexdigest()}
    return Reply(header, body, sealed, shares[circle.index])


def masked_bound(circle: Circle, turn: Turn, head: Head, summary: Summary | Blind, spool: Spool) -> Reply:
    """M3 once a round has bound the run: y_i = enc(x_i) + sum_{j>i} PRG(k_ij) - sum_{j<i} PRG(k_ij), which no key is revealed of.

    Replies to different questions, or shown different heads of the hub's ledger, do not add up.

    Raises:
        Invalid: as `masked`.
    """
    body = _hidden(circle, turn, summary, (None, bound_context(turn, head)), spool)
    return Reply({"context": turn.name, "commitment": ""}, body)


def _hidden(
    circle: Circle, turn: Turn, summary: Summary | Blind, secret: tuple[bytes | None, bytes], spool: Spool
) -> Payload:
    """y_i, with b_i and what the mask keys are bound to."""
    seed, bound_to = secret
    keys = {site: circle.mask_key(site, bound_to) for site in turn.roster if site != circle.me}
    higher = {site for site in keys if circle.binding.indices[site] > circle.index}
    plus, minus = ([key for site, key in keys.items() if (site in higher) is over] for over in (True, False))
    chunks = mask_chunks(turn.packing, pack_chunks(turn.packing, summary, turn.context), seed, plus, minus)
    return spool.gather("masked", chunks, turn.size)


def sealed_for(turn: Turn, giver: str, taker: str, sealed: bytes) -> bytes:
    """The part of `giver`'s sealed shares that is for `taker`."""
    peers = [site for site in turn.roster if site != giver]
    at = peers.index(taker) * SEALED_SIZE
    return sealed[at : at + SEALED_SIZE]


def opened_shares(circle: Circle, turn: Turn, survivors: Iterable[str], own_share: bytes, body: Payload) -> bytes:
    """M6: this site's shares of b_i for every survivor, 66 bytes each, in their order.

    Raises:
        Untrusted: E-SEAL, a share that does not open; E-SHARES, another number of them.
    """
    givers = [site for site in survivors if site != circle.me]
    if body.size != SEALED_SIZE * len(givers):
        raise Untrusted("E-SHARES", "not one sealed share of every other survivor")
    raw = read_all(body)
    found = {circle.me: own_share}
    for at, giver in enumerate(givers):
        sealed = raw[at * SEALED_SIZE : (at + 1) * SEALED_SIZE]
        found[giver] = unseal(circle.share_key(giver, circle.me, turn), sealed, turn.context)
    return b"".join(found[site] for site in survivors)


def revealed_keys(circle: Circle, turn: Turn, survivors: Iterable[str]) -> dict[str, str]:
    """M5: k_ij of every dropped j, for this context alone, never s_ij."""
    kept = set(survivors)
    return {site: circle.mask_key(site, turn.context).hex() for site in turn.roster if site not in kept}
