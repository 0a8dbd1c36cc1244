"""Write the states and the diagram of docs/reference/review.md from `governance/review.py`: `python tools/review_diagram.py`."""

from __future__ import annotations

from pathlib import Path

from isthmus.governance.review import STATES, TRANSITIONS, diagram

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "review.md"
MARKS = ("<!-- drawn from governance/review.py -->", "<!-- end -->")


def drawn() -> str:
    """What stands between the marks."""
    rows = []
    for state, means in STATES.items():
        moves = ", ".join(f"{event} ({step.writes})" for event, step in TRANSITIONS.get(state, {}).items())
        rows.append(f"| {state} | {means} | {moves or 'nothing: the end'} |")
    table = "\n".join(
        ["| state | the study is | what moves it on (and the ledger event it writes) |", "|---|---|---|", *rows]
    )
    return f"{MARKS[0]}\n\n{table}\n\n```mermaid\n{diagram()}\n```\n\n{MARKS[1]}"


def page(text: str) -> str:
    """`text` with the part between the marks drawn again."""
    before, _, rest = text.partition(MARKS[0])
    return before + drawn() + rest.partition(MARKS[1])[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
