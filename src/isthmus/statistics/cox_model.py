"""What all parties know about one Cox model, and the layouts of its rounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from isthmus.model.codebook import Codebook
from isthmus.model.formula import Design
from isthmus.statistics import implied
from isthmus.statistics.contract import Exactness
from isthmus.statistics.cox_ties import Ties
from isthmus.summary import Field, Layout

WeightKind = Literal["frequency", "precision", "sampling"]


@dataclass(frozen=True, slots=True)
class Model:
    """Public facts of one Cox model. `steps`: of a common grid per stratum; 0 with sites as strata.

    `weighting`: kind of case weights or None; `late`: rows have an entry; `offset`: the linear predictor has one; `cluster`: what errors are clustered by. `zph`,
    `concordance`, `baseline`: what is asked beside the fit; `edges` of the common grid.
    """

    time: str
    event: str
    design: Design
    dictionary: Codebook
    ties: Ties
    strata: int
    steps: int
    exactness: Exactness
    open_rules: bool
    robust: bool = False
    weighting: WeightKind | None = None
    late: bool = False
    cluster: str | None = None
    zph: Literal["identity", "log", "km", "rank"] | None = None
    concordance: bool = False
    edges: tuple[float, ...] = ()
    baseline: bool = False
    offset: bool = False

    @property
    def size(self) -> int:
        """Number of columns."""
        return len(self.design.columns)

    @property
    def copies(self) -> bool:
        """Whether a row stands for several."""
        return self.weighting == "frequency"

    @property
    def fitted(self) -> int:
        """Parameters: with `zph` a slope over time beside each."""
        return self.size if self.zph is None else 2 * self.size

    @property
    def sandwich(self) -> bool:
        """Whether errors take one more round."""
        return self.robust or self.cluster is not None or self.weighting == "sampling"


def site_layout(model: Model, first: bool) -> Layout:
    """Sites as strata; counts go once."""
    size = model.size
    sizes = (
        Field(name="n", shape=(1,), kind="count"),
        Field(name="events", shape=(1,), kind="count"),
        marks_field(model),
        *_when(model.weighting is not None, Field(name="event_weight", shape=(1,), kind="sum")),
        *_when(model.copies, Field(name="copies", shape=(1,), kind="count")),
    )
    return Layout(
        fields=(
            *(sizes if first else ()),
            Field(name="loglik", shape=(1,), kind="sum"),
            Field(name="score", shape=(size,), kind="score"),
            Field(name="information", shape=(size, size), kind="gram"),
        )
    )


def marks_field(model: Model) -> Field:
    """Sums behind the implied cells of indicators and events."""
    return Field(name="marks", shape=(3, len(implied.terms(model.design))), kind="moment")


def count_layout(model: Model) -> Layout:
    """One baseline, first round: events, rows and late entries per cell, moments of the columns."""
    cells = model.strata * model.steps
    return Layout(
        fields=(
            Field(name="events", shape=(cells,), kind="histogram"),
            Field(name="rows", shape=(cells,), kind="histogram"),
            *_when(model.late, Field(name="entries", shape=(cells,), kind="histogram")),
            *_when(model.weighting is not None, Field(name="event_weight", shape=(cells,), kind="risk_set")),
            *_when(model.copies, Field(name="copies", shape=(1,), kind="count")),
            Field(name="moments", shape=(2, model.size), kind="moment"),
            marks_field(model),
        )
    )


def risk_layout(model: Model, blocks: int) -> Layout:
    """One baseline, round A."""
    size = model.size
    tied = (Field(name="d0", shape=(blocks,), kind="risk_set"), Field(name="d1", shape=(size, blocks), kind="risk_set"))
    return Layout(
        fields=(
            Field(name="event_x", shape=(size,), kind="score"),
            Field(name="s0", shape=(blocks,), kind="risk_set"),
            Field(name="s1", shape=(size, blocks), kind="risk_set"),
            *(tied if model.ties == "efron" else ()),
            *_when(model.offset, Field(name="event_offset", shape=(1,), kind="sum")),
        )
    )


def hazard_layout(model: Model) -> Layout:
    """One baseline, round B."""
    return Layout(fields=(Field(name="gram", shape=(model.size, model.size), kind="gram"),))


def meat_layout(model: Model) -> Layout:
    """The middle of the sandwich, and the number of clusters."""
    return Layout(
        fields=(
            *_when(model.cluster is not None, Field(name="clusters", shape=(1,), kind="count")),
            Field(name="meat", shape=(model.size, model.size), kind="gram"),
        )
    )


def pairs_layout() -> Layout:
    """Pairs that are concordant, discordant and tied."""
    return Layout(fields=(Field(name="pairs", shape=(3,), kind="sum"),))


def squares_layout() -> Layout:
    """What rows move the concordance, squared."""
    return Layout(fields=(Field(name="squares", shape=(1,), kind="sum"),))


def _when(there: bool, one: Field) -> tuple[Field, ...]:
    return (one,) if there else ()
