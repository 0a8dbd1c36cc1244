"""`python -m bench`: measure, print the tables, write bench-output/bench.{md,json}."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.table import Measure, judge, markdown
from bench.targets import METHODS, TARGETS

PARTS = ("models", "methods", "large", "gate", "rounds", "memory", "suppression", "history", "law", "ledger")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="a part (repeat); all when left out")
    parser.add_argument("--method", choices=sorted(METHODS), action="append", help="a method of `methods` (repeat)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each fit, in turn with its rivals")
    parser.add_argument("--rows", type=int, default=100_000, help="rows at each of three sites")
    parser.add_argument("--blas", type=int, default=1, help="BLAS threads of the rivals (sites always have one each)")
    parser.add_argument("--out", type=Path, default=Path("bench-output"))
    asked = parser.parse_args()
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # before numpy is imported
        os.environ[name] = str(asked.blas)
    measures = [
        m for part in asked.only or PARTS for m in _parts(asked.rows, asked.repeats, asked.method or ())[part]()
    ]
    machine = _machine(asked.blas)
    verdicts = judge(TARGETS, measures)
    page = "\n\n".join((machine, markdown(measures, verdicts)))
    print(page)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "bench.md").write_text(page + "\n")
    facts = {"machine": machine, "measures": [asdict(m) for m in measures], "targets": [asdict(v) for v in verdicts]}
    (asked.out / "bench.json").write_text(json.dumps(facts, indent=1) + "\n")


def _parts(rows: int, repeats: int, chosen: Sequence[str]) -> dict[str, Callable[[], list[Measure]]]:
    from bench import gate, history, law, ledger, methods, models, rounds, suppression

    return {
        "models": lambda: models.compare(rows, repeats),
        "methods": lambda: methods.compare(rows, repeats, chosen),
        "large": lambda: methods.large(repeats),
        "gate": lambda: gate.costs(rows, repeats),
        "rounds": lambda: rounds.round_times(repeats),
        "memory": rounds.memory,
        "history": history.measure,
        "suppression": suppression.tables,
        "law": lambda: law.measure(repeats),
        "ledger": lambda: ledger.measure(repeats),
    }


def _machine(blas: int) -> str:
    import numpy as np

    model = next((line.split(":")[1].strip() for line in _cpu() if line.startswith("model name")), platform.machine())
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}, numpy {np.__version__}; "
        f"BLAS threads: {blas} for the rivals, 1 in each site; load averages at the end: {load}"
    )


def _cpu() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
