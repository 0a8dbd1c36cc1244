"""What a site tells of its verdicts on a run: every gate's, rule by rule, signed by the site; the hub enters it.

The facts stay in the site's own ledger. Their digest goes along only where every party knows the facts; that of the agreement
or of a study covers what a site tells nobody (limits of its own, how many people were reached), and could be tried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from isthmus.crypto.keys import SigningKey, verify
from isthmus.federation.grounds import parted
from isthmus.ledger.document import hex_bytes
from isthmus.ledger.entries import Entry
from isthmus.model.canonical import canonical, digest
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.strict import parse

TOLD: Final = "told"  # the `decision` of the hub's entry
SIGNATURE = 64  # bytes
PARTS = 64  # of what a site tells of one run, so that it cannot fill the hub's ledger
_OPEN = frozenset({"operations", "egress"})  # whose facts every party holds, of outputs as far as its own gates held


@record
class Told:
    """What of a decision a site tells: verdicts, what they are of, and digests."""

    gate: str
    verdict: str
    pack: str
    rules: Mapping[str, tuple[str, ...]]
    judged: Mapping[str, str] | None = None
    outputs: tuple[str, ...] | None = None
    facts: str | None = None


_SHOWN = tuple(field.name for field in fields(Told))


def shown(decision: Mapping[str, Any]) -> dict[str, Any]:
    """What of a decision a site tells; `facts` where they are no facts of its own."""
    told = {name: decision[name] for name in _SHOWN if name in decision}
    return told if decision["gate"] in _OPEN else {name: part for name, part in told.items() if name != "facts"}


def signed(run: str, site: str, decisions: Iterable[Mapping[str, Any]], key: SigningKey) -> list[dict[str, Any]]:
    """The documents that a site says, each of a size that a ledger enters: run, decisions, its signature; which part, from 1."""
    parts = parted({"decisions": [shown(decision) for decision in decisions]})
    return [_signed(run, site, (number, part["decisions"]), key) for number, part in enumerate(parts)]


def _signed(run: str, site: str, told: tuple[int, list[Any]], key: SigningKey) -> dict[str, Any]:
    part, decisions = told
    signature = key.sign(_statement(run, site, told)).hex()
    return {"run": run, "decisions": decisions, "signature": signature, **({"part": part} if part else {})}


def entry(site: str, key: bytes, said: Mapping[str, Any]) -> dict[str, Any]:
    """What the hub's ledger holds of a site's document, whose signature holds.

    Raises:
        Untrusted: E-SIGNATURE. Invalid: E-WIRE, it is no such document, or tells more than one; E-CANONICAL.
    """
    run, decisions, signature, part = (said.get(name) for name in ("run", "decisions", "signature", "part"))
    if not (isinstance(run, str) and isinstance(decisions, list) and isinstance(signature, str)):
        raise Invalid("E-WIRE", "a site's verdicts name their run, and are signed")
    if part is not None and not (type(part) is int and 0 < part < PARTS):
        raise Invalid("E-WIRE", f"a site's verdicts are in fewer than {PARTS} parts")
    for each in decisions:
        _check(each)
    raw = hex_bytes(signature)
    if len(raw) != SIGNATURE:
        raise Invalid("E-WIRE", "a signature has 64 bytes")
    verify(key, raw, _statement(run, site, (part or 0, decisions)))
    entered = {"run": run, "decision": TOLD, "site": site, "decisions": decisions, "signature": signature}
    return entered | ({"part": part} if part else {})


def check(facts: Mapping[str, Any], run: str, keys: Mapping[str, bytes]) -> str:
    """The site whose verdicts on a run an entry of the hub holds, when that site signed them.

    Raises:
        Untrusted: E-SIGNATURE. Invalid: E-WIRE; E-SIGNATURE, another run, or no site of it.
    """
    site = str(facts.get("site"))
    if site not in keys or facts.get("run") != run:
        raise Invalid("E-SIGNATURE", "verdicts on another run, or of a site outside it")
    entry(site, keys[site], facts)
    return site


def told_by(entries: Iterable[Entry]) -> list[str]:
    """The sites whose verdicts stand among entries of the hub's ledger."""
    return sorted({str(each.facts["site"]) for each in entries if tells(each)})


def tells(entry: Entry) -> bool:
    """Whether an entry holds the verdicts of a site."""
    return entry.event == "decision" and entry.facts.get("decision") == TOLD


def _check(decision: Any) -> None:
    """Return when a decision is told as `shown` gives it: the signature covers all that is entered, and no more is."""
    try:
        told = parse(Told, decision, "verdicts")
    except Invalid as error:
        raise Invalid("E-WIRE", f"a site's verdicts are rules by outcome: {error.message}", "", error.where) from error
    if told.facts is not None and told.gate not in _OPEN:
        raise Invalid("E-WIRE", "a site tells no digest of facts that are its own")


def _statement(run: str, site: str, told: tuple[int, list[Any]]) -> bytes:
    part, decisions = told
    return canonical(["isthmus verdicts", run, site, digest(decisions), *([part] if part else [])])
