"""What the kinds with an outcome of levels share: one `Statistic` for a question record with `formula` and `release`."""

from __future__ import annotations

from typing import Any

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.statistics import levelled, levelled_rows
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.levelled import Model, Rows
from isthmus.statistics.levelled_report import report


def _rungs(asked: Any, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def statistic(kind: str, question: type[Any]) -> Statistic:
    """The kind whose arguments are the record `question`."""

    def model(asked: Any, setting: Setting) -> Model:
        return levelled.model_of(kind, levelled.read(asked.formula, kind), setting)

    def needs(asked: Any) -> Needs:
        formula = levelled.read(asked.formula, kind)
        return Needs(categories=(str(formula.response),), formula=formula)

    def prepare(asked: Any, setting: Setting, inputs: Inputs) -> Rows:
        return levelled.rows_of(model(asked, setting), inputs)

    def evidence(asked: Any, setting: Setting, prepared: Rows) -> Evidence:
        return levelled.evidence(model(asked, setting), prepared)

    def flow(asked: Any, setting: Setting) -> Flow:
        return levelled.fit(model(asked, setting))

    def summarise(asked: Any, setting: Setting, prepared: Rows, round_: Round) -> Answer:
        return levelled_rows.summarise(model(asked, setting), prepared, round_)

    def shown(asked: Any, setting: Setting, estimate: Estimate) -> dict[str, Any]:
        return report(model(asked, setting), setting, estimate, asked.release)

    return Statistic(kind, question, needs, _rungs, prepare, evidence, flow, summarise, shown)
