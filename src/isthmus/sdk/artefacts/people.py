"""Artefacts about the agreement and its people: signed versions, access review, keys, and everything that ends some day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from isthmus.governance.agreement import HubEntry, Person, SiteEntry
from isthmus.ledger.entries import Entry
from isthmus.model.record import record
from isthmus.sdk.artefacts.pages import BLANK, Lines, Part, facts, listed
from isthmus.sdk.artefacts.told import Told
from isthmus.sdk.artefacts.words import SOON, UNSTATED, day, days_left, ends, moment, plainly


@record
class Ending:
    """Something that ends on a day: what, and whose."""

    day: str
    what: str
    whose: str


def agreement(told: Told) -> Iterator[Part]:
    """The signed agreement, and what changed since the version before."""
    from isthmus.crypto.keys import fingerprint
    from isthmus.governance.agreement import agreement_digest
    from isthmus.governance.difference import differences
    from isthmus.governance.signing import MEANING, claims

    stated = told.agreement
    state = "signed by every party" if not told.unsigned else f"NOT IN FORCE: {told.unsigned}"
    revoked = _revoked(told)
    if revoked is None and told.unknown("ledger"):
        state += "; whether it was revoked is not known here"
    if revoked is not None:
        state = f"NOT IN FORCE: revoked by {revoked.facts.get('by')} on {moment(revoked.time)}"
    yield facts(
        "The agreement",
        ("title", stated.title),
        ("identifier", f"{stated.id}, version {stated.version}"),
        ("digest", agreement_digest(stated)),
        ("version before", stated.previous or "none: this is the first"),
        ("in force", f"{day(stated.starts)} to {ends(stated.expires, told.now)}"),
        ("state", state),
        ("meaning of each signature", MEANING),
    )
    names, there = {p.party: p.name for p in stated.parties}, _entered(told)
    rows = (
        (
            claim.person,
            names.get(claim.party, claim.party),
            moment(claim.time),
            there(claim.envelope),
            fingerprint(bytes.fromhex(claim.key)),
        )
        for claim in claims(told.signed)
    )
    note = "The time claimed is the signer's; the time that counts is that of the ledger's entry, at the hub and each site."
    headings = ("Signed by", "For", "Time claimed (UTC)", "Entered here (UTC)", "Key, as read aloud")
    yield listed("Signatures", headings, rows, note)
    if told.previous is None:
        said = "No earlier version was given: --previous FILE." if stated.previous else "This is the first version."
        yield Lines(title="What changed", lines=(said,))
    else:
        changes = tuple(differences(told.previous, stated))
        yield Lines(title=f"What changed since version {told.previous.version}", lines=changes or ("Nothing.",))
    yield _events(told, "Revocations", "revocation")


def _signatures(told: Told) -> Iterator[tuple[Entry, Mapping[str, str]]]:
    """Each signature on an agreement that the ledger holds, with its entry."""
    return ((e, said) for e in told.of("decision") for said in e.facts.get("signatures", ()))


def _entered(told: Told) -> Callable[[str], str]:
    """When and where an envelope on the agreement was entered first."""
    first: dict[str, str] = {}
    for e, said in _signatures(told):
        first.setdefault(said["envelope"], f"{moment(e.time)}, entry {e.sequence}")
    missing = "not known here" if told.unknown("ledger", "part") else "NOT ENTERED"
    return lambda envelope: first.get(envelope, missing)


def _revoked(told: Told) -> Entry | None:
    """The ledger's first entry of a revocation of this version."""
    from isthmus.governance.agreement import agreement_digest

    digest = agreement_digest(told.agreement)
    return next((e for e in told.of("revocation") if e.facts.get("agreement") == digest), None)


def access(told: Told) -> Iterator[Part]:
    """Who may do what: role, training, expiry, last use."""
    last: dict[str, str] = {}
    acts = [(run.person, run.created) for run in told.asked]
    acts += [(str(e.facts.get("by")), e.time) for e in told.of("approval", "revocation")]
    acts += [(said["by"], e.time) for e, said in _signatures(told)]
    for person, time in acts:
        last[person] = max(time, last.get(person, ""), key=lambda text: text[:19])  # both are in UTC
    never = "not known here" if told.unknown("ledger", "part") else "never, at this node"
    rows = (
        (
            person.person,
            person.party,
            person.standing.country if person.standing else UNSTATED,
            ", ".join(plainly(role) for role in person.roles),
            ends(person.standing.training_expires if person.standing else None, told.now),
            ends(_not_after(person.certificate), told.now),
            moment(last[person.person]) if person.person in last else never,
            BLANK,
        )
        for person in told.agreement.people
    )
    headings = ("Person", "Party", "Works in", "Roles", "Training until", "Certificate until", "Last acted", "Keep?")
    yield listed("People", headings, rows, "Access ends with a new version of the agreement, or with its last day.")
    nodes: tuple[SiteEntry | HubEntry, ...] = (*told.agreement.sites, told.agreement.hub)
    machines = (
        (
            _name(node),
            node.party,
            node.country,
            node.facility if isinstance(node, SiteEntry) else "hub",
            ends(_not_after(node.certificate), told.now),
        )
        for node in nodes
    )
    yield listed("Machines", ("Node", "Party", "Country", "Facility", "Certificate until"), machines)
    yield facts(
        "Review",
        ("reviewed by (name, role)", BLANK),
        ("on", BLANK),
        ("changes asked for", BLANK),
        ("signature", BLANK),
    )


def keys(told: Told) -> Iterator[Part]:
    """Key ceremony log: each key of the agreement, whose card brought it, and when it was signed for."""
    from isthmus.crypto.keys import fingerprint
    from isthmus.governance.agreement import agreement_digest
    from isthmus.governance.signing import claims

    rows = (
        (
            _name(entry),
            ", ".join(plainly(role) for role in entry.roles) if isinstance(entry, Person) else _kind(entry),
            entry.party,
            fingerprint(bytes.fromhex(entry.key)),
            entry.key,
            entry.tls.removeprefix("sha256:")[:24],
            f"{day(_from(entry.certificate))} to {ends(_not_after(entry.certificate), told.now)}",
        )
        for entry in told.agreement.keyed()
    )
    headings = ("Name", "Role", "Party", "Read aloud", "Ed25519 key", "TLS pin, first digits", "Certificate")
    yield listed("Keys", headings, rows, "Each came in a card that the key itself signed; `isthmus init` made it.")
    there = _entered(told)
    signed = (
        (c.person, c.party, fingerprint(bytes.fromhex(c.key)), moment(c.time), there(c.envelope), BLANK)
        for c in claims(told.signed)
    )
    named = (
        "Custodian",
        "Party",
        "Read aloud",
        "Signed (claimed)",
        "Entered here (UTC)",
        "Compared by voice, by whom and when",
    )
    yield listed("Who stands for these keys", named, signed)
    digest = agreement_digest(told.agreement)
    taken = (
        (moment(e.time), str(e.sequence), str(e.facts.get("verdict")))
        for e in told.of("decision")
        if e.facts.get("agreement") == digest and "run" not in e.facts
    )
    unknown = told.unknown("ledger", "part")
    yield listed("Taken at this node", ("Time (UTC)", "Ledger entry", "Verdict"), taken, unknown=unknown)


def calendar(told: Told) -> Iterator[Part]:
    """Everything in the agreement that ends, by day."""
    rows = ((day(e.day), _state(days_left(e.day, told.now)), e.what, e.whose) for e in endings(told))
    known = () if not told.unknown("ledger", "part") else ("Whether the agreement was revoked is not known here.",)
    yield listed("What ends, and when", ("Day", "State", "What", "Whose"), rows, *_undated(told), *known)


def endings(told: Told) -> list[Ending]:
    """Every dated thing of an agreement, earliest first."""
    found = [*_of_parties(told), *_of_people(told), *_of_data(told), *_of_places(told)]
    revoked = _revoked(told)
    ended = ("agreement", told.agreement.expires) if revoked is None else ("agreement, revoked", revoked.time)
    found.append(Ending(day=ended[1], what=ended[0], whose=told.agreement.id))
    return sorted(found, key=lambda e: (e.day, e.what, e.whose))


def ics(told: Told) -> str:
    """The calendar as iCalendar (RFC 5545): one day each, with an alarm a month before."""
    stamp = f"{told.now:%Y%m%dT%H%M%SZ}"
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Isthmus//evidence calendar//EN"]
    for number, ending in enumerate(endings(told)):
        title = f"{ending.what}: {ending.whose}".replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
        lines += ["BEGIN:VEVENT", f"UID:{number}-{ending.day}@{told.agreement.version}.isthmus.invalid"]
        lines += [
            f"DTSTAMP:{stamp}",
            f"DTSTART;VALUE=DATE:{ending.day[:10].replace('-', '')}",
            f"SUMMARY:Ends: {title}",
        ]
        lines += [
            "BEGIN:VALARM",
            "ACTION:DISPLAY",
            f"DESCRIPTION:Ends: {title}",
            "TRIGGER:-P30D",
            "END:VALARM",
            "END:VEVENT",
        ]
    return "\r\n".join(folded for line in [*lines, "END:VCALENDAR"] for folded in _folded(line)) + "\r\n"


def _folded(line: str) -> Iterator[str]:
    """A line of at most 75 octets, and its continuations (RFC 5545, section 3.1)."""
    raw, first = line.encode(), True
    while raw:
        size = 75 if first else 74
        while size < len(raw) and raw[size] & 0xC0 == 0x80:  # never inside a character
            size -= 1
        yield ("" if first else " ") + raw[:size].decode()
        raw, first = raw[size:], False


def _of_parties(told: Told) -> Iterator[Ending]:
    for party in told.agreement.parties:
        status = party.status
        if status is not None and status.dspt is not None:
            yield Ending(day=status.dspt.expires, what=f"DSPT ({plainly(status.dspt.status)})", whose=party.name)


def _of_people(told: Told) -> Iterator[Ending]:
    for person in told.agreement.people:
        if person.standing is not None and person.standing.training_expires is not None:
            yield Ending(day=person.standing.training_expires, what="training", whose=person.person)
    for entry in told.agreement.keyed():
        yield Ending(day=_not_after(entry.certificate), what="transport certificate", whose=_name(entry))


def _of_data(told: Told) -> Iterator[Ending]:
    for entry in told.agreement.datasets:
        for held in entry.custody or ():
            whose = f"{entry.dataset}, {held.controller}"
            if held.section_251 is not None:
                yield Ending(
                    day=held.section_251.expires, what=f"section 251 ({held.section_251.reference})", whose=whose
                )
            if held.ethics is not None:
                what = f"ethics (REC {held.ethics.committee}, IRB {plainly(held.ethics.irb)})"
                yield Ending(day=held.ethics.expires, what=what, whose=whose)
            if held.duo is not None:
                yield Ending(day=held.duo.until, what=f"data use ({held.duo.permission})", whose=whose)
            if held.deidentification is not None and held.deidentification.expert_expires is not None:
                yield Ending(day=held.deidentification.expert_expires, what="expert determination", whose=whose)


def _of_places(told: Told) -> Iterator[Ending]:
    duties = told.agreement.duties
    for place in (duties.facilities if duties else None) or ():
        if place.iso27001_expires is not None:
            yield Ending(day=place.iso27001_expires, what="ISO 27001 certificate", whose=place.facility)
    if duties is not None and duties.retention is not None:
        kept = duties.retention
        yield Ending(day=kept.data_until, what=f"data: then {plainly(kept.data_action)}", whose="every site")
        yield Ending(day=kept.evidence_until, what="evidence may be destroyed after", whose="every party")


def _undated(told: Told) -> tuple[str, ...]:
    """People and duties without a day: what is not stated ends unseen."""
    missing = [p.person for p in told.agreement.people if p.standing is None or p.standing.training_expires is None]
    if not missing:
        return ()
    return ("No training date is stated for: " + ", ".join(missing) + ".",)


def _state(left: int) -> str:
    if left < 0:
        return f"EXPIRED {-left} days ago"
    return f"in {left} days" if left <= SOON else "later"


def _events(told: Told, title: str, *events: str) -> Part:
    from isthmus.ledger.words import in_words

    rows = ((moment(e.time), str(e.sequence), in_words(e)) for e in told.of(*events))
    return listed(title, ("Time (UTC)", "Ledger entry", "What"), rows, unknown=told.unknown("ledger", "part"))


def _name(entry: SiteEntry | HubEntry | Person) -> str:
    if isinstance(entry, Person):
        return entry.person
    return entry.site if isinstance(entry, SiteEntry) else entry.hub


def _kind(entry: SiteEntry | HubEntry) -> str:
    return "site" if isinstance(entry, SiteEntry) else "hub"


def _not_after(certificate: str) -> str:
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc.date().isoformat()


def _from(certificate: str) -> str:
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_before_utc.date().isoformat()
