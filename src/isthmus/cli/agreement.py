"""`isthmus agreement`: write, sign, check and show the contract of an alliance."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen
from isthmus.model.errors import Untrusted

if TYPE_CHECKING:
    from isthmus.governance.signing import SignedAgreement

File = Annotated[Path, typer.Argument(metavar="AGREEMENT", help="The agreement file.")]


def new(
    file: File,
    terms: Annotated[Path, typer.Option(help="What people decide: dates, datasets, question kinds, disclosure floor.")],
    card: Annotated[list[Path], typer.Option(help="A party's card.json (repeat: one hub, the sites, the people).")],
    quiet: Quiet = False,
) -> None:
    """Write an agreement from terms and the parties' cards."""
    from isthmus.governance.card import read_card
    from isthmus.governance.drafting import Terms, new_agreement, write_text
    from isthmus.governance.signing import unsigned
    from isthmus.sdk.files import load_file, read_text
    from isthmus.strict import parse

    cards = [read_card(read_text(path).encode()) for path in card]
    made = new_agreement(parse(Terms, load_file(terms), str(terms)), cards)
    file.write_text(write_text(unsigned(made)), encoding="utf-8")
    Screen.of(json=False, quiet=quiet).say(f"Written: {file}. Next: every party's custodian signs it.")


def check(file: File, json: Json = False, quiet: Quiet = False) -> None:
    """Check that it is consistent and signed by every party."""
    from isthmus.governance.agreement import agreement_digest
    from isthmus.governance.signing import check_signatures

    screen = Screen.of(json=json, quiet=quiet)
    agreement = check_signatures(_read(file))
    if screen.json:
        screen.document(
            {"schema": "isthmus/agreement-check/1", "agreement": agreement_digest(agreement), "signed": True}
        )
    screen.say(f"ok  consistent, signed by all {len(agreement.parties)} parties", style="green")


def sign(
    file: File,
    key: Annotated[Path, typer.Option(help="Folder of your custodian's keys, as `isthmus init custodian` made them.")],
    quiet: Quiet = False,
) -> None:
    """Sign for your party; parties sign one after the other."""
    from isthmus.federation.identity import load_identity
    from isthmus.governance.drafting import write_text
    from isthmus.governance.signing import sign_agreement

    identity = load_identity(key)
    signed = sign_agreement(_read(file), identity.key, datetime.now(UTC))  # noqa: TID251 - an entry point
    file.write_text(write_text(signed), encoding="utf-8")
    Screen.of(json=False, quiet=quiet).say(f"Signed by {identity.name}: {file}")


def show(file: File, json: Json = False, quiet: Quiet = False) -> None:
    """Show parties, sites, datasets, rules, dates, signatures."""
    from isthmus.governance.agreement import agreement_digest
    from isthmus.model.canonical import plain
    from isthmus.sdk.tables import Table

    screen = Screen.of(json=json, quiet=quiet)
    signed = _read(file)
    agreement = signed.agreement
    digest = agreement_digest(agreement)
    if screen.json:
        screen.document({"schema": "isthmus/agreement-show/1", "digest": digest, **plain(agreement)})
        return
    screen.say(f"{agreement.title} ({agreement.id}, version {agreement.version})", style="bold")
    screen.say(f"{agreement.starts} to {agreement.expires}; {digest}", style="dim")
    screen.say(f"Questions: {', '.join(agreement.analyses)}")
    sites = tuple((s.site, s.party, s.country, s.facility) for s in agreement.sites)
    screen.table(Table(title="Sites", headings=("Site", "Party", "Country", "Facility"), rows=sites, labels=4))
    rules = tuple((name, str(value)) for name, value in plain(agreement.disclosure).items())
    screen.table(Table(title="Disclosure floor", headings=("Rule", "Value"), rows=rules, labels=2))
    screen.say(_state(signed))


def _read(file: Path) -> SignedAgreement:
    from isthmus.governance.drafting import read_agreement
    from isthmus.governance.signing import read_signed, unsigned
    from isthmus.sdk.files import read_text

    text = read_text(file)
    if "signed-agreement/1" in text:
        return read_signed(text, str(file))
    return unsigned(read_agreement(text, str(file)))


def _state(signed: SignedAgreement) -> str:
    from isthmus.governance.signing import check_signatures

    try:
        check_signatures(signed)
    except Untrusted as error:
        return f"Not in force: {error.message}"
    return "Signed by every party."
