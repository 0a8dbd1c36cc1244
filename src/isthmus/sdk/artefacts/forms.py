"""Forms that people complete, filled in with what the agreement and this node's ledger say."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.governance.duties import Assessments, Custody, Document
from isthmus.sdk.artefacts.pages import BLANK, Lines, Part, facts, listed
from isthmus.sdk.artefacts.told import Told
from isthmus.sdk.artefacts.words import UNSTATED, day, ends, moment, plainly, yes

# What an attacker could try, what stops it, and where that is shown: SECURITY.md has the whole list.
RISKS = (
    (
        "A person is singled out in a result",
        "minimum counts, dominance, suppression, rounding; a gate at every site",
        "releases",
    ),
    (
        "Several answers together give a person away",
        "a history of row sets at each site; caps or a privacy budget",
        "budget",
    ),
    ("Someone at the hub reads a site's numbers", "masked sums: the hub sees nothing below the sum", "configuration"),
    ("Data reach a country without a basis", "the route is computed and decided on before a study runs", "transfers"),
    ("Data are used for another purpose", "purposes by DUO term in the agreement; a site declines others", "decisions"),
    (
        "Someone without training or right asks",
        "keys, roles and training in the agreement, checked at each request",
        "access",
    ),
    ("What was done cannot be shown", "a ledger whose checkpoints the sites cosign", "ledger"),
    (
        "A machine at a site is broken into",
        "outside what Isthmus can stop: rows lie there; the facility's controls",
        "configuration",
    ),
)


def dpia(told: Told) -> Iterator[Part]:
    """A data protection impact assessment (UK GDPR Art 35), as far as the agreement can fill it in."""
    yield _need(told)
    yield from _processing(told)
    consulted = ("people whose data they are", "data protection officers", "experts")
    yield facts("3. Consultation", *((who, BLANK) for who in consulted))
    yield from _necessity(told)
    risks = ((risk, measure, f"isthmus audit evidence {name}", BLANK, BLANK) for risk, measure, name in RISKS)
    headings = ("Risk", "What stands against it", "Shown by", "What remains, how likely and severe", "Accepted by")
    yield listed("5 and 6. Risks and measures", headings, risks)
    yield listed("Assessments that exist", ("What", "Reference", "Date", "Outcome", "SHA-256"), _documents(told))
    ended = ("measures approved by", "residual risk approved by", "advice of the data protection officer", "review on")
    yield facts("7. Outcome", *((what, BLANK) for what in ended))


def budget(told: Told) -> Iterator[Part]:
    """What each dataset's privacy budget is, how it is divided, and what of it is spent at this site."""
    rows = (
        (
            entry.dataset,
            f"{entry.privacy.rho:g}",
            f"{entry.privacy.per_person:g}",
            f"{entry.privacy.per_project:g}",
            f"{entry.privacy.delta:g}",
            str(entry.privacy.colluders),
            f"{told.spent[entry.dataset]:g}" if told.spent is not None else "known at each site alone",
        )
        for entry in told.agreement.datasets
        if entry.privacy is not None
    )
    headings = ("Dataset", "rho in all", "Each person", "Each project", "delta", "Colluders assumed", "rho spent here")
    note = "Zero-concentrated differential privacy: costs add up, a spent budget stops, restarts do not refill it."
    yield listed("Privacy budgets", headings, rows, note)
    capped = (
        (e.dataset, str(e.questions.total), str(e.questions.each) if e.questions.each is not None else "no cap")
        for e in told.agreement.datasets
        if e.questions is not None
    )
    yield listed("Caps on questions", ("Dataset", "By everyone, at each site", "By one researcher"), capped)
    free = [e.dataset for e in told.agreement.datasets if e.privacy is None and e.questions is None]
    if free:
        said = (
            "Exact answers under the disclosure rules and the history of questions, without a cap: "
            + ", ".join(free)
            + "."
        )
        yield Lines(title="Neither budget nor cap", lines=(said,))


def destruction(told: Told) -> Iterator[Part]:
    """Certificate of destruction or return, with what was agreed on and what this node still keeps."""
    kept = told.agreement.duties.retention if told.agreement.duties else None
    yield facts(
        "What was agreed on",
        ("agreement", f"{told.agreement.title}, version {told.agreement.version}"),
        ("data until", ends(kept.data_until, told.now) if kept else UNSTATED),
        ("then", plainly(kept.data_action) if kept else UNSTATED),
        ("evidence until", ends(kept.evidence_until, told.now) if kept else UNSTATED),
    )
    yield listed(
        "Data covered",
        ("Dataset", "Controllers", "Sites", "Codebook"),
        (
            (e.dataset, ", ".join(c.controller for c in e.custody or ()) or UNSTATED, ", ".join(e.sites), e.codebook)
            for e in told.agreement.datasets
        ),
    )
    last = max((run.created for run in told.asked), default="")
    frozen = told.snapshots or {}
    none = {kind: told.unknown(kind) or "none" for kind in ("store", "runs", "ledger")}
    yield facts(
        f"What this node keeps ({told.node})",
        ("frozen snapshots of rows", ", ".join(f"{d}: {n}" for d, n in frozen.items()) or none["store"]),
        ("runs", f"{len(told.asked)}; the last one of {moment(last)} UTC" if last else none["runs"]),
        ("entries of the ledger", str(told.book.size) if told.book else none["ledger"]),
        (
            "to be destroyed",
            "the folder `snapshots`, the source of each dataset, and the store's history; the ledger is evidence",
        ),
    )
    yield facts(
        "Certificate",
        ("what was destroyed or returned", BLANK),
        ("copies and backups", BLANK),
        ("method, and standard followed", BLANK),
        ("date and place", BLANK),
        ("done by (name, role, party)", BLANK),
        ("witnessed by", BLANK),
        ("signatures", BLANK),
    )


def _need(told: Told) -> Part:
    categories = sorted({category for _, held in _custody(told) for category in held.categories})
    controllers = {held.controller for _, held in _custody(told)}
    return facts(
        "1. Need for an assessment",
        ("processing", told.agreement.title),
        ("categories of data", _words(tuple(categories)) or UNSTATED),
        ("controllers", str(len(controllers)) if controllers else UNSTATED),
        ("countries", ", ".join(sorted({party.country for party in told.agreement.parties}))),
        ("scale, vulnerable people, new technology: why an assessment is needed", BLANK),
        ("screening by", BLANK),
    )


def _processing(told: Told) -> Iterator[Part]:
    stated = told.agreement
    agreed = (stated.duties.purposes if stated.duties else None) or ()
    named = ("Purpose", "In words", "DUO", "Public benefit")
    lines = ((p.purpose, p.text, p.duo, p.public_benefit or BLANK) for p in agreed)
    yield listed("2. The processing: purposes", named, lines)
    headings = ("Dataset", "Controller", "People of", "Identifiability", "Categories", "Origins")
    yield listed("2. The processing: data", headings, ((name, *_described(held)) for name, held in _custody(told)))
    yield facts(
        "2. The processing: how",
        (
            "nature",
            "rows stay at each controller; each site answers an agreed question with masked sums; only their total is opened",
        ),
        ("who takes part", ", ".join(p.name for p in stated.parties)),
        ("where", ", ".join(f"{s.site} ({s.facility}, {s.country})" for s in stated.sites)),
        ("what may be asked", ", ".join(plainly(kind) for kind in stated.analyses)),
        ("for how long", f"{day(stated.starts)} to {day(stated.expires)}"),
        ("how many people, how often, expectations of people", BLANK),
    )


def _necessity(told: Told) -> Iterator[Part]:
    headings = (
        "Dataset",
        "Controller",
        "Article 6",
        "Article 9",
        "Schedule 1",
        "Confidence",
        "HIPAA",
        "Opt-out applied",
    )
    rows = ((name, held.controller, *_bases(held)) for name, held in _custody(told))
    yield listed("4. Necessity and proportionality: lawful bases", headings, rows)
    least = told.agreement.disclosure.minimum_sites
    leaves = (
        f"rows are not copied; what leaves is a sum over at least {least} parties, under the floor of the agreement"
    )
    yield facts(
        "4. Necessity and proportionality: by hand",
        ("no less intrusive way", leaves),
        ("rights of people: information, access, objection", BLANK),
        ("processors, and how they are bound", BLANK),
    )


def _described(held: Custody) -> tuple[str, ...]:
    words = (plainly(held.identifiability), _words(held.categories), _words(held.origins))
    return held.controller, ", ".join(held.subjects), *words


def _custody(told: Told) -> Iterator[tuple[str, Custody]]:
    return ((entry.dataset, held) for entry in told.agreement.datasets for held in entry.custody or ())


def _bases(held: Custody) -> tuple[str, ...]:
    named = (held.article_6, held.article_9, held.schedule_1, plainly(held.confidence_basis), plainly(held.hipaa_path))
    return (*(name or UNSTATED for name in named), yes(held.opt_out_applied))


def _documents(told: Told) -> Iterator[tuple[str, ...]]:
    held = told.agreement.duties.assessments if told.agreement.duties else None
    for name in Assessments.__dataclass_fields__:
        document: Document | None = getattr(held, name, None)
        if document is None:
            yield plainly(name), UNSTATED, "", "", ""
        else:
            yield plainly(name), document.ref, day(document.date), plainly(document.outcome), document.sha256


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(plainly(word) for word in words)
