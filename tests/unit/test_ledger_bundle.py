"""A bundle that holds is accepted; with any byte changed, cut or added it is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from isthmus.crypto.keys import SigningKey, fingerprint
from isthmus.ledger.bundle import Contents, make_bundle, release_facts, result_statement, study_facts
from isthmus.ledger.checkpoint import cosign, sign_checkpoint, with_cosignatures
from isthmus.ledger.document import read_canonical
from isthmus.ledger.log import Log, MemoryStore
from isthmus.ledger.verify import Verified, pinned_keys, verify_bundle
from isthmus.model.canonical import canonical, digest
from isthmus.model.errors import Invalid, IsthmusError, Untrusted

SITES = ("leeds", "lyon", "boston", "austin")
KEYS = {name: SigningKey.from_bytes(name.encode().ljust(32)) for name in (*SITES, "hub")}
TRANSCRIPT = {"sums": [1e20, 0.1, -0.0, 1234567890123456789.0, 5e-324, 2.0**53]}


def charter() -> dict[str, Any]:
    return {
        "mode": "federated",
        "run": "sha256:aa",
        "study": "sha256:bb",
        "agreement": "sha256:cc",
        "roster": [{"site": site, "key": KEYS[site].public.hex()} for site in SITES],
        "threshold": 3,
        "hub_key": KEYS["hub"].public.hex(),
    }


def made(result: dict[str, Any] | None = None, signers: tuple[str, ...] = SITES[:3]) -> bytes:
    result = {"hazard": 0.5} if result is None else result
    transcript = digest(TRANSCRIPT)
    log = Log(MemoryStore(), "isthmus/test", lambda: datetime(2026, 1, 31, tzinfo=UTC))
    log.append("decision", {"other": "run"})
    first = log.append("study", study_facts(charter()))
    log.append("round", {"round": 1})
    last = log.append("release", release_facts("sha256:aa", transcript, result))
    note = sign_checkpoint(log.origin, log.head(), KEYS["hub"])
    note = with_cosignatures(note, [cosign(note, site, KEYS[site], 1_750_000_000) for site in signers])
    log.append("round", {"of": "a later run"})
    statement = result_statement("federated", "sha256:aa", transcript, digest(result))
    contents = Contents(
        charter=charter(),
        agreement=[],
        study={},
        result=result,
        transcript_digest=transcript,
        signatures={site: KEYS[site].sign(statement).hex() for site in signers},
        transcript=TRANSCRIPT,
    )
    return make_bundle(contents, log, [first, last], note, 4, KEYS["hub"])


def test_a_bundle_that_holds_says_what_it_holds() -> None:
    seen: list[Verified] = []
    verified = verify_bundle(made(), [seen.append])
    assert seen == [verified]
    assert (verified.mode, verified.run, verified.result) == ("federated", "sha256:aa", digest({"hazard": 0.5}))
    assert set(verified.signers) == set(verified.checkpoint.cosigners) == set(SITES[:3])
    assert [entry.event for entry in verified.entries] == ["study", "release"]
    assert verified.fingerprints["hub"] == fingerprint(KEYS["hub"].public)
    assert verified.bundle["transcript"]["sums"] == TRANSCRIPT["sums"]


def test_the_same_run_gives_the_same_bytes() -> None:
    assert made() == made()


def test_any_changed_byte_is_noticed() -> None:
    raw = made()
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ (1 << at % 8)]) + raw[at + 1 :]
        with pytest.raises(IsthmusError):
            verify_bundle(changed, [])


def test_a_capital_letter_in_hex_or_another_digit_is_noticed() -> None:
    raw = made()
    for old, new in ((b"a", b"A"), (b"f", b"F"), (b"1", b"2"), (b"0", b"O")):
        places = [at for at in range(len(raw)) if raw[at : at + 1] == old]
        for at in places[:: max(1, len(places) // 40)]:
            with pytest.raises(IsthmusError):
                verify_bundle(raw[:at] + new + raw[at + 1 :], [])


def test_any_cut_or_added_byte_is_noticed() -> None:
    raw = made()
    for changed in (*(raw[:at] for at in range(0, len(raw), 97)), raw + b"\n", b" " + raw, raw + raw, raw + b"\0"):
        with pytest.raises(Invalid):
            verify_bundle(changed, [])


def test_parts_exchanged_between_two_bundles_are_noticed() -> None:
    one, other = json.loads(made()), json.loads(made({"hazard": 2.0}))
    for name in one:
        if one[name] != other[name]:
            with pytest.raises(IsthmusError):
                verify_bundle(canonical(one | {name: other[name]}), [])


def test_fewer_signers_than_the_threshold_are_refused() -> None:
    with pytest.raises(Untrusted, match="E-SIGNATURE"):
        verify_bundle(made(signers=SITES[:2]), [])


def test_a_failing_check_of_a_layer_above_fails_the_bundle() -> None:
    def disagree(_: Verified) -> None:
        raise Untrusted("E-RECOMPUTED", "the estimate is not that of the pooled sums")

    with pytest.raises(Untrusted, match="E-RECOMPUTED"):
        verify_bundle(made(), [disagree])


def test_keys_that_are_not_the_pinned_ones_are_refused() -> None:
    pinned = {site: KEYS[site].public.hex() for site in SITES}
    verify_bundle(made(), [pinned_keys(pinned)])
    for keys in (pinned | {"leeds": KEYS["hub"].public.hex()}, {"leeds": pinned["leeds"]}):
        with pytest.raises(Untrusted, match="E-BUNDLE"):
            verify_bundle(made(), [pinned_keys(keys)])


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": "3"},
        {"threshold": True},
        {"roster": {}},
        {"roster": ["leeds"]},
        {"roster": []},
        {"roster": [{"site": None, "key": "00" * 32}] * 3},
        {"roster": [{"site": "hub", "key": f"{at:02x}" * 32} for at in range(3)]},
        {"roster": [{"site": "leeds"}]},
        {"hub_key": None},
        {"hub_key": "zz"},
        {"run": 5},
        {"mode": None},
    ],
)
def test_a_malformed_charter_is_an_error_and_not_a_crash(changes: dict[str, Any]) -> None:
    parts = json.loads(made())
    with pytest.raises(IsthmusError):
        verify_bundle(canonical(parts | {"charter": parts["charter"] | changes}), [])


@pytest.mark.parametrize("raw", [b"", b"{}", b"null", b"\xff", b"[" * 100_000, b"1" * 5000, b"NaN", b'{"a":1e400}'])
def test_what_is_no_bundle_is_an_error_and_not_a_crash(raw: bytes) -> None:
    with pytest.raises(Invalid):
        verify_bundle(raw, [])


def test_canonical_json_reads_back_what_it_wrote() -> None:
    for value in (1e20, 2.0**53, 2**53 - 1, -(2**53 - 1), 1e21, 5e-324, 0.1, 123456789012345680000.0, "é\u2028", None):
        assert read_canonical(canonical([value]), "list") == [value]
    for raw in (b"[1.0]", b"[9007199254740993]", b'["\\u0041"]', b"[1,2 ]", b'{"b":1,"a":2}', b'{"a":1,"a":1}', b"-0"):
        with pytest.raises(Invalid, match="E-CANONICAL"):
            read_canonical(raw, "value")
