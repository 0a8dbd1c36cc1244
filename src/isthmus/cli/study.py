"""`isthmus study ...` and `isthmus watch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.run import Json, Quiet, StudyFile
from isthmus.cli.screen import Screen
from isthmus.model.errors import Unavailable

if TYPE_CHECKING:
    from isthmus.governance.passport import Passport

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run, as `study submit` printed it, or its first digits.")]


def group() -> None:
    """Check and submit studies, follow their state."""


def check(
    study: StudyFile,
    codebook: Annotated[
        Path | None, typer.Option(help="Check variables and expressions against this codebook.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a study file without touching any row."""
    from isthmus.sdk.study import Study

    screen = Screen.of(json=json, quiet=quiet)
    asked = Study.read(study)
    lines = asked.check(codebook)
    if screen.json:
        screen.document(
            {"schema": "isthmus/check/1", "study": asked.digest, "title": asked.title, "checked": list(lines)}
        )
    for line in lines:
        screen.say(f"ok  {line}")
    screen.say(f"{asked.digest}", style="dim")


def preview(
    study: StudyFile,
    codebook: Annotated[Path | None, typer.Option(help="The dataset's codebook.")] = None,
    rules: Annotated[
        Path | None, typer.Option(help="Disclosure rules, as for a rehearsal; else the agreement's.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what a study would read and what would leave each site, before any row is touched."""
    from isthmus.sdk.preview import tables
    from isthmus.sdk.study import Study

    screen, asked = Screen.of(json=json, quiet=quiet), Study.read(study)
    body = asked.preview(codebook, rules=rules)
    if screen.json:
        screen.document(body)
        return
    screen.say(f"{body['title']}: {body['dataset']}, {body['sites']} sites; no row is touched")
    told = {None: "no agreement looked at", True: "the agreement admits it"}
    outside = body["admitted"]
    screen.say(f"not admitted: {outside['code']} {outside['message']}" if isinstance(outside, dict) else told[outside])
    screen.say()
    for table in tables(body):
        screen.table(table)


def submit(
    study: StudyFile,
    passport: Annotated[
        Path | None, typer.Option(help="Your GA4GH Passport (a JWT in a file): every party sees it.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Sign a study and send it to the hub of your isthmus.toml."""
    from isthmus.sdk.connect import connect
    from isthmus.sdk.study import Study

    screen = Screen.of(json=json, quiet=quiet)
    with connect() as client:
        token = None if passport is None else _token(passport)
        if token is not None:
            _say_visas(screen, client.passport(token))
        run = client.submit(Study.read(study), passport=token)
    if screen.json:
        screen.document({"schema": "isthmus/submitted/1", "run": run})
    screen.say(f"Submitted as {run}")
    screen.say(f"Follow it with: isthmus watch {run}", style="dim")


def status(run: Run, json: Json = False, quiet: Quiet = False) -> None:
    """Say where a run stands and who it waits for."""
    from isthmus.cli.live import overview
    from isthmus.sdk.connect import connect

    screen = Screen.of(json=json, quiet=quiet)
    with connect() as client:
        state = client.status(run)
    if screen.json:
        screen.document({"schema": "isthmus/status/1", **state})
    else:
        overview(screen, state)


def watch(run: Run, json: Json = False, quiet: Quiet = False) -> int:
    """Follow a run live, site by site.

    One JSON object a line with --json.
    """
    from isthmus.cli.live import follow
    from isthmus.sdk.connect import connect

    with connect() as client:
        return follow(Screen.of(json=json, quiet=quiet), client, run)


def _token(path: Path) -> str:
    from isthmus.crypto.jwt import LARGEST

    try:
        with path.open(encoding="ascii") as file:
            return file.read(LARGEST + 2).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable("E-FILE", "the passport cannot be read", "a JWT: one line of text", str(path)) from error


def _say_visas(screen: Screen, found: Passport) -> None:
    for visa in found.visas:
        screen.note(f"visa: {visa.type} {visa.value}, by {visa.by} of {visa.source}, until {visa.expires}")
    for reason in found.left_out:
        screen.note(f"does not count: {reason}")
    if not found.visas:
        screen.note("no visa of the passport counts under this agreement")
