"""YAML as plain data: text stays text.

A small YAML 1.2: of plain words only `true` and `false` are booleans and `null`, `~` and nothing at all are null, so
`NO`, `yes`, `on`, `007` and `2024-01-31` are text. Under the keys of `VERBATIM` every word is text, `1` and `true` too. Keys
are text. A key said twice, an anchor, an alias, a tag, a second document, deep nesting or a huge file are errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from isthmus.model.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 40
VERBATIM = frozenset({"levels", "reference"})  # levels are names, whatever they look like

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})\Z", re.ASCII)
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z", re.ASCII)
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


def read_yaml(path: Path) -> Any:
    """The data of a YAML file.

    Raises:
        Unavailable: E-FILE, when it cannot be read.
        Invalid: E-YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Unavailable("E-FILE", f"{path.name!r} cannot be read", "check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise Invalid("E-YAML", f"{path.name!r} is not UTF-8 text", "", path.name) from error
    return load_yaml(text)


def load_yaml(text: str, verbatim: frozenset[str] = VERBATIM) -> Any:
    """Dicts, lists, text, numbers, booleans and None; words under a key of `verbatim` stay text.

    Raises:
        Invalid: E-YAML, with the line.
    """
    if len(text) > MAX_CHARACTERS:
        raise Invalid("E-YAML", f"a file has at most {MAX_CHARACTERS} characters")
    builder = _Builder(verbatim)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            builder.take(event)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
        raise Invalid("E-YAML", str(problem), "", _place(getattr(error, "problem_mark", None))) from error
    return builder.root


@dataclass(slots=True)
class _Open:
    """A list or mapping being filled; `key` is a mapping's pending key."""

    value: list[Any] | dict[str, Any]
    verbatim: bool
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    verbatim: frozenset[str]
    root: Any = None
    documents: int = 0
    open: list[_Open] = field(default_factory=list)

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.NodeEvent):
            _check_plain(event)
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise _fault(event, "a second document")
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._enter(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.open.pop()
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)

    def _enter(self, event: yaml.Event) -> None:
        if len(self.open) >= MAX_DEPTH:
            raise _fault(event, f"more than {MAX_DEPTH} levels of nesting")
        value: list[Any] | dict[str, Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        verbatim = self._is_verbatim()
        self._place(event, value)
        self.open.append(_Open(value, verbatim))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        holder = self.open[-1] if self.open else None
        if holder is not None and isinstance(holder.value, dict) and holder.key is None:
            if event.value in holder.value:
                raise _fault(event, f"the key {event.value[:60]!r} is said twice")
            holder.key = event.value
            return
        plain = event.implicit[0] and not self._is_verbatim()
        self._place(event, _resolve(event.value) if plain else event.value)

    def _is_verbatim(self) -> bool:
        return bool(self.open) and (self.open[-1].verbatim or self.open[-1].key in self.verbatim)

    def _place(self, event: yaml.Event, value: Any) -> None:
        holder = self.open[-1] if self.open else None
        if holder is None:
            self.root = value
        elif isinstance(holder.value, list):
            holder.value.append(value)
        elif holder.key is None:
            raise _fault(event, "a key must be a word")
        else:
            holder.value[holder.key] = value
            holder.key = None


def _check_plain(event: yaml.NodeEvent) -> None:
    if event.anchor is not None:
        raise _fault(event, "anchors and aliases (& and *) are not read; quote text that starts with one")
    if getattr(event, "tag", None) is not None:
        raise _fault(event, "tags (!) are not read; quote text that starts with one")


def _resolve(word: str) -> Any:
    if word in _WORDS:
        return _WORDS[word]
    if _INTEGER.match(word):
        return int(word)
    return float(word) if _NUMBER.match(word) else word


def _fault(event: yaml.Event, message: str) -> Invalid:
    return Invalid("E-YAML", message, "", _place(event.start_mark))


def _place(mark: Any) -> str:
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"
