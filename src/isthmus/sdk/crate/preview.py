"""`ro-crate-preview.html`: an evidence crate for people, to be printed on A4."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.sdk.artefacts.pages import Document, Part, facts, listed, to_html
from isthmus.sdk.artefacts.registers import limit_in_words, outputs
from isthmus.sdk.artefacts.words import day, moment
from isthmus.sdk.crate.contents import DESCRIBED, Story, disclosure_record
from isthmus.sdk.crate.metadata import Made

NAME = "ro-crate-preview.html"
_PHASES = {
    "CheckValue": "Check",
    "ValidationCheck": "Validation",
    "SignOff": "Sign-off",
    "DisclosureCheck": "Disclosure",
    "GenerateCheckValue": "Publishing",
    "DownloadAction": "Retrieval",
    "CreateAction": "Execution",
    "ReceiveAction": "Receiving",
}


def preview(run: Story, files: Mapping[str, bytes], described: Mapping[str, Any], made: Made) -> bytes:
    """The page.

    Args:
        run: what the crate is about.
        files: path -> content of every other file but the metadata.
        described: the metadata document.
        made: who exported it, and when.
    """
    about = (
        ("Exported", f"{moment(made.time)} UTC, by Isthmus {made.version}"),
        ("Run", run.held.run),
        ("Result", run.held.result),
        ("Agreement", f"{run.agreement.title} ({run.agreement.id}, version {run.agreement.version})"),
        ("Check it", "isthmus verify, on the folder or ZIP file that this page came in"),
    )
    parts = (*_asked(run), _phases(described), *_disclosed(run), _files(files))
    title = f"Evidence of one run: {run.request.study.title}"
    page = Document(artefact="crate", title=title, serves="Five Safes RO-Crate 0.4", about=about, parts=parts)
    return to_html(page).encode()


def _asked(run: Story) -> Iterator[Part]:
    study = run.request.study
    yield facts(
        "What was asked",
        ("question", study.question or study.title),
        ("purpose", f"{study.purpose.text} ({study.purpose.duo})"),
        ("dataset", study.dataset),
        ("asked by", run.person),
        ("signed on", day(run.request.created)),
        ("sites in the result", ", ".join(run.held.bundle["result"]["sites"])),
        ("signed by", ", ".join(run.held.signers)),
        ("what left a site", "masked sums alone, no row"),
    )


def _phases(described: Mapping[str, Any]) -> Part:
    entities = {entity["@id"]: entity for entity in described["@graph"]}
    actions = (entities[mention["@id"]] for mention in entities["./"]["mentions"])
    rows = (
        (_phase(a), a["name"], _who(entities, a), moment(a.get("endTime") or a.get("startTime", ""))) for a in actions
    )
    note = "Times are those of the hub's ledger; the time of a signature is its signer's claim."
    return listed("What happened", ("Phase", "What", "Who", "Time (UTC)"), rows, note)


def _phase(action: Mapping[str, Any]) -> str:
    term = action.get("additionalType", {}).get("@id", "").rpartition("#")[2]
    return _PHASES[term or action["@type"]]


def _who(entities: Mapping[str, Any], action: Mapping[str, Any]) -> str:
    return str(entities[action["agent"]["@id"]]["name"])


def _disclosed(run: Story) -> Iterator[Part]:
    told = disclosure_record(run)
    rows = ((c["rule"], limit_in_words(c["limit"]), c["whose"]) for c in told["criteria"])
    yield listed("Disclosure rules in force", ("Rule", "Limit", "Whose"), rows)
    headings = ("Output", "Kind", "State", "Passed", "Other findings")
    yield listed("What they found", headings, outputs(run.held.bundle))


def _files(files: Mapping[str, bytes]) -> Part:
    rows = ((path, _described(path), hashlib.sha256(raw).hexdigest()) for path, raw in files.items())
    return listed("Files", ("File", "What", "SHA-256"), rows)


def _described(path: str) -> str:
    return DESCRIBED.get(path) or DESCRIBED[f"{path.partition('/')[0]}/"]
