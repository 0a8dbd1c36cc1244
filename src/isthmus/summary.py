"""`Summary`: named arrays with a fixed layout, additive over sites. The only numbers that may leave a site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isthmus.model.canonical import digest
from isthmus.model.errors import Invalid
from isthmus.model.names import Digest
from isthmus.model.record import record

FieldKind = Literal["count", "sum", "moment", "gram", "score", "histogram", "risk_set", "vote"]
FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]


class Hash(Protocol):
    """A hash under way."""

    def update(self, data: memoryview, /) -> None:
        """Take in bytes."""


# One limb (Z_2^64): whole numbers. `vote` words are uint64 and only ever "all zero" or garbage.
WHOLE: frozenset[str] = frozenset({"count", "histogram", "vote"})


@record
class Field:
    """One named array: shape, kind of statistic and unit (UCUM, `1` for none)."""

    name: str
    shape: tuple[int, ...]
    kind: FieldKind
    unit: str = "1"

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def dtype(self) -> np.dtype[np.float64] | np.dtype[np.int64] | np.dtype[np.uint64]:
        """int64 for whole numbers, uint64 for vote words, float64 for the rest."""
        if self.kind == "vote":
            return np.dtype(np.uint64)
        return np.dtype(np.int64) if self.kind in WHOLE else np.dtype(np.float64)


@record
class Layout:
    """The fixed order of fields of one kind of summary."""

    fields: tuple[Field, ...]

    @property
    def digest(self) -> Digest:
        """Content address: two parties with equal digests agree on every length and kind."""
        return digest(self)


@dataclass(frozen=True, slots=True)
class Summary:
    """Values in a layout. Sums of summaries are summaries."""

    layout: Layout
    values: Mapping[str, FloatArray | IntArray | NDArray[np.uint64]]

    def __post_init__(self) -> None:
        if set(self.values) != {f.name for f in self.layout.fields}:
            raise Invalid("E-LAYOUT", "the summary's names are not its layout's")
        for f in self.layout.fields:
            value = self.values[f.name]
            if value.shape != f.shape or value.dtype != f.dtype:
                raise Invalid("E-LAYOUT", f"field {f.name!r} has another shape or type than its layout")

    def __getitem__(self, name: str) -> FloatArray:
        """A field by name, as float64 (whole numbers converted exactly up to 2**53)."""
        return np.asarray(self.values[name], dtype=np.float64)


# Closes the layout of every round but the vote: 0 where a site releases its part, uniformly random where it refuses.
AGREE = Field(name="agree", shape=(1,), kind="vote")


def closed(layout: Layout) -> Layout:
    """`layout` with the word that says whether every site released its part.

    Raises:
        Invalid: E-LAYOUT, a field of that name is in it.
    """
    if any(f.name == AGREE.name for f in layout.fields):
        raise Invalid("E-LAYOUT", f"a field may not be named {AGREE.name!r}")
    return Layout(fields=(*layout.fields, AGREE))


@dataclass(frozen=True, slots=True)
class Blind:
    """Uniformly random words in the place of a summary's, given by the 32 bytes they are drawn from."""

    layout: Layout
    seed: bytes


def feed(state: Hash, summary: Summary) -> None:
    """Update a hash with every field in layout order, little-endian, without copying the values."""
    for f in summary.layout.fields:
        value = np.ascontiguousarray(summary.values[f.name].astype(f.dtype.newbyteorder("<"), copy=False))
        state.update(value.reshape(-1).view(np.uint8).data)


def add(left: Summary, right: Summary) -> Summary:
    """Field by field sum.

    Raises:
        Invalid: E-LAYOUT, when the layouts differ.
    """
    if left.layout != right.layout:
        raise Invalid("E-LAYOUT", "only summaries of one layout add up")
    return Summary(left.layout, {f.name: left.values[f.name] + right.values[f.name] for f in left.layout.fields})
