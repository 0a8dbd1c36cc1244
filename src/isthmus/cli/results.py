"""`isthmus results`: look at a result file or bundle, or fetch one from the hub."""

from __future__ import annotations

import json as jsonlib
import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.run import Json, Quiet, exit_code, pairs, show_result
from isthmus.cli.screen import Screen
from isthmus.cli.serve import ConfigFile
from isthmus.model.errors import Invalid

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

    result = open_result(source)
    if analysis not in result:
        raise Invalid("E-ANALYSIS", f"no analysis {analysis!r}", "there are: " + ", ".join(result))
    drawn = result[analysis].plot()
    if out is None:
        typer.echo(drawn, nl=False)
    else:
        out.write_text(drawn, encoding="utf-8")


def export(  # noqa: PLR0913 - one per option
    source: Source,
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("results"),
    crate: Annotated[
        Path | None, typer.Option(help="Write an evidence crate instead: a new folder, or a new file NAME.zip.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Folder of your keys, as `isthmus init` made them: signs the crate.")
    ] = None,
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
    At the hub or a site (isthmus.toml) its own ledger's entries on the run go with it. A site's decisions stand in its ledger
    alone: --ledger adds it, and what is absent is said.
    """
    from isthmus.sdk.bundle import bundle_of

    screen, raw = Screen.of(json=json, quiet=quiet), bundle_of(source)
    absent: dict[str, str] = {}
    if crate is None:
        files = _write_result(source, raw, out)
    elif raw is None:
        raise Invalid("E-CRATE", "a crate is made of a signed bundle", "give a bundle (*.isthmus), or a run at the hub")
    else:
        absent, files = _write_crate(raw, crate, key, ledger or [], config), [crate]
    if screen.json:
        screen.document({"schema": "isthmus/export/1", "files": [str(f) for f in files], "absent": absent})
    for file in files:
        screen.say(str(file))
    if absent:
        said = f"Nothing of the ledgers of {', '.join(absent)} is in it, and with them their decisions. To add one: "
        screen.say(said + next(iter(absent.values())), style="yellow")


def _write_result(source: str, raw: bytes | None, out: Path) -> list[Path]:
    from isthmus.sdk.bundle import SUFFIX, open_result, result_of
    from isthmus.sdk.export import export as write

    files = write(open_result(source) if raw is None else result_of(raw), out)
    if raw is not None:
        files.append(out / f"result{SUFFIX}")
        files[-1].write_bytes(raw)
    return files


def _write_crate(raw: bytes, out: Path, key: Path | None, ledgers: list[Path], config: Path | None) -> dict[str, str]:
    """Write the crate; node -> how to add its ledger, of those that are not in it."""
    from isthmus.federation.identity import load_identity
    from isthmus.sdk.bundle import read_bytes
    from isthmus.sdk.crate.bag import PAYLOAD, write_folder, write_zip
    from isthmus.sdk.crate.contents import DECISIONS
    from isthmus.sdk.crate.make import make_crate
    from isthmus.sdk.unlock import passphrase

    now = datetime.now(UTC)  # noqa: TID251 - an entry point
    given = [read_bytes(file) for file in ledgers]
    signer = load_identity(key, partial(passphrase, os.environ)) if key is not None else None
    files = make_crate(raw, now, signer, given, _excerpt(raw, config, now))
    (write_zip if out.suffix == ".zip" else write_folder)(files, out)
    return dict(jsonlib.loads(files[PAYLOAD + DECISIONS])["absent"])


def _excerpt(raw: bytes, config: Path | None, now: datetime) -> bytes:
    """The entries on the bundle's run in the ledger of the hub or site whose isthmus.toml is here; none elsewhere."""
    from isthmus.federation.config import find_config, read_config
    from isthmus.federation.ledgers import open_ledgers
    from isthmus.sdk.bundle import verified

    path = config or find_config(Path.cwd(), os.environ)
    if path is None:
        return b""
    tables = read_config(path, os.environ).tables
    if tables.hub is None and tables.site is None:
        return b""
    held = verified(raw, [])
    with open_ledgers(path, os.environ) as ledgers:
        return ledgers.excerpt(held.run, held.agreement, now)


def dump(body: dict[str, object]) -> str:
    """A result as indented JSON text."""
    return jsonlib.dumps(body, indent=1) + "\n"
