"""A researcher's end: signed questions to a hub, blocking, over the port that sites dial."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Self

import grpc

from isthmus.federation import tls
from isthmus.federation.control import Clock, Peer, Talk
from isthmus.federation.frames import ControlBytes, controls, pack
from isthmus.federation.grpc_hub import SERVICE
from isthmus.federation.grpc_site import HubAddress, unreachable
from isthmus.federation.identity import Identity
from isthmus.federation.reasons import error_of
from isthmus.federation.shown import Listed, Taken, read_shown
from isthmus.federation.wire import unhex
from isthmus.model.errors import Invalid, Unavailable
from isthmus.strict import parse

PATIENCE = 30.0  # seconds for an answer that is not a watch
LONG = 600.0  # seconds for a whole ledger


class HubClient:
    """A connection of one researcher to one hub. Close it, or use it in a `with`."""

    def __init__(self, identity: Identity, hub: HubAddress, clock: Clock) -> None:
        credentials = tls.channel_credentials(identity.tls_key, identity.certificate, hub.certificate)
        self._channel = grpc.secure_channel(hub.address, credentials, options=tls.PERSON_OPTIONS)
        self._identity = identity
        self._hub = hub
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def submit(self, request: Mapping[str, Any]) -> str:
        """Send a signed request (`governance.admission.sign_request`); gives the run.

        Raises:
            Refused, Invalid, Untrusted: as the hub's admission decides.
            Unavailable: E-UNREACHABLE.
        """
        return str(self._part("run", {"what": "submit", "request": dict(request)}))

    def status(self, run: str) -> dict[str, Any]:
        """Where a run stands: `{run, state, step, waiting, error, sites: {name: {state, bytes}}}`.

        Raises:
            Invalid: E-RUN, no such run here.
        """
        return self._one({"what": "status", "run": run})

    def runs(self) -> list[dict[str, Any]]:
        """Every run of the hub, oldest first."""
        return self._listed("runs", {"what": "runs"})

    def names(self, digits: str) -> list[str]:
        """The runs of the hub whose digest begins with these hex digits, ten at most."""
        return [str(name) for name in self._listed("names", {"what": "names", "run": digits})]

    def watch(self, run: str) -> Iterator[dict[str, Any]]:
        """`status` again and again, whenever it changes, until the run ends."""
        yield from self._answers({"what": "watch", "run": run}, None)

    def bundle(self, run: str) -> bytes:
        """The signed result bundle of a concluded run.

        Raises:
            Waiting: E-NOT-YET-RELEASED.
        """
        return self._parts({"what": "bundle", "run": run})

    def ledger(self) -> bytes:
        """The hub's whole ledger as an exported file, for whoever may see it. Refused: E-ROLE."""
        return self._parts({"what": "ledger"}, LONG)

    def border(self) -> bytes:
        """The hub's border register as an exported file, for whoever may see it. Refused: E-ROLE."""
        return self._parts({"what": "border"}, LONG)

    def cases(self) -> list[dict[str, Any]]:
        """Studies and results that wait for people: `{run, title, review, mine}`, oldest first.

        Raises:
            Refused: E-STATE, the agreement asks nobody. Invalid: those of `strict.parse`, as of `case` and `decide`.
        """
        cases = self._listed("cases", {"what": "cases"})
        for case in cases:
            parse(Listed, case, "cases")
        return cases

    def case(self, run: str) -> dict[str, Any]:
        """What a person needs to decide: `{run, request, result, review, answers, mine}`.

        Raises:
            Invalid: E-RUN. Refused: E-STATE.
        """
        answer = self._one({"what": "case", "run": run})
        read_shown(answer)
        return answer

    def decide(self, envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Hand in a signed approval (`governance.approval.sign_approval`); gives `{run, review}`, of a vote also `proof`.

        Raises:
            Refused, Invalid, Untrusted: it does not hold, or cannot be given now.
        """
        answer = self._one({"what": "decide", "envelope": dict(envelope)})
        parse(Taken, answer, "decision")
        return answer

    def _parts(self, body: Mapping[str, Any], patience: float = PATIENCE) -> bytes:
        return b"".join(unhex(str(answer.get("part"))) for answer in self._answers(body, patience))

    def _listed(self, name: str, body: Mapping[str, Any]) -> list[Any]:
        listed = self._part(name, body)
        if not isinstance(listed, list):
            raise Invalid("E-WIRE", "the hub's answer is no list", "use the same release on both sides")
        return listed

    def _part(self, name: str, body: Mapping[str, Any]) -> Any:
        answer = self._one(body)
        if name not in answer:
            raise Invalid("E-WIRE", f"the hub's answer holds no {name}", "use the same release on both sides")
        return answer[name]

    def _one(self, body: Mapping[str, Any]) -> dict[str, Any]:
        for answer in self._answers(body, PATIENCE):
            return answer
        raise Unavailable("E-UNREACHABLE", "the hub gave no answer", "see its log")

    def _answers(self, body: Mapping[str, Any], patience: float | None) -> Iterator[dict[str, Any]]:
        tls.require_valid(self._hub.certificate, self._clock())
        talk = Talk(self._identity.name, self._identity.key, Peer(self._hub.name, self._hub.key), self._clock)
        question = b"".join(pack([ControlBytes(talk.ask(secrets.token_hex(16), body))]))
        method: Any = self._channel.unary_stream(f"/{SERVICE}/Ask")
        call = method(question, timeout=patience)
        try:
            for frame in call:
                yield from _read(frame, talk)
        except grpc.RpcError as error:
            raise unreachable(error) from error
        finally:
            call.cancel()


def _read(frame: bytes, talk: Talk) -> Iterator[dict[str, Any]]:
    for item in controls(frame):
        answer = dict(talk.hear(item.raw).body)
        if "problem" in answer:
            raise error_of(answer["problem"])
        yield answer
