"""`isthmus.connect()`: a researcher's way to a hub."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, Self

from isthmus.model.errors import Invalid, IsthmusError, Refused, Untrusted, Waiting
from isthmus.sdk.bundle import held_in_review, result_in_review, result_of
from isthmus.sdk.files import write_file, writing
from isthmus.sdk.result import Result
from isthmus.sdk.reviewing import decision, explained, kind_of, require_checker
from isthmus.sdk.study import Study
from isthmus.sdk.unlock import passphrase

if TYPE_CHECKING:
    from isthmus.federation.agreed import Researcher
    from isthmus.federation.identity import Identity
    from isthmus.governance.agreement import Agreement
    from isthmus.governance.approval import Choice
    from isthmus.governance.passport import Passport

SEALING = 50  # tenths of a second
WHOLE = 64  # hex digits of a digest
_DIGITS = re.compile(r"[0-9a-f]{1,64}", re.ASCII)


class Client:
    """A researcher at a hub, under one agreement. Close it, or use it in a `with`."""

    def __init__(self, me: Researcher, codebooks: Mapping[str, Path]) -> None:
        self._me = me
        self._codebooks = codebooks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._me.client.close()

    @property
    def identity(self) -> Identity:
        """Whose keys these are."""
        return self._me.identity

    @property
    def agreement(self) -> Agreement:
        """The agreement, its signatures checked."""
        return self._me.agreement

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

    def named(self, run: str) -> str:
        """A run by its digest, or by the first digits of it, as every method here takes it.

        Raises:
            Invalid: E-RUN, no run of the hub begins with them, or several do.
        """
        digits = run.removeprefix("sha256:")
        known = _DIGITS.fullmatch(digits) is not None
        if known and len(digits) == WHOLE:
            return f"sha256:{digits}"
        found = self._me.client.names(digits) if known else []
        if len(found) != 1 or not found[0].startswith(f"sha256:{digits}"):
            several = f"{len(found)} runs begin" if found else "no run begins"
            raise Invalid(
                "E-RUN",
                f"{several} with {run[:70]!r}",
                "give the run as `study submit` printed it, or its first digits",
            )
        return found[0]

    def status(self, run: str) -> dict[str, Any]:
        """Where a run stands, site by site."""
        return self._me.client.status(self.named(run))

    def runs(self) -> list[dict[str, Any]]:
        """Every run at the hub, oldest first."""
        return self._me.client.runs()

    def watch(self, run: str) -> Iterator[dict[str, Any]]:
        """Its status whenever it changes, until it ends."""
        yield from self._me.client.watch(self.named(run))

    def bundle(self, run: str) -> bytes:
        """The signed bundle of a concluded run.

        Raises:
            Waiting: E-NOT-RELEASED, the run has not ended.
            Untrusted: E-RUN, the hub gives another run's.
        """
        from isthmus.ledger.bundle import read_bundle

        run = self.named(run)
        raw = self._bundle(run)
        if read_bundle(raw)["charter"].get("run") != run:
            raise _another_run()
        return raw

    def _bundle(self, run: str) -> bytes:
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

    def cases(self) -> list[dict[str, Any]]:
        """Studies and results that wait for people, oldest first; `mine`: for you among them.

        Raises:
            Refused: E-STATE, the agreement asks nobody.
        """
        return self._me.client.cases()

    def case(self, run: str) -> dict[str, Any]:
        """What is to be decided on a run, in plain words, with the risk that the checks found.

        What would leave is looked at where this isthmus.toml names the dataset's agreed codebook.

        Raises:
            Invalid: E-RUN. Refused: E-STATE. Untrusted: E-RUN, the hub shows another run's.
        """
        return explained(self._me, self._case(run), self._codebooks)

    def _case(self, run: str) -> dict[str, Any]:
        """What the hub shows of a run; a person who looked at one study never signs another."""
        from isthmus.federation.site_review import case_of

        run = self.named(run)
        shown = self._me.client.case(run)
        if case_of(shown["request"], self._me.agreement).run != run:
            raise _another_run()
        return shown

    def result_in_review(self, run: str) -> Result:
        """A result that waits for output checkers, verified up to their votes.

        Raises:
            Waiting: E-NOT-RELEASED, this person may not look at it. Untrusted: the bundle does not hold.
        """
        return result_in_review(self.bundle(run))

    def decide(self, run: str, choice: Choice, reason: str = "") -> dict[str, Any]:
        """Sign a decision on a study, or on the result that this client fetches and verifies; gives the review after it.

        `entered` says its entry in the hub's ledger, and the sites that cosigned a head with it: a hub cannot keep a decision
        back without the person who gave it seeing that.

        Raises:
            Refused, Invalid, Untrusted: it does not hold, or cannot be given now; E-SELF, E-ROLE; E-LEDGER, the hub does not show that
                the decision is in its ledger.
        """
        run = self.named(run)
        shown = self._case(run)
        vote = choice != "withdraw" and kind_of(shown) == "result"
        if vote:
            require_checker(self._me, shown)
            shown = {**shown, "result": held_in_review(self.bundle(run), run).result}
        signed = decision(self._me, shown, choice, reason, _now())
        answer = self._me.client.decide(signed)
        return {**answer["review"], "entered": entered(answer, signed, self._me.agreement, "vote" if vote else choice)}

    def exports(self, folder: Path) -> tuple[list[Path], dict[str, str]]:
        """Write what the hub shows an auditor: its ledger, its border register, and the bundle of each released run.

        Returns:
            The files; and run -> why the hub does not give its bundle.

        Raises:
            Refused: E-ROLE, your role does not see the ledger.
        """
        client = self._me.client
        found, kept = {"hub.ledger": client.ledger(), "hub.border": client.border()}, {}
        for run in (row["run"] for row in client.runs() if row["state"] in {"concluded", "released"}):
            try:
                found[f"{run[7:19]}.isthmus"] = self.bundle(run)
            except (Refused, Waiting) as error:
                kept[run] = error.message
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name, raw in found.items():
            write_file(folder / name, raw)
        return [folder / name for name in found], kept

    def wait(self, run: str) -> Result:
        """Block until the run ends, then its result.

        Raises:
            IsthmusError: why it was refused or failed.
        """
        ended(list(self.watch(run))[-1])
        return self.result(run)


def entered(answer: Mapping[str, Any], signed: Mapping[str, Any], agreement: Agreement, step: str) -> dict[str, Any]:
    """Where a decision is in the hub's ledger, and which sites cosigned that: `{entry, sites}`.

    Args:
        answer: the hub's, with a `proof`.
        signed: the envelope.
        agreement: with the keys of hub and sites.
        step: `vote` for a vote on a result, else the decision.

    Raises:
        Untrusted: E-LEDGER, the hub proves no entry of this very decision, or nothing at all; E-SIGNATURE, or not by its own key.
    """
    from isthmus.federation.ledgers import signer_of
    from isthmus.ledger.exported import check_keys
    from isthmus.ledger.proved import check_proof
    from isthmus.model.canonical import digest

    hint = "tell the other parties"
    withheld = Untrusted("E-LEDGER", "the hub does not show that the decision is in its ledger", hint)
    try:
        entry, checkpoint, key, witnesses = check_proof(str(answer.get("proof", "")).encode())
    except Invalid as error:
        raise withheld from error
    check_keys("hub", (key, witnesses), signer_of(agreement, "hub"))
    if (checkpoint.origin, entry.facts.get("step"), entry.facts.get("envelope")) != ("hub", step, digest(dict(signed))):
        raise withheld
    return {"entry": entry.sequence, "sites": list(checkpoint.cosigners)}


def _another_run() -> Untrusted:
    hint = "decide on nothing and believe no number; tell the parties of the agreement"
    return Untrusted("E-RUN", "the hub answers with another run than the one asked for", hint)


def connect(config: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Client:
    """A client to the hub of the nearest `isthmus.toml` (or of `config`), under its agreement.

    Raises:
        Invalid: E-CONFIG, no configuration or no [person] in it.
        Untrusted: the agreement is not signed by every party.
        Unavailable: a file is missing.
    """
    from isthmus.federation import agreed
    from isthmus.federation.config import find_config, read_config

    around = os.environ if environ is None else environ
    path = Path(config) if config is not None else find_config(Path.cwd(), around)
    if path is None:
        raise Invalid("E-CONFIG", "no isthmus.toml here or above", "write one with `isthmus init researcher`")
    held = read_config(path, around)
    books = {name: held.path(d.codebook) for name, d in held.tables.dataset.items() if d.codebook}
    return Client(agreed.connect(path, around, _now, partial(passphrase, around)), books)


def sign_standing_rule(terms: Any, where: str, config: str | Path | None = None) -> dict[str, Any]:
    """A standing rule of the custodian whose isthmus.toml this is, signed under its agreement.

    Raises:
        Refused: E-ROLE, E-DATASET. Invalid: E-STANDING, and the terms' own mistakes. Untrusted: as `connect`.
    """
    from isthmus.governance.rulepack import own_pack, pack_digest
    from isthmus.governance.standing_rules import StandingTerms, make_rule, sign_rule
    from isthmus.strict import parse

    with connect(config) as client:
        me, agreement = client.identity, client.agreement
    pack = agreement.rule_pack or pack_digest(own_pack())
    person = next((p for p in agreement.people if p.key == me.card.key), None)
    if person is None:
        raise Refused("E-SIGNER", "the agreement does not name you", "use the keys whose card is in the agreement")
    return sign_rule(make_rule(parse(StandingTerms, terms, where), agreement, pack, person, _now()), me.key)


def with_traffic(result: Result, state: Mapping[str, Any]) -> Result:
    """A result with what crossed the border, as the hub counted it."""
    return Result({**result.to_dict(), "traffic": state.get("traffic", {})})


def ended(state: Mapping[str, Any]) -> None:
    """Nothing, when a run's last status says that it concluded.

    Raises:
        IsthmusError: why it was refused or failed.
    """
    from isthmus.federation.reasons import error_of

    if state.get("state") not in {"concluded", "released"}:
        error: IsthmusError = error_of(state.get("error"))
        raise error


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - an entry point
