"""What a ledger of a million entries costs: appending durably, opening, proving one entry, checking all of it.

Wall-clock times on an SQLite store as a node has it (WAL, synchronous=FULL): what is durable waits for the disk. The export that is checked
holds a checkpoint cosigned by three sites.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.table import Measure
from bench.targets import LEDGER
from isthmus.crypto.keys import SigningKey
from isthmus.federation.store import Store, open_store
from isthmus.ledger.checkpoint import cosign, sign_checkpoint, with_cosignatures
from isthmus.ledger.exported import Cover, check_exports, export_lines, open_exported
from isthmus.ledger.log import Log
from isthmus.ledger.merkle import verify_inclusion

ENTRIES, BATCH, ALONE, PROVED = 1_000_000, 100, 200, 200
SITES = ("boston", "leeds", "oxford")


def measure(repeats: int) -> list[Measure]:
    """All of it once, single steps many times."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / "hub.db"
        store = open_store(place)
        made = [*_appended(store), *_proved(store, repeats), *_checked(store, Path(directory), repeats)]
        store.close()
    return made


def _appended(store: Store) -> list[Measure]:
    log = _log(store)
    alone = [_timed(lambda at=at: log.append("round", _facts(at))) for at in range(ALONE)]
    batches = [
        _timed(lambda at=at: log.append_many([("round", _facts(at + i)) for i in range(BATCH)]))
        for at in range(ALONE, ENTRIES, BATCH)
    ]
    rate = BATCH * len(batches) / sum(batches)
    note = f"{rate:,.0f} entries a second over all {len(batches):,} batches; aim: above 5,000"
    return [
        Measure(LEDGER, "one entry, durable", "ms", tuple(1e3 * t for t in alone)),
        Measure(LEDGER, f"{BATCH} entries, durable", "ms", tuple(1e3 * t for t in batches), note),
    ]


def _proved(store: Store, repeats: int) -> list[Measure]:
    opening = tuple(_timed(lambda: _log(store)) for _ in range(repeats))
    log = _log(store)
    head, times = log.head(), []
    for at in range(PROVED):
        index = (at * 7_919_999) % head.size
        start = perf_counter()
        proof = log.inclusion(index)
        times.append(1e3 * (perf_counter() - start))
        verify_inclusion(index, head.size, store.leaves("hub").read(index, index + 1)[0], proof, head.root)
    return [
        Measure(LEDGER, "open", "s", opening),
        Measure(
            LEDGER, "inclusion proof", "ms", tuple(times), "entries all over the log, none of their blocks in memory"
        ),
    ]


def _checked(store: Store, directory: Path, repeats: int) -> list[Measure]:
    log, leaves, keys = _log(store), store.leaves("hub"), {name: SigningKey.generate() for name in ("hub", *SITES)}
    note = sign_checkpoint("hub", log.head(), keys["hub"])
    note = with_cosignatures(note, [cosign(note, site, keys[site], 1_750_000_000) for site in SITES])
    cover = Cover(
        owner="hub",
        key=keys["hub"].public.hex(),
        time=_now().isoformat(),
        checkpoint=sign_checkpoint("hub", log.head(), keys["hub"]),
        cosigned=(note,),
        witnesses={site: keys[site].public.hex() for site in SITES},
        marks={},
    )
    path = directory / "hub.ledger"

    def write() -> None:
        read = (leaf for at in range(0, leaves.size(), 1024) for leaf in leaves.read(at, at + 1024))
        with path.open("wb") as file:
            file.writelines(export_lines(cover, read, keys["hub"]))

    writing = _timed(write)
    checking = tuple(_timed(lambda: check_exports([open_exported(path)])) for _ in range(min(repeats, 3)))
    note = f"every entry read, tree and checkpoints; {path.stat().st_size / 1e6:.0f} MB"
    return [Measure(LEDGER, "export", "s", (writing,)), Measure(LEDGER, "verify an export", "s", checking, note)]


def _log(store: Store) -> Log:
    return Log(store.leaves("hub"), "hub", _now)


def _facts(at: int) -> dict[str, Any]:
    return {
        "run": f"sha256:{sha256(b'%d' % (at // 20)).hexdigest()}",
        "question": "death",
        "round": at % 20,
        "attempt": 0,
        "context": sha256(b"%d" % at).hexdigest(),
        "survivors": list(SITES),
    }


def _timed(work: Any) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a benchmark
