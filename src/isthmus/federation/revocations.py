"""Revocations of the agreement at a node: verified, written down, passed on, never forgotten.

They come from a file beside the agreement (`isthmus agreement revoke`), from the other end of a stream, or from the
store after a restart. All of them are verified by the agreement's own custodian keys: who brings one does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isthmus.federation.store import Store
from isthmus.governance.agreement import Agreement, agreement_digest
from isthmus.governance.revocation import Envelope, Revocation, of_another_version, read_revocation
from isthmus.model.errors import IsthmusError, Refused

FIELD = "revocations"  # in the body of a hello, a welcome and a heartbeat
LARGEST = 16_384  # bytes of a revocation's file


def beside(agreement: Path) -> Path:
    """Where a node looks for a revocation of the agreement in a file."""
    return agreement.with_name(f"{agreement.stem}.revocation.json")


def revocation_beside(path: Path, agreement: Agreement) -> Revocation | None:
    """The revocation of an agreement that lies beside its file, when there is one and it holds."""
    return _in_file(beside(path), agreement)


def require_standing(path: Path, agreement: Agreement) -> None:
    """Nothing, unless a revocation that holds lies beside the agreement's file.

    Raises:
        Refused: E-REVOKED, by whom and why.
    """
    said = revocation_beside(path, agreement)
    if said is not None:
        raise _revoked(said)


def _in_file(path: Path, agreement: Agreement) -> Revocation | None:
    try:
        return read_revocation(json.loads(path.read_text(encoding="utf-8")), agreement)
    except (OSError, ValueError, RecursionError, IsthmusError):
        return None


def _revoked(said: Revocation) -> Refused:
    return Refused(
        "E-REVOKED",
        f"{said.party} revoked the agreement ({said.name}): {said.reason}",
        "nothing more is done under it; a new version needs the signature of every party",
    )


class Revocations:
    """Those of one version, at one node.

    Args:
        agreement: in force here.
        store: the node's own: what was verified once stays.
        file: where a custodian may lay one; None to look nowhere.
    """

    def __init__(self, agreement: Agreement, store: Store, file: Path | None = None) -> None:
        self._agreement = agreement
        self._store = store
        self._file = file
        self._name = f"revoked {agreement_digest(agreement)}"
        self._read = b""
        kept = store.fact(self._name)
        self._held: list[dict[str, Any]] = json.loads(kept) if kept else []

    @property
    def standing(self) -> bool:
        """Whether a party has revoked."""
        return bool(self._held)

    def check(self) -> None:
        """Refuse everything once a party has revoked.

        Raises:
            Refused: E-REVOKED, by whom and why.
        """
        if self._held:
            raise _revoked(read_revocation(self._held[0], self._agreement))

    def news(self) -> dict[str, Any]:
        """What the other end of a stream is told at every beat; nothing while nobody revoked."""
        return {FIELD: list(self._held)} if self._held else {}

    def brought(self, body: Mapping[str, Any]) -> tuple[Envelope, ...]:
        """Envelopes in the other end's news that are not held; no more than there are custodians."""
        found = body.get(FIELD)
        most = sum("custodian" in person.roles for person in self._agreement.people)
        return tuple(e for e in found[:most] if e not in self._held) if isinstance(found, list) else ()

    def laid(self) -> tuple[Envelope, ...]:
        """The envelope in the file beside the agreement, when it is over this version, not held, and not looked at."""
        if self._file is None or not self._file.exists():
            return ()
        try:
            with self._file.open("rb") as opened:
                raw = opened.read(LARGEST)
            known, self._read = raw == self._read, raw
            found = json.loads(raw)
        except (OSError, ValueError, RecursionError):
            return ()  # half written, perhaps: looked at again
        over = known or found in self._held or of_another_version(found, self._agreement)
        return () if over else (found,)

    def take(self, envelope: Envelope, append: Callable[[str, Mapping[str, Any]], object]) -> Revocation | None:
        """Verify one, write it down and keep it; None where this custodian's is held already.

        Args:
            envelope: as it came, from whoever.
            append: to the node's ledger.

        Raises:
            Untrusted, Invalid: as `read_revocation`; then nothing changed.
            Unavailable: E-DISK.
        """
        said = read_revocation(envelope, self._agreement)
        if any(read_revocation(held, self._agreement).name == said.name for held in self._held):
            return None
        kept = [*self._held, dict(envelope)]
        facts = {"agreement": said.agreement, "party": said.party, "by": said.name, "reason": said.reason}
        append("revocation", {**facts, "envelope": dict(envelope)})  # whoever reads the ledger can verify it
        self._store.set_fact(self._name, json.dumps(kept))
        self._held = kept
        self._lay(envelope)
        return said

    def _lay(self, envelope: Envelope) -> None:
        """Lay one that came over the network beside the agreement too, for whoever looks at the file without the store."""
        if self._file is None or _in_file(self._file, self._agreement) is not None:
            return
        try:
            whole = self._file.with_suffix(".new")
            whole.write_text(json.dumps(dict(envelope)), encoding="utf-8")
            whole.replace(self._file)
        except OSError:
            return  # a folder that is not ours to write in: the store and the ledger have it
