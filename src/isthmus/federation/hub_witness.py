"""The hub shows sites its ledger's head after each decision of people; they cosign it.

Rounds do this within a run. Between runs nothing else would, and a vote on a result would stand under the hub's
signature alone until the next one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isthmus.federation.store import Mark, Store
from isthmus.ledger.checkpoint import sign_checkpoint, verify_checkpoint, with_cosignatures
from isthmus.ledger.log import head_of
from isthmus.ledger.proved import proof_of
from isthmus.model.errors import Invalid

if TYPE_CHECKING:
    from isthmus.federation.hub import HubNode

PATIENCE = 2.0  # seconds to wait for a cosignature of an entry that was just made
GLANCE = 0.05
COSIGNED = "cosigned"  # in the store: the newest head that a site cosigned between runs, with all cosignatures of it


class SiteHeads:
    """The highest head of each site's own ledger: a site serves on a ledger that contains it, or not at all.

    A head that a site says in its hello is kept once the site has seen what was kept before and speaks on: one that finds it
    missing leaves, and its ledger may have grown by that.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._said: dict[str, Any] = {}

    def kept(self, site: str, said: Any) -> dict[str, Any] | None:
        """For the welcome. Invalid (E-HEAD) where a hello says no head."""
        head_of(said)
        before = self._store.mark(site)
        return {"size": before.size, "root": before.root} if before else None

    def welcomed(self, site: str, said: Any) -> None:
        """The welcome is out."""
        self._said[site] = said

    def speaks(self, site: str) -> None:
        """It goes on."""
        if site in self._said:
            self.grown(site, self._said.pop(site))

    def left(self, site: str) -> None:
        """Its stream ended."""
        self._said.pop(site, None)

    def grown(self, site: str, said: Any) -> None:
        """Keep a head that a site says on a stream that it speaks on, if it says one."""
        if said is None:
            return
        head = head_of(said)
        self._store.set_mark(site, Mark(size=head.size, root=head.root.hex()))


def cosigned_note(store: Store) -> str | None:
    """The newest checkpoint that sites cosigned between runs, with all cosignatures of it; None where there is none."""
    note: str | None = _kept(store)["note"]
    return note


def _kept(store: Store) -> dict[str, Any]:
    """Size of the newest head that sites cosigned between runs, each one's line, and the note with all of them."""
    found: dict[str, Any] = json.loads(store.fact(COSIGNED) or '{"size": -1, "sites": {}, "note": null}')
    return found


class Witnesses:
    """The sites as witnesses: which head each holds, and the cosignatures of the newest. Lives on the hub's loop."""

    def __init__(self, hub: HubNode, keys: Mapping[str, bytes]) -> None:
        self._hub = hub
        self._keys = keys
        self._held: dict[str, int] = {}

    def held(self, site: str) -> int:
        """Size of the hub's ledger that a site said it holds."""
        return self._held.get(site, 0)

    def reported(self, site: str, said: Any) -> None:
        """A site says which head of the hub's ledger it holds. Invalid (E-HEAD) for anything else."""
        self._held[site] = head_of(said).size

    async def publish(self) -> None:
        """Show the head to every site that is connected."""
        for site in self._keys:
            await self.show(site)

    async def show(self, site: str) -> None:
        """Show a site the head, with the proof that it continues the one it holds."""
        link = self._hub.link(site)
        if link is not None:
            link.say("checkpoint", await self.offer(site))

    async def offer(self, site: str) -> dict[str, Any]:
        """The ledger's head, with the proof that it continues the one which the site said it holds."""
        return await self._hub.worker.run("checkpoint", self._offer, self.held(site))

    async def cosigned(self, site: str, body: Mapping[str, Any]) -> bool:
        """Take in a site's answer; whether it cosigned. One that has moved on meanwhile is shown the head anew.

        Raises:
            Untrusted: E-SIGNATURE. Invalid: E-HEAD, E-CHECKPOINT, not a cosignature of this ledger's head by this site.
        """
        before, line = self.held(site), body.get("line")
        self.reported(site, body.get("ledger"))
        if line is None:
            if self.held(site) != before:
                await self.show(site)
            return False
        await self._hub.worker.run("cosigned", self._keep, site, str(line), self.held(site))
        return True

    async def proof(self, index: int) -> bytes:
        """The proof that an entry is in this ledger (`ledger.proved`), under a head that sites cosigned where one comes soon."""
        for _ in range(int(PATIENCE / GLANCE)):
            if _kept(self._hub.means.store)["size"] > index:
                break
            await asyncio.sleep(GLANCE)
        return await self._hub.worker.run("proof", self._proof, index)

    def _proof(self, index: int) -> bytes:
        log, key = self._hub.ledger.log, self._hub.means.identity.key
        kept = _kept(self._hub.means.store)
        size, note = kept["size"], kept["note"]
        if size <= index:
            head = log.head()
            size, note = head.size, sign_checkpoint(log.origin, head, key)
        witnesses = {site: public.hex() for site, public in self._keys.items()}
        return proof_of(log, index, (note, size), (key.public.hex(), witnesses))

    def _offer(self, old: int) -> dict[str, Any]:
        log = self._hub.ledger.log
        head = log.head()
        proof = log.consistency(old, head.size) if old <= head.size else ()  # it holds more than is here, and refuses
        note = sign_checkpoint(log.origin, head, self._hub.means.identity.key)
        return {"note": note, "old": old, "proof": [step.hex() for step in proof]}

    def _keep(self, site: str, line: str, size: int) -> None:
        log, key, store = self._hub.ledger.log, self._hub.means.identity.key, self._hub.means.store
        note = sign_checkpoint(log.origin, log.head(size), key)
        signed = verify_checkpoint(with_cosignatures(note, [line]), key.public, {site: self._keys[site]})
        if signed.cosigners != (site,):
            raise Invalid("E-CHECKPOINT", "not this site's cosignature of the head that it was shown")
        kept = _kept(store)
        if size < kept["size"]:
            return
        lines = {**(kept["sites"] if size == kept["size"] else {}), site: line}
        store.set_fact(
            COSIGNED, json.dumps({"size": size, "sites": lines, "note": with_cosignatures(note, lines.values())})
        )
