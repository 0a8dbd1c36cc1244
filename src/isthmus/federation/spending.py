"""What one run spends of a site's privacy budget: whether a question is covered, and what each release takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from isthmus.disclosure.budget import Purse
from isthmus.disclosure.gate import Till
from isthmus.federation.question import Question
from isthmus.federation.script import chain
from isthmus.model.canonical import digest
from isthmus.statistics.contract import Round
from isthmus.summary import Summary


@dataclass(slots=True)
class Spending:
    """One run of one site; `purse` is None where the dataset has no budget.

    Args:
        purse: the site's budget.
        rows: digest of what makes the site's rows: snapshot, population, derived variables, rules.
        randomness: cryptographic.
    """

    purse: Purse | None
    rows: str
    randomness: Callable[[int], bytes]
    _heard: dict[str, str] = field(default_factory=dict)
    _pledged: dict[str, Fraction] = field(default_factory=dict)

    def affords(self, question: Question, rung: int) -> bool:
        """Whether the budget covers this question after those before it in the study; charges alone decide, no row."""
        allowed, purse = question.base.privacy, self.purse
        if allowed is None or purse is None:
            return allowed is None
        if purse.paid(self._key(question, rung, 1)):
            return True
        others = sum((rho for name, rho in self._pledged.items() if name != question.name), Fraction(0))
        wanted = Fraction(*allowed.rho)
        if others + wanted > purse.left():
            return False
        self._pledged[question.name] = wanted
        return True

    def till(self, question: Question, rung: int, number: int, asked: Round) -> Till | None:
        """Noise and budget of a round; None where it has no noise."""
        if asked.noise is None or self.purse is None:
            return None
        return Till(asked.noise, self.purse, self._key(question, rung, number), self.randomness)

    def hear(self, question: str, pooled: Summary) -> None:
        """A sum was learned: what is asked next depends on it."""
        if self.purse is not None:
            self._heard[question] = chain(self._heard.get(question, ""), pooled)

    def _key(self, question: Question, rung: int, number: int) -> str:
        """Equal for the same question, rung, round and sums so far on the same rows."""
        heard = self._heard.get(question.name, "") if number > 1 else ""
        return digest([question.digest, rung, number, heard, self.rows])
