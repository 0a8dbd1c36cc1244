"""Files people hand in: YAML or JSON text to plain data."""

from __future__ import annotations

import json
from pathlib import Path

from isthmus.model.canonical import Json
from isthmus.model.errors import Invalid, Unavailable

LARGEST = 8 << 20  # bytes: a hand-written file is far smaller


def read_text(path: str | Path) -> str:
    """A text file.

    Raises:
        Unavailable: E-FILE, when it cannot be read.
        Invalid: E-FILE, when it is not UTF-8 text or far too large.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise Unavailable("E-FILE", f"cannot read {str(path)!r}", error.strerror or "", str(path)) from None
    if len(raw) > LARGEST:
        raise Invalid("E-FILE", "the file is larger than 8 MiB", "studies and rules are small text files", str(path))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("E-FILE", "the file is not UTF-8 text", "save it as UTF-8", str(path)) from None


def load_file(path: str | Path) -> Json:
    """Plain data of a `.json` file, or of YAML otherwise (levels and codes stay text: `NO` is never a boolean).

    Raises:
        Invalid: E-JSON or E-YAML, with the place.
        Unavailable: E-FILE.
    """
    text = read_text(path)
    if Path(path).suffix == ".json":
        try:
            return json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            line = f"{path}:{error.lineno}" if isinstance(error, json.JSONDecodeError) else str(path)
            raise Invalid("E-JSON", "the file is not JSON", "", line) from None
    from isthmus.data.yaml_text import load_yaml

    try:
        return load_yaml(text)
    except Invalid as error:
        raise Invalid(error.code, error.message, error.hint, f"{path} {error.where}".strip()) from None
