"""What the console keeps of people between two requests, under names that only their browser knows.

A name is 256 random bits and stands for nothing by itself, so it needs no signature; the console keeps the SHA-256 of
it. A name is always made here, never taken from a browser, and a login makes a new one: nobody can be put into a session
that another prepared (session fixation). All is in memory: a restart ends every session.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

T = TypeVar("T")

IDLE = timedelta(minutes=15)  # automatic logoff, 45 CFR 164.312(a)(2)(iii): the time is ours
WHOLE = timedelta(hours=8)  # a working day; NIST SP 800-63B 4.2.3 allows 12 hours
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Session:
    """Someone who logged in. `form` is in every form of theirs, against requests that another page sends."""

    person: str
    form: str


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    value: T
    began: datetime
    seen: datetime


class Vault(Generic[T]):
    """Values by secret names, for `whole` at most, and no longer than `idle` since they were looked at."""

    def __init__(self, randomness: Callable[[int], bytes], idle: timedelta, whole: timedelta) -> None:
        self._randomness, self._idle, self._whole = randomness, idle, whole
        self._kept: dict[bytes, _Kept[T]] = {}

    def put(self, value: T, now: datetime) -> str:
        """Keep a value; gives its name. What has run out goes, and of too many the one not seen for longest."""
        self._kept = {key: kept for key, kept in self._kept.items() if self._lasts(kept, now)}
        while len(self._kept) >= MOST:
            del self._kept[min(self._kept, key=lambda key: self._kept[key].seen)]
        name = self._randomness(32).hex()
        self._kept[_key(name)] = _Kept(value, now, now)
        return name

    def look(self, name: str | None, now: datetime) -> T | None:
        """The value of a name while it lasts."""
        kept = self._kept.get(_key(name or ""))
        if kept is None or not self._lasts(kept, now):
            return None
        self._kept[_key(name or "")] = replace(kept, seen=now)
        return kept.value

    def take(self, name: str | None, now: datetime) -> T | None:
        """The value of a name, once."""
        value = self.look(name, now)
        self._kept.pop(_key(name or ""), None)
        return value

    def _lasts(self, kept: _Kept[T], now: datetime) -> bool:
        return now - kept.seen < self._idle and now - kept.began < self._whole


def same(given: object, wanted: str) -> bool:
    """Whether a form's secret is the session's, in constant time."""
    return isinstance(given, str) and secrets.compare_digest(given.encode(), wanted.encode())


def _key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
