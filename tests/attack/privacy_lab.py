"""A site's gate with a privacy budget, in miniature: real noise, real purse, real gate; no wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from isthmus.disclosure.budget import Account, MemoryPurse, Purse
from isthmus.disclosure.gate import Till, clear, release
from isthmus.disclosure.site import consider
from isthmus.evidence import Evidence
from isthmus.model.canonical import digest
from isthmus.model.codebook import Codebook
from isthmus.model.privacy import Allowance, Privacy, exact
from isthmus.model.rules import OPEN
from isthmus.statistics.contract import Setting
from isthmus.statistics.noisy.grid import Bounded, noise, quantised, unquantised
from isthmus.summary import Field, Layout, Summary

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
