"""What an auditor works from away from the nodes: exported ledgers and border registers, bundles, crates, folders of these.

Everything is checked before a word of it is told: trees computed again and held against each other, bundles and crates
verified, registers held to the seals in their ledger. Of a crate or bundle alone there is a part of a ledger: the entries on its
run, each proved; where the whole ledger is there too, it must hold the same entries.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from isthmus.federation.border import EVENT as SEAL
from isthmus.federation.border import SUFFIX as BORDER
from isthmus.federation.border import read_border, register_of
from isthmus.ledger.exported import Beside, beside_of_proof, besides, check_exports, check_keys, open_exported
from isthmus.ledger.proved import check_proof, is_proof
from isthmus.ledger.whole import check_places, nodes
from isthmus.model.errors import Invalid, Untrusted
from isthmus.sdk.bundle import SUFFIX as BUNDLE
from isthmus.sdk.bundle import verified
from isthmus.sdk.files import read_bytes

if TYPE_CHECKING:
    from isthmus.federation.border import Register
    from isthmus.governance.agreement import Agreement
    from isthmus.ledger.entries import Entry
    from isthmus.ledger.exported import Exported
    from isthmus.ledger.verify import Verified

LEDGER, ARCHIVE, EXCERPT = ".ledger", ".zip", ".jsonl"
Keys: TypeAlias = tuple[str, Mapping[str, str]]
_LARGEST_PROOF = 1 << 20  # bytes: an entry has 64 KiB at most
_KNOWN = (LEDGER, BORDER, BUNDLE, ARCHIVE, EXCERPT)


@dataclass(slots=True)
class Sources:
    """What was given, checked.

    Attributes:
        exports: whole ledgers.
        parts: log -> entries of it that a bundle or crate proves, by their number.
        bundles: verified, by run.
        borders: log -> rows of its register, as they were stored.
        keys: log -> its owner's key and its witnesses' keys, as each file names them.
        beside: the checkpoints of bundles and proofs.
        places: files of ledgers and registers, each with the log it is of.
    """

    exports: list[Exported] = field(default_factory=list)
    parts: dict[str, dict[int, Entry]] = field(default_factory=dict)
    bundles: dict[str, Verified] = field(default_factory=dict)
    borders: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    keys: dict[str, list[Keys]] = field(default_factory=dict)
    beside: list[Beside] = field(default_factory=list)
    places: list[tuple[Path, str]] = field(default_factory=list)

    def hold_to(self, agreement: Agreement) -> None:
        """Return when every ledger is under the keys that an agreement has for it, and in its place. Untrusted: E-LEDGER."""
        from isthmus.federation.ledgers import signer_of

        check_places(self.places, nodes(self.exports, (site.site for site in agreement.sites)))
        for log, named in self.keys.items():
            for keys in named:
                check_keys(log, keys, signer_of(agreement, log))

    @property
    def logs(self) -> tuple[str, ...]:
        """The names of the ledgers of which there is something."""
        return tuple(sorted({*(exported.origin for exported in self.exports), *self.parts}))

    def whole(self, log: str) -> Exported | None:
        """The longest export of a ledger; None where there is only a part of it."""
        found = [exported for exported in self.exports if exported.origin == log]
        return max(found, key=lambda exported: exported.checkpoint.head.size, default=None)

    def entries(self, log: str) -> Iterator[Entry]:
        """The entries of a ledger, oldest first; those there are, where only a part of it was given."""
        exported = self.whole(log)
        if exported is not None:
            return exported.entries()
        return iter([entry for _, entry in sorted(self.parts.get(log, {}).items())])

    def streams(self) -> dict[str, Callable[[], Iterator[Entry]]]:
        """Name as shown -> entries, of whole ledgers (two of one log are told apart by their files) and of parts of others."""
        many = Counter(exported.origin for exported in self.exports)
        names = [e.origin if many[e.origin] == 1 else f"{e.origin} ({e.path.name})" for e in self.exports]
        found = {name: exported.entries for name, exported in zip(names, self.exports, strict=True)}
        return found | {f"{log} (part)": partial(self.entries, log) for log in self.parts if not many[log]}

    def register(self, log: str) -> Register | None:
        """The border register of a node, held to its whole ledger; None where either was not given. Untrusted: E-LEDGER."""
        rows, exported = self.borders.get(log), self.whole(log)
        return None if rows is None or exported is None else register_of(rows, exported.entries())

    def unknown(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """Of which nodes the border register cannot be told, and why; and those of them that gave the half of it."""
        found, half = dict[str, str](), list[str]()
        for log in dict.fromkeys((*nodes(self.exports), *(e.origin for e in self.exports), *self.borders)):
            exported, given = self.whole(log), log in self.borders
            if exported is None:
                found[log] = "its ledger is not here" if given else "neither its ledger nor its border register is here"
            elif not given and any(entry.event == SEAL for entry in exported.entries()):
                found[log] = "its ledger seals a border register that is not here"
            if log in found and (given or exported is not None):
                half.append(log)
        return found, tuple(half)


def read_sources(paths: Iterable[Path], stack: ExitStack) -> Sources:
    """Everything in these files and folders that is an export, checked.

    Args:
        paths: exported ledgers and registers, bundles, crates (folder or ZIP file), folders of these.
        stack: closes what a crate's ledgers are unpacked into.

    Raises:
        Untrusted: something does not hold. Invalid: E-USAGE, nothing is there; not such files. Unavailable: E-FILE.
    """
    found = Sources()
    for path in paths:
        _read(path, found, stack)
    if not (found.exports or found.parts or found.borders):
        hint = "ledgers (*.ledger), bundles, crates, or a folder of them"
        raise Invalid("E-USAGE", "nothing was exported there", hint)
    for log, named in found.keys.items():
        if len({key for key, _ in named}) > 1:
            raise _two_stories(f"{log}: two files of one name are signed by two keys")
    check_places(found.places, nodes(found.exports))
    check_exports(found.exports, found.beside)
    return found


def _read(path: Path, found: Sources, stack: ExitStack) -> None:
    if path.is_dir() and not (path / "bagit.txt").is_file():
        inside = sorted(p for p in path.iterdir() if p.suffix in _KNOWN or (p / "bagit.txt").is_file())
        for each in inside:
            _read(each, found, stack)
    elif path.is_dir() or path.suffix == ARCHIVE:
        _crate(path, found, stack)
    elif path.suffix == BUNDLE:
        _bundle(verified(read_bytes(path), []), found)
    elif path.suffix == BORDER:
        log, rows = read_border(read_bytes(path))
        found.borders[log] = rows
        found.places.append((path, log))
    elif path.suffix == EXCERPT:
        _excerpt(read_bytes(path), found)
    else:
        _ledger(path, found)


def proof_in(path: Path) -> bytes | None:
    """What a file holds that says it is the proof of an entry; None where it says something else. Unavailable: E-FILE."""
    small = path.is_file() and path.stat().st_size < _LARGEST_PROOF
    return raw if small and is_proof(raw := read_bytes(path)) else None


def _ledger(path: Path, found: Sources) -> None:
    raw = proof_in(path)
    if raw is not None:
        _excerpt(raw, found)
        return
    exported = open_exported(path)
    found.exports.append(exported)
    found.places.append((path, exported.origin))
    found.keys.setdefault(exported.origin, []).append((exported.cover.key, exported.cover.witnesses))


def _bundle(held: Verified, found: Sources) -> None:
    found.bundles[held.run] = held
    found.beside += besides(held)
    found.keys.setdefault("hub", []).append((held.bundle["charter"]["hub_key"], {}))
    found.parts.setdefault("hub", {}).update({entry.sequence: entry for entry in held.entries})


def _crate(path: Path, found: Sources, stack: ExitStack) -> None:
    from isthmus.sdk.crate.bag import PAYLOAD, read_bag
    from isthmus.sdk.crate.make import check_crate

    _bundle(check_crate(path, []).held, found)
    files = read_bag(path)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for name in (name for name in files if name.startswith(f"{PAYLOAD}ledgers/")):
        place = folder / name.rpartition("/")[2]
        place.write_bytes(files[name])
        _read(place, found, stack)


def _excerpt(raw: bytes, found: Sources) -> None:
    for line in raw.splitlines():
        entry, checkpoint, key, witnesses = check_proof(line)
        found.keys.setdefault(checkpoint.origin, []).append((key, witnesses))
        found.beside.append(beside_of_proof(entry, checkpoint, key))
        found.parts.setdefault(checkpoint.origin, {})[entry.sequence] = entry


def _two_stories(said: str) -> Untrusted:
    return Untrusted("E-LEDGER", said, "ask its owner for its whole ledger, and the others for theirs")
