"""`isthmus audit`: what the ledgers say, one entry proved, a whole ledger exported and checked."""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import UTC, datetime
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen
from isthmus.cli.serve import ConfigFile, locate
from isthmus.model.errors import Invalid, Untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from isthmus.federation.border import Register
    from isthmus.governance.agreement import Agreement
    from isthmus.governance.signing import SignedAgreement
    from isthmus.ledger.checkpoint import Checkpoint
    from isthmus.ledger.entries import Entry
    from isthmus.ledger.exported import Exported
    from isthmus.ledger.verify import Verified
    from isthmus.sdk.tables import Table

    Proof: TypeAlias = tuple[Entry, Checkpoint, str, dict[str, str]]

Agreed = Annotated[Path | None, typer.Option(help="The signed agreement: keys must be those it names.")]
From = Annotated[
    list[Path] | None,
    typer.Option(
        "--from",
        metavar="EXPORT",
        help="What was exported, instead of this node's own: a ledger, border register, bundle, crate, or a folder of"
        " these (repeat).",
    ),
]
Out = Annotated[Path, typer.Option(help="File to write.")]
SAMPLE = 1000  # Ed25519 checks: 0.2 s


def search(  # noqa: PLR0913 - one per option
    from_: From = None,
    event: Annotated[str | None, typer.Option(help="Only this event, for example release.")] = None,
    run: Annotated[str | None, typer.Option(help="Only this run, by its digest or the first digits of it.")] = None,
    study: Annotated[str | None, typer.Option(help="Only this study and its runs.")] = None,
    person: Annotated[str | None, typer.Option(help="Only what this person asked, signed or judged.")] = None,
    since: Annotated[str | None, typer.Option(help="From this date or time on (ISO 8601, UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this date or time; a date includes its day.")] = None,
    code: Annotated[str | None, typer.Option(help="Only entries with this error code.")] = None,
    config: ConfigFile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say in plain words what the ledgers hold.

    Of the hub or site whose isthmus.toml this is, or of what was exported; several ledgers tell one story in the order of
    their clocks, each ledger's own order kept. A bundle or crate tells of its own run alone.
    """
    from isthmus.ledger.words import Search, found, in_words, runs_of

    screen = Screen.of(json=json, quiet=quiet)
    asked = Search(event=event, run=run, study=study, person=person, since=since, until=until, code=code)
    told: list[dict[str, Any]] = []
    with ExitStack() as stack:
        logs = _exported(stack, from_) if from_ else _stored(stack, config)
        runs = frozenset[str]()
        if study is not None:
            runs = runs.union(*(runs_of(study, read()) for read in logs.values()))
        streams = [_named(log, found(read(), asked, runs)) for log, read in logs.items()]
        for entry, log in merge(*streams, key=lambda pair: pair[0].time):
            told.append({"log": log, "time": entry.time, "sequence": entry.sequence, "event": entry.event})
            told[-1] |= {"words": in_words(entry), "facts": entry.facts}
    if screen.json:
        screen.document({"schema": "isthmus/audit/1", "entries": told})
        return
    widths = [max((len(line[name]) for line in told), default=0) for name in ("log", "event")]
    for line in told:
        screen.say(f"{line['time']}  {line['log']:<{widths[0]}}  {line['event']:<{widths[1]}}  {line['words']}")
    if not told:
        screen.say("No such entry.")


def prove(
    entry: Annotated[int, typer.Argument(metavar="ENTRY", help="The entry's number, as `audit search --json` says.")],
    out: Out,
    config: ConfigFile = None,
    quiet: Quiet = False,
) -> None:
    """Write the proof that an entry is in this node's ledger, for `isthmus audit verify`.

    Under the newest checkpoint that sites cosigned and that covers it, else under one that this node signs now.
    """
    from isthmus.federation.ledgers import open_ledgers
    from isthmus.sdk.files import write_file

    with open_ledgers(locate(config), os.environ) as ledgers:
        write_file(out, ledgers.prove(entry, _now()))
    Screen.of(json=False, quiet=quiet).say(str(out))


def fetch(
    out: Annotated[Path, typer.Option(help="Folder to write into; a new one, or one that was fetched before.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take from the hub what it shows an auditor: its ledger, its border register, the bundle of each released run.

    As the person whose isthmus.toml this is, by the signature of their keys. A site's ledger the site itself exports. Then:
    `isthmus audit search --from FOLDER`, and likewise `border`, `evidence` and `verify`.
    """
    from isthmus.sdk.connect import connect

    screen = Screen.of(json=json, quiet=quiet)
    with connect() as client:
        files, kept = client.exports(out)
    if screen.json:
        screen.document({"schema": "isthmus/fetched/1", "files": [str(file) for file in files], "not_given": kept})
    for file in files:
        screen.say(str(file))
    for run, why in kept.items():
        screen.say(f"Not given: run {run[7:19]}, {why}", style="yellow")


def export(
    out: Out,
    private: Annotated[
        bool, typer.Option("--private", help="A site's private ledger instead: which question it refused, and why.")
    ] = False,
    border: Annotated[
        bool, typer.Option("--border", help="The border register instead, which the ledger seals: *.border.")
    ] = False,
    config: ConfigFile = None,
    quiet: Quiet = False,
) -> None:
    """Write this node's whole ledger, with its signed head and the checkpoints that sites cosigned."""
    from isthmus.federation.border import border_lines
    from isthmus.federation.ledgers import open_ledgers
    from isthmus.sdk.files import writing

    with open_ledgers(locate(config), os.environ) as ledgers:
        lines = border_lines(ledgers.own, ledgers.store) if border else ledgers.export(private, _now())
        with writing(out), out.open("wb") as file:
            file.writelines(lines)
    Screen.of(json=False, quiet=quiet).say(str(out))


def verify(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Exported ledgers, proofs of an entry, bundles (*.isthmus) beside the hub's."
        ),
    ],
    agreement: Agreed = None,
    every_signature: Annotated[
        bool, typer.Option("--every-signature", help="Of people's signatures in entries check all, not up to 1,000.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check exported ledgers offline, and hold them against each other; exit code 8 when anything does not hold.

    Every tree is computed again; heads and checkpoints are signed, and cosigned; two exports of one ledger are one story;
    and what one party remembers of another's ledger is in it. With the agreement, people's signatures on it and in entries too; with a
    bundle, what people signed of its run, against the entries that name it. A node whose ledger is not given is named, and a
    file that is named for a node and is another's does not hold.
    """
    screen = Screen.of(json=json, quiet=quiet)
    try:
        checked, alone, fingerprints, absent = _checked(files, agreement, None if every_signature else SAMPLE)
    except Invalid as damaged:  # a file that is no longer an export does not hold either
        raise Untrusted(damaged.code, damaged.message, damaged.hint, damaged.where) from damaged
    if screen.json:
        named = {"uncosigned": alone, "fingerprints": fingerprints, "missing": absent}
        screen.document({"schema": "isthmus/audit-verified/1", "checked": checked, **named})
        return
    for line in checked:
        screen.say(f"ok  {line}", style="green")
    for log in alone:
        screen.say(f"look  {log}: cosigned by nobody: its owner can have written it anew", style="yellow")
    for log in absent:
        screen.say(f"look  {log}: its ledger is not here: what it alone would show is not known", style="yellow")
    for owner, fingerprint in fingerprints.items() if agreement is None else ():
        screen.say(f"key of {owner}: {fingerprint}; compare it, or give --agreement", style="dim")


def border(from_: From = None, config: ConfigFile = None, json: Json = False, quiet: Quiet = False) -> None:
    """What left this site or hub, by day, study and direction; exit code 8 when the register is not what the ledger sealed.

    At a hub: its messages to sites, and the results that people fetched. Elsewhere, with --from: of each node whose ledger
    and border register were exported; of the others that it is not known here, with exit code 8 where one of the two is there.
    """
    screen = Screen.of(json=json, quiet=quiet)
    with ExitStack() as stack:
        registers, unknown, half = _registers(stack, from_, config)
    told = [{"log": log, **_as_data(register)} for log, register in registers.items()]
    if screen.json:
        one = {name: value for name, value in told[0].items() if name != "log"} if not from_ else {"registers": told}
        screen.document({"schema": "isthmus/border/1", **one, **({"not_known": unknown} if from_ else {})})
    else:
        for log, register in registers.items():
            screen.table(_border_table(log, register))
        for log, why in unknown.items():
            screen.say(f"Not known here: what left {log}: {why}", style="yellow")
    if half:
        said = "; ".join(f"{log}: {unknown[log]}" for log in half)
        raise Untrusted("E-LEDGER", said, "ask the node for both: `isthmus audit export`, and the same with --border")


def _registers(
    stack: ExitStack, given: list[Path] | None, config: Path | None
) -> tuple[dict[str, Register], dict[str, str], tuple[str, ...]]:
    """Log -> register; of the others why it is not known, and which of them gave one file of two.

    Raises:
        Invalid: E-USAGE, no node's ledger and register are both there.
    """
    from isthmus.federation.ledgers import open_ledgers
    from isthmus.sdk.sources import read_sources

    if not given:
        ledgers = stack.enter_context(open_ledgers(locate(config), os.environ))
        return {ledgers.own: ledgers.register()}, {}, ()
    sources = read_sources(given, stack)
    found = {log: register for log in sorted(sources.borders) if (register := sources.register(log)) is not None}
    if not found:
        hint = "`isthmus audit export --border` at the node writes its register, `isthmus audit export` the ledger that seals it"
        raise Invalid("E-USAGE", "not known here: no node's border register is there beside its ledger", hint)
    return found, *sources.unknown()


def _as_data(register: Register) -> dict[str, Any]:
    counted = {"messages": len(register.rows), "sealed": register.sealed}
    return {**counted, "days": register.by_day(), "rows": list(register.rows)}


def _border_table(log: str, register: Register) -> Table:
    from isthmus.ledger.words import short
    from isthmus.sdk.tables import Table

    node = "hub" if log == "hub" else "site"
    lines = register.by_day()
    rows = tuple(
        (
            line["day"],
            short(line["study"]),
            f"{line['sender'] or 'here'} {line['from_country']} -> {line['receiver'] or 'hub'} {line['to_country']}",
            line["flow"] or "none",
            line["mechanism"] or "none stated",
            ", ".join(line["rules"]) or "none needed",
            ", ".join(line["statistics"]) or "none",
            str(line["messages"]),
            str(line["bytes"]),
        )
        for line in lines
    )
    headings = ("Day", "Study", "Direction", "Flow", "Mechanism", "Rules", "Statistics", "Messages", "Bytes")
    note = f"{register.sealed} of {len(register.rows)} messages are sealed in the {node}'s ledger, and hold"
    return Table(title=f"What left {log}", headings=headings, rows=rows, labels=7, notes=(note,))


def _checked(
    files: list[Path], agreement: Path | None, most: int | None
) -> tuple[list[str], tuple[str, ...], dict[str, str], tuple[str, ...]]:
    from isthmus.crypto.keys import fingerprint
    from isthmus.federation.named import read_signed_file
    from isthmus.governance.signing import check_signatures
    from isthmus.ledger.exported import beside_of_proof, besides, check_exports, open_exported, uncosigned
    from isthmus.ledger.proved import check_proof
    from isthmus.ledger.whole import check_places, missing, nodes
    from isthmus.sdk.bundle import SUFFIX, under, verified
    from isthmus.sdk.files import read_bytes
    from isthmus.sdk.sources import proof_in

    signed = read_signed_file(agreement) if agreement is not None else None
    agreed = check_signatures(signed) if signed is not None else None
    proofs = {file: check_proof(raw) for file in files if file.suffix != SUFFIX and (raw := proof_in(file)) is not None}
    checks = [] if agreement is None else [under(agreement)]
    bundles = [verified(read_bytes(file), checks) for file in files if file.suffix == SUFFIX]
    exports = [open_exported(file) for file in files if file not in proofs and file.suffix != SUFFIX]
    known = nodes(exports, (site.site for site in agreed.sites) if agreed is not None else ())
    check_places([(exported.path, exported.origin) for exported in exports], known)
    shown = [beside_of_proof(*proof[:3]) for proof in proofs.values()]
    shown += [each for held in bundles for each in besides(held)]
    found = [*(_proof(proof, agreed) for proof in proofs.values()), *check_exports(exports, shown)]
    found += [_bundle(held, exports) for held in bundles]
    if signed is not None:
        found += _signed(exports, signed, most)
    keys = {exported.cover.owner: fingerprint(bytes.fromhex(exported.cover.key)) for exported in exports}
    return found, uncosigned(exports, shown), keys, missing(exports, known) if exports else ()


def _signed(exports: list[Exported], signed: SignedAgreement, most: int | None) -> list[str]:
    """Ledgers are their owners' by the agreement, and signatures on it and in entries are what they are said to be."""
    from isthmus.federation.ledgers import signer_of
    from isthmus.governance.agreement import agreement_digest
    from isthmus.governance.signing import claims
    from isthmus.ledger.exported import check_agreed, check_envelopes, check_keys

    agreed, whose = signed.agreement, {str(claim.envelope): claim.person for claim in claims(signed)}
    people = {person.key: bytes.fromhex(person.key) for person in agreed.people}
    found = []
    for exported in exports:
        keys_in = (exported.cover.key, exported.cover.witnesses)
        check_keys(exported.origin, keys_in, signer_of(agreed, exported.origin))
        found += check_agreed(exported, agreement_digest(agreed), whose)
        held, of = check_envelopes(exported, people, most)
        found += [f"{exported.origin}: {held} of {of} signatures by people of the agreement"] if of else []
    return found


def _bundle(held: Verified, exports: list[Exported]) -> str:
    """What people signed of a bundle's run stands in the hub's ledger, and the other way round."""
    from isthmus.governance.approval import PAYLOAD_TYPE
    from isthmus.ledger.exported import check_decisions
    from isthmus.model.canonical import digest

    hub = next((exported for exported in exports if exported.origin == "hub"), None)
    if hub is None:
        raise Invalid("E-USAGE", "a bundle is held against the hub's ledger", "give the hub's exported ledger too")
    signed = [digest(e) for e in held.bundle.get("approvals", ()) if e["payloadType"] == PAYLOAD_TYPE]
    number = check_decisions(hub, held.run, signed)
    return f"hub: run {held.run[7:19]}: {number} decisions that people signed are entered, and no other vote"


def _proof(proof: Proof, agreed: Agreement | None) -> str:
    from isthmus.federation.ledgers import signer_of
    from isthmus.ledger.exported import check_keys

    entry, checkpoint, key, witnesses = proof
    if agreed is not None:
        check_keys(checkpoint.origin, (key, witnesses), signer_of(agreed, checkpoint.origin))
    by = f", cosigned by {', '.join(checkpoint.cosigners)}" if checkpoint.cosigners else ""
    return f"{checkpoint.origin}: entry {entry.sequence} ({entry.event}) is in its {checkpoint.head.size} entries{by}"


def _stored(stack: ExitStack, config: Path | None) -> dict[str, Callable[[], Iterator[Entry]]]:
    from functools import partial

    from isthmus.federation.ledgers import open_ledgers

    ledgers = stack.enter_context(open_ledgers(locate(config), os.environ))
    return {name: partial(ledgers.entries, name) for name in ledgers.names}


def _exported(stack: ExitStack, files: list[Path]) -> dict[str, Callable[[], Iterator[Entry]]]:
    """Each ledger checked first: what is told was signed. Two files of one ledger are told apart by their names."""
    from isthmus.sdk.sources import read_sources

    return read_sources(files, stack).streams()


def _named(log: str, entries: Iterator[Entry]) -> Iterator[tuple[Entry, str]]:
    return ((entry, log) for entry in entries)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - an entry point
