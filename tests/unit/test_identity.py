"""Keys on disk, cards, transport certificates."""

from __future__ import annotations

import errno
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from isthmus.federation import tls
from isthmus.federation.identity import CARD, KEY, TLS_KEY, Owner, load_identity, load_key, make_identity
from isthmus.governance.card import read_card
from isthmus.model.errors import Invalid, Unavailable, Untrusted

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LEEDS = Owner(role="site", name="leeds", party="leeds-nhs", country="GB")


def test_made_and_loaded_are_the_same(tmp_path: Path) -> None:
    made = make_identity(tmp_path / "leeds", LEEDS, NOW)
    loaded = load_identity(tmp_path / "leeds")
    assert loaded.card == made.card
    assert loaded.key.public == made.key.public
    assert loaded.tls_key == made.tls_key
    assert made.card.tls == tls.spki_digest(made.certificate)


def test_private_files_are_the_owners_only(tmp_path: Path) -> None:
    make_identity(tmp_path / "leeds", LEEDS, NOW)
    for name in (KEY, TLS_KEY):
        assert stat.S_IMODE((tmp_path / "leeds" / name).stat().st_mode) == 0o600
    (tmp_path / "leeds" / KEY).chmod(0o640)
    with pytest.raises(Invalid, match="E-KEY-MODE"):
        load_identity(tmp_path / "leeds")


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    make_identity(tmp_path, LEEDS, NOW)
    with pytest.raises(Invalid, match="E-EXISTS"):
        make_identity(tmp_path, LEEDS, NOW)


@pytest.mark.parametrize("written", range(4))
@pytest.mark.parametrize("passphrase", [None, "correct horse battery staple"])
def test_an_identity_is_whole_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: str | None, written: int
) -> None:
    """The disk is full after so many files: nothing lies there, in or beside the directory, and the next try succeeds."""
    left = [0] * min(written, 2 if passphrase else 3)

    def full(handle: int) -> None:
        if not left:
            raise OSError(errno.ENOSPC, "no space")
        left.pop()

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="E-FILE"):
        make_identity(tmp_path / "a" / "keys", LEEDS, NOW, passphrase)
    monkeypatch.undo()
    assert list((tmp_path / "a").iterdir()) == []
    (tmp_path / "a" / "keys").mkdir()  # an empty directory may be there
    make_identity(tmp_path / "a" / "keys", LEEDS, NOW, passphrase)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["keys"]
    assert load_identity(tmp_path / "a" / "keys", lambda: str(passphrase)).name == LEEDS.name


def test_private_halves_are_never_shown(tmp_path: Path) -> None:
    made = make_identity(tmp_path, LEEDS, NOW)
    shown = f"{made!r} {made.key!r} {(tmp_path / CARD).read_text()}"
    assert made.key.to_bytes().hex() not in shown
    assert "PRIVATE" not in shown


def test_a_card_of_another_identity_is_noticed(tmp_path: Path) -> None:
    make_identity(tmp_path / "a", LEEDS, NOW)
    make_identity(tmp_path / "b", LEEDS, NOW)
    (tmp_path / "a" / CARD).write_bytes((tmp_path / "b" / CARD).read_bytes())
    with pytest.raises(Untrusted, match="E-PIN"):
        load_identity(tmp_path / "a")


def test_an_altered_card_is_noticed(tmp_path: Path) -> None:
    make_identity(tmp_path, LEEDS, NOW)
    card = json.loads((tmp_path / CARD).read_text())
    read_card(json.dumps(card).encode())
    with pytest.raises(Untrusted, match="E-SIGNATURE"):
        read_card(json.dumps({**card, "country": "US"}).encode())


@pytest.mark.parametrize("raw", [b"", b"isthmus-ed25519-1 zz\n", b"isthmus-ed25519-1 abcd\n"])
def test_not_a_key(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / KEY
    path.write_bytes(raw)
    path.chmod(0o600)
    with pytest.raises(Invalid, match="E-KEY"):
        load_key(path)


def test_missing_identity_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="isthmus init"):
        load_identity(tmp_path / "none")


def test_certificate_dates(tmp_path: Path) -> None:
    _, certificate = tls.make_certificate("leeds", NOW, timedelta(days=1))
    tls.require_valid(certificate, NOW)
    for moment in (NOW - timedelta(hours=1), NOW + timedelta(days=2)):
        with pytest.raises(Untrusted, match="E-CLOCK"):
            tls.require_valid(certificate, moment)


def test_only_p256_certificates_are_taken() -> None:
    with pytest.raises(Invalid, match="E-CERTIFICATE"):
        tls.load_certificate(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
