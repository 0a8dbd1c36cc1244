"""The hub's end of the network: one port, one bidirectional stream per site, signed questions from people.

Generic byte methods, no generated code. Sites dial; the hub never does.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import grpc
from grpc import aio

from isthmus.federation import tls
from isthmus.federation.control import Clock, Control, Peer, Talk
from isthmus.federation.frames import Assembler, ControlBytes, Item, controls, pack
from isthmus.federation.identity import Identity
from isthmus.federation.link import BEAT, Ended, Link
from isthmus.federation.messages import Message
from isthmus.federation.reasons import error_of, facts
from isthmus.federation.spool import Spool
from isthmus.model.errors import DEFECTS, Invalid, IsthmusError, Unavailable, Untrusted, coded
from isthmus.model.names import Digest

SERVICE = "isthmus.Hub"
LARGEST = 1 << 29  # bytes a message's body may have: 33 million two-limb values

# gRPC would widen the window of a fast peer to tens of megabytes, which the hub then holds for every site at once.
WINDOW = 2 << 20  # bytes a stream may have on its way: 25 MB a second over 80 ms
_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", WINDOW),
)


@dataclass(frozen=True, slots=True)
class Party:
    """Who may connect, from the agreement: name, Ed25519 key, transport certificate (PEM), a person's roles.

    `trained_until`: a person's last day of training, "" where the agreement states none; in a rehearsal nobody is asked.
    """

    name: str
    role: Literal["site", "person"]
    key: bytes
    certificate: bytes
    roles: frozenset[str] = frozenset({"researcher"})
    trained_until: str = "9999-12-31"


class Office(Protocol):
    """What the node does with what the network brings."""

    async def joined(self, site: str, link: Link, hello: Control) -> Mapping[str, Any]:
        """A site's stream is open; gives the body of the welcome."""
        ...

    def welcomed(self, site: str, link: Link, hello: Control) -> None:
        """The welcome is queued: what is sent from now on comes after it."""
        ...

    async def received(self, site: str, item: Message | Control) -> None:
        """A message or control document of a site."""
        ...

    async def left(self, site: str, link: Link, ended: Ended) -> None:
        """A site's stream ended."""
        ...

    def expected(self, site: str, head: Mapping[str, Any]) -> int:
        """Bytes above 1 MiB that the body of a site's message with this (unverified) head may have now; else 0."""
        ...

    def asked(self, person: Party, question: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """A person's signed question; gives the documents of the answer."""
        ...

    def turned_away(self, who: str, role: Literal["site", "person"], error: IsthmusError) -> None:
        """A site's stream, or a person's question, was refused before it was heard."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server runs: spool directory, clock, seconds between heartbeats, bytes a body may have."""

    spool: Spool
    clock: Clock
    beat: float = BEAT
    largest: int = LARGEST


class HubServer:
    """A listening hub."""

    def __init__(self, identity: Identity, parties: Mapping[str, Party], office: Office, settings: Settings) -> None:
        self._identity = identity
        self._pins: dict[Digest, Party] = {tls.spki_digest(p.certificate): p for p in parties.values()}
        self._office = office
        self._settings = settings
        self._server: aio.Server | None = None
        self._links: set[Link] = set()
        self._asked = _Once()

    async def start(self, address: str) -> int:
        """Listen on `host:port` (port 0: any); gives the port.

        Raises:
            Unavailable: E-LISTEN.
        """
        server = aio.server(options=_OPTIONS)
        methods: dict[str, Any] = {
            "Join": grpc.stream_stream_rpc_method_handler(self._join),
            "Ask": grpc.unary_stream_rpc_method_handler(self._ask),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        roots = [party.certificate for party in self._pins.values()]
        credentials = tls.server_credentials(self._identity.tls_key, self._identity.certificate, roots)
        try:
            port = server.add_secure_port(address, credentials)
            await server.start()
        except RuntimeError as error:
            raise Unavailable("E-LISTEN", f"cannot listen on {address}", "is the port taken?") from error
        self._server = server
        return int(port)

    async def stop(self) -> None:
        """Say bye on every stream and stop listening."""
        await asyncio.gather(*(link.goodbye() for link in list(self._links)))
        if self._server is not None:
            await self._server.stop(grace=1.0)

    def _party(self, context: Any, role: Literal["site", "person"]) -> Party:
        """Who is calling. The pin decides, not the name in the certificate; dates are checked at every message."""
        party: Party | None = None
        try:
            party = self._pins.get(tls.peer_pin(context.auth_context()))
            if party is None or party.role != role:
                raise Untrusted("E-PIN", f"the certificate is no {role}'s of the agreement", "send the card to the hub")
            tls.require_valid(party.certificate, self._settings.clock())
        except IsthmusError as error:
            self._office.turned_away(party.name if party else "a stranger", role, error)
            raise
        return party

    async def _join(self, _requests: Any, context: Any) -> None:
        try:
            party = self._party(context, "site")
        except IsthmusError as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
            return
        talk = Talk(self._identity.name, self._identity.key, Peer(party.name, party.key), self._settings.clock)
        try:
            link, hello = await self._greet(talk, party, context)
            welcome = await self._office.joined(party.name, link, hello)
        except (IsthmusError, *DEFECTS) as error:
            self._office.turned_away(party.name, party.role, coded(error))
            await context.write(_frame(talk.say("bye", facts(coded(error)))))
            return
        link.say("welcome", dict(welcome))
        self._links.add(link)
        self._office.welcomed(party.name, link, hello)
        ended = Ended("lost")
        try:
            ended = await link.run()
        finally:
            self._links.discard(link)
            await self._office.left(party.name, link, ended)

    async def _greet(self, talk: Talk, party: Party, context: Any) -> tuple[Link, Control]:
        nonce = secrets.token_hex(16)
        await context.write(_frame(talk.say("hello", {"nonce": nonce})))
        talk.session = nonce

        def expected(head: Mapping[str, Any]) -> int:
            return self._office.expected(party.name, head)

        assembler = Assembler(self._settings.spool, self._settings.largest, expected)
        hello, early = await first_document(context, assembler, talk)
        talk.session = nonce + hello_nonce(hello)

        async def take(item: Message | Control) -> None:
            tls.require_valid(party.certificate, self._settings.clock())
            await self._office.received(party.name, item)

        link = Link(talk, context, assembler, take, self._settings.beat)
        link.early = early
        return link, hello

    async def _ask(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            party = self._party(context, "person")
            document, talk = self._question(party, request)
        except IsthmusError as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
            return
        try:
            async for answer in self._office.asked(party, document.body):
                yield _frame(talk.say("answer", answer))
        except (IsthmusError, *DEFECTS) as error:
            yield _frame(talk.say("answer", {"problem": facts(coded(error))}))

    def _question(self, party: Party, request: bytes) -> tuple[Control, Talk]:
        talk = Talk(self._identity.name, self._identity.key, Peer(party.name, party.key), self._settings.clock)
        try:
            items = controls(request)
            if len(items) != 1:
                raise Invalid("E-WIRE", "a question is one control document")
            document = talk.hear_ask(items[0].raw)
            self._asked.require_new(document.session, self._settings.clock().timestamp())
        except IsthmusError as error:
            self._office.turned_away(party.name, party.role, error)
            raise
        return document, talk


class _Once:
    """Sessions of questions seen lately; a second use is a replay."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def require_new(self, session: str, now: float) -> None:
        # A question older than the clock skew is refused by its time, so older sessions may be forgotten.
        for old in [name for name, at in self._seen.items() if now - at > 3600.0]:
            del self._seen[old]
        if session in self._seen:
            raise Untrusted("E-REPLAY", "this question was asked before")
        self._seen[session] = now


async def first_document(stream: Any, assembler: Assembler, talk: Talk) -> tuple[Control, list[Item]]:
    """The next document of a stream's opening, and what came in its frame after it.

    Raises:
        Invalid: E-WIRE.
        Unavailable: E-UNREACHABLE, the other end hung up.
        Untrusted: from `Talk.hear`.
    """
    frame = await stream.read()
    if frame is aio.EOF:
        raise Unavailable("E-UNREACHABLE", "the other end hung up", "see its log")
    items = assembler.feed(frame)
    if not items or not isinstance(items[0], ControlBytes):
        raise Invalid("E-WIRE", "a stream opens with control documents")
    return talk.hear(items[0].raw), items[1:]


def hello_nonce(document: Control) -> str:
    """The nonce of a hello.

    Raises:
        Untrusted: E-REPLAY, when it has none.
        Unavailable: the reason the other end gave for hanging up.
    """
    if document.kind == "bye":
        raise error_of(document.body)
    nonce = document.body.get("nonce")
    if document.kind != "hello" or not isinstance(nonce, str) or len(nonce) != 32:
        raise Untrusted("E-REPLAY", "the stream did not open with a fresh hello")
    return nonce


def _frame(raw: bytes) -> bytes:
    return b"".join(pack([ControlBytes(raw)]))
