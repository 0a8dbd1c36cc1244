"""What the demonstration says: plainly, where the data come from, what was refused, what left, how to check it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.cli import show
from isthmus.cli.demo import compare
from isthmus.cli.demo.data import ARMS_IN_WORDS, TRIAL
from isthmus.cli.demo.question import REFUSED, RULES
from isthmus.cli.screen import Screen

if TYPE_CHECKING:
    import pyarrow as pa

    from isthmus.cli.demo.play import Played
    from isthmus.cli.demo.stage import Stage

SHOWN_FIRST = ("baseline", "survival", "difference", "hazard", "response", REFUSED)


def opening(screen: Screen) -> None:
    """What is about to happen, and what is invented."""
    screen.say("Isthmus: six sites in two countries answer one question; no row leaves a site.", style="bold")
    screen.say(f"Patients: {TRIAL}. Arms: {ARMS_IN_WORDS}.")
    screen.say("The site names are invented: the trial's patients are dealt to them by a hash of the patient number.")
    screen.say()


def staged(screen: Screen, stage: Stage, tables: Mapping[str, pa.Table]) -> None:
    """Sites and rules."""
    counts = ", ".join(f"{node.name} ({node.country}) {tables[node.name].num_rows}" for node in stage.sites)
    screen.say(f"Patients per site: {counts}")
    screen.say("Agreement signed by all seven parties. Its disclosure floor, every rule stated:")
    screen.say("  " + ", ".join(f"{name} {_value(value)}" for name, value in RULES.items()))
    screen.say(
        "  minimum_count_site is 1: cells of one site may be small, because only sums over the sites leave; what "
        "people see is gated at 11."
    )
    screen.say("Starting a hub and six sites as separate processes, mutual TLS on loopback ...", style="dim")
    screen.say()


def closing(screen: Screen, played: Played, running: Mapping[str, int]) -> None:
    """Result, comparison, traffic and proof."""
    from isthmus.sdk.bundle import verify

    raw, body = played.bundle.read_bytes(), played.result.to_dict()
    compared = compare.differences(compare.before_rounding(played.audit), played.tables)
    figure = _save_figure(played.stage.folder, body)
    if screen.json:
        facts = {
            "bundle": str(played.bundle),
            "figure": str(figure),
            "verified": verify(raw)["checked"],
            "pids": dict(running),
        }
        screen.document({**body, "comparison": compared, "demo": {**facts, "seconds": round(played.seconds, 1)}})
        return
    for name in SHOWN_FIRST:
        show.analysis(screen, name, body["analyses"][name], body)
    screen.say(
        f"({REFUSED!r} is refused on purpose: too few patients at some site have the characteristic.)", style="dim"
    )
    screen.say(f"Survival curve: {figure}")
    screen.say()
    _comparison(screen, compared)
    show.traffic(screen, body)
    screen.say()
    screen.say(f"Signed bundle: {played.bundle}")
    screen.say(f"$ isthmus verify {played.bundle}")
    for line in verify(raw)["checked"]:
        screen.say(f"  ok  {line}", style="green")
    _ending(screen, played, running)


def _comparison(screen: Screen, compared: Mapping[str, Mapping[str, float]]) -> None:
    largest = max(item["largest_difference"] for item in compared.values())
    each = ", ".join(f"{name} {_difference(item)}" for name, item in compared.items())
    screen.say(f"Same fit on pooled rows, before rounding for release: largest difference {largest:.0e}", style="bold")
    screen.say(f"  ({each}; curve and test on the same time grid)", style="dim")


def _difference(item: Mapping[str, float]) -> str:
    return f"{item['largest_difference']:.0e}" if item["largest_difference"] else "0"


def _ending(screen: Screen, played: Played, running: Mapping[str, int]) -> None:
    screen.say()
    if running:
        nodes = " ".join(str(pid) for pid in running.values())
        screen.say(f"Hub and sites keep running (--keep). Stop them with: kill {nodes}")
    else:
        screen.say(f"{played.seconds:.0f} s. Everything that was started is stopped.", style="dim")


def _save_figure(folder: Path, body: Mapping[str, Any]) -> Path:
    from isthmus.charts import survival
    from isthmus.sdk import figures

    file = folder / "survival.svg"
    figure = figures.survival_figure("survival", body["analyses"]["survival"], body)
    shown = replace(figure, title="Freedom from a CD4 fall of 50 %, AIDS or death", x_label="Days since randomisation")
    file.write_text(survival.draw(shown), encoding="utf-8")
    return file


def _value(value: Any) -> str:
    return "/".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
