"""A hub's bundles, as its auditor takes them out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from isthmus.federation.config import read_config
from isthmus.federation.named import opened_store
from isthmus.model.errors import Invalid


def audit_bundle(path: Path, run: str, environ: Mapping[str, str]) -> bytes:
    """The auditor's form of a run's bundle, from the store of the hub whose isthmus.toml this is.

    Raises:
        Invalid: E-RUN, no such run concluded here; a configuration that is not a hub's.
    """
    config = read_config(path, environ)
    config.hub()
    with opened_store(config, environ) as store:
        raw = store.audit(run)
    if raw is None:
        raise Invalid("E-RUN", "no such run has concluded at this hub", "isthmus study status lists the runs")
    return raw
