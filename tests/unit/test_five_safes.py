"""What the Five Safes RO-Crate 0.4 profile, RO-Crate 1.2 and BagIt demand (MUST) and recommend (SHOULD) of an evidence crate, one
line each, with its check.

No validator of the profile can be used here: the released `roc-validator` has none, and its base profiles fetch contexts
from the network. The lines follow the profile's text and the shapes that its authors wrote for that validator. Each check
is shown to notice a fault of its own.

Not checked, since it needs more than the crate: that every IRI resolves; that the JSON-LD expands under the published
context; that the workflow crate inside is what a workflow registry would take (it is a declaration without code); that
identifiers of people and organisations are theirs (ORCID, ROR); what the profile says to a server or client, not of a crate.
Of its SHOULDs these are not followed: the instrument of Validation is the agreement, which the study was held against, and
not the profile, for nobody submitted a crate; the language of the workflow is neither CWL nor Nextflow; the run does not
follow the Provenance Run Crate beside, since the steps of a run are the ledger's.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from governance_alliance import NOW
from test_crate import BUNDLE, signed_by

from isthmus.sdk.bundle import verified
from isthmus.sdk.crate.bag import zipped
from isthmus.sdk.crate.make import crate_of

Crate = dict[str, Any]  # `files`, `graph` (a list), `context`
META = "data/ro-crate-metadata.json"
TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}([.,]\d+)?([Zz]|[+-]\d{2}:\d{2})")
STATUS = {f"http://schema.org/{s}ActionStatus" for s in ("Potential", "Active", "Completed", "Failed")}
ASSESSED = ("CheckValue", "ValidationCheck", "SignOff", "DisclosureCheck")


@pytest.fixture(scope="module")
def crate() -> Crate:
    files = crate_of(verified(BUNDLE, []), BUNDLE, NOW, signed_by())
    document = json.loads(files[META])
    return {"files": {n: r.decode("utf-8", "replace") for n, r in files.items()}, "graph": document["@graph"]} | {
        "context": document["@context"]
    }


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def ids(value: Any) -> list[str]:
    return [item["@id"] for item in listed(value)]


def one(crate: Crate, name: str) -> dict[str, Any]:
    return next((e for e in crate["graph"] if e["@id"] == name), {})


def root(crate: Crate) -> dict[str, Any]:
    return one(crate, "./")


def typed(crate: Crate, kind: str) -> list[dict[str, Any]]:
    return [e for e in crate["graph"] if kind in listed(e.get("@type"))]


def phase(crate: Crate, term: str) -> list[dict[str, Any]]:
    return [e for e in crate["graph"] if term in [i.rpartition("#")[2] for i in ids(e.get("additionalType"))]]


def known(crate: Crate, value: Any, kind: str | None = None) -> bool:
    found = [one(crate, name) for name in ids(value)]
    return all("@type" in e and (kind is None or kind in listed(e["@type"])) for e in found)


def run(crate: Crate) -> dict[str, Any]:
    return typed(crate, "CreateAction")[0]


def put(find: Callable[[Crate], dict[str, Any]], **changed: Any) -> Callable[[Crate], None]:
    """A fault: properties of an entity in place of those it has; None takes one away."""

    def spoil(crate: Crate) -> None:
        entity = find(crate)
        for name, value in changed.items():
            name = {"id": "@id", "type": "@type"}.get(name, name)
            if value is None:
                entity.pop(name)
            else:
                entity[name] = value

    return spoil


def without(name: str) -> Callable[[Crate], None]:
    return lambda crate: crate["files"].pop(name)


def in_phase(term: str) -> Callable[[Crate], dict[str, Any]]:
    return lambda crate: phase(crate, term)[0]


def only(kind: str) -> Callable[[Crate], dict[str, Any]]:
    return lambda crate: typed(crate, kind)[0]


def times(crate: Crate) -> Iterator[str]:
    for entity in crate["graph"]:
        yield from (str(entity[name]) for name in ("startTime", "endTime") if name in entity)


def statuses(crate: Crate) -> list[Any]:
    kinds = ("AssessAction", "CreateAction", "DownloadAction", "UpdateAction", "ReceiveAction")
    return [e.get("actionStatus") for kind in kinds for e in typed(crate, kind)]


def payload(crate: Crate) -> set[str]:
    return {name for name in crate["files"] if name.startswith("data/")}


def sealed(crate: Crate) -> set[str]:
    return {line.split("  ", 1)[1] for line in crate["files"].get("manifest-sha512.txt", "").splitlines()}


def described(crate: Crate) -> set[str]:
    files = {f"data/{e['@id']}" for e in typed(crate, "File")}
    return files | {META, *(n for n in payload(crate) if n.endswith("ro-crate-preview.html"))}


def one_folder(files: dict[str, str]) -> bool:
    names = zipfile.ZipFile(io.BytesIO(zipped({n: r.encode() for n, r in files.items()}, "evidence"))).namelist()
    return {name.split("/")[0] for name in names} == {"evidence"} and "evidence/bagit.txt" in names


Must = tuple[str, Callable[[Crate], bool], Callable[[Crate], None]]
MUSTS: tuple[Must, ...] = (
    ("bag: bagit.txt says BagIt 1.0 or later", lambda c: re.search(r"BagIt-Version: [1-9]", c["files"].get("bagit.txt", "")) is not None, without("bagit.txt")),
    ("bag: the payload manifest is sha-512 and lists every payload file", lambda c: sealed(c) == payload(c), without("manifest-sha512.txt")),
    ("bag: bag-info.txt has an External-Identifier", lambda c: "External-Identifier: urn:uuid:" in c["files"].get("bag-info.txt", ""), without("bag-info.txt")),
    ("bag: the payload holds ro-crate-metadata.json at its top", lambda c: META in c["files"], without(META)),
    ("metadata: @context is RO-Crate 1.2 or later", lambda c: re.fullmatch(r"https://w3id\.org/ro/crate/1\.[2-9](-DRAFT)?/context", c["context"]) is not None, lambda c: c.update(context="https://w3id.org/ro/crate/1.1/context")),
    ("metadata: @graph is flat, every entity has @id and @type, no @id twice", lambda c: len({e["@id"] for e in c["graph"]}) == len(c["graph"]) and all("@type" in e for e in c["graph"]), lambda c: c["graph"].append(dict(root(c)))),
    ("descriptor: a CreativeWork about the root that conforms to RO-Crate", lambda c: one(c, "ro-crate-metadata.json").get("@type") == "CreativeWork" and ids(one(c, "ro-crate-metadata.json").get("about")) == ["./"] and ids(one(c, "ro-crate-metadata.json").get("conformsTo"))[:1] == ["https://w3id.org/ro/crate/1.2"], put(lambda c: one(c, "ro-crate-metadata.json"), about={"@id": "x"})),
    ("root: a Dataset with name, description, datePublished and license", lambda c: "Dataset" in listed(root(c).get("@type")) and all(root(c).get(n) for n in ("name", "description", "license")) and TIME.fullmatch(str(root(c).get("datePublished"))) is not None, put(root, license=None)),
    ("root: conforms to the profile", lambda c: "https://w3id.org/5s-crate/0.4" in ids(root(c).get("conformsTo")), put(root, conformsTo={"@id": "https://w3id.org/ro/crate/1.2"})),
    ("root: hasPart reaches every payload file that is described", lambda c: {e["@id"] for e in typed(c, "File")} <= {*ids(root(c).get("hasPart")), *ids(one(c, "workflow/").get("hasPart"))}, put(root, hasPart=[])),
    ("data: every file is described, and every described file is there", lambda c: described(c) == payload(c), without("data/request.json")),
    ("root: sourceOrganization is a Project", lambda c: bool(ids(root(c).get("sourceOrganization"))) and known(c, root(c)["sourceOrganization"], "Project"), put(root, sourceOrganization={"@id": "#hub"})),
    ("project: funding, where there is any, is a Grant", lambda c: all(known(c, e.get("funding"), "Grant") for e in typed(c, "Project")), put(only("Project"), funding={"@id": "#hub"})),
    ("root: exactly one mainEntity, a Dataset", lambda c: len(ids(root(c).get("mainEntity"))) == 1 and known(c, root(c)["mainEntity"], "Dataset"), put(root, mainEntity={"@id": "#hub"})),
    ("workflow: mainEntity conforms to Workflow RO-Crate", lambda c: all(i.startswith("https://w3id.org/workflowhub/workflow-ro-crate") for i in ids(one(c, "workflow/").get("conformsTo")) or [""]), put(lambda c: one(c, "workflow/"), conformsTo={"@id": "x"})),
    ("request: the root mentions a CreateAction", lambda c: bool({e["@id"] for e in typed(c, "CreateAction")} & set(ids(root(c).get("mentions")))), put(root, mentions=[])),
    ("request: its instrument is the mainEntity", lambda c: ids(run(c).get("instrument")) == ids(root(c)["mainEntity"]), put(run, instrument={"@id": "#hub"})),
    ("request: its agent is a Person", lambda c: bool(ids(run(c).get("agent"))) and known(c, run(c)["agent"], "Person"), put(run, agent={"@id": "#hub"})),
    ("request: the agent's affiliation is an Organization", lambda c: all(known(c, one(c, i).get("affiliation"), "Organization") for i in ids(run(c)["agent"])), put(lambda c: one(c, ids(run(c)["agent"])[0]), affiliation={"@id": "#project"})),
    ("inputs: each object of the CreateAction is an entity", lambda c: known(c, run(c).get("object")), put(run, object=[{"@id": "nowhere"}])),
    ("outputs: each result of the CreateAction is an entity", lambda c: bool(run(c).get("result")) and known(c, run(c)["result"]), put(run, result=[{"@id": "nowhere"}])),
    ("execution: a name of at least 10 characters", lambda c: len(run(c).get("name", "")) >= 10, put(run, name="run")),
    ("phases: Check, Validation, Sign-off and Disclosure are AssessActions", lambda c: all(phase(c, t) and all("AssessAction" in listed(e["@type"]) for e in phase(c, t)) for t in ASSESSED), put(in_phase("SignOff"), type="Action")),
    ("phases: each has a name, of 10 characters at Disclosure", lambda c: all(len(e.get("name", "")) >= 10 for t in ASSESSED for e in phase(c, t)), put(in_phase("DisclosureCheck"), name="checked")),
    ("retrieval: a DownloadAction has one name, and no result that is not the mainEntity", lambda c: all(isinstance(e.get("name"), str) and not e.get("result") for e in typed(c, "DownloadAction")), put(only("DownloadAction"), name=["a", "b"])),
    ("status: each action has one of the four of schema.org", lambda c: set(statuses(c)) <= STATUS, put(run, actionStatus="done")),
    ("times: startTime and endTime are RFC 3339", lambda c: all(TIME.fullmatch(t) for t in times(c)), put(run, endTime="2026-11-26")),
    ("publishing: every AssessAction is mentioned by the root", lambda c: {e["@id"] for e in typed(c, "AssessAction")} <= set(ids(root(c).get("mentions"))), put(root, mentions=[])),
    ("bag: nothing outside the payload is referred to", lambda c: not [e["@id"] for e in c["graph"] if ".." in e["@id"].split("/") or e["@id"].startswith("/")], put(only("File"), id="../fetch.txt")),
    ("review: software that acts names the organisation that provides it", lambda c: all(e.get("provider") and known(c, e["provider"], "Organization") for e in typed(c, "SoftwareApplication")), put(only("SoftwareApplication"), provider=None)),
    ("zip: one folder, which holds bagit.txt", lambda c: one_folder(c["files"]), without("bagit.txt")),
)  # fmt: skip
SHOULDS: tuple[Must, ...] = (
    ("bag: a tag manifest in sha-512", lambda c: "tagmanifest-sha512.txt" in c["files"], without("tagmanifest-sha512.txt")),
    ("bag: at least one payload file beside the metadata", lambda c: len(payload(c)) > 1, lambda c: c["files"].clear()),
    ("published: licence, datePublished and a publisher that is an Organization", lambda c: all(root(c).get(n) for n in ("license", "datePublished")) and bool(root(c).get("publisher")) and known(c, root(c)["publisher"], "Organization"), put(root, publisher={"@id": "#project"})),
    ("request: the CreateAction's identifier has a UUID", lambda c: re.search(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", run(c)["@id"]) is not None, put(run, id="#run")),
    ("request: the agent has an affiliation, and is a member of the project", lambda c: all(one(c, i).get("affiliation") and ids(one(c, i).get("memberOf")) == ids(root(c)["sourceOrganization"]) for i in ids(run(c)["agent"])), put(lambda c: one(c, ids(run(c)["agent"])[0]), memberOf=None)),
    ("project: its identifier, which is not global, is a PropertyValue", lambda c: known(c, typed(c, "Project")[0].get("identifier"), "PropertyValue") and bool(typed(c, "Project")[0].get("identifier")), put(only("Project"), identifier=None)),
    ("project: the asker's organisation is among its members", lambda c: set(ids(one(c, ids(run(c)["agent"])[0]).get("affiliation"))) <= set(ids(typed(c, "Project")[0].get("member"))), put(only("Project"), member=[])),
    ("inputs: each is an example of a formal parameter", lambda c: bool(run(c).get("object")) and all(one(c, i).get("exampleOfWork") and known(c, one(c, i)["exampleOfWork"], "FormalParameter") for i in ids(run(c)["object"])), put(lambda c: one(c, "workflow/study.json"), exampleOfWork=None)),
    ("outputs: each is a file below outputs/", lambda c: all(i.startswith("outputs/") and "File" in listed(one(c, i).get("@type")) for i in ids(run(c)["result"])), put(run, result=[{"@id": "request.json"}])),
    ("review: each assessment has a status, an end, an agent, and the root among its objects", lambda c: all(e.get("actionStatus") and e.get("endTime") and known(c, e.get("agent")) and ids(e.get("agent")) and "./" in ids(e.get("object")) for e in typed(c, "AssessAction")), put(in_phase("SignOff"), object=[{"@id": "workflow/"}])),
    ("review: each agent has a name", lambda c: all(one(c, i).get("name") for e in typed(c, "AssessAction") for i in ids(e.get("agent"))), put(lambda c: one(c, "#hub"), name="")),
    ("sign-off: the workflow and the project were looked at, by an agreement", lambda c: all({"workflow/", "#project"} <= set(ids(e["object"])) and e.get("instrument") for e in phase(c, "SignOff")), put(in_phase("SignOff"), instrument=None)),
    ("execution: its start and end are told", lambda c: bool(run(c).get("startTime") and run(c).get("endTime")), put(run, startTime=None)),
    ("retrieval: a DownloadAction says of what", lambda c: all(known(c, e.get("object")) and ids(e.get("object")) for e in typed(c, "DownloadAction")), put(only("DownloadAction"), object=None)),
    ("check: the manifests are made with a named algorithm", lambda c: known(c, only("UpdateAction")(c).get("instrument"), "DefinedTerm"), put(only("UpdateAction"), instrument={"@id": "#hub"})),
)  # fmt: skip


@pytest.mark.parametrize(("text", "check", "spoil"), MUSTS + SHOULDS, ids=[line[0] for line in MUSTS + SHOULDS])
def test_the_crate_does_what_it_must_and_should_and_the_check_would_notice(
    crate: Crate, text: str, check: Callable[[Crate], bool], spoil: Callable[[Crate], None]
) -> None:
    assert check(crate), text
    other = deepcopy(crate)
    spoil(other)
    assert not check(other), f"the check of {text!r} notices nothing"
