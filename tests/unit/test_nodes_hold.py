"""What a peer, a defect or a person's file sets off ends what it is about, and is said by its code; the node goes on."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isthmus.federation import site_watch, worker
from isthmus.federation.deidentified import Rows
from isthmus.federation.frames import Assembler
from isthmus.federation.grpc_client import HubClient
from isthmus.federation.link import Ended, Link
from isthmus.federation.messages import Author
from isthmus.federation.node import job_name
from isthmus.federation.site_watch import SiteWatch
from isthmus.federation.snapshots import Lineage
from isthmus.federation.spool import Spool
from isthmus.federation.store import open_store
from isthmus.federation.worker import Worker
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid, IsthmusError, Refused, Unavailable, coded
from secagg_lab import Drawn, SigningKey


def test_a_coded_error_stays_and_a_defect_is_told_by_its_place() -> None:
    known = Refused("E-RULE", "no")
    assert coded(known) is known
    try:
        open_store(5)  # type: ignore[arg-type]
    except TypeError as error:
        told = coded(error)
    assert (told.code, told.message) == ("E-INTERNAL", "unforeseen TypeError")
    assert told.where.startswith("isthmus/federation/store.py:")


class Stream:
    """A stream that stays open and takes everything."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def read(self) -> Any:
        await asyncio.sleep(60)

    async def write(self, message: bytes) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("error", [KeyError("row 7"), Refused("E-RULE", "no"), RecursionError()])
def test_a_stream_ends_on_a_defect_as_on_any_error(tmp_path: Path, error: Exception) -> None:
    async def take(_item: object) -> None:
        raise error

    said: list[Any] = []
    talk: Any = SimpleNamespace(say=lambda kind, body: said.append((kind, body)) or b"{}", hear=lambda raw: raw)
    item: Any = SimpleNamespace(kind="done", body={})
    link = Link(talk, Stream(), Assembler(Spool(tmp_path), 1), take)

    async def play() -> Ended:
        await link._inbox.put(item)
        return await link.run()

    ended = asyncio.run(play())
    assert ended == Ended("error", ended.error)
    assert ended.error is not None
    assert ended.error.code == ("E-RULE" if isinstance(error, Refused) else "E-INTERNAL")
    assert [(kind, body["code"]) for kind, body in said] == [("bye", ended.error.code)]
    assert "row 7" not in str(said)


def test_a_watch_looks_again_whatever_it_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agreement that ends after a rule could not be judged is still noticed."""
    monkeypatch.setattr(site_watch, "LOOK", 0.0)
    met: list[Exception] = [Invalid("E-PACK", "a constant is missing"), Invalid("E-PACK", "a constant is missing"), KeyError("x")]  # fmt: skip
    ended, errors = list[IsthmusError](), list[str]()

    def look() -> bool:
        if met:
            raise met.pop(0)
        return False

    standing: Any = SimpleNamespace(look=look, lapsed=lambda: Refused("E-EXPIRED", "over"), operate=lambda: None)
    log = logging.Logger("watch")
    log.addHandler(SimpleNamespace(level=0, handle=lambda record: errors.append(record.getMessage())))  # type: ignore[arg-type]
    clock: Any = lambda: SimpleNamespace(strftime=lambda _form: "now")  # noqa: E731

    async def early() -> None:
        return

    fakes: Any = (None, Worker(), clock, {}, None, ended.append, lambda: None, early, log)
    watch = SiteWatch(standing, *fakes)

    async def play() -> None:
        looking = asyncio.create_task(watch.looking())
        while not ended:
            await asyncio.sleep(0)
        looking.cancel()

    asyncio.run(asyncio.wait_for(play(), 10))
    assert [error.code for error in ended] == ["E-EXPIRED"]
    assert [text[:10] for text in errors] == ["E-PACK: a ", "E-INTERNAL"]  # each once


def test_no_peer_makes_a_node_remember_ever_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST", 10)
    own = Worker()

    async def play() -> None:
        for at in range(100):
            await own.run(f"job {at}", lambda: None)

    asyncio.run(play())
    own.close()
    assert len(own._took) <= 10
    author = Author("rehearsal", "sha256:r", "leeds", SigningKey.from_bytes(Drawn("leeds")(32)))
    for kind, asked in (("x" * 5000, {}), ("keys", {"descriptor": {"question": "y" * 5000}}), ("keys", {"descriptor": {"question": [9] * 5000}})):  # fmt: skip
        assert len(job_name(author.say(kind, asked))) < 200


@pytest.mark.parametrize("answer", [{}, {"runs": 5}, {"run": "r"}, {"part": 5}, {"part": "zz"}])
def test_a_hubs_answer_of_another_form_is_an_error_of_the_hub(answer: dict[str, Any]) -> None:
    client = HubClient.__new__(HubClient)
    client._answers = lambda *_: iter([answer])  # type: ignore[method-assign,assignment]
    asked: list[Any] = [client.runs, client.cases, lambda: client.names("00"), lambda: client.bundle("r")]
    if "run" not in answer:
        asked.append(lambda: client.submit({}))
    for ask in asked:
        with pytest.raises(Invalid, match="E-WIRE"):
            ask()


@pytest.mark.parametrize("place", ["nowhere://user:secret@host/db", "postgresql://[", "sqlite+none:///x"])
def test_a_store_that_cannot_be_opened_is_named_without_its_secret(place: str) -> None:
    with pytest.raises(Unavailable, match="E-STORE") as caught:
        open_store(place)
    assert "secret" not in str(caught.value)


def test_a_store_below_a_file_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="E-STORE"):
        open_store(tmp_path / "file" / "state.db")


def test_a_snapshot_that_has_no_folder_is_an_error_of_the_disk(tmp_path: Path) -> None:
    from isthmus.data.source import open_source

    (tmp_path / "snapshots").write_text("")
    store = open_store(tmp_path / "state.db")
    book = Codebook(name="d", variables={})
    lineage = Lineage(store, tmp_path / "snapshots", "d", book, None, 5)
    import pyarrow as pa

    with pytest.raises(Unavailable, match="E-DISK"):
        lineage.served(open_source(pa.table({"x": [1]})))
    store.close()


def test_rows_of_which_nobody_claims_anything_are_not_hashed() -> None:
    def hashed() -> str:
        raise AssertionError("a file of gigabytes was read")

    held: Any = SimpleNamespace(
        controller="p", identifiability="identifiable", hipaa_path=None, subjects=("GB",), people_us=None
    )
    agreement: Any = SimpleNamespace(
        dataset=lambda _name: SimpleNamespace(custody=[held]), site=lambda _name: SimpleNamespace(party="p")
    )
    source: Any = SimpleNamespace(fingerprint=hashed)
    Rows(agreement, "leeds").before_use("d", source, Codebook(name="d", variables={}), None)
