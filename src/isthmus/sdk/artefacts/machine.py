"""What can be looked at on this machine: files that must be closed to others, addresses, versions; never a secret."""

from __future__ import annotations

import platform
import stat
from collections.abc import Iterator
from pathlib import Path

from isthmus import __version__
from isthmus.federation.config import Config, HubConfig, SiteConfig
from isthmus.model.errors import IsthmusError

CLOSED, OPEN, ABSENT = "closed to others", "OPEN TO OTHERS", "not there"
_DATABASE = "a database server, by reference"


def machine(config: Config) -> Iterator[tuple[str, str]]:
    """Name and finding, one at a time; a reference (`env:`, `file:`) is never resolved into what is shown."""
    tables = config.tables
    yield "Isthmus", __version__
    yield "Python", platform.python_version()
    yield "operating system", f"{platform.system()} {platform.release()}, {platform.machine()}"
    role = tables.hub or tables.site or config.person()
    yield f"private key of {role.name}", _key(config, role.key)
    yield ("listens on", role.listen) if isinstance(role, HubConfig) else ("dials (the only way out)", role.hub)
    yield "people sign in", "at an OpenID provider" if tables.login else "by their keys"
    if tables.store is not None:
        yield "store", _store(config, tables.store.path)
    if tables.site is not None:
        yield from _site(config, tables.site)
    for name, entry in tables.dataset.items():
        yield f"dataset {name}", "mapped to a source, not shown" if entry.source else "codebook alone"


def _site(config: Config, site: SiteConfig) -> Iterator[tuple[str, str]]:
    yield "own custodian's key", site.custodian or "not stated"
    yield "facility", site.facility or "not stated"
    yield "rules of its own", "stated, kept to itself" if site.rules else "none"
    yield "rule pack of a consortium", "stated" if site.rule_pack else "none"
    yield "frozen snapshots", _closed(config.base / "snapshots")


def _key(config: Config, reference: str) -> str:
    from isthmus.federation.identity import KEY, SEALED

    try:
        folder = config.keys(reference)
    except IsthmusError as error:
        return f"{error.code}: {error.message}"
    sealed = folder / SEALED
    return f"under a passphrase, {_closed(sealed)}" if sealed.exists() else _closed(folder / KEY)


def _store(config: Config, place: str) -> str:
    if "://" in place or place.startswith("env:"):
        return _DATABASE
    return "SQLite, " + _closed(config.path(place))


def _closed(path: Path) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return ABSENT
    return OPEN if mode & 0o077 else CLOSED
