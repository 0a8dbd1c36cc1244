"""Hub and site processes whose clock a test moves: the days in `clock` beside their folders are added to the real time."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from wires import now

from isthmus.federation.agreed import hub_setup, site_setup
from isthmus.federation.control import Clock
from isthmus.federation.hub_node import serve_hub
from isthmus.federation.node import Tell
from isthmus.federation.site_node import serve_site


def moved(file: Path) -> Clock:
    """The time by a file that holds days, or `days minutes`; the real time while there is none."""

    def clock() -> datetime:
        days, minutes = (*(float(part) for part in file.read_text().split()), 0.0)[:2] if file.exists() else (0.0, 0.0)
        return now() + timedelta(days=days, minutes=minutes)

    return clock


def hub(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    return serve_hub(hub_setup(Path(arguments["config"]), os.environ, moved(directory.parent / "clock")), tell)


def site(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    own = directory / "clock"
    clock = moved(own if own.exists() else directory.parent / "clock")
    return serve_site(site_setup(Path(arguments["config"]), os.environ, clock, secrets.token_bytes), tell)
