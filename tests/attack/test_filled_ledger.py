"""A hub that makes a site refuse without end: made-up runs, one study again and again, codes of its own, forged revocations.

Each refusal is an entry, and of what is answered a row of the border register besides: who reads the ledger later finds nothing in it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW, key_of
from reviewed_alliance import AGREEMENT

from attack import Attack, Say
from isthmus.federation.desk import Desk
from isthmus.federation.grpc_site import HubAddress
from isthmus.federation.identity import Owner, make_identity
from isthmus.federation.link import Ended
from isthmus.federation.node import Means
from isthmus.federation.refusals import AGAIN, FLOOD, MOST, Refusals
from isthmus.federation.revocations import FIELD, Revocations
from isthmus.federation.site import SiteNode
from isthmus.federation.store import open_store
from isthmus.governance.agreement import agreement_digest
from isthmus.model.errors import Untrusted

ATTACK = Attack("A hub that fills a site's ledger", "once a day per reason, and no more than 200 of one party")
TRIES = 2 * MOST
HOWS = ("made-up runs", "one run again and again", "codes of its own", "forged revocations")


class Nobody:
    """A site's desk that takes no request."""

    def __init__(self, revocations: Revocations) -> None:
        own = agreement_digest(AGREEMENT)
        self.desk = Desk("federated", own, lambda _now: None, revocations, out=lambda _request: ("", None))

    def admit(self, *_: Any) -> Any:
        raise Untrusted("E-SIGNATURE", "the request is not a researcher's")


def filled(folder: Path, how: str) -> tuple[int, int, list[Mapping[str, Any]]]:
    """How many entries the site's ledger got and how many answers the hub, and the facts of the last two entries."""
    owner = Owner(role="site", name="leeds", party="leeds", country="GB")
    means = Means(make_identity(folder / "keys", owner, NOW), open_store(folder / "state.db"), folder, lambda: NOW)
    hub = HubAddress("127.0.0.1:1", "hub", key_of("hub").public, means.identity.certificate)
    desk: Any = Nobody(Revocations(AGREEMENT, means.store))
    node, said = SiteNode(means, hub, desk, lambda _: None), list[str]()
    node._link = SimpleNamespace(say=lambda kind, _body: said.append(kind))  # type: ignore[assignment]

    async def play() -> None:
        for i in range(TRIES):
            if "run" in how:
                await node._invited({"run": f"run {i if 'made' in how else 0}", "request": {}})
            elif "codes" in how:
                await node.left(Ended("bye", Untrusted(f"E-{i}", "no")))
            else:
                await node._watch.hear({FIELD: [{"payload": str(i), "signatures": []}]})

    asyncio.run(play())
    node._worker.close()
    size = node.ledger.log.head().size
    last = [node.ledger.log.entry(at).facts for at in range(max(0, size - 2), size)]
    means.store.close()
    return size, len(said), last


@pytest.mark.parametrize("how", HOWS)
def test_it_works_where_each_refusal_is_entered(
    leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def enter(self: Refusals, _what: str, entry: Any, event: str = "refusal") -> str:
        self._ledger.append(event, entry)
        return "new"

    monkeypatch.setattr(Refusals, "enter", enter)
    size, _, _ = filled(tmp_path, how)
    assert size >= TRIES
    leak("an entry for whatever the hub says, without end")


@pytest.mark.parametrize("how", HOWS)
def test_it_ends_with_an_entry_that_says_so(stop: Say, tmp_path: Path, how: str) -> None:
    size, said, last = filled(tmp_path, how)
    if how == "made-up runs":
        assert (said, size) == (MOST, 2 * MOST + 1)  # each answer is a row of the border register, sealed
    elif how == "one run again and again":
        assert (said, size) == (AGAIN, 1 + AGAIN)
    elif how == "codes of its own":
        assert (said, size) == (0, MOST + 1)
    else:
        assert (said, size) == (0, 1)
    if size > MOST:
        assert last[-1]["what"] == FLOOD
    stop("200 entries a day, then one that says so; nothing more is answered")
