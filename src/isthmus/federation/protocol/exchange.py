"""M1, M2 and M1': every pair of sites agrees on a secret that the hub, which carries the messages, never learns.

Keys are signed by the identities the charter pins; the hub cannot add, swap or impersonate a site. Each function here
takes one step of one party; the state machines keep and journal what it gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from isthmus.crypto.exchange import (
    MLKEM_CIPHERTEXT_SIZE,
    ExchangeKeys,
    ExchangePublic,
    decapsulate,
    encapsulate,
    exchange_public,
)
from isthmus.crypto.keys import verify
from isthmus.federation.messages import (
    EMPTY,
    Author,
    BytesPayload,
    Message,
    Payload,
    compact,
    header_digest,
    read_all,
    signed_bytes,
)
from isthmus.federation.protocol.charter import SECAGG
from isthmus.federation.protocol.context import Binding
from isthmus.federation.protocol.records import Head, Keys, Paired, Pairs, Roster
from isthmus.federation.protocol.survivors import check_size
from isthmus.federation.wire import unhex
from isthmus.ledger.log import head_of
from isthmus.model.canonical import plain
from isthmus.model.errors import Untrusted

Ledgers: TypeAlias = tuple[Head, Mapping[str, Head]]


@dataclass(frozen=True, slots=True)
class Acquainted:
    """A site's view of the run once M2 is verified.

    Attributes:
        roster: sites that are present, in roster order.
        publics: site -> its exchange keys.
        digests: site -> hex SHA-256 of its M1.
        head: the hub's ledger, as M2 says.
        ledgers: site -> its own ledger, as its M1 says.
    """

    roster: tuple[str, ...]
    publics: Mapping[str, ExchangePublic]
    digests: Mapping[str, str]
    head: Head
    ledgers: Mapping[str, Head]


def keys_header(public: ExchangePublic, snapshot: str, head: Head, ledgers: Ledgers) -> dict[str, object]:
    """M1 of a site; `ledgers` are its own and those it holds of the other sites."""
    own, peers = ledgers
    return {**public.to_json(), "snapshot": snapshot, "head": plain(head), "own": plain(own), "peers": plain(peers)}


def check_roster(binding: Binding, me: str, own: Mapping[str, object], roster: Roster) -> Acquainted:
    """Verify M2 against the charter's pinned keys.

    Args:
        binding: the charter.
        me: this site.
        own: the header of its own M1.
        roster: what the hub relayed.

    Raises:
        Untrusted: E-ROSTER, a site that is not in the charter or this site's own keys changed; E-SIGNATURE;
            E-MIN-SITES; E-KEY.
    """
    present = binding.charter.ordered(roster.cards)
    if set(present) != set(roster.cards) or me not in roster.cards:
        raise Untrusted("E-ROSTER", "the hub's roster is not within the agreed one, or leaves this site out")
    check_size(binding, present)
    headers = {site: plain(roster.cards[site].keys) for site in present}
    if headers[me] != own:
        raise Untrusted("E-ROSTER", "the hub relayed other keys than this site's own")
    digests = {site: header_digest(headers[site]) for site in present}
    for site in present:
        if site != me:
            _verify(binding, site, "keys", (digests[site], EMPTY.sha256), roster.cards[site].signature)
    publics = {
        site: exchange_public({"x25519": keys.x25519, "mlkem": keys.mlkem})
        for site, keys in ((site, roster.cards[site].keys) for site in present)
    }
    ledgers = {site: roster.cards[site].keys.own for site in present}
    return Acquainted(present, publics, digests, roster.head, ledgers)


def encapsulated(
    binding: Binding, me: str, keys: ExchangeKeys, known: Acquainted
) -> tuple[dict[str, object], bytes, dict[str, bytes]]:
    """M1': header and body with a ciphertext for every higher site, and the secrets they make."""
    secrets, ciphertexts = {}, {}
    for peer in known.roster:
        if binding.indices[peer] > binding.indices[me]:
            ciphertext, secret = encapsulate(keys, known.publics[peer], _pair_context(binding, known, me, peer))
            secrets[peer], ciphertexts[peer] = secret, ciphertext
    header: dict[str, object] = {
        "roster": list(known.roster),
        "ciphertexts": {peer: hashlib.sha256(raw).hexdigest() for peer, raw in ciphertexts.items()},
    }
    return header, b"".join(ciphertexts.values()), secrets


def decapsulated(
    binding: Binding, me: str, keys: ExchangeKeys, known: Acquainted, sent: tuple[Paired, Payload]
) -> dict[str, bytes]:
    """The secrets with every lower site of the final roster, from the relayed M1'.

    Raises:
        Untrusted: E-ROSTER, E-MIN-SITES, E-SIGNATURE, E-KEY.
    """
    paired, payload = sent
    roster = binding.charter.ordered(paired.roster)
    if roster != paired.roster or me not in roster or not set(roster) <= set(known.roster):
        raise Untrusted("E-ROSTER", "the roster of the first round is not within the sites that sent keys")
    check_size(binding, roster)
    lower = [site for site in roster if binding.indices[site] < binding.indices[me]]
    if set(paired.pairs) != set(lower) or payload.size != MLKEM_CIPHERTEXT_SIZE * len(lower):
        raise Untrusted("E-ROSTER", "not one ciphertext of every lower site")
    body = read_all(payload)
    secrets = {}
    for at, site in enumerate(lower):
        ciphertext = body[at * MLKEM_CIPHERTEXT_SIZE : (at + 1) * MLKEM_CIPHERTEXT_SIZE]
        pair = paired.pairs[site]
        _verify(binding, site, "pairs", (header_digest(plain(pair.pairs)), pair.body), pair.signature)
        if (
            pair.pairs.roster != known.roster
            or pair.pairs.ciphertexts.get(me) != hashlib.sha256(ciphertext).hexdigest()
        ):
            raise Untrusted("E-SIGNATURE", "a ciphertext is not the one that its site signed")
        context = _pair_context(binding, known, site, me)
        secrets[site] = decapsulate(keys, known.publics[site], ciphertext, context)
    return secrets


def check_keys(keys: Keys) -> None:
    """Return when M1 holds exchange keys and ledger heads: others would refuse the M2 that carries anything else.

    Raises:
        Invalid: E-KEY, E-HEAD.
    """
    exchange_public({"x25519": keys.x25519, "mlkem": keys.mlkem})
    for head in (keys.head, keys.own, *keys.peers.values()):
        head_of(plain(head))


def roster_message(hub: Author, cards: Mapping[str, Message], grown: Mapping[str, Any]) -> Message:
    """M2, from the M1 of the present sites (already verified by the hub) and what `Recorder.grown` says."""
    relayed = {site: {"keys": dict(m.header), "signature": m.signature.hex()} for site, m in cards.items()}
    return hub.say("roster", {"cards": relayed, **grown})


def paired_message(binding: Binding, hub: Author, site: str, answers: Mapping[str, Message]) -> Message:
    """What `site` gets of the M1' of all (keys of `answers`: the roster of the first round)."""
    roster = binding.charter.ordered(answers)
    lower = [peer for peer in roster if binding.indices[peer] < binding.indices[site]]
    pairs = {
        peer: {
            "pairs": dict(answers[peer].header),
            "body": answers[peer].body.sha256,
            "signature": answers[peer].signature.hex(),
        }
        for peer in lower
    }
    body = b"".join(_ciphertext(binding, answers[peer], peer, site) for peer in lower)
    return hub.say("paired", {"roster": list(roster), "pairs": pairs}, BytesPayload(body))


def _ciphertext(binding: Binding, message: Message, giver: str, taker: str) -> bytes:
    higher = [peer for peer in message.header["roster"] if binding.indices[peer] > binding.indices[giver]]
    at = higher.index(taker) * MLKEM_CIPHERTEXT_SIZE
    return read_all(message.body)[at : at + MLKEM_CIPHERTEXT_SIZE]


def check_pairs(binding: Binding, site: str, pairs: Pairs, size: int, roster: tuple[str, ...]) -> None:
    """Return when a site's M1' covers the roster of M2. Untrusted (E-ROSTER) otherwise."""
    higher = {peer for peer in roster if binding.indices[peer] > binding.indices[site]}
    if pairs.roster != roster or set(pairs.ciphertexts) != higher or size != MLKEM_CIPHERTEXT_SIZE * len(higher):
        raise Untrusted("E-ROSTER", "not one ciphertext for every higher site")


def _pair_context(binding: Binding, known: Acquainted, lower: str, higher: str) -> bytes:
    charter = binding.charter
    indices = [binding.indices[lower], binding.indices[higher]]
    return compact(
        [
            SECAGG,
            "pair",
            charter.mode,
            charter.study,
            charter.run,
            *indices,
            known.digests[lower],
            known.digests[higher],
        ]
    )


def _verify(binding: Binding, site: str, kind: str, digests: tuple[str, str], signature: str) -> None:
    charter = binding.charter
    message = signed_bytes(charter.mode, kind, charter.run, site, (digests[0], EMPTY.sha256, digests[1]))
    verify(binding.key(site), unhex(signature), message)
