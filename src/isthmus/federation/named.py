"""What a configuration names: texts, the signed agreement, the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from isthmus.federation.config import Config, resolve
from isthmus.federation.store import Store, open_store
from isthmus.governance.agreement import Agreement
from isthmus.governance.signing import SignedAgreement, check_signatures, read_signed
from isthmus.model.errors import Invalid, Unavailable


def text_of(path: Path, what: str, hint: str = "") -> str:
    """The text in a file.

    Args:
        path: where it is.
        what: it is, for the message.
        hint: what to look at where it cannot be read.

    Raises:
        Unavailable: E-FILE.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable("E-FILE", f"{what} cannot be read", hint, str(path)) from error


def read_agreement(config: Config, place: str | None) -> SignedAgreement:
    """The signed agreement that a configuration names; its signatures are not looked at yet.

    Raises:
        Invalid: E-CONFIG, and those of `read_signed`. Unavailable: E-FILE.
    """
    if place is None:
        raise Invalid("E-CONFIG", "the configuration names no agreement", "agreement = 'agreement.yaml'", "agreement")
    path = config.path(place)
    return read_signed(text_of(path, "the agreement"), path.name)


def read_agreed(path: Path) -> Agreement:
    """The agreement in a file.

    Raises:
        Invalid, Untrusted: it is none, or is not signed by every party. Unavailable: E-FILE.
    """
    return check_signatures(read_signed_file(path))


def read_signed_file(path: Path) -> SignedAgreement:
    """The agreement in a file with its signatures, which nobody looked at yet.

    Raises:
        Invalid: it is none. Unavailable: E-FILE.
    """
    return read_signed(text_of(path, "the agreement"), str(path))


def store_of(config: Config, environ: Mapping[str, str]) -> Store:
    """The store that a configuration names. Unavailable: E-STORE, E-SECRET."""
    place = resolve(config.store().path, config.base, environ)
    return open_store(place if "://" in place else config.path(place))


@contextmanager
def opened_store(config: Config, environ: Mapping[str, str]) -> Iterator[Store]:
    """The same, closed at the end."""
    store = store_of(config, environ)
    try:
        yield store
    finally:
        store.close()
