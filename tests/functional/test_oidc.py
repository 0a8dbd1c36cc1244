"""Login against a provider's process: the code flow with PKCE works, and every wrong answer is refused in its own words."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from oidc_provider import CLIENT, FAULTS, Running, running

from isthmus.governance.identities import Login
from isthmus.interop.oidc import PAUSE, Attempt, Provider, Registration, begin, finish
from isthmus.model.errors import IsthmusError, Unavailable, Untrusted


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251


@pytest.fixture(scope="module")
def provider_process() -> Iterator[Running]:
    with running() as started:
        yield started


class Party:
    """A relying party, and a browser that does what it is told."""

    def __init__(self, process: Running) -> None:
        self.ahead = timedelta()
        self.asked: list[str] = []
        self.http = httpx2.Client(event_hooks={"request": [lambda r: self.asked.append(r.url.path)]})
        self.provider = Provider(process.issuer, self.http, self.clock)
        self.registration = Registration(process.issuer, CLIENT, "http://127.0.0.1:1/callback")

    def clock(self) -> datetime:
        return now() + self.ahead

    def away(self) -> tuple[Attempt, dict[str, str]]:
        """Sent to the provider, signed in there, come back."""
        attempt, url = begin(self.provider, self.registration, secrets.token_bytes, self.clock())
        parts = urlsplit(url)
        form = {"asked": parts.query, "subject": "ada-1"}
        answer = self.http.post(f"{parts.scheme}://{parts.netloc}{parts.path}", data=form)
        assert answer.status_code == 303
        return attempt, dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    def login(self, attempt: Attempt, answer: dict[str, str]) -> Login:
        return finish(self.provider, self.registration, attempt, answer, self.clock())


@pytest.fixture
def party(provider_process: Running) -> Iterator[Party]:
    provider_process.fault("")
    made = Party(provider_process)
    yield made
    made.http.close()


def test_who_comes_back_is_an_issuer_and_a_subject(party: Party) -> None:
    assert party.login(*party.away()) == Login(issuer=party.provider.issuer, subject="ada-1")


def test_what_a_token_says_of_roles_and_mail_is_not_read(party: Party, provider_process: Running) -> None:
    provider_process.fault("roles")
    assert party.login(*party.away()) == Login(issuer=party.provider.issuer, subject="ada-1")


SAID = {
    "issuer": "(`iss`)",
    "audience": "another audience",
    "audiences": "another audience",
    "azp": "another client",
    "nonce": "(`nonce`)",
    "no-nonce": "(`nonce`)",
    "expired": "expired",
    "future": "not valid yet",
    "old": "older than this attempt",
    "no-subject": "names nobody",
    "signature": "signature does not hold",
    "none": "no algorithm that is accepted",
    "hmac": "no algorithm that is accepted",
    "stranger": "key set does not have",
    "no-token": "no ID token",
    "pkce": "does not take the code (400 invalid_grant)",
    "iss-answer": "another issuer's (`iss`)",
    "denied": "access_denied",
    "state": "(`state`)",
}


def test_every_fault_of_the_provider_has_its_case() -> None:
    assert set(SAID) == set(FAULTS) - {"roles"}


@pytest.mark.parametrize("fault", SAID)
def test_a_wrong_answer_is_refused_in_its_own_words(party: Party, provider_process: Running, fault: str) -> None:
    provider_process.fault(fault)
    with pytest.raises(IsthmusError) as caught:
        party.login(*party.away())
    assert caught.value.code in {"E-OIDC", "E-TOKEN", "E-TOKEN-KEY"}
    assert SAID[fault] in caught.value.message


def test_a_code_is_worth_nothing_in_another_browser(party: Party) -> None:
    """An attacker who hands over a code of their own (login CSRF), or who stole one, has neither state nor verifier."""
    _, stolen = party.away()
    mine, _ = party.away()
    with pytest.raises(Untrusted, match="state"):
        party.login(mine, stolen)
    with pytest.raises(IsthmusError, match="invalid_grant"):
        party.login(mine, {**stolen, "state": mine.state})


def test_a_code_is_taken_once(party: Party) -> None:
    attempt, answer = party.away()
    party.login(attempt, answer)
    with pytest.raises(IsthmusError, match="invalid_grant"):
        party.login(attempt, answer)


def test_a_token_of_another_attempt_is_refused(party: Party) -> None:
    """The twin of state: the right code and verifier, but a nonce of another attempt."""
    attempt, answer = party.away()
    with pytest.raises(Untrusted, match="nonce"):
        party.login(replace(attempt, nonce="mine"), answer)


def test_who_stays_away_too_long_starts_again(party: Party) -> None:
    attempt, answer = party.away()
    party.ahead = timedelta(minutes=11)
    with pytest.raises(Untrusted, match="too long"):
        party.login(attempt, answer)


def test_a_new_key_of_the_provider_is_found_and_the_old_one_forgotten(party: Party, provider_process: Running) -> None:
    party.login(*party.away())
    provider_process.rotate()
    party.login(*party.away())
    assert party.asked.count("/keys") == 2
    party.login(*party.away())
    assert party.asked.count("/keys") == 2  # kept


def test_unknown_keys_do_not_make_us_hammer_the_provider(party: Party, provider_process: Running) -> None:
    party.login(*party.away())
    provider_process.fault("stranger")
    for _ in range(3):
        with pytest.raises(Untrusted, match="E-TOKEN-KEY"):
            party.login(*party.away())
    assert party.asked.count("/keys") == 2
    party.ahead = PAUSE
    with pytest.raises(Untrusted):
        party.login(*party.away())
    assert party.asked.count("/keys") == 3


def test_keys_are_fetched_again_after_an_hour(party: Party) -> None:
    party.login(*party.away())
    party.ahead = timedelta(seconds=3600)
    with pytest.raises(Untrusted, match="expired"):  # five minutes of life by the provider's clock
        party.login(*party.away())
    assert party.asked.count("/keys") == 2


# ---- a provider that is not what it says


def made_up(document: dict[str, Any], status: int = 200) -> Provider:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(status, json=document))
    return Provider("https://login.example.org", httpx2.Client(transport=transport), now)


GOOD = {
    "issuer": "https://login.example.org",
    "authorization_endpoint": "https://login.example.org/a",
    "token_endpoint": "https://login.example.org/t",
    "jwks_uri": "https://login.example.org/k",
}


def test_a_discovery_document_is_held_against_the_pin() -> None:
    assert made_up(GOOD).metadata().token == GOOD["token_endpoint"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issuer": "https://login.example.org/"}, "another issuer's"),
        ({"issuer": None}, "another issuer's"),
        ({"token_endpoint": "http://login.example.org/t"}, "token_endpoint"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri"),
        ({"authorization_endpoint": None}, "authorization_endpoint"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
    ],
)
def test_a_document_that_cannot_be_trusted_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(Untrusted, match="E-OIDC") as caught:
        made_up({**GOOD, **change}).metadata()
    assert said in caught.value.message


def test_redirects_large_answers_and_silence_are_refused() -> None:
    with pytest.raises(Unavailable, match="302"):
        made_up(GOOD, 302).metadata()
    with pytest.raises(Untrusted, match="too large"):
        made_up({**GOOD, "more": "x" * 300_000}).metadata()
    with pytest.raises(Unavailable, match="E-UNREACHABLE"):
        Provider("http://127.0.0.1:9", httpx2.Client(), now).metadata()
    with pytest.raises(IsthmusError, match="https"):
        Provider("http://login.example.org", httpx2.Client(), now).metadata()


def test_a_secret_is_shown_nowhere() -> None:
    assert "hush" not in repr(Registration("https://a", "b", "c", secret="hush"))
