"""One live stream, seen from either end: a reader, a taker, a writer and a heart.

The reader is one task for the life of the stream: timing out a single gRPC read would cancel the whole stream, so
waiting happens on queues. A frozen peer shows as silence: gRPC's own keepalive did not notice one in 25 s.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import grpc
import grpc.aio

from isthmus.federation.control import Control, Talk
from isthmus.federation.frames import Assembler, ControlBytes, Item, pack
from isthmus.federation.messages import Message
from isthmus.federation.reasons import error_of, facts
from isthmus.model.errors import DEFECTS, IsthmusError, coded

BEAT = 5.0  # seconds between heartbeats
SILENCE = 3.0  # heartbeats that may be missed before the stream is given up
WAITING_ITEMS = 8  # received and not yet taken; beyond it the reader stops and flow control holds the peer
BROKEN = (grpc.RpcError, grpc.aio.BaseError, asyncio.InvalidStateError)  # how grpc.aio says that a stream is gone
GOODBYE = 2.0  # seconds for the last words of a stream


class Stream(Protocol):
    """What grpc.aio gives on both sides: `read` returns bytes, or `grpc.aio.EOF`."""

    async def read(self) -> Any:
        """The next frame."""

    async def write(self, message: bytes) -> None:
        """Send a frame; returns when flow control lets it go."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a stream ended: a signed bye, a plain end (a killed process looks so), silence, or an error here.

    Attributes:
        error: what went wrong here, or with a bye, what the other end said went wrong.
    """

    how: Literal["bye", "lost", "silent", "error"]
    error: IsthmusError | None = None


Taker = Callable[[Message | Control], Awaitable[None]]


class Link:
    """A stream after its handshake.

    Args:
        talk: signs and checks control documents.
        stream: gRPC's stream.
        assembler: puts messages back together.
        take: awaited for every message and every control document but bye and heartbeats without news.
        beat: seconds between heartbeats.

    Attributes:
        early: items that came in the frame of the last opening document; set before `run`.
        half_close: says to the other end that no more will be written; set at the end that dialled.
        opened: awaited before anything is taken; what it raises ends the stream with a bye that says so.
        news: the body of the next heartbeat; one that is not empty is taken at the other end like any document.
    """

    def __init__(self, talk: Talk, stream: Stream, assembler: Assembler, take: Taker, beat: float = BEAT) -> None:
        self.talk = talk
        self.bytes_in = 0
        self.bytes_out = 0
        self._stream = stream
        self._assembler = assembler
        self._take = take
        self._beat = beat
        self._heard = False
        self._missed = 0
        self._inbox: asyncio.Queue[Message | Control] = asyncio.Queue(WAITING_ITEMS)
        self._outbox: deque[Item] = deque()
        self.early: list[Item] = []
        self.half_close: Callable[[], Awaitable[None]] | None = None
        self.opened: Callable[[], Awaitable[None]] = _nothing
        self.news: Callable[[], dict[str, Any]] = dict
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._finished = asyncio.Event()
        self._over = False

    def send(self, items: Iterable[Item]) -> None:
        """Queue items; what waits together leaves in shared frames. Nothing is queued on a stream that has ended."""
        if self._over:
            return
        self._outbox.extend(items)
        if self._outbox:
            self._idle.clear()
            self._wake.set()

    def say(self, kind: Any, body: dict[str, Any]) -> None:
        """Queue a signed control document."""
        self.send([ControlBytes(self.talk.say(kind, body))])

    async def goodbye(self) -> None:
        """Say a signed bye, wait shortly until it is out, and end `run`."""
        await self._last_words({})
        self._finished.set()

    async def run(self) -> Ended:
        """Serve the stream until it ends; the reason is the result, not an exception."""
        parts = (self._taking(), self._finishing(), self._read(), self._writing(), self._beating())
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            ended = await self._reason(next(task for task in tasks if task.done()))
            if ended.how == "bye" and self.half_close is not None:
                await self._hang_up(self.half_close, tasks[2])
            return ended
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._assembler.abandon()
            self._over = True
            self._idle.set()  # nobody writes any more: `goodbye` need not wait

    async def _reason(self, task: asyncio.Task[Ended]) -> Ended:
        try:
            return task.result()
        except BROKEN:
            return Ended("lost")
        except (
            IsthmusError,
            *DEFECTS,
        ) as error:  # a defect that the other end can set off ends its stream, not this node
            met = coded(error)
            self._outbox.clear()
            await self._last_words(facts(met))
            return Ended("error", met)

    async def _last_words(self, body: dict[str, Any]) -> None:
        """Queue a bye and wait until the writer, the only one who may write, has sent it."""
        self.say("bye", body)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), GOODBYE)

    async def _hang_up(self, half_close: Callable[[], Awaitable[None]], reading: asyncio.Task[Ended]) -> None:
        """Let the other end close the stream: cancelling a read cancels the call, and with it our last words."""
        with suppress(*BROKEN):
            await half_close()
            await asyncio.wait({reading}, timeout=GOODBYE)

    async def _finishing(self) -> Ended:
        await self._finished.wait()
        return Ended("bye")

    async def _read(self) -> Ended:
        await self._listen(self.early)
        while True:
            frame = await self._stream.read()
            if frame is grpc.aio.EOF:
                await self._inbox.join()  # what came before the end, a bye above all, still counts
                return Ended("lost")
            self._heard = True
            self.bytes_in += len(frame)
            await self._listen(self._assembler.feed(frame))

    async def _listen(self, items: list[Item]) -> None:
        for item in items:
            heard = self.talk.hear(item.raw) if isinstance(item, ControlBytes) else item
            if isinstance(heard, Message) or heard.kind != "heartbeat" or heard.body:
                await self._inbox.put(heard)

    async def _taking(self) -> Ended:
        await self.opened()
        while True:
            item = await self._inbox.get()
            try:
                ended = await self._one(item)
            finally:
                self._inbox.task_done()
            if ended is not None:
                return ended

    async def _one(self, item: Message | Control) -> Ended | None:
        if isinstance(item, Control) and item.kind == "bye":
            return Ended("bye", error_of(item.body) if item.body else None)
        await self._take(item)
        return None

    async def _writing(self) -> Ended:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                batch = list(self._outbox)
                self._outbox.clear()
                for frame in pack(batch):
                    await self._stream.write(frame)
                    self.bytes_out += len(frame)
            self._idle.set()

    async def _beating(self) -> Ended:
        while True:
            await asyncio.sleep(self._beat)
            held_back = self._inbox.full()  # then it is this end that does not listen
            self._missed = 0 if self._heard or held_back else self._missed + 1
            self._heard = False
            if self._missed >= SILENCE:
                return Ended("silent")
            if not self._outbox:
                self.say("heartbeat", self.news())


async def _nothing() -> None:
    pass
