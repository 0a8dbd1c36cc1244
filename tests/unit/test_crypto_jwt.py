"""A token counts when one key of a trusted set signed it; what it says of keys counts for nothing."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from governance_alliance import NOW
from identity_tokens import HOUR, jwks, key_of, seconds, token
from joserfc.jwk import ECKey, RSAKey

from isthmus.crypto.jwt import LARGEST, Keys, check_times, claimed_issuer, read_keys, verify_token
from isthmus.model.errors import Invalid, Untrusted

CLAIMS = {"iss": "https://a.example.org", "sub": "x", "iat": seconds(NOW), "exp": seconds(NOW, HOUR)}
KINDS = ("RS256", "ES256", "Ed25519")


def b64(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def refused(made: str, keys: Keys) -> str:
    with pytest.raises(Untrusted) as caught:
        verify_token(made, keys)
    assert caught.value.code in {"E-TOKEN", "E-TOKEN-KEY"}
    return caught.value.message


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_signed_by_a_key_of_the_set_is_read(kind: str) -> None:
    key = key_of("one", kind)
    keys = read_keys(jwks(key, key_of("two")))
    assert verify_token(token(CLAIMS, key), keys).claims == CLAIMS
    assert claimed_issuer(token(CLAIMS, key)) == CLAIMS["iss"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_character_is_refused(kind: str) -> None:
    key = key_of("one", kind)
    head, body, signature = token(CLAIMS, key).split(".")
    keys = read_keys(jwks(key))
    other = b64({**CLAIMS, "sub": "y"})
    assert "signature" in refused(f"{head}.{other}.{signature}", keys)
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    assert "signature" in refused(f"{head}.{body}.{flipped}", keys)


def test_no_signature_and_shared_secrets_are_refused() -> None:
    """RFC 8725 2.1: `none`, and an RSA public key used as an HMAC secret."""
    key = key_of("one", "RS256")
    keys = read_keys(jwks(key))
    none = f"{b64({'alg': 'none', 'kid': 'one'})}.{b64(CLAIMS)}."
    assert "no algorithm that is accepted" in refused(none, keys)
    assert "no algorithm that is accepted" in refused(token_hs(key.as_pem(private=False)), keys)


def token_hs(secret: bytes) -> str:
    import hashlib
    import hmac

    head = f"{b64({'alg': 'HS256', 'kid': 'one'})}.{b64(CLAIMS)}"
    mac = hmac.new(secret, head.encode(), hashlib.sha256).digest()
    return head + "." + base64.urlsafe_b64encode(mac).decode().rstrip("=")


def test_headers_that_nobody_knows_are_ignored_and_long_tokens_read() -> None:
    key = key_of("one")
    long = {**CLAIMS, "more": "x" * 40_000}
    assert verify_token(token(long, key, colour="red"), read_keys(jwks(key))).claims == long


def test_a_key_that_the_token_brings_is_not_looked_at() -> None:
    mine, theirs = key_of("evil"), key_of("good")
    keys = read_keys(jwks(theirs))
    brought = token(CLAIMS, mine, jwk=mine.as_dict(private=False), kid="good", jku="https://evil.example.org")
    assert "signature" in refused(brought, keys)
    assert "does not have" in refused(token(CLAIMS, mine), keys)
    assert "does not have" in refused(token(CLAIMS, theirs, kid=None), read_keys(jwks(theirs, mine)))


@pytest.mark.parametrize(
    "made",
    [
        "",
        "a.b",
        "a.b.c.d",
        "....",
        "x" * (LARGEST + 1),
        "é.é.é",
        f"{b64([1])}.{b64({})}.AA",
        f"{b64({'alg': 'ES256'})}.{b64([1])}.AA",
    ],
)
def test_what_is_no_token_is_refused(made: str) -> None:
    refused(made, read_keys(jwks(key_of("one"))))


def test_keys_of_other_kinds_are_left_out_of_a_set() -> None:
    key, other = key_of("one"), ECKey.generate_key("secp256k1", {"kid": "bitcoin"})
    enc = {**key_of("two").as_dict(private=False), "use": "enc"}
    keys = read_keys({"keys": [*jwks(key, other)["keys"], enc, {"kty": "new"}]})
    assert [name for name, _ in keys.keys] == ["one"]


def test_unknown_critical_extensions_are_refused() -> None:
    key = key_of("one")
    assert "extensions" in refused(token(CLAIMS, key, crit=["jku"], jku="https://x"), read_keys(jwks(key)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exp": seconds(NOW, -61)}, "expired"),
        ({"exp": None}, "`exp`"),
        ({"exp": "soon"}, "`exp`"),
        ({"exp": True}, "`exp`"),
        ({"exp": 1e300}, "`exp`"),
        ({"iat": None}, "`iat`"),
        ({"iat": seconds(NOW, 120)}, "not valid yet"),
        ({"nbf": seconds(NOW, 120)}, "not valid yet"),
    ],
)
def test_times_are_held_against_the_clock(change: dict[str, Any], said: str) -> None:
    claims = {k: v for k, v in {**CLAIMS, **change}.items() if v is not None}
    with pytest.raises(Untrusted, match="E-TOKEN") as caught:
        check_times(claims, NOW)
    assert said in caught.value.message


def test_clocks_may_differ_by_a_minute() -> None:
    check_times({**CLAIMS, "iat": seconds(NOW, 59), "exp": seconds(NOW, -59)}, NOW)
    with pytest.raises(Untrusted):
        check_times(CLAIMS, NOW + timedelta(hours=1, seconds=60))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: {"keys": "none"}, "not a JSON Web Key Set"),
        (lambda: {"keys": []}, "no key"),
        (lambda: {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}, "no key"),
        (lambda: {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA"}]}, "cannot be read"),
        (lambda: {"keys": [key_of("one").as_dict(private=True)]}, "private"),
        (lambda: {"keys": [*jwks(key_of("one"))["keys"] * 2]}, "same name"),
        (lambda: jwks(RSAKey.generate_key(1024, {"kid": "s"}, auto_kid=False)), "bits"),
    ],
)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_key_set_that_cannot_be_trusted_is_refused(change: Any, said: str) -> None:
    with pytest.raises(Invalid, match="E-JWKS") as caught:
        read_keys(change())
    assert said in caught.value.message
