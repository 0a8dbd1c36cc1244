"""A site and a hub in miniature for the disclosure attacks: the real statistic, with the gate or without."""

from __future__ import annotations

from functools import reduce

import numpy as np

from isthmus.disclosure.gate import clear, release
from isthmus.disclosure.site import consider
from isthmus.model.canonical import digest
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.formula import design, parse
from isthmus.model.rules import Dominance, Rules
from isthmus.statistics.contract import Inputs, Setting
from isthmus.statistics.glm import STATISTIC as GLM
from isthmus.statistics.glm import Glm
from isthmus.summary import add

FLOOR = Rules(
    minimum_count=11,
    minimum_count_site=11,
    round_to=5,
    zeros="allowed",
    dominance=Dominance(n=2, k=0.9, p=0.1),
    minimum_dof=10,
    parameters_per_row=0.1,
    maximum_leverage=0.5,
    maximum_weight_share=0.1,
    minimum_sites=3,
    digits=4,
)
IDENTITY = {"step": "newton", "response_scale": 1.0}  # of a steered round


class Lab:
    """One glm over several sites' numeric columns."""

    def __init__(self, formula: str, family: str, sites: list[dict[str, np.ndarray]]) -> None:
        variables = {name: Variable(type="number", range=(-1000.0, 1000.0)) for name in sites[0]}
        book = Codebook(name="lab", variables=variables)
        parsed = parse(formula)
        made = design(parsed, book, {}, {})
        self.question = Glm(formula=formula, family=family)
        self.setting = Setting(sites=len(sites), dictionary=book, levels={}, conf_level=0.95, design=made)
        self.prepared = [self._prepare(site) for site in sites]

    def _prepare(self, site: dict[str, np.ndarray]):
        rows = len(next(iter(site.values())))
        numbers = {name: np.asarray(values, dtype=np.float64) for name, values in site.items()}
        names = [column.name for column in self.setting.design.columns]
        columns = np.array([np.ones(rows) if name == "(Intercept)" else numbers[name] for name in names])
        return GLM.prepare(self.question, self.setting, Inputs(rows=rows, numbers=numbers, codes={}, design=columns))

    def bare(self):
        """The estimate as sums without any rule give it."""
        flow = GLM.flow(self.question, self.setting)
        asked = next(flow)
        while True:
            parts = [self.answer(site, asked).summary for site in range(len(self.prepared))]
            try:
                asked = flow.send(reduce(add, parts))
            except StopIteration as ended:
                return ended.value

    def answer(self, site: int, asked):
        """One site's bare answer to one round."""
        return GLM.summarise(self.question, self.setting, self.prepared[site], asked)

    def considered(self, site: int, rules: Rules = FLOOR):
        """What the rules say of the question at one site."""
        return consider(GLM.evidence(self.question, self.setting, self.prepared[site]), rules)

    def gated(self, site: int, asked=None, rules: Rules = FLOOR):
        """One site's release of a round (the first by default); Refused when a rule fails."""
        clearance = clear(digest(self.question), self.considered(site, rules), "glm")
        answer = self.answer(site, next(GLM.flow(self.question, self.setting)) if asked is None else asked)
        return release(answer.summary, answer.weights, clearance, rules)


def failing(considered) -> set[str]:
    """Names of the rules that fail."""
    return {verdict.rule for verdict in considered.verdicts if verdict.broken}


def patients(seed: int, rows: int) -> dict[str, np.ndarray]:
    """Invented patients: age, blood pressure, treatment, death."""
    rng = np.random.default_rng(seed)
    age = np.round(rng.uniform(40, 90, rows), 1)
    return {
        "age": age,
        "pressure": np.round(rng.normal(140, 20, rows), 1),
        "treated": (rng.uniform(size=rows) < 0.5).astype(float),
        "died": (rng.uniform(size=rows) < 0.3).astype(float),
        "cost": np.round(rng.gamma(2.0, 1.5, rows), 4),
    }
