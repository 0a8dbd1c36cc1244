"""Multiple imputation by chained equations around a model question (`impute` of a study): one flow, pooled throughout.

First the missing values are counted; then every incomplete variable is drawn from its pooled margin, once for each of
`m` chains; then `cycles` times, variable by variable, its model is fitted to the pooled rows in which it has a value,
every party draws the same parameters from the posterior, and each site fills its own rows. Last the analysis is made
on each completed data set. Chains run in the same rounds. Estimates are combined by Rubin's rules.

Of an outcome that is a time the models hold the event and the cumulative baseline hazard (`imputation_survival`). Times,
events, weights, offsets, clusters and strata are not imputed. A variable that a whole site lacks is refused, unless its
model is asked to have an intercept of each site (`site_effects`).

Result keys: those of the analysis, but for what m fits have not in common; each term and contrast has also `df` (Barnard
& Rubin 1999), `fmi` (fraction of missing information) and `riv` (relative increase of variance); `tests` are D1;
`imputation`: `m`, `cycles`, `seed`, `rule`, `missing` (variable -> rows), `models` (variable -> method and formula) and,
of a time, `baseline` (where the hazard in them comes from).

References: Rubin (1987), Multiple Imputation for Nonresponse in Surveys; van Buuren & Groothuis-Oudshoorn (2011), J
Stat Softw 45(3); Barnard & Rubin (1999), Biometrika 86:948.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.statistics import (
    imputation_draws,
    imputation_question,
    imputation_report,
    imputation_site,
    imputation_survival,
    lockstep,
    survival,
)
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.imputation_models import Model
from isthmus.statistics.imputation_question import Asked, Imputed, Schedule, Wish, formula_of, schedule
from isthmus.statistics.imputation_site import Site, Step
from isthmus.summary import Field, Layout, Summary


def over(asked: Asked, wish: Wish) -> Asked:
    """The analysis over imputed data.

    Raises:
        Invalid: E-IMPUTE, a kind or an argument that has no answer over imputed data, or m, cycles out of range.
    """
    arguments, setting = imputation_question.stated(asked, wish)
    return Asked(_around(asked.statistic), arguments, arguments.reads, setting)


def _around(statistic: Statistic) -> Statistic:
    return Statistic(
        kind=statistic.kind,
        question=Imputed,
        needs=_needs,
        rungs=_rungs,
        prepare=_prepare,
        evidence=_evidence,
        flow=partial(_flow, statistic),
        summarise=partial(_summarise, statistic),
        report=partial(_report, statistic),
    )


def _needs(question: Imputed) -> Needs:
    return question.reads


def _rungs(question: Imputed, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _of_site(question: Imputed) -> imputation_site.Asked:
    return imputation_site.Asked(question.variables, question.wish.site_effects, question.timing)


def _prepare(question: Imputed, setting: Setting, inputs: Inputs) -> Site:
    return imputation_site.open_site(_of_site(question), setting, inputs)


def _evidence(question: Imputed, setting: Setting, prepared: Site) -> Evidence:
    columns = 0 if setting.design is None else len(setting.design.columns)
    parameters = columns + len(question.wish.with_)
    return imputation_site.pattern(prepared, _of_site(question), parameters, setting)


# -- at every party -------------------------------------------------------------------------------------------------


def _seed(question: Imputed, chain: int, step: int, target: str) -> str:
    return f"isthmus impute {question.wish.seed} {chain} {step} {target}"


def _counted_names(question: Imputed) -> tuple[str, ...]:
    """Variables whose missing values are counted."""
    return tuple(dict.fromkeys((*question.variables, *question.needs.keys)))


def _flow(statistic: Statistic, question: Imputed, setting: Setting) -> Flow:
    names = _counted_names(question)
    layout = Layout(
        fields=(
            Field(name="n", shape=(1,), kind="count"),
            Field(name="missing", shape=(len(names),), kind="count"),
            *imputation_survival.fields(question.timing, setting),
        )
    )
    pooled = yield Round(layout, {"phase": "missing"})
    n, absent = int(pooled["n"][0]), [int(v) for v in pooled["missing"].tolist()]
    lacking = dict(zip(names, absent, strict=True))
    _check_counts(question, n, lacking)
    targets = [name for name in question.variables if lacking[name]]
    rounds, common = _Counted(1), _hazard(question, setting, pooled)
    draws = yield from _chains(question, setting, targets, (rounds, common))
    inner = [statistic.flow(question.analysis, setting) for _ in range(question.wish.m if targets else 1)]
    fits = yield from _together(inner, "the analysis", _common("analysis", targets, common | draws), rounds)
    found = {f"{i} {name}": one for i, fit in enumerate(fits) for name, one in fit.counts.items()}
    found |= {
        "rows": Counts("size", np.array([n])),
        "missing": Counts("cells", np.array(absent), of=np.full(len(names), n)),
    }
    return Estimate(
        kind=statistic.kind,
        exactness=fits[0].exactness,
        n=fits[0].n,
        rounds=rounds.number,
        counts=found,
        values={"fits": [fit.values for fit in fits], "targets": targets},
        parameters=max(fit.parameters for fit in fits),
    )


def _check_counts(question: Imputed, n: int, lacking: Mapping[str, int]) -> None:
    if not n:
        raise Invalid("E-NO-ROWS", "no row is in the population of this question", "look at `where`")
    for name in question.whole:
        if lacking[name]:
            message = (
                f"{name!r} has missing values, and times, events, strata, weights, offsets and clusters are not imputed"
            )
            raise Invalid("E-IMPUTE", message, f"leave such rows out: where {name} IS NOT NULL")
    for name in question.wish.site_effects:
        if name not in question.variables:
            raise Invalid(
                "E-IMPUTE", f"`site_effects` names {name!r}, which no model holds", "a variable of the analysis"
            )


def _hazard(question: Imputed, setting: Setting, pooled: Summary) -> dict[str, Any]:
    """A pooled hazard, as a parameter of every later round."""
    timing = question.timing
    if timing is None or timing.baseline != "grid":
        return {}
    strata = survival.strata_count(timing.strata, setting.levels)
    return {"hazard": imputation_survival.pooled_hazard(pooled.values, strata)}


@dataclass(slots=True)
class _Counted:
    """Rounds so far."""

    number: int


Draws = dict[str, Any]


def _common(phase: str, targets: Sequence[str], draws: Draws) -> dict[str, Any]:
    return {"phase": phase, "targets": " ".join(targets), **draws}


def _together(
    flows: Sequence[Flow], told: str, common: Mapping[str, Any], rounds: _Counted
) -> Generator[Round, Summary, list[Estimate]]:
    """The estimates of `flows`, run in the same rounds, each of which carries `common`.

    Raises:
        Invalid: of the first flow without one; `told` says what it fits.
    """
    joint = lockstep.together(flows)
    found: lockstep.Found = ()
    try:
        asked = next(joint)
        while True:
            rounds.number += 1
            asked = joint.send((yield replace(asked, params={**common, **asked.params})))
    except StopIteration as ended:
        found = ended.value
    for one in found:
        if isinstance(one, Invalid):
            raise Invalid(one.code, f"{told}: {one.message}", one.hint)
    return [one for one in found if isinstance(one, Estimate)]


def _chains(
    question: Imputed, setting: Setting, targets: Sequence[str], told: tuple[_Counted, Draws]
) -> Generator[Round, Summary, Draws]:
    """Every draw, as `draw CHAIN STEP`."""
    draws: Draws = {}
    if not targets:
        return draws
    rounds, shared = told
    planned, chains = schedule(question, setting, targets), range(question.wish.m)
    fitted = [step for step, model in enumerate(planned.margins) if model.fitted]
    flows = [_fit(planned.margins[step]) for step in fitted]
    common = _common("margins", targets, shared)
    fits = yield from _together(flows, "a mean that imputation starts from", common, rounds)
    for step, model in enumerate(planned.margins):
        found = fits[fitted.index(step)] if model.fitted else None
        draws |= {f"draw {i} {step}": _drawn(question, found, i, step, model) for i in chains}
    for step in range(len(targets), len(targets) * (question.wish.cycles + 1)):
        model = planned.model(step)
        common = _common("chains", targets, shared | draws)
        what = f"the imputation model of {model.target!r}"
        fits = yield from _together([_fit(model) for _ in chains], what, common, rounds)
        draws |= {f"draw {i} {step}": _drawn(question, fits[i], i, step, model) for i in chains}
    return draws


def _fit(model: Model) -> Flow:
    return model.statistic.flow(model.question, model.setting)


def _drawn(question: Imputed, fit: Estimate | None, chain: int, step: int, model: Model) -> Any:
    seed = f"parameters {_seed(question, chain, step, model.target)}"
    nothing = imputation_draws.Draw(np.zeros(0))
    return (nothing if fit is None else imputation_draws.posterior(fit, model, seed)).told()


# -- at a site ------------------------------------------------------------------------------------------------------


def _summarise(statistic: Statistic, question: Imputed, setting: Setting, prepared: Site, asked: Round) -> Answer:
    phase = asked.params["phase"]
    if phase == "missing":
        counted = imputation_site.counted(prepared, _of_site(question), setting, _counted_names(question))
        return Answer(Summary(asked.layout, counted))
    if "hazard" in asked.params and question.timing is not None:
        imputation_site.hazarded(prepared, question.timing, setting, np.asarray(asked.params["hazard"]))
    targets = str(asked.params["targets"]).split()
    planned = schedule(question, setting, targets)
    done = sum(1 for key in asked.params if key.startswith("draw 0 "))
    newest = f"{phase} {_digest(asked)}"
    if prepared.newest != newest:
        prepared.newest = newest
        prepared.fits.clear()
    answers: dict[int, Answer] = {}
    evidence: list[Evidence] = []
    for i in map(int, str(asked.params[lockstep.PARTS]).split()):
        if phase == "margins":
            model = [model for model in planned.margins if model.fitted][i]
            fit, inputs = _asked_of(model), partial(_of_model, prepared, model, None, ())
        elif phase == "chains":
            model = planned.model(done)
            fit = _asked_of(model)
            inputs = partial(_of_model, prepared, model, i, _steps(question, planned, asked, i, done))
        else:
            fit = (statistic, question.analysis, setting)
            inputs = partial(_of_analysis, question, setting, prepared, i, _steps(question, planned, asked, i, done))
        answers[i], facts = imputation_site.part(prepared, f"{phase} {done} {i}", fit, inputs, _own(asked, i))
        evidence.append(facts)
    joint = lockstep.joined(asked, answers, tuple(answers))
    return replace(joint, evidence=(*joint.evidence, *evidence))


def _asked_of(model: Model) -> tuple[Statistic, Any, Setting]:
    return model.statistic, model.question, model.setting


def _digest(asked: Round) -> str:
    """Of every draw so far."""
    state = hashlib.sha256()
    for key in sorted(key for key in asked.params if key.startswith("draw ")):
        state.update(np.asarray(asked.params[key]).tobytes())
    return state.hexdigest()


def _own(asked: Round, i: int) -> Round:
    found = lockstep.asked_of(asked, i)
    if found is None:
        raise Invalid("E-IMPUTE", "a round asks nothing of a fit that it names")
    return found


def _steps(question: Imputed, planned: Schedule, asked: Round, chain: int, done: int) -> tuple[Step, ...]:
    found = []
    for step in range(done):
        model, draw = planned.model(step), imputation_draws.read(asked.params[f"draw {chain} {step}"])
        found.append(Step(model, draw, f"rows {_seed(question, chain, step, model.target)}"))
    return tuple(found)


def _of_model(site: Site, model: Model, chain: int | None, steps: Sequence[Step]) -> Inputs:
    rows = site.first if chain is None else imputation_site.filled(site, chain, steps)
    return imputation_site.model_inputs(site, model, rows)


def _of_analysis(question: Imputed, setting: Setting, site: Site, chain: int, steps: Sequence[Step]) -> Inputs:
    rows, needs = imputation_site.filled(site, chain, steps), question.needs
    return Inputs(
        rows=rows.rows,
        numbers={name: rows.number(name) for name in needs.numbers},
        codes={name: rows.coded(name, setting.levels[name]) for name in needs.categories},
        design=imputation_site.columns(site, setting, rows),
        keys=site.keyed,
    )


# -- what people see ------------------------------------------------------------------------------------------------


def _report(statistic: Statistic, question: Imputed, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    planned, wish = schedule(question, setting, estimate.values["targets"]), question.wish
    names = _counted_names(question)
    told = {"cycles": wish.cycles, "seed": wish.seed, "missing": imputation_report.missing(estimate, names)}
    if question.timing is not None:
        told["baseline"] = question.timing.baseline
    made = imputation_report.body((statistic, question.analysis), setting, estimate, planned.full, told)
    response = formula_of(question).response
    return made if response is None else made | {"fit": made["fit"] | {"outcome": response}}
