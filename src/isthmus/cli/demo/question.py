"""The demonstration's study and the rules of its agreement."""

from __future__ import annotations

from typing import Any

from isthmus.cli.demo.data import TRIAL

MODEL = "arm + age_10 + cd4_100 + prior + race"
REFUSED = "rare"  # refused on purpose: 47 of 2,139 patients, so fewer than 11 at some site
KINDS = ("count", "table_one", "crosstab", "glm", "kaplan_meier", "log_rank", "cox")

# Every rule is stated; none is at its open value except minimum_count_site, which the demonstration says on screen:
# with 356 patients at a site and four arms, a floor of 11 in each half-year bin at each site leaves no curve at all.
RULES: dict[str, Any] = {
    "minimum_count": 11,
    "minimum_count_site": 1,
    "round_to": 5,
    "zeros": "barred",
    "dominance": {"n": 2, "k": 0.9, "p": 0.1},
    "minimum_dof": 10,
    "parameters_per_row": 0.1,
    "maximum_leverage": 0.5,
    "maximum_weight_share": 0.1,
    "minimum_sites": 3,
    "digits": 4,
}

STUDY: dict[str, Any] = {
    "isthmus": "study/1",
    "title": "Four treatments for HIV: progression and CD4 response",
    "question": "Does adding didanosine or zalcitabine to zidovudine delay progression of HIV disease?",
    "purpose": {
        "duo": "DUO:0000007",
        "disease": "MONDO:0005109",
        "text": "comparative effectiveness of antiretroviral treatment; a demonstration on " + TRIAL,
        "commercial": False,
    },
    "dataset": "actg175",
    "population": {"where": "age >= 12"},
    "derive": {
        "age_10": "age / 10.0",
        "cd4_100": "cd4 / 100.0",
        "cd4_rise": "CASE WHEN cd4_week20 IS NULL OR cd4 IS NULL THEN NULL WHEN cd4_week20 > cd4 THEN 1 ELSE 0 END",
    },
    "time": {"origin": "randomisation", "unit": "day"},
    "analyses": {
        "baseline": {"table_one": {"variables": ["age", "cd4", "prior", "race", "symptoms"], "by": "arm", "smd": True}},
        "survival": {"kaplan_meier": {"time": "days", "event": "event", "by": "arm"}},
        "difference": {"log_rank": {"time": "days", "event": "event", "by": "arm"}},
        "hazard": {"cox": {"formula": f"Surv(days, event) ~ {MODEL}", "ties": "efron", "strata": ["site"]}},
        "response": {"glm": {"formula": f"cd4_rise ~ {MODEL}", "family": "binomial"}},
        REFUSED: {"glm": {"formula": "cd4_rise ~ arm + other_art", "family": "binomial"}},
    },
    "primary": ["hazard"],
}
