"""What a site tells of its verdicts on a run: every gate's, rule by rule, signed by the site; the hub enters it.

The facts stay in the site's own ledger. Their digest goes along only where every party knows the facts; that of the agreement
or of a study covers what a site tells nobody (limits of its own, how many people were reached), and could be tried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from isthmus.crypto.keys import SigningKey, verify
from isthmus.ledger.document import hex_bytes
from isthmus.model.canonical import canonical, digest
from isthmus.model.errors import Invalid

TOLD: Final = "told"  # the `decision` of the hub's entry
SIGNATURE = 64  # bytes
_OPEN = frozenset(
    {"operations", "egress"}
)  # gates whose facts every party holds, of outputs as far as its own gates held
_SHOWN = ("gate", "verdict", "pack", "rules", "judged", "outputs")


def shown(decision: Mapping[str, Any]) -> dict[str, Any]:
    """What of a decision a site tells: verdicts, what they are of, and digests."""
    names = (*_SHOWN, "facts") if decision["gate"] in _OPEN else _SHOWN
    return {name: decision[name] for name in names if name in decision}


def signed(run: str, site: str, decisions: Iterable[Mapping[str, Any]], key: SigningKey) -> dict[str, Any]:
    """The document that a site says: run, decisions, its signature."""
    told = [shown(decision) for decision in decisions]
    return {"run": run, "decisions": told, "signature": key.sign(_statement(run, site, told)).hex()}


def entry(site: str, key: bytes, said: Mapping[str, Any]) -> dict[str, Any]:
    """What the hub's ledger holds of a site's document, whose signature holds.

    Raises:
        Untrusted: E-SIGNATURE. Invalid: E-WIRE, it is no such document; E-CANONICAL.
    """
    run, decisions, signature = said.get("run"), said.get("decisions"), said.get("signature")
    if not (isinstance(run, str) and isinstance(decisions, list) and isinstance(signature, str)):
        raise Invalid("E-WIRE", "a site's verdicts name their run, and are signed")
    if not all(isinstance(each, dict) and isinstance(each.get("rules"), dict) for each in decisions):
        raise Invalid("E-WIRE", "a site's verdicts are rules by outcome")
    raw = hex_bytes(signature)
    if len(raw) != SIGNATURE:
        raise Invalid("E-WIRE", "a signature has 64 bytes")
    verify(key, raw, _statement(run, site, decisions))
    told = [shown(each) for each in decisions]
    return {"run": run, "decision": TOLD, "site": site, "decisions": told, "signature": signature}


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


def told_by(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """The sites whose verdicts stand among entries (as JSON) of the hub's ledger."""
    facts = (each["facts"] for each in entries if each["event"] == "decision")
    return sorted({str(f["site"]) for f in facts if f.get("decision") == TOLD})


def _statement(run: str, site: str, decisions: list[Any]) -> bytes:
    return canonical(["isthmus verdicts", run, site, digest(decisions)])
