"""An evidence crate holds what happened, says it in the words of the Five Safes profile, and holds after no edit at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from governance_alliance import NOW, card_of, draft, key_of, signed_by_all
from hypothesis import given
from hypothesis import strategies as st
from made_bundle import RESULTS, made_bundle
from rocrate.rocrate import ROCrate

from isthmus.cli.app import main
from isthmus.crypto.envelope import sign_envelope
from isthmus.crypto.keys import fingerprint
from isthmus.federation.identity import Identity
from isthmus.governance.agreement import Agreement
from isthmus.governance.approval import Case, make_approval, sign_approval
from isthmus.governance.standing_rules import PAYLOAD_TYPE as STANDING
from isthmus.ledger.bundle import read_bundle
from isthmus.ledger.checkpoint import sign_checkpoint
from isthmus.ledger.entries import Entry
from isthmus.ledger.log import Log, MemoryStore
from isthmus.ledger.proved import proof_of
from isthmus.model.canonical import canonical, plain
from isthmus.model.errors import Invalid, IsthmusError, Untrusted
from isthmus.sdk.bundle import verified, verify
from isthmus.sdk.crate.bag import bagged, check_bag, read_bag, write_folder, write_zip, zipped
from isthmus.sdk.crate.contents import contents, story
from isthmus.sdk.crate.make import SIGNATURE, check_crate, crate_of
from isthmus.sdk.crate.metadata import DONE, Made, metadata_of
from isthmus.sdk.sbom import components

BUNDLE = made_bundle()
PHASES = ("CheckValue", "ValidationCheck", "SignOff", "DisclosureCheck", "GenerateCheckValue")


def make_crate(raw: bytes, identity: Identity | None = None, excerpt: bytes = b"") -> dict[str, bytes]:
    return crate_of(verified(raw, []), raw, NOW, identity, excerpt=excerpt)


def signed_by(name: str = "dr ada") -> Identity:
    return Identity(card_of("researcher", name, "leeds-nhs"), key_of(name), b"")


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return make_crate(BUNDLE, signed_by())


@pytest.fixture
def folder(files: dict[str, bytes], tmp_path: Path) -> Path:
    write_folder(files, tmp_path / "crate")
    return tmp_path / "crate"


def graph(files: dict[str, bytes], path: str = "data/ro-crate-metadata.json") -> dict[str, Any]:
    return {entity["@id"]: entity for entity in json.loads(files[path])["@graph"]}


def actions(files: dict[str, bytes]) -> list[dict[str, Any]]:
    entities = graph(files)
    return [entities[mention["@id"]] for mention in entities["./"]["mentions"]]


# ---- what holds


def test_a_crate_holds_as_a_folder_and_as_a_zip_file(files: dict[str, bytes], folder: Path, tmp_path: Path) -> None:
    write_zip(files, tmp_path / "evidence.zip")
    for place in (folder, tmp_path / "evidence.zip"):
        checked = check_crate(place, [])
        assert (checked.files, checked.remade) == (len(files), True)
        assert checked.signer == ("dr ada", "leeds-nhs")
        assert checked.held.bundle == read_bundle(BUNDLE)


def test_the_same_bundle_at_the_same_time_is_the_same_crate(files: dict[str, bytes]) -> None:
    assert make_crate(BUNDLE, signed_by()) == files


def test_it_is_a_bag_that_others_can_check(files: dict[str, bytes]) -> None:
    """Profile 0.4: payload and tag manifests in SHA-512, a UUID as External-Identifier, payload below data/."""
    assert {"manifest-sha512.txt", "tagmanifest-sha512.txt", "bagit.txt", "bag-info.txt"} <= set(files)
    assert b"External-Identifier: urn:uuid:" in files["bag-info.txt"]
    payload = {path: raw for path, raw in files.items() if path.startswith("data/")}
    assert f"Payload-Oxum: {sum(map(len, payload.values()))}.{len(payload)}\n".encode() in files["bag-info.txt"]


# ---- what does not


def edits(folder: Path) -> Iterator[tuple[str, Any]]:
    """Every file flipped in its first, middle and last byte, cut, and taken away; a file added in each folder."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        raw = path.read_bytes()
        for at in {0, len(raw) // 2, len(raw) - 1}:
            changed = bytes([*raw[:at], raw[at] ^ 1, *raw[at + 1 :]])
            yield f"{path.name} byte {at}", (path, changed)
        yield f"{path.name} cut", (path, raw[:-1])
        yield f"{path.name} gone", (path, None)
    for place in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
        yield f"added to {place.name}", (place / "more.txt", b"more")


def test_no_edit_addition_or_removal_of_a_file_holds(folder: Path) -> None:
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    tried = 0
    for what, (path, content) in list(edits(folder)):
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(IsthmusError) as caught:
            check_crate(folder, [])
        assert isinstance(caught.value, Untrusted | Invalid), what
        path.write_bytes(kept[path]) if path in kept else path.unlink()
        tried += 1
    assert tried > 100
    check_crate(folder, [])


@pytest.fixture(scope="module")
def archive(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("crate") / "evidence.zip"
    write_zip(files, file)
    return file


@given(st.data())
def test_no_flipped_bit_of_a_zip_file_holds(archive: Path, data: st.DataObject) -> None:
    raw = archive.read_bytes()
    at, bit = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 7))
    flipped = archive.with_name("flipped.zip")
    flipped.write_bytes(bytes([*raw[:at], raw[at] ^ (1 << bit), *raw[at + 1 :]]))
    with pytest.raises((Untrusted, Invalid)):
        check_crate(flipped, [])


def forged(files: dict[str, bytes], path: str, change: Any) -> dict[str, bytes]:
    """One payload file changed, with manifests that agree, and no signature of the export."""
    payload, info = parts(files)
    return bagged(payload | {path: change(payload[path])}, info, {})


def parts(files: dict[str, bytes]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Payload and bag facts, to be bagged again."""
    payload = {name.removeprefix("data/"): raw for name, raw in files.items() if name.startswith("data/")}
    info = dict(line.split(": ", 1) for line in files["bag-info.txt"].decode().splitlines())
    return payload, {key: value for key, value in info.items() if key != "Payload-Oxum"}


@pytest.mark.parametrize(
    "path", ["outputs/death.csv", "outputs/result.json", "disclosure.json", "decisions.json", "ro-crate-metadata.json"]
)
def test_a_forger_who_writes_the_manifests_anew_is_found_out(
    files: dict[str, bytes], tmp_path: Path, path: str
) -> None:
    made = forged(files, path, lambda raw: raw.replace(b"0", b"9", 1))
    check_bag(made)  # the attack is alive: by its manifests the crate is whole
    write_folder(made, tmp_path / "forged")
    with pytest.raises(Untrusted, match="not what the signed bundle gives") as caught:
        check_crate(tmp_path / "forged", [])
    assert caught.value.where == f"data/{path}"


def test_the_sbom_rests_on_the_exporters_signature(files: dict[str, bytes], tmp_path: Path) -> None:
    """It is of the exporter's machine, so no bundle gives it: unsigned, verify says so; signed, an edit is found."""
    write_folder(make_crate(BUNDLE), tmp_path / "unsigned")
    assert any("nobody signed the export" in line for line in verify(tmp_path / "unsigned", exporter="anyone")["look"])
    made = forged(files, "sbom.cdx.json", lambda raw: raw.replace(b'"sha256:', b'"sha256:0', 1))
    payload, info = parts(made)
    write_folder(bagged(payload, info, {SIGNATURE: files[SIGNATURE]}), tmp_path / "signed")
    with pytest.raises(Untrusted, match="another crate"):
        check_crate(tmp_path / "signed", [])


def of_another_version(patch: pytest.MonkeyPatch, identity: Identity | None, head: str | None) -> dict[str, bytes]:
    """A crate that other code wrote: with another README, where it is given."""
    with patch.context() as earlier:
        earlier.setattr("isthmus.sdk.sbom.code_digest", lambda: "sha256:" + "0" * 64)
        if head is not None:
            earlier.setattr("isthmus.sdk.crate.contents._HEAD", head)
        return make_crate(BUNDLE, identity)


def test_a_crate_of_another_version_stays_verifiable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this version makes again to the byte needs nobody's word; what it writes otherwise is named, and needs the exporter's."""
    write_folder(of_another_version(monkeypatch, None, None), tmp_path / "alike")
    assert verify(tmp_path / "alike", exporter="anyone")["crate"]["remade"] is True
    write_folder(of_another_version(monkeypatch, signed_by(), "Of an earlier version.\n"), tmp_path / "older")
    told = verify(tmp_path / "older")
    assert told["crate"]["remade"] is False
    assert told["crate"]["code"] == "sha256:" + "0" * 64
    assert told["crate"]["unmade"] == ["data/README.txt"]
    (said,) = [line for line in told["look"] if "not made again" in line]
    assert "exporter's signature alone vouches for them: data/README.txt" in said
    write_folder(of_another_version(monkeypatch, None, "Of an earlier version.\n"), tmp_path / "unsigned")
    with pytest.raises(Untrusted, match=r"wrote otherwise than this version: data/README\.txt"):
        verify(tmp_path / "unsigned")


def test_parts_of_the_bundle_are_held_to_it_whoever_wrote_the_crate(files: dict[str, bytes], tmp_path: Path) -> None:
    made = forged(files, "sbom.cdx.json", lambda raw: raw.replace(b'"sha256:', b'"sha256:0', 1))
    other = forged(made, "agreement.json", lambda raw: raw.replace(b"2027", b"2037", 1))
    check_bag(other)
    write_folder(other, tmp_path / "longer")
    with pytest.raises(Untrusted, match="not what the signed bundle gives"):
        verify(tmp_path / "longer")


def test_a_forger_who_names_another_version_is_no_better_off(files: dict[str, bytes], tmp_path: Path) -> None:
    """What is not the same when it is made again here, somebody must vouch for."""
    claimed = forged(files, "sbom.cdx.json", lambda raw: raw.replace(b'"sha256:', b'"sha256:0', 1))
    made = forged(claimed, "outputs/death.csv", lambda raw: raw.replace(b"0", b"9", 1))
    check_bag(made)
    write_folder(made, tmp_path / "forged")
    with pytest.raises(Untrusted, match="nobody signed the export"):
        check_crate(tmp_path / "forged", [])


def test_a_signature_of_a_stranger_counts_for_nothing(tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match="E-SIGNER"):
        make_crate(BUNDLE, signed_by("a stranger"))


def test_a_signature_moved_from_another_crate_does_not_hold(files: dict[str, bytes], tmp_path: Path) -> None:
    other = make_crate(made_bundle(results={"n": RESULTS["rare"]}), signed_by())
    write_folder(bagged(*parts(files), {SIGNATURE: other[SIGNATURE]}), tmp_path / "moved")
    with pytest.raises(Untrusted, match="another crate"):
        check_crate(tmp_path / "moved", [])


def test_links_are_refused(folder: Path) -> None:
    (folder / "data" / "link").symlink_to("/etc/hostname")
    with pytest.raises(Untrusted, match="no links"):
        check_crate(folder, [])


def test_a_zip_file_of_something_else_is_no_crate(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(Invalid, match="E-CRATE"):
        read_bag(tmp_path / "x.zip")
    (tmp_path / "y.zip").write_bytes(zipped({"a/../../b": b"1"}, "top").replace(b"top/a", b"pot/a"))
    with pytest.raises(IsthmusError):
        check_crate(tmp_path / "y.zip", [])


def test_a_rehearsal_and_an_auditors_form_are_no_evidence() -> None:
    held = verified(BUNDLE, [])
    assert story(held).person == "dr ada"
    with pytest.raises(Invalid, match="rehearsal"):
        story(replace(held, mode="rehearsal"))
    with pytest.raises(Invalid, match="auditor"):
        story(replace(held, bundle={**held.bundle, "transcript": {}}))


# ---- what it says


def test_a_reviewed_result_is_released_when_the_ledger_says_so(files: dict[str, bytes]) -> None:
    """Its disclosure check ends when sites conclude; people release it later."""
    held = verified(BUNDLE, [])
    released = {"boston": "", "leeds": "", "oslo": ""}
    facts = {"run": held.run, "step": "release", "sites": sorted(released)}
    entry = Entry(event="approval", facts=facts, time="2026-12-24T10:00:00.000Z", sequence=9)
    reviewed = replace(held, entries=(*held.entries, entry), bundle={**held.bundle, "released": released})
    inside = contents(story(reviewed), BUNDLE, files["data/sbom.cdx.json"], {})
    made = metadata_of(story(reviewed), inside, Made("0.1.0", "sha256:0", NOW.isoformat()))
    ends = {
        e["name"].rpartition(": ")[2]: e["endTime"]
        for e in made["@graph"]
        if "disclosure" in e["@id"] or "release" in e["@id"]
        if "endTime" in e
    }
    concluded = next(e.time for e in held.entries if e.event == "release")
    assert ends == {"passed on to output checkers": concluded, "released": entry.time}
    plain_ends = [e["endTime"] for e in actions(files) if e["name"].endswith(": released")]
    assert plain_ends == [concluded]  # nobody was asked


def test_every_phase_of_the_profile_is_an_action(files: dict[str, bytes]) -> None:
    found = actions(files)
    terms = {action["additionalType"]["@id"].rpartition("#")[2] for action in found if "additionalType" in action}
    assert terms == set(PHASES)
    assert {action["@type"] for action in found} == {
        "AssessAction",
        "DownloadAction",
        "CreateAction",
        "UpdateAction",
        "ReceiveAction",
    }
    (run,) = [action for action in found if action["@type"] == "CreateAction"]
    assert (run["actionStatus"], run["agent"]["@id"]) == (DONE, "#person-dr%20ada")
    assert {f"data/{part['@id']}" for part in run["result"]} == {p for p in files if p.startswith("data/outputs/")}
    signers = {a["agent"]["@id"] for a in found if a.get("additionalType", {}).get("@id", "").endswith("SignOff")}
    assert {"#person-custodian%20of%20leeds-nhs", "#site-boston"} <= signers


def test_agents_purposes_and_project_come_from_the_agreement(files: dict[str, bytes]) -> None:
    entities = graph(files)
    assert entities["#person-dr%20ada"]["affiliation"] == {"@id": "#party-leeds-nhs"}
    assert entities["#party-leeds-nhs"]["name"] == "Leeds Teaching Hospitals"
    assert entities["#site-oslo"]["parentOrganization"] == {"@id": "#party-oslo-health"}
    assert entities["#project"]["description"].startswith("To see which treatment")
    assert draft().id in entities["#agreement-id"]["value"]


def test_everything_that_is_named_is_described(files: dict[str, bytes]) -> None:
    def named(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from [value["@id"]] if set(value) == {"@id"} else (n for v in value.values() for n in named(v))
        elif isinstance(value, list):
            yield from (n for v in value for n in named(v))

    entities = graph(files)
    mentioned = {name for entity in entities.values() for name in named(entity)}
    assert {
        n for n in mentioned - set(entities) if not n.startswith(("https://w3id.org/", "http://schema.org/"))
    } == set()
    described = {f"data/{name}" for name, e in entities.items() if e["@type"] == "File"}
    page = {"data/ro-crate-metadata.json", "data/ro-crate-preview.html"}
    assert described | page == {path for path in files if path.startswith("data/")}


def test_the_library_of_ro_crates_reads_it(folder: Path) -> None:
    crate = ROCrate(folder / "data")
    assert crate.mainEntity.id == "workflow/"
    assert crate.root_dataset["conformsTo"].id == "https://w3id.org/5s-crate/0.4"
    assert crate.get("outputs/death.csv").type == "File"
    inner = ROCrate(folder / "data" / "workflow")
    assert set(inner.mainEntity.type) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}


def test_a_page_for_people_tells_phases_rules_and_files(files: dict[str, bytes]) -> None:
    page = files["data/ro-crate-preview.html"].decode()
    for said in ("Sign-off", "Receiving", "dr ada", "minimum_count", "Does arm B save lives?"):
        assert said in page
    assert "<script" not in page


def test_the_disclosure_record_names_every_criterion_and_finding(files: dict[str, bytes]) -> None:
    told = json.loads(files["data/disclosure.json"])
    assert {"rule": "minimum_count", "limit": 11, "whose": "agreement"} in told["criteria"]
    assert told["result"] == json.loads(files["data/decisions.json"])["result"]
    assert told["outputs"]["rare"]["code"] == "E-DISCLOSURE"
    assert told["outputs"]["death"]["findings"] == RESULTS["death"]["disclosure"]
    assert "estimate" not in json.dumps(told)


def test_the_decisions_are_those_that_a_site_takes_on_the_agreement(files: dict[str, bytes]) -> None:
    told = json.loads(files["data/decisions.json"])
    assert told["law"]["pack"].startswith("sha256:")
    assert {v["rule"] for v in told["law"]["verdicts"]} == {r for rules in told["law"]["rules"].values() for r in rules}
    assert [entry["event"] for entry in told["ledger"]] == ["decision"]


def test_people_s_approvals_are_phases_of_their_own(files: dict[str, bytes]) -> None:
    """A decision on the study is a sign-off, one on the result a disclosure check; a standing rule signs off a study."""
    held = verified(BUNDLE, [])
    case = Case(run=held.run, study=held.study, asker="dr ada", created=NOW, result=held.result)
    keeper = next(p for p in draft().people if p.person == "custodian of oslo-health")
    study, result = (
        sign_approval(make_approval(case, kind, "accept", keeper, (NOW, "read it")), key_of(keeper.person))
        for kind in ("study", "result")
    )
    rule = sign_envelope(
        STANDING, canonical({"name": keeper.person, "meaning": "covers it", "time": "t"}), [("k", key_of("x"))]
    )
    run_ = story(replace(held, bundle={**held.bundle, "approvals": [study, result, rule]}))
    payload = contents(run_, BUNDLE, files["data/sbom.cdx.json"], {})
    assert len(json.loads(payload["approvals.json"])) == 3
    assert json.loads(payload["disclosure.json"])["output_checkers"] == [keeper.person]
    described = metadata_of(run_, payload, Made("0", "sha256:0", NOW.isoformat()))
    found = [e for e in described["@graph"] if e["@id"].startswith("#approval-")]
    assert [(e["additionalType"]["@id"].rpartition("#")[2], e["name"].partition(";")[0]) for e in found] == [
        ("SignOff", "custodian of oslo-health: accept"),
        ("SignOff", "custodian of oslo-health: standing rule"),
        ("DisclosureCheck", "custodian of oslo-health: accept"),
    ]


def test_names_of_analyses_are_no_paths(files: dict[str, bytes]) -> None:
    assert "data/outputs/people_over_90.csv" in files
    assert not [path for path in files if ".." in path]


def test_the_bill_of_materials_has_versions_and_licences(files: dict[str, bytes]) -> None:
    told = json.loads(files["data/sbom.cdx.json"])
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    found = {part["name"]: part for part in told["components"]}
    assert found["numpy"]["purl"] == f"pkg:pypi/numpy@{found['numpy']['version']}"
    assert {"cryptography", "cffi", "pycparser"} <= set(found)  # through others, too
    assert not {"pytest", "ruff", "lifelines"} & set(found)
    stated = {part.name: part.licence for part in components()}
    assert [name for name, licence in stated.items() if "GPL" in licence] == []


def excerpt(
    key: str = "hub", *, origin: str = "hub", change: Callable[[dict[str, Any]], None] = lambda facts: None
) -> bytes:
    """A node's entries on the run, one of them changed before they were entered."""
    log, held = Log(MemoryStore(), origin, lambda: NOW), verified(BUNDLE, [])
    for step in ("ask", "approve"):
        facts = {"run": held.run, "step": step, "by": "custodian of oslo-health"}
        change(facts)
        log.append("approval", facts)
    note = (sign_checkpoint(origin, log.head(), key_of(key)), 2)
    return b"".join(proof_of(log, index, note, (key_of(key).public.hex(), {})) + b"\n" for index in (0, 1))


def test_the_exporting_nodes_entries_go_with_the_crate_and_the_rest_is_said_to_be_absent(tmp_path: Path) -> None:
    made = make_crate(BUNDLE, signed_by(), excerpt=excerpt())
    told = json.loads(made["data/decisions.json"])
    assert [entry["facts"]["step"] for entry in told["ledgers"]["ledgers/hub.jsonl"]] == ["ask", "approve"]
    assert list(told["absent"]) == ["boston", "leeds", "oslo"]
    assert all("--ledger FILE" in how for how in told["absent"].values())
    write_folder(made, tmp_path / "crate")
    shown = verify(tmp_path / "crate")
    assert any("in their owners' ledgers: hub.jsonl" in line for line in shown["checked"])
    assert any("nothing of the ledgers of boston, leeds, oslo" in line for line in shown["look"])
    assert next(iter(json.loads(make_crate(BUNDLE)["data/decisions.json"])["absent"])) == "hub"


def test_entries_of_another_run_or_under_another_key_go_into_no_crate() -> None:
    with pytest.raises(Untrusted, match="not about this run"):
        make_crate(BUNDLE, excerpt=excerpt(change=lambda facts: facts.update(run="sha256:" + "0" * 64)))
    with pytest.raises(Untrusted, match="its keys are not those"):
        make_crate(BUNDLE, excerpt=excerpt("a stranger"))
    with pytest.raises(Untrusted, match="stands twice"):
        make_crate(BUNDLE, excerpt=excerpt() * 2)
    own = [make_crate(BUNDLE, excerpt=excerpt("leeds", origin="site/leeds"))["data/ledgers/leeds.jsonl"]]
    assert own == [excerpt("leeds", origin="site/leeds")]
    with pytest.raises(Untrusted, match="of another ledger"):  # what a site shows to nobody
        make_crate(BUNDLE, excerpt=excerpt("leeds", origin="site/leeds/private"))


# ---- on the command line


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_exported_and_verified_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.isthmus").write_bytes(BUNDLE)
    source, out = str(tmp_path / "run.isthmus"), tmp_path / "evidence.zip"
    assert run("results", "export", source, "--crate", str(out)) == 0
    assert run("results", "export", source, "--crate", str(out)) == 2  # never over something
    capsys.readouterr()
    assert run("verify", str(out)) == 8  # there is no isthmus.toml here, so nobody signed it
    assert run("verify", str(out), "--unsigned") == 0
    assert "made again from the signed bundle" in capsys.readouterr().out
    assert run("results", "export", source, "--crate", str(tmp_path / "crate"), "--json") == 0
    assert run("verify", str(tmp_path / "crate"), "--unsigned", "--quiet") == 0
    table = tmp_path / "crate" / "data" / "outputs" / "death.csv"
    table.write_text(table.read_text().replace("0.5", "0.6", 1))
    capsys.readouterr()
    assert run("verify", str(tmp_path / "crate"), "--unsigned") == 8
    assert "data/outputs/death.csv" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "crate")
    assert run("verify", str(tmp_path / "crate")) == 3


def agreement_file(path: Path, agreement: Agreement) -> str:
    path.write_text(json.dumps(plain(signed_by_all(agreement))))
    return str(path)


@pytest.mark.parametrize("form", ["bundle", "crate"])
def test_a_file_is_held_to_the_agreement_that_its_reader_trusts(
    form: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever makes up an agreement can sign everything under it: only the reader's own tells."""
    (tmp_path / "run.isthmus").write_bytes(BUNDLE)
    place = str(tmp_path / "run.isthmus" if form == "bundle" else folder)
    assert run("verify", place) == 0
    shown = capsys.readouterr().out
    custodian = next(p for p in draft().people if "custodian" in p.roles)
    assert (
        f"key of custodian {custodian.person} ({custodian.party}): {fingerprint(bytes.fromhex(custodian.key))}" in shown
    )
    assert "compare the custodians' below with the parties, or give --agreement" in shown
    assert run("verify", place, "--agreement", agreement_file(tmp_path / "ours.json", draft())) == 0
    shown = capsys.readouterr().out
    assert "it stands under the agreement that was given" in shown
    assert "key of custodian" not in shown
    other = agreement_file(tmp_path / "other.json", replace(draft(), title="Another alliance"))
    assert run("verify", place, "--agreement", other) == 8
    assert "E-AGREEMENT-OTHER" in capsys.readouterr().err


def test_a_crate_is_signed_by_the_keys_of_isthmus_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "run.isthmus").write_bytes(BUNDLE)
    (tmp_path / "isthmus.toml").write_text(
        '[person]\nname = "dr ada"\nkey = "file:keys"\nhub = "localhost:1"\nagreement = "a.json"\n'
    )
    monkeypatch.chdir(tmp_path)
    stranger = signed_by("a stranger")
    monkeypatch.setattr("isthmus.federation.identity.load_identity", lambda place, ask=None: stranger)
    assert run("results", "export", "run.isthmus", "--crate", "stranger") == 0
    assert "Nobody signed it: the run's agreement has another key for a stranger, or none" in capsys.readouterr().out
    monkeypatch.setattr("isthmus.federation.identity.load_identity", lambda place, ask=None: signed_by())
    assert run("results", "export", "run.isthmus", "--crate", "signed") == 0
    assert check_crate(tmp_path / "signed", []).signer == ("dr ada", "leeds-nhs")
    assert run("results", "export", "run.isthmus", "--crate", "plain", "--unsigned") == 0
    assert check_crate(tmp_path / "plain", []).signer is None


def test_a_bundle_is_verified_once_for_its_crate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus.ledger import verify as ledger

    seen: list[int] = []
    real = ledger.verify_bundle
    monkeypatch.setattr(ledger, "verify_bundle", lambda raw, checks: seen.append(len(raw)) or real(raw, checks))
    (tmp_path / "run.isthmus").write_bytes(BUNDLE)
    assert run("results", "export", str(tmp_path / "run.isthmus"), "--crate", str(tmp_path / "c")) == 0
    assert seen == [len(BUNDLE)]


def test_a_result_without_a_bundle_makes_no_crate(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"schema": "isthmus/result/1", "analyses": {}}))
    assert run("results", "export", str(tmp_path / "result.json"), "--crate", str(tmp_path / "c")) == 2
