"""Entry points of the demonstration's processes: each is an ordinary node reading its own isthmus.toml."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isthmus.federation.agreed import hub_setup, site_setup
from isthmus.federation.config import FILE
from isthmus.federation.hub_node import serve_hub
from isthmus.federation.node import Tell
from isthmus.federation.site_node import serve_site


def hub(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    """The hub's process."""
    del arguments
    return serve_hub(hub_setup(directory / FILE, {}, _now), tell)


def site(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    """A site's process."""
    del arguments
    return serve_site(site_setup(directory / FILE, {}, _now, secrets.token_bytes), tell)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - an entry point
