"""A privacy budget under attack: a site's gate in miniature (real noise, real purse, no wire), and whole runs over sites."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa

import isthmus
from isthmus.disclosure.budget import Account, MemoryPurse, Purse
from isthmus.disclosure.gate import Till, clear, release
from isthmus.disclosure.site import consider
from isthmus.evidence import Evidence
from isthmus.model.canonical import digest
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.privacy import Allowance, Privacy, exact
from isthmus.model.rules import OPEN
from isthmus.statistics.contract import Setting
from isthmus.statistics.noisy.grid import Bounded, noise, quantised, unquantised
from isthmus.summary import Field, Layout, Summary
from stated_rules import STRICT

ADA = Account(person="ada", project="")


def bytes_of(seed: int) -> Callable[[int], bytes]:
    """Bytes that are the same in every run of a test."""
    return np.random.Generator(np.random.PCG64(seed)).bytes


def purse(rho: float) -> MemoryPurse:
    """A budget."""
    return MemoryPurse(Privacy(rho=rho, delta=1e-6, per_person=rho, per_project=rho, colluders=1), ADA)


@dataclass
class Site:
    """One site that answers sums over its rows, each row's part between -1 and 1."""

    purse: Purse
    randomness: Callable[[int], bytes]
    asked: int = field(default=0)

    def answer(self, parts: np.ndarray, rho: float, key: str | None = None) -> np.ndarray:
        """Noisy sums of `parts` (rows, values); a new question each time unless `key` says which it is."""
        values = parts.shape[1]
        stated = exact(rho)
        allowed = Allowance(rho=(stated.numerator, stated.denominator), honest=1)
        setting = Setting(
            sites=1, dictionary=Codebook(name="lab", variables={}), levels={}, conf_level=0.95, privacy=allowed
        )
        added = noise(setting, {"sums": Bounded(Fraction(values), Fraction(1), values)})
        layout = Layout(fields=(Field(name="sums", shape=(values,), kind="count"),))
        exactly = quantised(parts, added.fields["sums"]).sum(axis=0)
        self.asked += 1
        name = digest({"key": key or f"question {self.asked}"})
        cleared = clear(name, consider(Evidence(rows=len(parts)), OPEN), "count", allowed)
        till = Till(added, self.purse, name, self.randomness)
        sent = release(Summary(layout, {"sums": exactly}), None, cleared, OPEN, None, till)
        return unquantised(sent.summary.values["sums"], added.fields["sums"])


def run(tables: Mapping[str, np.ndarray], rho: float, analyses: Mapping[str, Any]) -> isthmus.Result:
    """A study over whole sites with a budget of `rho`; each holds (people, columns) of 0 and 1, named B0, B1, ...

    Counts are not rounded and digits not cut: what people see is what left the sites.
    """
    names = [f"B{k}" for k in range(next(iter(tables.values())).shape[1])]
    sites = {
        site: pa.table({"id": [f"{site}-{i}" for i in range(len(rows))]} | dict(zip(names, rows.T, strict=True)))
        for site, rows in tables.items()
    }
    zero_one = {name: Variable(type="integer", range=(0, 1)) for name in names}
    budget = {"rho": rho, "delta": 1e-6, "per_person": rho, "per_project": rho, "colluders": 1}
    return isthmus.rehearse(
        isthmus.Study(title="t", dataset="d", purpose={"duo": "DUO:0000007", "text": "t"}, analyses=analyses),
        sites,
        rules={**STRICT, "round_to": 1, "digits": 17, "privacy": budget},
        codebook=Codebook(name="d", person="id", variables=zero_one),
    )


def means(result: isthmus.Result, name: str) -> np.ndarray:
    """The noisy means of every column."""
    return np.array([cell["mean"] for cell in result[name].to_dict()["cells"]])
