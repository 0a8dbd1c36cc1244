"""Write docs/reference/cli.md from the command tree. `python tools/cli_reference.py`; a test compares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from isthmus.cli.app import app
from isthmus.model.errors import Exit

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"

HEAD = """# Commands

Written by `tools/cli_reference.py` from the commands themselves.

Results go to stdout, progress to stderr. `--json` prints one object with a `schema` field (one object a line where a command follows something); `--quiet` says nothing but
errors; `NO_COLOR` is honoured. An error is `{code, message, hint, where}`; [errors.md](errors.md) explains each code. Configuration: [config.md](config.md).

| exit code | meaning |
|---|---|
"""

EXITS = {
    Exit.DONE: "done",
    Exit.INTERNAL: "an internal error, a defect of Isthmus",
    Exit.USAGE: "wrong usage, or input that cannot be used",
    Exit.UNREACHABLE: "cannot connect, or a file or service is not there",
    Exit.WAITING: "waiting for an approval or a party",
    Exit.REFUSED: "refused by the agreement or a disclosure rule; the rest is delivered",
    Exit.SITES_FAILED: "some sites failed",
    Exit.BUDGET: "the privacy budget is spent",
    Exit.UNVERIFIED: "verification failed",
    Exit.INTERRUPTED: "interrupted",
}


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that can be run, with its path."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{path} {name}")
    if not hasattr(command, "commands") and not command.hidden:
        yield path, command


def page() -> str:
    """The whole page."""
    exits = "\n".join(f"| {int(code)} | {EXITS[code]} |" for code in Exit)
    sections = (section(path, command) for path, command in commands(typer.main.get_command(app), "isthmus"))
    return HEAD + exits + "\n\n" + "\n".join(sections)


def section(path: str, command: Any) -> str:
    """One command: usage, what it does, its arguments and options."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join([path, *(["[OPTIONS]"] if options else []), *(_placeholder(a) for a in arguments)])
    text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    lines = [f"## {path}", "", text, "", "```", usage, "```", ""]
    if command.params:
        lines += ["| | |", "|---|---|"]
        lines += [f"| `{_placeholder(a)}` | {_about(a)} |" for a in arguments]
        lines += [f"| `{_flags(o)}` | {_about(o)} |" for o in options]
        lines.append("")
    return "\n".join(lines)


def _placeholder(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _flags(option: Any) -> str:
    flags = ", ".join((*option.opts, *option.secondary_opts))
    kind = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    return flags + kind


def _about(parameter: Any) -> str:
    text = str(getattr(parameter, "help", None) or "").replace("|", "\\|")
    if parameter.param_type_name == "argument":
        return text
    notes = ["required"] * bool(parameter.required) + ["repeat"] * bool(parameter.multiple)
    return text + (f" ({', '.join(notes)})" if notes else "")


if __name__ == "__main__":
    PAGE.write_text(page())
