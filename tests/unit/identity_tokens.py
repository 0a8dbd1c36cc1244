"""Tokens for tests: issuers with keys of their own, who sign whatever they are told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from governance_alliance import NOW, draft
from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from isthmus.governance.agreement import Agreement
from isthmus.model.canonical import plain
from isthmus.strict import parse

BROKER, GRANTS = "https://broker.example.org", "https://grants.example.org/"
ADA = {"issuer": BROKER, "subject": "ada-1"}
HOUR = 3600


@cache
def key_of(name: str, kind: str = "ES256") -> Key:
    made = {
        "RS256": lambda: RSAKey.generate_key(2048, {"kid": name}),
        "ES256": lambda: ECKey.generate_key("P-256", {"kid": name}),
        "Ed25519": lambda: OKPKey.generate_key("Ed25519", {"kid": name}),
    }
    return made[kind]()


def jwks(*keys: Key) -> dict[str, Any]:
    return {"keys": [{**key.as_dict(private=False), "use": "sig"} for key in keys]}


def token(claims: Any, key: Key, **header: Any) -> str:
    kind = {"RSA": "RS256", "EC": "ES256", "OKP": "Ed25519"}[key.key_type]
    head = {"alg": kind, "kid": key.kid, "typ": "JWT", **header}
    registry = jws.JWSRegistry(algorithms=[kind, "HS256", "none"], strict_check_header=False)
    return jws.serialize_compact(
        {k: v for k, v in head.items() if v is not None}, json.dumps(claims), key, registry=registry
    )


def seconds(moment: datetime, plus: float = 0) -> int:
    return int(moment.timestamp() + plus)


def visa(
    issuer: str = GRANTS,
    subject: str = "ada-1",
    *,
    at: datetime = NOW,
    body: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    stated = {
        "type": "ControlledAccessGrants",
        "value": "https://grants.example.org/datasets/trial",
        "source": "https://hospital.example.org",
        "by": "dac",
        "asserted": seconds(at, -30 * 24 * HOUR),
    }
    stated = {k: v for k, v in {**stated, **(body or {})}.items() if v is not None}
    base = {"iss": issuer, "sub": subject, "iat": seconds(at, -HOUR), "exp": seconds(at, 90 * 24 * HOUR)}
    full = {k: v for k, v in {**base, "ga4gh_visa_v1": stated, **claims}.items() if v is not None}
    return token(full, key_of(issuer), jku="https://evil.example.org/jwks", typ="vnd.ga4gh.visa+jwt")


def passport(*visas: str, issuer: str = BROKER, at: datetime = NOW, **claims: Any) -> str:
    base = {"iss": issuer, "sub": "ada-1", "iat": seconds(at, -60), "exp": seconds(at, HOUR)}
    full = {k: v for k, v in {**base, "ga4gh_passport_v1": list(visas), **claims}.items() if v is not None}
    return token(full, key_of(issuer), typ="vnd.ga4gh.passport+jwt")


@dataclass(frozen=True)
class Pinned:
    """An agreement that pins two issuers and knows Dr Ada at both."""

    audience: str | None = None

    def agreement(self) -> Agreement:
        facts = plain(draft())
        for person in facts["people"]:
            if person["person"] == "dr ada":
                person["logins"] = [ADA, {"issuer": GRANTS, "subject": "ada-1"}]
        broker = {
            "issuer": BROKER,
            "keys": jwks(key_of(BROKER)),
            **({"audience": self.audience} if self.audience else {}),
        }
        facts["duties"] = {"passport_issuers": [broker, {"issuer": GRANTS, "keys": jwks(key_of(GRANTS))}]}
        return parse(Agreement, facts, "agreement")
