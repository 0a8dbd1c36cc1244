"""What the kinds with an outcome of levels share: one `Statistic` for a question record like `Asked`."""

from __future__ import annotations

from typing import Any, Protocol

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.formula import offset_reads
from isthmus.statistics import levelled, levelled_rows, model_body, sandwich, weighting
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.levelled import Model, Rows
from isthmus.statistics.levelled_report import report


class Asked(model_body.Asked, weighting.Stated, Protocol):
    """What such a question states."""

    @property
    def formula(self) -> str:
        """`outcome ~ terms`."""


def _rungs(asked: Asked, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def statistic(kind: str, question: type[Any]) -> Statistic:
    """The kind whose arguments are the record `question`."""

    def model(asked: Asked, setting: Setting) -> Model:
        formula = levelled.read(asked.formula, kind)
        return levelled.model_of(kind, formula, setting, weighting.errors_of(asked, formula))

    def needs(asked: Asked) -> Needs:
        formula = levelled.read(asked.formula, kind)
        keys = weighting.keys(weighting.cluster_of(asked.cluster, formula))
        numbers = tuple(dict.fromkeys((*weighting.read(asked.weights), *offset_reads(formula.offset))))
        return Needs(numbers=numbers, categories=(str(formula.response),), formula=formula, keys=keys)

    def prepare(asked: Asked, setting: Setting, inputs: Inputs) -> Rows:
        offsets = levelled.read(asked.formula, kind).offset
        return levelled.rows_of(model(asked, setting), inputs, asked.weights, offsets)

    def evidence(asked: Asked, setting: Setting, prepared: Rows) -> Evidence:
        return levelled.evidence(model(asked, setting), prepared)

    def flow(asked: Asked, setting: Setting) -> Flow:
        made = model(asked, setting)
        sandwich.check(made.errors.cluster, setting.sites)
        return levelled.fit(made)

    def summarise(asked: Asked, setting: Setting, prepared: Rows, round_: Round) -> Answer:
        return levelled_rows.summarise(model(asked, setting), prepared, round_)

    def shown(asked: Asked, setting: Setting, estimate: Estimate) -> dict[str, Any]:
        return report(model(asked, setting), asked, setting, estimate)

    return Statistic(kind, question, needs, _rungs, prepare, evidence, flow, summarise, shown)
