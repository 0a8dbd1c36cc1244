"""A rehearsal: the whole protocol on one machine, on files of your own, with rules you state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.model import study as model
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.names import site_id
from isthmus.model.rules import Rules
from isthmus.sdk.result import Result
from isthmus.sdk.rules import read_privacy, read_rules
from isthmus.sdk.study import Study

if TYPE_CHECKING:
    import pyarrow as pa

SITE_RESULTS = "site_results"


def rehearse(
    study: Study | model.Study | str | Path,
    sites: Mapping[str, str | Path | pa.Table],
    *,
    rules: Rules | Mapping[str, Any] | str | Path,
    countries: Mapping[str, str] | None = None,
    codebook: Codebook | str | Path | None = None,
    releases: tuple[str, ...] = (),
    **how: Any,
) -> Result:
    """Run a study over `sites` (name -> file or Arrow table) through the same gate, masking and protocol as for real.

    Args:
        study: a `Study` or the path of a study file.
        sites: Parquet, CSV, Arrow or DuckDB files (`file.duckdb::table`), or Arrow tables.
        rules: every disclosure rule, stated by you; see `isthmus.model.rules.Rules`. A `privacy` block beside them
            makes every answer noisy, as on a dataset with a budget.
        countries: site -> ISO country; GB where not given.
        codebook: a codebook file; inferred from the sites' own files where not given, and the result says so.
        releases: what an agreement would allow beyond the estimates: `("site_results",)`.
        **how: `processes=True` for hub and sites as processes over mutual TLS; `progress`, called with each step;
            `now`, the time of the run.

    Raises:
        IsthmusError: the study, the rules or a file is not usable. A refused analysis does not raise: it is in the result.
    """
    asked = (
        study if isinstance(study, Study) else Study.of(study) if isinstance(study, model.Study) else Study.read(study)
    )
    run = _in_processes() if how.pop("processes", False) else _in_memory()
    progress: Callable[..., None] | None = how.pop("progress", None)
    now: datetime = how.pop("now", None) or datetime.now(UTC)  # noqa: TID251 - an entry point
    stray = next((word for word in releases if word != SITE_RESULTS), None)
    if stray is not None:
        raise Invalid("E-RELEASE", f"{stray[:70]!r} is no release of a rehearsal", f"releases: [{SITE_RESULTS}]")
    if how:
        raise TypeError(f"rehearse() got an unexpected argument {next(iter(how))!r}")
    body = run(
        asked.record,
        {site_id(name): source for name, source in sites.items()},
        rules=read_rules(rules),
        countries=countries,
        codebook=open_codebook(codebook),
        progress=progress,
        privacy=read_privacy(rules),
        releases=releases,
        now=now,
    )
    return Result(body)


def _in_memory() -> Callable[..., dict[str, Any]]:
    from isthmus.federation import rehearsal

    return rehearsal.rehearse


def _in_processes() -> Callable[..., dict[str, Any]]:
    from isthmus.federation import rehearsed  # imported here: it brings gRPC

    return rehearsed.rehearse_processes


def open_codebook(codebook: Codebook | str | Path | None) -> Codebook | None:
    """A codebook as given, read from its file, or None."""
    if codebook is None or isinstance(codebook, Codebook):
        return codebook
    from isthmus.data.dictionary import read_codebook

    return read_codebook(Path(codebook))
