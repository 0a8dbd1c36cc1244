"""A whole study in plain words, and what an amended one changes: whoever signs it has read all of it.

The words are made from whatever the study states, part by part: a part that the format gains is shown without being named here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.model.canonical import plain
from isthmus.model.errors import Untrusted
from isthmus.model.study import Study, study_digest
from isthmus.strict import parse

_ELSEWHERE = {"isthmus", "title", "dataset", "analyses", "amends", "reason"}  # said in lines of their own
_FIRST = {"formula", "outcome", "label"}
_REASONS = {"isthmus", "amends", "reason"}


def stated(study: Study) -> dict[str, list[str]]:
    """Everything that a study states besides title, dataset and what it amends: part -> its lines.

    Analyses come first, one line for each question with all its arguments.
    """
    said = plain(study)
    analyses = [f"{name}: {_words(kinds)}" for name, kinds in said["analyses"].items()]
    rest = {name: _lines(value) for name, value in said.items() if name not in _ELSEWHERE and not _empty(value)}
    return {"questions": analyses, **{name.replace("_", " "): lines for name, lines in rest.items()}}


def amended(study: Study, before: Any) -> Study | None:
    """The study that an amended one names; None where it names none or `before`, as a hub shows it, is nothing.

    Raises:
        Untrusted: E-AMENDS, `before` is another study than the one named. Invalid: those of `strict.parse`.
    """
    if study.amends is None or before is None:
        return None
    found = parse(Study, before, "amended study")
    if study_digest(found) != study.amends:
        raise Untrusted("E-AMENDS", "the hub shows another study than the one amended", "decide on nothing", "amends")
    return found


def changes(old: Study, new: Study) -> list[str]:
    """One sentence for each part that differs; none where only the words on what is amended do."""
    before, after = dict(_leaves(plain(old), "")), dict(_leaves(plain(new), ""))
    return [
        _change(place, before.get(place), after.get(place))
        for place in {**before, **after}
        if before.get(place) != after.get(place)
    ]


def _change(place: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"{place}: {new}; was not stated"
    return f"{place}: no longer stated; was {old}" if new is None else f"{place}: {new}; was {old}"


def _leaves(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            if place or name not in _REASONS:
                yield from _leaves(part, f"{place}: {name}" if place else str(name))
    elif value is not None and value != "":
        yield place, _words(value) or "stated"


def _lines(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{name}: {_words(part)}" for name, part in value.items() if not _empty(part)]
    return [_words(value)]


def _words(value: Any) -> str:
    """A value in one line; a question without arguments is its kind alone."""
    if isinstance(value, Mapping):
        parts = sorted(
            value.items(), key=lambda part: part[0] not in _FIRST
        )  # signed JSON is in the order of the alphabet
        return "; ".join(str(n) if _empty(v) else f"{n}{_joint(v)}{_words(v)}" for n, v in parts)
    if isinstance(value, list | tuple):
        return ", ".join(f"({_words(v)})" if isinstance(v, Mapping | list) else _words(v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(str(value).split())


def _joint(value: Any) -> str:
    return ", with " if isinstance(value, Mapping) else " = "


def _empty(value: Any) -> bool:
    return value is None or value in ("", {}, [])
