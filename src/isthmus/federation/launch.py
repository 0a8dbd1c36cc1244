"""A hub and its sites as separate processes of this machine, for demonstrations, rehearsals and tests.

One fresh interpreter imports everything once and forks each node (`nursery.py`): seven interpreters of their own would
take 12 s on two cores. Each node still has its own process, directory, key, database and ledger.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Self

from isthmus.model.errors import Invalid, Unavailable

PRELOAD = ("isthmus.federation.agreed", "grpc.aio", "cel")
# Two BLAS threads per site on two cores took a GLM from 0.19 to 0.56 s. Read by BLAS when numpy is first imported.
SINGLE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
QUIET = {"GRPC_VERBOSITY": "NONE"}

Watch = Callable[[str, Mapping[str, Any]], None]


class Fleet:
    """Processes by name. Use it in a `with`: leaving it stops everything it started.

    Args:
        preload: modules to import before forking; the entry points' own and what they need.
        environ: environment of the processes; BLAS is held to one thread whatever it says.
        watch: called with every event (name, event) from a thread of this process; None for nobody.
    """

    def __init__(
        self, preload: Sequence[str] = PRELOAD, environ: Mapping[str, str] | None = None, watch: Watch | None = None
    ) -> None:
        self._preload = tuple(preload)
        self._environ = {**QUIET, **(os.environ if environ is None else environ), **SINGLE}
        self._watch = watch
        self._orders: dict[str, dict[str, Any]] = {}
        self._events: dict[str, list[dict[str, Any]]] = {}
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._detached = False

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "isthmus.federation.nursery", *self._preload]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._environ, start_new_session=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, name: str, entry: str, directory: Path, arguments: Mapping[str, Any]) -> None:
        """Fork a node that calls `entry` ("module:function") with (directory, arguments, tell).

        Its output goes to `directory`/node.log; what it tells comes back as events. Returns at once.
        """
        order = {"name": name, "entry": entry, "directory": str(directory), "arguments": dict(arguments)}
        self._orders[name] = order
        with self._changed:
            self._events[name] = []
        self._send(order)

    def restart(self, name: str) -> None:
        """Start a node that has ended again, as it was started."""
        if name not in self._orders:
            raise Invalid("E-NODE", f"no node {name!r} was started", "start it first")
        with self._changed:
            self._events[name] = []
        self._send(self._orders[name])

    def await_event(self, name: str, key: str, seconds: float = 30.0) -> Any:
        """The value a node told under `key` since it was started.

        Raises:
            Unavailable: E-NODE, when it ended first or took too long; its log says why.
        """
        end = monotonic() + seconds
        with self._changed:
            while True:
                for event in self._events.get(name, []):
                    if key in event:
                        return event[key]
                    if "exited" in event:
                        raise Unavailable("E-NODE", f"{name} ended before it told {key!r}", f"see {self.log(name)}")
                if not self._changed.wait(end - monotonic()):
                    raise Unavailable("E-NODE", f"{name} did not tell {key!r} in time", f"see {self.log(name)}")

    def pid(self, name: str) -> int:
        """Process id of a node, alive or not."""
        return int(self.await_event(name, "started"))

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the nodes that are alive."""
        return {name: self.pid(name) for name in self._orders if self.alive(name)}

    def alive(self, name: str) -> bool:
        """Whether a node was started and has not ended."""
        with self._changed:
            return name in self._events and not any("exited" in event for event in self._events[name])

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a live node; one that has just ended is left alone."""
        if self.alive(name):
            with suppress(ProcessLookupError):
                os.kill(self.pid(name), number)

    def kill(self, name: str) -> None:
        """`kill -9`, and wait until it is gone."""
        self.signal(name, signal.SIGKILL)
        self.await_event(name, "exited", 10.0)

    def stop(self, name: str) -> int:
        """Ask a node to end and wait; gives its exit code."""
        self.signal(name, signal.SIGTERM)
        return int(self.await_event(name, "exited", 15.0))

    def log(self, name: str) -> Path:
        """Where a node's output goes."""
        return Path(self._orders[name]["directory"]) / "node.log"

    def detach(self) -> None:
        """Leave the nodes running when this process ends or the fleet is closed."""
        self._send({"detach": True})
        self._detached = True

    def close(self) -> None:
        """Stop everything (unless detached) and wait for it."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        self._process.wait(timeout=20.0)
        if self._reader is not None and not self._detached:
            self._reader.join(timeout=5.0)  # nodes that stay keep the event pipe open, and with it the reader
        self._process = None

    def _send(self, order: Mapping[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            raise Invalid("E-NODE", "the fleet is not open", "use it in a `with`")
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Unavailable("E-NODE", "the process that starts nodes has ended", "start again") from error

    def _read(self) -> None:
        for event in _lines(self._process):
            name = str(event.pop("name"))
            with self._changed:
                self._events.setdefault(name, []).append(event)
                self._changed.notify_all()
            if self._watch is not None:
                self._watch(name, event)


def _lines(process: subprocess.Popen[bytes] | None) -> Iterator[dict[str, Any]]:
    if process is None or process.stdout is None:
        return
    with process.stdout:
        for line in process.stdout:
            yield json.loads(line)
