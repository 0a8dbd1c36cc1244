"""Whether a site's rows are what its party calls them: without HIPAA's 18 identifiers. Looked at beside the rows, before any is served.

Only the site's own custodian is told what shows: to others it would be a fact of the rows, so the site is silent instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from isthmus.data.seen import seen
from isthmus.data.source import Source
from isthmus.federation.holdings import Holdings
from isthmus.federation.node import Ledger
from isthmus.governance.agreement import Agreement
from isthmus.governance.citations import grounded
from isthmus.governance.duties import Custody
from isthmus.governance.identifiers import Scan, scan
from isthmus.governance.rulepack import own_pack
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid, Refused, Unavailable

CODE = "E-IDENTIFIERS"
ANY, AGES_AND_ZIPS = "US-HIP-02", "US-HIP-03"


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
            Refused: E-IDENTIFIERS.
        """
        for dataset in (entry.dataset for entry in self.agreement.datasets):
            try:
                book, source = holdings.codebook(dataset), holdings.source(dataset)
                if book is not None and source is not None:
                    self._look(dataset, source, book)
            except Refused as refused:
                private.append("refusal", grounded({"what": "rows", "code": refused.code, "rule": refused.where}))
                raise
            except (Invalid, Unavailable):
                continue

    def before_use(self, dataset: str, source: Source, book: Codebook) -> None:
        """Look at a snapshot that a study is to read. What it shows is no answer: the site is silent, as without its data.

        Raises:
            Unavailable: E-IDENTIFIERS, E-SOURCE.
        """
        try:
            self._look(dataset, source, book)
        except Refused as refused:
            raise Unavailable(refused.code, refused.message, refused.hint, refused.where) from refused

    def _look(self, dataset: str, source: Source, book: Codebook) -> None:
        if not claims_none(self.agreement, self.site, dataset):
            return  # and no file is hashed for it
        now = source.fingerprint()
        if self.clean.get(dataset) != now:
            check_rows(self.agreement, self.site, dataset, source, book)
            self.clean[dataset] = now


def check_rows(agreement: Agreement, site: str, dataset: str, source: Source, book: Codebook) -> None:
    """Of a dataset whose party claims that there are none, rows show no identifier; of what the codebook shows the rules speak.

    Raises:
        Refused: E-IDENTIFIERS, with the columns and the rule; `where` is the rule's id. For the custodian alone.
        Unavailable: E-SOURCE. Invalid: E-RESERVED-NAME.
    """
    if not claims_none(agreement, site, dataset):
        return
    declared, shown = (scan(each, agreement.expires) for each in (book, seen(source, book)))
    new = list(_new(declared, shown))
    if not new:
        return
    worse = (declared.age90_ok and not shown.age90_ok) or (declared.zip3_ok and not shown.zip3_ok)
    rule = next(r for r in own_pack().rules if r.id == (AGES_AND_ZIPS if worse else ANY))
    raise Refused(
        CODE,
        f"the rows of {dataset!r} show identifiers that its codebook does not: {'; '.join(new)}",
        f"mend the data, or state what they are and agree anew; rule {rule.id}: {rule.citation}",
        rule.id,
    )


def claims_none(agreement: Agreement, site: str, dataset: str) -> bool:
    """Whether the party of a site claims that its rows of a dataset show no identifier."""
    return any(says_gone(held) for held in _held(agreement, site, dataset))


def says_gone(held: Custody) -> bool:
    """Whether a controller says that the identifiers are gone: as `applies` of the rules US-HIP-02 and US-HIP-03."""
    named = held.identifiability != "hipaa_expert" and held.hipaa_path == "deidentified"
    return held.identifiability == "hipaa_safe_harbor" or named


def _held(agreement: Agreement, site: str, dataset: str) -> Iterable[Custody]:
    """What the site's party states of the dataset; of a processor's rows, what any controller does."""
    stated, party = agreement.dataset(dataset).custody or (), agreement.site(site).party
    return [held for held in stated if held.controller == party] or stated


def _new(declared: Scan, shown: Scan) -> Iterator[str]:
    for letter, names in shown.found.items():
        more = [name for name in names if name not in declared.found.get(letter, ())]
        if more:
            yield f"({letter}) {', '.join(more)}"
