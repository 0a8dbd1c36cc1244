"""Questions made of parts that are questions themselves: their evidence side by side, and their rounds one after another."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import TypeVar

from isthmus.evidence import Evidence
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.summary import Summary

T = TypeVar("T")
PART = "part"  # the parameter of a round that names whose it is


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


def routed(name: str, flow: Flow) -> Generator[Round, Summary, Estimate]:
    """The part's rounds, each with its name."""
    try:
        asked = next(flow)
        while True:
            pooled = yield Round(asked.layout, {**asked.params, PART: name})
            asked = flow.send(pooled)
    except StopIteration as ended:
        estimate: Estimate = ended.value
        return estimate
