"""The privacy budget of a dataset at one site: what was spent, by whom, and the hard stop.

Pure: a store keeps the charges. A charge and the noised values it pays for are one entry, kept in one transaction
before anything leaves; so a charge is never forgotten, and the same question gets the same values again for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from isthmus.model.errors import Invalid, Refused
from isthmus.model.privacy import Privacy, exact
from isthmus.model.record import record


@record
class Account:
    """Who spends: one researcher, for one project (`""` is the project of studies that name none)."""

    person: str
    project: str


@record
class Charge:
    """Releases that were paid for, of one account and price."""

    account: Account
    rho: Fraction
    times: int = 1


class Purse(Protocol):
    """The budget of one dataset as one account sees it."""

    def left(self) -> Fraction:
        """What this account may still spend: the least of the dataset's, the person's and the project's rest."""

    def paid(self, key: str) -> bool:
        """Whether the release `key` was paid for already."""

    def spend(self, key: str, rho: Fraction, make: Callable[[], bytes]) -> bytes:
        """The values of a release, made and paid for once; durable before this returns.

        Raises:
            Refused: E-BUDGET; then nothing was spent and nothing kept.
            Unavailable: E-DISK, E-STORE.
        """


def rest(privacy: Privacy, account: Account, charges: Iterable[Charge]) -> Fraction:
    """What `account` may still spend after `charges`; negative when a later agreement lowered the budget."""
    held = [(c.account, c.rho * c.times) for c in charges]
    spent = sum((rho for _, rho in held), Fraction(0))
    person = sum((rho for who, rho in held if who.person == account.person), Fraction(0))
    project = sum((rho for who, rho in held if who.project == account.project), Fraction(0))
    limits = ((privacy.rho, spent), (privacy.per_person, person), (privacy.per_project, project))
    return min(exact(limit) - used for limit, used in limits)


def check_privacy(privacy: Privacy, least: int, sites: int) -> None:
    """Refuse a budget that makes no sense.

    Args:
        privacy: as stated.
        least: sites that a sum holds at least, by the rules.
        sites: sites that are asked.

    Raises:
        Invalid: E-PRIVACY.
    """
    survivors = privacy.minimum_survivors or least
    checks = (
        ("rho", "above 0", privacy.rho > 0.0),
        ("delta", "between 0 and 1", 0.0 < privacy.delta < 1.0),
        ("per_person", "above 0, at most rho", 0.0 < privacy.per_person <= privacy.rho),
        ("per_project", "above 0, at most rho", 0.0 < privacy.per_project <= privacy.rho),
        ("minimum_survivors", f"from minimum_sites = {least} to the {sites} sites", least <= survivors <= sites),
        ("colluders", "at least 1, and fewer than the sites in a sum", 1 <= privacy.colluders < survivors),
    )
    for name, allowed, holds in checks:
        if not holds:
            raise Invalid("E-PRIVACY", f"{name} is out of range", f"{name} must be {allowed}", f"privacy.{name}")


def exhausted() -> Refused:
    """The hard stop; it names no figure."""
    return Refused(
        "E-BUDGET",
        "the privacy budget of this dataset does not cover the question",
        "ask less, state a smaller rho, or agree on a new budget",
    )


@dataclass(slots=True)
class MemoryPurse:
    """A budget that lives as long as it is held: for a rehearsal, one run; for tests."""

    privacy: Privacy
    account: Account
    kept: dict[str, bytes] = field(default_factory=dict)
    prices: Counter[Fraction] = field(default_factory=Counter)

    def left(self) -> Fraction:
        """What may still be spent."""
        charges = (Charge(account=self.account, rho=rho, times=times) for rho, times in self.prices.items())
        return rest(self.privacy, self.account, charges)

    def paid(self, key: str) -> bool:
        """Whether it was paid for."""
        return key in self.kept

    def spend(self, key: str, rho: Fraction, make: Callable[[], bytes]) -> bytes:
        """Make and pay once."""
        if key not in self.kept:
            if rho > self.left():
                raise exhausted()
            self.kept[key] = make()
            self.prices[rho] += 1
        return self.kept[key]
