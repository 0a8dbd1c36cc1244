"""The questions that fill a template's essentials; what only an owner can claim stays marked `#?` in it.

A line that begins with the mark is a claim to be made; one that ends with it is a claim of the template, to be confirmed. Nothing is
made, checked or signed while a mark, or a placeholder, is left. A template is text that people read and complete, so answers are put into the text and its comments stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from isthmus.data.yaml_text import load_yaml
from isthmus.governance.duties_check import is_day
from isthmus.model.errors import Invalid

OPEN = "TO-BE-STATED"
DAY = '"YYYY-MM-DD"'
_MARK = re.compile(r"[ \t]*#\? .*|.*#\?[ \t]*")


class Asked(NamedTuple):
    """A question: what it is about, its words, and what stands there unless it is answered otherwise."""

    name: str
    words: str
    default: str = ""


def questions(template: str) -> Iterator[Asked]:
    """The questions of a template, in the order in which they are asked."""
    found: dict[str, Any] = load_yaml(template, frozenset())
    yield Asked("id", "A name for the alliance, for ever the same (a URN)", "urn:alliance:ours")
    yield Asked("title", "Its title", str(found["title"]))
    yield Asked("starts", "First day (YYYY-MM-DD)")
    yield Asked("expires", "Last day (YYYY-MM-DD)")
    yield Asked("dataset", "The dataset's name")
    yield Asked("codebook", "Its codebook (a file, or its digest sha256:...)")
    yield Asked("purpose", "The purpose, in one word")
    yield Asked("text", "The purpose in words that a patient can read")
    yield Asked("duo", "The purpose as a DUO term", str(found["duties"]["purposes"][0]["duo"]))
    yield Asked("minimum_count", "The smallest count that may be shown", str(found["disclosure"]["minimum_count"]))
    sites = found["datasets"][0]["sites"]
    for what, names in (
        ("site", sites),
        ("hub", [name for name in found["facilities"] if name not in sites]),
        ("party", found["parties"]),
        ("person", found["people"]),
    ):
        for name in names:
            yield Asked(f"{what} {name}", f"The card's name of the {what} called {name} here", name)


def check(name: str, answer: str) -> str:
    """The answer, when it can stand there.

    Raises:
        Invalid: E-TYPE.
    """
    wrong = {
        "starts": not is_day(answer),
        "expires": not is_day(answer),
        "codebook": not re.fullmatch(r"sha256:[0-9a-f]{64}", answer),
        "duo": not re.fullmatch(r"DUO:\d{7}", answer),
        "minimum_count": not answer.isdigit(),
    }
    if wrong.get(name, not answer.strip() or not answer.isprintable() or '"' in answer):
        raise Invalid("E-TYPE", f"{answer[:40]!r} cannot stand for {name}", "answer again", name)
    return answer


def completed(template: str, answers: Mapping[str, str]) -> str:
    """The template's text with the answers in it."""
    text = template.replace(f"id: urn:{OPEN}", f"id: {answers['id']}")
    text = re.sub(r"(?m)^title: .*$", lambda _: f'title: "{answers["title"]}"', text)
    for day in ("starts", "expires"):
        text = text.replace(f"\n{day}: {DAY}", f'\n{day}: "{answers[day]}"')
    text = text.replace(f"codebook: sha256:{OPEN}", f"codebook: {answers['codebook']}")
    text = text.replace(f"- dataset: {OPEN}", f"- dataset: {answers['dataset']}")
    text = text.replace(f"datasets: [{OPEN}]", f"datasets: [{answers['dataset']}]")
    text = text.replace(f"- purpose: {OPEN}\n      text: {OPEN}", _purpose(answers))
    text = re.sub(r'(?m)^(      duo: )"DUO:\d{7}"$', lambda m: f'{m[1]}"{answers["duo"]}"', text)
    text = re.sub(r"(?m)^(  minimum_count(?:_site)?: )\d+$", lambda m: m[1] + answers["minimum_count"], text)
    return _renamed(text, {k.partition(" ")[2]: name for k, name in answers.items() if " " in k})


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Every name at once, so that an answer is never taken for another name of the template."""
    old = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<![\w-])(?:{old})(?![\w-])", lambda m: names[m[0]], text)


def claims(text: str) -> int:
    """How many claims are still marked for their owners."""
    return len(_marked(text))


def require_stated(text: str, where: str) -> None:
    """Refuse terms or an agreement in which somebody has still to state or confirm something.

    Raises:
        Invalid: E-UNSTATED, with the first such line.
    """
    lines = text.splitlines()
    open_ = [i for i, line in enumerate(lines) if OPEN in line.partition("#")[0] or DAY in line.partition("#")[0]]
    left = sorted({*_marked(text), *open_})
    if left:
        hint = "state or confirm it and remove the mark #?, or remove the line of a claim that nobody makes"
        count = f"{len(left)} lines are" if len(left) > 1 else "a line is"
        raise Invalid("E-UNSTATED", f"{count} still to be stated or confirmed", hint, f"{where}:{left[0] + 1}")


def _marked(text: str) -> list[int]:
    return [i for i, line in enumerate(text.splitlines()) if _MARK.fullmatch(line)]


def _purpose(answers: Mapping[str, str]) -> str:
    return f'- purpose: {answers["purpose"]}\n      text: "{answers["text"]}"'
