"""A transport within one process: it is the network of the attack tests, and that of a rehearsal without processes.

Messages pass through `wire` as over a network; each link keeps its order, links are served in any order asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from isthmus.federation import wire
from isthmus.federation.messages import CHUNK, HUB, BytesPayload, Message, Payload, read_all
from isthmus.federation.protocol.hub import HubRun
from isthmus.federation.protocol.site import SiteRun
from isthmus.federation.spool import Spool
from isthmus.model.errors import IsthmusError

Link: TypeAlias = tuple[str, str]  # sender, receiver
Chooser: TypeAlias = Callable[[Sequence[Link]], Link]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that its receiver did not accept."""

    receiver: str
    kind: str
    error: IsthmusError


def first(links: Sequence[Link]) -> Link:
    """Serve links in the order in which they were filled."""
    return links[0]


@dataclass(slots=True)
class Network:
    """A hub and its sites, and the messages between them.

    Attributes:
        hub: replace it to restart it.
        sites: by name; replace one to restart it.
        spools: where each party, the hub too, keeps bodies above 1 MiB that reach it.
        down: sites that hear and say nothing now.
        refusals: what was not accepted, in order.
    """

    hub: HubRun
    sites: dict[str, SiteRun]
    spools: dict[str, Spool]
    down: set[str] = field(default_factory=set)
    refusals: list[Refusal] = field(default_factory=list)
    links: dict[Link, deque[Message]] = field(default_factory=dict)

    def connect(self, site: str) -> None:
        """A new connection: what was under way on the old one is lost."""
        self.down.discard(site)
        self.links.pop((HUB, site), None)
        self.links.pop((site, HUB), None)
        self.post(site, self.sites[site].connected())
        self.send(self.hub.connected(site))

    def disconnect(self, site: str) -> None:
        """The connection is lost, and what was under way on it."""
        self.down.add(site)
        self.links.pop((HUB, site), None)
        self.links.pop((site, HUB), None)

    def post(self, site: str, messages: Iterable[Message]) -> None:
        """Messages from a site to the hub."""
        for message in messages:
            self._queue((site, HUB), message)

    def send(self, outgoing: Iterable[tuple[str, Message]]) -> None:
        """Messages from the hub to sites."""
        for site, message in outgoing:
            self._queue((HUB, site), message)

    def step(self, link: Link) -> None:
        """Deliver the oldest message of a link."""
        message = self.links[link].popleft()
        if not self.links[link]:
            del self.links[link]
        self.deliver(link[1], message)

    def deliver(self, receiver: str, message: Message) -> None:
        """Give a message to its receiver and queue the answers; an error is noted, and told to the hub."""
        passed = carried(message, self.spools[receiver])
        if receiver == HUB:
            try:
                self.send(self.hub.receive(passed))
            except IsthmusError as error:
                self.refusals.append(Refusal(receiver, message.kind, error))
            return
        site = self.sites[receiver]
        try:
            self.post(receiver, site.receive(passed))
        except IsthmusError as error:
            self.refusals.append(Refusal(receiver, message.kind, error))
            self.post(receiver, site.refusal(error))
        if site.due is not None:  # nobody measures time here
            self.post(receiver, site.release())

    def run(self, choose: Chooser = first) -> None:
        """Connect every site and deliver until nothing is under way."""
        for site in self.sites:
            if site not in self.down:
                self.connect(site)
        self.settle(choose)

    def settle(self, choose: Chooser = first) -> None:
        """Deliver until nothing is under way."""
        while self.links:
            self.step(choose(tuple(self.links)))

    def _queue(self, link: Link, message: Message) -> None:
        if not self.down & set(link):
            self.links.setdefault(link, deque()).append(message)


def carried(message: Message, spool: Spool) -> Message:
    """The message as it arrives at another node: through the wire format, its body copied."""
    head, chunks = wire.encode(message)
    if message.body.size <= CHUNK:
        body: Payload = BytesPayload(read_all(message.body)) if message.body.size else message.body
    else:
        body = spool.gather("received", chunks, message.body.size)
    return wire.decode(head, body)
