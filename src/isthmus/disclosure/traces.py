"""Row sets of questions, the people behind them, and the traces of sets that the differencing history keeps in memory."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from isthmus.disclosure.adding import WordArray

Track = Literal["hinges", "asked", "rows", "cells"]

SAMPLE = 8192  # ids whose membership is compared before any set is loaded: 1 KiB a set
GLANCE = 1 << 18  # ids of a set that a store gives without the rest: 32 KiB; a store is of one GLANCE


@dataclass(frozen=True, slots=True)
class RowSet:
    """Rows of one question at this site.

    Attributes:
        track: `asked` for what filters keep, before missing values; `rows` for what enters the sums; `cells` for
            those of whom only a number leaves. The first is compared with its own kind alone: missing values are
            not the asker's choice.
        population: all rows of a question, as against a level, a cell or an indicator within them.
        rows: ids.
    """

    track: Track
    population: bool
    rows: BitMap


@dataclass(frozen=True, slots=True)
class Trace:
    """What is kept in memory of a set.

    Attributes:
        size: ids.
        sample: which of the first `SAMPLE` ids are in it, a bit each.
        total: sum of the tags of its ids, modulo 2**64: sets that add up exactly have totals that do.
    """

    track: Track
    population: bool
    size: int
    sample: bytes
    total: int


@dataclass(frozen=True, slots=True)
class Floors:
    """The least people of a difference, or none: `people`, and `cells` where a set of which only a number leaves is in it."""

    people: int
    cells: int


@dataclass(frozen=True, slots=True)
class People:
    """Who stands behind the ids.

    Attributes:
        person: id -> person, as any number that is equal for equal persons.
        tag: id -> a number that nobody outside the site can guess.
        most: the most ids that one person has.
    """

    person: WordArray
    tag: WordArray
    most: int

    def count(self, rows: BitMap) -> int:
        """Persons behind some rows."""
        if self.most <= 1:
            return len(rows)
        return len(np.unique(self.person[np.asarray(rows.to_array(), dtype=np.intp)]))


def people_of(person: WordArray, tag: WordArray) -> People:
    """Of the person and the tag of each id."""
    return People(person, tag, int(np.unique(person, return_counts=True)[1].max()) if len(person) else 1)


def set_of(ids: NDArray[np.uint32]) -> BitMap:
    """A set of ids in any order. An `array` is read as a block, eight times as fast as other sequences."""
    return BitMap(array("I", np.sort(ids).tobytes()))


_FIRST, GLANCED = BitMap(range(SAMPLE)), BitMap(range(GLANCE))


def trace_of(rows: RowSet, people: People) -> Trace:
    """The trace of a set."""
    return Trace(rows.track, rows.population, len(rows.rows), sample_of(rows.rows), total_of(rows.rows, people))


def sample_of(rows: BitMap) -> bytes:
    """Which of the first `SAMPLE` ids are in a set, a bit each."""
    bits = np.zeros(SAMPLE, dtype=np.uint8)
    bits[np.asarray((rows & _FIRST).to_array(), dtype=np.intp)] = 1
    return np.packbits(bits).tobytes()


def total_of(rows: BitMap, people: People) -> int:
    """Sum of the tags of its ids, modulo 2**64."""
    return int(people.tag[np.asarray(rows.to_array(), dtype=np.uint32)].sum(dtype=np.uint64))
