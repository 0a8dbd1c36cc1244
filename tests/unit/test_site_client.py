"""How a site dials its hub again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from isthmus.federation.grpc_site import BACKOFF, REFUSING, HubAddress, SiteClient
from isthmus.federation.identity import Owner, make_identity
from isthmus.federation.link import Ended
from isthmus.model.errors import Untrusted

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Branch:
    async def left(self, ended: Ended) -> None:
        """Nothing to do."""


def pauses(folder: Path, ended: Ended) -> list[float]:
    """Seconds that a site waits after each of nine streams which open and then end so."""
    owner = Owner(role="site", name="leeds", party="leeds", country="GB")
    me = make_identity(folder / "keys", owner, NOW)
    waited: list[float] = []

    class Client(SiteClient):
        async def _once(self, channel: Any) -> Ended:
            self._link = object()  # type: ignore[assignment]
            return ended

        async def _rest(self, seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 9:
                self._stopped.set()

    hub: Any = HubAddress("127.0.0.1:1", "hub", me.key.public, me.certificate)
    branch: Any = Branch()
    settings: Any = None
    asyncio.run(Client(me, hub, branch, settings).run())
    return waited


def test_a_lost_stream_is_opened_at_once(tmp_path: Path) -> None:
    assert set(pauses(tmp_path, Ended("lost"))) == {BACKOFF[0]}


@pytest.mark.parametrize("code", ["E-LEDGER", "E-CLOCK"])
def test_a_hub_that_is_refused_is_asked_ever_more_seldom(tmp_path: Path, code: str) -> None:
    found = pauses(tmp_path, Ended("error", Untrusted(code, "no")))
    assert found == [min(BACKOFF[0] * 2**k, REFUSING) for k in range(1, 10)]
