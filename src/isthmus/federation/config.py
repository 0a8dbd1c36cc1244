"""`isthmus.toml`: strict, found by going up, overridden by `ISTHMUS_*`. Secrets are references, never values.

    [site] name, hub, key, agreement, custodian, facility, rules     [hub] name, listen, key, agreement
    [person] name, hub, key, agreement                       [dataset.NAME] source, table, person, codebook
    [store] path                                             [login] issuer, client_id, client_secret, address

Paths are relative to the file. `ISTHMUS_SITE_HUB` overrides `hub` of `[site]`, and so on for every table but datasets.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from isthmus.model.errors import Invalid, Unavailable
from isthmus.model.record import record
from isthmus.model.rules import OwnRules
from isthmus.strict import parse

FILE = "isthmus.toml"

T = TypeVar("T")


@record
class SiteConfig:
    """A site: its name in the agreement, the hub's host:port, its keys, the agreement, its own custodian's key.

    Attributes:
        key: `file:` reference to the directory that `isthmus init` made, or to the key file in it.
        agreement: path of the signed agreement.
        custodian: hex Ed25519 key this site trusts to sign agreements, set here and nowhere else.
        rules: stricter than those agreed on, kept to itself.
        rule_pack: path of a consortium's own rules of law, added to those that come with Isthmus.
        standing_rules: paths of standing rules that a custodian of this party signed.
    """

    name: str
    hub: str
    key: str
    agreement: str | None = None
    custodian: str | None = None
    facility: str | None = None
    rules: OwnRules | None = None
    rule_pack: str | None = None
    standing_rules: tuple[str, ...] = ()


@record
class HubConfig:
    """A hub: the address it listens on, its keys, the agreement."""

    listen: str
    key: str
    name: str = "hub"
    agreement: str | None = None


@record
class PersonConfig:
    """A person: the name in the agreement, the hub's host:port, keys, the agreement (it names the hub's certificate)."""

    name: str
    hub: str
    key: str
    agreement: str | None = None


@record
class DatasetConfig:
    """Where a dataset of the agreement lives at this site; `source` is a reference or a path. A hub has none."""

    source: str | None = None
    table: str | None = None
    person: str | None = None
    codebook: str | None = None


@record
class StoreConfig:
    """The database file, or a database URL."""

    path: str


@record
class LoginConfig:
    """How people sign in: an OpenID provider, and this program as the provider knows it.

    Attributes:
        client_secret: a reference; left out for a public client.
        address: the console's public https address; left out, it is on this machine alone.
    """

    issuer: str
    client_id: str
    client_secret: str | None = None
    address: str | None = None


@record
class ConfigFile:
    """The tables of `isthmus.toml`."""

    site: SiteConfig | None = None
    hub: HubConfig | None = None
    person: PersonConfig | None = None
    dataset: Mapping[str, DatasetConfig] = field(default_factory=dict)
    store: StoreConfig | None = None
    login: LoginConfig | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A read configuration: its tables, the directory paths are relative to, and where each key came from."""

    tables: ConfigFile
    base: Path
    origin: Mapping[str, str]

    def path(self, text: str) -> Path:
        """A path of the file, made absolute."""
        return (self.base / text).resolve()

    def site(self) -> SiteConfig:
        """`[site]`, or Invalid E-CONFIG."""
        return _stated(self.tables.site, "site")

    def hub(self) -> HubConfig:
        """`[hub]`, or Invalid E-CONFIG."""
        return _stated(self.tables.hub, "hub")

    def person(self) -> PersonConfig:
        """`[person]`, or Invalid E-CONFIG."""
        return _stated(self.tables.person, "person")

    def store(self) -> StoreConfig:
        """`[store]`, or Invalid E-CONFIG."""
        return _stated(self.tables.store, "store")

    def login(self) -> LoginConfig:
        """`[login]`, or Invalid E-CONFIG."""
        return _stated(self.tables.login, "login")

    def keys(self, reference: str) -> Path:
        """The directory of an identity from its `file:` reference."""
        if not reference.startswith("file:"):
            raise Invalid("E-CONFIG", "a key is stated as a reference", "key = 'file:keys/leeds'", "key")
        path = self.path(reference.removeprefix("file:"))
        return path if path.is_dir() else path.parent


def find_config(start: Path, environ: Mapping[str, str]) -> Path | None:
    """The nearest `isthmus.toml` going up from `start`, else the user's; None when there is neither."""
    if "ISTHMUS_CONFIG" in environ:
        return Path(environ["ISTHMUS_CONFIG"])
    for directory in (start.resolve(), *start.resolve().parents):
        if (directory / FILE).is_file():
            return directory / FILE
    home = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
    last = Path(home) / "isthmus" / "config.toml" if home else None
    return last if last is not None and last.is_file() else None


def read_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Read a configuration file and lay the environment over it.

    Raises:
        Invalid: E-CONFIG, not TOML; E-UNKNOWN-KEY, E-MISSING-KEY, E-TYPE.
        Unavailable: E-FILE.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unavailable("E-FILE", "the configuration cannot be read", "", str(path)) from error
    except (ValueError, RecursionError) as error:
        raise Invalid("E-CONFIG", f"not TOML: {error}", "", str(path)) from error
    origin = {f"{table}.{key}": str(path) for table, body in raw.items() if isinstance(body, dict) for key in body}
    for name, value in _overrides(environ):
        table, key = name.split(".")
        if isinstance(raw.setdefault(table, {}), dict):
            raw[table][key] = value
            origin[name] = "ISTHMUS_" + name.replace(".", "_").upper()
    return Config(parse(ConfigFile, raw, path.name), path.resolve().parent, origin)


def resolve(reference: str, base: Path, environ: Mapping[str, str]) -> str:
    """What a reference names: `env:NAME` the variable, `file:PATH` the text of the file; other text stays itself.

    Raises:
        Unavailable: E-SECRET, when it is not there. The message names the reference, never the value.
    """
    if reference.startswith("env:"):
        name = reference.removeprefix("env:")
        if name not in environ:
            raise Unavailable("E-SECRET", f"environment variable {name} is not set", "set it for this process")
        return environ[name]
    if reference.startswith("file:"):
        try:
            return (base / reference.removeprefix("file:")).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable("E-SECRET", "a referenced file cannot be read", "check the path", reference) from error
    return reference


_TABLES: Mapping[str, type[Any]] = {
    "site": SiteConfig,
    "hub": HubConfig,
    "person": PersonConfig,
    "store": StoreConfig,
    "login": LoginConfig,
}


_FILE_ONLY = ("rules", "standing_rules")  # not one text each


def _overrides(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    known = [(table, f.name) for table, kind in _TABLES.items() for f in fields(kind) if f.name not in _FILE_ONLY]
    names = [(f"{table}.{key}", f"ISTHMUS_{table}_{key}".upper()) for table, key in known]
    return [(name, environ[variable]) for name, variable in names if variable in environ]


def _stated(table: T | None, name: str) -> T:
    if table is None:
        raise Invalid("E-CONFIG", f"the configuration has no [{name}]", f"run `isthmus init` or write [{name}]", name)
    return table
