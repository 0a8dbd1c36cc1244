"""A result as files other programs read."""

from __future__ import annotations

import json
from pathlib import Path

from isthmus.model.errors import Invalid
from isthmus.sdk.result import AnalysisResult, Result


def export(result: Result, folder: Path) -> list[Path]:
    """Write `result.json`, a CSV per analysis with a result, and an SVG where there is a figure; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / "result.json"
    whole.write_text(json.dumps(result.to_dict(), indent=1) + "\n", encoding="utf-8")
    files = [whole]
    for name, analysis in result.items():
        if analysis.error is None:
            files += _one(folder, name, analysis)
    return files


def _one(folder: Path, name: str, analysis: AnalysisResult) -> list[Path]:
    from pyarrow import csv

    table = folder / f"{name}.csv"
    csv.write_csv(analysis.tidy(), table)
    try:
        drawn = analysis.plot()
    except Invalid:  # E-PLOT: a kind without a figure
        return [table]
    figure = folder / f"{name}.svg"
    figure.write_text(drawn, encoding="utf-8")
    return [table, figure]
