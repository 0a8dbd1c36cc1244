"""Make an evidence crate of a signed bundle, and check one, offline: bytes in, what holds or a typed error out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.model.errors import Invalid, Untrusted
from isthmus.model.record import record
from isthmus.sdk.crate import preview
from isthmus.sdk.crate.bag import ALGORITHMS, INFO, PAYLOAD, bagged, broken, check_bag, read_bag
from isthmus.sdk.crate.contents import (
    BUNDLE,
    LEDGERS,
    SBOM,
    Story,
    absent,
    contents,
    copied,
    story,
    without_facts,
    written,
)
from isthmus.sdk.crate.ledgers import EXCERPT, by_owner, check_ledgers, own_entries
from isthmus.sdk.crate.metadata import NAME, Made, identifier, metadata_of

if TYPE_CHECKING:
    from isthmus.federation.identity import Identity
    from isthmus.ledger.verify import Verified

SIGNATURE = "signature.json"
PAYLOAD_TYPE = "application/vnd.isthmus.crate+json"
MEANING = "exported this crate from the signed bundle"
_WRITER = "pyarrow"  # writes the tables: another version may write the same numbers with other digits
_LISTS = {f"{tag}manifest-{kind}.txt" for tag in ("", "tag") for kind in ALGORITHMS}  # held to the files by `check_bag`


@record
class Checked:
    """What holds of a crate.

    Attributes:
        files: how many it has.
        made: by which version of the code, and when.
        unmade: files that this version of the code writes otherwise than the one that made the crate did: they rest on the
            exporter's signature. Every other file was made again from the bundle and is the same to the byte.
        signer: who signed the export, and of which party; None where nobody did.
        ledgers: exported ledgers and excerpts in it, each signed by its owner.
        absent: nodes of the run of whose decisions nothing is in it.
        without_facts: sites whose verdicts are in it, and the facts behind them are not.
        held: its bundle.
    """

    files: int
    made: Made
    unmade: tuple[str, ...]
    signer: tuple[str, str] | None
    ledgers: tuple[str, ...]
    absent: tuple[str, ...]
    without_facts: tuple[str, ...]
    held: Verified

    @property
    def exported(self) -> str:
        """When, as it says."""
        return self.made.time

    @property
    def remade(self) -> bool:
        """Whether every file was made again and is the same."""
        return not self.unmade


def crate_of(
    held: Verified,
    raw: bytes,
    now: datetime,
    identity: Identity | None = None,
    ledgers: Sequence[bytes] = (),
    excerpt: bytes = b"",
) -> dict[str, bytes]:
    """Every file of the crate of a bundle.

    Args:
        held: what holds of the bundle, which was verified.
        raw: the bundle, in the researcher's form.
        now: when it is exported.
        identity: signs the export, when given; someone of the agreement.
        ledgers: exported ledgers of nodes of the agreement, to go with it.
        excerpt: the exporting node's own entries on the run, as `Ledgers.excerpt` gives them; not beside its whole ledger.

    Raises:
        Untrusted, Invalid: a ledger does not hold. Invalid: E-CRATE.
    """
    from isthmus.sdk.sbom import bill

    run, time = story(held), now.isoformat(timespec="seconds")
    given = by_owner(ledgers)
    own = {p: e for p, e in own_entries(run, excerpt).items() if p.replace(EXCERPT, ".ledger") not in given}
    given = dict(sorted({**given, **own}.items()))
    check_ledgers(run, given)
    files = contents(run, raw, written(bill(now)), given)
    payload, info = _described(run, files, _made(files[SBOM])), _info(run, _made(files[SBOM]))
    if identity is None:
        return bagged(payload, info, {})
    _known(run, identity.card.key)
    return bagged(payload, info, {SIGNATURE: _signed(bagged(payload, info, {}), info, identity, time)})


def check_crate(place: Path, checks: list[Any]) -> Checked:
    """What holds of the crate in a folder or ZIP file.

    Args:
        place: the folder or file.
        checks: further checks of its bundle, as `sdk.bundle.verified` takes them.

    Raises:
        Untrusted: E-CRATE, names the file that was changed, added or taken away, or the files that another version wrote
            otherwise than this one and nobody signed; what verification of the bundle raises.
        Invalid: E-CRATE, not a crate. Unavailable: E-FILE.
    """
    from isthmus.sdk.bundle import verified
    from isthmus.sdk.sbom import code_digest

    files = read_bag(place)
    check_bag(files)
    raw, sbom = (_part(files, name) for name in (BUNDLE, SBOM))
    run, made = story(verified(raw, checks)), _made(sbom)
    ledgers = {path.removeprefix(PAYLOAD): files[path] for path in sorted(files) if path.startswith(PAYLOAD + LEDGERS)}
    check_ledgers(run, ledgers)
    other = _different(files, _again(run, files, contents(run, raw, sbom, ledgers), made))
    parts = {PAYLOAD + path for path in copied(run)}  # the same whatever version writes them
    ours = _maker(sbom) == (code_digest(), metadata.version(_WRITER))
    if wrong := [path for path in other if ours or path in parts]:
        raise broken(wrong[0], "it is not what the signed bundle gives")
    unmade, signer = tuple(path for path in other if path not in _LISTS), _signer(run, files)
    if unmade and signer is None:
        raise Untrusted(
            "E-CRATE",
            f"nobody signed the export, and Isthmus {made.version} wrote otherwise than this version: {', '.join(unmade)}",
            f"nothing vouches for these; data/{BUNDLE} holds: read its numbers, or verify with the code that wrote the crate",
            unmade[0],
        )
    return Checked(
        files=len(files),
        made=made,
        unmade=unmade,
        signer=signer,
        ledgers=tuple(ledgers),
        absent=tuple(absent(run, ledgers)),
        without_facts=tuple(without_facts(run, ledgers)),
        held=run.held,
    )


def check_exporter(crate: Checked) -> None:
    """Refuse a crate that nobody signed. Of one that was signed, whoever takes the signature away could write the SBOM anew.

    Raises:
        Untrusted: E-CRATE-UNSIGNED.
    """
    if crate.signer is None:
        message = f"nobody signed the export: its SBOM and time are what anybody wrote; data/{BUNDLE} holds"
        hint = "ask who exported it for a signed one; `isthmus verify --unsigned` takes it as it is"
        raise Untrusted("E-CRATE-UNSIGNED", message, hint, SIGNATURE)


def in_words(crate: Checked) -> dict[str, Any]:
    """The crate for people and programs: its facts, what was checked, and what was not."""
    from isthmus.sdk.bundle import in_words as of_bundle

    checked = [f"every one of its {crate.files} files is listed in its manifests, and is as listed"]
    look = []
    if crate.ledgers:
        names = [path.removeprefix(LEDGERS) for path in crate.ledgers]
        if whole := ", ".join(name for name in names if not name.endswith(EXCERPT)):
            checked.append(f"ledgers that go with it are whole, and signed by their owners: {whole}")
        if parts := ", ".join(name for name in names if name.endswith(EXCERPT)):
            checked.append(f"entries on the run that go with it are in their owners' ledgers: {parts}")
    if crate.without_facts:
        sites = ", ".join(crate.without_facts)
        look.append(
            f"the facts behind the verdicts of {sites} stay in their ledgers: what a rule read cannot be seen here"
        )
    if crate.absent:
        look.append(f"nothing of the ledgers of {', '.join(crate.absent)} is in it: their decisions are theirs to show")
    if crate.remade:
        checked.append("every file was made again from the signed bundle and the SBOM, and is the same to the byte")
    else:
        checked.append(
            f"{crate.files - len(crate.unmade)} files were made again here, or follow from the others, and are the same"
        )
        look.append(
            f"not made again: Isthmus {crate.made.version} (code {crate.made.code[7:19]}) wrote these otherwise than this"
            f" version does, and its exporter's signature alone vouches for them: {', '.join(crate.unmade)}"
        )
    if crate.signer is None:
        look.append("nobody signed the export: the SBOM and the time of export are what whoever exported it says")
    else:
        checked.append("the export, SBOM and time included, is signed by {} of {}".format(*crate.signer))
    told = {"files": crate.files, "exported": crate.exported, "remade": crate.remade, "signer": crate.signer}
    told |= {"version": crate.made.version, "code": crate.made.code, "unmade": list(crate.unmade)}
    return {"crate": told, "checked": [*of_bundle(crate.held), *checked], "look": look}


def _described(run: Story, files: Mapping[str, bytes], made: Made) -> dict[str, bytes]:
    """The payload: these files, and the metadata and the page that describe them."""
    described = metadata_of(run, files, made)
    return {NAME: written(described), preview.NAME: preview.preview(run, files, described, made), **files}


def _again(run: Story, files: Mapping[str, bytes], made_again: Mapping[str, bytes], made: Made) -> dict[str, bytes]:
    """The crate as it should be: contents made again, and around them what follows from the contents as they are there."""
    there = {path: files.get(PAYLOAD + path, content) for path, content in made_again.items()}
    tags = {name: files[name] for name in (SIGNATURE,) if name in files}
    return bagged(_described(run, there, made), _info(run, made), tags) | {
        PAYLOAD + path: content for path, content in made_again.items()
    }


def _different(files: Mapping[str, bytes], again: Mapping[str, bytes]) -> list[str]:
    """The files of a crate that are not, to the byte, what this version makes of its bundle and SBOM."""
    return [path for path in sorted({*files, *again}) if files.get(path) != again.get(path)]


def _info(run: Story, made: Made) -> dict[str, str]:
    return {
        "Bagging-Date": made.time[:10],
        "Bag-Software-Agent": f"Isthmus {made.version}",
        "External-Identifier": identifier(run, made),
        "External-Description": "Evidence of one run, Five Safes RO-Crate 0.4",
    }


def _made(sbom: bytes) -> Made:
    """Version, code and time as the SBOM has them.

    Raises:
        Untrusted: E-CRATE, not an SBOM of Isthmus.
    """
    from isthmus.sdk.sbom import CODE

    try:
        told = json.loads(sbom)["metadata"]
        code = next(p["value"] for p in told["component"]["properties"] if p["name"] == CODE)
        return Made(str(told["component"]["version"]), str(code), str(told["timestamp"]))
    except (ValueError, RecursionError, KeyError, TypeError, StopIteration) as error:
        raise broken(PAYLOAD + SBOM, "it is no software bill of materials of Isthmus") from error


def _maker(sbom: bytes) -> tuple[str, str]:
    """What decides how the files of a crate are written: the code, and the version of what writes tables."""
    parts = json.loads(sbom).get("components")
    named = [p for p in parts if isinstance(p, dict)] if isinstance(parts, list) else []
    return _made(sbom).code, next((str(p.get("version")) for p in named if p.get("name") == _WRITER), "")


def _signed(files: Mapping[str, bytes], info: Mapping[str, str], identity: Identity, time: str) -> bytes:
    from isthmus.crypto.envelope import sign_envelope
    from isthmus.model.canonical import canonical

    body = _statement(files, identity.card.key) | {"name": identity.name, "time": time}
    return written(sign_envelope(PAYLOAD_TYPE, canonical(body), [(identity.card.key, identity.key)]))


def _statement(files: Mapping[str, bytes], key: str) -> dict[str, str]:
    """What an exporter's signature covers: the payload's manifest, and with it every file, and the bag's own facts."""
    digests = {name: hashlib.sha256(files[name]).hexdigest() for name in ("manifest-sha256.txt", INFO)}
    return {"manifest": digests["manifest-sha256.txt"], "info": digests[INFO], "meaning": MEANING, "key": key}


def _signer(run: Story, files: Mapping[str, bytes]) -> tuple[str, str] | None:
    """Who signed the export.

    Raises:
        Untrusted: E-SIGNATURE, E-SIGNER, E-CRATE. Invalid: E-ENVELOPE.
    """
    from isthmus.crypto.envelope import keyids, open_envelope

    if SIGNATURE not in files:
        return None
    try:
        envelope = json.loads(files[SIGNATURE])
        key = keyids(envelope)[0]
    except (ValueError, RecursionError, IndexError) as error:
        raise broken(SIGNATURE, "it is no signature") from error
    name, party = _known(run, key)
    payload, _ = open_envelope(envelope, PAYLOAD_TYPE, {key: bytes.fromhex(key)})
    try:
        said = dict(json.loads(payload))
    except (ValueError, RecursionError, TypeError) as error:
        raise broken(SIGNATURE, "it is no signature") from error
    if {part: said.get(part) for part in ("manifest", "info", "meaning", "key")} != _statement(files, key):
        raise Untrusted("E-SIGNATURE", "the exporter signed another crate", "ask for it again", SIGNATURE)
    return name, party


def _known(run: Story, key: str) -> tuple[str, str]:
    """Name and party of a key of the agreement."""
    for entry in run.agreement.keyed():
        if entry.key == key:
            name = next(getattr(entry, kind) for kind in ("person", "site", "hub") if hasattr(entry, kind))
            return str(name), entry.party
    raise Untrusted("E-SIGNER", "the crate's exporter is nobody of its agreement", "sign with a key of the agreement")


def _part(files: Mapping[str, bytes], name: str) -> bytes:
    if PAYLOAD + name not in files:
        raise Invalid("E-CRATE", f"not a crate of Isthmus: it has no {name}", "what `isthmus results export` wrote")
    return files[PAYLOAD + name]
