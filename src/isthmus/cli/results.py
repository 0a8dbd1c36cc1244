"""`isthmus results`: look at a result file or bundle, or fetch one from the hub."""

from __future__ import annotations

import json as jsonlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.run import Json, Quiet, exit_code, pairs, show_result
from isthmus.cli.screen import Screen
from isthmus.cli.serve import ConfigFile
from isthmus.model.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from isthmus.federation.config import Config
    from isthmus.federation.identity import Identity
    from isthmus.ledger.verify import Verified

Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A result JSON, a bundle (*.isthmus), or a run at the hub.")
]


def show(source: Source, json: Json = False, quiet: Quiet = False) -> int:
    """Show a result: tables, curves, refusals and what crossed the border."""
    from isthmus.sdk.bundle import open_result

    body = open_result(source).to_dict()
    show_result(Screen.of(json=json, quiet=quiet), body)
    return exit_code(body)


def precision(
    source: Source,
    analysis: Annotated[
        str | None, typer.Option(help="Name of one analysis; all that have results of countries else.")
    ] = None,
    price: Annotated[
        list[str] | None, typer.Option("--price", metavar="CC=PRICE", help="What one person costs in a country.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what each country gained: its errors beside those of all, the people it would need alone, their cost."""
    from isthmus.sdk import precision as told
    from isthmus.sdk.bundle import open_result

    screen, result, prices = Screen.of(json=json, quiet=quiet), open_result(source), _prices(price or [])
    if analysis is not None and analysis not in result:
        raise Invalid("E-ANALYSIS", f"no analysis {analysis!r}", "there are: " + ", ".join(result))
    bodies = {name: part.to_dict() for name, part in result.items() if analysis in {None, name}}
    having = {name: body for name, body in bodies.items() if body.get("precision")} or bodies
    if screen.json:
        found = {name: [*told.rows(name, body, prices)] for name, body in having.items()}
        screen.document({"schema": "isthmus/precision/1", "analyses": found})
    for name, body in having.items():
        screen.table(told.table(name, body, prices))


def _prices(given: list[str]) -> dict[str, float]:
    """Country -> price.

    Raises:
        Invalid: E-USAGE.
    """
    found = {}
    for country, text in pairs(given, "--price").items():
        try:
            found[country] = float(text)
        except ValueError as error:
            raise Invalid("E-USAGE", "--price takes CC=PRICE", "for example --price GB=12.5") from error
    return found


def plot(
    source: Source,
    analysis: Annotated[str, typer.Argument(metavar="ANALYSIS", help="Name of the analysis.")],
    out: Annotated[Path | None, typer.Option(help="Write the SVG here instead of stdout.")] = None,
) -> None:
    """Draw one analysis as SVG."""
    from isthmus.sdk.bundle import open_result
    from isthmus.sdk.files import write_file

    result = open_result(source)
    if analysis not in result:
        raise Invalid("E-ANALYSIS", f"no analysis {analysis!r}", "there are: " + ", ".join(result))
    drawn = result[analysis].plot()
    if out is None:
        typer.echo(drawn, nl=False)
    else:
        write_file(out, drawn)


def export(  # noqa: PLR0913 - one per option
    source: Source,
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("results"),
    crate: Annotated[
        Path | None, typer.Option(help="Write an evidence crate instead: a new folder, or a new file NAME.zip.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Folder of the keys that sign the crate, if not those of isthmus.toml.")
    ] = None,
    unsigned: Annotated[
        bool,
        typer.Option("--unsigned", help="Sign no crate: another version of Isthmus may then not vouch for all of it."),
    ] = False,
    ledger: Annotated[
        list[Path] | None,
        typer.Option(help="An exported ledger to go with the crate, for a site's own decisions (repeat)."),
    ] = None,
    config: ConfigFile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write result.json, a CSV per analysis, an SVG where there is a figure, and the signed bundle where there is one.

    With --crate, write a Five Safes RO-Crate 0.4 that holds these and the agreement, decisions, disclosure record, proofs and SBOM.
    The keys of isthmus.toml sign it, where the run's agreement names them. At the hub or a site its own ledger's entries on
    the run go with it; --ledger adds a site's whole ledger, with the facts of its decisions. What is absent is said.
    """
    from isthmus.sdk.bundle import bundle_of

    screen, raw = Screen.of(json=json, quiet=quiet), bundle_of(source)
    absent: dict[str, str] = {}
    nobody = ""
    if crate is None:
        files = _write_result(source, raw, out)
    elif raw is None:
        raise Invalid("E-CRATE", "a crate is made of a signed bundle", "give a bundle (*.isthmus), or a run at the hub")
    else:
        (absent, nobody), files = _write_crate(raw, crate, _Export(key, unsigned, tuple(ledger or ()), config)), [crate]
    if screen.json:
        screen.document({"schema": "isthmus/export/1", "files": [str(f) for f in files], "absent": absent})
    for file in files:
        screen.say(str(file))
    if nobody:
        screen.say(
            f"Nobody signed it: {nobody}. --key FOLDER signs it; `isthmus verify` asks for that.", style="yellow"
        )
    if absent:
        said = f"Nothing of the ledgers of {', '.join(absent)} is in it, and with them decisions, or the facts they rest on. To add one: "
        screen.say(said + next(iter(absent.values())), style="yellow")


def _write_result(source: str, raw: bytes | None, out: Path) -> list[Path]:
    from isthmus.sdk.bundle import SUFFIX, open_result, result_of
    from isthmus.sdk.export import export as write
    from isthmus.sdk.files import write_file

    files = write(open_result(source) if raw is None else result_of(raw), out)
    if raw is not None:
        files.append(out / f"result{SUFFIX}")
        write_file(files[-1], raw)
    return files


@dataclass(frozen=True, slots=True)
class _Export:
    """How a crate is made: whose key signs it, which ledgers go with it, and where isthmus.toml is."""

    key: Path | None
    unsigned: bool
    ledgers: tuple[Path, ...]
    config: Path | None


def _write_crate(raw: bytes, out: Path, how: _Export) -> tuple[dict[str, str], str]:
    """Write the crate; node -> how to add its ledger, of those that are not in it; and why nobody signed it."""
    from isthmus.federation.config import find_config, read_config
    from isthmus.sdk.bundle import verified
    from isthmus.sdk.crate.bag import PAYLOAD, write_folder, write_zip
    from isthmus.sdk.crate.contents import DECISIONS
    from isthmus.sdk.crate.make import crate_of
    from isthmus.sdk.files import read_bytes

    now = datetime.now(UTC)  # noqa: TID251 - an entry point
    given = [read_bytes(file) for file in how.ledgers]
    held, path = verified(raw, []), how.config or find_config(Path.cwd(), os.environ)
    config = read_config(path, os.environ) if path is not None else None
    signer, why = _signer(held, config, how)
    files = crate_of(held, raw, now, signer, given, _excerpt(held, config, now))
    (write_zip if out.suffix == ".zip" else write_folder)(files, out)
    record = jsonlib.loads(files[PAYLOAD + DECISIONS])
    return record["absent"] | record["without_facts"], why


def _signer(held: Verified, config: Config | None, how: _Export) -> tuple[Identity | None, str]:
    """Whose key signs the crate: the one given, else that of isthmus.toml where the agreement names it; or why none does."""
    from isthmus.federation.audit import agreed
    from isthmus.federation.identity import load_identity
    from isthmus.sdk.unlock import passphrase

    ask = partial(passphrase, os.environ)
    if how.key is not None:
        return load_identity(how.key, ask), ""
    role = None if config is None else config.tables.hub or config.tables.site or config.tables.person
    if how.unsigned or config is None or role is None:
        return None, "" if how.unsigned else "there is no isthmus.toml here, and no --key was given"
    try:
        identity = load_identity(config.keys(role.key), ask)
    except Unavailable as error:
        return None, error.message
    if held.mode == "federated" and identity.card.key not in {entry.key for entry in agreed(held)[1].keyed()}:
        return None, f"the run's agreement has another key for {identity.name}, or none"
    return identity, ""


def _excerpt(held: Verified, config: Config | None, now: datetime) -> bytes:
    """The entries on the bundle's run in the ledger of the hub or site whose isthmus.toml is here; none elsewhere."""
    from isthmus.federation.ledgers import ledgers_of

    if config is None or (config.tables.hub is None and config.tables.site is None):
        return b""
    with ledgers_of(config, os.environ) as ledgers:
        return ledgers.excerpt(held.run, held.agreement, now)


def dump(body: dict[str, object]) -> str:
    """A result as indented JSON text."""
    return jsonlib.dumps(body, indent=1) + "\n"
