"""`isthmus agreement`: write, sign, check and show the contract of an alliance."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen
from isthmus.model.errors import Exit, Invalid, IsthmusError, Refused, Untrusted

if TYPE_CHECKING:
    from isthmus.governance.agreement import Agreement
    from isthmus.governance.guide import Asked
    from isthmus.governance.signing import SignedAgreement

File = Annotated[Path, typer.Argument(metavar="AGREEMENT", help="The agreement file.")]


class Template(StrEnum):
    """Terms to complete."""

    ACADEMIC = "uk-us-academic"
    COMPANY = "uk-us-company"
    ONE_COUNTRY = "one-country"


Previous = Annotated[Path | None, typer.Option(help="The version that this one replaces; its parties sign too.")]


def new(  # noqa: PLR0913 - one per option
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The agreement to write; with --template, the terms.")],
    terms: Annotated[
        Path | None, typer.Option(help="What people decide: dates, datasets, question kinds, disclosure floor.")
    ] = None,
    card: Annotated[
        list[Path] | None, typer.Option(help="A party's card.json (repeat: one hub, the sites, the people).")
    ] = None,
    previous: Previous = None,
    template: Annotated[Template | None, typer.Option(help="Write terms to complete instead.")] = None,
    guided: Annotated[bool, typer.Option("--guided", help="With --template: be asked for the essentials.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write an agreement from terms and the parties' cards, or terms to complete."""
    from isthmus.governance.card import read_card
    from isthmus.governance.drafting import Terms, new_agreement, write_text
    from isthmus.governance.guide import require_stated
    from isthmus.governance.signing import unsigned
    from isthmus.sdk.files import load_file, read_text, write_file
    from isthmus.strict import parse

    screen = Screen.of(json=False, quiet=quiet)
    if template is not None:
        left = _write_template(file, template, guided)
        screen.say(
            f"Written: {file}; {left} claims, marked #?, are for their owners to state or confirm. Complete it, then: isthmus agreement new AGREEMENT --terms {file} --card ..."
        )
        return
    if terms is None or not card:
        raise Invalid(
            "E-USAGE", "terms and cards make an agreement", "--terms FILE and --card FILE, or --template NAME"
        )
    cards = [read_card(read_text(path).encode()) for path in card]
    before = _before(previous)
    require_stated(read_text(terms), str(terms))
    made = new_agreement(parse(Terms, load_file(terms), str(terms)), cards, before)
    write_file(file, write_text(unsigned(made, before)))
    screen.say(f"Written: {file}. Next: every party's custodian signs it.")


def check(file: File, json: Json = False, quiet: Quiet = False) -> int:
    """Check that it is consistent, signed by every party and not over, and show what the rules of law say of it.

    What the rules say is shown of a draft too, before anybody has signed it. Exit code 5 when no site takes it, or no study
    could run under it today: it is over after its last day, and once a party revoked it, whose revocation lies beside the
    file, where a custodian or a running node put it.
    """
    from isthmus.cli.law import law, law_document, say_law, stopped, taken
    from isthmus.governance.agreement import agreement_digest
    from isthmus.governance.citations import cited
    from isthmus.governance.facts import Known, today
    from isthmus.governance.signing import check_signatures, signers

    screen, read = Screen.of(json=json, quiet=quiet), read_file(file)
    now = datetime.now(UTC)  # noqa: TID251 - an entry point
    try:
        agreement = check_signatures(read, now=now)
    except IsthmusError as error:
        if error.code == "E-AGREEMENT-UNSIGNED" and not screen.json and not screen.quiet:
            say_law(screen, law(read.agreement, today(now)))
        raise cited(error) from error
    day, known = today(now), Known(signers=signers(read))
    found, refused = law(agreement, day, known), _over(file, agreement, now) or taken(agreement, day, known)
    if screen.json:
        rules = {entry.dataset: _effective(agreement, entry.dataset) for entry in agreement.datasets}
        digest = agreement_digest(agreement)
        body = {"schema": "isthmus/agreement-check/1", "agreement": digest, "signed": True, "rules": rules}
        screen.document({**body, "law": law_document(found), "refused": refused.to_dict() if refused else None})
    if not screen.json and not screen.quiet:
        _say_rules(screen, agreement)
        say_law(screen, found)
    screen.say(f"ok  consistent, signed by all {len(agreement.parties)} parties", style="green")
    if refused is None:
        return _runs(screen, stopped(found))
    where = f" ({refused.where})" if refused.where else ""
    screen.say(f"No site takes it: {refused.message}{where}", style="bold")
    return int(refused.exit)


def _over(file: Path, agreement: Agreement, now: datetime) -> IsthmusError | None:
    """Why nothing is done under it any more."""
    from isthmus.federation.revocations import require_standing
    from isthmus.governance.agreement import check_in_force
    from isthmus.governance.citations import cited

    try:
        require_standing(file, agreement)
        check_in_force(agreement, now)
    except Refused as error:
        return cited(error) if error.code != "E-NOT-YET" else None
    return None


def _runs(screen: Screen, stopping: tuple[str, ...]) -> int:
    if not stopping:
        return int(Exit.DONE)
    screen.say(f"Sites take it, and no study runs: {', '.join(stopping)}", style="bold")
    return int(Exit.REFUSED)


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The version before.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The version after.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say in plain words what changed from one version to the next."""
    from isthmus.governance.difference import differences

    screen = Screen.of(json=json, quiet=quiet)
    found = differences(read_file(old).agreement, read_file(new).agreement)
    if screen.json:
        screen.document({"schema": "isthmus/agreement-diff/1", "changes": found})
    for line in found or ["no difference"]:
        screen.say(line)


def sign(
    file: File,
    key: Annotated[Path, typer.Option(help="Folder of your custodian's keys, as `isthmus init custodian` made them.")],
    previous: Previous = None,
    quiet: Quiet = False,
) -> None:
    """Sign for your party; parties sign one after the other.

    What is signed, and what that means, is said first. A text under which an earlier signature does not hold is not signed.
    """
    from isthmus.crypto.keys import fingerprint
    from isthmus.federation.identity import load_identity
    from isthmus.governance.agreement import agreement_digest
    from isthmus.governance.drafting import write_text
    from isthmus.governance.signing import MEANING, sign_agreement
    from isthmus.sdk.files import write_file
    from isthmus.sdk.unlock import passphrase

    screen, read = Screen.of(json=False, quiet=quiet), read_file(file)
    text = read.agreement
    screen.say(f"{text.title} ({text.id}, version {text.version}), {text.starts} to {text.expires}", style="bold")
    screen.say(agreement_digest(text), style="dim")
    screen.say(f"Your signature {MEANING}. Read it with: isthmus agreement show {file}")
    identity = load_identity(key, partial(passphrase, os.environ))
    signed = sign_agreement(read, identity.key, datetime.now(UTC), _before(previous))  # noqa: TID251 - an entry point
    write_file(file, write_text(signed))
    screen.say(f"Signed by {identity.name}: {file}")
    for person in signed.agreement.people:
        if "custodian" in person.roles and person.key != identity.card.key:
            screen.say(
                f"  key of {person.person} ({person.party}): {fingerprint(bytes.fromhex(person.key))}; compare it by voice"
            )


def show(file: File, json: Json = False, quiet: Quiet = False) -> None:
    """Read the whole agreement out in plain words, with signatures, rules in force and state."""
    from isthmus.federation.revocations import revocation_beside
    from isthmus.governance.agreement import agreement_digest
    from isthmus.governance.reviewers import review_words
    from isthmus.model.canonical import plain
    from isthmus.sdk.artefacts.terms import terms
    from isthmus.sdk.tables import Table

    screen = Screen.of(json=json, quiet=quiet)
    signed = read_file(file)
    agreement = signed.agreement
    digest = agreement_digest(agreement)
    if screen.json:
        rules = {entry.dataset: _effective(agreement, entry.dataset) for entry in agreement.datasets}
        screen.document({"schema": "isthmus/agreement-show/1", "digest": digest, **plain(agreement), "rules": rules})
        return
    screen.say(f"{agreement.title} ({agreement.id}, version {agreement.version})", style="bold")
    screen.say(f"{agreement.starts} to {agreement.expires}; {digest}", style="dim")
    screen.say(f"Version before: {agreement.previous or 'none'}", style="dim")
    screen.say(f"Questions: {', '.join(agreement.analyses)}")
    screen.say(f"Released besides estimates: {', '.join(agreement.releases) or 'nothing'}")
    screen.say(f"Two sites may see each other's part of a sum: {'yes' if agreement.two_party else 'no'}")
    pack = agreement.rule_pack
    screen.say(f"Rule pack of every site: {pack or 'not stated'}")
    for part in terms(signed):
        if isinstance(part, Table):
            screen.table(part)
        else:
            screen.say(f"{part.title}: {' '.join(part.lines)}")
    _say_rules(screen, agreement)
    for line in review_words(agreement):
        screen.say(line)
    revoked = revocation_beside(file, agreement)
    if revoked is None:
        screen.say(_state(signed))
    else:
        screen.say(f"Not in force. Revoked by {revoked.party} ({revoked.name}): {revoked.reason}", style="bold")


def _effective(agreement: Agreement, dataset: str) -> dict[str, Any]:
    """Rule -> its strictest value and whose it is: the agreement's, the dataset's or a site's."""
    from isthmus.governance.agreement import shared_rules
    from isthmus.model.canonical import plain

    found = shared_rules(agreement, dataset)
    return {rule: {"value": value, "whose": found.whose[rule]} for rule, value in plain(found.rules).items()}


def _say_pin(screen: Screen, agreement: Agreement) -> None:
    from isthmus.governance.rulepack import own_pack, pack_digest

    own, agreed = pack_digest(own_pack()), agreement.rule_pack
    if agreed is None:
        screen.say(f"look: the agreement pins no rule pack, so no study runs: state duties.rule_pack: {own}")
    elif agreed != own:
        screen.say(f"look: the agreement pins the rule pack {agreed}; what the rules say here is of {own}")


def _say_rules(screen: Screen, agreement: Agreement) -> None:
    from isthmus.disclosure.rules import subtraction_floor, subtraction_safe
    from isthmus.governance.agreement import shared_rules
    from isthmus.sdk.artefacts.registers import limit_in_words
    from isthmus.sdk.tables import Table

    _say_pin(screen, agreement)
    for entry in agreement.datasets:
        found = _effective(agreement, entry.dataset)
        rows = tuple((rule, limit_in_words(held["value"]), held["whose"]) for rule, held in found.items())
        title = f"Disclosure rules in force: {entry.dataset}"
        screen.table(Table(title=title, headings=("Rule", "Value", "Whose"), rows=rows, labels=3))
        rules = shared_rules(agreement, entry.dataset).rules
        if not subtraction_safe(rules):
            screen.say(
                f"look: minimum_count_site below {subtraction_floor(rules)}: a site that subtracts its own part from a"
                " pooled cell may be left with fewer people than minimum_count"
            )


def _write_template(file: Path, template: Template, guided: bool) -> int:
    """Write terms to complete; gives how many claims are left in them."""
    from isthmus.governance.guide import claims, completed, questions
    from isthmus.governance.rulepack import packed
    from isthmus.sdk.files import write_file

    if file.exists():
        raise Invalid("E-EXISTS", "there is a file of that name already", "choose another name", str(file))
    text = packed(f"{template.value}.yaml", "templates")
    if guided:
        text = completed(text, {asked.name: _answer(asked) for asked in questions(text)})
    write_file(file, text)
    return claims(text)


def _answer(asked: Asked) -> str:
    """Ask until the answer can stand; a codebook's file is answered by its digest."""
    from isthmus.data.dictionary import read_codebook
    from isthmus.governance.guide import check
    from isthmus.model.canonical import digest

    while True:
        said = str(typer.prompt(asked.words, default=asked.default or None))
        try:
            if asked.name == "codebook" and not said.startswith("sha256:"):
                said = digest(read_codebook(Path(said)))
            return check(asked.name, said)
        except IsthmusError as error:
            typer.echo(f"{error.message}: {error.hint}", err=True)


def read_file(file: Path) -> SignedAgreement:
    """A signed or unsigned agreement.

    Raises:
        Invalid: E-AGREEMENT, another file, which is said to be terms where it looks so; E-UNSTATED, claims of it are still open.
    """
    from isthmus.data.yaml_text import load_yaml
    from isthmus.governance.drafting import read_agreement
    from isthmus.governance.guide import require_stated
    from isthmus.governance.signing import read_signed, unsigned
    from isthmus.sdk.files import read_text

    text = read_text(file)
    found = load_yaml(text)
    kind = found.get("isthmus") if isinstance(found, dict) else None
    if kind not in _KINDS:
        terms = isinstance(found, dict) and "datasets" in found
        make = f"these may be terms: isthmus agreement new agreement.yaml --terms {file} --card ..."
        said = make if terms else "`isthmus agreement new` makes one"
        raise Invalid(
            "E-AGREEMENT", f"not an agreement: it does not say isthmus: {' or '.join(_KINDS)}", said, str(file)
        )
    require_stated(text, str(file))
    if kind == "signed-agreement/1":
        return read_signed(text, str(file))
    return unsigned(read_agreement(text, str(file)))


_KINDS = ("agreement/1", "signed-agreement/1")


def _state(signed: SignedAgreement) -> str:
    from isthmus.governance.signing import check_signatures

    try:
        check_signatures(signed, now=datetime.now(UTC))  # noqa: TID251 - an entry point
    except Untrusted as error:
        return f"Not in force: {error.message}"
    return "Signed by every party."


def _before(previous: Path | None) -> Agreement | None:
    return read_file(previous).agreement if previous is not None else None
