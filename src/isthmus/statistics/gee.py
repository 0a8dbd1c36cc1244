"""Generalized estimating equations (kind `gee`), as R's `geepack::geeglm`: population-averaged effects in clustered rows.

Families gaussian, binomial and poisson with their canonical links; working correlation `independence` or
`exchangeable`; robust errors (Liang & Zeger) without small-sample factor. The search begins near the model without
correlation, as geepack's does: moments may have more than one solution, or none with a correlation below 1. A cluster lies inside one site: the same
identifier at two sites is two clusters.

Result keys: `terms` (z), `fit` (family, link, correlation, alpha, scale, clusters, converged), `n`, `events`,
`reference`, `conf_level`, `test`, `error` (`robust`), `contrasts`, `tests`, `vcov`.

Reference: Liang & Zeger (1986), Biometrika 73:13.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, no_site, offset_reads, parse, some_column
from isthmus.model.record import record
from isthmus.statistics import gee_flow, glm_kernel, mixed_guard, weighting
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.families import FAMILIES, link_names
from isthmus.statistics.gee_flow import Rows
from isthmus.statistics.glm_evidence import glm_evidence
from isthmus.statistics.glm_model import Model, start_part
from isthmus.statistics.model_body import model_body
from isthmus.statistics.show import size
from isthmus.statistics.summaries import filled


@record
class Gee:
    """Arguments of `gee`.

    `formula`: `outcome ~ terms`, `offset(...)` allowed; `cluster`: a variable whose values group the rows of a site;
    `contrasts`: name -> {term: weight}; `tests`: name -> terms tested jointly; `release: [vcov]` shows the covariance
    matrix.
    """

    formula: str
    family: Literal["gaussian", "binomial", "poisson"]
    cluster: str
    correlation: Literal["independence", "exchangeable"] = "exchangeable"
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    release: tuple[Literal["vcov"], ...] = ()


def _formula(question: Gee) -> Formula:
    formula = no_site(some_column(parse(question.formula)), "fit a glm with `cluster` and the term `site`")
    if formula.response is None or formula.surv is not None or formula.strata or formula.cluster:
        raise Invalid("E-FORMULA", "gee has one outcome on the left and no strata() or cluster()", "state `cluster`")
    if question.cluster in {"site", "country"}:
        hint = "take a variable inside sites"
        raise Invalid("E-CLUSTER", f"gee has clusters inside a site, and {question.cluster!r} is none", hint)
    return formula


def _model(question: Gee, setting: Setting) -> Model:
    formula = _formula(question)
    if setting.design is None:
        raise Invalid("E-DESIGN", "gee needs a design")
    family = FAMILIES[question.family, link_names(question.family)[0]]
    outcome, offset = str(formula.response), bool(formula.offset)
    return Model(family, outcome, setting.design, setting.dictionary, None, offset, None)


def _needs(question: Gee) -> Needs:
    formula = _formula(question)
    return Needs(
        numbers=(str(formula.response), *offset_reads(formula.offset)), formula=formula, keys=(question.cluster,)
    )


def _rungs(question: Gee, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _prepare(question: Gee, setting: Setting, inputs: Inputs) -> Rows:
    formula = _formula(question)
    if inputs.design is None:
        raise Invalid("E-DESIGN", "gee needs a design")
    y = inputs.numbers[str(formula.response)]
    if question.family == "binomial" and not bool(np.all((y == 0.0) | (y == 1.0))):
        raise Invalid("E-OUTCOME", f"outcome {formula.response!r} must be 0 or 1", "derive it with CASE WHEN")
    if question.family == "poisson" and not bool(np.all(y >= 0.0)):
        raise Invalid("E-OUTCOME", f"outcome {formula.response!r} must not be negative")
    total = weighting.link_offset(link_names(question.family)[0], formula.offset, inputs)
    found, cluster = np.unique(inputs.keys[question.cluster], return_inverse=True)
    return Rows(inputs.design, y, total, cluster.reshape(-1), len(found))


def _plain(rows: Rows) -> glm_kernel.Rows:
    return glm_kernel.Rows(rows.columns, rows.y, None, rows.offset)


def _evidence(question: Gee, setting: Setting, prepared: Rows) -> Evidence:
    """Of the model without clusters; how many there are; and, where rounds mix them by their size, what comes out."""
    model = _model(question, setting)
    found = glm_evidence(model, _plain(prepared))
    supports = {**found.supports, "clusters": np.array([prepared.clusters], dtype=np.int64)}
    if question.correlation == "independence":
        return replace(found, supports=supports)
    mixed = mixed_guard.of_groups(prepared.sizes, model.size + 1, gee_flow.numbers(model))
    return replace(found, supports=supports, sides={**found.sides, **mixed})


def _flow(question: Gee, setting: Setting) -> Flow:
    return gee_flow.fit(_model(question, setting), question.cluster, question.correlation == "exchangeable")


def _summarise(question: Gee, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    model, params = _model(question, setting), asked.params
    if params["step"] == "newton":
        totals = glm_kernel.newton_sums(model.family, glm_kernel.centred(_plain(prepared), params), params)
        sums = {"gram": totals.gram, "score": totals.score, "deviance": totals.deviance}
        return Answer(filled(asked.layout, sums), totals.weights())
    if params["step"] != "start":
        return gee_flow.summarise(model, prepared, asked)
    values, weights = start_part(model, _plain(prepared), params)
    return Answer(filled(asked.layout, values), weights)


def _report(question: Gee, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found = estimate.values
    fit = {
        "family": question.family,
        "link": link_names(question.family)[0],
        "correlation": question.correlation,
        "alpha": found["alpha"] if question.correlation == "exchangeable" else None,
        "scale": found["scale"],
        "clusters": size(estimate.counts["clusters"]),
        "converged": True,
    }
    return model_body(question, setting, estimate, fit) | {"cluster": question.cluster, "error": "robust"}


STATISTIC = Statistic(
    kind="gee",
    question=Gee,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
