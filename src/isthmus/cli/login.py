"""`isthmus login` and `isthmus hub console`: people sign in at the OpenID provider of `[login]`."""

from __future__ import annotations

import os
import secrets
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen
from isthmus.cli.serve import ConfigFile, locate
from isthmus.model.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from isthmus.federation.config import Config


def login(
    browser: Annotated[bool, typer.Option(help="Open the address in a browser; else it is only shown.")] = True,
    config: ConfigFile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Sign in at the OpenID provider, and see who that is in the agreement. Nothing is kept, nothing is signed."""
    with _needs_console():
        import httpx2

        from isthmus.console.server import registration
        from isthmus.interop.oidc import Provider
        from isthmus.interop.sign_in import sign_in
    from isthmus.federation.config import read_config
    from isthmus.federation.named import read_agreement
    from isthmus.governance.signing import check_signatures

    screen, stated = Screen.of(json=json, quiet=quiet), read_config(locate(config), os.environ)
    agreement = check_signatures(read_agreement(stated, _agreement(stated)))
    with httpx2.Client() as http:
        provider = Provider(stated.login().issuer, http, _now)
        client = registration(stated, os.environ, "")
        person = sign_in(agreement, provider, client, _send(browser), _now, secrets.token_bytes)
    roles = [str(role) for role in person.roles]
    if screen.json:
        screen.document({"schema": "isthmus/login/1", "person": person.person, "party": person.party, "roles": roles})
        return
    words = ", ".join(role.replace("_", " ") for role in roles)
    screen.say(f"You are {person.person} of {person.party}: {words}")


def console(
    port: Annotated[int, typer.Option(min=1, max=65535, help="On 127.0.0.1.")] = 8080,
    config: ConfigFile = None,
    quiet: Quiet = False,
) -> None:
    """Serve the console: people named in the agreement sign in and look at runs, reviews, people and the ledger."""
    with _needs_console():
        from isthmus.console.server import serve

    screen, path = Screen.of(json=False, quiet=quiet), locate(config)
    screen.note(f"console: configuration {path}, http://127.0.0.1:{port}")
    serve(path, os.environ, port, _now, secrets.token_bytes)


@contextmanager
def _needs_console() -> Iterator[None]:
    """Imports of the extra `console`: says so where one is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        hint = "pip install 'isthmus[console]'"
        raise Unavailable("E-EXTRA", f"the package {error.name} is not installed", hint) from error


def _agreement(config: Config) -> str | None:
    tables = config.tables
    stated = next((t for t in (tables.person, tables.hub, tables.site) if t is not None), None)
    if stated is None:
        raise Invalid(
            "E-CONFIG", "the configuration names no agreement", "write [person], [hub] or [site]", "agreement"
        )
    return stated.agreement


def _send(browser: bool) -> Callable[[str], None]:
    def send(url: str) -> None:
        typer.echo(f"Sign in at: {url}", err=True)  # with --json and --quiet too: without it nobody gets on
        if browser:
            webbrowser.open(url)

    return send


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - an entry point
