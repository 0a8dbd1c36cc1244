"""A site's end of the network: dials the hub, keeps one stream, comes back when it breaks."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import grpc
from grpc import aio

from isthmus.federation import tls
from isthmus.federation.control import Control, Peer, Talk
from isthmus.federation.frames import Assembler, ControlBytes, pack
from isthmus.federation.grpc_hub import SERVICE, Settings, first_document, hello_nonce
from isthmus.federation.identity import Identity
from isthmus.federation.link import BROKEN, Ended, Link
from isthmus.federation.messages import Message
from isthmus.federation.reasons import error_of
from isthmus.model.errors import DEFECTS, IsthmusError, Unavailable, Untrusted, coded

BACKOFF = (0.1, 1.0)  # seconds: first and longest pause before dialling again
REFUSING = 15.0  # longest pause after this site refused what the hub said: it would refuse it again
HANDSHAKE = "SSL_ERROR_SSL"  # in what gRPC says of a handshake that ends without the pinned certificate
GREETING = 10.0  # seconds for the three opening documents


@dataclass(frozen=True, slots=True)
class HubAddress:
    """Where the hub is and who it must be: host:port, name, Ed25519 key and certificate from the agreement."""

    address: str
    name: str
    key: bytes
    certificate: bytes


class Branch(Protocol):
    """What the site does with what the network brings."""

    def hello(self) -> Mapping[str, Any]:
        """What this site says of itself when it joins."""
        ...

    async def joined(self, link: Link, welcome: Control) -> None:
        """The stream is open."""
        ...

    async def received(self, item: Message | Control) -> None:
        """A message or control document of the hub."""
        ...

    async def left(self, ended: Ended) -> None:
        """The stream ended, or could not be opened."""
        ...


class SiteClient:
    """Dials the hub again and again until stopped."""

    def __init__(self, identity: Identity, hub: HubAddress, branch: Branch, settings: Settings) -> None:
        self._identity = identity
        self._hub = hub
        self._branch = branch
        self._settings = settings
        self._link: Link | None = None
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Serve until `stop`. Every end of a stream is told to the branch; none of them ends this."""
        credentials = tls.channel_credentials(self._identity.tls_key, self._identity.certificate, self._hub.certificate)
        async with aio.secure_channel(self._hub.address, credentials, options=tls.CHANNEL_OPTIONS) as channel:
            pause = BACKOFF[0]
            while not self._stopped.is_set():
                ended = await self._once(channel)
                await self._branch.left(ended)
                opened, refused = self._link is not None, ended.how == "error"
                pause = BACKOFF[0] if opened and not refused else min(2 * pause, REFUSING if opened else BACKOFF[1])
                self._link = None
                await self._rest(pause)

    async def stop(self) -> None:
        """Say bye and end `run`."""
        self._stopped.set()
        if self._link is not None:
            await self._link.goodbye()

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return

    async def _once(self, channel: aio.Channel) -> Ended:
        call: Any = channel.stream_stream(f"/{SERVICE}/Join")()
        try:
            link, welcome = await self._greeted(call)
            self._link = link
            link.opened = partial(self._branch.joined, link, welcome)
            return await link.run()
        except BROKEN as error:
            return Ended("error", unreachable(error))
        except (IsthmusError, *DEFECTS) as error:
            return Ended("error", coded(error))
        finally:
            call.cancel()

    async def _greeted(self, call: Any) -> tuple[Link, Control]:
        """The opening of a stream, unless it takes too long or this site is to stop.

        Raises:
            Unavailable: E-UNREACHABLE; and as `_greet`.
        """
        greeting = asyncio.create_task(self._greet(call))
        stopping = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({greeting, stopping}, timeout=GREETING, return_when=asyncio.FIRST_COMPLETED)
            if not greeting.done():
                raise Unavailable("E-UNREACHABLE", "the hub does not answer", "check address and network")
            return greeting.result()
        finally:
            stopping.cancel()
            greeting.cancel()
            await asyncio.gather(greeting, stopping, return_exceptions=True)

    async def _greet(self, call: Any) -> tuple[Link, Control]:
        settings, hub = self._settings, self._hub
        tls.require_valid(hub.certificate, settings.clock())
        talk = Talk(self._identity.name, self._identity.key, Peer(hub.name, hub.key), settings.clock)
        assembler = Assembler(settings.spool, settings.largest)
        opening, _ = await first_document(call, assembler, talk)
        theirs = hello_nonce(opening)
        talk.session = theirs
        mine = secrets.token_hex(16)
        hello = talk.say("hello", {**self._branch.hello(), "nonce": mine})
        await call.write(b"".join(pack([ControlBytes(hello)])))
        talk.session = theirs + mine

        async def take(item: Message | Control) -> None:
            tls.require_valid(hub.certificate, settings.clock())
            await self._branch.received(item)

        link = Link(talk, call, assembler, take, settings.beat)
        link.half_close = call.done_writing
        welcome, link.early = await first_document(call, assembler, talk)
        return link, _welcome(welcome)


def _welcome(document: Control) -> Control:
    if document.kind == "bye":
        raise error_of(document.body)
    if document.kind != "welcome":
        raise Untrusted("E-REPLAY", "the hub did not answer the hello")
    return document


def unreachable(error: BaseException) -> Unavailable | Untrusted:
    """What a failed call means, in our own words: an address where somebody else answers is another matter than silence."""
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call | aio.AioRpcError):
        told = error.details() or ""
        if HANDSHAKE in told:
            message = "what answers at the hub's address has not the certificate of the agreement's hub, or none"
            return Untrusted("E-TLS", message, "trust nothing that it says; ask the hub's operator")
        details = told.split("\n")[0][:200]
        if error.code() == grpc.StatusCode.PERMISSION_DENIED:
            return Unavailable("E-TLS", f"the hub refused the connection: {details}", "is the card in the agreement?")
        return Unavailable("E-UNREACHABLE", f"the hub cannot be reached: {details}", "check address and network")
    return Unavailable("E-UNREACHABLE", "the hub does not answer", "check address and network")
