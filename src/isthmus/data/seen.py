"""What rows hold, as a codebook: distinct texts as levels, the ends of numbers as ranges. For a site's own eyes.

Nothing of it leaves the site: levels and ranges of a study come from the agreed codebook.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from sqlglot import exp

from isthmus.data.query import read_columns
from isthmus.model.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isthmus.data.query import Reading
    from isthmus.data.source import Source
    from isthmus.model.codebook import Codebook, Variable

ROWS = 1 << 16  # looked at together


def seen(source: Source, codebook: Codebook) -> Codebook:
    """The codebook's variables as the rows have them, codes that mean missing left out.

    A variable that no row has a value of, or that cannot be read as it is declared, is left out: no study can show it.

    Raises:
        Unavailable: E-SOURCE. Invalid: E-RESERVED-NAME.
    """
    return replace(codebook, variables=dict(_variables(source, codebook)))


def _variables(source: Source, codebook: Codebook) -> Iterator[tuple[str, Variable]]:
    for name, variable in codebook.variables.items():
        try:
            reading = read_columns([name], codebook, source.schema(), "")
        except Invalid as error:
            if error.code == "E-RESERVED-NAME":
                raise
            continue
        if variable.type == "category":
            texts = _texts(source, reading, name)
            if texts:
                yield name, replace(variable, levels=texts)
        elif variable.type in {"number", "integer"}:
            ends = _ends(source, reading, name)
            if ends is not None:
                yield name, replace(variable, levels=None, range=ends)
        else:
            yield name, variable


def _texts(source: Source, reading: Reading, name: str) -> tuple[str, ...]:
    found: set[str] = set()
    for batch in source.batches(reading.query({name: exp.column(name, quoted=True)}), ROWS):
        found |= {text for text in pc.unique(batch.column(0)).to_pylist() if text is not None}
    return tuple(sorted(found))


def _ends(source: Source, reading: Reading, name: str) -> tuple[float, float] | None:
    value = exp.column(name, quoted=True)
    table = source.fetch(reading.query({"low": exp.Min(this=value), "high": exp.Max(this=value.copy())}))
    low, high = (column[0].as_py() for column in table.columns)
    return None if low is None else (float(low), float(high))
