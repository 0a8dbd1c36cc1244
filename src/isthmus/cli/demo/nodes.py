"""Entry points of the demonstration's processes: each is an ordinary node reading its own isthmus.toml.

The hub also keeps what its flows make of the pooled sums before rounding, for the comparison with the pooled rows.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isthmus.cli.demo import compare
from isthmus.federation.agreed import AgreedHub, hub_setup, site_setup
from isthmus.federation.config import FILE
from isthmus.federation.desk import Desk, Request
from isthmus.federation.hub_node import serve_hub
from isthmus.federation.node import Tell
from isthmus.federation.protocol.charter import Charter, Step
from isthmus.federation.site_node import serve_site
from isthmus.federation.work import HubWork
from isthmus.summary import Summary


def hub(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    """The hub's process."""
    del arguments
    setup = hub_setup(directory / FILE, {}, _now)
    if isinstance(setup.desk, AgreedHub):
        setup = replace(setup, desk=KeepingDesk(setup.desk, directory))
    return serve_hub(setup, tell)


def site(directory: Path, arguments: Mapping[str, Any], tell: Tell) -> int:
    """A site's process."""
    del arguments
    return serve_site(site_setup(directory / FILE, {}, _now, secrets.token_bytes), tell)


@dataclass(frozen=True, slots=True)
class KeepingDesk:
    """The agreement's desk, whose work keeps the unrounded estimates in `folder`."""

    inner: AgreedHub
    folder: Path

    @property
    def desk(self) -> Desk:
        """As the agreement's."""
        return self.inner.desk

    def admit(self, request: Request, now: datetime) -> tuple[Charter, KeepingWork]:
        """As the agreement's, with work that keeps."""
        charter, work = self.inner.admit(request, now)
        return charter, KeepingWork(work, self.folder)  # type: ignore[arg-type]

    def envelopes(self) -> list[Any]:
        """As the agreement's."""
        return self.inner.envelopes()


@dataclass(frozen=True, slots=True)
class KeepingWork:
    """The hub's work, and a file at its end."""

    inner: HubWork
    folder: Path

    def next(self) -> Step | None:
        """The next round."""
        return self.inner.next()

    def learn(self, step: Step, pooled: Summary) -> None:
        """Advance the flow that asked."""
        self.inner.learn(step, pooled)

    def conclude(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        """The released result."""
        compare.keep(self.inner.script, self.folder)
        return self.inner.conclude(survivors)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - an entry point
