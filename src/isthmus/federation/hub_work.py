"""The hub's own copy of the run. It has no data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from isthmus.federation.audit import transcript
from isthmus.federation.plan import Plan
from isthmus.federation.protocol.charter import Step
from isthmus.federation.results import released
from isthmus.federation.script import Script
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Untrusted
from isthmus.summary import Summary

AUDITED = 32 << 20  # bytes of pooled sums that an auditor's bundle carries


@dataclass(slots=True)
class HubWork:
    """Drives the flows on pooled sums, and keeps them for the auditor's form of the bundle."""

    plan: Plan
    codebook: Codebook
    script: Script = field(init=False)
    _at: int = 0
    _sums: list[tuple[Step, Summary]] = field(default_factory=list)
    _size: int = 0

    def __post_init__(self) -> None:
        self.script = Script(self.plan)

    def next(self) -> Step | None:
        """The next round, or None when every flow has ended."""
        if not self.script.voted:
            return self.script.vote_step()
        while self._at < len(order := self.script.order()):
            try:
                return self.script.first(order[self._at])
            except Untrusted:  # its flow has ended
                self._at += 1
        return None

    def learn(self, step: Step, pooled: Summary, survivors: tuple[str, ...]) -> None:
        """Advance the flow that asked."""
        self._size += sum(value.nbytes for value in pooled.values.values())
        if self._size <= AUDITED:
            self._sums.append((step, pooled))
        self.script.learn(step, pooled, survivors)

    def transcript(self, cards: str) -> Any:
        """The pooled sums and the codebook; None for a run of more than 32 MiB of sums."""
        return transcript(self._sums, cards, self.codebook) if self._size <= AUDITED else None

    def conclude(self, survivors: tuple[str, ...]) -> dict[str, Any]:
        """The released result."""
        return released(self.script, survivors)
