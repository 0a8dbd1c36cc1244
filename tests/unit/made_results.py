"""A result body in the shape of STUDY.md, made by hand: what the SDK, charts and command line must be able to show."""

from __future__ import annotations

from typing import Any

FINDINGS = [{"rule": "minimum_count", "status": "Passed", "whose": "agreement"}]


def term(name: str, estimate: float, error: float) -> dict[str, Any]:
    return {
        "term": name,
        "estimate": estimate,
        "std_error": error,
        "statistic": estimate / error,
        "p_value": 0.0004,
        "conf_low": estimate - 1.96 * error,
        "conf_high": estimate + 1.96 * error,
    }


def common(kind: str, exactness: str = "exact") -> dict[str, Any]:
    return {"kind": kind, "exactness": exactness, "n": 2140, "rounds": 5, "conf_level": 0.95, "disclosure": FINDINGS}


LOGISTIC = common("glm") | {
    "terms": [term("(Intercept)", 0.5, 0.1), term("age", 0.01, 0.005), term("arm[ddI]", -0.7, 0.12)],
    "fit": {"family": "binomial", "link": "logit", "deviance": 2500.0, "loglik": -1250.0, "aic": 2506.0},
    "events": 1200,
    "reference": {"arm": "ZDV"},
    "error": "model",
    "test": "z",
}
HAZARD = common("cox") | {
    "terms": [term("arm[ddI]", -0.6, 0.12), term("age", 0.01, 0.005)],
    "fit": {"loglik": -3000.0, "loglik_null": -3050.0, "events": 520},
    "error": "model",
}
CURVES = common("kaplan_meier", "grid") | {
    "curves": [
        {
            "group": {"arm": "ZDV"},
            "time": [365.0, 730.0, 1095.0],
            "at_risk": [530, 450, 345],
            "events": [55, 75, 50],
            "censored": [25, 30, 200],
            "survival": [0.8962, 0.7468, 0.6386],
            "conf_low": [0.87, 0.71, 0.6],
            "conf_high": [0.92, 0.78, 0.68],
            "median": None,
        },
        {
            "group": {"arm": "ddI"},
            "time": [365.0, 730.0, 1095.0],
            "at_risk": [560, 515, 425],
            "events": [30, 55, 45],
            "censored": [15, None, 250],
            "survival": [0.9464, 0.8453, None],
            "conf_low": [0.93, 0.81, None],
            "conf_high": [0.96, 0.87, None],
            "median": None,
        },
    ]
}
LOG_RANK = common("log_rank", "grid") | {
    "fit": {
        "statistic": 49.19,
        "df": 3,
        "p_value": 1.2e-10,
        "groups": ["ZDV", "ddI", "ZDV+ddI", "ZDV+Zal"],
        "rho": 0.0,
        "observed": [180, 115, 105, 120],
        "expected": [120.5, 134.25, 133.5, 131.75],
    }
}
REFUSED = {
    "kind": "glm",
    "status": "refused",
    "error": {"code": "E-DISCLOSURE", "message": "not answered: minimum_count", "hint": "fewer terms"},
}
FAILED = {
    "kind": "glm",
    "status": "failed",
    "error": {"code": "E-SEPARATED", "message": "the outcome is separated by 'x'", "hint": "leave it out"},
}

RESULT: dict[str, Any] = {
    "schema": "isthmus/result/1",
    "study": "sha256:" + "0" * 64,
    "run": 1,
    "mode": "rehearsal",
    "status": "rehearsed",
    "title": "Four treatments <for> HIV",
    "sites": ["leeds", "boston"],
    "analyses": {
        "response": LOGISTIC,
        "hazard": HAZARD,
        "survival": CURVES,
        "difference": LOG_RANK,
        "rare": REFUSED,
        "odd": FAILED,
    },
    "traffic": {"rows_left": 0, "bytes_out": {"leeds": 6600, "boston": 980}, "messages": 12, "seconds": 0.4},
    "proof": {"transcript": "sha256:" + "1" * 64, "ledger_size": 41},
}
