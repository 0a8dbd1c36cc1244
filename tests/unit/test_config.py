"""isthmus.toml: found going up, strict, overridden by the environment, secrets as references."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.federation.config import FILE, find_config, read_config, resolve
from isthmus.model.errors import Invalid, Unavailable

TEXT = """
[site]
name = "leeds"
hub = "hub.example:8443"
key = "file:keys/leeds"
facility = "leeds-dc1"
[dataset.ist]
source = "env:IST_DSN"
table = "ist"
person = "patient_id"
codebook = "ist.codebook.yaml"
[store]
path = "state/leeds.db"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / FILE
    path.write_text(TEXT)
    return path


def test_the_example_of_the_manual_reads(file: Path) -> None:
    config = read_config(file, {})
    assert config.site().hub == "hub.example:8443"
    assert config.tables.dataset["ist"].person == "patient_id"
    assert config.path(config.store().path) == file.parent / "state" / "leeds.db"
    assert config.keys(config.site().key) == file.parent / "keys"
    (file.parent / "keys" / "leeds").mkdir(parents=True)
    assert config.keys(config.site().key) == file.parent / "keys" / "leeds"


def test_the_environment_wins_and_is_named(file: Path) -> None:
    config = read_config(file, {"ISTHMUS_SITE_HUB": "other:1", "ISTHMUS_STORE_PATH": "x.db"})
    assert (config.site().hub, config.store().path) == ("other:1", "x.db")
    assert config.origin["site.hub"] == "ISTHMUS_SITE_HUB"
    assert config.origin["site.name"] == str(file)


def test_the_nearest_file_going_up_is_found(file: Path) -> None:
    below = file.parent / "a" / "b"
    below.mkdir(parents=True)
    assert find_config(below, {}) == file
    (below / FILE).write_text("")
    assert find_config(below, {}) == below / FILE
    assert find_config(below, {"ISTHMUS_CONFIG": "/x.toml"}) == Path("/x.toml")


def test_the_users_own_file_is_the_last(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "isthmus").mkdir(parents=True)
    (home / "isthmus" / "config.toml").write_text("")
    start = tmp_path / "elsewhere"
    start.mkdir()
    assert find_config(start, {"XDG_CONFIG_HOME": str(home)}) == home / "isthmus" / "config.toml"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[site]\nname = 'a'\nhub = 'b'\nkey = 'c'\nhubb = 'd'", "E-UNKNOWN-KEY"),
        ("[sight]\nname = 'a'", "E-UNKNOWN-KEY"),
        ("[site]\nname = 'a'", "E-MISSING-KEY"),
        ("[site]\nname = 1\nhub = 'b'\nkey = 'c'", "E-TYPE"),
        ("[site\n", "E-CONFIG"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / FILE
    path.write_text(text)
    with pytest.raises(Invalid) as caught:
        read_config(path, {})
    assert caught.value.code == code


def test_a_missing_table_is_asked_for(file: Path) -> None:
    with pytest.raises(Invalid, match=r"no \[hub\]"):
        read_config(file, {}).hub()


def test_references(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    assert resolve("file:secret", tmp_path, {}) == "from a file"
    assert resolve("env:IST_DSN", tmp_path, {"IST_DSN": "from the environment"}) == "from the environment"
    assert resolve("plain.parquet", tmp_path, {}) == "plain.parquet"
    for reference in ("env:NONE", "file:none"):
        with pytest.raises(Unavailable, match="E-SECRET"):
            resolve(reference, tmp_path, {})


def test_a_key_is_never_a_value(file: Path) -> None:
    with pytest.raises(Invalid, match="E-CONFIG"):
        read_config(file, {}).keys("ab" * 32)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "site = ", "\x00"])
def test_what_is_no_toml_is_said_to_be_none(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(Invalid, match="E-CONFIG"):
        read_config(file, {})
