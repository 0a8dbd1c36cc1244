"""Files that people name: read as bytes, as text or as YAML and JSON, and written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.model.canonical import Json
from isthmus.model.errors import Invalid, Unavailable

LARGEST = 8 << 20  # bytes: a hand-written file is far smaller


def read_bytes(source: str | Path | bytes) -> bytes:
    """Bytes as they are, or those of a file. Unavailable (E-FILE) where it cannot be read."""
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise Unavailable("E-FILE", f"cannot read {str(source)!r}", error.strerror or "", str(source)) from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around whatever writes a file or folder. Unavailable (E-FILE) where it cannot be written."""
    try:
        yield
    except OSError as error:
        raise Unavailable("E-FILE", f"cannot write {str(path)!r}", error.strerror or "", str(path)) from error


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file; one that is there is replaced whole or stays as it was.

    Raises:
        Unavailable: E-FILE.
    """
    raw = content.encode() if isinstance(content, str) else content
    with writing(path):
        if path.is_symlink() or not path.is_file():
            path.write_bytes(raw)
            return
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_bytes(raw)
            shutil.copymode(path, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def read_text(path: str | Path) -> str:
    """A text file.

    Raises:
        Unavailable: E-FILE, when it cannot be read.
        Invalid: E-FILE, when it is not UTF-8 text or far too large.
    """
    raw = read_bytes(path)
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
