"""Several flows in lockstep: one round asks what each of them asks next, so that many cost no more rounds than one.

    found = yield from every(flows)         the end of each flow; the first that fails ends them all
    found = yield from together(flows)      the end of each flow, or why it has none
    one, other = yield from both(one, other)  the same of two
    sums = yield from at_once(rounds)       the sums of rounds that need nothing of one another
    end, rounds = yield from tallied(flow)  its end, and the rounds it took
    end = yield from beside(flow, params)   its end, every round with more parameters
    asked_of(asked, at)                     what a joint round asks of one flow; None where that one has ended
    joined(asked, answers)                  this site's answers as one
    answered(asked, answer)                 the same, of a function that answers one of them

A ballot goes in a round of its own or with other ballots, while the flows that ask for sums wait.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from isthmus.evidence import Weights, worst
from isthmus.model.errors import Invalid
from isthmus.statistics.contract import Answer, Estimate, Round
from isthmus.summary import Layout, Summary

T = TypeVar("T")
U = TypeVar("U")
PARTS = "parts"  # the parameter that names the flows of a round
Found: TypeAlias = tuple[Estimate | Invalid, ...]
Asking: TypeAlias = Generator[Round, Summary, T]


def every(flows: Sequence[Asking[T]]) -> Asking[tuple[T, ...]]:
    """Drive every flow to its end.

    Raises:
        Invalid: of a flow that fails; the others stop there.
    """
    ended: dict[int, T] = {}
    asked: dict[int, Round] = {}
    for at, flow in enumerate(flows):
        _step(at, flow, None, asked, ended)
    while asked:
        due = {at: one for at, one in asked.items() if _ballot(one)} or dict(asked)
        pooled = yield _joint(due)
        for at, one in due.items():
            told = Summary(one.layout, {f.name: pooled.values[_name(at, f.name)] for f in one.layout.fields})
            _step(at, flows[at], told, asked, ended)
    return tuple(ended[at] for at in range(len(flows)))


def together(flows: Sequence[Asking[T]]) -> Asking[tuple[T | Invalid, ...]]:
    """Drive every flow to its end; one that fails does not stop the others."""
    return (yield from every([_kept(flow) for flow in flows]))


def both(first: Asking[T], second: Asking[U]) -> Asking[tuple[T, U]]:
    """The ends of two flows that end differently."""
    flows: tuple[Asking[Any], ...] = (first, second)
    one, other = yield from every(flows)
    return one, other


def once(asked: Round) -> Asking[Summary]:
    """A flow of one round, which ends in its sums."""
    pooled = yield asked
    return pooled


def at_once(rounds: Sequence[Round]) -> Asking[tuple[Summary, ...]]:
    """The pooled sums of each."""
    return (yield from every([once(asked) for asked in rounds]))


def tallied(flow: Asking[T]) -> Asking[tuple[T, int]]:
    """Its end, and the rounds it took."""
    rounds = 0
    try:
        asked = next(flow)
        while True:
            rounds += 1
            asked = flow.send((yield asked))
    except StopIteration as stop:
        return stop.value, rounds


def beside(flow: Asking[T], params: Mapping[str, Any]) -> Asking[T]:
    """Its end; every round carries `params` too, where it says nothing else."""
    try:
        asked = next(flow)
        while True:
            asked = flow.send((yield replace(asked, params={**params, **asked.params})))
    except StopIteration as stop:
        found: T = stop.value
        return found


def asked_of(asked: Round, at: int) -> Round | None:
    """What the joint round asks of flow `at`."""
    return _own(asked, at) if at in _parts(asked) else None


def _own(asked: Round, at: int) -> Round:
    lead = _name(at, "")
    fields = tuple(replace(f, name=f.name[len(lead) :]) for f in asked.layout.fields if f.name.startswith(lead))
    params = {key[len(lead) :]: value for key, value in asked.params.items() if key.startswith(lead)}
    return Round(Layout(fields=fields), params)


def joined(asked: Round, answers: Mapping[int, Answer], weighed: Sequence[int]) -> Answer:
    """The answers to a joint round as one, held to what all of those in `weighed` are held to; the others rest on nobody here."""
    values = {_name(at, name): value for at, a in answers.items() for name, value in a.summary.values.items()}
    held = {at: a for at, a in answers.items() if at in weighed}
    guards: list[Weights] = [a.weights for a in held.values() if a.weights is not None]
    cells = {_name(at, name): value for at, a in held.items() for name, value in a.cells.items()}
    evidence = tuple(one for a in held.values() for one in a.evidence)
    blocks = [block if at in held else block[:, :0] for at in _parts(asked) for block in answers[at].choices or ()]
    choices = tuple(blocks) if _ballot(asked) else None
    return Answer(Summary(asked.layout, values), worst(guards) if guards else None, cells, evidence, choices)


def answered(asked: Round, answer: Callable[[int, Round], Answer]) -> Answer:
    """This site's answer to a joint round: what `answer` makes of each flow's own, all of them weighed."""
    answers = {at: answer(at, _own(asked, at)) for at in _parts(asked)}
    return joined(asked, answers, tuple(answers))


def _parts(asked: Round) -> tuple[int, ...]:
    return tuple(map(int, str(asked.params[PARTS]).split(" ")))


def _name(at: int, name: str) -> str:
    return f"{at}.{name}"


def _ballot(asked: Round) -> bool:
    return any(f.kind == "vote" for f in asked.layout.fields)


def _joint(asked: Mapping[int, Round]) -> Round:
    fields = tuple(replace(f, name=_name(at, f.name)) for at, one in asked.items() for f in one.layout.fields)
    params = {_name(at, key): value for at, one in asked.items() for key, value in one.params.items()}
    return Round(Layout(fields=fields), {**params, PARTS: " ".join(map(str, asked))})


def _step(at: int, flow: Asking[T], pooled: Summary | None, asked: dict[int, Round], ended: dict[int, T]) -> None:
    """Advance one flow: into `asked` while it goes on, out of it and into `ended` when it does not."""
    try:
        asked[at] = next(flow) if pooled is None else flow.send(pooled)
    except StopIteration as stop:
        ended[at] = stop.value
        asked.pop(at, None)


def _kept(flow: Asking[T]) -> Asking[T | Invalid]:
    """Its end, or why it has none."""
    try:
        return (yield from flow)
    except Invalid as error:
        return error
