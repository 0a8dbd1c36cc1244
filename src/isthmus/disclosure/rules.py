"""Which rules hold: what a party may state, and the strictest of all that were stated, with whose it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, Literal

from isthmus.model.errors import Invalid, Refused
from isthmus.model.record import record
from isthmus.model.rules import MAXIMUM_DIGITS, Dominance, OwnRules, Rules, applies
from isthmus.strict import parse

Mode = Literal["rehearsal", "federated"]
Status = Literal["Passed", "Passed after suppression", "Look", "Blocked"]

RULES: tuple[str, ...] = tuple(f.name for f in fields(Rules))
FLOORS: Mapping[str, int] = {"minimum_count": 5, "minimum_sites": 3}  # the least an agreement may state
TWO_PARTIES = 2  # minimum_sites where every custodian signed that two parties see each other's part


@record
class Finding:
    """What people see of one rule on one question: never a count, a name from the rows or a site."""

    rule: str
    status: Status


@record
class Effective:
    """The strictest rules of all parties, and for each rule the party that stated it."""

    rules: Rules
    whose: Mapping[str, str]


def read_rules(data: object, mode: Mode, where: str = "rules") -> Rules:
    """Rules from a file's plain data.

    Raises:
        Invalid: E-MISSING-KEY, E-UNKNOWN-KEY, E-TYPE, and those of `check_rules`.
        Refused: E-RULES-FLOOR.
    """
    rules = parse(Rules, data, where)
    check_rules(rules, mode)
    return rules


def check_rules(rules: Rules, mode: Mode, least_sites: int = FLOORS["minimum_sites"]) -> None:
    """Refuse rules that a party may not state in this mode.

    Args:
        rules: as stated.
        mode: `federated` for an agreement, a dataset or a serving site; `rehearsal` for one's own files.
        least_sites: 2 only under an agreement whose custodians all accepted two-party disclosure.

    Raises:
        Invalid: E-RULES, a value outside its range; in `federated` also a rule that is switched off.
        Refused: E-RULES-FLOOR, in `federated` a floor below the least any agreement may state.
    """
    for rule, (within, allowed) in _RANGES.items():
        stated = getattr(rules, rule)
        if stated is not None and not within(stated):
            raise Invalid("E-RULES", f"{rule} is out of range", f"{rule} must be {allowed}", rule)
    if mode == "federated":
        _check_federated(rules, least_sites)


def strictest(stated: Mapping[str, Rules]) -> Effective:
    """The strictest value of each rule; on equal values the first party named. `None` is the least strict.

    Args:
        stated: whose -> rules, for example agreement, dataset, site, in this order.

    Raises:
        Invalid: E-RULES, when nobody states any.
    """
    if not stated:
        raise Invalid("E-RULES", "nobody states disclosure rules", "state every rule in the agreement or rehearsal")
    chosen = {rule: _strictest_of(rule, {who: getattr(r, rule) for who, r in stated.items()}) for rule in RULES}
    rules = Rules(**{rule: value for rule, (value, _) in chosen.items()})
    return Effective(rules=rules, whose={rule: who for rule, (_, who) in chosen.items() if who is not None})


def with_own(agreed: Rules, own: OwnRules | None) -> Rules:
    """The agreed rules, stricter where a site's own are; a weaker one of its own changes nothing.

    Raises:
        Invalid: E-RULES, a value outside its range.
    """
    stated = {f.name: getattr(own, f.name) for f in fields(OwnRules)} if own else {}
    mine = replace(agreed, **{rule: value for rule, value in stated.items() if value is not None})
    check_rules(mine, "rehearsal")
    return strictest({"agreed": agreed, "own": mine}).rules


def subtraction_floor(rules: Rules) -> int:
    """The least `minimum_count_site` at which a pooled cell less any one party's part is 0 or reaches `minimum_count`.

    With zeros barred every other party holds some: the floor is shared among at least `minimum_sites` - 1 of them.
    Where zeros are allowed all of the rest may come from one party.
    """
    floor = rules.minimum_count if rules.minimum_count is not None and applies(rules, "minimum_count") else 1
    return -(-floor // (rules.minimum_sites - 1)) if rules.zeros == "barred" else floor


def subtraction_safe(rules: Rules) -> bool:
    """Whether no party that subtracts its own part from a pooled cell is left with a few people of the others."""
    stated = rules.minimum_count_site if rules.minimum_count_site is not None else 1
    return stated >= subtraction_floor(rules)


def check_at_least(rules: Rules, floor: Rules) -> None:
    """Refuse rules that are weaker than a floor anywhere.

    Raises:
        Refused: E-RULES-FLOOR, names the rules.
    """
    combined = strictest({"floor": floor, "own": rules}).rules
    weaker = [rule for rule in RULES if getattr(combined, rule) != getattr(rules, rule)]
    if weaker:
        raise Refused(
            "E-RULES-FLOOR",
            "these rules are weaker than the agreement's: " + ", ".join(weaker),
            "a dataset or site may only be stricter than the agreement",
        )


def restricts(rules: Rules) -> bool:
    """Whether any rule could refuse or suppress something; the number of sites and of digits aside."""
    return any(applies(rules, rule) for rule in RULES if rule not in {"minimum_sites", "digits"})


def is_open(rules: Rules) -> bool:
    """Whether no rule restricts anything: own files only. The number of digits counts as a rule."""
    return not restricts(rules) and (rules.digits is None or rules.digits >= MAXIMUM_DIGITS)


def _check_federated(rules: Rules, least_sites: int) -> None:
    off = [rule for rule in RULES if getattr(rules, rule) is None]
    if off:
        hint = "null switches a rule off in a rehearsal only; state every rule, digits too"
        raise Invalid("E-RULES", "not stated: " + ", ".join(off), hint, off[0])
    floors = {**FLOORS, "minimum_sites": least_sites}
    low = [f"{rule} >= {least}" for rule, least in floors.items() if getattr(rules, rule) < least]
    if low:
        hint = "two sites only with two_party: true, signed by every custodian" if rules.minimum_sites < 3 else ""
        raise Refused("E-RULES-FLOOR", "an agreement needs " + ", ".join(low), hint)


def _at_least_one(value: int) -> bool:
    return value >= 1


def _share(value: float) -> bool:
    return 0.0 < value <= 1.0  # False for NaN


def _sound_dominance(value: Dominance) -> bool:
    return value.n >= 1 and _share(value.k) and 0.0 <= value.p <= 1.0


_RANGES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "minimum_count": (_at_least_one, "a whole number, at least 1"),
    "minimum_count_site": (_at_least_one, "a whole number, at least 1"),
    "round_to": (_at_least_one, "a whole number, at least 1 (1 = no rounding)"),
    "zeros": (lambda value: value in {"allowed", "barred"}, "allowed or barred"),
    "dominance": (_sound_dominance, "n >= 1, 0 < k <= 1, 0 <= p <= 1"),
    "minimum_dof": (_at_least_one, "a whole number, at least 1"),
    "parameters_per_row": (_share, "above 0, at most 1"),
    "maximum_leverage": (_share, "above 0, at most 1"),
    "maximum_weight_share": (_share, "above 0, at most 1"),
    "minimum_sites": (lambda value: value >= TWO_PARTIES, "a whole number, at least 2"),
    "digits": (lambda value: 1 <= value <= MAXIMUM_DIGITS, f"from 1 to {MAXIMUM_DIGITS}"),
}

# Higher is stricter, or lower is.
_STRICTER: Mapping[str, Callable[[Any, Any], bool]] = {
    rule: (lambda a, b: a < b)
    if rule in {"parameters_per_row", "maximum_leverage", "maximum_weight_share", "digits"}
    else (lambda a, b: a > b)
    for rule in RULES
    if rule not in {"zeros", "dominance"}
} | {"zeros": lambda a, b: (a, b) == ("barred", "allowed")}


def _strictest_of(rule: str, stated: Mapping[str, Any]) -> tuple[Any, str | None]:
    given = [(value, who) for who, value in stated.items() if value is not None]
    if not given:
        return None, None
    if rule == "dominance":
        return _strictest_dominance(given)
    best, whose = given[0]
    for value, who in given[1:]:
        if _STRICTER[rule](value, best):
            best, whose = value, who
    return best, whose


def _strictest_dominance(given: list[tuple[Dominance, str]]) -> tuple[Dominance, str]:
    """Part by part: more contributors, a smaller share and a larger rest each imply both parties' rules."""
    n, k, p = max(d.n for d, _ in given), min(d.k for d, _ in given), max(d.p for d, _ in given)
    owners = (
        next(who for d, who in given if d.n == n),
        next(who for d, who in given if d.k == k),
        next(who for d, who in given if d.p == p),
    )
    return Dominance(n=n, k=k, p=p), " and ".join(dict.fromkeys(owners))
