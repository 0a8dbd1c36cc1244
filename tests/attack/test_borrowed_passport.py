"""Attack: a researcher shows a grant that is not theirs, or that nobody gave.

A site that reads the visas of a passport as they stand takes a stolen passport, another person's visa in one's own
passport, a visa signed with a key that it brings itself, one that expired, and one whose conditions nobody met.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW
from identity_tokens import BROKER, GRANTS, Pinned, key_of, passport, seconds, token, visa

from attack import Attack, Say
from isthmus.governance.passport import read_passport
from isthmus.model.errors import Untrusted

ATTACK = Attack(
    "A borrowed or made-up grant", "keys that the agreement pins; whose passport and visa it is; expiry, conditions"
)

AGREEMENT = Pinned().agreement()
LINKED = {"type": "LinkedIdentities", "value": f"grace-1,{quote(GRANTS, safe='')}", "by": "self"}
MEMBER = [[{"type": "AffiliationAndRole", "value": "pattern:faculty@*", "by": "const:so"}]]


def of_a_forger() -> str:
    """A visa as the committee would write it, by a key that it brings."""
    forger = key_of("forger")
    body = {
        "type": "ControlledAccessGrants",
        "value": "v",
        "source": "https://s",
        "by": "dac",
        "asserted": seconds(NOW),
    }
    claims = {"iss": GRANTS, "sub": "ada-1", "iat": seconds(NOW), "exp": seconds(NOW, 3600), "ga4gh_visa_v1": body}
    brought = forger.as_dict(private=False)
    return token(claims, forger, kid=key_of(GRANTS).kid, jwk=brought, jku="https://evil.example.org/keys")


FORGED: Mapping[str, Callable[[], str]] = {
    "a stolen passport": lambda: passport(visa(subject="grace-1"), sub="grace-1"),
    "another's visa in one's own passport": lambda: passport(visa(subject="grace-1")),
    "a visa signed by a key that it brings": lambda: passport(of_a_forger()),
    "another's grant, linked by one's own word": lambda: passport(visa(subject="grace-1"), visa(body=LINKED)),
    "an issuer of one's own": lambda: passport(visa(issuer="https://evil.example.org")),
    "a grant that expired": lambda: passport(visa(exp=seconds(NOW, -3600))),
    "a grant for members of a faculty": lambda: passport(visa(body={"conditions": MEMBER})),
    "a passport without a signature": lambda: passport(visa()).rpartition(".")[0] + ".",
    "an access token for another service": lambda: passport(visa(aud="https://another.example.org")),
}


def opened(made: str) -> dict[str, Any]:
    body = made.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def believing(made: str) -> bool:
    """A site without the defence: a passport says what it says."""
    visas = [opened(one)["ga4gh_visa_v1"] for one in opened(made)["ga4gh_passport_v1"]]
    return any(one["type"] == "ControlledAccessGrants" and one["by"] == "dac" for one in visas)


def counted(made: str) -> Any:
    """The grants that count; the code where the passport itself does not hold."""
    try:
        found = read_passport(made, AGREEMENT, "dr ada", NOW, NOW).visas
    except Untrusted as refused:
        return refused.code
    return tuple(visa for visa in found if visa.type == "ControlledAccessGrants")


@pytest.mark.parametrize("what", sorted(FORGED))
def test_a_site_that_believes_a_passport_sees_a_grant(what: str, leak: Say) -> None:
    assert believing(FORGED[what]())
    leak(f"a grant of the data access committee, {len(FORGED)} ways")


@pytest.mark.parametrize("what", sorted(FORGED))
def test_no_visa_counts(what: str, stop: Say) -> None:
    assert counted(FORGED[what]()) in ((), "E-PASSPORT")
    stop("no visa counts; of her own passport the grant does")


def test_ones_own_grant_counts() -> None:
    (grant,) = read_passport(passport(visa()), AGREEMENT, "dr ada", NOW, NOW).visas
    assert (grant.by, grant.issuer) == ("dac", GRANTS)
    assert opened(passport(visa()))["iss"] == BROKER
