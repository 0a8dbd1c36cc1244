"""What of each privacy budget is spent at a site: for its custodian, no result tells it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from isthmus.disclosure.budget import Account
from isthmus.federation.config import read_config
from isthmus.federation.named import opened_store, read_agreement
from isthmus.federation.purse import SqlPurse, budget_of
from isthmus.governance.signing import check_signatures


def budgets(path: Path, environ: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Dataset -> `rho` as agreed and `spent` at this site, from its isthmus.toml and store.

    Raises:
        Invalid, Untrusted, Unavailable: configuration, agreement or store cannot be used.
    """
    config = read_config(path, environ)
    agreement = check_signatures(read_agreement(config, config.site().agreement))
    nobody = Account(person="", project="")
    with opened_store(config, environ) as store:
        return {
            entry.dataset: {
                "rho": entry.privacy.rho,
                "spent": float(SqlPurse(store, budget_of(agreement, entry.dataset), entry.privacy, nobody).spent()),
            }
            for entry in agreement.datasets
            if entry.privacy is not None
        }
