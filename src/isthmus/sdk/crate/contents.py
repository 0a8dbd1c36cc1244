"""What an evidence crate holds beside its metadata: every file a pure function of the signed bundle and the SBOM."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from isthmus.federation.told_verdicts import told_by
from isthmus.governance.admission import created_at
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid

if TYPE_CHECKING:
    from isthmus.governance.admission import RunRequest
    from isthmus.governance.agreement import Agreement
    from isthmus.governance.signing import SignedAgreement
    from isthmus.ledger.verify import Verified

BUNDLE = "result.isthmus"
SBOM = "sbom.cdx.json"
STUDY = "workflow/study.json"
WORKFLOW = "workflow/ro-crate-metadata.json"
DISCLOSURE = "disclosure.json"
DECISIONS = "decisions.json"
APPROVALS = "approvals.json"
OUTPUTS = "outputs/"
LEDGERS = "ledgers/"
README = "README.txt"
DECIDING = frozenset({"decision", "refusal", "approval", "revocation"})  # events of the ledger

# What lies where, for the README and for the metadata; outputs are described by what they are.
DESCRIBED: Mapping[str, str] = {
    "ro-crate-metadata.json": "who did what, when, under which agreement: the phases of the Five Safes profile",
    "ro-crate-preview.html": "the same for people, to be read in a browser or printed",
    BUNDLE: "the signed bundle: every file beside the SBOM is made from it",
    STUDY: "what was asked",
    WORKFLOW: "the study as a Workflow RO-Crate",
    "request.json": "the study as the researcher signed it",
    "agreement.json": "the agreement, with the signature of every party",
    DECISIONS: "what the rules of law say of the agreement, the decisions on this run in the ledgers at hand, and whose are absent",
    DISCLOSURE: "every disclosure rule that was applied, whose it is, and what it found: SATRE 3.3.09",
    APPROVALS: "people's signed approvals, where the agreement asks for them",
    "proof.json": "the ledger's checkpoint, its cosignatures, and proofs of inclusion",
    SBOM: "the software of the machine that exported this, as CycloneDX",
    README: "what lies where, and how to check it",
    LEDGERS: "entries on the run in the ledger of whoever exported this, with proofs (.jsonl); whole ledgers where they were given",
    OUTPUTS: "the result: JSON, a table for each analysis, figures",
}
PROOF = ("checkpoint", "entries", "inclusion", "later", "signatures")
_HEAD = """The evidence of one run of Isthmus: a Five Safes RO-Crate 0.4 in a BagIt bag.

isthmus verify FILE               checks everything, offline; FILE is this folder, or the ZIP file it came in
sha256sum -c manifest-sha256.txt  checks the files alone, without Isthmus

"""


@dataclass(frozen=True, slots=True)
class Story:
    """A verified run: its bundle, what the bundle's agreement and request say, and who asked."""

    held: Verified
    signed: SignedAgreement
    agreement: Agreement
    request: RunRequest
    person: str

    @property
    def moments(self) -> dict[str, str]:
        """Ledger event -> time of its first entry of this run, in the hub's log."""
        found: dict[str, str] = {}
        for entry in self.held.entries:
            found.setdefault(entry.event, entry.time)
        return found

    @property
    def released(self) -> str | None:
        """When output checkers had released the result, by the hub's ledger, else by the last of their votes; None where nobody was asked."""
        entered = [entry.time for entry in self.held.entries if entry.facts.get("step") == "release"]
        votes = [str(said["time"]) for said in approvals(self) if said.get("kind") == "result"]
        return next(iter(entered), max(votes, key=datetime.fromisoformat, default=None))


def story(held: Verified) -> Story:
    """The run of a bundle that `sdk.bundle.verified` has verified.

    Raises:
        Invalid: E-CRATE, a rehearsal, or the auditor's form.
    """
    from isthmus.federation.audit import agreed
    from isthmus.governance.admission import asker
    from isthmus.governance.signing import SignedAgreement
    from isthmus.strict import parse

    if held.mode != "federated":
        raise Invalid(
            "E-CRATE", "a rehearsal is no evidence: nobody signed an agreement", "export a run of an alliance"
        )
    if "transcript" in held.bundle:
        hint = "export the researcher's bundle; give auditors `isthmus hub audit` by itself"
        raise Invalid("E-CRATE", "the auditor's form of a bundle undoes rounding: it goes into no crate", hint)
    request, agreement = agreed(held)
    signed = parse(SignedAgreement, held.bundle["agreement"][0], "agreement")
    return Story(held, signed, agreement, request, asker(held.bundle["study"], agreement))


def contents(run: Story, raw: bytes, sbom: bytes, ledgers: Mapping[str, bytes]) -> dict[str, bytes]:
    """Path -> content of every file of the crate but its metadata.

    Args:
        run: what `raw` holds.
        raw: the bundle.
        sbom: as it was exported.
        ledgers: path -> exported ledger, checked.
    """
    from isthmus.sdk.bundle import result_from
    from isthmus.sdk.export import files_of

    said = {WORKFLOW: workflow(run), DISCLOSURE: disclosure_record(run), DECISIONS: decision_record(run, ledgers)}
    files = copied(run) | {path: written(body) for path, body in said.items()}
    files |= {OUTPUTS + name: content for name, content in files_of(result_from(run.held)).items()}
    return files | {README: _readme(), BUNDLE: raw, SBOM: sbom, **ledgers}


def copied(run: Story) -> dict[str, bytes]:
    """Path -> content of the files that are parts of the bundle as they stand: the same whatever version writes them."""
    from isthmus.model.canonical import plain

    bundle = run.held.bundle
    said = {
        "agreement.json": plain(run.signed),
        "request.json": bundle["study"],
        STUDY: plain(run.request.study),
        "proof.json": {name: bundle[name] for name in PROOF if name in bundle},
    }
    if "approvals" in bundle:
        said[APPROVALS] = bundle["approvals"]
    return {path: written(body) for path, body in said.items()}


def written(body: Any) -> bytes:
    """JSON as people read it."""
    return (json.dumps(body, indent=1, ensure_ascii=False) + "\n").encode()


def disclosure_record(run: Story) -> dict[str, Any]:
    """Every disclosure-control criterion applied to this output package: SATRE 2.0.1, item 3.3.09."""
    from isthmus.governance.agreement import shared_rules
    from isthmus.model.canonical import plain

    effective = shared_rules(run.agreement, run.request.study.dataset)
    entry = run.agreement.dataset(run.request.study.dataset)
    criteria = [
        {"rule": rule, "limit": limit, "whose": effective.whose[rule]} for rule, limit in plain(effective.rules).items()
    ]
    return {
        "schema": "isthmus/disclosure-record/1",
        "satre": "3.3.09",
        **_package(run),
        "dataset": entry.dataset,
        "criteria": criteria,
        "private_rules": "a site may apply stricter rules of its own, which it tells nobody; they act on its vote alone",
        "noise": plain(entry.privacy) if entry.privacy else None,
        "questions_allowed": plain(entry.questions) if entry.questions else None,
        "outputs": {name: _findings(body) for name, body in run.held.bundle["result"]["analyses"].items()},
        "output_checkers": sorted({str(said["name"]) for said in approvals(run) if said.get("kind") == "result"}),
    }


def approvals(run: Story) -> list[Mapping[str, Any]]:
    """What people signed of this run: decisions, and standing rules, which have no kind; verified with the bundle."""
    return [json.loads(base64.b64decode(envelope["payload"])) for envelope in run.held.bundle.get("approvals", ())]


def decision_record(run: Story, ledgers: Mapping[str, bytes]) -> dict[str, Any]:
    """What the rules of law say of the signed agreement, and the decisions on this run in the ledgers at hand.

    The verdicts on the study and on its outputs stand in each site's own ledger, with the facts. `without_facts`: sites that
    told the hub their verdicts, which stand among `ledger`. `absent`: those of whom nothing is in the crate.
    """
    from isthmus.governance.asked import on_agreement
    from isthmus.governance.facts import today
    from isthmus.governance.rulepack import own_pack, pack_digest
    from isthmus.governance.verdicts import recorded

    entries = [plain(e) for e in run.held.entries if e.event in DECIDING]
    told: dict[str, Any] = {"schema": "isthmus/decision-record/1", **_package(run), "ledger": entries}
    told["ledgers"] = {path: list(_decisions(run, path, raw)) for path, raw in ledgers.items()}
    told["without_facts"] = dict.fromkeys(without_facts(run, ledgers), _HOW)
    told["absent"] = dict.fromkeys(absent(run, ledgers), _HOW)
    agreed = run.agreement.rule_pack
    if agreed not in {None, pack_digest(own_pack())}:
        return told | {"pack": agreed, "law": "the parties agreed on another rule pack than this installation has"}
    decision = on_agreement(run.agreement, today(created_at(run.request)))
    verdicts = [
        {"rule": v.rule.id, "verdict": v.outcome, "severity": v.rule.severity, "citation": v.rule.citation}
        for v in decision.verdicts
    ]
    return told | {"law": {**recorded(decision, run.agreement.judged()), "verdicts": verdicts}}


def absent(run: Story, ledgers: Mapping[str, bytes]) -> list[str]:
    """The hub, and the sites of the run, of whose decisions nothing is in the crate."""
    nodes = [run.agreement.hub.hub, *sorted(member["site"] for member in run.held.bundle["charter"]["roster"])]
    told = {*_owners(ledgers), *told_by(run.held.entries)}
    return [name for name in nodes if name not in told]


def without_facts(run: Story, ledgers: Mapping[str, bytes]) -> list[str]:
    """The sites whose verdicts the bundle holds, and of whose own ledger, with the facts, nothing is among these."""
    return [site for site in told_by(run.held.entries) if site not in _owners(ledgers)]


def _owners(ledgers: Mapping[str, bytes]) -> set[str]:
    return {path.removeprefix(LEDGERS).rpartition(".")[0] for path in ledgers}


_HOW = "`isthmus audit export --out FILE` there, then `isthmus results export --crate ... --ledger FILE`"


def _decisions(run: Story, path: str, ledger: bytes) -> Iterator[Any]:
    """The decisions on this run, and on its agreement, in an exported ledger or an excerpt."""
    lines = ledger.splitlines()
    whole = path.endswith(".ledger")
    for line in lines[1:] if whole else lines:
        entry = json.loads(line) if whole else json.loads(line)["entry"]
        about = {"run": run.held.run} if "run" in entry["facts"] else {"agreement": run.held.agreement}
        if entry["event"] in DECIDING and about.items() <= entry["facts"].items():
            yield entry


def workflow(run: Story) -> dict[str, Any]:
    """A Workflow RO-Crate of the study: what was run is this declarative file, by the methods of Isthmus."""
    language = {"@id": "#study-language", "@type": "ComputerLanguage", "name": "Isthmus study", "version": "study/1"}
    described: dict[str, Any] = {"@id": "study.json", "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"]}
    described |= {"name": run.request.study.title, "encodingFormat": "application/json"}
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": run.request.study.title,
        "datePublished": run.request.created,
    }
    root |= {
        "description": "The study as it was asked: a declaration, with no code in it.",
        "license": {"@id": "#terms"},
    }
    return {
        "@context": "https://w3id.org/ro/crate/1.1/context",
        "@graph": [
            {
                "@id": "ro-crate-metadata.json",
                "@type": "CreativeWork",
                "about": {"@id": "./"},
                "conformsTo": [
                    {"@id": "https://w3id.org/ro/crate/1.1"},
                    {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"},
                ],
            },
            root | {"mainEntity": {"@id": "study.json"}, "hasPart": [{"@id": "study.json"}]},
            described | {"programmingLanguage": {"@id": language["@id"]}},
            language,
            {"@id": "#terms", "@type": "CreativeWork", "name": terms_of_use(run)},
        ],
    }


def terms_of_use(run: Story) -> str:
    """What stands where a crate names a licence."""
    return f"Use as the agreement {run.agreement.id}, version {run.agreement.version}, allows"


def _readme() -> bytes:
    return (_HEAD + "".join(f"data/{path}\n    {said}\n" for path, said in DESCRIBED.items())).encode()


def _package(run: Story) -> dict[str, Any]:
    """Which output package a record is of."""
    held = run.held
    return {"run": held.run, "study": held.study, "agreement": held.agreement, "result": held.result}


def _findings(body: Mapping[str, Any]) -> dict[str, Any]:
    """One analysis: released, refused or failed, and what each rule found; no number of the result."""
    told = {"kind": body["kind"], "status": body.get("status", "released"), "findings": body.get("disclosure", [])}
    told |= {name: body[name] for name in ("exactness", "privacy") if name in body}
    groups = body.get("groups" if body["kind"] != "table_one" else "countries")
    error = body.get("error")
    if isinstance(error, Mapping):
        told["code"] = error["code"]
    parts = {"countries": groups or {}, "sites": body.get("sites", {})}
    return told | {key: {w: _findings(part) for w, part in own.items()} for key, own in parts.items() if own}
