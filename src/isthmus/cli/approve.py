"""`isthmus approve`: custodians decide on studies, output checkers on results."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.live import decided, waiting
from isthmus.cli.run import Json, Quiet, show_result
from isthmus.cli.screen import Screen
from isthmus.model.errors import Invalid

if TYPE_CHECKING:
    from isthmus.governance.approval import Choice

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run, as `approve list` prints it, or its first digits.")]
Why = Annotated[str, typer.Option(help="Why, in one line; the researcher and every party read it.")]


def listed(json: Json = False, quiet: Quiet = False) -> None:
    """Show what waits for a decision, yours first."""
    from isthmus.sdk.connect import connect
    from isthmus.sdk.tables import Table

    screen = Screen.of(json=json, quiet=quiet)
    with connect() as client:
        found = sorted(client.cases(), key=lambda case: not case["mine"])
    if screen.json:
        screen.document({"schema": "isthmus/approve-list/1", "cases": found})
        return
    rows = tuple(
        (_short(c["run"]), c["title"], c["review"]["state"], waiting(c["review"]), "you" if c["mine"] else "")
        for c in found
    )
    if not rows:
        screen.say("Nothing waits for a decision.")
        return
    headings = ("Run", "Study", "State", "Waiting for", "Asks")
    screen.table(Table(title="Decisions", headings=headings, rows=rows, labels=5))


def show(run: Run, json: Json = False, quiet: Quiet = False) -> None:
    """Say in plain words what is to be decided, what would leave to where, and the risk that the checks found."""
    from isthmus.sdk.connect import connect
    from isthmus.sdk.reviewing import checked

    screen = Screen.of(json=json, quiet=quiet)
    with connect() as client:
        name = client.named(run)
        shown = client.case(name)
        result = client.result_in_review(name) if shown["mine"] and shown["result"] else None
    body = result.to_dict() if result is not None else None
    if screen.json:
        screen.document(
            {
                "schema": "isthmus/approve-show/1",
                **shown,
                **({"output": body, "checked": checked(body)} if body else {}),
            }
        )
        return
    _say(screen, shown)
    if body is not None and not screen.quiet:
        show_result(screen, body)
        screen.say(checked(body)["sentence"], style="bold")


def accept(run: Run, reason: Why = "", json: Json = False, quiet: Quiet = False) -> None:
    """Approve a study at the sites of your party, or the release of a result."""
    _decide(run, "accept", reason, Screen.of(json=json, quiet=quiet))


def give_back(run: Run, reason: Why, json: Json = False, quiet: Quiet = False) -> None:
    """Return a study or a result to be changed, and say why."""
    _decide(run, "return", reason, Screen.of(json=json, quiet=quiet))


def reject(run: Run, reason: Why, json: Json = False, quiet: Quiet = False) -> None:
    """Refuse a study, or the release of a result, and say why."""
    _decide(run, "reject", reason, Screen.of(json=json, quiet=quiet))


def withdraw(run: Run, reason: Why = "", json: Json = False, quiet: Quiet = False) -> None:
    """Take back a study of your own, before its result is released."""
    _decide(run, "withdraw", reason, Screen.of(json=json, quiet=quiet))


def rule(
    terms: Annotated[Path, typer.Argument(metavar="TERMS", help="What the rule covers (.yaml or .json).")],
    out: Annotated[Path, typer.Option(help="Where to write the signed rule, for [site] standing_rules.")],
    quiet: Quiet = False,
) -> None:
    """Sign a standing rule: what your own site approves for you.

    TERMS states kinds, purpose (DUO), people, dataset, variables, monthly (questions for each person) and expires. The rule
    holds under the agreement and the rule pack of your isthmus.toml, and under no other.
    """
    from isthmus.sdk.connect import sign_standing_rule
    from isthmus.sdk.files import load_file, write_file

    if out.exists():
        raise Invalid("E-EXISTS", "there is a file of that name already", "choose another name", str(out))
    envelope = sign_standing_rule(load_file(terms), str(terms))
    write_file(out, jsonlib.dumps(envelope) + "\n")
    screen = Screen.of(json=False, quiet=quiet)
    screen.say(f"Written: {out}. Your site follows it once its isthmus.toml names it: standing_rules = ['{out.name}']")


def _decide(run: str, choice: Choice, reason: str, screen: Screen) -> None:
    from isthmus.sdk.connect import connect

    with connect() as client:
        name = client.named(run)
        review = client.decide(name, choice, reason)
    if screen.json:
        screen.document({"schema": "isthmus/decided/1", "run": name, "decision": choice, "review": review})
        return
    screen.say(f"Signed: {_DONE[choice]} {_short(name)}. It is now: {review['state']}.")
    if "entered" in review:
        entry, sites = review["entered"]["entry"], ", ".join(review["entered"]["sites"])
        if sites:
            screen.say(f"Entry {entry} of the hub's ledger, held by {sites}.", style="dim")
        else:
            said = (
                f"Entry {entry} of the hub's ledger, which no site holds yet: `isthmus audit search` at your site shows"
            )
            screen.say(f"{said} when the decision has come there.", style="yellow")
    if review["waiting"]:
        screen.say(f"Waiting for {waiting(review)}", style="dim")


_DONE: Mapping[str, str] = {
    "accept": "you accept",
    "return": "you return",
    "reject": "you reject",
    "withdraw": "you withdraw",
}


def _say(screen: Screen, shown: Mapping[str, Any]) -> None:
    for name, said in shown["about"].items():
        lines = said if isinstance(said, list) else [said]
        screen.say(f"{name:<10} {lines[0]}")
        for line in lines[1:]:
            screen.say(f"{'':<10} {line}")
    screen.say()
    screen.say(shown["risk"]["sentence"], style="bold")
    screen.say()
    for site, answer in sorted(shown["answers"].items()):
        screen.say(f"{site}: {_answer(answer)}")
    for rule in shown["rules"]:
        screen.say(f"{rule['rule']:<12} {rule['said']}: {rule['citation']}", style="dim")
    for decision in shown["review"]["decisions"]:
        screen.say(f"{decision['time'][:16].replace('T', ' ')} {decided(decision)}")
    screen.say(f"{shown['review']['state']}. {_asks(shown)}")
    screen.say(f"study {shown['study']}", style="dim")
    if shown["result"]:
        screen.say(f"result {shown['result']}", style="dim")


def _asks(shown: Mapping[str, Any]) -> str:
    said = waiting(shown["review"])
    return f"Waiting for {said}." if said else "Nobody is waited for."


def _answer(answer: Mapping[str, Any]) -> str:
    law = answer.get("verdicts") or {}
    rules = f"; {len(law['pass'])} rules of law pass, {len(law.get('n/a', ()))} do not apply" if "pass" in law else ""
    by = f" by {', '.join(answer['by'])}" if answer.get("by") and answer["verdict"] != "waiting" else ""
    rule = " (standing rule)" if answer.get("standing") else ""
    return f"{answer['verdict']}{by}{rule} since {answer['since'][:16].replace('T', ' ')}{rules}"


def _short(run: str) -> str:
    return run.removeprefix("sha256:")[:12]
