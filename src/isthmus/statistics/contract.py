"""What every question kind provides: one `Statistic` of pure functions, listed in `catalogue.py`.

    needs(question)                                which variables it reads
    rungs(question, dictionary)                    the public ladder of grids, finest first; () when it needs none
    prepare(question, setting, inputs)             arrays built once per question and cached at the site
    evidence(question, setting, prepared)          facts for the disclosure gate (never leave the site)
    flow(question, setting)                        generator: yields `Round`, is sent the pooled `Summary`, returns `Estimate`
    summarise(question, setting, prepared, round)  this site's additive part of one round
    report(question, setting, estimate)            the JSON body people see, from gated counts

`flow` runs at the hub and at every site and must give the same bits everywhere: between yields only elementwise
operations and `linear.py`'s Cholesky, and stopping decided on pooled sums alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isthmus.evidence import Counts, Evidence, Weights
from isthmus.model.codebook import Codebook
from isthmus.model.formula import Design, Formula
from isthmus.model.privacy import Allowance, Noise
from isthmus.model.record import record
from isthmus.summary import FloatArray, IntArray, Layout, Summary

CodeArray: TypeAlias = NDArray[np.int32]
KeyArray: TypeAlias = NDArray[np.uint64]
Numbers: TypeAlias = Callable[[str], FloatArray]
Codes: TypeAlias = Callable[[str, Sequence[str]], CodeArray]
Exactness = Literal["exact", "grid", "approximate"]


@record
class Needs:
    """What a question reads, as names of codebook or derived variables (never `site`: `by_site`).

    Attributes:
        numbers: delivered as float64.
        categories: delivered as codes into `Setting.levels`; numbers used as groups are categories here.
        formula: its right-hand side is delivered as a design matrix; its variables need not be repeated.
        times: number variables whose grid (or, in a rehearsal, distinct values) the question uses.
        keys: identifiers of clusters, of any type, delivered as codes of the site's own: no level is declared or told.
        gaps: rows with missing values come along, with what it takes to fill them (`Inputs.gaps`).
        by_site: numbers of single sites are asked for: `site` comes along as a category whose levels are the sites.
        each_site: the whole answer is asked for of each single site too.
    """

    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    formula: Formula | None = None
    times: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    gaps: bool = False
    by_site: bool = False
    each_site: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """One rung: increasing edges of a variable; `recorded` when every recorded value is its own step."""

    edges: tuple[float, ...]
    recorded: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """Public facts of one question, equal at every party: from the study, the codebook and the vote, never from rows.

    Attributes:
        sites: number of sites whose parts are summed.
        dictionary: codebook variables and derived ones.
        levels: category name -> levels, the reference first.
        design: columns of the formula's right-hand side, if there is one.
        grid: the rung the vote chose.
        conf_level: for example 0.95.
        open_rules: True where no rule restricts (a rehearsal on own files).
        privacy: what a noisy variant may spend; None for exact answers.
    """

    sites: int
    dictionary: Codebook
    levels: Mapping[str, tuple[str, ...]]
    conf_level: float
    design: Design | None = None
    grid: Grid | None = None
    open_rules: bool = False
    privacy: Allowance | None = None


@dataclass(frozen=True, slots=True)
class Gaps:
    """What a site needs to fill in missing values.

    Attributes:
        keys: (rows,) one for each row, made with a secret of the site; no sum, error or log holds one.
        matrix: (design, rows, numbers by name, codes by name and levels) -> (p, rows) columns of a design.
    """

    keys: KeyArray
    matrix: Callable[[Design, int, Numbers, Codes], FloatArray]


@dataclass(frozen=True, slots=True)
class Inputs:
    """One site's rows of a question, complete cases only unless it takes `gaps`; `rows` may be 0.

    Attributes:
        numbers: name -> (rows,) float64, finite; NaN where missing, with `gaps`.
        codes: name -> (rows,) int32 index into `Setting.levels[name]`; -1 where missing, with `gaps`.
        design: (p, rows) float64, C order: one design column per row of the array.
        keys: name -> (rows,) int32, equal where the identifier is; they mean nothing at another site.
    """

    rows: int
    numbers: Mapping[str, FloatArray]
    codes: Mapping[str, CodeArray]
    design: FloatArray | None = None
    keys: Mapping[str, CodeArray] = field(default_factory=dict)
    gaps: Gaps | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """One request: the layout of the answer and the parameters every party derived from the sums so far.

    `noise` is what the gate adds to the answer: in every round of a noisy variant, in no other.
    """

    layout: Layout
    params: Mapping[str, FloatArray | float | int | str] = field(default_factory=dict)
    noise: Noise | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A site's part of one round, and what the gate checks of it before it may leave.

    Attributes:
        summary: words of a ballot (kind `vote`) are 0 here; the gate fills in what this site votes.
        weights: working weights of the round, where it has any (for the weight guard).
        cells: name -> counts that the round shows and that the evidence, on the first grid, does not.
        evidence: facts about what the round sends, where they depend on rounds before; every rule is held to them as well.
        choices: of a ballot, blocks (words, k) of the counts that each word would show if every site agreed to it.
    """

    summary: Summary
    weights: Weights | None = None
    cells: Mapping[str, IntArray] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    choices: tuple[IntArray, ...] | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """The result of a flow, at full precision, before the output gate.

    Attributes:
        n: rows that entered; events where the kind has them.
        counts: everything countable that `report` shows, so that rates and curves follow from gated counts.
        values: model numbers (estimates, errors, log-likelihoods), by name.
        parameters: number of fitted parameters (for degrees of freedom at the output gate).
    """

    kind: str
    exactness: Exactness
    n: int
    rounds: int
    counts: Mapping[str, Counts] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    parameters: int = 0


Flow: TypeAlias = Generator[Round, Summary, Estimate]


@dataclass(frozen=True, slots=True)
class Statistic:
    """One question kind. `question` is its strict argument record; its docstring names the keys of the result.

    `noisy` is the variant that answers with noise, for datasets with a privacy budget; it takes the same questions.
    """

    kind: str
    question: type[Any]
    needs: Callable[[Any], Needs]
    rungs: Callable[[Any, Codebook], tuple[Grid, ...]]
    prepare: Callable[[Any, Setting, Inputs], Any]
    evidence: Callable[[Any, Setting, Any], Evidence]
    flow: Callable[[Any, Setting], Flow]
    summarise: Callable[[Any, Setting, Any, Round], Answer]
    report: Callable[[Any, Setting, Estimate], dict[str, Any]]
    noisy: Statistic | None = None
