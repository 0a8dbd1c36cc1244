"""Attack: someone comes into the console as another, by an ID token that proves less than it seems.

A relying party that believes what a token says of its own algorithm and key, or does not ask for whom and for which
attempt it was made, lets in whoever writes one, replays one, or takes one that another program was given.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW
from identity_tokens import jwks, key_of, seconds, token
from joserfc import jws
from joserfc.jwk import import_key

from attack import Attack, Say
from isthmus.governance.identities import Login
from isthmus.interop.oidc import Attempt, Provider, Registration, finish
from isthmus.model.errors import Untrusted

ATTACK = Attack("A forged, stolen or replayed ID token", "a key of the pinned provider; issuer, audience, nonce, times")

ISSUER = "https://login.example.org"
TRUE_KEY, EVIL = key_of("provider", "RS256"), key_of("evil", "RS256")
REGISTRATION = Registration(ISSUER, "isthmus-console", "https://console.example.org/callback")
ATTEMPT = Attempt("state-of-this-browser", "nonce-of-this-attempt", "v" * 43, NOW)
CLAIMS = {
    "iss": ISSUER,
    "sub": "ada-1",
    "aud": REGISTRATION.client,
    "nonce": ATTEMPT.nonce,
    "iat": seconds(NOW),
    "exp": seconds(NOW, 300),
}
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def by_hand(algorithm: str) -> str:
    """`none`, or an HMAC with the provider's public key as its secret."""
    head = b64(json.dumps({"alg": algorithm, "kid": TRUE_KEY.kid}).encode()) + "." + b64(json.dumps(CLAIMS).encode())
    mac = hmac.new(TRUE_KEY.as_pem(private=False), head.encode(), hashlib.sha256).digest()
    return head + "." + ("" if algorithm == "none" else b64(mac))


def true(**changed: Any) -> str:
    """Signed by the provider itself: given to someone else, or at another time."""
    return token({**CLAIMS, **changed}, TRUE_KEY)


FORGED: Mapping[str, Callable[[], str]] = {
    "no signature": lambda: by_hand("none"),
    "the public key as a shared secret": lambda: by_hand("HS256"),
    "a key that the token brings": lambda: token(CLAIMS, EVIL, kid=TRUE_KEY.kid, jwk=EVIL.as_dict(private=False)),
    "a key of one's own": lambda: token(CLAIMS, EVIL),
    "of another issuer": lambda: true(iss="https://evil.example.org"),
    "made for another program": lambda: true(aud="a-game"),
    "made for another program too": lambda: true(aud=[REGISTRATION.client, "a-game"], azp="a-game"),
    "of an attempt that was overheard": lambda: true(nonce="nonce-of-another"),
    "of last week": lambda: true(iat=seconds(NOW, -604_800), exp=seconds(NOW, -604_500)),
}


def believing(made: str) -> str:
    """A relying party without the defence: algorithm and key as the token says, then its subject."""
    head, body, _ = (part + "=" * (-len(part) % 4) for part in made.split("."))
    header = json.loads(base64.urlsafe_b64decode(head))
    key = import_key(header["jwk"]) if "jwk" in header else {TRUE_KEY.kid: TRUE_KEY, EVIL.kid: EVIL}[header["kid"]]
    if header["alg"] == "RS256":
        registry = jws.JWSRegistry(strict_check_header=False)
        registry.max_header_length = 4096
        assert jws.validate_compact(jws.extract_compact(made.encode(), registry=registry), key, registry=registry)
    return str(json.loads(base64.urlsafe_b64decode(body))["sub"])


class Answers:
    """The pinned provider, whose token endpoint gives out what the attacker has put there."""

    def __init__(self) -> None:
        self.token = ""
        self.http = httpx2.Client(transport=httpx2.MockTransport(self._answer))
        self.provider = Provider(ISSUER, self.http, lambda: NOW)

    def login(self) -> Login:
        answer = {"state": ATTEMPT.state, "code": "any"}
        return finish(self.provider, REGISTRATION, ATTEMPT, answer, NOW)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        body = {"/token": {"id_token": self.token}, "/keys": jwks(TRUE_KEY)}.get(request.url.path, DOCUMENT)
        return httpx2.Response(200, json=body)


@pytest.fixture
def answers() -> Iterator[Answers]:
    made = Answers()
    yield made
    made.http.close()


@pytest.mark.parametrize("what", sorted(FORGED))
def test_who_believes_a_token_lets_anyone_in(what: str, leak: Say) -> None:
    assert believing(FORGED[what]()) == "ada-1"
    leak(f"in as Ada by a token {len(FORGED)} ways")


@pytest.mark.parametrize("what", sorted(FORGED))
def test_a_login_is_refused(answers: Answers, what: str, stop: Say) -> None:
    answers.token = FORGED[what]()
    with pytest.raises(Untrusted) as caught:
        answers.login()
    assert caught.value.code in {"E-TOKEN", "E-TOKEN-KEY", "E-OIDC"}
    stop("each is refused in its own words; the true one comes in")


def test_the_true_one_comes_in(answers: Answers) -> None:
    answers.token = true()
    assert answers.login() == Login(issuer=ISSUER, subject="ada-1")
