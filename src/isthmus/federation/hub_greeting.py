"""A site has come: it is told of its runs, until it was told all of them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from isthmus.federation.hub_window import error_in
from isthmus.federation.link import Link
from isthmus.federation.store import UNFINISHED
from isthmus.model.errors import DEFECTS, IsthmusError, coded

if TYPE_CHECKING:
    from isthmus.federation.hub import HubNode

AGAIN = 5.0  # seconds after which a greeting that failed is tried once more


async def greet(hub: HubNode, site: str, link: Link, believed: Any) -> None:
    """Tell a site of its runs, again and again while its stream is open and it cannot be done.

    Args:
        hub: who greets.
        site: that has come.
        link: its stream.
        believed: names of the runs that it believes open, as its hello says.
    """
    names = {str(name) for name in believed} if isinstance(believed, list) else set()
    while hub.link(site) is link:
        try:
            await _greet(hub, site, link, names)
        except (IsthmusError, *DEFECTS) as error:
            logger = logging.getLogger(f"isthmus.{hub.means.identity.name}")
            logger.error("%s cannot be told of its runs now: %s", site, coded(error))
            await asyncio.sleep(AGAIN)
        else:
            return


async def _greet(hub: HubNode, site: str, link: Link, believed: set[str]) -> None:
    if hub.review is not None:
        hub.review.greet(site)
    for name in believed - set(hub.runs):
        row = hub.means.store.run(name)
        if row is None or row.state not in UNFINISHED:
            link.say("done", {"run": name, "error": error_in(row)})
    for held in list(hub.runs.values()):
        if site not in held.charter.sites:
            continue
        if held.state == "closing" and held.name not in believed:
            held.confirmed.add(site)
            await hub.send(held, ())
            continue
        link.say("invite", held.invitation)
        await hub.send(held, await hub.worker.run("connected", held.run.connected, site))
