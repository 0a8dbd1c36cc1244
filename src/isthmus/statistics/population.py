"""The population of a study (internal kind `population`): its rows, and how many lack each variable.

`Inputs.numbers[name]` marks rows where `name` is missing (1) or not (0). Estimate: `n`; `values["missing"]`: rows that
lack each of `variables`, in their order. Missing counts are no cells at a site (DISCLOSURE: plain missingness of a
codebook variable is not the asker's choice); what people see of them passes the output gate.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.record import record
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.show import count, counts, head
from isthmus.summary import Field, Layout, Summary


@record
class PopulationQuestion:
    """Variables whose missing values are counted."""

    variables: tuple[str, ...] = ()


def _needs(question: PopulationQuestion) -> Needs:
    return Needs(numbers=question.variables)


def _rungs(question: PopulationQuestion, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _prepare(question: PopulationQuestion, setting: Setting, inputs: Inputs) -> dict[str, Any]:
    missing = [np.count_nonzero(inputs.numbers[name]) for name in question.variables]
    kept = np.zeros(inputs.rows, dtype=bool)
    for name in question.variables:
        kept |= inputs.numbers[name] != 0.0
    return {
        "n": np.array([inputs.rows]),
        "complete": np.array([inputs.rows - np.count_nonzero(kept)]),
        "missing": np.array(missing, dtype=np.int64),
    }


def _evidence(question: PopulationQuestion, setting: Setting, prepared: dict[str, Any]) -> Evidence:
    return Evidence(rows=int(prepared["n"][0]))


def _layout(question: PopulationQuestion) -> Layout:
    sizes = {"n": 1, "complete": 1, "missing": len(question.variables)}
    return Layout(fields=tuple(Field(name=name, shape=(k,), kind="count") for name, k in sizes.items()))


def _flow(question: PopulationQuestion, setting: Setting) -> Flow:
    pooled = yield Round(_layout(question), {"step": "count"})
    n, missing = int(pooled["n"][0]), [int(v) for v in pooled["missing"].tolist()]
    return Estimate(
        kind="population",
        exactness="exact",
        n=n,
        rounds=1,
        counts={
            "n": Counts("size", np.array([n])),
            "complete": Counts("size", pooled["complete"].astype(np.int64)),
            "missing": Counts("cells", np.array(missing, dtype=np.int64)),
        },
        values={"missing": missing},
    )


def _summarise(question: PopulationQuestion, setting: Setting, prepared: dict[str, Any], asked: Round) -> Answer:
    return Answer(Summary(asked.layout, {f.name: prepared[f.name].astype(np.int64) for f in asked.layout.fields}))


def _report(question: PopulationQuestion, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    missing = counts(np.asarray(estimate.counts["missing"].values))
    return {
        **head(estimate),
        "complete": count(float(estimate.counts["complete"].values[0])),
        "missing": dict(zip(question.variables, missing, strict=True)),
    }


_EXACT = Statistic(
    kind="population",
    question=PopulationQuestion,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)


def _nothing(question: PopulationQuestion, setting: Setting) -> Flow:
    """On a dataset with a privacy budget: nothing is sent, so nothing is spent, and `excluded` stays empty."""
    yield from ()
    missing = {"missing": [0] * len(question.variables)}
    return Estimate(kind="population", exactness="approximate", n=0, rounds=0, values=missing)


population = replace(_EXACT, noisy=replace(_EXACT, flow=_nothing))
