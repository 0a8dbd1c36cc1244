"""Attack: the hub and one site of three forge a result, under the genuine signed agreement.

Everything in the bundle is consistent: the hub seals it, the roster it names signed and cosigned. But a roster of one,
its threshold and the study are the forgers' own. Without the check that the charter follows from a request that a
researcher signed, under the agreement, the bundle passes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import CODEBOOK, NOW, draft, key_of, signed_by_all

from attack import Attack, Say
from isthmus.federation.request import charter_of
from isthmus.governance.admission import RunRequest, sign_request
from isthmus.governance.agreement import Agreement, agreement_digest
from isthmus.ledger.bundle import Contents, make_bundle, release_facts, result_statement, study_facts
from isthmus.ledger.checkpoint import cosign, sign_checkpoint, with_cosignatures
from isthmus.ledger.log import Log, MemoryStore
from isthmus.ledger.verify import verify_bundle
from isthmus.model.canonical import digest, plain
from isthmus.model.errors import Untrusted
from isthmus.model.study import Purpose, Study
from isthmus.sdk.bundle import verify

ATTACK = Attack("A forged result under the genuine agreement", "verify: the charter follows from a signed request")


AGREEMENT = draft()
ASKED = RunRequest(
    isthmus="request/1",
    study=Study(
        isthmus="study/1",
        title="t",
        dataset=CODEBOOK.name,
        purpose=Purpose(duo="DUO:0000007", text="a test"),
        analyses={"n": {"count": {}}},
    ),
    agreement=agreement_digest(AGREEMENT),
    roster=("boston", "leeds", "oslo"),
    mode="federated",
    number=1,
    created=NOW.isoformat(),
)


def bundle(charter: dict[str, Any], signers: list[str], study: dict[str, Any], sites: list[str]) -> bytes:
    """A bundle whose every signature holds for what it says."""
    result = {
        "schema": "isthmus/result/1",
        "study": charter["study"],
        "sites": sites,
        "analyses": {"n": {"n": 100_000}},
    }
    log = Log(MemoryStore(), "hub", lambda: NOW)
    indices = [log.append("study", study_facts(charter))]
    indices.append(log.append("release", release_facts(charter["run"], "sha256:t", result)))
    note = sign_checkpoint(log.origin, log.head(), key_of("hub"))
    note = with_cosignatures(note, [cosign(note, site, key_of(site), 1_750_000_000) for site in signers])
    statement = result_statement("federated", charter["run"], "sha256:t", digest(result))
    contents = Contents(
        charter=charter,
        agreement=[plain(signed_by_all(AGREEMENT))],
        study=study,
        result=result,
        transcript_digest="sha256:t",
        signatures={site: key_of(site).sign(statement).hex() for site in signers},
    )
    return make_bundle(contents, log, indices, note, 2, key_of("hub"))


def honest_charter(agreement: Agreement = AGREEMENT) -> dict[str, Any]:
    return dict(plain(charter_of(ASKED, agreement)))


SIGNED = sign_request(ASKED, key_of("dr ada"))
ALL = ["boston", "leeds", "oslo"]


def one_site() -> bytes:
    charter = honest_charter()
    charter |= {"roster": [m for m in charter["roster"] if m["site"] == "leeds"], "threshold": 1}
    return bundle(charter, ["leeds"], SIGNED, ALL)


def no_request() -> bytes:
    return bundle(honest_charter(), ALL, {"payload": "", "signatures": []}, ALL)


def anothers_request() -> bytes:
    return bundle(honest_charter(), ALL, sign_request(ASKED, key_of("custodian of leeds-nhs")), ALL)


def another_study() -> bytes:
    study = replace(ASKED.study, title="another")
    return bundle(honest_charter(), ALL, sign_request(replace(ASKED, study=study), key_of("dr ada")), ALL)


def too_few_sites() -> bytes:
    return bundle(honest_charter(), ALL, SIGNED, ["boston", "leeds"])


FORGERIES = [one_site, no_request, anothers_request, another_study, too_few_sites]


@pytest.mark.parametrize("forge", FORGERIES)
def test_without_the_check_a_forgery_passes(leak: Say, forge: Any) -> None:
    assert verify_bundle(forge(), ()).signers
    leak("a made-up result verifies")


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forgery_does_not_verify(stop: Say, forge: Any) -> None:
    with pytest.raises(Untrusted, match="E-BUNDLE"):
        verify(forge())
    stop("E-BUNDLE")


def test_the_genuine_one_does() -> None:
    assert verify(bundle(honest_charter(), ALL, SIGNED, ALL))["signers"] == ALL
