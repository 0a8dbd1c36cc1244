"""Live progress, one line per site, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from isthmus.cli.screen import Screen, visible
from isthmus.model.errors import Exit

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Progress = Callable[[Mapping[str, Any]], None]


class Board:
    """What each site is doing. An event is `{step?, sites?: {name: {state?, bytes?, ...}}}`; later events win."""

    def __init__(self, sites: tuple[str, ...], countries: Mapping[str, str] | None = None) -> None:
        self._countries = countries or {}
        self._rows: dict[str, dict[str, Any]] = {site: {"state": "starting", "step": "", "bytes": 0} for site in sites}

    def learn(self, event: Mapping[str, Any]) -> None:
        """Take in an event."""
        step = event.get("step")
        for row in self._rows.values():
            if step:
                row |= {"step": str(step), "state": "running"}
        for site, facts in event.get("sites", {}).items():
            self._rows.setdefault(site, {"state": "", "step": "", "bytes": 0}).update(facts)

    def finish(self) -> None:
        """Every site that was running is done."""
        for row in self._rows.values():
            row |= {"state": "done"}

    def table(self) -> RichTable:
        """The board as a table."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        def shown(text: object) -> Text:  # a cell that is no Text would be read as markup
            return Text(visible(str(text)))

        made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for heading in ("Site", "", "Step", "State"):
            made.add_column(heading, no_wrap=True)
        made.add_column("Sent", justify="right", no_wrap=True)
        for site, row in self._rows.items():
            sent = f"{row['bytes'] / 1000:.1f} kB" if row["bytes"] else ""
            made.add_row(*map(shown, (site, self._countries.get(site, ""), row["step"], row["state"], sent)))
        return made


@contextmanager
def watching(
    screen: Screen, sites: tuple[str, ...], countries: Mapping[str, str] | None = None
) -> Iterator[Progress | None]:
    """A board that lives while the run does; None where nobody watches."""
    if not screen.live:
        yield None
        return
    from rich.live import Live

    board = Board(sites, countries)
    with Live(board.table(), console=screen.err, refresh_per_second=12, transient=True) as live:

        def progress(event: Mapping[str, Any]) -> None:
            board.learn(event)
            live.update(board.table())

        yield progress
        board.finish()
        live.update(board.table())


def overview(screen: Screen, state: Mapping[str, Any]) -> None:
    """Where a run stands, once."""
    if screen.quiet:
        return
    screen.say(f"{state.get('run', '')}: {state.get('state', '')}")
    if state.get("sites"):
        board = Board(tuple(state["sites"]))
        board.learn(state)
        screen.out.print(board.table())
    review = state.get("review")
    if review is not None:
        say_review(screen, review)
    say_end(screen, state.get("error"))


def say_end(screen: Screen, error: Mapping[str, Any] | None) -> None:
    """Why a run ended without a result: the code and what happened, the rule, its citation or what to do."""
    if not error:
        return
    where = f" ({error['where']})" if error.get("where") else ""
    screen.say(f"{error.get('code', '')}  {error.get('message', '')}{where}", style="red")
    if error.get("hint"):
        screen.say(f"  {error['hint']}")


def say_review(screen: Screen, review: Mapping[str, Any]) -> None:
    """Where a run stands among people: the state in words, who decided and why, for whom it waits since when."""
    screen.say(str(review["state"]), style="bold")
    for site, by in review.get("standing", {}).items():
        screen.say(f"{site}: approved by a standing rule of {' and '.join(by)}")
    for said in review["decisions"]:
        screen.say(decided(said))
    if review["waiting"]:
        screen.say(f"Waiting for {waiting(review)}")


def decided(said: Mapping[str, Any]) -> str:
    """What a person decided, on what, and why."""
    reason = f": {said['reason']}" if said["reason"] else ""
    return f"{said['by']} ({said['party']}) {_DECIDED[said['decision']]} the {said['kind']}{reason}"


_DECIDED = {"accept": "accepted", "return": "returned", "reject": "rejected", "withdraw": "withdrew"}


def waiting(review: Mapping[str, Any]) -> str:
    """For whom a run waits, and since when, in one line."""
    return ", ".join(
        f"{w['whom']} ({w['party']})" + (f" since {w['since'][:16].replace('T', ' ')}" if w.get("since") else "")
        for w in review["waiting"]
    )


def follow(screen: Screen, client: Any, run: str) -> int:
    """Follow a run to its end."""
    state: Mapping[str, Any] = {}
    with watching(screen, ()) as progress:
        for state in client.watch(run):
            if screen.json:
                screen.document({"schema": "isthmus/status/1", **state})
            elif progress is not None:
                progress(state)
    if not screen.json:
        overview(screen, state)
    return int(_EXITS.get(str(state.get("state")), Exit.SITES_FAILED))


_EXITS = {
    "concluded": Exit.DONE,
    "released": Exit.DONE,
    "returned": Exit.REFUSED,
    "rejected": Exit.REFUSED,
    "withdrawn": Exit.REFUSED,
}
