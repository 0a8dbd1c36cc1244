"""Days, times, digests and states as the documents write them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

SOON = 90  # days: what ends within them is marked
UNSTATED = "not stated"


def day(text: str | None) -> str:
    """`2026-11-25` as `25 Nov 2026`: month names, since the UK and the US order numbers differently."""
    if text is None:
        return UNSTATED
    try:
        return f"{date.fromisoformat(text[:10]):%d %b %Y}".lstrip("0")
    except ValueError:
        return text


def moment(text: str) -> str:
    """A time in UTC, to the second."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%d %b %Y %H:%M:%S}".lstrip("0")
    except ValueError:
        return text


def days_left(text: str, now: datetime) -> int:
    """Days from today to a day; negative once it has passed."""
    return (date.fromisoformat(text[:10]) - now.date()).days


def ends(text: str | None, now: datetime) -> str:
    """When something ends, and whether that is soon or past."""
    if text is None:
        return UNSTATED
    left = days_left(text, now)
    state = "EXPIRED" if left < 0 else f"in {left} days" if left <= SOON else ""
    return f"{day(text)} ({state})" if state else day(text)


def yes(value: bool | None, words: Mapping[bool, str] | None = None) -> str:
    """A stated yes or no, or that it is not stated."""
    if value is None:
        return UNSTATED
    return (words or {True: "yes", False: "no"})[value]


def plainly(word: str | None) -> str:
    """A word of the format for people."""
    return UNSTATED if word is None else word.replace("_", " ")
