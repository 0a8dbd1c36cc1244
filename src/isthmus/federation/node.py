"""What hub and site nodes share: their means, their own ledger, signals, logs."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isthmus.federation.control import Clock
from isthmus.federation.grpc_hub import LARGEST, Settings
from isthmus.federation.identity import Identity
from isthmus.federation.link import BEAT
from isthmus.federation.messages import FilePayload, Message
from isthmus.federation.spool import Spool
from isthmus.federation.store import Store
from isthmus.governance.citations import grounded
from isthmus.ledger.log import Log
from isthmus.model.errors import Unavailable

Tell = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Means:
    """What a node is given.

    Attributes:
        identity: its keys and card.
        store: its database.
        directory: for spool files; its own.
        clock: the time now, with a zone.
        beat: seconds between heartbeats.
        largest: bytes that one message's body may have.
    """

    identity: Identity
    store: Store
    directory: Path
    clock: Clock
    beat: float = BEAT
    largest: int = LARGEST

    def seconds(self) -> int:
        """Unix seconds."""
        return int(self.clock().timestamp())

    def settings(self) -> Settings:
        """For the network; half-received files of an earlier process are thrown away.

        Raises:
            Unavailable: E-DISK.
        """
        incoming = _empty(self.directory / "incoming")
        return Settings(Spool(incoming), self.clock, self.beat, self.largest)

    def spool(self, run: str) -> Spool:
        """One run's own directory.

        Raises:
            Unavailable: E-DISK.
        """
        return Spool(_made(self.spool_path(run)))

    def own(self, message: Message) -> Message:
        """A received message whose large body, if it has one, lies in its run's own directory.

        Raises:
            Unavailable: E-DISK, E-SPOOL.
        """
        if not isinstance(message.body, FilePayload):
            return message
        return replace(message, body=self.spool(message.run).adopt(message.body))

    def spool_path(self, run: str) -> Path:
        """Where one run's files lie."""
        return self.directory / "runs" / run.removeprefix("sha256:")[:40]

    def forget(self, run: str) -> None:
        """Erase one run's files, and what its journal erased."""
        shutil.rmtree(self.spool_path(run), ignore_errors=True)
        self.store.shrink()


class Ledger:
    """A node's own log, appended to from the loop and from the worker thread."""

    def __init__(self, store: Store, origin: str, clock: Clock) -> None:
        self.log = Log(store.leaves(origin), origin, clock)
        self.private = origin.endswith("/private")
        self._lock = threading.Lock()

    def append(self, event: str, facts: Mapping[str, Any]) -> int:
        """Record an event; its index. Unavailable (E-DISK) when it cannot be kept.

        What is refused is recorded with the rule behind it and its citation. Not so in a site's private ledger, whose entries are
        written in the middle of a vote: a look-up would take time that could tell of it.
        """
        if event in {"refusal", "decision"} and "code" in facts and not self.private:
            facts = grounded(facts)
        with self._lock:
            return self.log.append(event, facts)

    def last(self, event: str) -> Mapping[str, Any] | None:
        """The facts of the newest entry of an event."""
        found = self.log.newest(event)
        return found.facts if found is not None else None

    def head(self) -> dict[str, Any]:
        """Size and root, as a hello carries them."""
        return self.log.head().to_json()


def job_name(message: Message) -> str:
    """A name under which the cost of a message's work is remembered: run, kind and question."""
    descriptor = message.header.get("descriptor")
    question = descriptor.get("question", "") if isinstance(descriptor, Mapping) else ""
    return f"{message.run} {message.kind[:20]} {str(question)[:80]} {message.body.size >> 20}"


def on_signals(stop: Callable[[], None]) -> None:
    """End politely on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def log_to_stderr(name: str) -> logging.Logger:
    """The node's logger. What is logged never holds a row, a small count or a secret."""
    logger = logging.getLogger(f"isthmus.{name}")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger


def _made(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Unavailable("E-DISK", "the node's directory cannot be written", "free space", str(directory)) from error
    return directory


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    return _made(directory)
