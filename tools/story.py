"""One study from the agreement to the evidence, with real processes, by commands alone: `python tools/story.py FOLDER`.

Five parties in two countries sign an agreement in which people decide. A custodian returns a study with a reason; the amended
one is approved, by standing rules at two sites and by people at the others; it runs; one person in each country checks the
result and it is released. The ledgers then tell it back, and the evidence is verified, and is not after an edit. Every
command and what it said is printed. Everything is invented: people, facts and numbers.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from isthmus.cli.demo import question as demonstration
from isthmus.cli.demo.law import Cast, invented_custody, invented_terms
from isthmus.data.dictionary import read_codebook
from isthmus.model.canonical import digest, plain
from isthmus.model.errors import Exit

SITES = {"leeds": "GB", "oxford": "GB", "boston": "US", "chicago": "US"}
OFFICE = "office"
PARTIES = {**SITES, OFFICE: "GB"}
CHECKERS = {"cleo": "oxford", "cora": "chicago"}
ROWS = 400
PATIENCE = 240.0  # seconds for a run; it takes a few
# One file of each kind: that no edit of any file holds is tests/unit/test_crate.py's.
EDITED = (
    "data/result.isthmus",
    "data/decisions.json",
    "data/outputs/result.json",
    "data/sbom.cdx.json",
    "manifest-sha512.txt",
)
PASSPHRASE = "a passphrase of the story alone"
CODEBOOK = {
    "name": "trial",
    "person": "pid",
    "variables": {
        "age": {"type": "number", "range": [0, 90]},
        "arm": {"type": "category", "levels": ["A", "B"]},
        "died": {"type": "integer", "range": [0, 1]},
    },
}
RULES = demonstration.RULES | {"minimum_count_site": 11, "zeros": "allowed"}
STUDY = {
    "isthmus": "study/1",
    "title": "Does arm B save lives?",
    "dataset": "trial",
    "purpose": {"duo": "DUO:0000007", "text": "to decide on the next trial"},
    "population": {"where": "age >= 18"},
    "analyses": {"death": {"glm": {"formula": "died ~ arm", "family": "binomial"}}},
}


class NotAsTold(Exception):
    """A command of the story did not do what the story says."""


@dataclass
class Story:
    """A folder in which it happens; `said`: heading -> what the last command under it printed."""

    folder: Path
    hub: str
    said: dict[str, str] = field(default_factory=dict)

    def run(self, heading: str, place: str, *words: str | Path, code: Exit = Exit.DONE) -> str:
        """One command in someone's folder; it must end with this exit code."""
        shown = " ".join(str(w).replace(str(self.folder) + "/", "") for w in words)
        print(f"\n{place}$ isthmus {shown}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "isthmus.cli", *map(str, words)],
            cwd=self.folder / place,
            env=self.environ(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        told = done.stdout if done.returncode == Exit.DONE else done.stdout + done.stderr
        print(told.replace(str(self.folder) + "/", "").rstrip(), flush=True)
        if done.returncode != code:
            raise NotAsTold(f"{shown}: exit code {done.returncode}, not {int(code)}\n{done.stderr}")
        self.said[heading] = told
        return done.stdout

    def environ(self) -> dict[str, str]:
        """The keys of people are sealed: the variable says where the passphrase is, and is no passphrase."""
        return {**os.environ, "ISTHMUS_PASSPHRASE": "env:STORY", "STORY": PASSPHRASE, "NO_COLOR": "1", "COLUMNS": "110"}

    def tell(self, text: str) -> None:
        """A heading."""
        print(f"\n\n== {text}", flush=True)

    def until(self, run: str, state: str) -> None:
        """Wait until a run is in a state."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            done = subprocess.run(
                [sys.executable, "-m", "isthmus.cli", "study", "status", run, "--json"],
                cwd=self.folder / "ada",
                env=self.environ(),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode == Exit.DONE and json.loads(done.stdout)["state"] == state:
                return
            time.sleep(0.5)
        raise NotAsTold(f"the run is not {state}: {done.stdout}{done.stderr}")


def main(folder: Path) -> Story:
    """The whole story."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        story = Story(folder, f"127.0.0.1:{probe.getsockname()[1]}")
    agreement(story)
    standing_rules(story)
    with nodes(story):
        study = returned(story)
        run = amended(story, study)
        checked(story, run)
        evidence(story, run)
        story.tell("What the hub gives the auditor")
        story.run("fetched", "ann", "audit", "fetch", "--out", "exports")
    ledgers(story, run, study)
    auditor(story, run)
    return story


def agreement(story: Story) -> None:
    """Everyone makes keys; the agreement is written from cards and terms; five parties sign it."""
    story.tell("Keys and cards")
    everyone = [*((n, "site", n) for n in SITES), ("hub", "hub", OFFICE), ("ada", "researcher", "leeds")]
    everyone += [(f"keeper-{p}", "custodian", p) for p in PARTIES]
    everyone += [*((n, "output_checker", p) for n, p in CHECKERS.items()), ("ann", "auditor", OFFICE)]
    for name, role, party in everyone:
        (story.folder / name).mkdir(parents=True)
        words = ["init", role, name, "--party", party, "--country", PARTIES[party], "--hub", story.hub]
        story.run("init", name, *words)
    story.tell("The agreement, and its five signatures")
    book = story.folder / "trial.yaml"
    book.write_text(yaml.safe_dump(CODEBOOK))
    (story.folder / "terms.yaml").write_text(yaml.safe_dump(terms(digest(read_codebook(book))), sort_keys=False))
    cards = [word for name, _, _ in everyone for word in ("--card", story.folder / name / "keys" / name / "card.json")]
    file = story.folder / "agreement.json"
    story.run("draft", ".", "agreement", "new", file, "--terms", story.folder / "terms.yaml", *cards)
    for party in PARTIES:
        story.run("sign", f"keeper-{party}", "agreement", "sign", file, "--key", f"keys/keeper-{party}")
    story.run("agreement", ".", "agreement", "show", file)
    story.run("check", ".", "agreement", "check", file)
    for name, _, _ in everyone:
        shutil.copy(file, story.folder / name / "agreement.json")
    for seed, site in enumerate(SITES):
        site_files(story, site, seed)
    for name in ("hub", *(f"keeper-{p}" for p in SITES)):
        configured(story, name, '[dataset.trial]\ncodebook = "../trial.yaml"\n')


def terms(codebook: str) -> dict[str, Any]:
    """What people decided; the facts that the law asks for are invented, as in `isthmus demo`."""
    today = datetime.now(UTC).date()  # noqa: TID251 - an entry point
    starts, expires = str(today - timedelta(days=1)), str(today + timedelta(days=60))
    others = {f"keeper-{p}": country for p, country in PARTIES.items()}
    others |= {name: PARTIES[party] for name, party in CHECKERS.items()}
    others["ann"] = PARTIES[OFFICE]
    cast = Cast(
        dataset="trial",
        sites={name: name for name in SITES},
        countries=SITES,
        office=OFFICE,
        researcher=("ada", "leeds", "GB"),
        custodian="keeper-office",
        starts=starts,
        expires=expires,
        others=others,
    )
    stated = plain(invented_terms(cast))
    dataset = {"dataset": "trial", "codebook": codebook, "sites": list(SITES), "custody": plain(invented_custody(cast))}
    return {
        "id": "urn:alliance:story",
        "title": "Two countries, five parties",
        "starts": starts,
        "expires": expires,
        "datasets": [dataset],
        "analyses": ["count", "glm"],
        "releases": [],
        "disclosure": RULES,
        "two_party": False,
        "facilities": {},
        "names": {},
        "review": {"study": "custodians", "egress": 2, "one_per_country": True},
        **stated,
    }


def site_files(story: Story, site: str, seed: int) -> None:
    """Rows, and what a site's operator writes into its isthmus.toml."""
    place = story.folder / site
    age = 50 + 15 * np.sin(np.arange(ROWS) * 1.7 + seed)
    arm = np.where(np.arange(ROWS) * 7 % 5 < 2, "B", "A")
    died = (np.sin(np.arange(ROWS) * 3.1 + 5 * seed) + (age - 50) / 20 > 0.2).astype(np.int64)
    pq.write_table(pa.table({"pid": np.arange(ROWS), "age": age, "arm": arm, "died": died}), place / "trial.parquet")
    card = json.loads((story.folder / f"keeper-{site}" / "keys" / f"keeper-{site}" / "card.json").read_text())
    file = place / "isthmus.toml"
    text = file.read_text().replace(
        '# custodian = "the hex key of your own custodian, from their card"', "custodian = KEY"
    )
    file.write_text(text.replace("custodian = KEY", f'custodian = "{card["key"]}"'))
    configured(story, site, '[dataset.trial]\nsource = "trial.parquet"\ncodebook = "../trial.yaml"\n')


def configured(story: Story, name: str, more: str) -> None:
    """More of someone's isthmus.toml."""
    with (story.folder / name / "isthmus.toml").open("a") as file:
        file.write(f"\n{more}")


def standing_rules(story: Story) -> None:
    """Two custodians sign what they would approve; their own sites follow it."""
    story.tell("Standing rules at oxford and chicago")
    rule = {
        "kinds": ["glm", "count"],
        "purpose": STUDY["purpose"]["duo"],  # type: ignore[index]
        "people": ["ada"],
        "dataset": "trial",
        "variables": ["age", "arm", "died"],
        "monthly": 5,
        "expires": str(datetime.now(UTC).date() + timedelta(days=30)),  # noqa: TID251 - an entry point
    }
    for site in ("oxford", "chicago"):
        keeper = f"keeper-{site}"
        (story.folder / keeper / "rule.yaml").write_text(yaml.safe_dump(rule))
        story.run("rule", keeper, "approve", "rule", "rule.yaml", "--out", story.folder / site / "rule.json")
        file = story.folder / site / "isthmus.toml"
        file.write_text(file.read_text().replace("\ncustodian =", '\nstanding_rules = ["rule.json"]\ncustodian ='))


@contextmanager
def nodes(story: Story) -> Iterator[None]:
    """The hub and four sites, as processes of their own."""
    story.tell("The hub and the sites start")
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name in ("hub", *SITES):
            command = [sys.executable, "-m", "isthmus.cli", "hub" if name == "hub" else "site", "serve"]
            with (story.folder / name / "node.log").open("wb") as log:
                started.append(subprocess.Popen(command, cwd=story.folder / name, stdout=log, stderr=log))
            print(f"{name}$ isthmus {' '.join(command[-2:])} &", flush=True)
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=60)


def returned(story: Story) -> str:
    """A study is submitted; Boston's custodian returns it; gives the study's digest."""
    story.tell("A study, and a custodian who returns it")
    first = submitted(story, STUDY)
    story.until(first, "in_review")
    story.run("list", "keeper-boston", "approve", "list")
    story.run("show", "keeper-boston", "approve", "show", first)
    reason = "arms differ in age: adjust for it"
    story.run("return", "keeper-boston", "approve", "return", first, "--reason", reason)
    story.run("returned", "ada", "study", "status", first)
    return str(json.loads(story.run("status", "ada", "study", "status", first, "--json"))["study"])


def submitted(story: Story, study: Mapping[str, Any]) -> str:
    """The run of a study; the hub may still be starting."""
    (story.folder / "ada" / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    for _ in range(60):
        try:
            return str(json.loads(story.run("submit", "ada", "study", "submit", "study.yaml", "--json"))["run"])
        except NotAsTold as error:
            if f"exit code {int(Exit.UNREACHABLE)}" not in str(error):
                raise
            time.sleep(1.0)
    raise NotAsTold("the hub did not start")


def amended(story: Story, study: str) -> str:
    """The amended study: two sites by rule, two by people; gives its run."""
    story.tell("The amended study, approved by standing rules at two sites and by people at the others")
    better = {"death": {"glm": {"formula": "died ~ arm + age", "family": "binomial"}}}
    change = {"analyses": better, "amends": study, "reason": "adjusted for age, as boston asked"}
    run = submitted(story, {**STUDY, **change})
    story.until(run, "in_review")
    for site in ("leeds", "boston"):
        story.run("accept", f"keeper-{site}", "approve", "accept", run)
    story.until(run, "egress")
    return run


def checked(story: Story, run: str) -> None:
    """One output checker in each country looks and accepts; until then the researcher gets nothing."""
    story.tell("Egress review: one person in each country")
    story.run("early", "ada", "results", "show", run, code=Exit.WAITING)
    story.run("output", "cleo", "approve", "show", run)
    story.run("vote", "cleo", "approve", "accept", run)
    story.run("second", "cora", "approve", "accept", run)
    story.until(run, "released")
    story.run("released", "ada", "study", "status", run)
    story.run("result", "ada", "results", "show", run)


def evidence(story: Story, run: str) -> None:
    """The crate verifies; after an edit of a file in it, without one, or with one more, it does not."""
    story.tell("Evidence")
    crate = story.folder / "crate"
    story.run("crate", "ada", "results", "export", run, "--crate", crate)
    story.run("verified", "ada", "verify", crate)
    for name in EDITED:
        edited(story, crate, crate / name)
    taken, more = crate / EDITED[0], crate / "data" / "more.txt"
    raw = taken.read_bytes()
    taken.unlink()
    print(f"\n({EDITED[0]} is taken away)", flush=True)
    story.run("taken away", "ada", "verify", crate, "--quiet", code=Exit.UNVERIFIED)
    taken.write_bytes(raw)
    more.write_text("more")
    print("\n(data/more.txt is added)", flush=True)
    story.run("added", "ada", "verify", crate, "--quiet", code=Exit.UNVERIFIED)
    more.unlink()
    print("\n(all is as it was)", flush=True)
    story.run("whole again", "ada", "verify", crate, "--quiet")


def edited(story: Story, crate: Path, file: Path) -> None:
    """One byte of one file of the crate is another."""
    raw = file.read_bytes()
    at = len(raw) // 2
    file.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
    print(f"\n(one byte of {file.relative_to(crate)} is another)", flush=True)
    story.run(f"edited {file.relative_to(crate)}", "ada", "verify", crate, "--quiet", code=Exit.UNVERIFIED)
    file.write_bytes(raw)


def ledgers(story: Story, run: str, study: str) -> None:
    """The exported ledgers hold together, and tell both runs back."""
    story.tell("What the ledgers tell")
    files = []
    for name in ("hub", *SITES):
        files.append(story.folder / f"{name}.ledger")
        story.run("export", name, "audit", "export", "--out", files[-1])
    story.run("ledgers", ".", "audit", "verify", *files, "--agreement", story.folder / "agreement.json")
    sources = [word for file in files for word in ("--from", file)]
    story.run("agreed", ".", "audit", "search", *sources, "--person", f"keeper-{OFFICE}")
    story.run("first told", ".", "audit", "search", *sources, "--study", study)
    story.run("told", ".", "audit", "search", *sources, "--run", run)


def auditor(story: Story, run: str) -> None:
    """In a folder of their own, from exports alone: what every gate at every site said, and what crossed the border."""
    story.tell("The auditor, from exports alone")
    exports = story.folder / "ann" / "exports"
    for site in SITES:
        shutil.copy(story.folder / f"{site}.ledger", exports)
        story.run("register", site, "audit", "export", "--border", "--out", exports / f"{site}.border")
    story.run("verdicts", "ann", "audit", "search", "--from", "exports", "--run", run, "--event", "decision")
    story.run("border", "ann", "audit", "border", "--from", "exports")
    story.run("signatures", "ann", "audit", "evidence", "agreement", "--from", "exports")
    print("\n(without the exports nothing is known, and it says so)", flush=True)
    story.run("unknown", "ann", "audit", "evidence", "incidents")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve())
