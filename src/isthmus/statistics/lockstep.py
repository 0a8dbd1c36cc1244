"""Several flows in lockstep: one round asks what each of them asks next, so that many cost no more rounds than one.

    found = yield from together(flows)      the estimate of each flow, or why it has none
    asked_of(asked, at)                     what a joint round asks of one flow; None where that one has ended
    joined(asked, answers)                  this site's answers as one

Flows that ask ballots cannot join.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from isthmus.evidence import Weights, worst
from isthmus.model.errors import Invalid
from isthmus.statistics.contract import Answer, Estimate, Flow, Round
from isthmus.summary import Layout, Summary

PARTS = "parts"  # the parameter that names the flows of a round
Found: TypeAlias = tuple[Estimate | Invalid, ...]


def together(flows: Sequence[Flow]) -> Generator[Round, Summary, Found]:
    """Drive every flow to its end; one that fails does not stop the others."""
    ended: dict[int, Estimate | Invalid] = {}
    asked: dict[int, Round] = {}
    for at, flow in enumerate(flows):
        _step(at, flow, None, asked, ended)
    while asked:
        joint = _joint(asked)
        pooled = yield joint
        for at in tuple(asked):
            own = asked[at].layout
            told = Summary(own, {f.name: pooled.values[_name(at, f.name)] for f in own.fields})
            _step(at, flows[at], told, asked, ended)
    return tuple(ended[at] for at in range(len(flows)))


def asked_of(asked: Round, at: int) -> Round | None:
    """What the joint round asks of flow `at`."""
    if str(at) not in str(asked.params[PARTS]).split(" "):
        return None
    lead = _name(at, "")
    fields = tuple(replace(f, name=f.name[len(lead) :]) for f in asked.layout.fields if f.name.startswith(lead))
    params = {key[len(lead) :]: value for key, value in asked.params.items() if key.startswith(lead)}
    return Round(Layout(fields=fields), params)


def joined(asked: Round, answers: Mapping[int, Answer], weighed: Sequence[int]) -> Answer:
    """The answers to a joint round as one, with the weight guard as strict as all of those in `weighed`."""
    values = {_name(at, name): value for at, a in answers.items() for name, value in a.summary.values.items()}
    guards: list[Weights] = [a.weights for at, a in answers.items() if at in weighed and a.weights is not None]
    cells = {_name(at, name): value for at, a in answers.items() for name, value in a.cells.items()}
    return Answer(Summary(asked.layout, values), worst(guards) if guards else None, cells)


def _name(at: int, name: str) -> str:
    return f"{at}.{name}"


def _joint(asked: Mapping[int, Round]) -> Round:
    fields = tuple(replace(f, name=_name(at, f.name)) for at, one in asked.items() for f in one.layout.fields)
    params = {_name(at, key): value for at, one in asked.items() for key, value in one.params.items()}
    return Round(Layout(fields=fields), {**params, PARTS: " ".join(map(str, asked))})


def _step(
    at: int, flow: Flow, pooled: Summary | None, asked: dict[int, Round], ended: dict[int, Estimate | Invalid]
) -> None:
    """Advance one flow: into `asked` while it goes on, out of it and into `ended` when it does not."""
    try:
        asked[at] = next(flow) if pooled is None else flow.send(pooled)
    except StopIteration as stop:
        ended[at] = stop.value
        asked.pop(at, None)
    except Invalid as error:
        ended[at] = error
        asked.pop(at, None)
