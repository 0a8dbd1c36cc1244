"""What the rules of law cost: the full pack over an agreement of 20 parties and 50 datasets.

Times are of the processor. Cold is a fresh interpreter from its start: imports, reading and compiling the pack, deriving the facts, every rule of every gate. Again
is the same call in the same process with nothing changed: facts are derived and their digest compared.
"""

from __future__ import annotations

import subprocess
import sys
from time import process_time
from typing import Any

from bench.table import Measure
from bench.targets import LAW

PARTIES, DATASETS, HOLDERS = 20, 50, 3

_COLD = """
from time import process_time
from bench.law import judge_all
judge_all({})
print(process_time())
"""


def measure(repeats: int) -> list[Measure]:
    """Both, `repeats` times."""
    cold = tuple(_fresh() for _ in range(repeats))
    kept: dict[str, dict[str, Any]] = {}
    judge_all(kept)
    again = tuple(judge_all(kept) for _ in range(repeats))
    note = f"{PARTIES} parties, {DATASETS} datasets of {HOLDERS} controllers each, {PARTIES} flows to the hub and back"
    return [Measure(LAW, "cold", "s", cold, note), Measure(LAW, "nothing changed", "s", again, note)]


def judge_all(kept: dict[str, dict[str, Any]]) -> float:
    """Facts and the verdicts of all gates; seconds."""
    from isthmus.governance.facts import Known, agreement_facts
    from isthmus.governance.rulepack import own_pack
    from isthmus.governance.selfcheck import worked_case
    from isthmus.governance.verdicts import decide

    if not kept:
        kept |= {"made": {"agreement": alliance(), "other": worked_case()}, "decisions": {}}
    start = process_time()
    pack = own_pack()
    facts = {**kept["made"]["other"], "a": agreement_facts(kept["made"]["agreement"], pack, Known())}
    for gate in ("agreement", "run", "egress", "operations"):
        decide(pack, gate, facts, kept["decisions"])
    return process_time() - start


def alliance() -> Any:
    """An agreement as large as the target says; its keys are not looked at here."""
    from isthmus.cli.demo.law import Cast, invented_custody, invented_terms
    from isthmus.governance.agreement import Agreement, DatasetEntry, HubEntry, Party, Person, SiteEntry
    from isthmus.model.rules import OPEN

    names = [f"party-{i:02d}" for i in range(PARTIES)]
    countries = {name: ("GB", "US")[i % 2] for i, name in enumerate(names)}
    keys = {"key": "", "certificate": "", "tls": ""}
    cast = Cast(
        dataset="data-00",
        sites={name: name for name in names},
        countries=countries,
        office=names[0],
        researcher=("ada", names[1], "US"),
        custodian="custodian",
        starts="2026-01-01",
        expires="2027-12-31",
    )
    law, custody = invented_terms(cast), invented_custody(cast)
    held = [[(3 * d + i) % PARTIES for i in range(HOLDERS)] for d in range(DATASETS)]
    return Agreement(
        isthmus="agreement/1",
        id="bench",
        version=1,
        title="timing",
        starts=cast.starts,
        expires=cast.expires,
        parties=tuple(Party(party=n, name=n, country=countries[n], status=law["parties"][n]) for n in names),
        people=(Person(person="ada", party=names[1], roles=("researcher",), standing=law["people"]["ada"], **keys),),
        sites=tuple(SiteEntry(site=n, party=n, country=countries[n], facility=n, **keys) for n in names),
        hub=HubEntry(hub="hub", party=names[0], country="GB", facility="hub", **keys),
        datasets=tuple(
            DatasetEntry(
                dataset=f"data-{d:02d}",
                codebook="",
                sites=tuple(names[i] for i in held[d]),
                variables=("age", "sex"),
                custody=tuple(c for c in custody if c.controller in {names[i] for i in held[d]}),
            )
            for d in range(DATASETS)
        ),
        analyses=("glm", "cox"),
        releases=(),
        disclosure=OPEN,
        two_party=False,
        duties=law["duties"],
    )


def _fresh() -> float:
    done = subprocess.run([sys.executable, "-c", _COLD], capture_output=True, text=True, check=True)
    return float(done.stdout)
