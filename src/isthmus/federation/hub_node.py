"""A hub's process: what it is given, and how it serves until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isthmus.federation.desk import HubDesk
from isthmus.federation.grpc_hub import Party
from isthmus.federation.hub import HubNode
from isthmus.federation.hub_runs import Deadlines
from isthmus.federation.node import Means, Tell, on_signals


@dataclass(frozen=True, slots=True)
class HubSetup:
    """A hub ready to listen at host:port."""

    means: Means
    parties: Mapping[str, Party]
    desk: HubDesk
    address: str
    deadlines: Deadlines = field(default_factory=Deadlines)


def serve_hub(setup: HubSetup, tell: Tell) -> int:
    """Serve until SIGTERM or SIGINT."""
    asyncio.run(_serve(setup, tell))
    return 0


async def _serve(setup: HubSetup, tell: Tell) -> None:
    node = HubNode(setup.means, setup.parties, setup.desk, tell, setup.deadlines)
    on_signals(node.stop)
    await node.start(setup.address)
    await node.run()
    setup.means.store.close()


def serve(path: Path, environ: Mapping[str, str]) -> None:
    """Serve the hub of a configuration file until interrupted (`isthmus hub serve`).

    Raises:
        Invalid, Untrusted, Refused, Unavailable: configuration, keys or agreement cannot be used.
    """
    from isthmus.federation.agreed import hub_setup

    serve_hub(hub_setup(path, environ, lambda: datetime.now(UTC)), lambda _: None)  # noqa: TID251 - an entry point


def node(_directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    """Entry point for `launch.Fleet`: the hub of the configuration file `arguments["config"]`."""
    import os

    from isthmus.federation.agreed import hub_setup

    setup = hub_setup(Path(arguments["config"]), os.environ, lambda: datetime.now(UTC))  # noqa: TID251 - an entry point
    return serve_hub(setup, tell)
