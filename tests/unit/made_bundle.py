"""A federated bundle made by hand, of released results made by hand: everything in it verifies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from governance_alliance import CODEBOOK, NOW, draft, key_of, signed_by_all
from made_results import CURVES, FINDINGS, LOGISTIC

from isthmus.federation.request import charter_of
from isthmus.governance.admission import RunRequest, sign_request
from isthmus.governance.agreement import Agreement, agreement_digest
from isthmus.ledger.bundle import Contents, make_bundle, release_facts, result_statement, study_facts
from isthmus.ledger.checkpoint import cosign, sign_checkpoint, with_cosignatures
from isthmus.ledger.log import Log, MemoryStore
from isthmus.model.canonical import digest, plain
from isthmus.model.study import Purpose, Study

SITES = ("boston", "leeds", "oslo")
TRANSCRIPT = "sha256:" + "7" * 64
REFUSED = {
    "kind": "count",
    "status": "refused",
    "error": {"code": "E-DISCLOSURE", "message": "a rule said no", "hint": ""},
    "disclosure": [{"rule": "minimum_count", "status": "Blocked", "whose": "agreement"}],
}
COUNT = {"kind": "count", "exactness": "exact", "n": 2140, "rounds": 1, "conf_level": 0.95, "disclosure": FINDINGS}
RESULTS: dict[str, Any] = {"death": LOGISTIC, "survival": CURVES, "../../people over 90": COUNT, "rare": REFUSED}
STUDY = Study(
    isthmus="study/1",
    title="Does arm B save lives?",
    dataset=CODEBOOK.name,
    purpose=Purpose(duo="DUO:0000007", text="To see which treatment patients live longer with."),
    analyses={
        "death": {"glm": {"formula": "died ~ sex + age", "family": "binomial"}},
        "survival": {"kaplan_meier": {"time": "age", "event": "died"}},
        "../../people over 90": {"count": {"where": "age > 90"}},
        "rare": {"count": {}},
    },
)


def request(agreement: Agreement, study: Study = STUDY) -> RunRequest:
    return RunRequest(
        isthmus="request/1",
        study=study,
        agreement=agreement_digest(agreement),
        roster=tuple(sorted(SITES)),
        mode="federated",
        number=1,
        created=NOW.isoformat(),
    )


def log_of(charter: dict[str, Any], result: dict[str, Any]) -> Log:
    """The hub's log of one run."""
    log = Log(MemoryStore(), "hub", lambda: NOW)
    log.append("study", study_facts(charter))
    log.append("decision", {"run": charter["run"], "decision": "joined", "snapshots": dict.fromkeys(SITES, "hmac")})
    log.append("round", {"run": charter["run"], "question": "vote", "round": 1, "survivors": list(SITES)})
    log.append("release", release_facts(charter["run"], TRANSCRIPT, result))
    return log


def made_bundle(agreement: Agreement | None = None, results: dict[str, Any] = RESULTS) -> bytes:
    agreement = agreement or draft()
    asked = request(agreement)
    charter = dict(plain(charter_of(asked, agreement)))
    result = {"schema": "isthmus/result/1", "study": charter["study"], "title": STUDY.title, "sites": list(SITES)}
    result |= {"analyses": results}
    log = log_of(charter, result)
    note = sign_checkpoint(log.origin, log.head(), key_of("hub"))
    note = with_cosignatures(note, [cosign(note, site, key_of(site), 1_750_000_000) for site in SITES])
    statement = result_statement("federated", charter["run"], TRANSCRIPT, digest(result))
    contents = Contents(
        charter=charter,
        agreement=[plain(signed_by_all(agreement))],
        study=sign_request(asked, key_of("dr ada")),
        result=result,
        transcript_digest=TRANSCRIPT,
        signatures={site: key_of(site).sign(statement).hex() for site in SITES},
    )
    return make_bundle(contents, log, [0, 1, 2, 3], note, 4, key_of("hub"))


def in_a_project(study: Study = STUDY) -> Study:
    return replace(study, project="statins")
