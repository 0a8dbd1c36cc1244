"""E-values: how strongly an unmeasured cause must go with both treatment and outcome to explain a ratio away.

Of the estimate, and of the end of its interval nearer to 1 (1 where the interval holds 1). A hazard ratio stands for a risk
ratio where fewer than 15 % have the event; else it is first turned into one (R: `EValue`, `evalues.RR`, `evalues.HR`).
Reference: VanderWeele & Ding (2017), Ann Intern Med 167:268, with its table 2.
"""

from __future__ import annotations

import math
from typing import Any

from isthmus.statistics.show import number

RARE = 0.15  # of the people: their table 2


def e_value(ratio: float) -> float:
    """Of a risk ratio above 0."""
    above = ratio if ratio >= 1.0 else 1.0 / ratio
    return above + math.sqrt(above * (above - 1.0))


def risk_ratio(hazard_ratio: float, share: float) -> float:
    """What a hazard ratio says of a risk ratio, `share` of the people having the event."""
    if share < RARE:
        return hazard_ratio
    return (1.0 - math.pow(0.5, math.sqrt(hazard_ratio))) / (1.0 - math.pow(0.5, math.sqrt(1.0 / hazard_ratio)))


def e_values(ratio: float, low: float, high: float) -> dict[str, Any]:
    """Of a risk ratio and its interval."""
    nearer = low if ratio >= 1.0 else high
    crossed = low <= 1.0 <= high
    return {"e_value": number(e_value(ratio)), "e_value_limit": 1.0 if crossed else number(e_value(nearer))}
