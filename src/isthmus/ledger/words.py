"""Ledger entries for people: which ones are asked for, and each in plain words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from isthmus.ledger.entries import EVENTS
from isthmus.model.errors import DEFECTS
from isthmus.model.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from isthmus.ledger.entries import Entry

_SHORT = 12  # digits of a digest that people compare
_EARLY = timedelta(days=30)  # from here on the time that a signature claims is far before its entry


@record
class Search:
    """Which entries are asked for; what is `None` is not looked at.

    Attributes:
        run: digest, or its first digits.
        study: digest, or its first digits; entries of its runs are meant too.
        person: who asked, approved, signed or judged.
        since: first moment, ISO 8601 or the start of it.
        until: last moment, likewise: `2026-11` includes all of November.
        code: of a refusal.
    """

    event: str | None = None
    run: str | None = None
    study: str | None = None
    person: str | None = None
    since: str | None = None
    until: str | None = None
    code: str | None = None


def runs_of(study: str, entries: Iterable[Entry]) -> frozenset[str]:
    """The runs that entries name together with a study."""
    named = (entry.facts for entry in entries if _names(entry.facts.get("study"), study))
    return frozenset(str(facts["run"]) for facts in named if "run" in facts)


def found(entries: Iterable[Entry], asked: Search, runs: frozenset[str]) -> Iterator[Entry]:
    """The entries that are asked for; `runs` are those of the study asked for."""
    return (entry for entry in entries if _within(entry, asked) and _about(entry.facts, asked, runs))


def in_words(entry: Entry) -> str:
    """An entry in plain words."""
    try:
        said = _WORDS[entry.event](entry.facts)
        return said + "".join(f"; {_signature(one, entry.time)}" for one in entry.facts.get("signatures", ()))
    except DEFECTS:  # facts of another form than this version writes: as they are
        return f"{EVENTS[entry.event].partition(':')[0]}: {_rest(entry.facts)}"


def short(text: Any) -> str:
    """The first digits of a digest; another text as it is."""
    kind, colon, digits = str(text).partition(":")
    return digits[:_SHORT] if colon and kind == "sha256" else str(text)


def _within(entry: Entry, asked: Search) -> bool:
    return (
        asked.event in {None, entry.event}
        and (asked.since is None or entry.time >= asked.since)
        and (asked.until is None or entry.time[: len(asked.until)] <= asked.until)
    )


def _about(facts: Mapping[str, Any], asked: Search, runs: frozenset[str]) -> bool:
    return (
        (asked.run is None or _names(facts.get("run"), asked.run))
        and (asked.code is None or facts.get("code") == asked.code)
        and (asked.study is None or _names(facts.get("study"), asked.study) or str(facts.get("run")) in runs)
        and (asked.person is None or any(_is(text, asked.person) for text in _texts(facts)))
    )


def _names(held: Any, wanted: str) -> bool:
    return isinstance(held, str) and held.removeprefix("sha256:").startswith(wanted.removeprefix("sha256:"))


def _is(text: str, person: str) -> bool:
    return text == person or text.startswith(f"{person}, ")  # a judgement: "who, date: reason"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _study(facts: Mapping[str, Any]) -> str:
    return f"study {short(facts.get('study'))} was admitted and became run {short(facts.get('run'))}"


def _decision(facts: Mapping[str, Any]) -> str:
    if facts.get("decision") == "joined":
        return f"run {short(facts.get('run'))}: {', '.join(facts.get('snapshots', {}))} take part"
    if facts.get("decision") == "told":
        return _verdicts(facts)
    about = f"run {short(facts['run'])}" if "run" in facts else f"agreement {short(facts.get('agreement', ''))}"
    rules = facts.get("rules", {})
    stopped = [rule for verdict in ("fail", "unknown") for rule in rules.get(verdict, ())]
    why = f" ({facts['code']}{_law(facts)})" if "code" in facts else ""
    judged = "".join(f"; {rule} judged by {said}" for rule, said in facts.get("judged", {}).items())
    kept = f"; rules not kept: {' '.join(stopped)}" if stopped else ""
    gate = f", {facts['gate']} gate" if facts.get("gate", "agreement") != "agreement" else ""
    return f"{about}{gate}: {facts.get('verdict', 'decided')}{why}{kept}{judged}"


def _signature(signed: Mapping[str, Any], entered: str) -> str:
    """Who signed an agreement, when they say, and whether that can be so of what was entered at that time."""
    claimed = datetime.fromisoformat(signed["time"]).astimezone(UTC)
    early = datetime.fromisoformat(entered) - claimed
    odd = ", by a clock ahead of this ledger's" if early < timedelta(0) else ""
    odd = f", {early.days} days before it was entered" if early >= _EARLY else odd
    return f"signed by {signed['by']} ({signed['party']}), who says on {claimed:%Y-%m-%d at %H:%M:%S}{odd}"


def _verdicts(facts: Mapping[str, Any]) -> str:
    """Of each gate at a site, how many rules came out how."""
    gates: dict[str, str] = {}
    for each in facts.get("decisions", ()):
        rules = ", ".join(f"{len(names)} {outcome}" for outcome, names in sorted(each["rules"].items()))
        gates.setdefault(str(each.get("gate")), f"{each.get('gate')} {each.get('verdict')} ({rules})")
    return f"run {short(facts.get('run'))}: {facts.get('site')} tells its verdicts: {'; '.join(gates.values())}"


def _round(facts: Mapping[str, Any]) -> str:
    where = f"question {facts.get('question')} round {facts.get('round')}"
    return f"run {short(facts.get('run'))}, {where}: the sum over {', '.join(facts.get('survivors', ()))} was opened"


def _revocation(facts: Mapping[str, Any]) -> str:
    who = facts.get("by", facts.get("name", "a custodian"))
    return f"{who} revoked the agreement: {facts.get('reason', '')}"


def _border(facts: Mapping[str, Any]) -> str:
    when = f"run {short(facts['run'])}" if "run" in facts else "the site's start"
    many = "" if facts.get("messages") == 1 else "s"
    return f"{when}: the border register is sealed at {facts.get('messages')} message{many}, {facts.get('bytes')} bytes"


def _history(facts: Mapping[str, Any]) -> str:
    return f"run {short(facts.get('run'))}: what it reads was written into the history, before its vote left"


def _approval(facts: Mapping[str, Any]) -> str:
    about = f"run {short(facts.get('run'))}"
    if "verdict" in facts:  # a site's own answer
        rule = f", by standing rule {short(facts['standing'])}" if "standing" in facts else ""
        reason = f": {facts['reason']}" if "reason" in facts else ""
        return f"{about} is {facts['verdict']} here ({', '.join(facts.get('by', ()))}){rule}{reason}"
    who = f"{facts['by']} ({facts['party']})" if "party" in facts else facts.get("by", "")
    reason = f": {facts['reason']}" if "reason" in facts else ""
    votes = "; ".join(
        f"{v['by']} {v['decision']}" + (f": {v['reason']}" if v["reason"] else "") for v in facts.get("votes", ())
    )
    said = _STEPS.get(str(facts.get("step")), str(facts.get("step")))
    amends = f" (amends {short(facts['amends'])})" if "amends" in facts else ""
    return f"{about}: {said.format(who=who)}{amends}{reason}{f' ({votes})' if votes else ''}"


def _waiting(facts: Mapping[str, Any]) -> str:
    if facts.get("unerased"):
        late = ", ".join(facts["unerased"])
        return (
            f"run {short(facts.get('run'))}: goes on though {late} did not say that its secrets of the run are erased"
        )
    sites = ", ".join(facts.get("sites", ()))
    return f"run {short(facts.get('run'))}: {f'waits for {sites}' if sites else 'goes on'}"


def _release(facts: Mapping[str, Any]) -> str:
    return f"run {short(facts.get('run'))}: result {short(facts.get('result'))} was concluded, signed by the sites"


def _refusal(facts: Mapping[str, Any]) -> str:
    code = f"{facts.get('code')}{_law(facts)}"
    if "what" in facts:
        what = str(facts["what"])
        said = f"{'an' if what[:1] in 'aeiou' else 'a'} {what} from {facts.get('by', 'a file here')}"
        return f"{said} was not taken: {code}"
    if "asked" in facts:
        who = f"{facts.get('by')} ({', '.join(facts.get('roles', ())).replace('_', ' ')})"
        about = f" of run {short(facts['about'])}" if "about" in facts else ""
        return f"{who} was refused {_ASKED.get(str(facts['asked']), facts['asked'])}{about}: {code}"
    if facts.get("by") == "hub":
        return f"the stream with the hub was ended: {code}"
    if "by" in facts:
        return f"a request of {facts['by']} was not admitted: {code}"
    asked = f", question {facts['question']}" if "question" in facts else ""
    told = {"run", "question", "code", "rule", "citation"}
    rest = _rest({name: value for name, value in facts.items() if name not in told})
    return f"run {short(facts.get('run'))}{asked}: stopped, {code}{f' ({rest})' if rest else ''}"


def _law(facts: Mapping[str, Any]) -> str:
    citation = f" ({facts['citation']})" if facts.get("citation") else ""
    return f", rule {facts['rule']}{citation}" if facts.get("rule") else ""


def _rest(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_told(value)}" for name, value in facts.items())


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + _rest(value) + "}"
    return " ".join(map(_told, value)) if isinstance(value, list) else short(value)


_ASKED: Mapping[str, str] = {
    "submit": "to submit a study",
    "bundle": "the result",
    "ledger": "the ledger",
    "border": "the border register",
    "status": "the state",
    "watch": "the state",
    "runs": "the list of runs",
    "names": "the names of runs",
    "cases": "what waits for people",
    "case": "the case",
}
_STEPS: Mapping[str, str] = {
    "submit": "submitted by {who}",
    "ask": "the sites and their custodians are asked",
    "accept": "{who} approves it",
    "approve": "every party has agreed",
    "return": "{who} returned",
    "reject": "{who} rejected",
    "withdraw": "{who} withdrew",
    "vote": "{who} has voted on the result",
    "release": "the result was released",
}
_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "study": _study,
    "approval": _approval,
    "revocation": _revocation,
    "waiting": _waiting,
    "decision": _decision,
    "round": _round,
    "border": _border,
    "history": _history,
    "release": _release,
    "refusal": _refusal,
}
