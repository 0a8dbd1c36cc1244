"""The command line without a network: exit codes, JSON, coded errors, and never a value from rows in an error."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from made_cli import body, rules, study

from isthmus.cli import app
from isthmus.federation.identity import KEY, SEALED


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "110")


@pytest.fixture
def rehearsal(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A rehearsal that remembers what it was asked and gives a made result."""
    asked: list[dict[str, Any]] = []

    def rehearse(record: Any, sites: Any, **how: Any) -> dict[str, Any]:
        asked.append({"study": record, "sites": sites, **how})
        return body(tuple(sites), refused="rare" in record.analyses)

    monkeypatch.setattr("isthmus.federation.rehearsal.rehearse", rehearse)
    return asked


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        app.main([str(word) for word in words])
    return int(stop.value.code or 0)


def files(folder: Path, *analyses: str) -> list[str | Path]:
    (folder / "study.yaml").write_text(json.dumps(study(*analyses)))
    (folder / "rules.yaml").write_text(json.dumps(rules()))
    given = ["--site", "leeds=l.parquet", "--site", "boston=b.parquet"]
    return ["run", folder / "study.yaml", "--rules", folder / "rules.yaml", *given]


def test_run_json_is_one_object_and_only_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rehearsal: list[dict[str, Any]]
) -> None:
    assert run(*files(tmp_path), "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["schema"] == "isthmus/result/1"
    assert err == ""
    assert rehearsal[0]["countries"] == {"leeds": "GB", "boston": "GB"}
    assert rehearsal[0]["rules"].minimum_count == 11


def test_a_country_is_taken_and_an_unknown_site_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rehearsal: list[dict[str, Any]]
) -> None:
    assert run(*files(tmp_path), "--country", "boston=US") == 0
    assert rehearsal[0]["countries"] == {"leeds": "GB", "boston": "US"}
    assert run(*files(tmp_path), "--country", "paris=FR") == 2
    assert "E-USAGE" in capsys.readouterr().err


def test_a_refused_analysis_gives_exit_5_with_the_rest_delivered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rehearsal: list[dict[str, Any]]
) -> None:
    assert run(*files(tmp_path, "rare")) == 5
    out = capsys.readouterr().out
    for word in ("E-DISCLOSURE", "fewer terms", "arm[ddI]", "Rows that left a site: 0"):
        assert word in out
    assert rehearsal


def test_out_keeps_the_result_and_results_show_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rehearsal: list[dict[str, Any]]
) -> None:
    kept = tmp_path / "result.json"
    assert run(*files(tmp_path), "--out", kept, "--quiet") == 0
    assert capsys.readouterr().out == ""
    assert run("results", "show", kept) == 0
    assert "arm[ddI]" in capsys.readouterr().out
    assert run("results", "plot", kept, "survival") == 0
    assert capsys.readouterr().out.startswith("<svg")
    assert run("results", "plot", kept, "nothing") == 2
    assert run("results", "export", kept, "--out", tmp_path / "out") == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"result.json", "response.csv", "response.svg", "survival.csv", "survival.svg"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"analyses": {"a": {"count": {}, "glm": {}}}}, "E-KIND"),
        ({"analyses": {"a": {"regresion": {}}}}, "E-KIND"),
        ({"titel": "x"}, "E-UNKNOWN-KEY"),
        ({"title": 3}, "E-TYPE"),
        ({"analyses": {"a": {"glm": {"formula": "y ~ __import__('os')", "family": "binomial"}}}}, "E-FORMULA"),
    ],
)
def test_a_wrong_study_is_a_coded_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], code: str
) -> None:
    file = tmp_path / "study.json"
    file.write_text(json.dumps(study() | change))
    assert run("study", "check", file, "--json") == 2
    error = json.loads(capsys.readouterr().out)
    assert error["schema"] == "isthmus/error/1"
    assert error["error"]["code"] == code


def test_a_good_study_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "study.json"
    file.write_text(json.dumps(study()))
    assert run("study", "check", file) == 0
    assert "response" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["minimum_count", "zeros", "minimum_sites"])
def test_a_rule_left_out_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rehearsal: list[dict[str, Any]], missing: str
) -> None:
    words = files(tmp_path)
    (tmp_path / "rules.yaml").write_text(json.dumps({k: v for k, v in rules().items() if k != missing}))
    assert run(*words, "--json") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "E-MISSING-KEY"
    assert missing in error["message"]
    assert not rehearsal


def test_a_rule_may_be_switched_off_by_null_and_digits_left_out(
    tmp_path: Path, rehearsal: list[dict[str, Any]]
) -> None:
    words = files(tmp_path)
    stated = rules() | {"dominance": None}
    del stated["digits"]
    (tmp_path / "rules.yaml").write_text(json.dumps(stated))
    assert run(*words, "--quiet") == 0
    assert (rehearsal[0]["rules"].dominance, rehearsal[0]["rules"].digits) == (None, None)


def test_an_unforeseen_error_shows_no_locals_and_no_message(tmp_path: Path) -> None:
    script = (
        "from isthmus.federation import rehearsal\n"
        "def rehearse(*a, **k):\n    patient = 'SECRET-ROW'\n    raise KeyError(patient)\n"
        "rehearsal.rehearse = rehearse\n"
        "from isthmus.cli import main\nmain()\n"
    )
    words = [str(word) for word in files(tmp_path)]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "E-INTERNAL" in done.stderr
    assert "SECRET-ROW" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_init_writes_keys_card_and_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("init", "site", "leeds", "--party", "nhs", "--country", "gb", "--hub", "hub:8443", "--folder", tmp_path)
    assert run(*words, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    card = json.loads(Path(made["card"]).read_text())
    assert (card["role"], card["country"], card["key"]) == ("site", "GB", made["key"])
    assert run(*words) == 2
    assert "E-EXISTS" in capsys.readouterr().err


def test_a_persons_keys_are_sealed_unless_told_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ISTHMUS_PASSPHRASE", raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)

    def made(role: str, name: str, *more: str | Path) -> int:
        words = ("--party", "nhs", "--country", "GB", "--hub", "hub:8443", "--folder", tmp_path / name)
        (tmp_path / name).mkdir()
        return run("init", role, name, *words, *more)

    words = tmp_path / "words"
    words.write_text("four plain unrelated words\n")
    for role in ("researcher", "custodian", "output_checker", "auditor", "manager"):
        assert made(role, f"{role}-asked") == 3  # nobody to ask
        assert "E-PASSPHRASE" in capsys.readouterr().err
        assert not list((tmp_path / f"{role}-asked").rglob("*key*.*"))
        assert made(role, role, "--passphrase-file", words) == 0
        keys = tmp_path / role / "keys" / role
        assert (keys / SEALED).exists()
        assert not (keys / KEY).exists()
    capsys.readouterr()
    assert made("researcher", "open", "--no-passphrase") == 0
    assert "lie open" in capsys.readouterr().out
    assert (tmp_path / "open" / "keys" / "open" / KEY).exists()
    assert made("researcher", "both", "--no-passphrase", "--passphrase-file", words) == 2
    assert made("site", "leeds", "--passphrase-file", words) == 2
    assert made("hub", "hub", "--no-passphrase") == 2


def test_config_show_names_the_origin_of_each_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "isthmus.toml").write_text('[site]\nname = "leeds"\nhub = "hub:1"\nkey = "file:keys"\n')
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    monkeypatch.setenv("ISTHMUS_SITE_HUB", "other:2")
    assert run("config", "show", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["values"]["site.hub"] == "other:2"
    assert shown["origin"]["site.hub"] == "ISTHMUS_SITE_HUB"
    assert shown["origin"]["site.name"].endswith("isthmus.toml")


def test_no_configuration_is_said_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run("config", "show") == 2
    assert "isthmus init" in capsys.readouterr().err


def test_doctor_says_what_is_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run("doctor", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"]
    assert {"what": "numpy", "state": "ok"}.items() <= report["checks"][1].items()


def test_a_missing_bundle_and_a_broken_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", tmp_path / "none.isthmus", "--json") == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "E-FILE"
    (tmp_path / "bad.isthmus").write_bytes(b'{"schema":"isthmus/bundle/1"}')
    assert run("verify", tmp_path / "bad.isthmus") == 8


@pytest.mark.parametrize(
    ("words", "seconds"),
    [(["-c", "import isthmus"], 0.5), (["-m", "isthmus.cli", "--help"], 0.8)],
    ids=["import", "help"],
)
def test_first_impressions_are_quick(words: list[str], seconds: float) -> None:
    took = []
    for _ in range(4):
        start = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        took.append(time.perf_counter() - start)
    assert min(took) < seconds


def test_import_loads_nothing_heavy() -> None:
    look = "import isthmus, sys; print([m for m in ('numpy', 'pyarrow', 'pydantic', 'typer') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
