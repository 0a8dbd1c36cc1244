"""What this installation is made of: the version and digest of Isthmus's code, and every distribution that it requires."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from isthmus import __version__
from isthmus.model.names import Digest
from isthmus.model.record import record

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

ROOT = "isthmus"
CODE = "isthmus:code"  # property of the SBOM: the digest of the code
PYTHON = "isthmus:python"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHIPPED = (".py", ".yaml", ".pyi")
_UNSTATED = "not stated"


@record
class Component:
    """One installed distribution; `requires` are names of other components."""

    name: str
    version: str
    licence: str
    requires: tuple[str, ...]


@cache
def code_digest() -> Digest:
    """SHA-256 over the path and content of every file of code that Isthmus runs from, in the order of paths."""
    total = hashlib.sha256()
    for path, raw in sorted(_files(resources.files(ROOT), "")):
        total.update(f"{path}\n{len(raw)}\n".encode() + raw)
    return Digest("sha256:" + total.hexdigest())


def components() -> tuple[Component, ...]:
    """Everything that Isthmus requires, directly or through others, as far as it is installed; by name."""
    found: dict[str, Component] = {}
    wanted = list(_required(ROOT))
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = _component(name)
            wanted += found[name].requires
    return tuple(found[name] for name in sorted(found))


def cyclonedx(serial: str, made: str) -> dict[str, Any]:
    """The software bill of materials as CycloneDX 1.6 JSON.

    Args:
        serial: a UUID URN of this document.
        made: when, ISO 8601.
    """
    parts = components()
    own: dict[str, Any] = {
        "type": "application",
        "name": ROOT,
        "version": __version__,
        "bom-ref": _purl(ROOT, __version__),
    }
    own |= {"purl": _purl(ROOT, __version__), "licenses": [{"license": {"id": "Apache-2.0"}}]}
    own |= {
        "properties": [{"name": CODE, "value": code_digest()}, {"name": PYTHON, "value": platform.python_version()}]
    }
    refs = {part.name: _purl(part.name, part.version) for part in parts}
    direct = sorted(name for name in _required(ROOT))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial,
        "version": 1,
        "metadata": {"timestamp": made, "component": own},
        "components": [_listed(part) for part in parts],
        "dependencies": [
            {"ref": _purl(ROOT, __version__), "dependsOn": [refs[name] for name in direct]},
            *({"ref": refs[p.name], "dependsOn": [refs[name] for name in sorted(p.requires)]} for p in parts),
        ],
    }


def bill(now: datetime) -> dict[str, Any]:
    """The bill of materials of this installation now."""
    made = now.isoformat(timespec="seconds")
    return cyclonedx(f"urn:uuid:{uuid5(NAMESPACE_URL, f'{code_digest()} {made}')}", made)


def _listed(part: Component) -> dict[str, Any]:
    ref = _purl(part.name, part.version)
    about = {"type": "library", "name": part.name, "version": part.version, "bom-ref": ref, "purl": ref}
    return about | {"licenses": [{"license": {"name": part.licence}}]}


def _component(name: str) -> Component:
    told = metadata.distribution(name)
    return Component(
        name=name, version=told.version, licence=_licence(told.metadata), requires=tuple(sorted(_required(name)))
    )


def _required(name: str) -> set[str]:
    """What a distribution requires without extras, of what is installed (the rest its markers leave out)."""
    lines = metadata.distribution(name).requires or ()
    named = (_NAME.match(line) for line in lines if "extra" not in line.partition(";")[2])
    return {found for match in named if match and _installed(found := _normal(match.group()))}


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _licence(told: metadata.PackageMetadata) -> str:
    """As the distribution states it: an SPDX expression, else a short name, else its classifiers."""
    stated: str | None = next((told[key] for key in ("License-Expression", "License") if key in told), None)
    if stated and "\n" not in stated and len(stated) <= 100:
        return stated
    prefix = "License :: "
    classes = [c.rpartition(" :: ")[2] for c in told.get_all("Classifier") or () if c.startswith(prefix)]
    return " AND ".join(sorted(set(classes))) or _UNSTATED


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()  # PEP 503


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def _files(folder: Traversable, within: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{within}{entry.name}/")
        elif entry.name.endswith(_SHIPPED):
            yield f"{within}{entry.name}", entry.read_bytes()
