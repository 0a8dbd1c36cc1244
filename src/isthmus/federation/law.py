"""Where the rules of law stand in a site's way: when it takes an agreement, while it operates, when it admits a study.

Every decision is written to the site's ledger with the pack's digest: rules by outcome, no facts. What they rest on is
public to the parties (agreement, study, route), so a refusal names its rule.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from isthmus.federation.config import Config
from isthmus.federation.node import Ledger
from isthmus.federation.revocations import Revocations
from isthmus.federation.store import Store
from isthmus.governance.admission import RunRequest
from isthmus.governance.agreement import Agreement, agreement_digest
from isthmus.governance.facts import Asking, Known, agreement_facts, signature_facts, site_facts, study_facts, today
from isthmus.governance.passport import read_passport
from isthmus.governance.rulepack import Pack, extended, own_pack, pack_digest, read_pack
from isthmus.governance.verdicts import Decision, RuleRefused, check_decision, decide, recorded
from isthmus.model.canonical import canonical
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Unavailable, Untrusted
from isthmus.model.rules import Rules

DECIDED = "law"  # in the store: the last decision on an agreement, so that a restart adds no entry


@dataclass(frozen=True, slots=True)
class Law:
    """A site's rule pack, under an agreement whose signatures are verified.

    Attributes:
        site: which judges.
        parties: whose custodians signed.
        revocations: of the agreement, as this site knows them.
        cache: the last decision of each gate.
    """

    pack: Pack
    agreement: Agreement
    site: str
    parties: frozenset[str]
    revocations: Revocations
    cache: MutableMapping[str, Decision] = field(default_factory=dict)

    def take(self, store: Store, ledger: Ledger) -> None:
        """Decide on the agreement, write that down, and refuse what the rules refuse.

        Raises:
            RuleRefused: E-RULE, E-HUMAN. Invalid: E-PACK. Unavailable: E-DISK.
        """
        facts = {"a": agreement_facts(self.agreement, self.pack, Known(parties=self.parties))}
        decision = decide(self.pack, "agreement", facts, self.cache)
        judged = self.agreement.judged()
        refused = _refusal(decision, judged)
        entry = {"agreement": agreement_digest(self.agreement), "verdict": "declined" if refused else "admitted"}
        entry |= recorded(decision, judged)
        said = canonical(entry).decode()
        if store.fact(DECIDED) != said:
            ledger.append("decision", entry)
            store.set_fact(DECIDED, said)
        if refused is not None:
            raise refused

    def operate(self, now: datetime) -> tuple[dict[str, Any], RuleRefused | None]:
        """Decide whether this site may operate under the agreement at a time; what the ledger's entry holds, and why not.

        Raises:
            Invalid: E-PACK.
        """
        facts = {
            "a": agreement_facts(self.agreement, self.pack, self._known()),
            "site": site_facts(self.agreement, self.site, self.agreement.disclosure),
            "now": today(now),
        }
        decision, judged = decide(self.pack, "operations", facts, self.cache), self.agreement.judged()
        refused = _refusal(decision, judged)
        entry = {"agreement": agreement_digest(self.agreement), "verdict": "stopped" if refused else "allowed"}
        return entry | recorded(decision, judged), refused

    def _known(self, codebooks: Mapping[str, Codebook] | None = None) -> Known:
        return Known(parties=self.parties, codebooks=codebooks, revoked=self.revocations.standing)

    def admit(self, asked: Asked, now: datetime) -> dict[str, Any]:
        """Decide on an admitted request; what the ledger's entry holds of it.

        Raises:
            RuleRefused: E-RULE, E-HUMAN. Invalid: E-PACK. Untrusted: E-PASSPORT.
        """
        study = asked.request.study
        known = self._known({study.dataset: asked.codebook})
        facts = {
            "a": agreement_facts(self.agreement, self.pack, known),
            "s": study_facts(asked.request, self._asking(asked, now), self.agreement, self.site, asked.reads),
            "site": site_facts(self.agreement, self.site, asked.rules),
            "sig": signature_facts(self.parties),
            "now": today(now),
        }
        decision = decide(self.pack, "run", facts, self.cache)
        judged = self.agreement.judged()
        check_decision(decision, judged)
        return recorded(decision, judged)

    def _asking(self, asked: Asked, now: datetime) -> Asking:
        if asked.request.passport is None:
            return Asking(asked.person)
        signed = datetime.fromisoformat(asked.request.created)
        passport = read_passport(asked.request.passport, self.agreement, asked.person, signed, now)
        return Asking(asked.person, passport.facts())


@dataclass(frozen=True, slots=True)
class Asked:
    """An admitted request as its site sees it: who asks, what it reads, the codebook, the site's rules."""

    request: RunRequest
    person: str
    reads: Collection[str]
    codebook: Codebook
    rules: Rules


def law_of(config: Config, agreement: Agreement, revocations: Revocations) -> Law:
    """The law of a site: the pack that comes with Isthmus, and the one its configuration adds.

    Raises:
        Untrusted: E-PACK, the agreement names another pack. Invalid: E-PACK and those of `read_pack`.
        Unavailable: E-FILE.
    """
    pack, own = own_pack(), config.site().rule_pack
    if own is not None:
        try:
            pack = extended(pack, read_pack(config.path(own).read_text(encoding="utf-8"), own))
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable("E-FILE", "the rule pack cannot be read", "check [site] rule_pack", own) from error
    agreed = agreement.duties.rule_pack if agreement.duties else None
    if agreed is not None and agreed != pack_digest(pack):
        hint = "use the version of Isthmus, and the rule_pack, that the agreement was signed with; or agree anew"
        raise Untrusted("E-PACK", "the agreement names another rule pack than this site has", hint)
    return Law(pack, agreement, config.site().name, frozenset(p.party for p in agreement.parties), revocations)


def _refusal(decision: Decision, judged: dict[str, str]) -> RuleRefused | None:
    try:
        check_decision(decision, judged)
    except RuleRefused as refused:
        return refused
    return None
