"""`isthmus.connect()`: a researcher's way to a hub."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, Self

from isthmus.model.errors import Invalid, IsthmusError, Waiting
from isthmus.sdk.bundle import result_of
from isthmus.sdk.result import Result
from isthmus.sdk.study import Study

if TYPE_CHECKING:
    from isthmus.federation.agreed import Researcher
    from isthmus.governance.passport import Passport

SEALING = 50  # tenths of a second


class Client:
    """A researcher at a hub, under one agreement. Close it, or use it in a `with`."""

    def __init__(self, me: Researcher) -> None:
        self._me = me

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._me.client.close()

    def submit(self, study: Study, *, number: int = 1, passport: str | None = None) -> str:
        """Sign a study and send it; gives the run.

        Args:
            study: what is asked.
            number: tells reruns of one study apart.
            passport: your GA4GH Passport (a JWT). It becomes part of the request: every party sees it.

        Raises:
            Invalid: E-PURPOSE, the study does not say what it is for.
            Refused, Untrusted: what the hub's admission finds; E-PASSPORT, the passport does not hold.
            Unavailable: E-UNREACHABLE.
        """
        if not study.states_purpose:
            hint = "purpose: {duo: ..., text: ...}"
            raise Invalid("E-PURPOSE", "the study does not state its purpose", hint, "purpose")
        if passport is not None:
            self.passport(passport)
        return self._me.submit(study.record, number, _now(), passport)

    def passport(self, token: str) -> Passport:
        """What counts of your passport now, and why the rest does not: as each site will find it.

        Raises:
            Untrusted: E-PASSPORT.
        """
        from isthmus.governance.passport import read_passport

        now = _now()
        return read_passport(token, self._me.agreement, self._me.identity.name, now, now)

    def status(self, run: str) -> dict[str, Any]:
        """Where a run stands, site by site."""
        return self._me.client.status(run)

    def runs(self) -> list[dict[str, Any]]:
        """Every run at the hub, oldest first."""
        return self._me.client.runs()

    def watch(self, run: str) -> Iterator[dict[str, Any]]:
        """Its status whenever it changes, until it ends."""
        yield from self._me.client.watch(run)

    def bundle(self, run: str) -> bytes:
        """The signed bundle of a concluded run.

        Raises:
            Waiting: E-NOT-RELEASED, the run has not ended.
        """
        for _ in range(SEALING):  # a run is concluded a moment before its bundle is sealed
            try:
                return self._me.client.bundle(run)
            except Waiting:
                if self.status(run).get("state") != "concluded":
                    raise
                sleep(0.1)
        return self._me.client.bundle(run)

    def result(self, run: str) -> Result:
        """The result of a concluded run, out of its verified bundle.

        Raises:
            Waiting: E-NOT-RELEASED, the run has not ended.
            Untrusted: the bundle does not hold.
        """
        return with_traffic(result_of(self.bundle(run)), self.status(run))

    def wait(self, run: str) -> Result:
        """Block until the run ends, then its result.

        Raises:
            IsthmusError: why it was refused or failed.
        """
        ended(list(self.watch(run))[-1])
        return self.result(run)


def connect(config: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Client:
    """A client to the hub of the nearest `isthmus.toml` (or of `config`), under its agreement.

    Raises:
        Invalid: E-CONFIG, no configuration or no [person] in it.
        Untrusted: the agreement is not signed by every party.
        Unavailable: a file is missing.
    """
    from isthmus.federation import agreed
    from isthmus.federation.config import find_config

    around = os.environ if environ is None else environ
    path = Path(config) if config is not None else find_config(Path.cwd(), around)
    if path is None:
        raise Invalid("E-CONFIG", "no isthmus.toml here or above", "write one with `isthmus init researcher`")
    return Client(agreed.connect(path, around, _now))


def with_traffic(result: Result, state: Mapping[str, Any]) -> Result:
    """A result with what crossed the border, as the hub counted it."""
    return Result({**result.to_dict(), "traffic": state.get("traffic", {})})


def ended(state: Mapping[str, Any]) -> None:
    """Nothing, when a run's last status says that it concluded.

    Raises:
        IsthmusError: why it was refused or failed.
    """
    from isthmus.federation.reasons import error_of

    if state.get("state") != "concluded":
        error: IsthmusError = error_of(state.get("error"))
        raise error


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - an entry point
