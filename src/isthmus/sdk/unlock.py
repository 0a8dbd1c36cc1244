"""The passphrase of a person's sealed keys: from where `ISTHMUS_PASSPHRASE` points, else typed at the terminal."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from pathlib import Path

from isthmus.model.errors import Invalid, Unavailable

VARIABLE = "ISTHMUS_PASSPHRASE"


def passphrase(environ: Mapping[str, str]) -> str:
    """What opens the keys. The variable holds a reference (`env:NAME`, `file:PATH`), never the passphrase itself.

    Raises:
        Invalid: E-PASSPHRASE, the variable holds something else.
        Unavailable: E-SECRET, the reference leads nowhere; E-PASSPHRASE, there is no terminal to ask at.
    """
    from isthmus.federation.config import resolve

    reference = environ.get(VARIABLE)
    if reference is not None:
        if not reference.startswith(("env:", "file:")):
            hint = f"{VARIABLE}=env:NAME, or {VARIABLE}=file:PATH"
            raise Invalid("E-PASSPHRASE", "the passphrase is stated as a reference", hint, VARIABLE)
        return resolve(reference, Path.cwd(), environ)
    return _typed("Passphrase of your keys: ")


def new_passphrase(environ: Mapping[str, str]) -> str:
    """A passphrase for new keys, typed twice where it is typed.

    Raises:
        Invalid: E-PASSPHRASE, typed differently; and as `passphrase`. Unavailable: as `passphrase`.
    """
    if VARIABLE in environ:
        return passphrase(environ)
    first = _typed("New passphrase for your keys: ")
    if _typed("Again: ") != first:
        raise Invalid("E-PASSPHRASE", "the two are not the same", "type it again")
    return first


def _typed(prompt: str) -> str:
    if not sys.stdin.isatty():
        hint = f"set {VARIABLE}=env:NAME or =file:PATH (`isthmus init` takes --passphrase-file too)"
        raise Unavailable("E-PASSPHRASE", "a passphrase seals the keys, and there is no terminal to ask at", hint)
    return getpass.getpass(prompt, stream=sys.stderr)
