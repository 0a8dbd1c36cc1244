"""`isthmus doctor`: what is wrong with this installation, before a study finds out."""

from __future__ import annotations

import importlib.metadata
import os
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen
from isthmus.model.errors import Exit, IsthmusError
from isthmus.model.record import record

PARTS = ("numpy", "scipy", "pyarrow", "duckdb", "cryptography", "grpcio", "SQLAlchemy", "sqlglot", "pydantic", "rich")


@record
class Check:
    """One line: what was looked at, `ok`, `missing` (optional) or `failed`, and what to do."""

    what: str
    state: str
    note: str


def doctor(json: Json = False, quiet: Quiet = False) -> int:
    """Check this installation, its keys, agreement, way to the hub, and data."""
    screen = Screen.of(json=json, quiet=quiet)
    checks = [*_installation(), *_demo(), *_configuration()]
    failed = any(check.state == "failed" for check in checks)
    if screen.json:
        from isthmus.model.canonical import plain

        screen.document({"schema": "isthmus/doctor/1", "ok": not failed, "checks": plain(checks)})
    else:
        from isthmus.sdk.tables import Table

        rows = tuple((check.state, check.what, check.note) for check in checks)
        screen.table(Table(title="isthmus doctor", headings=("", "What", "Note"), rows=rows, labels=3))
    return int(Exit.UNREACHABLE if failed else Exit.DONE)


def _installation() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    state = "ok" if sys.version_info >= (3, 11) else "failed"
    yield Check(what="Python", state=state, note=version if state == "ok" else f"{version}; 3.11 or newer is needed")
    for name in PARTS:
        try:
            yield Check(what=name, state="ok", note=importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(what=name, state="failed", note="not installed: reinstall isthmus")


def _demo() -> Iterator[Check]:
    from isthmus.cli.demo.data import TRIAL, locate

    yield _try("demonstration data", lambda: f"{locate().name}: {TRIAL}", needed=False)


def _configuration() -> Iterator[Check]:
    from isthmus.federation.config import find_config, read_config

    path = find_config(Path.cwd(), os.environ)
    if path is None:
        yield Check(what="isthmus.toml", state="missing", note="none here or above; `isthmus init` writes one")
        return
    yield _try("isthmus.toml", lambda: f"{path}: {', '.join(_tables(path))}", needed=True)
    try:
        config = read_config(path, os.environ)
    except IsthmusError:
        return
    for role in (config.tables.site, config.tables.hub, config.tables.person):
        if role is not None:
            yield _try(f"keys of {role.name}", partial(_identity, path, role.key), needed=True)
            if role.agreement is not None:
                yield _try("agreement", partial(_agreement, path, role.agreement), needed=True)
    away = config.tables.site or config.tables.person
    if away is not None:
        yield _try("hub", partial(_reach, away.hub), needed=True)
    for name in config.tables.dataset:
        yield _try(f"dataset {name}", partial(_dataset, path, name), needed=True)


def _try(what: str, look: Callable[[], str], *, needed: bool) -> Check:
    try:
        return Check(what=what, state="ok", note=look())
    except IsthmusError as error:
        return Check(
            what=what, state="failed" if needed else "missing", note=f"{error.code}: {error.hint or error.message}"
        )


def _tables(path: Path) -> list[str]:
    from isthmus.federation.config import read_config

    tables = read_config(path, os.environ).tables
    return [name for name in ("site", "hub", "person", "dataset", "store") if getattr(tables, name)]


def _identity(path: Path, reference: str) -> str:
    from isthmus.crypto.keys import fingerprint
    from isthmus.federation.config import read_config
    from isthmus.federation.identity import load_identity
    from isthmus.sdk.unlock import passphrase

    identity = load_identity(read_config(path, os.environ).keys(reference), partial(passphrase, os.environ))
    return f"key {fingerprint(identity.key.public)}, private files closed to others"


def _agreement(path: Path, place: str) -> str:
    """Signed by every party, in force today by this machine's clock, and of the datasets this node maps."""
    from isthmus.data.dictionary import read_codebook
    from isthmus.federation.config import read_config
    from isthmus.federation.revocations import revocation_beside
    from isthmus.governance.agreement import check_in_force
    from isthmus.governance.signing import check_signatures, read_signed
    from isthmus.model.canonical import digest
    from isthmus.model.errors import Refused
    from isthmus.sdk.files import read_text

    config = read_config(path, os.environ)
    now = datetime.now(UTC)  # noqa: TID251 - an entry point
    agreement = check_signatures(read_signed(read_text(config.path(place)), place), now=now)
    check_in_force(agreement, now)
    revoked = revocation_beside(config.path(place), agreement)
    if revoked is not None:
        hint = f"{revoked.party} revoked it: {revoked.reason}; every party signs a new version"
        raise Refused("E-REVOKED", "the agreement is revoked", hint)
    books = {name: entry.codebook for name, entry in config.tables.dataset.items() if entry.codebook}
    for entry in agreement.datasets:
        book = books.get(entry.dataset)
        if book is not None and digest(read_codebook(config.path(book))) != entry.codebook:
            raise Refused(
                "E-CODEBOOK", f"the codebook of {entry.dataset!r} is not the agreed one", "take the agreed one"
            )
    return f"version {agreement.version}, signed by all {len(agreement.parties)} parties, until {agreement.expires}"


def _reach(address: str) -> str:
    """Whether something listens at the hub's address; who it is, the pinned certificate tells when a site dials."""
    from isthmus.model.errors import Unavailable

    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=3.0):
            return f"{address} answers"
    except (OSError, ValueError) as error:
        raise Unavailable("E-UNREACHABLE", f"nothing answers at {address}", "is the hub up, the way open?") from error


def _dataset(path: Path, name: str) -> str:
    from isthmus.data.dictionary import read_codebook
    from isthmus.data.source import open_source
    from isthmus.federation.config import read_config, resolve
    from isthmus.model.errors import Invalid

    config = read_config(path, os.environ)
    stated = config.tables.dataset[name]
    if stated.source is None:
        return "a codebook alone, as a hub has"
    source = resolve(stated.source, config.base, os.environ)
    if "://" not in source:
        source = str(config.path(source))
    columns = set(open_source(f"{source}::{stated.table}" if stated.table else source).schema())
    if stated.codebook is None:
        return f"{len(columns)} columns; no codebook"
    wanted = set(read_codebook(config.path(stated.codebook)).variables)
    if wanted - columns:
        missing = ", ".join(sorted(wanted - columns))
        raise Invalid("E-COLUMN-MISSING", f"columns of the codebook are not in the data: {missing}", f"map: {missing}")
    return f"{len(wanted)} codebook variables are all there"
