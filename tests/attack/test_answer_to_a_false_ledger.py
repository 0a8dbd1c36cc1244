"""Attack: the hub was put back to before a vote, and at once asks a site that saw the vote a study under its standing rule.

The opening of each stream is the hub's chance: what a site answers before it has seen the hub's head, it answers to a hub
whose ledger it would call false.

Defence: where people decide, the welcome shows the head, and a site takes nothing on a stream before that continues the one it holds.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW, key_of
from reviewed_alliance import AGREEMENT, ASKER, PASSES, READS, request
from test_site_review import P1, review, shown

from attack import Attack, Say
from isthmus.federation.desk import Desk
from isthmus.federation.frames import Assembler
from isthmus.federation.grpc_site import HubAddress
from isthmus.federation.identity import Owner, make_identity
from isthmus.federation.link import Ended, Link
from isthmus.federation.node import Means
from isthmus.federation.site import SiteNode
from isthmus.federation.site_review import Admitted, SiteReviewer
from isthmus.federation.site_witness import SiteWitness
from isthmus.federation.spool import Spool
from isthmus.federation.store import Mark, open_store
from isthmus.governance.agreement import agreement_digest
from isthmus.ledger.checkpoint import sign_checkpoint
from isthmus.ledger.log import Log, MemoryStore

ATTACK = Attack("An answer to a hub that lost a vote", "the head in the welcome, before anything is taken")


def hub_log(*entries: str) -> Log:
    log = Log(MemoryStore(), "hub", lambda: NOW)
    for said in entries:
        log.append("decision", {"run": said})
    return log


SEEN = hub_log("asked", "approved", "vote")
WELCOMES: Mapping[str, Log | None] = {
    "cut before the vote": hub_log("asked", "approved"),
    "another in the vote's place": hub_log("asked", "approved", "other"),
    "gone on without the vote": hub_log("asked", "approved", "other", "more"),
    "no head": None,
}


def welcome(log: Log | None, proof: tuple[bytes, ...] = ()) -> Any:
    if log is None:
        return SimpleNamespace(body={"ledger": None})
    note = sign_checkpoint("hub", log.head(), key_of("hub"))
    offered = {"note": note, "old": SEEN.head().size, "proof": [step.hex() for step in proof]}
    return SimpleNamespace(body={"ledger": None, "checkpoint": offered})


def answered(folder: Path, hello: Any) -> tuple[list[str], Ended]:
    """What the site says on a stream that this welcome opens, and on which the hub shows a study at once."""
    owner = Owner(role="site", name="leeds", party="leeds", country="GB")
    means = Means(make_identity(folder / "keys", owner, NOW), open_store(folder / "state.db"), folder, lambda: NOW)
    means.store.set_mark("hub", Mark(size=SEEN.head().size, root=SEEN.head().root.hex()))
    desk: Any = SimpleNamespace(desk=Desk("federated", agreement_digest(AGREEMENT), lambda _now: None))
    reviewer = SiteReviewer(review(folder), lambda _asked, _now: Admitted(request(P1), ASKER, READS, PASSES))
    hub = HubAddress("127.0.0.1:1", "hub", key_of("hub").public, means.identity.certificate)
    node = SiteNode(means, hub, desk, lambda _: None, reviewer)
    asks, said = shown(P1), list[str]()
    body = {"run": asks.run, "request": asks.request, "approvals": []}
    talk: Any = SimpleNamespace(say=lambda kind, _body: said.append(kind) or b"{}", hear=lambda raw: raw)

    async def play() -> Ended:
        link = Link(talk, Open(), Assembler(Spool(folder / "incoming"), 1), node.received)
        link.opened = partial(node.joined, link, hello)
        await link._inbox.put(SimpleNamespace(kind="review", body=body))  # type: ignore[arg-type]
        running = asyncio.create_task(link.run())
        while "reviewed" not in said and not running.done():
            await asyncio.sleep(0.01)
        if not running.done():
            await link.goodbye()
        return await running

    ended = asyncio.run(asyncio.wait_for(play(), 30))
    node._worker.close()
    means.store.close()
    return said, ended


class Open:
    """A stream on which the hub says no more."""

    async def read(self) -> Any:
        await asyncio.sleep(60)

    async def write(self, _message: bytes) -> None:
        return


@pytest.mark.parametrize("case", WELCOMES)
def test_it_works_on_a_site_that_answers_first(
    leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(SiteWitness, "continued", lambda _self, _offered: {})
    said, _ = answered(tmp_path, welcome(WELCOMES[case]))
    assert "reviewed" in said
    leak("a study is approved by standing rule for a hub whose ledger lost a vote")


@pytest.mark.parametrize("case", WELCOMES)
def test_nothing_is_said_but_why(stop: Say, tmp_path: Path, case: str) -> None:
    said, ended = answered(tmp_path, welcome(WELCOMES[case]))
    assert (said, ended.error and ended.error.code) == (["bye"], "E-LEDGER")
    stop("E-LEDGER, and a bye is all that the site says")


def test_a_ledger_that_goes_on_is_cosigned_and_then_answered(tmp_path: Path) -> None:
    after = hub_log("asked", "approved", "vote", "more")
    said, _ = answered(tmp_path, welcome(after, tuple(after.consistency(3, 4))))
    assert said[:2] == ["cosigned", "reviewed"]
