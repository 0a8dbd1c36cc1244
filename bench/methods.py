"""Every other iterative method across processes, beside R and the pooled Python library people would take.

A rival that takes longer than `PATIENCE` seconds is run once. `large` asks the one-round methods on 3 million rows, where
the yardstick is what `numpy.argsort` takes on as many numbers, and looks at the memory above the columns.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench import data, patients
from bench.method_rivals import PYTHON, R_CODE, RIDGE, python_rival, r_rival, r_runs
from bench.models import Running, asked, federation, how, timing_study
from bench.patients import Cohort
from bench.rivals import Timing
from bench.synthetic import reset_peak, resident
from bench.table import Measure
from bench.targets import ABOVE, ISTHMUS, LARGE, METHODS

PATIENCE = 10.0
ALL = " + ".join(f"x{j}" for j in range(data.COVARIATES))
SURVIVAL = {"time": "days", "event": "event"}
HAZARD = {"treatment": "treat", "time": "days", "event": "event", "adjust": ALL}
EFFECT = {"treatment": "treat", "outcome": "y", "adjust": ALL}
BINOMIAL = {"formula": f"y ~ {ALL}", "family": "binomial"}
QUESTIONS: dict[str, dict[str, Any]] = {
    "probit": {"glm": {**BINOMIAL, "link": "probit"}},
    "ridge": {"glm": {**BINOMIAL, "ridge": RIDGE}},
    "robust": {"glm": {**BINOMIAL, "robust": "HC3"}},
    "cluster": {"glm": {**BINOMIAL, "cluster": "clinic"}},
    "inverse_gaussian": {"glm": {"formula": f"stay ~ {ALL}", "family": "inverse_gaussian", "link": "log"}},
    "poisson": {"glm": {"formula": f"visits ~ {ALL}", "family": "poisson"}},
    "gamma": {"glm": {"formula": f"cost ~ {ALL}", "family": "gamma", "link": "log"}},
    "negative_binomial": {"glm": {"formula": f"bursts ~ {ALL}", "family": "negative_binomial"}},
    "ordinal": {"ordinal": {"formula": f"grade ~ {ALL}"}},
    "multinomial": {"multinomial": {"formula": f"grade ~ {ALL}"}},
    "mixed": {"mixed": {"formula": f"score ~ {ALL}", "group": "clinic"}},
    "slopes": {"mixed": {"formula": f"score ~ {ALL}", "group": "clinic", "slopes": ["x0"]}},
    "glmm": {"mixed": {"formula": f"y ~ {ALL}", "group": "clinic", "family": "binomial"}},
    "gee": {"gee": {"formula": f"y ~ {ALL}", "family": "binomial", "cluster": "clinic", "correlation": "exchangeable"}},
    "weibull": {"parametric_survival": {"formula": f"Surv(days, event) ~ {ALL}", "distribution": "weibull"}},
    "lognormal": {"parametric_survival": {"formula": f"Surv(days, event) ~ {ALL}", "distribution": "lognormal"}},
    "piecewise": {
        "parametric_survival": {
            "formula": f"Surv(days, event) ~ {ALL}",
            "distribution": "piecewise_exponential",
            "cuts": [200, 500, 1000],
        }
    },
    "conditional_logistic": {"conditional_logistic": {"formula": f"y ~ {ALL}", "sets": "set"}},
    "fine_gray": {
        "fine_gray": {
            "formula": f"Surv(days, cause) ~ {ALL}",
            "causes": {"1": "relapse", "2": "death"},
            "cause": "relapse",
        },
    },
    "lasso": {"penalised": {"formula": f"y ~ {ALL}", "family": "binomial", "alpha": 1.0}},
    "lasso_folds": {"penalised": {"formula": f"y ~ {ALL}", "family": "binomial", "alpha": 1.0, "folds": 5, "seed": 1}},
    "cox_lasso": {
        "penalised": {"formula": f"Surv(days, event) ~ {ALL}", "family": "cox", "strata": ["site"], "alpha": 1.0}
    },
    "propensity": {"propensity": {"treatment": "treat", "adjust": ALL}},
    "iptw": {"effect": {**EFFECT, "method": "iptw"}},
    "iptw_hazard": {"effect": {**HAZARD, "method": "iptw", "strata": ["site"]}},
    "aipw": {"effect": {**EFFECT, "method": "aipw", "family": "binomial"}},
    "gcomputation": {"effect": {**EFFECT, "method": "gcomputation", "family": "binomial"}},
    "stratified": {"effect": {**EFFECT, "method": "stratified"}},
}
LARGE_QUESTIONS: dict[str, dict[str, Any]] = {
    "log_rank": {"log_rank": {**SURVIVAL, "by": "arm", "strata": ["site"]}},
    "kaplan_meier": {"kaplan_meier": {**SURVIVAL, "by": "arm"}},
    "roc": {"roc": {"marker": "marker", "outcome": "y"}},
}
MEMORY_QUESTIONS: dict[str, dict[str, Any]] = {
    "glm": {"glm": {"formula": f"y ~ {ALL}", "family": "binomial"}},
    "cox_site": {"cox": {"formula": f"Surv(days, event) ~ {ALL}", "ties": "efron", "strata": ["site"]}},
}


def compare(rows_per_site: int, repeats: int, names: Sequence[str]) -> list[Measure]:
    """Each method, or those of `names`, `repeats` times, in turn with its rivals."""
    questions = {name: QUESTIONS[name] for name in names or QUESTIONS}
    rows, taken = patients.make(rows_per_site), {}
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as text:
        folder = Path(text)
        with federation(patients.write(rows, folder), folder, patients.codebook(), _kinds(questions)) as running:
            for turn in range(1, repeats + 1):
                print(f"methods: turn {turn} of {repeats}", file=sys.stderr, flush=True)
                for name, question in questions.items():
                    _turn(running, rows, (name, question), turn, taken)
    return [
        Measure(METHODS[name], rival, "s", tuple(t.seconds for t in timings), _note(taken, name, rival))
        for (name, rival), timings in taken.items()
    ]


def _turn(
    running: Running,
    rows: Cohort,
    item: tuple[str, dict[str, Any]],
    turn: int,
    taken: dict[tuple[str, str], list[Timing]],
) -> None:
    name, question = item
    for answer in asked(running, timing_study({name: question}, 1), [name], turn).values():
        timing = Timing(answer.cached, _estimates(answer.body), how(answer.body))
        taken.setdefault((name, ISTHMUS), []).append(timing)
    rivals = {PYTHON[name]: python_rival} if name in PYTHON else {}
    rivals |= {f"R {R_CODE[name][0]}": r_rival} if r_runs(name) else {}
    for label, rival in rivals.items():
        known = taken.setdefault((name, label), [])
        if not known or known[0].seconds <= PATIENCE:
            known.append(rival(name, rows))


def _estimates(answer: dict[str, Any]) -> data.Array:
    """Coefficients of the ten covariates, in order; of the lasso at its smallest penalty; of an effect, the effect."""
    if answer["kind"] == "penalised":
        smallest = min(cell["lambda"] for cell in answer["cells"])
        terms = [cell for cell in answer["cells"] if cell["lambda"] == smallest]
    else:
        terms = answer["terms"]
    return np.array([t["estimate"] for t in terms if "x" in t["term"] or len(terms) <= 3])


def _note(taken: dict[tuple[str, str], list[Timing]], name: str, rival: str) -> str:
    mine, ours = taken[name, rival][0], taken.get((name, ISTHMUS))
    if rival == ISTHMUS or not ours:
        return mine.note
    if mine.coefficients.shape != ours[0].coefficients.shape:
        return mine.note
    difference = float(np.abs(ours[0].coefficients - mine.coefficients).max())
    return "; ".join(filter(None, (f"coefficients differ by {difference:.0e}", mine.note)))


def _kinds(questions: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kind for question in questions.values() for kind in question))


def large(repeats: int, rows_per_site: int = 1_000_000) -> list[Measure]:
    """Curves, tests and ROC on 3 million rows; what GLM and Cox need above their columns."""
    rows = patients.make(rows_per_site)
    marker, everything = rows.columns["marker"].copy(), LARGE_QUESTIONS | MEMORY_QUESTIONS
    took: dict[str, list[float]] = {}
    notes: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as text:
        folder = Path(text)
        files = patients.write(rows, folder)
        del rows
        with federation(files, folder, patients.codebook(), _kinds(everything)) as running:
            for turn in range(1, repeats + 1):
                print(f"large: turn {turn} of {repeats}", file=sys.stderr, flush=True)
                began = perf_counter()
                answers = asked(running, timing_study(LARGE_QUESTIONS, 1), LARGE_QUESTIONS, turn)
                whole = f"the first run of all three, from files and with its votes, {perf_counter() - began:.1f} s"
                for name, answer in answers.items():
                    took.setdefault(name, []).append(answer.cached)
                    notes.setdefault(name, f"{how(answer.body)}; {whole}")
                began = perf_counter()
                np.argsort(marker)
                took.setdefault("argsort", []).append(perf_counter() - began)
            memory = _above(running, rows_per_site)
    measures = [
        Measure(LARGE[name], ISTHMUS, "s", tuple(values), notes[name])
        for name, values in took.items()
        if name != "argsort"
    ]
    return [*measures, *(Measure(m.part, "numpy.argsort", "s", tuple(took["argsort"])) for m in measures), *memory]


def _above(running: Running, rows: int) -> list[Measure]:
    """Peak memory of a site above what it holds with its columns cached, as a multiple of the columns of the fit."""
    measures = []
    for number, (name, question) in enumerate(MEMORY_QUESTIONS.items(), start=1000):
        asked(running, timing_study({name: question}, 1), [name], number)  # columns are read and cached
        pids = {site: running.fleet.pids[site] for site in data.SITES}
        before = {site: resident("VmRSS", pid) for site, pid in pids.items()}
        for pid in pids.values():
            reset_peak(pid)
        asked(running, timing_study({name: question}, 1), [name], number + 100)
        columns = rows * (data.COVARIATES + 1) * 8 / 1e6
        peaks = tuple((resident("VmHWM", pid) - before[site]) / columns for site, pid in pids.items())
        measures.append(
            Measure(ABOVE[name], "site, peak above its columns", "x", peaks, f"columns: {columns:.0f} MB at each site")
        )
    return measures
