"""The command tree, and the one place where errors become exit codes."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

import typer
from typer.exceptions import TyperException

from isthmus import __version__
from isthmus.cli import (
    agreement,
    approve,
    audit,
    bundle,
    codebook,
    config,
    doctor,
    evidence,
    init,
    login,
    results,
    revoke,
    rules,
    run,
    serve,
    study,
)
from isthmus.cli.demo import command as demo
from isthmus.cli.screen import Screen
from isthmus.model.errors import Exit, Invalid, IsthmusError, unforeseen

PLAIN: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}

app = typer.Typer(help="Analyse together, keep rows apart.", name="isthmus", **PLAIN)


def _group(name: str, about: str) -> typer.Typer:
    group = typer.Typer(help=about, **PLAIN)
    app.add_typer(group, name=name)
    return group


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Show the version and stop."),
) -> None:
    """Isthmus: hospitals and companies answer one question together; rows stay where they are."""
    if version:
        typer.echo(f"isthmus {__version__}")
        raise typer.Exit


app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("init")(init.init)
app.command("login")(login.login)
app.command("run")(run.run)
app.command("verify")(bundle.verify)
app.command("watch")(study.watch)

GROUPS = ("study", "approve", "results", "codebook", "rules", "agreement", "hub", "site", "audit", "config")

_study = _group("study", "Check and submit studies.")
_study.command("check")(study.check)
_study.command("preview")(study.preview)
_study.command("submit")(study.submit)
_study.command("status")(study.status)

_study.command("withdraw")(approve.withdraw)

_approve = _group("approve", "Decide on studies and results.")
_approve.command("list")(approve.listed)
_approve.command("show")(approve.show)
_approve.command("accept")(approve.accept)
_approve.command("return")(approve.give_back)
_approve.command("reject")(approve.reject)
_approve.command("rule")(approve.rule)

_results = _group("results", "Show, plot and export results.")
_results.command("show")(results.show)
_results.command("precision")(results.precision)
_results.command("plot")(results.plot)
_results.command("export")(results.export)

_codebook = _group("codebook", "Check codebooks.")
_codebook.command("check")(codebook.check)
_codebook.callback()(codebook.group)

_rules = _group("rules", "Rule sets of others, to complete and sign.")
_rules.command("list")(rules.listed)
_rules.command("show")(rules.show)

_agreement = _group("agreement", "Write, sign and check agreements.")
_agreement.command("new")(agreement.new)
_agreement.command("check")(agreement.check)
_agreement.command("diff")(agreement.diff)
_agreement.command("sign")(agreement.sign)
_agreement.command("show")(agreement.show)
_agreement.command("revoke")(revoke.revoke)

_hub = _group("hub", "Run a hub.")
_hub.command("serve")(serve.hub)
_hub.command("audit")(serve.audit)
_hub.command("console")(login.console)
_site = _group("site", "Run a site.")
_site.command("serve")(serve.site)
_site.command("budget")(serve.budget)
_audit = _group("audit", "What the ledgers say, and proof of it.")
_audit.command("search")(audit.search)
_audit.command("prove")(audit.prove)
_audit.command("export")(audit.export)
_audit.command("fetch")(audit.fetch)
_audit.command("verify")(audit.verify)
_audit.command("evidence")(evidence.evidence)
_audit.command("border")(audit.border)
_config = _group("config", "Show the configuration.")
_config.command("show")(config.show)
_config.callback()(config.group)
_study.callback()(study.group)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and leave with its exit code; a failure prints `{code, message, hint, where}`, never a row."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given or (len(given) == 1 and given[0] in GROUPS):
        given.append("--help")
    sys.excepthook = _unforeseen
    sys.exit(_outcome(given, Screen.of(json="--json" in given, quiet="--quiet" in given)))


def _outcome(arguments: list[str], screen: Screen) -> int:
    try:
        done = typer.main.get_command(app).main(arguments, prog_name="isthmus", standalone_mode=False)
    except IsthmusError as error:
        screen.error(error)
        return int(error.exit)
    except TyperException as error:
        screen.error(Invalid("E-USAGE", error.format_message().strip(), _usage_hint(error)))
        return int(Exit.USAGE)
    except (KeyboardInterrupt, typer.Abort):
        return int(Exit.INTERRUPTED)
    return int(done or 0)


def _usage_hint(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"see: {context.command_path} --help" if context is not None else "see: isthmus --help"


def _unforeseen(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    Screen.of(json="--json" in sys.argv, quiet=False).error(unforeseen(error))
