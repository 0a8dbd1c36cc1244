"""Login against an implementation that is not ours: `oidc-provider` from npm, as it comes, its own pages clicked through."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2
import pytest

from isthmus.governance.identities import Login
from isthmus.interop.oidc import Provider, Registration, begin, finish
from isthmus.model.errors import IsthmusError, Refused

SERVER = Path(__file__).with_name("oidc_provider.mjs")
MODULES = Path(sys.prefix) / "node"  # where `make test-all` installs it
BACK = "http://127.0.0.1/callback"

pytestmark = pytest.mark.long


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    process = subprocess.Popen(
        ["node", str(SERVER), BACK], cwd=MODULES, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def walk(url: str) -> dict[str, str]:
    """Signs in and consents on the provider's own pages, until it sends the browser back."""
    with httpx2.Client() as browser:
        answer = browser.get(url)
        for _ in range(12):
            if answer.is_redirect:
                to = urljoin(str(answer.url), answer.headers["location"])
                if to.startswith(BACK):
                    return dict(parse_qsl(urlsplit(to).query))
                answer = browser.get(to)
                continue
            prompt = "login" if 'name="login"' in answer.text else "consent"
            form = {"prompt": prompt, "login": "ada-1", "password": "any"}
            answer = browser.post(str(answer.url), data=form)
    raise AssertionError(f"never sent back: {answer.status_code} {answer.text[:500]}")


class Party:
    """A relying party that has sent someone away, and has the answer they came back with."""

    def __init__(
        self, issuer: str, outside: httpx2.Client, client: str = "isthmus-console", secret: str | None = None
    ) -> None:
        self.provider = Provider(issuer, outside, now)
        self.registration = Registration(issuer, client, BACK, secret)
        self.attempt, url = begin(self.provider, self.registration, secrets.token_bytes, now())
        self.answer = walk(url)

    def login(self) -> Login:
        return finish(self.provider, self.registration, self.attempt, self.answer, now())


@pytest.fixture
def outside() -> Iterator[httpx2.Client]:
    with httpx2.Client() as made:
        yield made


@pytest.mark.parametrize(("client", "secret"), [("isthmus-console", None), ("isthmus-secret", "hush: & +%")])
def test_a_person_signs_in(issuer: str, outside: httpx2.Client, client: str, secret: str | None) -> None:
    party = Party(issuer, outside, client, secret)
    assert party.answer["iss"] == issuer
    assert party.login() == Login(issuer=issuer, subject="ada-1")


def test_the_provider_refuses_another_verifier_and_another_secret(issuer: str, outside: httpx2.Client) -> None:
    party = Party(issuer, outside)
    party.attempt = replace(party.attempt, verifier="x" * 43)
    with pytest.raises(Refused, match="invalid_grant"):
        party.login()
    party = Party(issuer, outside, "isthmus-secret", "hush: & +%")
    party.registration = replace(party.registration, secret="wrong")
    with pytest.raises(Refused, match="invalid_client"):
        party.login()


def test_a_token_for_another_client_is_refused(
    issuer: str, outside: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    party = Party(issuer, outside)
    form = {"grant_type": "authorization_code", "code": party.answer["code"], "redirect_uri": BACK}
    answer = party.provider.exchange(party.registration, {**form, "code_verifier": party.attempt.verifier})
    monkeypatch.setattr(party.provider, "exchange", lambda *_: answer)
    party.registration = replace(party.registration, client="isthmus-secret")
    with pytest.raises(IsthmusError, match="another audience"):
        party.login()
