"""Questions made of parts that are questions themselves: their evidence side by side (their rounds: `lockstep`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from isthmus.evidence import Evidence

T = TypeVar("T")


def with_part(found: Evidence, own: Evidence, lead: str) -> Evidence:
    """`found` with the evidence of one part under names of its own; a fit of it is held to the rules over its rows."""

    def both(before: Mapping[str, T], more: Mapping[str, T]) -> Mapping[str, T]:
        return {**before, **{f"{lead} {name}": value for name, value in more.items()}}

    return replace(
        found,
        groups=both(found.groups, own.groups),
        supports=both(found.supports, own.supports),
        pairs=both(found.pairs, own.pairs),
        sides=both(found.sides, own.sides),
        cells=both(found.cells, own.cells),
        sums=both(found.sums, own.sums),
        fits=both(found.fits, {**own.fits, "fit": (own.rows, own.parameters)}),
        leverage=max(found.leverage, own.leverage),
    )
