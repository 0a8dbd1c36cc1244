"""What exported ledgers, bundles and crates tell of each node, for whoever has no node: one `Told` for each ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from isthmus.governance.agreement import agreement_digest
from isthmus.model.errors import Untrusted
from isthmus.sdk.artefacts.told import BULKY, Asked, Told, asker_of, book_of, checkpoint_of, payload, unsigned_for

if TYPE_CHECKING:
    from isthmus.governance.agreement import Agreement
    from isthmus.governance.signing import SignedAgreement
    from isthmus.ledger.verify import Verified
    from isthmus.sdk.sources import Sources


def tell(sources: Sources, signed: SignedAgreement, now: datetime) -> list[Told]:
    """Each node as far as these exports know it; a hub first.

    Raises:
        Untrusted: E-LEDGER, a ledger of no node of the agreement, or under another key.
    """
    sources.hold_to(signed.agreement)
    logs = sorted((log for log in sources.logs if not log.endswith("/private")), key=lambda log: (log != "hub", log))
    return [_of(log, sources, signed, now) for log in logs]


def _of(log: str, sources: Sources, signed: SignedAgreement, now: datetime) -> Told:
    agreement, whole, own = signed.agreement, sources.whole(log), log == "hub"
    name = agreement.hub.hub if own else log.removeprefix("site/")
    told = Told(
        signed=signed,
        agreement=agreement,
        unsigned=unsigned_for(signed),
        now=now,
        node="hub" if own else f"site {name}",
        ask=f"{name}, which exports it with `isthmus audit export`",
    )
    held = [b for b in sources.bundles.values() if own and b.agreement == agreement_digest(agreement)]
    absent = {"machine", "store", "runs"} | ({"results"} if own else set())
    if whole is None:
        entries, absent = tuple(e for e in sources.entries(log) if e.event not in BULKY), absent | {"part"}
        told = replace(told, entries=entries)
    else:
        marks = {peer: head.size for peer, head in whole.marks.items()}
        tree, entries, book = book_of(log, whole.leaves(), marks)
        key = bytes.fromhex(agreement.hub.key)
        notes = tuple(checkpoint_of(b.bundle, tree, key) for b in held)
        told = replace(told, entries=entries, book=replace(book, checkpoints=notes))
    register = _crossed(sources, log)
    if register is None or register:
        told = replace(told, crossed=register)
    else:
        absent |= {"border"}
    return replace(
        told,
        asked=tuple(_asked(b, agreement) for b in held),
        bundles=tuple(b.bundle for b in held),
        absent=frozenset(absent),
    )


def _crossed(sources: Sources, log: str) -> tuple[Mapping[str, Any], ...] | None:
    """By day; empty where the register is not there, None where it is not what the ledger sealed."""
    try:
        register = sources.register(log)
    except Untrusted:
        return None
    return () if register is None else tuple(register.by_day())


def _asked(held: Verified, agreement: Agreement) -> Asked:
    """The run of a bundle: one that holds was released, by people where the agreement asks for them."""
    request = payload(held.bundle["study"])
    state = "released" if agreement.review is not None and agreement.review.egress else "concluded"
    return Asked(held.run, str(request.get("created", "")), state, request, asker_of(held.bundle["study"], agreement))
