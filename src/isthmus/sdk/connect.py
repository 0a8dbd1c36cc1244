"""`isthmus.connect()`: a researcher's way to a hub."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from isthmus.model.errors import Invalid
from isthmus.sdk.bundle import result_of
from isthmus.sdk.files import read_text
from isthmus.sdk.result import Result
from isthmus.sdk.study import Study

if TYPE_CHECKING:
    from isthmus.federation.grpc_client import HubClient
    from isthmus.federation.identity import Identity
    from isthmus.governance.agreement import Agreement

_ENDED = frozenset({"concluded", "released", "failed", "refused"})


class Client:
    """A researcher at a hub, under one agreement. Close it, or use it in a `with`."""

    def __init__(self, identity: Identity, agreement: Agreement, hub: HubClient) -> None:
        self._identity = identity
        self._agreement = agreement
        self._hub = hub

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.close()

    def submit(self, study: Study, *, number: int = 1) -> str:
        """Sign a study and send it; gives the run. `number` tells reruns of one study apart.

        Raises:
            Invalid: E-PURPOSE, the study does not say what it is for.
            Refused, Untrusted: what the hub's admission finds.
            Unavailable: E-UNREACHABLE.
        """
        from isthmus.governance.admission import RunRequest, sign_request
        from isthmus.governance.agreement import agreement_digest

        if not study.states_purpose:
            raise Invalid(
                "E-PURPOSE", "the study does not state its purpose", "purpose: {duo: ..., text: ...}", "purpose"
            )
        request = RunRequest(
            isthmus="request/1",
            study=study.record,
            agreement=agreement_digest(self._agreement),
            roster=tuple(sorted(self._agreement.dataset(study.record.dataset).sites)),
            mode="federated",
            number=number,
            created=_now().isoformat(timespec="seconds"),
        )
        return self._hub.submit(sign_request(request, self._identity.key))

    def status(self, run: str) -> dict[str, Any]:
        """Where a run stands, site by site."""
        return self._hub.status(run)

    def runs(self) -> list[dict[str, Any]]:
        """Every run at the hub, oldest first."""
        return self._hub.runs()

    def watch(self, run: str) -> Iterator[dict[str, Any]]:
        """Its status whenever it changes, until it ends."""
        yield from self._hub.watch(run)

    def bundle(self, run: str) -> bytes:
        """The signed bundle of a concluded run."""
        return self._hub.bundle(run)

    def result(self, run: str) -> Result:
        """The result of a concluded run, out of its verified bundle.

        Raises:
            Waiting: the run has not ended.
            Untrusted: the bundle does not hold.
        """
        return result_of(self._hub.bundle(run))

    def wait(self, run: str) -> Result:
        """Block until the run ends, then its result."""
        for state in self._hub.watch(run):
            if str(state.get("state", "")).lower() in _ENDED:
                break
        return self.result(run)


def connect(config: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Client:
    """A client to the hub of the nearest `isthmus.toml` (or of `config`), under its agreement.

    Raises:
        Invalid: E-CONFIG, no configuration or no [researcher] in it.
        Untrusted: the agreement is not signed by every party.
        Unavailable: a file is missing.
    """
    from isthmus.federation.config import find_config, read_config
    from isthmus.federation.grpc_client import HubClient
    from isthmus.federation.grpc_site import HubAddress
    from isthmus.federation.identity import load_identity
    from isthmus.governance.signing import check_signatures, read_signed

    around = os.environ if environ is None else environ
    path = Path(config) if config is not None else find_config(Path.cwd(), around)
    if path is None:
        raise Invalid("E-CONFIG", "no isthmus.toml here or above", "write one with `isthmus init researcher`")
    read = read_config(path, around)
    me = read.researcher()
    stated = read.path(me.agreement or "agreement.json")
    agreement = check_signatures(read_signed(read_text(stated), str(stated)))
    identity = load_identity(read.keys(me.key))
    hub = agreement.hub
    address = HubAddress(me.hub, hub.hub, bytes.fromhex(hub.key), hub.certificate.encode())
    return Client(identity, agreement, HubClient(identity, address, _now))


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - an entry point
