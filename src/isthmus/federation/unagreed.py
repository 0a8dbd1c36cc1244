"""What a site says at its start of codebooks and columns that are not as agreed; a study that needs them is refused when it comes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from isthmus.federation.by_law import refusal_of
from isthmus.federation.holdings import Holdings
from isthmus.federation.refusals import Refusals
from isthmus.governance.agreement import DatasetEntry
from isthmus.governance.citations import cited
from isthmus.model.canonical import digest
from isthmus.model.errors import Invalid, Refused, Unavailable


def say(
    site: str, datasets: Iterable[DatasetEntry], holdings: Holdings, refusals: Refusals, log: logging.Logger
) -> None:
    """Log it, and enter a codebook that is not the agreed one, once a day; what cannot be opened now is refused when asked.

    Raises:
        Unavailable: E-DISK.
    """
    for entry in datasets:
        try:
            book, source = holdings.codebook(entry.dataset), holdings.source(entry.dataset)
            columns = set(source.schema()) if source is not None else set[str]()
        except (Invalid, Unavailable):
            continue
        if book is None:
            continue
        more = sorted(columns - set(book.variables) - {book.person})
        if more:
            log.warning(
                "%s: columns that its codebook does not have, and no study reads: %s", entry.dataset, ", ".join(more)
            )
        if digest(book) != entry.codebook:
            error = cited(Refused("E-CODEBOOK", f"the codebook of {entry.dataset!r} is not the agreed one", _MEND))
            log.warning("%s", error)
            refusals.enter(entry.dataset, {"by": site, "what": "codebook", "about": entry.dataset, **refusal_of(error)})


_MEND = "use the agreed codebook, or agree on the new one"
