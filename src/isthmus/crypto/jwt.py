"""Tokens that others sign (JWT): a signature by one key of a set that we already trust, and the times of the claims.

Nothing that a token says of keys is believed: `jku`, `x5u`, `jwk` and `x5c` are not looked at, `kid` only chooses
within the set, `none` and shared-secret algorithms do not exist here.

Reference: RFC 7515, 7517, 7519; RFC 8725 (best current practice).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from isthmus.model.errors import Invalid, Untrusted

if TYPE_CHECKING:
    from joserfc.jwk import Key
    from joserfc.jws import JWSRegistry

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "Ed25519")  # RFC 8725 3.1; "EdDSA" gave way to Ed25519 (RFC 9864)
KINDS = (("RSA", None), ("EC", "P-256"), ("EC", "P-384"), ("OKP", "Ed25519"))  # type and curve of a key
LEAST_RSA = 2048  # bits; RFC 7518 3.3
LARGEST = 64 << 10  # characters of a token
SKEW = timedelta(seconds=60)  # between two clocks; RFC 7519 4.1.4 allows "a few minutes" at most


@dataclass(frozen=True, slots=True)
class Keys:
    """A key set: public keys in its order, each with its `kid` where it has one."""

    keys: tuple[tuple[str | None, Key], ...]

    def chosen(self, kid: str | None) -> Key | None:
        """The key that a token's `kid` names; the only key of the set when the token names none."""
        found = [key for name, key in self.keys if kid is None or name == kid]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Token:
    """A token whose signature holds."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]


def read_keys(data: Any, where: str = "") -> Keys:
    """A JSON Web Key Set. Keys of other kinds, and those for encryption, are left out, as RFC 7517 5 asks.

    Raises:
        Invalid: E-JWKS, not a key set; no key in it can verify; a private key, or one name for two keys.
    """
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey, import_key

    listed = data.get("keys") if isinstance(data, Mapping) else None
    if not isinstance(listed, list | tuple) or not all(isinstance(entry, Mapping) for entry in listed):
        raise _jwks("not a JSON Web Key Set", where)
    fit = [e for e in listed if (e.get("kty"), e.get("crv")) in KINDS and e.get("use", "sig") == "sig"]
    if any("d" in entry for entry in fit):
        raise _jwks("a private key is in the key set", where)
    try:
        keys = tuple((entry.get("kid"), import_key({str(k): v for k, v in entry.items()})) for entry in fit)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise _jwks("a key of the key set cannot be read", where) from error
    if not all(isinstance(name, str | None) for name, _ in keys):
        raise _jwks("the name of a key is no text", where)
    if not keys:
        raise _jwks("no key of the key set can verify a signature", where)
    if any(isinstance(key, RSAKey) and key.public_key.key_size < LEAST_RSA for _, key in keys):
        raise _jwks(f"an RSA key has fewer than {LEAST_RSA} bits", where)
    names = [name for name, _ in keys]
    if len(set(names)) != len(names) or (None in names and len(names) > 1):
        raise _jwks("two keys of the key set have the same name, or one of several has none", where)
    return Keys(keys)


def verify_token(token: str, keys: Keys) -> Token:
    """The token, when a key of the set signed it. Its claims are not looked at.

    Raises:
        Untrusted: E-TOKEN; E-TOKEN-KEY, the set has no such key.
    """
    from joserfc import jws
    from joserfc.errors import JoseError

    header, _ = _parts(token)
    if header.get("alg") not in ALGORITHMS:
        raise _token("it is signed by no algorithm that is accepted: " + ", ".join(ALGORITHMS))
    if "crit" in header or "b64" in header:  # RFC 7515 4.1.11: what is not understood is refused
        raise _token("it asks for extensions that are not known here")
    key = keys.chosen(header.get("kid"))
    if key is None:
        raise Untrusted("E-TOKEN-KEY", "the token is signed by a key that its issuer's key set does not have", _AGAIN)
    try:
        raw = jws.deserialize_compact(token, key, registry=_registry()).payload
        claims = json.loads(raw or b"")
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise _token("its signature does not hold") from error
    if not isinstance(claims, dict):
        raise _token("it holds no claims")
    return Token(header, claims)


def claimed_issuer(token: str) -> str:
    """The issuer that a token names, before it is verified: only to choose whose keys it is held against.

    Raises:
        Untrusted: E-TOKEN.
    """
    issuer = _parts(token)[1].get("iss")
    if not isinstance(issuer, str):
        raise _token("it names no issuer")
    return issuer


def check_times(claims: Mapping[str, Any], now: datetime) -> None:
    """Refuse a token before it was issued or after it expired; both times must be there.

    Raises:
        Untrusted: E-TOKEN.
    """
    expires, issued = moment(claims, "exp"), moment(claims, "iat")
    if expires + SKEW.total_seconds() <= now.timestamp():
        raise _token("it has expired")
    if max(issued, moment(claims, "nbf") if "nbf" in claims else issued) > (now + SKEW).timestamp():
        raise _token("it is not valid yet: its issuer's clock and this one disagree")


def moment(claims: Mapping[str, Any], name: str) -> float:
    """A time of the claims, seconds since 1970.

    Raises:
        Untrusted: E-TOKEN, missing or not a time.
    """
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < _YEAR_3000:
        raise _token(f"its time `{name}` is missing or is no time")
    return float(value)


_YEAR_3000 = 32_503_680_000
_AGAIN = "sign in again; if it lasts, the issuer's keys are not the ones that were agreed on"


@lru_cache(maxsize=1)
def _registry() -> JWSRegistry:
    """Accepted algorithms; headers that are not known are ignored (RFC 7515 4); passports are longer than joserfc allows."""
    from joserfc.jws import JWSRegistry

    made = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    made.max_header_length = made.max_payload_length = LARGEST
    return made


def _parts(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims of a compact token, unverified."""
    from joserfc import jws
    from joserfc.errors import JoseError

    if len(token) > LARGEST or token.count(".") != 2:
        raise _token("it is no signed token in compact form")
    try:
        content = jws.extract_compact(token.encode("ascii"), registry=_registry())
        header, claims = content.headers(), json.loads(content.payload or b"")
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise _token("it cannot be read") from error
    if not isinstance(header, Mapping) or not isinstance(claims, Mapping):
        raise _token("it cannot be read")
    return header, claims


def _token(problem: str) -> Untrusted:
    return Untrusted("E-TOKEN", f"the token is refused: {problem}", "ask its issuer for a new one")


def _jwks(problem: str, where: str) -> Invalid:
    return Invalid(
        "E-JWKS", problem, "take the issuer's public keys from the `jwks_uri` of its discovery document", where
    )
