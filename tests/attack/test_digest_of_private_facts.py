"""What a digest of facts tells of a fact that it covers and that nobody was told: every number can be tried."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from governance_worked import worked_agreement
from test_governance_facts import PACK, SIGNED, facts

from attack import Attack
from isthmus.crypto.keys import SigningKey
from isthmus.federation.grounds import by_text, entered, grounds
from isthmus.federation.told_verdicts import signed
from isthmus.governance.verdicts import decide, facts_digest, recorded

ATTACK = Attack(
    "A site's own limit, or a small number of people, tried out against the digest of a decision's facts",
    "an entry's digest covers what the entry holds; the hub is told no digest of private facts",
)
WORKED = worked_agreement()
LIMIT, FEW = 77, 3


def own(limit: int) -> dict[str, Any]:
    """The facts of a decision at a site with this limit of its own."""
    found = facts(WORKED)
    return found | {"site": found["site"] | {"minimum_count": limit}}


def reached(people: int) -> dict[str, Any]:
    """The facts of a decision at a site whose studies reached so many people elsewhere."""
    return facts(WORKED, known=replace(SIGNED, reached={"elsewhere cohort us": {"genomic": people}}))


CASES = [(own, LIMIT, ("minimum_count",)), (reached, FEW, ())]


def entry(found: dict[str, Any], private: tuple[str, ...]) -> dict[str, Any]:
    read = grounds(WORKED, by_text(WORKED, PACK), found, private)
    return entered(recorded(decide(PACK, "run", found), {}), read, WORKED, PACK)


@pytest.mark.parametrize(("made", "secret", "private"), CASES)
def test_bare_a_digest_over_all_facts_gives_the_number_away(leak, made, secret, private):
    """Whoever knows agreement and study knows every other fact."""
    digest = decide(PACK, "run", made(secret)).facts
    assert [number for number in range(1, 200) if facts_digest(made(number)) == digest] == [secret]
    leak("the number itself, after as many tries")


@pytest.mark.parametrize(("made", "secret", "private"), CASES)
def test_an_entry_is_the_same_whatever_the_number(stop, made, secret, private):
    assert entry(made(secret), private) == entry(made(secret + 1), private)
    stop("one entry for every number")


def test_what_the_hub_is_told_is_the_same_too(stop):
    key = SigningKey.generate()
    said = [
        signed("sha256:run", "leeds", [{"verdict": "admitted", **entry(own(n), ("minimum_count",))}], key)
        for n in (77, 78)
    ]
    assert said[0] == said[1]
    assert "facts" not in said[0][0]["decisions"][0]
    assert "read" not in said[0][0]["decisions"][0]
    stop("no digest of facts that only the site knows")
