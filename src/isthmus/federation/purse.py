"""A site's durable privacy budget (`disclosure.budget.Purse`), in its store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import sqlalchemy as sa

from isthmus.disclosure.budget import Account, Charge, exhausted, rest
from isthmus.federation.store import Store
from isthmus.federation.tables import SPENT
from isthmus.governance.agreement import Agreement
from isthmus.model.privacy import Privacy


@dataclass(frozen=True, slots=True)
class SqlPurse:
    """The budget of one dataset.

    Args:
        store: the site's own.
        lineage: what shares one budget: the dataset under its agreement's id, whatever version or snapshot.
        privacy: as agreed.
        account: who asks now.
    """

    store: Store
    lineage: str
    privacy: Privacy
    account: Account

    def left(self) -> Fraction:
        """What may still be spent."""
        return self.store.transact(self._rest)

    def paid(self, key: str) -> bool:
        """Whether it was paid for."""
        return bool(self.store.rows(sa.select(SPENT.c.id).where(SPENT.c.lineage == self.lineage, SPENT.c.key == key)))

    def spend(self, key: str, rho: Fraction, make: Callable[[], bytes]) -> bytes:
        """Make and pay once. The charge is written before the rest is looked at, so that no other writer comes between."""

        def work(connection: sa.Connection) -> bytes:
            mine = sa.and_(SPENT.c.lineage == self.lineage, SPENT.c.key == key)
            held = connection.execute(sa.select(SPENT.c.noised).where(mine)).scalar()
            if held is not None:
                return bytes(held)
            values = {"person": self.account.person, "project": self.account.project, "rho": str(rho)}
            noised = make()
            connection.execute(sa.insert(SPENT).values(lineage=self.lineage, key=key, noised=noised, **values))
            if self._rest(connection) < 0:
                raise exhausted()
            return noised

        return self.store.transact(work)

    def spent(self) -> Fraction:
        """What all researchers and projects have spent on this dataset."""
        query = sa.select(SPENT.c.rho).where(SPENT.c.lineage == self.lineage)
        return sum((Fraction(rho) for (rho,) in self.store.rows(query)), Fraction(0))

    def _rest(self, connection: sa.Connection) -> Fraction:
        columns = (SPENT.c.person, SPENT.c.project, SPENT.c.rho)
        query = sa.select(*columns, sa.func.count()).where(SPENT.c.lineage == self.lineage).group_by(*columns)
        charges = (
            Charge(account=Account(person=person, project=project), rho=Fraction(rho), times=times)
            for person, project, rho, times in connection.execute(query)
        )
        return rest(self.privacy, self.account, charges)


def budget_of(agreement: Agreement, dataset: str) -> str:
    """What shares one privacy budget: a dataset under its agreement's id, whatever version or snapshot."""
    return f"{agreement.id} {dataset}"
