"""Who a node or a researcher is: an Ed25519 identity, a transport certificate, and the public card of both.

The card goes into the agreement; nobody copies certificates by hand. Private files are readable by their owner only; a
person's may be sealed under a passphrase besides, so that a copied disk signs nothing.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from isthmus.crypto.keys import SigningKey
from isthmus.crypto.passphrase import SALT_SIZE, lock, unlock
from isthmus.federation import tls
from isthmus.governance.card import Card, Role, read_card, sign_card
from isthmus.model.canonical import canonical, plain
from isthmus.model.errors import Invalid, Unavailable, Untrusted
from isthmus.model.names import site_id
from isthmus.model.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator

CARD = "card.json"
KEY = "identity.key"
TLS_KEY = "transport.key"
TLS_CERTIFICATE = "transport.pem"
SEALED = "identity.sealed"  # both private keys, in place of their files

Ask = Callable[[], str]  # gives the passphrase

_PREFIX = b"isthmus-ed25519-1 "


@record
class Owner:
    """Whose keys to make."""

    role: Role
    name: str
    party: str
    country: str


@dataclass(frozen=True, slots=True)
class Identity:
    """A loaded identity: the card and the private halves, which it never shows."""

    card: Card
    key: SigningKey
    tls_key: bytes

    @property
    def name(self) -> str:
        """The name on the card."""
        return self.card.name

    @property
    def certificate(self) -> bytes:
        """The transport certificate, PEM."""
        return self.card.certificate.encode()

    def __repr__(self) -> str:
        return f"Identity({self.card.role} {self.card.name})"


def make_identity(directory: Path, owner: Owner, now: datetime, passphrase: str | None = None) -> Identity:
    """Make keys, certificate and card: all of them in `directory`, which is not there yet or empty, or nothing.

    Raises:
        Invalid: E-NAME; E-EXISTS, when the directory holds anything; E-PASSPHRASE.
        Unavailable: E-FILE.
    """
    site_id(owner.name)
    with _files(directory):
        if directory.exists() and any(directory.iterdir()):
            raise Invalid("E-EXISTS", "there is something in this directory already", "choose another directory")
    key = SigningKey.generate()
    tls_key, certificate = tls.make_certificate(owner.name, now)
    card = make_card(owner, key, certificate)
    public = {TLS_CERTIFICATE: certificate, CARD: (json.dumps(plain(card), indent=2) + "\n").encode()}
    private = _files_of(key, tls_key, passphrase)
    with _files(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{directory.name}-", dir=directory.parent) as beside:  # its owner's only
            whole = Path(beside) / directory.name
            whole.mkdir(mode=0o700)
            for file, raw in (private | public).items():
                _write(whole / file, raw, 0o600 if file in private else 0o644)
            whole.replace(directory)
    return Identity(card, key, tls_key)


def make_card(owner: Owner, key: SigningKey, certificate: bytes) -> Card:
    """The signed public card of `owner`."""
    unsigned = Card(
        schema="isthmus/card/1",
        role=owner.role,
        name=owner.name,
        party=owner.party,
        country=owner.country,
        key=key.public.hex(),
        certificate=certificate.decode(),
        tls=tls.spki_digest(certificate),
        signature="",
    )
    return sign_card(unsigned, key)


def load_identity(directory: Path, ask: Ask | None = None) -> Identity:
    """The identity made in `directory`; `ask` is asked for the passphrase of sealed keys, and of no others.

    Raises:
        Unavailable: E-FILE, a file is missing or cannot be read; E-PASSPHRASE, nobody can be asked.
        Invalid: E-KEY, not a key file; E-KEY-MODE, others may read it.
        Untrusted: E-PIN, key, certificate and card are not of one identity; E-PASSPHRASE, a wrong one.
    """
    with _files(directory):
        card = read_card((directory / CARD).read_bytes())
        sealed = _read_private(directory / SEALED) if (directory / SEALED).exists() else None
        if sealed is not None:
            key, tls_key = _opened(sealed, ask)
        else:
            key, tls_key = load_key(directory / KEY), _read_private(directory / TLS_KEY)
    if key.public.hex() != card.key:
        raise Untrusted("E-PIN", "the card is not this key's", "restore the files of one `isthmus init`")
    return Identity(card, key, tls_key)


def load_key(path: Path) -> SigningKey:
    """An Ed25519 private key file.

    Raises:
        Unavailable: E-FILE.
        Invalid: E-KEY, E-KEY-MODE.
    """
    with _files(path.parent):
        raw = _read_private(path)
    try:
        return SigningKey.from_bytes(bytes.fromhex(raw.removeprefix(_PREFIX).decode()))
    except ValueError as error:
        raise Invalid("E-KEY", "not an Isthmus key file", "make one with `isthmus init`", str(path)) from error


def _files_of(key: SigningKey, tls_key: bytes, passphrase: str | None) -> dict[str, bytes]:
    if passphrase is None:
        return {KEY: _PREFIX + key.to_bytes().hex().encode() + b"\n", TLS_KEY: tls_key}
    both = canonical({"identity": key.to_bytes().hex(), "transport": tls_key.decode()})
    return {SEALED: lock(both, passphrase, secrets.token_bytes(SALT_SIZE))}


def _opened(sealed: bytes, ask: Ask | None) -> tuple[SigningKey, bytes]:
    if ask is None:
        raise Unavailable("E-PASSPHRASE", "these keys are sealed, and a node cannot be asked", "only people's keys are")
    both = json.loads(unlock(sealed, ask()))
    return SigningKey.from_bytes(bytes.fromhex(both["identity"])), str(both["transport"]).encode()


def _write(path: Path, raw: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def _read_private(path: Path) -> bytes:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Invalid("E-KEY-MODE", "a private key may be read by others", "chmod 600 it", str(path))
    return path.read_bytes()


@contextmanager
def _files(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "make keys with `isthmus init`" if isinstance(error, FileNotFoundError) else "check disk and permissions"
        raise Unavailable("E-FILE", "a file of the identity cannot be used", hint, str(directory)) from error
