"""The process that forks nodes: imports once, then forks before any thread, channel or key exists.

Run as `python -m isthmus.federation.nursery MODULE ...` by `launch.Fleet`, which speaks JSON lines with it: orders on
standard input, events on standard output. When its standard input ends (its parent is gone), it stops what it started.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

Tell = Callable[[Mapping[str, Any]], None]

GRACE = 5.0  # seconds between asking a node to stop and killing it


def main(modules: Sequence[str]) -> int:
    """Import `modules`, then serve orders until standard input ends."""
    for name in modules:
        importlib.import_module(name)
    wake_out, wake_in = os.pipe()
    os.set_blocking(wake_in, False)
    signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _Nursery(wake_out).serve()


class _Nursery:
    def __init__(self, wake: int) -> None:
        self._wake = wake
        self._names: dict[int, str] = {}
        self._detached = False
        self._pending = b""

    def serve(self) -> int:
        _tell("", {"ready": True})
        listening = True
        while listening:
            ready, _, _ = select.select([self._wake, 0], [], [])
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._reap()
            if 0 in ready:
                listening = self._orders()
        if not self._detached:
            self._stop_all()
        return 0

    def _orders(self) -> bool:
        raw = os.read(0, 65536)
        *lines, self._pending = (self._pending + raw).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if order.get("detach"):
                self._detached = True
            else:
                self._start(order)
        return bool(raw)

    def _start(self, order: Mapping[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            os.close(self._wake)
            _child(order)
        self._names[pid] = order["name"]
        _tell(order["name"], {"started": pid})

    def _reap(self) -> None:
        while self._names:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            name = self._names.pop(pid, "")
            _tell(name, {"exited": os.waitstatus_to_exitcode(status), "pid": pid})

    def _stop_all(self) -> None:
        for pid in self._names:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)
        while self._names:
            ready, _, _ = select.select([self._wake], [], [], GRACE)
            if not ready:
                for pid in self._names:
                    os.kill(pid, signal.SIGKILL)
            else:
                os.read(self._wake, 4096)
            self._reap()


def _child(order: Mapping[str, Any]) -> NoReturn:
    """In the fork: own session of files and signals, then the node's entry point. Never returns to the loop."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        directory = Path(order["directory"])
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        events = os.dup(1)
        log = os.open(directory / "node.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        module, _, function = order["entry"].partition(":")
        entry = getattr(importlib.import_module(module), function)
        code = int(entry(directory, order["arguments"], lambda event: _tell(order["name"], event, events)) or 0)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001 - the last frame of a process: write it to the node's own log and end
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _tell(name: str, event: Mapping[str, Any], file: int = 1) -> None:
    """One line on the event pipe; lines below PIPE_BUF never mix."""
    try:
        os.write(file, json.dumps({"name": name, **event}).encode() + b"\n")
    except BrokenPipeError:
        return


if __name__ == "__main__":
    code = main(sys.argv[1:])
    os._exit(code)  # nothing of its own to clean up; taking the imported modules apart takes a second
