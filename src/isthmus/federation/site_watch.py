"""What ends a site's part of its runs besides the protocol: the agreement's end, and rules that no longer hold.

By the site's own clock and its own eyes: it needs no hub and no message. Rules are judged again every hour, since a
certificate, a training or an approval may run out in mid-study; the agreement's dates and revocations at every look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from isthmus.federation.control import Clock
from isthmus.federation.messages import Message
from isthmus.federation.node import Ledger
from isthmus.federation.protocol.site import SiteRun
from isthmus.federation.standing import Standing
from isthmus.federation.worker import Worker
from isthmus.governance.verdicts import RuleRefused
from isthmus.model.errors import DEFECTS, IsthmusError, coded

LOOK = 0.5  # seconds between looks
Still = Callable[[datetime], object]


@dataclass(slots=True)
class SiteWatch:
    """Looks, and ends runs.

    Attributes:
        runs: those under way, the node's own dictionary.
        still: run -> raises RuleRefused when a rule that admitted it would stop it now.
        ended: takes a run that has just left, with what it still says to the hub.
        lost: takes why nothing may go on, for runs that were not taken up since this process started.
        news: passes on what is new of revocations.
        early: looks again at decisions whose time has come.
        log: of the node.
    """

    standing: Standing
    ledger: Ledger
    worker: Worker
    clock: Clock
    runs: Mapping[str, SiteRun]
    ended: Callable[[str, SiteRun, tuple[Message, ...]], None]
    lost: Callable[[IsthmusError], None]
    news: Callable[[], None]
    early: Callable[[], Awaitable[None]]
    log: logging.Logger
    still: dict[str, Still] = field(default_factory=dict)
    _hour: str = ""
    _said: str = ""
    _met: str = ""

    async def looking(self) -> None:
        """Look again and again until cancelled."""
        while True:
            try:
                await self.stand(self.standing.look())
                await self._hourly()
                await self.early()
            except (
                IsthmusError,
                *DEFECTS,
            ) as error:  # said once while it lasts: whatever it is, the next look is taken
                met = str(coded(error))
                if met != self._met:
                    self.log.error("%s", met)
                self._met = met
            else:
                self._met = ""
            await asyncio.sleep(LOOK)

    async def hear(self, news: Mapping[str, Any]) -> None:
        """Take what the hub's news bring."""
        await self.stand(self.standing.hear("hub", news))

    async def stand(self, new: bool) -> None:
        """End every run when nothing may go on."""
        if new:
            self.news()
        lapsed = self.standing.lapsed()
        if lapsed is None:
            return
        for name, run in list(self.runs.items()):
            await self._leave(name, run, lapsed)
        if self._said != str(lapsed):
            self._said = str(lapsed)
            self.lost(lapsed)

    async def _hourly(self) -> None:
        hour = self.clock().strftime("%Y-%m-%dT%H")
        if hour == self._hour:
            return
        await self.worker.run("operate", self.standing.operate)
        await self.stand(new=False)
        for name, run in list(self.runs.items()):
            await self._judge(name, run)
        self._hour = hour

    async def _judge(self, name: str, run: SiteRun) -> None:
        try:
            await self.worker.run("judge", self.still.get(name, _nothing), self.clock())
        except RuleRefused as refused:
            entry = {"run": name, "verdict": "stopped", "code": refused.code, **refused.record}
            self.ledger.append("decision", entry)
            await self._leave(name, run, refused)

    async def _leave(self, name: str, run: SiteRun, why: IsthmusError) -> None:
        self.ended(name, run, await self.worker.run(f"{name} leave", run.leave, why))


def _nothing(_now: datetime) -> None:
    return
