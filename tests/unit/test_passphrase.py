"""People's keys under a passphrase: only it opens them, no changed byte passes, and scripts name it by reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from governance_alliance import NOW

from isthmus.crypto import passphrase as at_rest
from isthmus.federation.identity import KEY, SEALED, TLS_KEY, Owner, load_identity, make_identity
from isthmus.model.errors import Invalid, IsthmusError, Unavailable, Untrusted
from isthmus.sdk.unlock import VARIABLE, new_passphrase, passphrase

WORDS = "four plain unrelated words"
OWNER = Owner(role="custodian", name="grace", party="leeds-nhs", country="GB")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cheap scrypt: what is tested does not depend on how long a guess takes."""
    monkeypatch.setattr(at_rest, "COST", 2**4)


def test_sealed_keys_come_back_and_no_plain_file_lies_beside_them(tmp_path: Path) -> None:
    made = make_identity(tmp_path, OWNER, NOW, WORDS)
    assert not (tmp_path / KEY).exists()
    assert not (tmp_path / TLS_KEY).exists()
    held = load_identity(tmp_path, lambda: WORDS)
    assert (held.key.public, held.tls_key) == (made.key.public, made.tls_key)
    raw = (tmp_path / SEALED).read_bytes()
    for secret in (made.key.to_bytes().hex().encode(), b"PRIVATE KEY"):
        assert secret not in raw
    assert (tmp_path / SEALED).stat().st_mode & 0o077 == 0
    with pytest.raises(Invalid, match="E-EXISTS"):
        make_identity(tmp_path, OWNER, NOW)


def test_another_passphrase_and_nobody_to_ask(tmp_path: Path) -> None:
    make_identity(tmp_path, OWNER, NOW, WORDS)
    with pytest.raises(Untrusted, match="E-PASSPHRASE"):
        load_identity(tmp_path, lambda: WORDS + ".")
    with pytest.raises(Unavailable, match="E-PASSPHRASE"):
        load_identity(tmp_path)
    with pytest.raises(Invalid, match="E-PASSPHRASE"):
        make_identity(tmp_path / "other", OWNER, NOW, "too short")


def test_every_changed_part_is_noticed() -> None:
    document = json.loads(at_rest.lock(b"secret", WORDS, bytes(16)))
    assert at_rest.unlock(json.dumps(document).encode(), WORDS) == b"secret"
    other = {"n": 2**5, "r": 8, "p": 1, "salt": bytes(16).hex()}
    changes = [
        {"scrypt": other},  # cheaper guesses
        {"scrypt": {**document["scrypt"], "salt": "01" + "00" * 15}},
        {"scrypt": {**document["scrypt"], "salt": "00"}},
        {"sealed": "00" + document["sealed"][2:]},
        {"sealed": document["sealed"][:-2]},
        {"isthmus": "sealed-key/2"},
        {"more": 1},
    ]
    for change in changes:
        with pytest.raises(IsthmusError) as caught:
            at_rest.unlock(json.dumps({**document, **change}).encode(), WORDS)
        assert caught.value.code in {"E-KEY", "E-PASSPHRASE"}, change
    for raw in (b"", b"[]", b"[" * 100_000):
        with pytest.raises(Invalid, match="E-KEY"):
            at_rest.unlock(raw, WORDS)


def test_two_seals_of_one_secret_differ() -> None:
    assert at_rest.lock(b"secret", WORDS, bytes(16)) != at_rest.lock(b"secret", WORDS, bytes(15) + b"\1")


def test_a_script_names_the_passphrase_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "words").write_text(WORDS + "\n")
    assert passphrase({VARIABLE: "env:MINE", "MINE": WORDS}) == WORDS
    assert new_passphrase({VARIABLE: f"file:{tmp_path / 'words'}"}) == WORDS
    with pytest.raises(Invalid) as plain:
        passphrase({VARIABLE: WORDS})
    assert WORDS not in str(plain.value)
    with pytest.raises(Unavailable, match="E-SECRET"):
        passphrase({VARIABLE: "env:NOBODY"})
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(Unavailable, match="no terminal"):
        passphrase({})


def test_the_cost_of_a_guess_is_what_is_written() -> None:
    """Known answer of RFC 7914, section 12 (N = 16, r = 1, p = 1), so that the primitive is scrypt."""
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    first = Scrypt(salt=b"", length=64, n=16, r=1, p=1).derive(b"")
    assert first.hex().startswith("77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442")
    assert json.loads(at_rest.lock(b"", WORDS, bytes(16)))["scrypt"]["n"] == 2**4
