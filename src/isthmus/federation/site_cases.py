"""What a hub shows a site of studies that people decide on: what the site says of each, and when it looks again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from isthmus.crypto.keys import SigningKey
from isthmus.federation.control import Clock
from isthmus.federation.node import Ledger
from isthmus.federation.refusals import AGAIN
from isthmus.federation.site_review import Heard, Reviewer, Shown
from isthmus.federation.site_witness import SiteWitness
from isthmus.federation.standing import Standing
from isthmus.federation.worker import Worker
from isthmus.model.canonical import plain
from isthmus.model.errors import DEFECTS, Invalid, IsthmusError, Unavailable, coded

Body = Mapping[str, Any]


@dataclass(slots=True)
class SiteCases:
    """Lives on the site's loop.

    Attributes:
        review: what this site's custodians, or a standing rule of theirs, say; None where nobody is asked.
        key: signs the release of a result.
        tell: tells the hub, of a run and its request, something of this kind.
        decline: tells the hub why this site would not take part in a run.
        said: run -> what the hub was told of it last, and how often.
        fresh: runs of which this stream has been told.
        ahead: run -> when to look again at what was shown of it.
    """

    review: Reviewer | None
    standing: Standing
    witness: SiteWitness
    ledger: Ledger
    worker: Worker
    clock: Clock
    key: SigningKey
    tell: Callable[[str, Body, str, Body], None]
    decline: Callable[[str, IsthmusError, Body], None]
    said: dict[str, tuple[Body, int]] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    ahead: dict[str, tuple[datetime, Body]] = field(default_factory=dict)

    async def shown(self, body: Body) -> None:
        """Say what this site says of a study; shown again, with nothing to add, it says so once on a stream, and not for ever."""
        name, request, approvals = body.get("run"), body.get("request"), body.get("approvals")
        if self.review is None or not (isinstance(request, dict) and isinstance(approvals, list)):
            raise Invalid("E-WIRE", "a study to be reviewed names its run and carries its request and approvals")
        due = self.review.ahead(approvals, self.clock())
        if due is not None:
            self.ahead[str(name)] = (due, body)
        try:
            self.standing.check()
            asked = Shown(str(name), request, tuple(approvals), self.witness.voted(body.get("votes"), str(name)))
            heard = await self.worker.run(f"{name} review", self.review.consider, asked, self.clock())
        except Unavailable:
            raise
        except (IsthmusError, *DEFECTS) as error:
            self.fresh.discard(str(name))
            self.decline(str(name), coded(error), request)
            return
        self._keep(self.review, asked.run, heard)
        said = {"run": asked.run, "answer": plain(heard.answer), "rule": heard.rule}
        if heard.release:
            said["signature"] = self.key.sign(heard.release).hex()
        before, times = self.said.get(asked.run, (None, 0))
        if before != said or (asked.run not in self.fresh and times < AGAIN):
            self.said[asked.run] = (said, times + 1 if before == said else 1)
            self.fresh.add(asked.run)
            self.tell(asked.run, request, "reviewed", said)

    async def early(self) -> None:
        """Look again at what people signed ahead of this clock, once it has reached the time they claim."""
        for name, (due, body) in list(self.ahead.items()):
            if due <= self.clock():
                await self.shown(body)
                if self.ahead.get(name) == (due, body):
                    del self.ahead[name]

    def _keep(self, review: Reviewer, run: str, heard: Heard) -> None:
        for code in heard.forged:
            said = {"by": "hub", "what": "approval", "code": code, "about": run}
            self.standing.refusals.enter(f"approval of {run}", said)
        if heard.new:
            self.ledger.append("approval", {"run": run, **plain(heard.answer)})
            review.remember(run, heard.answer)
