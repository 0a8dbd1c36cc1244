"""`isthmus approve` and `isthmus study withdraw` at a live hub, as people type them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from review_fleet import BOTH, ask, reviewed, start, stop
from test_processes_agreed import SITES, Alliance, study
from test_processes_review import settled, until, waits, whom

from isthmus.federation.launch import Fleet
from isthmus.model.canonical import plain


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alliance]:
    folder = tmp_path_factory.mktemp("alliance")
    made = reviewed(folder, BOTH)
    with Fleet(environ=dict(os.environ)) as fleet:
        start(fleet, made)
        yield made
        stop(fleet)


def cli(made: Alliance, who: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    party = who.removeprefix("keeper-")
    file = made.directory / party / ("custodian.toml" if party != who else "isthmus.toml")
    environ = {**os.environ, "ISTHMUS_CONFIG": str(file), "NO_COLOR": "1", "COLUMNS": "110"}
    command = [sys.executable, "-m", "isthmus.cli", *map(str, words)]
    return subprocess.run(
        command, cwd=made.directory, env=environ, capture_output=True, text=True, check=False, timeout=60
    )


def told(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_custodian_reads_the_case_and_approves(made: Alliance) -> None:
    run = ask(made)
    until(lambda: whom(made, run) == {f"keeper-{site}" for site in SITES}, "the sites did not answer")
    listed = told(cli(made, "keeper-leeds", "approve", "list", "--json"))["cases"]
    assert [(c["run"], c["mine"]) for c in listed] == [(run, True)]
    shown = cli(made, "keeper-leeds", "approve", "show", run[7:19])
    assert shown.returncode == 0, shown.stderr
    text = " ".join(shown.stdout.split())
    for said in (
        "Does arm B save lives?",
        "ada, leeds (GB)",
        "DUO:0000007",
        "where: age >= 18",
        "death: glm, with formula = died ~ arm + age; family = binomial",
        "hub (GB) to boston (US, ",
        "): pooled sums and results; flow sums-and-results-abroad, idta",
        "Risk: low. 3 of 3 sites",
        "every rule on a run that applies passes",
        "at least 3 legal entities",
        "fewer than 11 people",
        "rules of law pass",
        "XB-10 pass at boston, leeds, oxford: UK GDPR Art 5(1)(f), 32",
        "n/a at boston",
        "Waiting for keeper-",
    ):
        assert said in text, (said, shown.stdout)
    assert "bytes from each site" in text
    blind = told(cli(made, "cleo", "approve", "show", run, "--json"))
    assert blind["risk"]["level"] == "look"
    assert "no codebook" in blind["risk"]["sentence"]
    done = cli(made, "keeper-leeds", "approve", "accept", run[7:19])
    assert "you accept" in done.stdout
    assert "In review" in done.stdout
    assert cli(made, "keeper-boston", "approve", "return", run).returncode == 2  # no reason
    back = cli(made, "keeper-boston", "approve", "return", run, "--reason", "say how age enters")
    assert "Returned" in back.stdout
    (said,) = [line for line in back.stdout.splitlines() if "of the hub's ledger, held by" in line]
    proof = (
        made.directory / "returned.json"
    )  # no run has ended yet: the checkpoint is one that sites cosigned between runs
    assert cli(made, "hub", "audit", "prove", said.split()[1], "--out", proof).returncode == 0
    held = cli(made, "ann", "audit", "verify", proof, "--agreement", made.directory / "ada" / "agreement.json")
    assert f"entry {said.split()[1]} (approval)" in held.stdout
    assert "cosigned by" in held.stdout
    status = cli(made, "ada", "study", "status", run)
    assert "keeper-boston (boston) returned the study: say how age enters" in status.stdout
    short = cli(made, "ada", "study", "status", run.removeprefix("sha256:")[:12])
    assert (short.returncode, short.stdout) == (status.returncode, status.stdout)
    watched = cli(made, "ada", "watch", run[:16], "--json").stdout.splitlines()
    assert json.loads(watched[-1])["run"] == run
    for none in ("%", "sha256:", run[7:19] + "_", "f" * 63):
        refused = cli(made, "ada", "study", "status", none)
        assert (refused.returncode, "E-RUN" in refused.stderr) == (2, True), none
    assert cli(made, "ada", "watch", run, "--quiet").returncode == 5
    assert cli(made, "ada", "results", "show", run).returncode == 2


def test_output_checkers_look_at_the_result_and_release_it(made: Alliance) -> None:
    run = ask(made, title="A second study")
    for site in SITES:
        assert cli(made, f"keeper-{site}", "approve", "accept", run, "--quiet").returncode == 0
    settled(made, run, "egress")
    waiting = cli(made, "ada", "results", "show", run)
    assert waiting.returncode == 4
    assert "E-NOT-RELEASED" in waiting.stderr
    shown = cli(made, "cora", "approve", "show", run)
    assert "arm[B]" in shown.stdout
    assert "Disclosure control:" in shown.stdout
    assert "checks passed" in shown.stdout
    assert "Results in egress review. Waiting for" in " ".join(shown.stdout.split())
    assert cli(made, "cora", "approve", "accept", run, "--quiet").returncode == 0
    last = cli(made, "cleo", "approve", "accept", run)
    assert "It is now: Released" in last.stdout
    assert "of the hub's ledger, held by" in last.stdout
    assert "no site" not in last.stdout
    assert cli(made, "ada", "results", "show", run).returncode == 0
    out = made.directory / "out"
    assert cli(made, "ada", "results", "export", run, "--out", out, "--quiet").returncode == 0
    assert cli(made, "hub", "audit", "export", "--out", out / "hub.ledger").returncode == 0
    bundle = next(out.glob("*.isthmus"))
    held = cli(
        made,
        "ann",
        "audit",
        "verify",
        out / "hub.ledger",
        bundle,
        "--agreement",
        made.directory / "ada" / "agreement.json",
    )
    assert held.returncode == 0, held.stderr
    assert "5 decisions that people signed are entered, and no other vote" in held.stdout
    assert cli(made, "ann", "audit", "verify", bundle).returncode == 8
    another = reviewed(made.directory / "another").directory / "ada" / "agreement.json"
    other = cli(made, "ann", "audit", "verify", out / "hub.ledger", bundle, "--agreement", another)
    assert (other.returncode, "E-AGREEMENT-OTHER" in other.stderr) == (8, True)
    verified = cli(made, "ada", "verify", out / "result.isthmus")
    assert "released by cora and cleo" in verified.stdout.replace("\n", " ")


def test_a_standing_rule_is_signed_and_a_study_withdrawn(made: Alliance) -> None:
    terms = made.directory / "terms.yaml"
    stated = {
        "kinds": ["glm"],
        "purpose": "DUO:0000007",
        "people": ["ada"],
        "dataset": "trial",
        "variables": ["age", "arm", "died"],
        "monthly": 3,
        "expires": "2030-01-01",
    }
    terms.write_text(yaml.safe_dump(stated))
    out = made.directory / "rule.json"
    assert "standing_rules" in cli(made, "keeper-leeds", "approve", "rule", terms, "--out", out).stdout
    assert json.loads(out.read_text())["payloadType"] == "application/vnd.isthmus.standing-rule+json"
    assert cli(made, "cleo", "approve", "rule", terms, "--out", made.directory / "other.json").returncode == 5
    file = made.directory / "third.json"
    file.write_text(json.dumps(plain(study(title="A third study"))))
    run = told(cli(made, "ada", "study", "submit", file, "--json"))["run"]
    until(lambda: waits(made, run) == set(SITES), "the sites did not answer")
    done = told(cli(made, "ada", "study", "withdraw", run, "--json"))
    assert done["review"]["state"] == "Withdrawn"
    assert told(cli(made, "keeper-leeds", "approve", "list", "--json"))["cases"] == []
