"""A site's process: what it is given, and how it serves until it is told to stop."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isthmus.federation.desk import SiteDesk
from isthmus.federation.grpc_site import HubAddress
from isthmus.federation.node import Means, Tell, on_signals
from isthmus.federation.site import SiteNode
from isthmus.federation.site_review import Reviewer


@dataclass(frozen=True, slots=True)
class SiteSetup:
    """A site ready to serve."""

    means: Means
    hub: HubAddress
    desk: SiteDesk
    review: Reviewer | None = None


def serve_site(setup: SiteSetup, tell: Tell) -> int:
    """Serve until SIGTERM or SIGINT."""
    asyncio.run(_serve(setup, tell))
    return 0


async def _serve(setup: SiteSetup, tell: Tell) -> None:
    node = SiteNode(setup.means, setup.hub, setup.desk, tell, setup.review)
    stops: set[asyncio.Task[None]] = set()
    on_signals(lambda: stops.add(asyncio.ensure_future(node.stop())))
    await node.run()
    await asyncio.gather(*stops)
    setup.means.store.close()


def serve(path: Path, environ: Mapping[str, str]) -> None:
    """Serve the site of a configuration file until interrupted (`isthmus site serve`).

    Raises:
        Invalid, Untrusted, Refused, Unavailable: configuration, keys, agreement or data cannot be used.
    """
    from isthmus.federation.agreed import site_setup

    serve_site(site_setup(path, environ, lambda: datetime.now(UTC), secrets.token_bytes), lambda _: None)  # noqa: TID251 - an entry point


def node(_directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    """Entry point for `launch.Fleet`: the site of the configuration file `arguments["config"]`."""
    import os

    from isthmus.federation.agreed import site_setup

    clock = lambda: datetime.now(UTC)  # noqa: E731, TID251 - an entry point
    return serve_site(site_setup(Path(arguments["config"]), os.environ, clock, secrets.token_bytes), tell)
