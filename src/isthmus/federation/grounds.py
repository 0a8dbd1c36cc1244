"""What a decision by rules of law rests on, as a ledger entry holds it: enough to judge every rule again.

Facts that follow from the agreement's text are held by its digest; of the facts `a` there is only what a site knew besides,
by path. The other facts are there in full, but for what no ledger may hold: a limit of the site's own, or a number of people
below the floor. Those are named in `withheld`, and the rules that read them cannot be judged again from the entry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.governance.agreement import Agreement, agreement_digest
from isthmus.governance.facts import agreement_facts, signed_by_all
from isthmus.governance.rulepack import Pack, Rule
from isthmus.governance.verdicts import Facts, Verdict, decide, facts_digest
from isthmus.model.canonical import canonical
from isthmus.model.errors import Invalid

Path = tuple[str | int, ...]
_ROOT = "agreement"
_FACT = re.compile(r"\b(?:a|s|site|sig|o|now)(?:\.[a-z_0-9]+)*\b(?![('\"])")
_GONE = object()
ROOM = 32 * 1024  # bytes of decisions in one entry, which has 64 KiB with what they all rest on
OUTPUTS = 100  # named in one decision


def by_text(agreement: Agreement, pack: Pack) -> Facts:
    """The facts `a` that follow from an agreement which every party signed, and from nothing else."""
    return agreement_facts(agreement, pack, signed_by_all(agreement))


def grounds(agreement: Agreement, text: Facts, facts: Facts, private: Collection[str] = ()) -> dict[str, Any]:
    """What an entry holds of the facts of a decision.

    Args:
        agreement: in force.
        text: its `by_text`.
        facts: by root, as they were decided on.
        private: names of facts `site` that are told to nobody.
    """
    changed, gone, withheld = {}, [], [f"site/{name}" for name in sorted(private)]
    for path, value in _differences((), text, facts["a"]):
        if value is _GONE:
            gone.append(_joined(path))
        elif path[0] == "bulk" and _few(value, agreement.disclosure.minimum_count or 0):
            withheld.append(f"a/{_joined(path)}")
        else:
            changed[_joined(path)] = value
    told = {root: value for root, value in facts.items() if root != "a"}
    if "site" in told:
        told["site"] = {name: value for name, value in told["site"].items() if name not in private}
    a = {_ROOT: agreement_digest(agreement), "known": changed, "unknown": gone}
    read = {"a": a, **told, "withheld": withheld}
    return read | {"doubles": [_joined(path) for path in _doubles((), read)]}


def entered(record: Mapping[str, Any], read: Mapping[str, Any], agreement: Agreement, pack: Pack) -> dict[str, Any]:
    """What an entry holds of a decision: its record, and the `grounds` that it rests on.

    The digest is that of the facts which the entry holds: one that covered a withheld fact could be tried out, number by number.
    """
    told = {"facts": facts_digest(_facts_of(read, agreement, pack))} if read["withheld"] else {}
    return {**record, **told, "read": read}


def facts_read(rule: Rule) -> list[str]:
    """The facts that a rule of the pack names, in order."""
    return sorted(set(_FACT.findall(f"{rule.applies} {rule.requires}")))


@dataclass(frozen=True, slots=True)
class Again:
    """A decision that was judged again from its entry.

    Attributes:
        facts: by root.
        whole: whether these are the facts of the entry's digest.
        verdicts: of the gate's rules.
    """

    facts: Facts
    whole: bool
    verdicts: tuple[Verdict, ...]


def of_output(output: Facts) -> dict[str, Any]:
    """What an entry holds of the facts `o` of an output: all, since they hold no count."""
    read = {"o": dict(output)}
    return read | {"doubles": [_joined(path) for path in _doubles((), read)]}


def parted(facts: Facts) -> list[dict[str, Any]]:
    """Facts of an entry on several decisions, in as many entries as a ledger takes: each rests on what all of them do."""
    if "decisions" not in facts:
        return [dict(facts)]
    parts, size = list[list[Facts]]([[]]), 0
    for piece in (piece for each in facts["decisions"] for piece in _pieces(each)):
        more = len(canonical(piece))
        if parts[-1] and size + more > ROOM:
            parts.append([])
            size = 0
        parts[-1].append(piece)
        size += more
    return [{**facts, "decisions": part} for part in parts]


def _pieces(decision: Facts) -> Iterator[Facts]:
    """A decision on many outputs as several, each on some of them."""
    outputs = decision.get("outputs", ())
    for at in range(0, max(len(outputs), 1), OUTPUTS):
        yield {**decision, "outputs": outputs[at : at + OUTPUTS]} if outputs else decision


def decisions(entry: Facts) -> list[dict[str, Any]]:
    """The decisions by rules in a ledger entry, each with all that it rests on: one, or at egress one for each kind of output."""
    shared, held = entry.get("read"), entry.get("decisions")
    whole = [dict(entry)] if isinstance(entry.get("rules"), Mapping) else []
    several = [each for each in held if isinstance(each, Mapping) and "rules" in each] if isinstance(held, list) else []
    return whole + [{**each, "read": _merged(shared, each.get("read"))} for each in several]


def judged_again(decision: Mapping[str, Any], agreement: Agreement, pack: Pack) -> Again:
    """The verdicts on the facts of a decision, as `decisions` gives it.

    Raises:
        Invalid: E-GROUNDS, the entry holds no facts, facts that cannot be read, or those of another agreement.
    """
    try:
        facts = _facts_of(decision.get("read"), agreement, pack)
        made = decide(pack, decision["gate"], facts)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise Invalid("E-GROUNDS", "the entry's facts cannot be read", "ask whose ledger it is") from error
    return Again(facts, facts_digest(facts) == decision.get("facts"), made.verdicts)


def _facts_of(read: Any, agreement: Agreement, pack: Pack) -> dict[str, Any]:
    """The facts, by root, that an entry's `read` stands for.

    Raises:
        Invalid: E-GROUNDS.
    """
    if not isinstance(read, Mapping) or "a" not in read:
        raise Invalid("E-GROUNDS", "the entry holds no facts", "entries of earlier versions hold their digest alone")
    if read["a"][_ROOT] != agreement_digest(agreement):
        raise Invalid("E-GROUNDS", "it was decided under another agreement", "give the version with that digest")
    told = json.loads(json.dumps({root: value for root, value in read.items() if root != "withheld"}))
    for path in told.pop("doubles"):
        inside, last = _place(told, path)
        inside[last] = float(inside[last])
    said, text = told.pop("a"), json.loads(json.dumps(by_text(agreement, pack)))
    for path, value in said["known"].items():
        inside, last = _place(text, path)
        inside[last] = value
    for path in said["unknown"]:
        inside, last = _place(text, path)
        del inside[last]
    return {"a": text, **told}


def _merged(shared: Any, own: Any) -> dict[str, Any] | None:
    """What a decision rests on, with what all of its entry do; None where one of them is not there."""
    if not (isinstance(shared, Mapping) and isinstance(own, Mapping) and own):
        return None
    both = [part.get("doubles") or () for part in (shared, own)]
    return {**shared, **own, "doubles": [path for paths in both if isinstance(paths, list) for path in paths]}


def _differences(path: Path, text: Any, seen: Any) -> Iterator[tuple[Path, Any]]:
    """Paths below which what was seen is not what the text says, with what was seen; `_GONE` where that is nothing."""
    if isinstance(text, Mapping) and isinstance(seen, Mapping):
        for name in sorted({*text, *seen}):
            yield from (
                _differences((*path, name), text.get(name), seen[name]) if name in seen else [((*path, name), _GONE)]
            )
    elif isinstance(text, list) and isinstance(seen, list) and len(text) == len(seen):
        for number, (one, other) in enumerate(zip(text, seen, strict=True)):
            yield from _differences((*path, number), one, other)
    elif text != seen:
        yield path, seen


def _few(value: Any, floor: int) -> bool:
    """Whether a value of `bulk` says of fewer people than the floor."""
    match value:
        case Mapping():
            return _few(value.get("people"), floor)
        case list():
            return any(_few(each, floor) for each in value)
        case int():
            return 0 < value < floor
        case _:
            return False


def _doubles(path: Path, value: Any) -> Iterator[Path]:
    """Paths of whole numbers that are floating-point: JSON would give integers back, which CEL tells apart."""
    if isinstance(value, float) and value.is_integer():
        yield path
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _doubles((*path, name), each)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _doubles((*path, number), each)


def _joined(path: Path) -> str:
    return "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in path)  # RFC 6901


def _place(value: Any, path: str) -> tuple[Any, str | int]:
    """What holds the end of a path, and where in it."""
    *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in path.split("/"))
    for part in parents:
        value = value[_key(value, part)]
    return value, _key(value, last)


def _key(value: Any, part: str) -> str | int:
    return int(part) if isinstance(value, list) else part
