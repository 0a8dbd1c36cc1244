"""Regression across processes: the whole of Isthmus under a signed agreement, beside the rivals on pooled rows."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench import data
from bench.nodes import now
from bench.rivals import Timing, all_rivals
from bench.rounds import ROOT, Told, free_port, start
from bench.table import Measure
from bench.targets import COX_ONE, COX_SITE, GLM, ISTHMUS
from isthmus.cli.demo.law import Cast, invented_custody, invented_terms
from isthmus.federation.identity import Identity, Owner, make_identity
from isthmus.federation.launch import Fleet
from isthmus.governance.agreement import DatasetEntry
from isthmus.governance.card import read_card
from isthmus.governance.drafting import Terms, new_agreement, write_text
from isthmus.governance.duties import Judgement
from isthmus.governance.signing import sign_agreement, unsigned
from isthmus.model.canonical import digest, plain
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.rules import Dominance, Rules
from isthmus.sdk.connect import Client, connect
from isthmus.sdk.study import Study

COUNTRIES = {"north": "GB", "south": "GB", "west": "US"}
MANY = 10**8  # people whom no bench has more of
NAMES = {"glm": GLM, "cox_site": COX_SITE, "cox_one": COX_ONE}
FLOOR = Rules(
    minimum_count=11,
    minimum_count_site=11,
    round_to=5,
    zeros="allowed",
    dominance=Dominance(n=2, k=0.9, p=0.1),
    minimum_dof=10,
    parameters_per_row=0.1,
    maximum_leverage=0.5,
    maximum_weight_share=0.1,
    minimum_sites=3,
    digits=17,  # so that coefficients can be compared with the rivals'
)


def codebook() -> Codebook:
    covariates = {f"x{j}": Variable(type="number", range=(-10.0, 10.0)) for j in range(data.COVARIATES)}
    days = tuple(float(day) for day in range(data.LAST_DAY + 1))
    others = {
        "y": Variable(type="integer", range=(0.0, 1.0)),
        "event": Variable(type="integer", range=(0.0, 1.0)),
        "days": Variable(
            type="integer", range=(0.0, float(data.LAST_DAY)), grid=(days, days[::7], days[::28], days[::188])
        ),
    }
    return Codebook(name="bench", variables={**covariates, **others})


def study(repeats: int) -> Study:
    """Each fit once to fill the caches, then `repeats` times, interleaved."""
    covariates = " + ".join(f"x{j}" for j in range(data.COVARIATES))
    kinds: dict[str, Any] = {
        "glm": {"glm": {"formula": f"y ~ {covariates}", "family": "binomial"}},
        "cox_site": {"cox": {"formula": f"Surv(days, event) ~ {covariates}", "ties": "efron", "strata": ["site"]}},
        "cox_one": {"cox": {"formula": f"Surv(days, event) ~ {covariates}", "ties": "efron"}},
    }
    return timing_study(kinds, repeats)


def timing_study(kinds: Mapping[str, Any], repeats: int) -> Study:
    """Each question once to fill the caches, then `repeats` times, interleaved."""
    return Study(
        isthmus="study/1",
        title="timing",
        dataset="bench",
        purpose={"duo": "DUO:0000007", "text": "timing on invented rows", "commercial": False},
        analyses={f"{name}_{turn}": kind for turn in range(repeats + 1) for name, kind in kinds.items()},
    )


@dataclass(frozen=True)
class Running:
    """A federated alliance that is up."""

    fleet: Fleet
    client: Client
    told: Told


@contextmanager
def federation(files: Mapping[str, Path], folder: Path, book: Codebook, kinds: tuple[str, ...]) -> Iterator[Running]:
    """Keys, a signed agreement, a hub and three sites on loopback, stopped at the end."""
    told = Told()
    address = f"127.0.0.1:{free_port()}"
    _agree(folder, book, kinds, address)
    for site, file in files.items():
        file.rename(folder / site / "bench.parquet")
    path = os.pathsep.join((str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])))
    environment = {**os.environ, "PYTHONPATH": path}
    with Fleet(("bench.nodes", "grpc.aio"), environment, told.hear) as fleet:
        start(fleet, folder, data.SITES, "agreed", {})
        with connect(folder / "ada" / "isthmus.toml") as client:
            yield Running(fleet, client, told)


def _agree(folder: Path, book: Codebook, kinds: tuple[str, ...], address: str) -> None:
    """Identities, the agreement signed by every party, and a configuration for each node."""
    made = {name: _identity(folder, "site", name, f"{name}-hospital", COUNTRIES[name]) for name in data.SITES}
    made |= {
        "hub": _identity(folder, "hub", "hub", "office", "GB"),
        "ada": _identity(folder, "researcher", "ada", "office", "GB"),
    }
    parties = {f"{name}-hospital": COUNTRIES[name] for name in data.SITES} | {"office": "GB"}
    custodians = {
        party: _identity(folder, "custodian", f"custodian-{party}", party, country)
        for party, country in parties.items()
    }
    starts, expires = ((now() + timedelta(days=days)).date().isoformat() for days in (-1, 2))
    cast = Cast(
        dataset="bench",
        sites={name: f"{name}-hospital" for name in data.SITES},
        countries=COUNTRIES,
        office="office",
        researcher=("ada", "office", "GB"),
        custodian="custodian-office",
        starts=starts,
        expires=expires,
        others={f"custodian-{party}": country for party, country in parties.items()},
    )
    held = tuple(replace(each, people_us=MANY) if "US" in each.subjects else each for each in invented_custody(cast))
    law = invented_terms(cast)
    said = Judgement(rule="OUT-10", person=cast.custodian, reason="timing on invented rows", date=starts)
    law["duties"] = replace(law["duties"], judgements=(said,))
    terms = Terms(
        id="bench",
        title="timing",
        starts=starts,
        expires=expires,
        datasets=(DatasetEntry(dataset="bench", codebook=digest(book), sites=data.SITES, custody=held),),
        analyses=kinds,
        releases=(),
        disclosure=FLOOR,
        two_party=False,
        facilities={},
        names={},
        **law,
    )
    cards = [read_card(path.read_bytes()) for path in sorted(folder.glob("*/keys/card.json"))]
    signed = unsigned(new_agreement(terms, cards))
    for custodian in custodians.values():
        signed = sign_agreement(signed, custodian.key, now())
    (folder / "agreement.yaml").write_text(write_text(signed))
    dataset = '[dataset.bench]\nsource = "bench.parquet"\ncodebook = "codebook.yaml"\n'
    store = '[store]\npath = "state.db"\n'
    common = 'key = "file:keys"\nagreement = "../agreement.yaml"\n'
    for name in data.SITES:
        own = f'[site]\nname = "{name}"\nhub = "{address}"\ncustodian = "{custodians[f"{name}-hospital"].card.key}"\n'
        (folder / name / "isthmus.toml").write_text(own + common + dataset + store)
    (folder / "hub" / "isthmus.toml").write_text(f'[hub]\nlisten = "{address}"\n' + common + dataset + store)
    (folder / "ada" / "isthmus.toml").write_text(f'[person]\nname = "ada"\nhub = "{address}"\n' + common)
    for name in (*data.SITES, "hub"):
        stated = {key: value for key, value in plain(book).items() if key != "inferred"}
        (folder / name / "codebook.yaml").write_text(json.dumps(stated))


def _identity(folder: Path, role: Any, name: str, party: str, country: str) -> Identity:
    return make_identity(folder / name / "keys", Owner(role=role, name=name, party=party, country=country), now())


def compare(rows_per_site: int, repeats: int) -> list[Measure]:
    """Isthmus and every rival, `repeats` times in turn; coefficients are compared before times are believed."""
    pooled, rivals = data.make(rows_per_site), all_rivals()
    taken: dict[tuple[str, str], list[Timing]] = {}
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as text:
        folder = Path(text)
        with federation(data.write(pooled, folder), folder, codebook(), ("glm", "cox")) as running:
            for turn in range(1, repeats + 1):
                print(f"models: turn {turn} of {repeats}", file=sys.stderr, flush=True)
                for fit, timing in _isthmus(running, turn).items():
                    taken.setdefault((fit, ISTHMUS), []).append(timing)
                for fit, those in rivals.items():
                    for name, rival in those.items():
                        taken.setdefault((fit, name), []).append(rival(pooled))
    return [
        Measure(NAMES[fit], name, "s", tuple(t.seconds for t in timings), _note(taken, fit, name))
        for (fit, name), timings in taken.items()
    ]


def _isthmus(running: Running, turn: int) -> dict[str, Timing]:
    """One study with each fit twice; the second of each is timed, its columns cached."""
    found = {}
    for fit, answer in asked(running, study(1), NAMES, turn).items():
        estimates = [term["estimate"] for term in answer.body["terms"] if term["term"] != "(Intercept)"]
        found[fit] = Timing(answer.cached, np.array(estimates), how(answer.body))
    return found


@dataclass(frozen=True)
class Answer:
    """An analysis of the result, and seconds: asked for the first time, and again with its columns cached."""

    first: float
    cached: float
    body: dict[str, Any]


def asked(running: Running, question: Study, names: Iterable[str], turn: int) -> dict[str, Answer]:
    """Run a study of `timing_study(..., 1)`."""
    running.told.take("question")
    result = running.client.wait(running.client.submit(question, number=turn)).to_dict()
    times = {event["question"]: event["seconds"] for event in running.told.take("question")}
    found = {}
    for name in names:
        analysis = result["analyses"][f"{name}_1"]
        if analysis.get("status") in {"refused", "failed"}:
            print(f"{name}: {json.dumps(analysis)}", file=sys.stderr)
            continue
        found[name] = Answer(times[f"{name}_0"], times[f"{name}_1"], analysis)
    return found


def how(analysis: Mapping[str, Any]) -> str:
    """Rounds, and the grid where the answer is on one."""
    edges = (analysis.get("grid") or {}).get("edges", [])
    if "curve" in analysis or analysis["kind"] in {"effect", "propensity"}:
        steps = f", {len(edges)} cells"
    else:
        steps = f", {len(edges) - 1} steps of {edges[1] - edges[0]:g} days" if len(edges) > 1 else ""
    return f"{analysis['exactness']}, {analysis['rounds']} rounds{steps}"


def _note(taken: Mapping[tuple[str, str], list[Timing]], fit: str, name: str) -> str:
    """How it was answered, or how far the coefficients are from Isthmus's."""
    ours = taken.get((fit, ISTHMUS))
    if not ours or name == ISTHMUS:
        return taken[fit, name][0].note
    difference = float(np.abs(ours[0].coefficients - taken[fit, name][0].coefficients).max())
    return f"coefficients differ by {difference:.0e}"
