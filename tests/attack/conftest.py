"""Fixtures by which an attack says what leaked and what stopped it; `--attack-table FILE` collects them as a table."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from attack import Say, markdown, table


@pytest.fixture
def leak(request: pytest.FixtureRequest) -> Say:
    """Says what was learned without the defence, with its figure."""
    return lambda text: request.node.user_properties.append(("leak", text))


@pytest.fixture
def stop(request: pytest.FixtureRequest) -> Say:
    """Says what came of the attack through Isthmus."""
    return lambda text: request.node.user_properties.append(("stop", text))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--attack-table", help="write the table of attacks here; fail where one has no leak or no stop")


class Collector:
    """Hears every report of the run."""

    def __init__(self) -> None:
        self.told: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = Path(report.nodeid.partition("::")[0]).name
        if report.when == "call":
            self.told[file] += [(str(k), str(v)) for k, v in report.user_properties if k in {"leak", "stop"}]
        if report.failed:
            self.failed.add(file)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        rows = table(self.told, frozenset(self.failed))
        Path(session.config.getoption("--attack-table")).write_text(markdown(rows) + "\n")
        if not all(row.holds for row in rows):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        rows = table(self.told, frozenset(self.failed))
        terminalreporter.section("attacks")
        for row in rows:
            terminalreporter.write_line(f"{row.attack.number or '':>2} {row.attack.name}  [{row.file}]")
            for word, texts in (("leak", row.leaks), ("stop", row.stops)):
                terminalreporter.write_line(f"     {word}: " + ("; ".join(texts) or "NOT SHOWN"), red=not texts)
            terminalreporter.write_line(f"     rule: {row.attack.rule}" + ("" if row.passed else "  FAILED"))
        holding = sum(row.holds for row in rows)
        terminalreporter.write_line(
            f"{holding} of {len(rows)} attacks leak without the defence and fail through Isthmus"
        )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--attack-table", None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(), "attack-table")
