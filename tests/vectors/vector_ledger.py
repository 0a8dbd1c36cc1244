"""The ledger's vectors; `regenerate.py` writes them."""

from __future__ import annotations

import base64
import hashlib
import json

import vector_reference as ref
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# The eight leaves of the reference tests of RFC 6962's authors (certificate-transparency, merkletree tests)
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def merkle() -> dict:
    leaves = [bytes.fromhex(leaf) for leaf in LEAVES]
    path = [step.hex() for step in ref.tree_path(5, leaves)]
    proof = [step.hex() for step in ref.tree_proof(6, leaves)]
    included = {"index": 5, "size": 8, "leaf": LEAVES[5], "proof": path, "root": ROOTS[8]}
    consistent = {"old": 6, "new": 8, "old_root": ROOTS[6], "new_root": ROOTS[8], "proof": proof}
    other = "00" * 32
    return {
        "leaves": LEAVES,
        "roots": ROOTS,
        "inclusion": [
            {
                "index": index,
                "size": size,
                "leaf": LEAVES[index],
                "root": ROOTS[size],
                "proof": [step.hex() for step in ref.tree_path(index, leaves[:size])],
            }
            for index, size in ((0, 1), (0, 8), (5, 8), (2, 3), (1, 5), (4, 5))
        ],
        "consistency": [
            {
                "old": old,
                "new": new,
                "old_root": ROOTS[old],
                "new_root": ROOTS[new],
                "proof": [step.hex() for step in ref.tree_proof(old, leaves[:new])] if old else [],
            }
            for old, new in ((0, 5), (1, 1), (1, 8), (6, 8), (2, 5), (3, 7), (4, 8))
        ],
        "must_fail_inclusion": [
            {"name": "wrong index", **included, "index": 4},
            {"name": "index beyond the log", **included, "index": 8},
            {"name": "another leaf", **included, "leaf": "40414244"},
            {"name": "another size", **included, "size": 16},
            {"name": "another root", **included, "root": other},
            {"name": "a step short", **included, "proof": path[:-1]},
            {"name": "a step more", **included, "proof": [*path, other]},
            {"name": "a changed step", **included, "proof": [other, *path[1:]]},
            {"name": "a node shown as a leaf", **included, "index": 2, "size": 4, "proof": path[1:]},
            {"name": "a step of another length", **included, "proof": [path[0] + "00", *path[1:]]},
        ],
        "must_fail_consistency": [
            {"name": "a shorter log", **consistent, "old": 8, "new": 6},
            {"name": "another old root", **consistent, "old_root": other},
            {"name": "another new root", **consistent, "new_root": other},
            {"name": "no proof", **consistent, "proof": []},
            {"name": "a step short", **consistent, "proof": proof[:-1]},
            {"name": "a step more", **consistent, "proof": [*proof, other]},
            {"name": "steps in another order", **consistent, "proof": proof[::-1]},
            {"name": "same size, another root", **consistent, "old": 8, "proof": []},
            {"name": "empty log with a root", **consistent, "old": 0, "proof": []},
            {"name": "the old log as a prefix it is not", **consistent, "old": 5},
        ],
    }


def _key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(ref.material(f"{name} identity"))


def _public(name: str) -> bytes:
    return _key(name).public_key().public_bytes_raw()


def _line(name: str, kind: bytes, public: bytes, signature: bytes) -> str:
    key_id = hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4]
    return f"\N{EM DASH} {name} {base64.b64encode(key_id + signature).decode()}\n"


def note(origin: str, size: int, root: bytes, sites: list[str]) -> str:
    """A checkpoint by the key of "hub", cosigned by `sites`."""
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    lines = _line(origin, b"\x01", _public("hub"), _key("hub").sign(text.encode()))
    for at, site in enumerate(sites):
        seconds = 1_750_000_000 + at
        signature = _key(site).sign(f"cosignature/v1\ntime {seconds}\n{text}".encode())
        lines += _line(site, b"\x04", _public(site), seconds.to_bytes(8, "big") + signature)
    return f"{text}\n{lines}"


def checkpoint() -> dict:
    sites = ["leeds", "boston"]
    made = note("isthmus/example", 8, bytes.fromhex(ROOTS[8]), sites)
    keys = {"log_key": _public("hub").hex(), "witnesses": {site: _public(site).hex() for site in sites}}
    lines = made.split("\n")
    again = made + "\n".join(lines[-2:])
    later = made.replace("\n8\n", "\n9\n", 1)
    unsigned = "\n".join([*lines[:4], *lines[5:]])
    other = note("isthmus/another", 8, bytes.fromhex(ROOTS[8]), [])
    swapped = made.replace(" leeds ", " x ").replace(" boston ", " leeds ").replace(" x ", " boston ")
    return {
        "answers": [
            {"seed": ref.material("hub identity").hex(), "origin": "isthmus/example", "size": 8, "root": ROOTS[8]}
            | {"note": made, "cosigners": sites, **keys}
            | {"seeds": {site: ref.material(f"{site} identity").hex() for site in sites}},
            # lines of witnesses that nobody pinned count for nothing
            {"note": made, "cosigners": ["leeds"], "log_key": keys["log_key"]}
            | {"witnesses": {"leeds": keys["witnesses"]["leeds"]}, "size": 8, "root": ROOTS[8]}
            | {"origin": "isthmus/example"},
            {"note": swapped, "cosigners": [], **keys, "origin": "isthmus/example", "size": 8, "root": ROOTS[8]},
        ],
        "must_fail": [
            {"name": "another size", "note": later, **keys, "error": "E-SIGNATURE"},
            {"name": "not signed by its log", "note": unsigned, **keys, "error": "E-SIGNATURE"},
            {"name": "a witness twice", "note": again, **keys, "error": "E-SIGNATURE"},
            {"name": "another log's key", "note": made, **keys, "log_key": "11" * 32, "error": "E-SIGNATURE"},
            {
                "name": "signed under another origin",
                "note": made.replace("isthmus/example\n", "isthmus/another\n", 1),
                **keys,
                "error": "E-SIGNATURE",
            },
            {
                "name": "another log's signature line",
                "note": "\n".join([*lines[:4], other.split("\n")[4], ""]),
                **keys,
                "error": "E-SIGNATURE",
            },
            {"name": "no last newline", "note": made[:-1], **keys, "error": "E-CHECKPOINT"},
            {"name": "no blank line", "note": made.replace("\n\n", "\n"), **keys, "error": "E-CHECKPOINT"},
            {"name": "an extension line", "note": made.replace("\n\n", "\nx\n\n"), **keys, "error": "E-CHECKPOINT"},
            {"name": "a leading zero", "note": made.replace("\n8\n", "\n08\n"), **keys, "error": "E-CHECKPOINT"},
            {"name": "a short root", "note": made.replace(lines[2], "AAAA"), **keys, "error": "E-CHECKPOINT"},
            {"name": "nothing", "note": "", **keys, "error": "E-CHECKPOINT"},
        ],
    }


def _canonical(value: object) -> bytes:
    """RFC 8785 for what the example holds: ASCII names and text, whole numbers, numbers that print alike."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _digest(value: object) -> str:
    return "sha256:" + hashlib.sha256(_canonical(value)).hexdigest()


def _sealed(body: dict) -> dict:
    return body | {"seal": _key("hub").sign(_canonical(["isthmus bundle", _digest(body)])).hex()}


def _example() -> dict:
    sites = ["leeds", "boston", "lyon"]
    charter = {
        "protocol": "secagg/1",
        "mode": "federated",
        "run": "sha256:" + "11" * 32,
        "number": 1,
        "study": "sha256:" + "22" * 32,
        "agreement": "sha256:" + "33" * 32,
        "roster": [
            {"site": site, "party": f"{site} hospital", "country": "XX", "key": _public(site).hex()} for site in sites
        ],
        "threshold": 3,
        "minimum_sites": 3,
        "hub_key": _public("hub").hex(),
        "vote_after": 1.5,
    }
    result = {"analyses": {"rows": {"kind": "count", "n": 1234, "share": 0.25}}}
    transcript = "sha256:" + "44" * 32
    run = {"run": charter["run"]}
    facts = [
        ("study", run | {"charter": _digest(charter), "study": charter["study"], "agreement": charter["agreement"]}),
        ("round", run | {"round": 0}),
        ("release", run | {"transcript": transcript, "result": _digest(result)}),
    ]
    entries = [
        {"event": event, "facts": fact, "time": f"2026-01-31T09:30:0{at}.000Z", "sequence": at}
        for at, (event, fact) in enumerate(facts)
    ]
    leaves = [_canonical(entry) for entry in entries]
    statement = _canonical(["isthmus result", charter["mode"], charter["run"], transcript, _digest(result)])
    return {
        "schema": "isthmus/bundle/1",
        "mode": "federated",
        "charter": charter,
        "agreement": [{"note": "an envelope"}],
        "study": {"note": "an envelope"},
        "result": result,
        "transcript_digest": transcript,
        "signatures": {site: _key(site).sign(statement).hex() for site in sites},
        "checkpoint": note("isthmus/example", 3, ref.tree_hash(leaves), sites),
        "entries": [entries[0], entries[2]],
        "inclusion": [[step.hex() for step in ref.tree_path(at, leaves)] for at in (0, 2)],
    }


def bundle() -> dict:
    """A malicious hub may seal anything, so each change is sealed again: the other signatures must refuse it."""
    made = _example()
    raw = _canonical(_sealed(made)).decode()
    charter, sites = made["charter"], list(made["signatures"])

    def resealed(name: str, error: str, **changes: object) -> dict:
        return {"name": name, "bundle": _canonical(_sealed(made | changes)).decode(), "error": error}

    fewer = {site: made["signatures"][site] for site in sites[:2]}
    notes = made["checkpoint"].splitlines(keepends=True)
    upper = {site: signature.upper() for site, signature in made["signatures"].items()}
    weaker = charter | {"threshold": 2}
    other_result = {"analyses": {"rows": {"kind": "count", "n": 1235, "share": 0.25}}}
    return {
        "answers": [{"bundle": raw, "signers": sorted(sites), "run": charter["run"]}],
        "must_fail": [
            {"name": "white space", "bundle": raw.replace('":', '": ', 1), "error": "E-CANONICAL"},
            {"name": "a last newline", "bundle": raw + "\n", "error": "E-CANONICAL"},
            {"name": "another order", "bundle": json.dumps(_sealed(made)), "error": "E-CANONICAL"},
            {"name": "a key twice", "bundle": '{"mode":"x",' + raw[1:], "error": "E-CANONICAL"},
            {
                "name": "an escape that is not needed",
                "bundle": raw.replace("leeds", "l\\u0065eds"),
                "error": "E-CANONICAL",
            },
            {"name": "a number written otherwise", "bundle": raw.replace("1234", "1234.0"), "error": "E-CANONICAL"},
            {"name": "cut", "bundle": raw[:-1], "error": "E-CANONICAL"},
            {"name": "not an object", "bundle": "[]", "error": "E-BUNDLE"},
            {"name": "another result", "bundle": raw.replace("1234", "1235"), "error": "E-SIGNATURE"},
            resealed("another schema", "E-BUNDLE", schema="isthmus/bundle/2"),
            resealed("a part more", "E-BUNDLE", comment="x"),
            resealed("a part of another type", "E-BUNDLE", entries={}),
            resealed("another result, sealed again", "E-SIGNATURE", result=other_result),
            resealed("another transcript", "E-SIGNATURE", transcript_digest="sha256:" + "55" * 32),
            resealed("another mode", "E-BUNDLE", mode="rehearsal"),
            resealed("another charter", "E-LEDGER", charter=charter | {"minimum_sites": 2}),
            resealed("a lower threshold", "E-BUNDLE", charter=weaker, signatures=fewer),
            resealed("too few site signatures", "E-SIGNATURE", signatures=fewer),
            resealed("too few cosignatures", "E-SIGNATURE", checkpoint="".join(notes[:-1])),
            resealed("signatures in capitals", "E-BUNDLE", signatures=upper),
            resealed("a stranger's signature", "E-SIGNATURE", signatures=made["signatures"] | {"eve": "00" * 64}),
            resealed("no release entry", "E-LEDGER", entries=made["entries"][:1], inclusion=made["inclusion"][:1]),
            resealed("a proof missing", "E-BUNDLE", inclusion=made["inclusion"][:1]),
            resealed("proofs exchanged", "E-LEDGER", inclusion=made["inclusion"][::-1]),
            resealed("an entry of no known event", "E-ENTRY", entries=[made["entries"][0] | {"event": "x"}] * 2),
            resealed(
                "a roster with one key twice", "E-BUNDLE", charter=charter | {"roster": charter["roster"][:1] * 3}
            ),
        ],
    }
