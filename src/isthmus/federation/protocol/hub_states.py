"""Where a run stands at the hub, and what `watch` shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from isthmus.federation.messages import Message
from isthmus.federation.protocol.charter import Step
from isthmus.federation.protocol.hub_end import Concluded, Signing, Witnessing
from isthmus.federation.protocol.hub_phases import Asking, Finished
from isthmus.federation.protocol.hub_rounds import HubRounds


@dataclass(slots=True)
class Gathering:
    """Waiting for M1 of the roster."""

    cards: dict[str, Message] = field(default_factory=dict)


@dataclass(slots=True)
class Pairing:
    """M2 is out; waiting for M1'."""

    cards: Mapping[str, Message]
    message: Message
    answers: dict[str, Message] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """Rounds are running."""

    rounds: HubRounds


@dataclass(frozen=True, slots=True)
class Failed:
    """The run ended without a result; `rule` is the rule of law that a site named."""

    code: str
    message: str
    rule: str = ""


HubState: TypeAlias = Gathering | Pairing | Running | Signing | Witnessing | Concluded | Failed


@dataclass(slots=True)
class Traffic:
    """Content bytes and messages between the hub and one site; rows are never among them."""

    received: int = 0
    sent: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """For `watch`: the stage, the open round, rounds opened so far, sites awaited, and whether a deadline passed."""

    stage: str
    question: str
    round: int
    opened: int
    awaited: tuple[str, ...]
    late: bool


def progress_of(state: HubState, awaited: tuple[str, ...], late: bool) -> Progress:
    """What is being waited for."""
    stage = type(state).__name__.lower()
    if not isinstance(state, Running):
        return Progress(stage, "", 0, 0, awaited, late)
    phase, opened = state.rounds.phase, len(state.rounds.entries)
    if isinstance(phase, Finished):
        return Progress(stage, "", 0, opened, awaited, late)
    step = (phase if isinstance(phase, Asking) else phase.asked).turn.step
    return Progress(type(phase).__name__.lower(), step.question, step.round, opened, awaited, late)


def opened(state: HubState) -> Mapping[str, Step]:
    """Context of each sum that was opened -> what it is the sum of; of a run that says sums still."""
    match state:
        case Running(rounds=held) | Witnessing(signed=held):
            return held.opened
        case Signing():
            return state.opened
        case _:
            return {}


def left_behind(state: HubState, site: str) -> bool:
    """Whether the run goes on without a site of its roster."""
    match state:
        case Pairing(cards=cards):
            return site not in cards
        case Running(rounds=rounds):
            return rounds.dropped(site)
        case Signing() | Witnessing() | Concluded():
            return site not in state.survivors
        case _:
            return False


def is_awaited(state: HubState, site: str) -> bool:
    """Whether the run waits for something of a site."""
    match state:
        case Gathering(cards=known):
            return site not in known
        case Pairing(cards=cards, answers=answers):
            return site in cards and site not in answers
        case Running(rounds=rounds):
            return bool(rounds.outstanding(site))
        case Signing() | Witnessing() | Concluded():
            return site in state.survivors and state.awaits(site)
        case Failed():
            return False


def expected_size(state: HubState, site: str) -> int:
    """Bytes of the masked reply that a round awaits from a site; 0 where none is awaited."""
    phase = state.rounds.phase if isinstance(state, Running) else None
    if not isinstance(phase, Asking) or site not in phase.turn.roster or site in phase.replies:
        return 0
    return phase.turn.size


def hub_sums(state: HubState) -> list[tuple[str, int]]:
    """Rounds (question, number) opened so far whose replies are above 1 MiB: sites took the hub's signed sum."""
    match state:
        case Running(rounds=rounds):
            found = list(rounds.trusted)
        case Signing():
            found = list(state.trusted)
        case Witnessing(signed=signed) | Concluded(signed=signed):
            found = list(signed.trusted)
        case _:
            found = []
    return sorted(set(found))
