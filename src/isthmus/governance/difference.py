"""What changed between two versions of an agreement, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.governance.agreement import Agreement
from isthmus.governance.asked import no_longer_asked
from isthmus.governance.rulepack import own_pack
from isthmus.model.canonical import plain
from isthmus.model.names import words

# What names an entry of a list, the first that it has; other lists are sets of words.
_NAMES = ("rule", "person", "site", "dataset", "purpose", "flow", "facility", "controller", "issuer", "party")
_ENTRIES = {
    "parties": "party",
    "people": "person",
    "sites": "site",
    "datasets": "dataset",
    "custody": "custody of",
    "purposes": "purpose",
    "flows": "flow",
    "facilities": "facility",
    "judgements": "judgement on",
    "approvals": "approval by",
    "passport_issuers": "passport issuer",
}
_NAMED, _WORDS = (
    str.maketrans("._", "\0\1"),
    str.maketrans("\0\1", "._"),
)  # dots and strokes of a name are not those of a place
_QUIET = words("certificate tls")  # changed together with a key, or with the machine
_LESS = ("maximum_", "parameters_per_row", "digits", "dominance.k", "rho", "total", "each", "per_")  # less is stricter
_MORE = ("egress", "minimum_", "round_to", "dominance.p", "dominance.n", "colluders")
# Words that open when they are added to a list, and close when they leave it; those of `modifiers` the other way round.
_OPENING = words(
    "releases analyses variables territory regions institutions projects users purposes flows passport_issuers parties"
    " judgements identifiers_found"
)
_ABOUT = words("subjects categories")  # more of them is more in reach; fewer may be fewer rules
_CLOSING = words("modifiers approvals cages")
_ASKERS = "researcher"  # whoever has this role may ask; nobody else opens anything by being added
# Statements by which less is asked for, and those by which less is promised.
_WEAKER_TRUE = words("links two_party personal covered_person individual_decisions opt_out_exempt journalism")
_WEAKER_FALSE = words(
    "onward_ban opt_out_applied no_actual_knowledge zip3_ok age90_ok one_per_country sensitive_flagged mandatory_met"
    " federation_met mfa encrypt_rest auto_logoff egress_default_deny clipboard_block isolation active uk_extension non_hr"
    " part2_consent wa_consent approved_medical_research"
)
# What holds somebody to something by being stated at all: limits, safeguards, documents, dates.
_HOLDS = words(
    "review privacy questions rules each retention controls satre rule_pack assessments flows variables territory regions"
    " institutions projects users disease publish_after duo custody dspt ethics section_251 deidentification"
    " identifiability_assessment test anonymisation_test document letter exemption opinion determination expert_report"
    " confidence_document hipaa_document training_expires iso27001_expires nist_800_171 expert_expires"
    " standing status duties facilities"
)
_IDENTIFIABLE = (
    "synthetic", "anonymous_ico", "hipaa_expert", "hipaa_safe_harbor", "hipaa_lds", "pseudonymised", "identifiable",
)  # fmt: skip
# Words from the strictest to the weakest; and those that say that a duty does not apply at all.
_RANKS = (
    ("barred", "allowed"),
    _IDENTIFIABLE,
    ("synthetic", "encrypted_shares", "aggregates", "model_parameters", "remote_access_records", "records"),
    ("DUO:0000007", "DUO:0000006", "DUO:0000042", "DUO:0000004"),
    ("destroy", "return", "archive_readonly"),
    ("exceeded", "met", "approaching", "not_met"),
    ("ok", "conditions", "not_ok"),
)
# Claims on which hangs whose law asks, and for what: a change is looked at, whichever way it seems to go.
_CLAIMS = words(
    "identifiability origins mechanism confidence_basis hipaa_path article_6 article_9 subjects categories schedule_1 duo"
    " permission country legal_form role hipaa committee irb issuer zip3_census"
)
_CHECK = " (check)"
_NO_DUTY = words("none not_restricted not_confidential not_phi")
_LATER, _EARLIER = (
    words("until data_until"),
    words("evidence_until publish_after"),
)  # weaker so; and later days of the whole


def differences(old: Agreement, new: Agreement) -> list[str]:
    """One sentence for each change, then the rules that a change takes away; none when only version and digest differ."""
    before, after = plain(old), plain(new)
    for facts in (before, after):
        facts.pop("previous", None)
    lost = no_longer_asked(old, new, own_pack())
    return [
        *_compare(before, after, ""),
        *(f"no longer asked of {of}: {', '.join(rules)} (weaker)" for of, rules in lost),
    ]


def _compare(old: Any, new: Any, place: str) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping) and not place.endswith(".keys"):
        for key in [*old, *(k for k in new if k not in old)]:
            if key not in _QUIET:
                yield from _one(old.get(key), new.get(key), f"{place}.{key}" if place else key)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _lists(old, new, place)
    elif old != new:
        yield _changed(old, new, place)


def _one(old: Any, new: Any, place: str) -> Iterator[str]:
    if old is None and new is not None:
        yield f"{_words(place)}: stated now{_value(new)}{_of_statement(new, place) or _of_hold(place, now=True)}"
    elif new is None and old is not None:
        yield f"{_words(place)}: no longer stated{_value(old, 'was')}{_of_hold(place, now=False)}"
    else:
        yield from _compare(old, new, place)


def _lists(old: list[Any], new: list[Any], place: str) -> Iterator[str]:
    before, after = _named(old), _named(new)
    kind = _ENTRIES.get(place.rpartition(".")[2], "")
    within = place.rpartition(".")[0]
    for name in before:
        if name not in after:
            way = (
                _of_list(place, _CLOSING, _OPENING)
                or _of_claim(place)
                or _of_asker(place, name, before[name], " (stricter)")
            )
            yield f"{_words(place)}: {name} removed{way}"
    for name, value in after.items():
        if name not in before:
            way = (
                _of_list(place, _OPENING | _ABOUT, _CLOSING)
                or _of_claim(place)
                or _of_asker(place, name, value, " (weaker)")
            )
            yield f"{_words(place)}: {name} added{way}"
        elif isinstance(value, Mapping):
            told = f"{kind} {name.translate(_NAMED)}"
            yield from _compare(before[name], value, f"{within}.{told}" if within else told)


def _named(entries: list[Any]) -> dict[str, Any]:
    """Entries by name; an approval is named by who gave it in which role, a login by who that is there."""
    found = {}
    for entry in entries:
        if isinstance(entry, Mapping):
            name = next((str(entry[n]) for n in _NAMES if n in entry), "")
            more = entry.get("role") or entry.get("subject")
            found[f"{name} as {more}" if more else name] = entry
        else:
            found[str(entry)] = entry
    return found


def _changed(old: Any, new: Any, place: str) -> str:
    if place.endswith(("key", ".keys", "sha256", "codebook", "rule_pack")):
        return f"{_words(place)}: replaced by another"
    return f"{_words(place)}: {new}, was {old}{_direction(old, new, place)}"


def _direction(old: Any, new: Any, place: str) -> str:
    last = place.rpartition("disclosure.")[2] if "disclosure." in place else place.rpartition(".")[2]
    if isinstance(new, bool):
        return _of_statement(new, place)
    if not isinstance(old, int | float) or not isinstance(new, int | float) or isinstance(old, bool):
        return _of_country(new, place) or _of_word(old, new, place) or _of_day(str(old), str(new), place)
    if last == "people_us":
        return _of_people(old, new)
    if last.startswith(_LESS):
        return " (stricter)" if new < old else " (weaker)"
    if last.startswith(_MORE):
        return " (stricter)" if new > old else " (weaker)"
    return ""


def _of_country(new: Any, place: str) -> str:
    concern = place.rpartition(".")[2] == "country" and new in own_pack().values()["concern"]
    return " (weaker: a country of concern, 28 CFR 202.601)" if concern else ""


def _of_claim(place: str) -> str:
    return _CHECK if place.rpartition(".")[2] in _CLAIMS else ""


def _of_word(old: Any, new: Any, place: str) -> str:
    ranks = next((rank for rank in _RANKS if old in rank and new in rank), ())
    if ranks:
        return (
            " (weaker)" if ranks.index(new) > ranks.index(old) else _CHECK if ranks is _IDENTIFIABLE else " (stricter)"
        )
    if (old in _NO_DUTY) is (new in _NO_DUTY):
        return _of_claim(place)
    return " (weaker)" if new in _NO_DUTY else " (stricter)"


def _of_day(old: str, new: str, place: str) -> str:
    last = place.rpartition(".")[2]
    if place == "starts" or last in _EARLIER:
        return " (weaker)" if new < old else " (stricter)"
    if place == "expires" or last in _LATER:
        return " (weaker)" if new > old else " (stricter)"
    return ""


def _of_hold(place: str, *, now: bool) -> str:
    """Of what is stated now or no longer: rules of disclosure, whatever holds by being stated, and lists that open or close."""
    *within, last = place.split(".")
    held = last in _HOLDS | _CLOSING or bool({"disclosure", "rules", "assessments", "controls"} & set(within))
    if held or last in _OPENING:
        return " (stricter)" if held is now else " (weaker)"
    return ""


def _of_asker(place: str, name: str, value: Any, way: str) -> str:
    asks = place == "people" and isinstance(value, Mapping) and _ASKERS in value.get("roles", ())
    return way if asks or (place.endswith(".roles") and name == _ASKERS) else ""


def _of_statement(new: Any, place: str) -> str:
    """What a yes or no does; nothing for other values and other statements."""
    last = place.rpartition(".")[2]
    if not isinstance(new, bool) or last not in _WEAKER_TRUE | _WEAKER_FALSE:
        return ""
    return " (weaker)" if new is (last in _WEAKER_TRUE) else " (stricter)"


def _of_list(place: str, weaker: frozenset[str], stricter: frozenset[str]) -> str:
    last = place.rpartition(".")[2]
    return " (weaker)" if last in weaker else " (stricter)" if last in stricter else ""


def _of_people(old: float, new: float) -> str:
    """More people of the United States in reach, and whether that alone passes a threshold of the rule pack."""
    least = own_pack().values()["bulk"].values()
    if any(new < bulk <= old for bulk in least):
        return " (check: no longer bulk data for a category of 28 CFR 202.205)"
    if any(old < bulk <= new for bulk in least):
        return " (weaker: from now on bulk data for a category of 28 CFR 202.205)"
    return " (weaker)" if new > old else _CHECK


def _words(place: str) -> str:
    return place.replace("duties.", "").replace(".", ": ").replace("_", " ").translate(_WORDS)


def _value(value: Any, before: str = "") -> str:
    if isinstance(value, list | Mapping):
        return ""
    return f", {before} {value}" if before else f": {value}"
