"""A relying party of OpenID Connect: who sits at the browser, by the code flow with PKCE.

What comes out is an issuer and a subject, nothing else of a token is used. One provider is pinned by configuration, and
its answer is held against that pin at every step.

Reference: OpenID Connect Core 1.0 and Discovery 1.0; RFC 7636 (PKCE), RFC 9207 (issuer in the answer), RFC 9700.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import quote, urlencode

import httpx2

from isthmus.crypto.jwt import SKEW, Keys, Token, check_times, moment, read_keys, verify_token
from isthmus.governance.identities import Login, secure
from isthmus.model.errors import Invalid, Refused, Unavailable, Untrusted

PATIENCE = timedelta(minutes=10)  # from being sent away until coming back; RFC 9700 wants codes and states short-lived
KEYS_LAST = timedelta(hours=1)  # a key that the provider takes away is gone here by then
PAUSE = timedelta(minutes=1)  # between two looks for a key that is not known: nobody makes us hammer the provider
LARGEST = 256 << 10  # bytes of an answer
WAIT = 10.0  # seconds for an answer


@dataclass(frozen=True, slots=True)
class Registration:
    """This relying party as the provider knows it. Without a secret it is a public client, held by PKCE alone."""

    issuer: str
    client: str
    redirect: str
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is kept while someone is away at the provider."""

    state: str
    nonce: str
    verifier: str
    began: datetime


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is used of a discovery document."""

    authorization: str
    token: str
    jwks: str
    names_issuer: bool


class Provider:
    """An OpenID provider: its discovery document and keys, fetched when needed and kept for a while."""

    def __init__(self, issuer: str, http: httpx2.Client, clock: Callable[[], datetime]) -> None:
        self.issuer = issuer
        self._http, self._clock, self._lock = http, clock, Lock()
        self._metadata: Metadata | None = None
        self._keys: tuple[Keys, datetime] | None = None
        self._looked: datetime | None = None

    def metadata(self) -> Metadata:
        """The provider's endpoints.

        Raises:
            Unavailable: E-UNREACHABLE. Untrusted: E-OIDC, the document is another issuer's or not secure.
        """
        with self._lock:
            if self._metadata is None:
                self._metadata = _metadata(self._get(_discovery(self.issuer)), self.issuer)
            return self._metadata

    def verified(self, token: str) -> Token:
        """A token that one of the provider's keys signed; for an unknown key the set is fetched again, now and then.

        Raises:
            Untrusted: E-TOKEN, E-TOKEN-KEY. Unavailable: E-UNREACHABLE.
        """
        try:
            return verify_token(token, self._fetched(_stale))
        except Untrusted as error:
            if error.code != "E-TOKEN-KEY":
                raise
            return verify_token(token, self._fetched(self._may_look))

    def exchange(self, registration: Registration, form: Mapping[str, str]) -> Mapping[str, Any]:
        """The token endpoint's answer.

        Raises:
            Refused: E-OIDC, the provider does not take the code. Unavailable: E-UNREACHABLE.
        """
        auth, body = None, dict(form)
        if registration.secret is None:
            body["client_id"] = registration.client
        else:  # RFC 6749 2.3.1: both are form-encoded first
            auth = (quote(registration.client, safe=""), quote(registration.secret, safe=""))
        status, answer = self._ask("POST", self.metadata().token, data=body, auth=auth)
        if status != 200:
            told = str(answer.get("error", ""))[:40]
            raise Refused("E-OIDC", f"the provider does not take the code ({status} {told})", "sign in again")
        return answer

    def _fetched(self, again: Callable[[datetime, datetime], bool]) -> Keys:
        url = self.metadata().jwks
        with self._lock:
            now = self._clock()
            if self._keys is None or again(self._keys[1], now):
                self._keys = (read_keys(self._get(url), "jwks_uri"), now)
            return self._keys[0]

    def _may_look(self, _fetched: datetime, now: datetime) -> bool:
        if self._looked is not None and now - self._looked < PAUSE:
            return False
        self._looked = now
        return True

    def _get(self, url: str) -> Mapping[str, Any]:
        status, answer = self._ask("GET", url)
        if status != 200:
            raise Unavailable("E-UNREACHABLE", f"the OpenID provider answers {status}", "check [login] issuer")
        return answer

    def _ask(self, method: str, url: str, **more: Any) -> tuple[int, Mapping[str, Any]]:
        """Status and JSON object; redirects are not followed, and an answer has a largest size."""
        raw = b""
        try:
            with self._http.stream(method, url, timeout=WAIT, follow_redirects=False, **more) as response:
                for chunk in response.iter_bytes():
                    raw += chunk
                    if len(raw) > LARGEST:
                        raise _oidc("an answer is too large")
                status = response.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            hint = "check [login] issuer, and that this machine may reach it"
            raise Unavailable("E-UNREACHABLE", "the OpenID provider cannot be reached", hint) from error
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError):
            answer = None
        return status, answer if isinstance(answer, Mapping) else {}


def begin(
    provider: Provider, registration: Registration, randomness: Callable[[int], bytes], now: datetime
) -> tuple[Attempt, str]:
    """An attempt to log in, and where to send the browser.

    Raises:
        Unavailable: E-UNREACHABLE. Untrusted: E-OIDC.
    """
    state, nonce, verifier = (_text(randomness(32)) for _ in range(3))
    asked = {
        "response_type": "code",
        "client_id": registration.client,
        "redirect_uri": registration.redirect,
        "scope": "openid",
        "state": state,
        "nonce": nonce,
        "code_challenge": _text(hashlib.sha256(verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    url = provider.metadata().authorization
    return Attempt(state, nonce, verifier, now), url + ("&" if "?" in url else "?") + urlencode(asked)


def finish(
    provider: Provider, registration: Registration, attempt: Attempt, answer: Mapping[str, str], now: datetime
) -> Login:
    """Who came back from the provider.

    Args:
        provider: the pinned one.
        registration: as in `begin`.
        attempt: kept from `begin`, used once.
        answer: the query of the redirect.
        now: the time.

    Raises:
        Untrusted: E-OIDC, E-TOKEN, E-TOKEN-KEY. Refused: E-OIDC. Unavailable: E-UNREACHABLE.
    """
    _check_answer(provider, attempt, answer, now)
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": registration.redirect,
        "code_verifier": attempt.verifier,
    }
    token = provider.exchange(registration, form).get("id_token")
    if not isinstance(token, str):
        raise _oidc("the provider's answer holds no ID token")
    return _identity(provider.verified(token), registration, attempt, now)


def _check_answer(provider: Provider, attempt: Attempt, answer: Mapping[str, str], now: datetime) -> None:
    if now - attempt.began > PATIENCE:
        raise _oidc("it took too long")
    if not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
        raise _oidc("the answer belongs to another attempt (`state`)")
    named = answer.get("iss")  # RFC 9207: against mixing up two providers
    if named != provider.issuer and (named is not None or provider.metadata().names_issuer):
        raise _oidc("the answer is another issuer's (`iss`)")
    if "error" in answer:
        raise Refused("E-OIDC", f"the provider did not let you in: {answer['error'][:40]!r}", "sign in again")
    if not answer.get("code"):
        raise _oidc("the answer holds no code")


def _identity(token: Token, registration: Registration, attempt: Attempt, now: datetime) -> Login:
    """Claims of a verified ID token. Reference: OpenID Connect Core 3.1.3.7, in its order.

    `at_hash` is not looked at: the access token is not used. `acr` and `amr` are the provider's policy.
    """
    claims = token.claims
    if claims.get("iss") != registration.issuer:  # step 2
        raise _oidc("the ID token is another issuer's (`iss`)")
    audience = claims.get("aud")
    if audience not in (registration.client, [registration.client]):  # step 3: no audience that we do not know
        raise _oidc("the ID token is for another audience (`aud`)")
    if claims.get("azp", registration.client) != registration.client:  # steps 4 and 5
        raise _oidc("the ID token was issued to another client (`azp`)")
    check_times(claims, now)  # steps 9 and 10
    if moment(claims, "iat") < (attempt.began - SKEW).timestamp():
        raise _oidc("the ID token is older than this attempt (`iat`)")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), attempt.nonce.encode()):  # step 11
        raise _oidc("the ID token belongs to another attempt (`nonce`)")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject or len(subject) > 255:  # Core 2
        raise _oidc("the ID token names nobody (`sub`)")
    return Login(issuer=registration.issuer, subject=subject)


def _metadata(document: Mapping[str, Any], issuer: str) -> Metadata:
    if document.get("issuer") != issuer:  # Discovery 4.3
        raise _oidc("the discovery document is another issuer's (`issuer`)")
    methods = document.get("code_challenge_methods_supported", ["S256"])
    if not isinstance(methods, list) or "S256" not in methods:
        raise _oidc("the provider does not know PKCE with S256")
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    urls = [str(document.get(name, "")) for name in names]
    for name, url in zip(names, urls, strict=True):
        if not secure(url.partition("?")[0]):
            raise _oidc(f"the discovery document has no https URL as `{name}`")
    names_issuer = document.get("authorization_response_iss_parameter_supported") is True
    return Metadata(urls[0], urls[1], urls[2], names_issuer)


def _discovery(issuer: str) -> str:
    if not secure(issuer):
        raise Invalid("E-CONFIG", "an issuer is an https URL", "http is taken on this machine alone", "login.issuer")
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def _stale(fetched: datetime, now: datetime) -> bool:
    return now - fetched >= KEYS_LAST


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _oidc(problem: str) -> Untrusted:
    return Untrusted(
        "E-OIDC", f"the login is refused: {problem}", "sign in again; if it lasts, tell who runs the provider"
    )
