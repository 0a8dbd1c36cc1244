"""Artefacts about the node itself: its ledger verified, its code, its configuration, and what went wrong when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from isthmus.ledger.entries import Entry
from isthmus.sdk.artefacts.pages import BLANK, Part, facts, listed
from isthmus.sdk.artefacts.told import Told
from isthmus.sdk.artefacts.words import moment, plainly, yes

# Codes that speak of trust that was broken, not of a question that a rule stopped.
ALARMS = ("SIGNATURE", "LEDGER", "ROLLBACK", "PIN", "KEY", "CUSTODIAN", "VERSION", "BUNDLE", "CLOCK", "REVOKED", "PACK")
_NO_LEDGER = "a person keeps none: ask a hub or site, or use `isthmus audit verify`"
CLOCKS = (
    (timedelta(hours=72), "72 hours: the ICO, where people are at risk (UK GDPR Art 33(1))"),
    (timedelta(days=14), "14 days: report of a violation of the onward-transfer ban (28 CFR 202.302)"),
    (timedelta(days=60), "60 days at most: people and HHS (45 CFR 164.404, 164.408)"),
)


def ledger(told: Told) -> Iterator[Part]:
    """The verification report of this node's ledger."""
    book = told.book
    if book is None:
        yield facts("The ledger", ("state", told.unknown("ledger", "part") or _NO_LEDGER))
        return
    first, last = (moment(time) for time in book.span) if book.span else ("none", "none")
    broken = sum(not holds for _, _, holds in book.checkpoints)
    yield facts(
        "The ledger",
        ("log", book.name),
        ("entries", str(book.size)),
        ("Merkle root, computed again from every entry", book.root),
        ("first entry (UTC)", first),
        ("last entry (UTC)", last),
        (
            "order",
            f"BROKEN: {book.misplaced} entries are misplaced" if book.misplaced else "every entry stands at its number",
        ),
        ("clock", "never ran backward" if not book.backward else f"ran backward {book.backward} times"),
        ("cosigned checkpoints kept here", f"{len(book.checkpoints)}; {broken} that the log does not hold"),
    )
    yield listed("Entries by event", ("Event", "Entries"), ((event, str(n)) for event, n in book.counts.items()))
    rows = ((str(size), str(signers), "holds" if holds else "BROKEN") for size, signers, holds in book.checkpoints)
    yield listed("Checkpoints", ("Size", "Sites that cosigned", "The log at that size"), rows)
    seen = ((peer, str(size)) for peer, size in book.marks.items())
    note = (
        "Whole ledgers are exported and held against each other by `isthmus audit export` and `isthmus audit verify`."
    )
    yield listed("Seen of other ledgers", ("Whose", "Entries seen at least"), seen, note)


def provenance(told: Told) -> Iterator[Part]:
    """Which code runs here, by digest, and every distribution that it needs."""
    from isthmus import __version__
    from isthmus.governance.rulepack import own_pack, pack_digest
    from isthmus.sdk.sbom import code_digest, components

    yield facts(
        "Isthmus",
        ("version", __version__),
        ("digest of the code", code_digest()),
        (
            "rule pack that comes with it",
            f"{own_pack().title}, version {own_pack().version}: {pack_digest(own_pack())}",
        ),
        ("licence", "Apache-2.0"),
        ("code of a study", "none: a study is a declaration, and its methods are these"),
    )
    rows = ((part.name, part.version, part.licence, ", ".join(part.requires) or "none") for part in components())
    note = "As installed on this machine. As CycloneDX: --format cyclonedx, and in every evidence crate."
    yield listed("Software bill of materials", ("Distribution", "Version", "Licence", "Requires"), rows, note)


def configuration(told: Told) -> Iterator[Part]:
    """Encryption, ways out, clock and versions of this node, and what its facility states."""
    note, unknown = "Secrets and sources of data are not shown.", told.unknown("machine")
    yield listed("This machine", ("What", "Found"), iter(told.machine), note, unknown=unknown)
    yield facts(
        "Always, by construction",
        ("in transit", "TLS 1.3 alone, both ends by certificates pinned in the agreement (ECDSA P-256)"),
        ("identity", "an Ed25519 signature on every message; one key stands for one name"),
        ("numbers that leave a site", "masked by X25519 with ML-KEM-768 and AES-256; only their sum can be opened"),
        ("ways out", "a site dials its hub and nobody else; nobody dials a site"),
        ("clock", "five minutes of difference between two parties are allowed; order never rests on clocks"),
        ("log of what happened", "an append-only Merkle ledger, cosigned by the sites"),
    )
    places = (told.agreement.duties.facilities if told.agreement.duties else None) or ()
    names = ("mfa", "encrypt_rest", "auto_logoff", "egress_default_deny", "clipboard_block", "isolation")
    rows = (
        (place.facility, place.country, *(yes(getattr(place.controls, n) if place.controls else None) for n in names))
        for place in places
    )
    headings = ("Facility", "Country", *(plainly(name) for name in names))
    yield listed("What facilities state of themselves", headings, rows, "Isthmus does not look into a data centre.")


def incidents(told: Told) -> Iterator[Part]:
    """What went wrong, in the ledger's order, and the clocks that run from when someone became aware."""
    from isthmus.ledger.words import in_words

    found = [e for e in told.entries if went_wrong(e)]
    rows = ((moment(e.time), str(e.sequence), _weight(e), in_words(e)) for e in found)
    note = (
        "A refusal by a rule is no incident: it is a rule that worked. `look` marks codes that speak of broken trust."
    )
    unknown = told.unknown("ledger", "part")
    yield listed("Timeline from the ledger", ("Time (UTC)", "Entry", "", "What"), rows, note, unknown=unknown)
    if told.aware is None:
        yield facts(
            "Clocks", ("not running", "give the time at which someone became aware: --aware 2026-11-25T09:00+00:00")
        )
    else:
        clocks = (
            (why, moment((told.aware + time).isoformat()), _left(told, told.aware + time)) for time, why in CLOCKS
        )
        aware = f"Aware since {moment(told.aware.isoformat())} UTC."
        yield listed("Clocks", ("Clock", "Ends (UTC)", "Left"), clocks, aware)
    yield facts(
        "To be told by people",
        ("what happened, and how it was noticed", BLANK),
        ("people concerned, and categories of data", BLANK),
        ("likely consequences", BLANK),
        ("what was done, and what will be", BLANK),
        ("told to the regulator: when, by whom", BLANK),
        ("told to the other parties: when, by whom", BLANK),
        ("told to the people concerned, or why not", BLANK),
    )


def went_wrong(entry: Entry) -> bool:
    """Whether an entry belongs into a timeline of incidents."""
    return entry.event in {"refusal", "revocation"} or entry.facts.get("verdict") == "declined"


def _weight(entry: Entry) -> str:
    code = str(entry.facts.get("code", ""))
    return "look" if entry.event == "revocation" or any(alarm in code for alarm in ALARMS) else ""


def _left(told: Told, end: datetime) -> str:
    left = end - told.now
    if left < timedelta(0):
        return "PAST"
    return f"{left.days} days {left.seconds // 3600} hours" if left.days else f"{left.seconds // 3600} hours"
