"""`isthmus run`: a rehearsal on files of your own."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli.screen import Screen
from isthmus.model.errors import Exit, Invalid

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")]
StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="Study file (.yaml or .json).")]

DEFAULT_COUNTRY = "GB"


def run(  # noqa: PLR0913 - one per option
    study: StudyFile,
    site: Annotated[
        list[str],
        typer.Option("--site", metavar="NAME=FILE", help="A site and its Parquet, CSV, Arrow or DuckDB file."),
    ],
    rules: Annotated[Path, typer.Option(help="Disclosure rules, every one stated (.yaml or .json).")],
    country: Annotated[
        list[str] | None, typer.Option("--country", metavar="NAME=CC", help="A site's country; GB where not given.")
    ] = None,
    codebook: Annotated[Path | None, typer.Option(help="Codebook; inferred from the files where not given.")] = None,
    release: Annotated[
        list[str] | None, typer.Option("--release", metavar="OUTPUT", help="As an agreement allows it: site_results.")
    ] = None,
    processes: Annotated[bool, typer.Option("--processes", help="Hub and sites as processes over mutual TLS.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the result JSON to this file.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Rehearse a study on files of your own.

    The same gate, masking and protocol run as between real sites. Every rule must be stated; exit code 5 when an
    analysis is refused, with the rest delivered.
    """
    from isthmus.cli.live import watching
    from isthmus.sdk.rehearse import rehearse

    screen = Screen.of(json=json, quiet=quiet)
    sites = pairs(site, "--site")
    countries = dict.fromkeys(sites, DEFAULT_COUNTRY) | pairs(country or [], "--country")
    _known(countries, sites)
    with watching(screen, tuple(sites)) as progress:
        result = rehearse(
            study,
            dict(sites),
            rules=rules,
            countries=countries,
            codebook=codebook,
            releases=tuple(release or ()),
            processes=processes,
            progress=progress,
        )
    body = result.to_dict()
    if out is not None:
        from isthmus.sdk.files import write_file

        write_file(out, jsonlib.dumps(body, indent=1) + "\n")
    show_result(screen, body)
    return exit_code(body)


def pairs(given: list[str], option: str) -> dict[str, str]:
    """`NAME=VALUE` options as a mapping.

    Raises:
        Invalid: E-USAGE.
    """
    split = [text.partition("=") for text in given]
    for name, equals, value in split:
        if not (name and equals and value):
            raise Invalid("E-USAGE", f"{option} takes NAME=VALUE", f"for example {option} leeds=leeds.parquet")
    names = [name for name, _, _ in split]
    if len(set(names)) != len(names):
        raise Invalid("E-USAGE", f"{option} names one twice", "give each once")
    return {name: value for name, _, value in split}


def show_result(screen: Screen, body: dict[str, Any]) -> None:
    """The whole result, for people or for programs."""
    if screen.json:
        screen.document(body)
        return
    if screen.quiet:
        return
    from isthmus.cli import show
    from isthmus.sdk import text

    screen.say(str(body.get("title", "")), style="bold")
    screen.say(text.origin(body), style="dim")
    if why := text.withheld(body):
        screen.say(why)
    screen.say()
    for name, analysis in body["analyses"].items():
        show.analysis(screen, name, analysis, body)
    show.traffic(screen, body)


def exit_code(body: dict[str, Any]) -> int:
    """5 when an analysis was refused, 2 when one could not be computed, else 0; the rest is delivered either way."""
    states = {analysis.get("status") for analysis in body["analyses"].values()}
    if "refused" in states:
        return int(Exit.REFUSED)
    return int(Exit.USAGE if "failed" in states else Exit.DONE)


def _known(countries: dict[str, str], sites: dict[str, str]) -> None:
    stray = [name for name in countries if name not in sites]
    if stray:
        raise Invalid("E-USAGE", f"--country names {stray[0]!r}, which is not a --site", "sites: " + ", ".join(sites))
