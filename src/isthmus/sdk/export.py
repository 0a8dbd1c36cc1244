"""A result as files other programs read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from isthmus.model.errors import Invalid
from isthmus.sdk.files import write_file, writing
from isthmus.sdk.result import AnalysisResult, Result

WHOLE = "result.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def files_of(result: Result) -> dict[str, bytes]:
    """File name -> content: the result JSON, a CSV per analysis with a result, and an SVG where there is a figure."""
    files = {WHOLE: (json.dumps(result.to_dict(), indent=1) + "\n").encode()}
    for name, analysis in result.items():
        if analysis.error is None:
            stem = _stem(name, files)
            files |= {f"{stem}.{kind}": content for kind, content in _one(analysis)}
    return files


def export(result: Result, folder: Path) -> list[Path]:
    """Write the files of a result; the paths written."""
    files = files_of(result)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_file(folder / name, content)
    return [folder / name for name in files]


def _stem(name: str, taken: dict[str, bytes]) -> str:
    """A file name for an analysis, whose own name may be any text; each has its own."""
    stem = base = _UNSAFE.sub("_", name).strip("_") or "analysis"
    number, used = 1, {file.lower() for file in taken}  # some file systems know no capitals
    while f"{stem}.csv".lower() in used:
        number += 1
        stem = f"{base}_{number}"
    return stem


def _one(analysis: AnalysisResult) -> Iterator[tuple[str, bytes]]:
    import pyarrow as pa
    from pyarrow import csv

    table = pa.BufferOutputStream()
    csv.write_csv(analysis.tidy(), table)
    yield "csv", table.getvalue().to_pybytes()
    try:
        yield "svg", analysis.plot().encode()
    except Invalid:  # E-PLOT: a kind without a figure
        return
