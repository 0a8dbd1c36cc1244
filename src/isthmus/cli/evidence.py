"""`isthmus audit evidence`: documents that a node makes of its own agreement, ledger and installation."""

from __future__ import annotations

import json as jsonlib
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.audit import From
from isthmus.cli.screen import Screen
from isthmus.cli.serve import ConfigFile, locate
from isthmus.model.errors import DEFECTS, Invalid, IsthmusError, coded

if TYPE_CHECKING:
    from isthmus.governance.agreement import Agreement
    from isthmus.sdk.artefacts.told import Told

ALL = "all"


class Format(StrEnum):
    """How a document is written."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"
    ICS = "ics"
    CYCLONEDX = "cyclonedx"


# Forms that only one artefact has.
OWN = {Format.ICS: "calendar", Format.CYCLONEDX: "provenance"}


def evidence(  # noqa: PLR0913 - one per option
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Which artefact; `all` for every one; left out, they are listed."),
    ] = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format", help="text; json; html, to be printed on A4; ics of calendar; cyclonedx of provenance."
        ),
    ] = Format.TEXT,
    out: Annotated[Path | None, typer.Option(help="File to write; a new folder for `all`. Else to stdout.")] = None,
    previous: Annotated[Path | None, typer.Option(help="The agreement's version before, for `agreement`.")] = None,
    aware: Annotated[str | None, typer.Option(help="When someone became aware, for `incidents` (ISO 8601).")] = None,
    from_: From = None,
    agreement: Annotated[
        Path | None, typer.Option(help="With --from: the signed agreement, if not that of isthmus.toml.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Make an artefact of evidence from this node's own files: agreement, ledger, configuration.

    No row and no small count stands in one. What only a person can say is left open to be completed. With --from: of each
    node whose ledger was exported; what an export does not tell is said to be not known here, and whom to ask.
    """
    from isthmus.sdk.artefacts.catalogue import ARTEFACTS
    from isthmus.sdk.files import write_file

    if name is None:
        _list()
        return
    if name not in {ALL, *ARTEFACTS}:
        raise Invalid("E-USAGE", f"no artefact {name[:70]!r}", "there are: " + ", ".join(ARTEFACTS) + ", all")
    if form in OWN and OWN[form] != name:
        raise Invalid("E-USAGE", f"only {OWN[form]} has the form {form.value}", "text, json or html")
    before, since = _previous(previous), _moment(aware)
    nodes = [
        replace(told, previous=before or told.signed.before, aware=since) for told in _told(from_, agreement, config)
    ]
    if name == ALL:
        _write_all(nodes, ARTEFACTS, form, out)
    elif out is None:
        for told in nodes:
            typer.echo(_written(told, name, form), nl=False)
    else:
        for told, file in _files(nodes, out):
            write_file(file, _written(told, name, form))
            Screen.of(json=False, quiet=False).say(str(file))


def _told(given: list[Path] | None, agreement: Path | None, config: Path | None) -> list[Told]:
    """This node, or each one of which something was exported."""
    from isthmus.federation.config import read_config
    from isthmus.federation.named import read_agreement
    from isthmus.governance.signing import read_signed
    from isthmus.sdk.artefacts.elsewhere import tell
    from isthmus.sdk.artefacts.told import gather, place_of
    from isthmus.sdk.files import read_text
    from isthmus.sdk.sources import read_sources

    now = datetime.now(UTC)  # noqa: TID251 - an entry point
    if not given:
        return [gather(locate(config), os.environ, now)]
    if agreement is not None:
        signed = read_signed(read_text(agreement), str(agreement))
    else:
        own = read_config(locate(config), os.environ)
        signed = read_agreement(own, place_of(own))
    with ExitStack() as stack:
        return tell(read_sources(given, stack), signed, now)


def _files(nodes: list[Told], out: Path) -> Iterator[tuple[Told, Path]]:
    """Each node and its own file: `out`, or where there are several `out` with the node's name in it."""
    for told in nodes:
        name = told.node.rpartition(" ")[2]
        yield told, out if len(nodes) == 1 else out.with_stem(f"{out.stem}-{name}")


def _list() -> None:
    from isthmus.sdk.artefacts.catalogue import ARTEFACTS
    from isthmus.sdk.tables import Table

    rows = tuple((name, a.title, a.serves) for name, a in ARTEFACTS.items())
    title = "isthmus audit evidence NAME"
    Screen.of(json=False, quiet=False).table(
        Table(title=title, headings=("Name", "What", "Serves"), rows=rows, labels=3)
    )


def _write_all(nodes: list[Told], names: Iterable[str], form: Format, out: Path | None) -> None:
    from isthmus.sdk.files import write_file, writing

    if out is None:
        raise Invalid("E-USAGE", "`all` writes a folder", "--out FOLDER")
    if out.exists():
        raise Invalid("E-EXISTS", "there is something of that name already", "choose another folder", str(out))
    with writing(out):
        out.mkdir(parents=True)
    screen = Screen.of(json=False, quiet=False)
    failed: list[IsthmusError] = []
    for name in names:
        for told, file in _files(nodes, out / f"{name}.{_SUFFIX[form]}"):
            try:
                write_file(file, _written(told, name, form))
            except (IsthmusError, *DEFECTS) as error:
                met = coded(error)
                failed.append(IsthmusError(met.code, f"{name}: {met.message}", met.hint, met.where))
                screen.error(failed[-1])
            else:
                screen.say(str(file))
    if failed:
        said = f"{len(failed)} could not be written, and are named above; the others are there"
        raise IsthmusError(failed[0].code, said, failed[0].hint, str(out))


def _written(told: Told, name: str, form: Format) -> str:
    from isthmus.sdk.artefacts import pages
    from isthmus.sdk.artefacts.catalogue import document

    if form is Format.ICS:
        from isthmus.sdk.artefacts.people import ics

        return ics(told)
    if form is Format.CYCLONEDX:
        from isthmus.sdk.sbom import bill

        return jsonlib.dumps(bill(told.now), indent=1) + "\n"
    made = document(name, told)
    if form is Format.JSON:
        return jsonlib.dumps(pages.to_json(made), indent=1, ensure_ascii=False) + "\n"
    return pages.to_html(made) if form is Format.HTML else pages.to_text(made)


_SUFFIX = {Format.TEXT: "txt", Format.JSON: "json", Format.HTML: "html"}


def _previous(file: Path | None) -> Agreement | None:
    from isthmus.governance.signing import read_signed
    from isthmus.sdk.files import read_text

    return None if file is None else read_signed(read_text(file), str(file)).agreement


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid("E-USAGE", "--aware is not a time", "ISO 8601, as 2026-11-25T09:00+00:00") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
