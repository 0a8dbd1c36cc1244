"""Arrow columns as arrays: numbers as float64 with NaN for missing, categories as codes with -1 for missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.model.design import BOOLEAN_LEVELS
from isthmus.model.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isthmus.summary import FloatArray

CodeArray: TypeAlias = NDArray[np.int32]
MISSING = -1
LARGEST = 1e60  # of any number: a fourth power of it is still one


@dataclass(frozen=True, slots=True)
class Coded:
    """A category: (rows,) int32 codes into `levels`, -1 for missing; `levels` are those found, in no order."""

    codes: CodeArray
    levels: tuple[str, ...]


Column: TypeAlias = "FloatArray | Coded"


def decode(column: Any, name: str) -> FloatArray | Coded:
    """An Arrow column (chunked or not) as arrays; what of it cannot be computed with, `beyond` says.

    Raises:
        Invalid: E-COLUMN-TYPE.
    """
    array: Any = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = array.type
    if pa.types.is_boolean(kind):
        return Coded(_filled(pc.cast(array, pa.int32())), BOOLEAN_LEVELS)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        values: FloatArray = pc.cast(array, pa.float64()).to_numpy(zero_copy_only=False)
        return values
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        coded = array if pa.types.is_dictionary(kind) else array.dictionary_encode()
        return Coded(_filled(pc.cast(coded.indices, pa.int32())), tuple(coded.dictionary.to_pylist()))
    raise Invalid("E-COLUMN-TYPE", f"{name!r} is neither a number nor a category", "derive a number from it")


def beyond(column: FloatArray | Coded, name: str) -> Invalid | None:
    """E-NOT-FINITE, where some value is infinite or absurd; not which, and not how many."""
    if isinstance(column, Coded) or not np.any(np.abs(column) > LARGEST):
        return None
    message = f"{name!r} is infinite or beyond 1e60 in some rows"
    return Invalid("E-NOT-FINITE", message, "mend the data or the expression")


def recode(column: FloatArray | Coded, name: str, levels: Sequence[str]) -> CodeArray:
    """Codes into `levels`; -1 for missing.

    Raises:
        Invalid: E-LEVEL, when a row holds anything else (the value is not told).
    """
    if isinstance(column, Coded):
        place = {level: i for i, level in enumerate(levels)}
        table = np.array([*(place.get(level, -2) for level in column.levels), MISSING], dtype=np.int32)
        codes = table[column.codes]  # a code of -1 picks the last entry: missing
    else:
        codes = _number_codes(column, name, levels)
    if (codes == -2).any():
        raise Invalid(
            "E-LEVEL", f"{name!r} holds a level that is not declared", "add it to the codebook, or exclude it"
        )
    return codes


def _number_codes(column: FloatArray, name: str, levels: Sequence[str]) -> CodeArray:
    try:
        values = np.array([float(level) for level in levels])
    except ValueError as error:
        raise Invalid("E-LEVELS", f"{name!r} is a number, and its levels are not", "mend the codebook") from error
    order = np.argsort(values)
    at = np.minimum(np.searchsorted(values[order], column), len(values) - 1)
    found = order[at].astype(np.int32)
    found[values[found] != column] = -2
    found[np.isnan(column)] = MISSING
    return found


def _filled(indices: Any) -> CodeArray:
    codes: CodeArray = pc.fill_null(indices, MISSING).to_numpy(zero_copy_only=False)
    return codes
