"""`isthmus login` and `isthmus hub console` as processes, on the files that a person and a hub have."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from oidc_provider import AUTO, CLIENT, Running, running
from test_processes_agreed import Alliance, alliance
from toy_fleet import free_port

from isthmus.governance.identities import Login

ISTHMUS = [sys.executable, "-m", "isthmus.cli"]


@pytest.fixture(scope="module")
def provider_process() -> Iterator[Running]:
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def made(provider_process: Running, tmp_path_factory: pytest.TempPathFactory) -> Alliance:
    tmp_path = tmp_path_factory.mktemp("login")
    logins = {"ada": (Login(issuer=provider_process.issuer, subject="ada-1"),)}
    found = alliance(tmp_path, law={"logins": logins})
    for name in ("hub", "ada"):
        path = found.config(name)
        path.write_text(path.read_text() + f'[login]\nissuer = "{provider_process.issuer}"\nclient_id = "{CLIENT}"\n')
    return found


@pytest.fixture(autouse=True)
def sound(provider_process: Running) -> None:
    provider_process.fault("")


def as_person(config: Path, *more: str) -> subprocess.Popen[str]:
    command = [*ISTHMUS, "login", "--no-browser", "--config", str(config), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sign_in(process: subprocess.Popen[str], subject: str = "ada-1") -> tuple[int, str, str]:
    """Does what a browser would; gives exit code, stdout and stderr."""
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http\S+", line)
    assert found is not None, line + process.stderr.read()
    away = urlsplit(found[0])
    with httpx2.Client() as outside:
        form = {"asked": away.query, "subject": subject}
        back = outside.post(f"{away.scheme}://{away.netloc}{away.path}", data=form).headers["location"]
        assert outside.get(back.replace("/callback", "/favicon.ico")).status_code == 404
        assert outside.get(back.replace("state=", "state=x")).status_code == 404  # another attempt's
        answer = outside.get(back)
    out, told = process.communicate(timeout=60)
    assert "close this page" in answer.text
    return process.returncode, out, told


def test_a_person_signs_in_at_the_terminal(made: Alliance) -> None:
    code, out, _ = sign_in(as_person(made.config("ada")))
    assert (code, out) == (0, "You are ada of leeds: researcher\n")
    code, out, _ = sign_in(as_person(made.config("ada"), "--json"))
    assert json.loads(out) == {"schema": "isthmus/login/1", "person": "ada", "party": "leeds", "roles": ["researcher"]}


def test_whom_the_agreement_does_not_know_is_told_so(made: Alliance) -> None:
    code, out, told = sign_in(as_person(made.config("ada")), "grace-1")
    assert (code, out) == (5, "")
    assert "E-LOGIN" in told


def test_a_forged_token_ends_the_command(made: Alliance, provider_process: Running) -> None:
    provider_process.fault("signature")
    code, _, told = sign_in(as_person(made.config("ada")))
    assert code == 8
    assert "signature does not hold" in told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.partition("[login]")[0], "no [login]"),
        (lambda text: text.replace("http://localhost", "http://login.example.org"), "https"),
        (lambda text: text + 'client_secret = "hush"\n', "reference"),
        (lambda text: text + 'client_secret = "env:NOT_SET"\n', "NOT_SET"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(made: Alliance, change: Any, said: str) -> None:
    path = made.config("ada").with_name("other.toml")
    path.write_text(change(made.config("ada").read_text()))
    done = subprocess.run([*ISTHMUS, "login", "--no-browser", "--config", str(path)], capture_output=True, text=True)
    assert done.returncode in {2, 3}
    assert said in done.stderr
    assert "hush" not in done.stderr


@contextmanager
def console(made: Alliance, port: int) -> Iterator[str]:
    command = [*ISTHMUS, "hub", "console", "--port", str(port), "--config", str(made.config("hub"))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                httpx2.get(address)
                break
            except httpx2.ConnectError:
                time.sleep(0.1)
                assert process.poll() is None, process.stdout and process.stdout.read()
        yield address
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=30)
        assert "Traceback" not in out


def test_the_console_is_served_from_the_hubs_own_files(made: Alliance) -> None:
    with console(made, free_port()) as address, httpx2.Client() as browser:
        assert "A test" in browser.get(address).text
        away = urlsplit(browser.get(f"{address}/login").headers["location"])
        form = {"asked": away.query, "subject": "ada-1"}
        back = browser.post(f"{away.scheme}://{away.netloc}{away.path}", data=form).headers["location"]
        assert browser.get(back).status_code == 303
        assert browser.get(f"{address}/me.json").json()["person"] == "ada"
        assert browser.get(f"{address}/runs.json").json() == {"schema": "isthmus/console-runs/1", "runs": []}


def test_an_address_that_is_not_https_is_refused(made: Alliance) -> None:
    path = made.config("hub").with_name("other.toml")
    path.write_text(made.config("hub").read_text() + 'address = "http://console.example.org"\n')
    done = subprocess.run([*ISTHMUS, "hub", "console", "--config", str(path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "login.address" in done.stderr


@pytest.mark.long
def test_a_real_browser_walks_in(made: Alliance, provider_process: Running, tmp_path: Path) -> None:
    """Chromium, from one site (localhost) to another (127.0.0.1): cookies, redirects and policy as browsers have them."""
    provider_process.fault(AUTO)
    shot = tmp_path / "console.png"
    with console(made, free_port()) as address:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,800"]
        flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000"]
        command = ["chromium", *flags, f"--screenshot={shot}", "--dump-dom", f"{address}/login"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "No study has been submitted yet" in done.stdout, done.stdout + done.stderr
    assert '<span class="who">ada</span>' in done.stdout
    assert shot.stat().st_size > 5_000
