"""One question of a run, with its settings: from public facts alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from isthmus.model import formula
from isthmus.model.canonical import digest
from isthmus.model.names import Digest
from isthmus.statistics.contract import Grid, Needs, Setting, Statistic


@dataclass(frozen=True)
class Question:
    """One question of the run: its statistic, arguments, and a setting for each rung of its ladder.

    A question of one `country` or one `site` is that of the analysis `of`, over the sites there: the others send zeros.
    Of a country it has no vote of its own, for a site there agreed to the same sums on the same rows when it agreed to
    the analysis. A site votes on its own answer beside that of all: it may agree to the one and not to the other.

    One that `lacks` a derived variable counts the rows of the population in which it is missing; `behind`: the columns
    that it reads.
    """

    name: str
    statistic: Statistic
    arguments: Any
    needs: Needs
    base: Setting
    rungs: tuple[Grid | None, ...]
    where: tuple[str, ...] = ()
    country: str | None = None
    site: str | None = None
    of: str = ""
    lacks: str = ""
    behind: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> Digest:
        """Content address of what is asked: everything that makes its columns, so that a cache never serves another's."""
        asked = {
            "kind": self.statistic.kind,
            "arguments": self.arguments,
            "where": self.where,
            "reads": self.reads,
            "levels": self.base.levels,
            "design": self.base.design,
            "rungs": [rung and {"edges": rung.edges, "recorded": rung.recorded} for rung in self.rungs],
            "conf_level": self.base.conf_level,
            "sites": self.base.sites,
        }
        if self.base.privacy is not None:
            rho, honest = self.base.privacy.rho, self.base.privacy.honest
            asked["privacy"] = [*map(str, rho), honest]
        return digest(asked)

    def setting(self, rung: int) -> Setting:
        """Public facts on one rung."""
        return replace(self.base, grid=self.rungs[rung])

    def concerns(self, site: str, country: str) -> bool:
        """Whether a site's rows enter."""
        return self.country in {None, country} and self.site in {None, site}

    @property
    def whose(self) -> tuple[str, ...]:
        """The country or site whose answer it is; empty of all."""
        return tuple(filter(None, (self.country, self.site)))

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Every variable the question reads."""
        return reads(self.needs)


def reads(needs: Needs) -> tuple[str, ...]:
    """The variables behind `needs`, each once."""
    inside = formula.variables(needs.formula) if needs.formula else ()
    return tuple(dict.fromkeys((*needs.numbers, *needs.categories, *inside, *needs.times, *needs.keys)))
