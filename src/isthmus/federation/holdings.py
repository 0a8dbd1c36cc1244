"""What a site's configuration says it holds: rows, codebook and person column of each dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.data.dictionary import read_codebook
from isthmus.data.persons import check_person
from isthmus.data.source import Source, open_source
from isthmus.federation.config import Config, resolve
from isthmus.model.codebook import Codebook


@dataclass(frozen=True, slots=True)
class Holdings:
    """The datasets of a configuration; what it does not map is None."""

    config: Config
    environ: Mapping[str, str]

    def codebook(self, dataset: str) -> Codebook | None:
        """As this site has it. Invalid, Unavailable: those of `read_codebook`."""
        entry = self.config.tables.dataset.get(dataset)
        return read_codebook(self.config.path(entry.codebook)) if entry and entry.codebook else None

    def source(self, dataset: str) -> Source | None:
        """The rows. Invalid, Unavailable: E-SOURCE."""
        entry = self.config.tables.dataset.get(dataset)
        if entry is None or entry.source is None:
            return None
        place = resolve(entry.source, self.config.base, self.environ)
        path = str(self.config.path(place))
        return open_source(f"{path}::{entry.table}" if path.endswith(".duckdb") and entry.table else path)

    def person(self, dataset: str, book: Codebook, source: Source) -> str | None:
        """The person column: as configured, which must be there, or as the codebook calls it, where it is there."""
        stated = self.config.tables.dataset[dataset].person
        check_person(source, stated)
        return stated or (book.person if book.person in source.schema() else None)
