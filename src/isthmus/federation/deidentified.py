"""Whether a site's rows are what its party says: de-identified, limited or anonymous, and of no more people of the United States.

They are looked at where they are, before any is served.

Only the site's own custodian is told what shows: to others it would be a fact of the rows, so the site is silent instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from isthmus.data.persons import people
from isthmus.data.seen import seen
from isthmus.data.source import Source
from isthmus.federation.holdings import Holdings
from isthmus.federation.node import Ledger
from isthmus.governance.agreement import Agreement
from isthmus.governance.anonymity import AGES_AND_ZIPS, Shown, claimed_by, says_gone, shown_against
from isthmus.governance.citations import grounded
from isthmus.governance.duties import Custody
from isthmus.governance.identifiers import scan
from isthmus.governance.rulepack import own_pack
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid, Refused, Unavailable

CODE = "E-IDENTIFIERS"
COUNTED = "US-DSP-04"


@dataclass(frozen=True, slots=True)
class Rows:
    """A site's looks at its rows under an agreement, each snapshot once.

    Attributes:
        clean: fingerprint of each dataset's snapshot that showed nothing.
    """

    agreement: Agreement
    site: str
    clean: dict[str, str] = field(default_factory=dict)

    def at_start(self, holdings: Holdings, private: Ledger) -> None:
        """Look before anything is served; a dataset that cannot be opened now is looked at when a study comes.

        Raises:
            Refused: E-IDENTIFIERS, E-PEOPLE.
        """
        for dataset in (entry.dataset for entry in self.agreement.datasets):
            try:
                book, source = holdings.codebook(dataset), holdings.source(dataset)
                if book is not None and source is not None:
                    self._look(dataset, source, book, holdings.person(dataset, book, source))
            except Refused as refused:
                private.append("refusal", grounded({"what": "rows", "code": refused.code, "rule": refused.where}))
                raise
            except (Invalid, Unavailable):
                continue

    def before_use(self, dataset: str, source: Source, book: Codebook, person: str | None) -> None:
        """Look at a snapshot that a study is to read. What it shows is no answer: the site is silent, as without its data.

        Raises:
            Unavailable: E-IDENTIFIERS, E-PEOPLE, E-SOURCE.
        """
        try:
            self._look(dataset, source, book, person)
        except Refused as refused:
            raise Unavailable(refused.code, refused.message, refused.hint, refused.where) from refused

    def _look(self, dataset: str, source: Source, book: Codebook, person: str | None) -> None:
        most = most_people(self.agreement, self.site, dataset)
        if most is None and not claims_none(self.agreement, self.site, dataset):
            return  # and no file is hashed for it
        now = source.fingerprint()
        if self.clean.get(dataset) != now:
            check_rows(self.agreement, self.site, dataset, source, book)
            check_people(dataset, source, person, most)
            self.clean[dataset] = now


def check_rows(agreement: Agreement, site: str, dataset: str, source: Source, book: Codebook) -> None:
    """Rows show no identifier that their party claims is not there; of what the codebook shows the rules speak.

    Raises:
        Refused: E-IDENTIFIERS, with the columns and the rule; `where` is the rule's id. For the custodian alone.
        Unavailable: E-SOURCE. Invalid: E-RESERVED-NAME.
    """
    if not claims_none(agreement, site, dataset):
        return
    declared, shown = (scan(each, agreement.expires) for each in (book, seen(source, book)))
    for held in _held(agreement, site, dataset):
        new = list(_new(shown_against(held, declared), shown_against(held, shown)))
        if not new:
            continue
        worse = (declared.age90_ok and not shown.age90_ok) or (declared.zip3_ok and not shown.zip3_ok)
        by = AGES_AND_ZIPS if worse and says_gone(held) else claimed_by(held)
        rule = next(r for r in own_pack().rules if r.id == by)
        raise Refused(
            CODE,
            f"the rows of {dataset!r} show identifiers that its codebook does not: {'; '.join(new)}",
            f"mend the data, or state what they are and agree anew; rule {rule.id}: {rule.citation}",
            rule.id,
        )


def check_people(dataset: str, source: Source, person: str | None, most: int | None) -> None:
    """Rows are about no more people than are stated: the bulk thresholds of 28 CFR 202.205 rest on it.

    Raises:
        Refused: E-PEOPLE, which tells no number; `where` is the rule's id. For the custodian alone. Unavailable: E-SOURCE.
    """
    if most is None or people(source, person) <= most:
        return
    rule = next(r for r in own_pack().rules if r.id == COUNTED)
    raise Refused(
        "E-PEOPLE",
        f"the rows of {dataset!r} are about more people of the United States than `people_us` states",
        f"state how many there are and agree anew; rule {rule.id}: {rule.citation}",
        rule.id,
    )


def most_people(agreement: Agreement, site: str, dataset: str) -> int | None:
    """How many people a site's rows can be about by what is stated; None where not all of them are of the United States."""
    held = tuple(_held(agreement, site, dataset))
    known = [h.people_us for h in held if h.people_us is not None and tuple(h.subjects) == ("US",)]
    return sum(known) if held and len(known) == len(held) else None


def claims_none(agreement: Agreement, site: str, dataset: str) -> bool:
    """Whether the party of a site claims that its rows of a dataset show no identifier, or none that is direct."""
    return any(claimed_by(held) for held in _held(agreement, site, dataset))


def _held(agreement: Agreement, site: str, dataset: str) -> Iterable[Custody]:
    """What the site's party states of the dataset; of a processor's rows, what any controller does."""
    stated, party = agreement.dataset(dataset).custody or (), agreement.site(site).party
    return [held for held in stated if held.controller == party] or stated


def _new(declared: Shown, shown: Shown) -> Iterator[str]:
    for letter, names in shown.items():
        more = [name for name in names if name not in declared.get(letter, ())]
        if more:
            yield f"({letter}) {', '.join(more)}"
