"""`ro-crate-metadata.json` of an evidence crate: the run in the words of the Five Safes RO-Crate 0.4.

Agents come from the signed agreement, times from the ledger's entries (a signature's own time is a claim). The JSON-LD is
written here and not by the `rocrate` package, which would bring a template engine and an HTTP client to every site
(docs/adr/0014); tests read it with that package.
Reference: https://w3id.org/5s-crate/0.4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from isthmus.sdk.crate.contents import APPROVALS, DESCRIBED, DISCLOSURE, OUTPUTS, STUDY, Story, approvals, terms_of_use

Entity = dict[str, Any]

NAME = "ro-crate-metadata.json"
PROFILE = "https://w3id.org/5s-crate/0.4"
DONE = "http://schema.org/CompletedActionStatus"
FAILED = "http://schema.org/FailedActionStatus"
POTENTIAL = "http://schema.org/PotentialActionStatus"
SHA_512 = "https://www.iana.org/assignments/named-information#sha-512"
WORKFLOW = "workflow/"
_SHP = "https://w3id.org/shp#"
_DUO = "http://purl.obolibrary.org/obo/"
_ROOT = {"@id": "./"}
_STANDING = "standing rule"
_FORMATS = {
    "json": "application/json",
    "csv": "text/csv",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "isthmus": "application/json",
    "ledger": "application/jsonl",
    "jsonl": "application/jsonl",
}


@dataclass(frozen=True, slots=True)
class Made:
    """By which version of the code a crate was exported, and when (ISO 8601)."""

    version: str
    code: str
    time: str


def metadata_of(run: Story, files: Mapping[str, bytes], made: Made) -> Entity:
    """The metadata document.

    Args:
        run: what the crate is about.
        files: path -> content of every other file of the crate.
        made: who exported it, and when.
    """
    actions = [*_before(run), _execution(run, files), *_after(run, files, made)]
    graph = [
        {
            "@id": NAME,
            "@type": "CreativeWork",
            "about": _ROOT,
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.2"},
        },
        _root(run, files, made, actions),
        {"@id": PROFILE, "@type": "Profile", "name": "Five Safes RO-Crate profile"},
        *actions,
        *_project(run),
        *_agents(run, made),
        *_files(files),
        *_terms(run),
    ]
    return {"@context": "https://w3id.org/ro/crate/1.2/context", "@graph": graph}


def identifier(run: Story, made: Made) -> str:
    """The bag's External-Identifier: of this run, exported at this time."""
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{run.held.run} {made.time}')}"


def _root(run: Story, files: Mapping[str, bytes], made: Made, actions: list[Entity]) -> Entity:
    study = run.request.study
    return {
        "@id": "./",
        "@type": "Dataset",
        "conformsTo": {"@id": PROFILE},
        "name": study.title,
        "description": study.question or study.purpose.text,
        "identifier": run.held.run,
        "datePublished": made.time,
        "publisher": {"@id": _party(run, run.agreement.hub.party)},
        "license": {"@id": "#terms"},
        "mainEntity": {"@id": WORKFLOW},
        "hasPart": [{"@id": WORKFLOW}, *({"@id": path} for path in files if not path.startswith(WORKFLOW))],
        "mentions": [{"@id": action["@id"]} for action in actions],
        "sourceOrganization": {"@id": "#project"},
    }


def _before(run: Story) -> Iterator[Entity]:
    """Check, Validation, Retrieval and Sign-off."""
    asked, agreement = run.moments["study"], {"@id": "agreement.json"}
    yield _assessed(
        run, "check", "CheckValue", "Signature and canonical form of the request: hold", asked, {"@id": "#hub"}
    ) | {"object": [_ROOT, {"@id": "request.json"}]}
    yield _assessed(
        run, "validation", "ValidationCheck", "Study against the agreement: admitted", asked, {"@id": "#hub"}
    ) | {"object": [_ROOT, {"@id": STUDY}], "instrument": agreement}
    yield {
        "@id": _id(run, "retrieval"),
        "@type": "DownloadAction",
        "name": "Nothing was downloaded: a study holds no code, and its methods come with Isthmus",
        "endTime": asked,
        "object": {"@id": WORKFLOW},
        "agent": {"@id": "#hub"},
        "actionStatus": DONE,
    }
    about = [_ROOT, {"@id": WORKFLOW}, {"@id": "#project"}]
    for claim in _claims(run):
        name = f"{claim['name']} signed the agreement for {claim['party']}: {claim['meaning']}"
        agent = {"@id": _person(claim["name"])}
        yield _assessed(run, f"signature {claim['name']}", "SignOff", name, claim["time"], agent) | {
            "object": [*about, agreement],
            "instrument": agreement,
        }
    joined = next((e.time for e in run.held.entries if e.facts.get("decision") == "joined"), asked)
    for member in run.held.bundle["charter"]["roster"]:
        name = f"Site {member['site']} admitted the study by its own gates and joined: approved"
        yield _assessed(run, f"site {member['site']}", "SignOff", name, joined, {"@id": _site(member["site"])}) | {
            "object": about,
            "instrument": agreement,
        }
    yield from _approved(run, "study", "SignOff")


def _execution(run: Story, files: Mapping[str, bytes]) -> Entity:
    sites = ", ".join(run.held.bundle["result"]["sites"])
    return {
        "@id": _id(run, "execution"),
        "@type": "CreateAction",
        "name": f"Federated run at {sites}: rows stayed, masked sums were added up",
        "startTime": run.moments["study"],
        "endTime": run.moments["release"],
        "agent": {"@id": _person(run.person)},
        "instrument": {"@id": WORKFLOW},
        "object": [{"@id": STUDY}],
        "result": [{"@id": path} for path in files if path.startswith(OUTPUTS)],
        "actionStatus": DONE,
    }


def _after(run: Story, files: Mapping[str, bytes], made: Made) -> Iterator[Entity]:
    """Disclosure, Publishing and Receiving."""
    outputs = [{"@id": path} for path in files if path.startswith(OUTPUTS)]
    about = {"object": [_ROOT, *outputs], "instrument": {"@id": DISCLOSURE}}
    asked = run.released is not None
    name = "Disclosure control by every site's gate and the output gate, signed by the sites: "
    name += "passed on to output checkers" if asked else "released"
    yield _assessed(run, "disclosure", "DisclosureCheck", name, run.moments["release"], {"@id": "#hub"}) | about
    yield from _approved(run, "result", "DisclosureCheck")
    if run.released is not None:
        sites = ", ".join(sorted(run.held.bundle.get("released", ())))
        name = f"Output checkers' votes hold, signed by {sites}: released"
        yield _assessed(run, "release", "DisclosureCheck", name, run.released, {"@id": "#hub"}) | about
    yield {
        "@id": _id(run, "publishing"),
        "@type": "UpdateAction",
        "additionalType": {"@id": _SHP + "GenerateCheckValue"},
        "name": "BagIt manifests of the crate written",
        "startTime": made.time,
        "object": _ROOT,
        "instrument": {"@id": SHA_512},
        "agent": {"@id": "#exporter"},
        "actionStatus": DONE,
    }
    yield {
        "@id": _id(run, "receiving"),
        "@type": "ReceiveAction",
        "name": "Whoever receives the crate checks it: isthmus verify",
        "object": _ROOT,
        "agent": {"@id": _person(run.person)},
        "actionStatus": POTENTIAL,
    }


def _approved(run: Story, subject: str, term: str) -> Iterator[Entity]:
    """People's signed decisions on the study or on its result, where the bundle has them."""
    for number, said in enumerate(approvals(run)):
        if said.get("kind", "study") != subject:
            continue
        decision = str(said.get("decision", _STANDING))
        name = f"{said['name']}: {decision}; {said['meaning']}"
        agent = {"@id": _person(str(said["name"]))}
        yield _assessed(run, f"approval {number}", term, name, str(said["time"]), agent) | {
            "object": [_ROOT, {"@id": APPROVALS}],
            "actionStatus": DONE if decision in {"accept", _STANDING} else FAILED,
        }


def _assessed(run: Story, part: str, term: str, name: str, time: str, agent: Entity) -> Entity:
    return {
        "@id": _id(run, part),
        "@type": "AssessAction",
        "additionalType": {"@id": _SHP + term},
        "name": name,
        "endTime": time,
        "agent": agent,
        "actionStatus": DONE,
    }


def _project(run: Story) -> Iterator[Entity]:
    study, agreement = run.request.study, run.agreement
    duties = agreement.duties
    agreed = [p for p in (duties.purposes if duties else None) or () if p.duo == study.purpose.duo]
    term = {"@id": _DUO + study.purpose.duo.replace(":", "_")}
    yield {
        "@id": "#project",
        "@type": "Project",
        "name": study.project or agreement.title,
        "description": study.purpose.text,
        "about": [term, *({"@id": f"#purpose-{quote(p.purpose)}"} for p in agreed)],
        "identifier": {"@id": "#agreement-id"},
        "member": [{"@id": _party(run, p.party)} for p in agreement.parties],
    }
    value = f"{agreement.id}, version {agreement.version}, {run.held.agreement}"
    yield {"@id": "#agreement-id", "@type": "PropertyValue", "name": "agreement", "value": value}
    yield {**term, "@type": "DefinedTerm", "name": study.purpose.duo, "termCode": study.purpose.duo}
    for purpose in agreed:
        yield {"@id": f"#purpose-{quote(purpose.purpose)}", "@type": "DefinedTerm", "name": purpose.purpose} | {
            "description": purpose.text
        }


def _agents(run: Story, made: Made) -> Iterator[Entity]:
    agreement = run.agreement
    for party in agreement.parties:
        yield {"@id": _party(run, party.party), "@type": "Organization", "name": party.name, "location": party.country}
    named = {run.person, *(claim["name"] for claim in _claims(run)), *(str(said["name"]) for said in approvals(run))}
    for person in agreement.people:
        if person.person in named:
            yield {
                "@id": _person(person.person),
                "@type": "Person",
                "name": person.person,
                "affiliation": {"@id": _party(run, person.party)},
                "memberOf": [{"@id": "#project"}],
            }
    for member in run.held.bundle["charter"]["roster"]:
        entry = agreement.site(member["site"])
        yield {
            "@id": _site(entry.site),
            "@type": "Organization",
            "name": f"Isthmus site {entry.site}, facility {entry.facility}",
            "location": entry.country,
            "parentOrganization": {"@id": _party(run, entry.party)},
        }
    provider = {"provider": {"@id": _party(run, agreement.hub.party)}}
    name, version = f"Isthmus hub {agreement.hub.hub}", str(run.held.bundle["charter"]["protocol"])
    yield _software("#hub", name, version, f"pkg:pypi/isthmus#{version}") | provider
    exporter, url = f"Isthmus {made.version}, code {made.code}", f"pkg:pypi/isthmus@{made.version}"
    yield _software("#exporter", exporter, made.version, url) | provider


def _software(name: str, called: str, version: str, url: str) -> Entity:
    return {"@id": name, "@type": "SoftwareApplication", "name": called, "version": version, "url": url}


def _files(files: Mapping[str, bytes]) -> Iterator[Entity]:
    yield {
        "@id": WORKFLOW,
        "@type": "Dataset",
        "name": "The study as a Workflow RO-Crate",
        "description": "What was run: a declaration, with no code in it",
        "conformsTo": {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"},
        "hasPart": [{"@id": path} for path in files if path.startswith(WORKFLOW)],
    }
    yield {"@id": "#study-parameter", "@type": "FormalParameter", "name": "study"}
    for path, raw in files.items():
        yield {
            **({"exampleOfWork": {"@id": "#study-parameter"}} if path == STUDY else {}),
            "@id": path,
            "@type": "File",
            "name": path.rpartition("/")[2],
            "description": DESCRIBED.get(path) or DESCRIBED[f"{path.partition('/')[0]}/"],
            "encodingFormat": _FORMATS[path.rpartition(".")[2]],
            "contentSize": str(len(raw)),
            "sha256": hashlib.sha256(raw).hexdigest(),
        }


def _terms(run: Story) -> Iterator[Entity]:
    yield {"@id": SHA_512, "@type": "DefinedTerm", "name": "sha-512 algorithm"}
    yield {"@id": "#terms", "@type": "CreativeWork", "name": terms_of_use(run), "url": {"@id": "agreement.json"}}


def _claims(run: Story) -> list[dict[str, str]]:
    from isthmus.governance.signing import claims

    return [{"name": c.person, "party": c.party, "meaning": c.meaning, "time": c.time} for c in claims(run.signed)]


def _id(run: Story, part: str) -> str:
    return f"#{part.partition(' ')[0]}-{uuid5(NAMESPACE_URL, f'{run.held.run} {part}')}"


def _party(run: Story, name: str) -> str:
    party = next(p for p in run.agreement.parties if p.party == name)
    ror = party.status.ror if party.status else None
    return f"https://ror.org/{ror.rpartition('/')[2]}" if ror else f"#party-{quote(name)}"


def _person(name: str) -> str:
    return f"#person-{quote(name)}"


def _site(name: str) -> str:
    return f"#site-{quote(name)}"
