"""Where protocol work runs: short steps on the event loop, long ones in one thread, so that heartbeats go on.

A hop to the thread costs 3 to 6 ms a round; four seconds of work on the loop is four seconds without a heartbeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

SHORT = 0.05  # seconds: a hop is a tenth of it, and heartbeats are a hundred times as long
MOST = 10_000  # kinds of job that are remembered: each run has its own


class Worker:
    """Runs jobs one at a time; what a kind of job took last time decides where it runs next time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="isthmus-work")
        self._took: dict[str, float] = {}
        self._one = asyncio.Lock()

    async def run(self, kind: str, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The job's result. A kind not seen before runs in the thread."""
        async with self._one:
            if self._took.get(kind, 1.0) <= SHORT:
                return self._timed(kind, job, *args, **kwargs)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, lambda: self._timed(kind, job, *args, **kwargs))

    def close(self) -> None:
        """Wait for the job under way and end the thread."""
        self._thread.shutdown(wait=True)

    def _timed(self, kind: str, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        start = perf_counter()
        try:
            return job(*args, **kwargs)
        finally:
            if len(self._took) >= MOST:
                self._took.clear()
            self._took[kind] = perf_counter() - start
