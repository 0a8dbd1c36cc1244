"""`isthmus audit`: what the ledgers say, one entry proved, a whole ledger exported and checked."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen
from isthmus.cli.serve import ConfigFile, locate
from isthmus.model.errors import Invalid, Untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from isthmus.governance.agreement import Agreement
    from isthmus.ledger.entries import Entry
    from isthmus.ledger.exported import Exported

Agreed = Annotated[Path | None, typer.Option(help="The signed agreement: keys must be those it names.")]
Out = Annotated[Path, typer.Option(help="File to write.")]
SAMPLE = 1000  # Ed25519 checks: 0.2 s


def search(  # noqa: PLR0913 - one per option
    from_: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="LEDGER", help="An exported ledger instead of this node's own (repeat)."),
    ] = None,
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

    Of the hub or site whose isthmus.toml this is, or of exported ledgers; several tell one story in the order of their
    clocks, each ledger's own order kept.
    """
    from isthmus.ledger.words import Search, found, in_words, runs_of

    screen = Screen.of(json=json, quiet=quiet)
    asked = Search(event=event, run=run, study=study, person=person, since=since, until=until, code=code)
    told: list[dict[str, Any]] = []
    with ExitStack() as stack:
        logs = _exported(from_) if from_ else _stored(stack, config)
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

    with open_ledgers(locate(config), os.environ) as ledgers:
        out.write_bytes(ledgers.prove(entry, _now()))
    Screen.of(json=False, quiet=quiet).say(str(out))


def export(
    out: Out,
    private: Annotated[
        bool, typer.Option("--private", help="A site's private ledger instead: which question it refused, and why.")
    ] = False,
    config: ConfigFile = None,
    quiet: Quiet = False,
) -> None:
    """Write this node's whole ledger, with its signed head and the checkpoints that sites cosigned."""
    from isthmus.federation.ledgers import open_ledgers

    with open_ledgers(locate(config), os.environ) as ledgers:
        lines = ledgers.export(private, _now())
        with out.open("wb") as file:
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
    and what one party remembers of another's ledger is in it. With the agreement, people's signatures in entries too; with a
    bundle, what people signed of its run, against the entries that name it.
    """
    screen = Screen.of(json=json, quiet=quiet)
    try:
        checked, fingerprints = _checked(files, agreement, None if every_signature else SAMPLE)
    except Invalid as damaged:  # a file that is no longer an export does not hold either
        raise Untrusted(damaged.code, damaged.message, damaged.hint, damaged.where) from damaged
    if screen.json:
        screen.document({"schema": "isthmus/audit-verified/1", "checked": checked, "fingerprints": fingerprints})
        return
    for line in checked:
        screen.say(f"ok  {line}", style="green")
    for owner, fingerprint in fingerprints.items() if agreement is None else ():
        screen.say(f"key of {owner}: {fingerprint}; compare it, or give --agreement", style="dim")


def border(config: ConfigFile = None, json: Json = False, quiet: Quiet = False) -> None:
    """What left this site or hub, by day, study and direction; exit code 8 when the register is not what the ledger sealed.

    At a hub: its messages to sites, and the results that people fetched.
    """
    from isthmus.federation.ledgers import open_ledgers
    from isthmus.ledger.words import short
    from isthmus.sdk.tables import Table

    screen = Screen.of(json=json, quiet=quiet)
    with open_ledgers(locate(config), os.environ) as ledgers:
        register, node = ledgers.register(), "hub" if ledgers.own == "hub" else "site"
    lines = register.by_day()
    if screen.json:
        counted = {"messages": len(register.rows), "sealed": register.sealed}
        screen.document({"schema": "isthmus/border/1", **counted, "days": lines, "rows": list(register.rows)})
        return
    rows = tuple(
        (
            line["day"],
            short(line["study"]),
            f"{line['sender'] or 'here'} {line['from_country']} -> {line['receiver'] or 'hub'} {line['to_country']}",
            line["flow"] or "none",
            line["mechanism"] or "none stated",
            line["rule"] or "none needed",
            ", ".join(line["statistics"]) or "none",
            str(line["messages"]),
            str(line["bytes"]),
        )
        for line in lines
    )
    headings = ("Day", "Study", "Direction", "Flow", "Mechanism", "Rule", "Statistics", "Messages", "Bytes")
    note = f"{register.sealed} of {len(register.rows)} messages are sealed in the {node}'s ledger, and hold"
    screen.table(Table(title=f"What left this {node}", headings=headings, rows=rows, labels=7, notes=(note,)))


def _checked(files: list[Path], agreement: Path | None, most: int | None) -> tuple[list[str], dict[str, str]]:
    from isthmus.crypto.keys import fingerprint
    from isthmus.federation.ledgers import read_agreed, signer_of
    from isthmus.ledger.exported import check_envelopes, check_exports, check_keys, open_exported
    from isthmus.ledger.proved import is_proof
    from isthmus.sdk.bundle import SUFFIX

    agreed = read_agreed(agreement) if agreement is not None else None
    proofs = [
        file for file in files if file.is_file() and file.stat().st_size < 1 << 20 and is_proof(file.read_bytes())
    ]
    bundles = [file for file in files if file.suffix == SUFFIX]
    exports = [open_exported(file) for file in files if file not in (*proofs, *bundles)]
    found = [*(_proof(file, agreed) for file in proofs), *check_exports(exports)]
    found += [_bundle(file, exports) for file in bundles]
    if agreed is not None:
        people = {person.key: bytes.fromhex(person.key) for person in agreed.people}
        for exported in exports:
            keys_in = (exported.cover.key, exported.cover.witnesses)
            check_keys(exported.origin, keys_in, signer_of(agreed, exported.origin))
            held, of = check_envelopes(exported, people, most)
            found += [f"{exported.origin}: {held} of {of} signatures by people of the agreement"] if of else []
    keys = {exported.cover.owner: fingerprint(bytes.fromhex(exported.cover.key)) for exported in exports}
    return found, keys


def _bundle(file: Path, exports: list[Exported]) -> str:
    """What people signed of a bundle's run stands in the hub's ledger, and the other way round."""
    from isthmus.governance.approval import PAYLOAD_TYPE
    from isthmus.ledger.exported import check_decisions
    from isthmus.model.canonical import digest
    from isthmus.sdk.bundle import verified

    hub = next((exported for exported in exports if exported.origin == "hub"), None)
    if hub is None:
        raise Invalid("E-USAGE", "a bundle is held against the hub's ledger", "give the hub's exported ledger too")
    held = verified(file.read_bytes(), [])
    signed = [digest(e) for e in held.bundle.get("approvals", ()) if e["payloadType"] == PAYLOAD_TYPE]
    number = check_decisions(hub, held.run, signed)
    return f"hub: run {held.run[7:19]}: {number} decisions that people signed are entered, and no other vote"


def _proof(file: Path, agreed: Agreement | None) -> str:
    from isthmus.federation.ledgers import signer_of
    from isthmus.ledger.exported import check_keys
    from isthmus.ledger.proved import check_proof

    entry, checkpoint, key, witnesses = check_proof(file.read_bytes())
    if agreed is not None:
        check_keys(checkpoint.origin, (key, witnesses), signer_of(agreed, checkpoint.origin))
    by = f", cosigned by {', '.join(checkpoint.cosigners)}" if checkpoint.cosigners else ""
    return f"{checkpoint.origin}: entry {entry.sequence} ({entry.event}) is in its {checkpoint.head.size} entries{by}"


def _stored(stack: ExitStack, config: Path | None) -> dict[str, Callable[[], Iterator[Entry]]]:
    from functools import partial

    from isthmus.federation.ledgers import open_ledgers

    ledgers = stack.enter_context(open_ledgers(locate(config), os.environ))
    return {name: partial(ledgers.entries, name) for name in ledgers.names}


def _exported(files: list[Path]) -> dict[str, Callable[[], Iterator[Entry]]]:
    """Each ledger checked first: what is told was signed. Two files of one ledger are told apart by their names."""
    from isthmus.ledger.exported import check_exports, open_exported

    opened = [open_exported(file) for file in files]
    check_exports(opened)
    many = Counter(exported.origin for exported in opened)
    names = [e.origin if many[e.origin] == 1 else f"{e.origin} ({e.path.name})" for e in opened]
    return {name: exported.entries for name, exported in zip(names, opened, strict=True)}


def _named(log: str, entries: Iterator[Entry]) -> Iterator[tuple[Entry, str]]:
    return ((entry, log) for entry in entries)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - an entry point
