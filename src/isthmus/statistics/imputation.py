"""Multiple imputation by chained equations around a model question (`impute` of a study): one flow, pooled throughout.

First the missing values are counted; then every incomplete variable is drawn from its pooled margin, once for each of
`m` chains; then `cycles` times, variable by variable, its model is fitted to the pooled rows in which it has a value,
every party draws the same parameters from the posterior, and each site fills its own rows. Last the analysis is made
on each completed data set. Chains run in the same rounds. Estimates are combined by Rubin's rules.

Result keys: those of the analysis, but for what m fits have not in common; each term has also `df` (Barnard & Rubin
1999), `fmi` (fraction of missing information) and `riv` (relative increase of variance); `imputation`: `m`, `cycles`,
`seed`, `rule`, `missing` (variable -> rows) and `models` (variable -> method and formula).

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
from isthmus.model.design import category_levels
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, variables
from isthmus.model.record import record
from isthmus.statistics import imputation_models, imputation_site, lockstep
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.imputation_draws import Draw, posterior
from isthmus.statistics.imputation_models import Model
from isthmus.statistics.imputation_site import Site, Step
from isthmus.statistics.rubin import combined
from isthmus.statistics.show import counts, size
from isthmus.summary import Field, Layout, Summary

KINDS = ("glm", "multinomial", "ordinal")  # one outcome on the left, so that a model of a covariate can hold it
ALONE = ("weights", "offset", "cluster", "contrasts", "tests", "release")  # arguments without a rule over m data sets


@record
class Wish:
    """What the study asks for."""

    m: int
    cycles: int
    seed: int
    with_: tuple[str, ...] = ()


@record
class Imputed:
    """Arguments of an analysis over imputed data: its own and what it reads, the study's wish, all that is read now."""

    analysis: Any
    needs: Needs
    reads: Needs
    wish: Wish
    variables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """An analysis as the plan has it."""

    statistic: Statistic
    arguments: Any
    needs: Needs
    setting: Setting


def over(asked: Asked, wish: Wish) -> Asked:
    """The analysis over imputed data.

    Raises:
        Invalid: E-IMPUTE, a kind or an argument that has no answer over imputed data, or m, cycles out of range.
    """
    formula, kind = asked.needs.formula, asked.statistic.kind
    if kind not in KINDS or formula is None:
        raise Invalid("E-IMPUTE", f"{kind!r} has no answer over imputed data", "ask it in a study of its own", kind)
    for name in ALONE:
        if getattr(asked.arguments, name, None) or (name in {"offset", "cluster"} and getattr(formula, name)):
            raise Invalid("E-IMPUTE", f"{name!r} cannot be asked for over imputed data", "leave it out", kind)
    if not (2 <= wish.m <= MOST and 1 <= wish.cycles <= MOST):
        raise Invalid("E-IMPUTE", f"`m` is 2 to {MOST}, `cycles` 1 to {MOST}", "impute: {m: 20, cycles: 10}", "impute")
    held = tuple(dict.fromkeys((*variables(formula), *wish.with_)))
    dictionary = asked.setting.dictionary
    coded = [name for name in held if _is_category(name, dictionary)]
    needs = Needs(numbers=tuple(n for n in held if n not in coded), categories=tuple(coded), gaps=True)
    levels = {name: asked.setting.levels.get(name) or category_levels(name, dictionary) for name in coded}
    arguments = Imputed(analysis=asked.arguments, needs=asked.needs, reads=needs, wish=wish, variables=held)
    setting = replace(asked.setting, levels={**asked.setting.levels, **levels})
    return Asked(_around(asked.statistic), arguments, needs, setting)


MOST = 100


def _is_category(name: str, dictionary: Codebook) -> bool:
    kind = dictionary.variables[name].type
    if kind == "date":
        raise Invalid("E-IMPUTE", f"{name!r} is a date, which no imputation model holds", "derive a number from it")
    return kind in {"category", "boolean"}


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


def _prepare(question: Imputed, setting: Setting, inputs: Inputs) -> Site:
    return imputation_site.open_site(question.variables, setting, inputs)


def _evidence(question: Imputed, setting: Setting, prepared: Site) -> Evidence:
    columns = 0 if setting.design is None else len(setting.design.columns)
    return imputation_site.pattern(prepared, question.variables, columns + len(question.wish.with_))


# -- at every party -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Schedule:
    """Which model is drawn at which step: the margins first, then the full models over and over."""

    margins: tuple[Model, ...]
    full: tuple[Model, ...]

    def model(self, step: int) -> Model:
        """Of a step, from 0."""
        first = len(self.margins)
        return self.margins[step] if step < first else self.full[(step - first) % first]


def _schedule(question: Imputed, setting: Setting, targets: Sequence[str]) -> _Schedule:
    formula = _formula(question)
    family = str(getattr(question.analysis, "family", ""))
    binary = {name: name == formula.response and family.endswith("binomial") for name in targets}
    margins = tuple(imputation_models.margin(name, setting, binary[name]) for name in targets)
    full = tuple(imputation_models.model(name, formula, question.variables, setting, binary[name]) for name in targets)
    return _Schedule(margins, full)


def _formula(question: Imputed) -> Formula:
    if question.needs.formula is None:
        raise Invalid("E-FORMULA", "an analysis over imputed data has a formula")
    return question.needs.formula


def _seed(question: Imputed, chain: int, step: int, target: str) -> str:
    return f"isthmus impute {question.wish.seed} {chain} {step} {target}"


def _flow(statistic: Statistic, question: Imputed, setting: Setting) -> Flow:
    size_of = len(question.variables)
    layout = Layout(
        fields=(Field(name="n", shape=(1,), kind="count"), Field(name="missing", shape=(size_of,), kind="count"))
    )
    pooled = yield Round(layout, {"phase": "missing"})
    n, absent = int(pooled["n"][0]), [int(v) for v in pooled["missing"].tolist()]
    if not n:
        raise Invalid("E-NO-ROWS", "no row is in the population of this question", "look at `where`")
    targets = [name for name, count in zip(question.variables, absent, strict=True) if count]
    rounds = _Counted(1)
    draws = yield from _chains(question, setting, targets, rounds)
    inner = [statistic.flow(question.analysis, setting) for _ in range(question.wish.m if targets else 1)]
    fits = yield from _together(inner, "the analysis", _common("analysis", targets, draws), rounds)
    found = {f"{i} {name}": one for i, fit in enumerate(fits) for name, one in fit.counts.items()}
    found |= {
        "rows": Counts("size", np.array([n])),
        "missing": Counts("cells", np.array(absent), of=np.full(size_of, n)),
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
    question: Imputed, setting: Setting, targets: Sequence[str], rounds: _Counted
) -> Generator[Round, Summary, Draws]:
    """Every draw, as `draw CHAIN STEP`: coefficients, then the residual standard deviation."""
    draws: Draws = {}
    if not targets:
        return draws
    schedule, chains = _schedule(question, setting, targets), range(question.wish.m)
    flows = [_fit(model) for model in schedule.margins]
    fits = yield from _together(flows, "a mean that imputation starts from", _common("margins", targets, {}), rounds)
    for step, (target, fit) in enumerate(zip(targets, fits, strict=True)):
        draws |= {f"draw {i} {step}": _drawn(question, fit, i, step, target) for i in chains}
    for step in range(len(targets), len(targets) * (question.wish.cycles + 1)):
        model = schedule.model(step)
        common = _common("chains", targets, dict(draws))
        told = f"the imputation model of {model.target!r}"
        fits = yield from _together([_fit(model) for _ in chains], told, common, rounds)
        draws |= {f"draw {i} {step}": _drawn(question, fits[i], i, step, model.target) for i in chains}
    return draws


def _fit(model: Model) -> Flow:
    statistic, question, setting = imputation_site.model_fit(model)
    return statistic.flow(question, setting)


def _drawn(question: Imputed, fit: Estimate, chain: int, step: int, target: str) -> Any:
    draw = posterior(fit, target, f"parameters {_seed(question, chain, step, target)}")
    return np.array([*draw.coefficients.tolist(), draw.sigma])


# -- at a site ------------------------------------------------------------------------------------------------------


def _summarise(statistic: Statistic, question: Imputed, setting: Setting, prepared: Site, asked: Round) -> Answer:
    phase = asked.params["phase"]
    if phase == "missing":
        absent = [np.count_nonzero(prepared.missing[name]) for name in question.variables]
        values = {"n": np.array([prepared.first.rows]), "missing": np.array(absent)}
        return Answer(Summary(asked.layout, {name: v.astype(np.int64) for name, v in values.items()}))
    targets = str(asked.params["targets"]).split()
    schedule = _schedule(question, setting, targets)
    done = sum(1 for key in asked.params if key.startswith("draw 0 "))
    newest = f"{phase} {_digest(asked)}"
    if prepared.newest != newest:
        prepared.newest = newest
        prepared.fits.clear()
    answers: dict[int, Answer] = {}
    evidence: list[Evidence] = []
    for i in map(int, str(asked.params[lockstep.PARTS]).split()):
        if phase == "margins":
            model = schedule.margins[i]
            fit, inputs = imputation_site.model_fit(model), partial(_of_model, prepared, model, None, ())
        elif phase == "chains":
            model = schedule.model(done)
            fit = imputation_site.model_fit(model)
            inputs = partial(_of_model, prepared, model, i, _steps(question, schedule, asked, i, done))
        else:
            fit = (statistic, question.analysis, setting)
            inputs = partial(_of_analysis, question, setting, prepared, i, _steps(question, schedule, asked, i, done))
        answers[i], facts = imputation_site.part(prepared, f"{phase} {done} {i}", fit, inputs, _own(asked, i))
        evidence.append(facts)
    return replace(lockstep.joined(asked, answers, tuple(answers)), evidence=tuple(evidence))


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


def _steps(question: Imputed, schedule: _Schedule, asked: Round, chain: int, done: int) -> tuple[Step, ...]:
    found = []
    for step in range(done):
        model, drawn = schedule.model(step), np.asarray(asked.params[f"draw {chain} {step}"])
        draw = Draw(drawn[:-1], float(drawn[-1]))
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
    )


# -- what people see ------------------------------------------------------------------------------------------------


def _report(statistic: Statistic, question: Imputed, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    fits, targets = estimate.values["fits"], estimate.values["targets"]
    bodies = [_one(statistic, question, setting, (estimate, i, values)) for i, values in enumerate(fits)]
    first, n = bodies[0], float(estimate.counts["rows"].values[0])
    formula = _formula(question)
    schedule = _schedule(question, setting, targets)
    absent = counts(np.asarray(estimate.counts["missing"].values))
    shown = {
        k: v for k, v in first["fit"].items() if isinstance(v, (str, bool)) and k in {"family", "link", "converged"}
    }
    return {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": size(estimate.counts["rows"]),
        "rounds": estimate.rounds,
        "terms": combined([body["terms"] for body in bodies], n - estimate.parameters, setting.conf_level),
        "fit": shown | {"outcome": formula.response},
        "reference": first.get("reference", {}),
        "conf_level": setting.conf_level,
        "test": "t",
        "error": first.get("error", "model"),
        "imputation": {
            "m": len(fits),
            "cycles": question.wish.cycles,
            "seed": question.wish.seed,
            "rule": "Rubin, with Barnard-Rubin df",
            "missing": dict(zip(question.variables, absent, strict=True)),
            "models": {m.target: {"method": m.method, "formula": m.question.formula} for m in schedule.full},
        },
    }


def _one(
    statistic: Statistic, question: Imputed, setting: Setting, fit: tuple[Estimate, int, Mapping[str, Any]]
) -> dict[str, Any]:
    """The report of one completed data set."""
    estimate, i, values = fit
    own = {name.split(" ", 1)[1]: one for name, one in estimate.counts.items() if name.startswith(f"{i} ")}
    return statistic.report(question.analysis, setting, replace(estimate, counts=own, values=values))
