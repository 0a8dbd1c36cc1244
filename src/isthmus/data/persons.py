"""Who stands behind each row of a snapshot: keyed ids of rows and of persons, for the history of row sets.

They are made beside the rows and never leave the site: no statistic, error, log or message holds one. A row is known
by its person and its codebook values, so a changed value is another row; rows equal in both are told apart by number.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlglot import exp

from isthmus.data.dictionary import base_codebook, population
from isthmus.data.query import Query, Reading, count, read_columns
from isthmus.model.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from isthmus.data.source import Source
    from isthmus.model.codebook import Codebook
    from isthmus.model.study import Study

KeyArray: TypeAlias = NDArray[np.uint64]
_MISSING = np.uint64(0x7FF8_0000_0000_0000)  # the bits of NaN


@dataclass(frozen=True, slots=True)
class Keys:
    """Keyed ids of the rows of a snapshot, in the source's order.

    Attributes:
        rows: (n,) distinct.
        persons: (n,) equal for rows of one person; without a person column, or where it is empty, a row is a person.
    """

    rows: KeyArray
    persons: KeyArray


def check_person(source: Source, person: str | None) -> None:
    """The person column is there.

    Raises:
        Invalid: E-COLUMN-MISSING.
    """
    if person is not None and person not in source.schema():
        raise Invalid("E-COLUMN-MISSING", f"the data have no person column {person!r}", "mend `person` in isthmus.toml")


def people(source: Source, person: str | None) -> int:
    """How many people rows are about: without a person column, or where it is empty, a row is a person. For a site's own eyes.

    Raises:
        Unavailable: E-SOURCE.
    """
    who = exp.Null() if person is None else exp.column(person, quoted=True)
    name = exp.column("who", quoted=True)
    unnamed = count(exp.Is(this=name, expression=exp.Null()))
    asked = {"named": exp.Count(this=exp.Distinct(expressions=[name])), "unnamed": unnamed}
    table = source.fetch(Query({"who": who}, asked))
    return sum(int(column[0].as_py()) for column in table.columns)


NOBODY: KeyArray = np.zeros(0, dtype=np.uint64)


def read_keys(
    source: Source, codebook: Codebook, person: str | None, secret: bytes, elsewhere: KeyArray = NOBODY
) -> Keys:
    """The keys of every row of a source, under the site's own `secret`.

    `elsewhere`: `read_hashes` of sources with the same secret, whose rows are not to be taken for these.

    Raises:
        Invalid: E-COLUMN-MISSING, no such person column.
        Unavailable: E-SOURCE.
    """
    hashes, who = read_hashes(source, codebook, person, secret)
    rows = _distinct(hashes, secret, np.sort(elsewhere))
    return Keys(rows, rows if who is None else np.where(who == _MISSING, rows, who))


def read_hashes(
    source: Source, codebook: Codebook, person: str | None, secret: bytes
) -> tuple[KeyArray, KeyArray | None]:
    """(n,) a keyed hash of each row's person and values, the same for equal rows; (n,) one of each person, if there is a column.

    Raises:
        Invalid, Unavailable: as `read_keys`.
    """
    check_person(source, person)
    reading = _readable(source, codebook)
    columns = {
        name: exp.cast(exp.column(name), exp.DType.VARCHAR)
        if codebook.variables[name].type == "date"
        else exp.column(name)
        for name in reading.variables
    }
    variables = dict(reading.variables)
    if person is not None:
        variables["\0person"] = exp.column(person, quoted=True)
        columns["\0person"] = exp.cast(exp.column("\0person"), exp.DType.VARCHAR)
    table = source.fetch(Reading(variables).query(columns or {"": exp.Literal.number(1)}))
    values = [_bits(column, secret) for column in table.columns]
    hashes = _hashed(np.column_stack(values) if values else np.empty((0, 0), np.uint64), secret)
    return hashes, None if person is None else values[-1]


def positions(source: Source, study: Study, dictionary: Codebook, country: str) -> NDArray[np.intp]:
    """Places, in the source's order, of the rows of the study's population; those of `fetch_frame`, in its order.

    Raises:
        Invalid: as `fetch_frame`.
        Unavailable: E-SOURCE.
    """
    steps = [step for _, step in population(study, dictionary)]
    kept = exp.and_(*(step.tree.copy() for step in steps)) if steps else exp.true()
    names = dict.fromkeys(name for step in steps for name in step.names)
    reading = read_columns(names, base_codebook(study, dictionary), source.schema(), country)
    column: Any = source.fetch(reading.query({"kept": kept})).column(0)
    return np.flatnonzero(pc.fill_null(column, False).to_numpy(zero_copy_only=False))


def same_rows(places: NDArray[np.intp], rows: int) -> None:
    """The source gave the same rows twice.

    Raises:
        Unavailable: E-SOURCE.
    """
    if len(places) != rows:
        raise Unavailable("E-SOURCE", "the source changed while it was read", "serve a snapshot that stands still")


def _readable(source: Source, codebook: Codebook) -> Reading:
    """Variables of the codebook that the source has and that can be read; a study that needs another fails elsewhere."""
    schema = source.schema()
    found: dict[str, exp.Expr] = {}
    for name in codebook.variables:
        if name in schema:
            try:
                found |= read_columns([name], codebook, schema, "").variables
            except Invalid:
                continue
    return Reading(found)


def _bits(column: Any, secret: bytes) -> KeyArray:
    """A column as 64 bits a row: numbers as they are, texts hashed."""
    array: Any = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_boolean(array.type) or pa.types.is_integer(array.type) or pa.types.is_decimal(array.type):
        array = pc.cast(array, pa.float64(), safe=False)
    if pa.types.is_floating(array.type):
        numbers = np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64) + 0.0  # no negative zero
        return np.where(np.isnan(numbers), _MISSING, numbers.view(np.uint64))
    coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    texts = [_digest(str(text).encode(), secret) for text in coded.dictionary.to_pylist()]
    codes = pc.fill_null(pc.cast(coded.indices, pa.int64()), len(texts)).to_numpy(zero_copy_only=False)
    hashes: KeyArray = np.array([*texts, int(_MISSING)], dtype=np.uint64)[codes]
    return hashes


def _hashed(values: KeyArray, secret: bytes) -> KeyArray:
    """(n,) one keyed hash for each row of (n, k)."""
    width = values.shape[1] * values.itemsize
    raw = memoryview(np.ascontiguousarray(values).tobytes())
    made = (_digest(raw[at : at + width], secret) for at in range(0, len(raw), width or 1))
    return np.fromiter(made, dtype=np.uint64, count=len(values))


def _distinct(hashes: KeyArray, secret: bytes, before: KeyArray) -> KeyArray:
    """Equal rows numbered, after those `before` (sorted): the second and later get a hash of their own."""
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    first = np.flatnonzero(np.diff(ranked, prepend=~ranked[:1]) != 0)
    number = np.arange(len(hashes)) - np.repeat(first, np.diff(first, append=len(hashes)))
    number += np.searchsorted(before, ranked, side="right") - np.searchsorted(before, ranked, side="left")
    made = hashes.copy()
    for at, n in zip(order[number > 0].tolist(), number[number > 0].tolist(), strict=True):
        made[at] = _digest(int(hashes[at]).to_bytes(8, "big") + int(n).to_bytes(8, "big"), secret)
    return made


def _digest(raw: bytes | memoryview, secret: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8, key=secret).digest(), "big")
