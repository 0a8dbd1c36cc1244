"""Where the rules of law stand in a site's way: when it takes an agreement, while it operates, when it admits a study.

Every decision is written to the site's ledger with the pack's digest, rules by outcome, and the facts by `grounds`, so that
each verdict can be judged again. They are public to the parties (agreement, study, route), so a refusal names its rule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from isthmus.crypto.keys import fingerprint
from isthmus.federation.config import Config
from isthmus.federation.grounds import by_text, entered, grounds, of_output
from isthmus.federation.named import text_of
from isthmus.federation.node import Ledger
from isthmus.federation.outputs import Own, Terms
from isthmus.federation.question import Question
from isthmus.federation.reach import Reach
from isthmus.federation.revocations import Revocations
from isthmus.federation.store import Store
from isthmus.governance.admission import RunRequest
from isthmus.governance.agreement import Agreement, agreement_digest, shared_rules
from isthmus.governance.facts import Asking, Known, agreement_facts, signature_facts, site_facts, study_facts, today
from isthmus.governance.passport import read_passport
from isthmus.governance.rulepack import Pack, own_pack, pack_digest, read_pack
from isthmus.governance.selfcheck import proven
from isthmus.governance.signing import SignedAgreement, claims, signers
from isthmus.governance.verdicts import Decision, RuleRefused, check_decision, decide, facts_digest, recorded
from isthmus.model.canonical import canonical
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Untrusted
from isthmus.model.rules import Rules

DECIDED = "law"  # in the store: the last decision on an agreement, so that a restart adds no entry


@dataclass(frozen=True, slots=True)
class Law:
    """A site's rule pack, under an agreement whose signatures are verified.

    Attributes:
        site: which judges.
        signers: custodians by name who signed.
        revocations: of the agreement, as this site knows them.
        reach: whom its studies reached before.
        cache: the last decision of each gate.
        text: the facts that follow from the agreement alone.
    """

    pack: Pack
    agreement: Agreement
    site: str
    signers: frozenset[str]
    revocations: Revocations
    reach: Reach
    cache: MutableMapping[str, Decision] = field(default_factory=dict)
    text: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", by_text(self.agreement, self.pack))

    def take(self, store: Store, ledger: Ledger, now: datetime, signed: SignedAgreement) -> None:
        """Decide on the agreement, write that down with its signatures, and refuse what the rules refuse.

        Raises:
            RuleRefused: E-RULE, E-HUMAN. Invalid: E-PACK. Unavailable: E-DISK.
        """
        known = Known(signers=self.signers, reached=self.reach.within(now))
        facts = {"a": agreement_facts(self.agreement, self.pack, known), "now": today(now)}
        decision = decide(self.pack, "agreement", facts, self.cache)
        judged = self.agreement.judged()
        refused = _refusal(decision, judged)
        entry = taken(signed, "declined" if refused else "admitted") | self._told(decision, facts) | _why(refused)
        enter_once(store, ledger, entry)
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
        return entry | self._told(decision, facts) | _why(refused), refused

    def _known(self, codebooks: Mapping[str, Codebook] | None = None) -> Known:
        return Known(signers=self.signers, codebooks=codebooks, revoked=self.revocations.standing)

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
            "sig": signature_facts(self.agreement, self.signers),
            "now": today(now),
        }
        decision = decide(self.pack, "run", facts, self.cache)
        judged = self.agreement.judged()
        agreed = site_facts(self.agreement, self.site, shared_rules(self.agreement, study.dataset).rules)
        own = [name for name, value in facts["site"].items() if value != agreed.get(name)]
        entry = self._told(decision, facts, own)
        check_decision(decision, judged, entry)
        return entry

    def _told(self, decision: Decision, facts: Mapping[str, Any], own: Collection[str] = ()) -> dict[str, Any]:
        read = grounds(self.agreement, self.text, facts, own)
        return entered(recorded(decision, self.agreement.judged()), read, self.agreement, self.pack)

    def egress(
        self,
        asked: Asked,
        own: Callable[[Question], Own],
        made: Callable[[Terms], Mapping[str, Mapping[str, Any]]],
        when: tuple[datetime, datetime],
    ) -> dict[str, Any]:
        """Decide on each output before this site signs the result; what the ledger's entry holds.

        Args:
            asked: the request, as it was admitted.
            own: what this site finds in its own part of a question's answer.
            made: gives the facts of each output.
            when: it was admitted, and is signed.

        Raises:
            RuleRefused: E-RULE, E-HUMAN. Invalid: E-PACK. Untrusted: E-PASSPORT.
        """
        rules = shared_rules(self.agreement, asked.request.study.dataset).rules  # not the site's own: a refusal is told
        known = {
            "a": agreement_facts(self.agreement, self.pack, self._known({asked.request.study.dataset: asked.codebook})),
            "s": study_facts(asked.request, self._asking(asked, when[0]), self.agreement, self.site, asked.reads),
            "site": site_facts(self.agreement, self.site, rules),
            "now": today(when[1]),
        }
        judged = self._judged_outputs()
        alike: dict[str, list[str]] = {}
        decisions: dict[str, Decision] = {}
        kinds: dict[str, Mapping[str, Any]] = {}
        for name, output in made(self._terms(asked, rules, own)).items():
            seen = facts_digest(output)
            alike.setdefault(seen, []).append(name)
            kinds[seen] = output
            decisions[seen] = decisions.get(seen) or decide(self.pack, "egress", {**known, "o": dict(output)})
        told = [
            {
                "outputs": alike[seen],
                **recorded(each, judged),
                "read": of_output(kinds[seen]),
            }
            for seen, each in decisions.items()
        ]
        read = grounds(self.agreement, self.text, known)
        entry = {"gate": "egress", "pack": pack_digest(self.pack), "decisions": told, "read": read}
        for decision in decisions.values():
            check_decision(decision, judged, entry)
        return entry

    def told(self, admitted: Mapping[str, Any], signed: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The decisions of every gate on a run whose result this site signs.

        Args:
            admitted: what `admit` gave.
            signed: what `egress` gave.
        """
        judged = self.agreement.judged()
        standing = [("agreement", "admitted"), ("operations", "allowed")]
        held = [
            {"verdict": said, **recorded(self.cache[gate], judged)} for gate, said in standing if gate in self.cache
        ]
        outputs = [{"verdict": "signed", **each} for each in signed.get("decisions", ())]
        return [*held, {"verdict": "admitted", **admitted}, *outputs]

    def _terms(self, asked: Asked, rules: Rules, own: Callable[[Question], Own]) -> Terms:
        constants = self.pack.values()
        return Terms(
            agreement=self.agreement,
            rules=rules,
            floors=constants["floors"],
            statbarns=constants["statbarns"],
            people=self._checkers(asked.person),
            requester=asked.person,
            own=own,
        )

    def _checkers(self, asker: str) -> tuple[str, ...]:
        """Who looks at an output: its checkers where the agreement has results reviewed, else this site's custodians,
        who signed that what passes every rule is released."""
        if self.agreement.review is not None and self.agreement.review.egress:
            named = [p.person for p in self.agreement.people if "output_checker" in p.roles and p.person != asker]
        else:
            named = [p.person for p in self.agreement.custodians(self.agreement.site(self.site).party)]
        return tuple(sorted(named))

    def _judged_outputs(self) -> dict[str, str]:
        """A rule on outputs that asks for a person is met where two people look at every result before it is released."""
        judged = self.agreement.judged()
        if self.agreement.review is None or not self.agreement.review.egress:
            return judged
        reviewed = {
            r.id: "output checkers, before release" for r in self.pack.at("egress") if r.severity == "require-human"
        }
        return reviewed | judged

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


def taken(signed: SignedAgreement, verdict: str) -> dict[str, Any]:
    """What an entry holds of an agreement that a hub or site looked at: by this entry's time each signature was there."""
    signatures = [
        {
            "by": claim.person,
            "party": claim.party,
            "key": fingerprint(bytes.fromhex(claim.key)),
            "meaning": claim.meaning,
            "time": claim.time,
            "envelope": claim.envelope,
        }
        for claim in claims(signed)
    ]
    return {"agreement": agreement_digest(signed.agreement), "verdict": verdict, "signatures": signatures}


def enter_once(store: Store, ledger: Ledger, entry: Mapping[str, Any]) -> None:
    """Write a decision on an agreement down; the same one again, after a restart, adds no entry.

    Raises:
        Unavailable: E-DISK.
    """
    said = canonical(entry).decode()
    if store.fact(DECIDED) != said:
        ledger.append("decision", entry)
        store.set_fact(DECIDED, said)


def law_of(config: Config, signed: SignedAgreement, revocations: Revocations, reach: Reach) -> Law:
    """The law of a site under an agreement whose signatures were verified: the pack that comes with Isthmus, and the one its configuration adds.

    The agreement names both as one, or the former, to which a site may add rules of its own. Without a name no study runs.

    Raises:
        Untrusted: E-PACK, the agreement names another pack. Invalid: E-PACK and those of `read_pack`,
            and `proven`.
        Unavailable: E-FILE.
    """
    agreement, pack, own = signed.agreement, own_pack(), config.site().rule_pack
    if own is not None:
        text = text_of(config.path(own), "the rule pack", "check [site] rule_pack")
        pack = proven(pack, read_pack(text, own))
    if agreement.rule_pack not in {None, pack_digest(own_pack()), pack_digest(pack)}:  # what a site adds only restricts
        hint = "use the version of Isthmus, and the rule_pack, that the agreement was signed with; or agree anew"
        raise Untrusted("E-PACK", "the agreement names another rule pack than this site has", hint)
    return Law(pack, agreement, config.site().name, signers(signed), revocations, reach)


def _why(refused: RuleRefused | None) -> dict[str, Any]:
    if refused is None:
        return {}
    return {"code": refused.code, "rule": refused.record["rule"], "citation": refused.record["citation"]}


def _refusal(decision: Decision, judged: dict[str, str]) -> RuleRefused | None:
    try:
        check_decision(decision, judged)
    except RuleRefused as refused:
        return refused
    return None
