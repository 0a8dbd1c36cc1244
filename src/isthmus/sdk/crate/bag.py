"""A BagIt bag as bytes by path: payload, tags, manifests; a folder or a ZIP file of it; and whether it is whole.

References: RFC 8493 (BagIt 1.0); Five Safes RO-Crate 0.4, "Archive serialisation". SHA-512 manifests are what the profile
asks for, SHA-256 ones are what everyone can check with `sha256sum -c`. The ZIP file is stored, not compressed, with one
fixed date, so that the same bag is the same file to the byte, and a byte that no manifest covers can be seen to differ.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from isthmus.ledger.bundle import MAXIMUM_BUNDLE
from isthmus.model.errors import Invalid, Unavailable, Untrusted
from isthmus.sdk.files import write_file, writing

Files = Mapping[str, bytes]

PAYLOAD = "data/"
ALGORITHMS = ("sha256", "sha512")
MAXIMUM_BAG = 2 * MAXIMUM_BUNDLE  # bytes: the bundle, and what is made from it
MAXIMUM_FILES = 10_000
DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
INFO = "bag-info.txt"
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a ZIP file can hold
_LINE = re.compile(r"([0-9a-f]+)  (\S.*)")


def bagged(payload: Files, info: Mapping[str, str], tags: Files) -> dict[str, bytes]:
    """Every file of a bag: the payload below `data/`, its manifests, the tag files and their manifests."""
    files = {PAYLOAD + path: raw for path, raw in payload.items()}
    head = {"bagit.txt": DECLARATION, INFO: _info(files, info), **tags}
    head |= {f"manifest-{kind}.txt": manifest(files, kind) for kind in ALGORITHMS}
    return files | head | {f"tagmanifest-{kind}.txt": manifest(head, kind) for kind in ALGORITHMS}


def manifest(files: Files, kind: str) -> bytes:
    """Lines `digest  path`, in the order of paths."""
    return "".join(f"{hashlib.new(kind, files[path]).hexdigest()}  {path}\n" for path in sorted(files)).encode()


def check_bag(files: Files) -> None:
    """Refuse a bag in which a file was changed, added or taken away.

    Raises:
        Untrusted: E-CRATE, names the file.
    """
    if files.get("bagit.txt") != DECLARATION:
        raise broken("bagit.txt", "it is not a bag of BagIt 1.0")
    inside = {path for path in files if path.startswith(PAYLOAD)}
    last = {f"tagmanifest-{kind}.txt" for kind in ALGORITHMS}
    for kind in ALGORITHMS:
        _check_listed(files, f"manifest-{kind}.txt", inside)
        _check_listed(files, f"tagmanifest-{kind}.txt", set(files) - inside - last)


def write_folder(files: Files, folder: Path) -> None:
    """Write a bag as a new folder.

    Raises:
        Invalid: E-EXISTS, there is something already.
    """
    _check_new(folder)
    with writing(folder):
        for path, raw in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(raw)


def write_zip(files: Files, file: Path) -> None:
    """Write a bag as a new ZIP file with one folder in it.

    Raises:
        Invalid: E-EXISTS, there is something already.
    """
    _check_new(file)
    write_file(file, zipped(files, file.stem))


def zipped(files: Files, folder: str) -> bytes:
    """The ZIP file of a bag: one folder, files in the order of paths."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(f"{folder}/{path}", _FIXED_DATE)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, files[path])
    return made.getvalue()


def read_bag(place: Path) -> dict[str, bytes]:
    """Every file of a bag, from a folder or a ZIP file; its digests are not looked at yet.

    Raises:
        Unavailable: E-FILE. Invalid: E-CRATE, not such a folder or file, or far too large.
        Untrusted: E-CRATE, a ZIP file with bytes that are no part of the bag.
    """
    try:
        return _read_folder(place) if place.is_dir() else _read_zip(place)
    except OSError as error:
        raise Unavailable("E-FILE", "the crate cannot be read", error.strerror or "", str(place)) from error


def broken(path: str, problem: str) -> Untrusted:
    """The one error of a crate that does not hold; `path` is the file in it."""
    return Untrusted("E-CRATE", f"the crate does not hold: {problem}", "ask for it again where it was exported", path)


def _check_listed(files: Files, name: str, covered: set[str]) -> None:
    listed = dict(_lines(files, name))
    if strangers := sorted(covered - set(listed)):
        raise broken(strangers[0], f"{name} does not list a file that is there")
    if gone := sorted(set(listed) - covered):
        raise broken(gone[0], f"{name} lists a file that is not there")
    kind = name.removeprefix("tag").removeprefix("manifest-").removesuffix(".txt")
    for path, digest in listed.items():
        if hashlib.new(kind, files[path]).hexdigest() != digest:
            raise broken(path, f"its digest is not that of {name}")


def _lines(files: Files, name: str) -> Iterator[tuple[str, str]]:
    if name not in files:
        raise broken(name, "the manifest is missing")
    for line in files[name].decode("utf-8", "replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise broken(name, "the manifest cannot be read")
        yield match.group(2), match.group(1)


def _info(files: Files, info: Mapping[str, str]) -> bytes:
    octets = f"{sum(map(len, files.values()))}.{len(files)}"
    return "".join(f"{key}: {value}\n" for key, value in {**info, "Payload-Oxum": octets}.items()).encode()


def _check_new(place: Path) -> None:
    if place.exists():
        raise Invalid("E-EXISTS", "there is a file or folder of that name already", "choose another name", str(place))


def _read_folder(folder: Path) -> dict[str, bytes]:
    found = sorted(folder.rglob("*"))
    if other := next((path for path in found if path.is_symlink() or not (path.is_file() or path.is_dir())), None):
        raise broken(other.name, "a crate holds files alone, no links")
    held = [path for path in found if path.is_file()]
    _check_size(sum(path.stat().st_size for path in held), len(held))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in held}


def _read_zip(file: Path) -> dict[str, bytes]:
    _check_size(file.stat().st_size, 1)
    raw = file.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = archive.infolist()
            _check_size(sum(entry.file_size for entry in entries), len(entries))
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise broken(file.name, "a file in it is compressed, and none is")
            held = {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError) as error:
        raise Invalid("E-CRATE", "not a crate", "a folder or ZIP file that `isthmus results export` wrote") from error
    tops = {PurePosixPath(name).parts[0] for name in held if name}
    if len(tops) != 1 or len(held) != len(entries):
        raise Invalid("E-CRATE", "the ZIP file is not one folder", "a file that `isthmus results export` wrote")
    (top,) = tops
    files = {name.removeprefix(f"{top}/"): content for name, content in held.items()}
    if zipped(files, top) != raw:
        raise broken(file.name, "the ZIP file has bytes that are no part of the bag")
    return files


def _check_size(octets: int, number: int) -> None:
    if octets > MAXIMUM_BAG or number > MAXIMUM_FILES:
        raise Invalid("E-CRATE", "the crate is too large", f"at most {MAXIMUM_BAG >> 20} MiB in {MAXIMUM_FILES} files")
