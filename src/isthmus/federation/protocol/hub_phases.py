"""What the hub is waiting for in a round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from isthmus.federation.messages import Message, Payload
from isthmus.federation.protocol.context import Turn
from isthmus.federation.protocol.records import Head
from isthmus.federation.protocol.survivors import Final, Partial


@dataclass(slots=True)
class Asking:
    """R0 is out; `fixed` is a survivor set proposed before a restart. `messages`: by what the site knew of the ledger."""

    turn: Turn
    head: Head
    messages: Mapping[int, Message]
    fixed: Partial | Final | None = None
    replies: dict[str, Message] = field(default_factory=dict)
    reveals: dict[str, Message] = field(default_factory=dict)


@dataclass(slots=True)
class Settling:
    """M4 is out."""

    asked: Asking
    wanted: Partial | Final
    message: Message
    signatures: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Recovering:
    """M5 is out: every survivor's mask keys of the dropped are needed."""

    asked: Asking
    wanted: Partial
    signatures: Mapping[str, bytes]
    message: Message
    reveals: dict[str, Message] = field(default_factory=dict)


@dataclass(slots=True)
class Opening:
    """M6 is out: any t answers suffice."""

    asked: Asking
    wanted: Final
    signatures: Mapping[str, bytes]
    messages: Mapping[str, Message]
    answers: dict[str, Message] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finished:
    """Every flow has ended."""


Phase: TypeAlias = Asking | Settling | Recovering | Opening | Finished


def awaited(phase: Phase, heads: Mapping[str, int]) -> dict[str, Message]:
    """Who has not answered in a phase, and what they are asked, by what each knew of the ledger (`heads`)."""
    match phase:
        case Asking(turn=own, messages=messages, replies=replies):
            return {site: messages[heads[site]] for site in own.roster if site not in replies}
        case Settling(wanted=wanted, message=message, signatures=signatures):
            return {site: message for site in wanted.survivors if site not in signatures}
        case Recovering(wanted=wanted, message=message, reveals=reveals):
            return {site: message for site in wanted.survivors if site not in reveals}
        case Opening(messages=messages, answers=answers):
            return {site: message for site, message in messages.items() if site not in answers}
        case Finished():
            return {}


@dataclass(frozen=True, slots=True)
class Block:
    """An opened sum that sites have not been sent: M7's header and body."""

    turn: Turn
    sum: Mapping[str, Any]
    body: Payload
