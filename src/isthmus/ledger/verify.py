"""Verification of a result bundle, offline: bytes in, `Verified` or a typed error out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from isthmus.crypto.keys import fingerprint, verify
from isthmus.crypto.shares import threshold_for
from isthmus.ledger.bundle import (
    RESERVED,
    Roll,
    bad_bundle,
    read_bundle,
    read_roll,
    release_facts,
    result_statement,
    seal_statement,
    study_facts,
)
from isthmus.ledger.checkpoint import Checkpoint, verify_checkpoint
from isthmus.ledger.entries import Entry, encode_entry, entry_of
from isthmus.ledger.later import check_later
from isthmus.ledger.merkle import HASH_SIZE, verify_inclusion
from isthmus.model.canonical import digest
from isthmus.model.errors import Untrusted
from isthmus.model.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isthmus.model.names import Digest, SiteId

_HEX = re.compile(r"([0-9a-f]{2})*", re.ASCII)


@record
class Verified:
    """What holds of a bundle; `bundle` is its parsed JSON.

    `entries` end with those that came after the checkpoint, up to `later`, if there are any. `fingerprints` are of the keys the bundle itself names: whoever pinned no keys compares them with the parties'.
    """

    mode: str
    run: str
    study: str
    agreement: str
    result: Digest
    signers: tuple[SiteId, ...]
    checkpoint: Checkpoint
    entries: tuple[Entry, ...]
    fingerprints: Mapping[str, str]
    bundle: Mapping[str, Any]
    later: Checkpoint | None = None


Check: TypeAlias = "Callable[[Verified], None]"


def verify_bundle(raw: bytes, checks: Sequence[Check]) -> Verified:
    """The bundle in `raw`, when everything in it holds.

    Args:
        raw: the file.
        checks: further checks by the layers above (the agreement's signatures, pinned keys, the estimate recomputed
            from the transcript); each raises on failure.

    Raises:
        Invalid: E-CANONICAL, E-BUNDLE, E-CHECKPOINT, E-ENTRY, a malformed file.
        Untrusted: E-SIGNATURE, E-LEDGER, E-BUNDLE, a part that does not hold; and what `checks` raise.
    """
    bundle = read_bundle(raw)
    roll = read_roll(bundle["charter"])
    _check_roll(bundle, roll)
    body = {name: part for name, part in bundle.items() if name != "seal"}
    verify(roll.hub_key, _unhex(bundle["seal"]), seal_statement(body))
    signers = _check_signatures(bundle, roll)
    checkpoint = verify_checkpoint(
        bundle["checkpoint"], roll.hub_key, {str(site): key for site, key in roll.keys.items()}
    )
    if len(checkpoint.cosigners) < roll.threshold:
        raise Untrusted("E-SIGNATURE", "fewer sites than the threshold cosigned the checkpoint")
    later, since = _check_later(bundle, roll, checkpoint)
    verified = Verified(
        mode=roll.mode,
        run=roll.run,
        study=roll.study,
        agreement=roll.agreement,
        result=digest(bundle["result"]),
        signers=signers,
        checkpoint=checkpoint,
        entries=_check_entries(bundle, roll, checkpoint) + since,
        fingerprints={RESERVED: fingerprint(roll.hub_key)}
        | {site: fingerprint(key) for site, key in roll.keys.items()},
        bundle=bundle,
        later=later,
    )
    for check in checks:
        check(verified)
    return verified


def pinned_keys(keys: Mapping[str, str]) -> Check:
    """A check that the bundle's roster is exactly `keys` (site -> hex key), as the verifier holds them."""

    def check(verified: Verified) -> None:
        roster = {member["site"]: member["key"] for member in verified.bundle["charter"]["roster"]}
        if roster != dict(keys):
            raise Untrusted("E-BUNDLE", "the bundle's sites or keys are not the pinned ones")

    return check


def _check_roll(bundle: Mapping[str, Any], roll: Roll) -> None:
    if bundle["mode"] != roll.mode:
        raise Untrusted("E-BUNDLE", "the bundle's mode is not its charter's")
    # a hub that writes a lower threshold into the charter would need fewer sites than the protocol asks for
    if not threshold_for(len(roll.keys)) <= roll.threshold <= len(roll.keys):
        raise Untrusted("E-BUNDLE", "the charter's threshold is not the protocol's")


def _check_signatures(bundle: Mapping[str, Any], roll: Roll) -> tuple[SiteId, ...]:
    statement = result_statement(roll.mode, roll.run, bundle["transcript_digest"], digest(bundle["result"]))
    for site, signature in bundle["signatures"].items():
        if site not in roll.keys:
            raise Untrusted("E-SIGNATURE", "a site outside the roster signed the result")
        verify(roll.keys[site], _unhex(signature), statement)
    if len(bundle["signatures"]) < roll.threshold:
        raise Untrusted("E-SIGNATURE", "fewer sites than the threshold signed the result")
    return tuple(bundle["signatures"])


def _check_entries(bundle: Mapping[str, Any], roll: Roll, checkpoint: Checkpoint) -> tuple[Entry, ...]:
    if len(bundle["entries"]) != len(bundle["inclusion"]):
        raise bad_bundle("each entry has one inclusion proof")
    entries = tuple(entry_of(value) for value in bundle["entries"])
    head = checkpoint.head
    for entry, proof in zip(entries, bundle["inclusion"], strict=True):
        verify_inclusion(entry.sequence, head.size, encode_entry(entry), _proof(proof), head.root)
    charter, release = bundle["charter"], release_facts(roll.run, bundle["transcript_digest"], bundle["result"])
    for event, facts in (("study", study_facts(charter)), ("release", release)):
        if not any(entry.event == event and _holds(facts, entry.facts) for entry in entries):
            raise Untrusted("E-LEDGER", f"the ledger has no {event} entry of this run and result")
    return entries


def _check_later(
    bundle: Mapping[str, Any], roll: Roll, checkpoint: Checkpoint
) -> tuple[Checkpoint | None, tuple[Entry, ...]]:
    if "later" not in bundle:
        return None, ()
    return check_later(bundle["later"], roll.run, checkpoint, roll.hub_key)


def _holds(facts: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether an entry says `facts`; it may say more."""
    return all(found.get(name) == fact for name, fact in facts.items())


def _proof(steps: Any) -> list[bytes]:
    if not isinstance(steps, list):
        raise bad_bundle("an inclusion proof is a list of hashes")
    hashes = [_unhex(step) for step in steps]
    if not all(len(step) == HASH_SIZE for step in hashes):
        raise bad_bundle("an inclusion proof is a list of hashes")
    return hashes


def _unhex(text: Any) -> bytes:
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise bad_bundle("signatures and hashes are lower-case hex")
    return bytes.fromhex(text)
