"""The network alone: pinned mutual TLS 1.3, signed control documents, frames, silence, reconnecting."""

from __future__ import annotations

import asyncio
import json
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from wires import Dialled, Network, identity, now, party, settings, soon, until

from isthmus.federation import tls
from isthmus.federation.control import Peer, Talk
from isthmus.federation.frames import Assembler, ControlBytes, pack
from isthmus.federation.grpc_client import HubClient
from isthmus.federation.grpc_hub import SERVICE, HubServer
from isthmus.federation.grpc_site import HubAddress
from isthmus.federation.messages import BytesPayload, FilePayload, check_signature
from isthmus.federation.spool import Spool
from isthmus.model.errors import Invalid, Refused, Untrusted


def test_messages_small_and_large_come_back_as_they_were_sent(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network(tmp_path) as net, net.client() as ear:
            link, welcome = await soon(ear.ready)
            assert welcome.body == {"agreed": True}
            large = bytes(range(256)) * 12_000  # 3 MB: spooled
            for raw in (b"", b"x", large):
                sent = net.author().say("keys", {"n": len(raw)}, BytesPayload(raw), enclosed=b"shares")
                link.send([sent])
                got = await soon(ear.heard)
                check_signature(got, net.site.key.public)
                assert (got.header, got.enclosed) == (sent.header, sent.enclosed)
                assert b"".join(got.body.chunks()) == raw
            assert isinstance(got.body, FilePayload)

    asyncio.run(play())


def test_small_messages_share_a_frame_and_keep_their_order(tmp_path: Path) -> None:
    site = identity(tmp_path, "site", "leeds")
    from isthmus.federation.messages import Author

    author = Author("rehearsal", "run", "leeds", site.key)
    items = [author.say("keys", {"n": n}, BytesPayload(b"b" * n)) for n in range(20)]
    frames = list(pack(items))
    assert len(frames) == 1
    assembler = Assembler(Spool(tmp_path), 1 << 20)
    assert [m.header["n"] for m in assembler.feed(frames[0])] == list(range(20))


def test_a_bye_is_told_from_a_cut(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network(tmp_path) as net:
            async with net.client() as ear:
                await soon(ear.ready)
            await until(lambda: net.office.ends)
            assert net.office.ends[0].how == "bye"
            client = net.client()
            async with client as ear:
                await soon(ear.ready)
                client._task.cancel()
                await asyncio.gather(client._task, return_exceptions=True)
                await until(lambda: len(net.office.ends) == 2)
                assert net.office.ends[1].how == "lost"
                client._task = asyncio.create_task(asyncio.sleep(0))

    asyncio.run(play())


def test_unknown_certificate_is_turned_away(tmp_path: Path) -> None:
    async def play() -> None:
        stranger = identity(tmp_path / "elsewhere", "site", "leeds")
        async with Network(tmp_path) as net, net.client(stranger) as ear:
            ended = await soon(ear.ends)
            assert ended.error is not None
            assert ended.error.code in {"E-UNREACHABLE", "E-TLS"}
            assert net.office.links == {}

    asyncio.run(play())


def test_a_certificate_pinned_for_a_researcher_cannot_join_as_a_site(tmp_path: Path) -> None:
    async def play() -> None:
        net = Network(tmp_path)
        ada = identity(tmp_path, "researcher", "ada")
        net.server = HubServer(net.hub, {"ada": party(ada)}, net.office, net.settings)
        async with net, net.client(ada) as ear:
            ended = await soon(ear.ends)
            assert ended.error.code == "E-TLS"
            assert "E-PIN" in str(ended.error)
            assert net.office.refused[0] == ("ada", "site", "E-PIN")

    asyncio.run(play())


def test_a_hub_with_another_certificate_is_not_spoken_to(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network(tmp_path) as net:
            impostor = identity(tmp_path / "impostor", "hub", "hub")
            wrong = HubAddress(f"127.0.0.1:{net.port}", "hub", impostor.key.public, impostor.certificate)
            async with Dialled(net.site, wrong, settings(tmp_path / "s")) as ear:
                ended = await soon(ear.ends)
                assert isinstance(ended.error, Untrusted)
                assert ended.error.code == "E-TLS"
                assert net.office.links == {}

    asyncio.run(play())


def test_a_hub_with_the_right_certificate_and_another_identity_is_refused(tmp_path: Path) -> None:
    """A TLS-inspecting proxy that somehow holds the transport key must not become a party."""

    async def play() -> None:
        async with Network(tmp_path) as net:
            other = identity(tmp_path / "other", "hub", "hub")
            wrong = HubAddress(f"127.0.0.1:{net.port}", "hub", other.key.public, net.hub.certificate)
            async with Dialled(net.site, wrong, settings(tmp_path / "s")) as ear:
                assert (await soon(ear.ends)).error.code == "E-SIGNATURE"

    asyncio.run(play())


def test_tls_12_is_refused_although_grpc_accepts_it(tmp_path: Path) -> None:
    auth: dict[str, list[bytes]] = {"ssl_tls_version": [b"TLSv1.2"], "x509_pem_cert": [b""]}
    with pytest.raises(Untrusted, match="E-TLS"):
        tls.peer_pin(auth)

    async def play() -> None:
        async with Network(tmp_path) as net:
            answer = await asyncio.to_thread(_join_over_tls12, net, tmp_path)
            assert b"E-TLS" in answer
            assert net.office.links == {}

    asyncio.run(play())


def _join_over_tls12(net: Network, tmp_path: Path) -> bytes:
    """Speak just enough HTTP/2 over a TLS 1.2 socket to call Join; give everything the hub answers."""
    import socket

    (tmp_path / "hub.pem").write_bytes(net.hub.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(tmp_path / "hub.pem")
    context.load_cert_chain(tmp_path / "leeds" / "transport.pem", tmp_path / "leeds" / "transport.key")
    context.set_alpn_protocols(["h2"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", net.port), 5) as plain,
        context.wrap_socket(plain, server_hostname=tls.SERVER_NAME) as secure,
    ):
        assert secure.version() == "TLSv1.2"  # the handshake itself is let through by gRPC
        secure.settimeout(5)
        pairs = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", f"/{SERVICE}/Join"),
            (":authority", tls.SERVER_NAME),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        block = b"".join(
            b"\x00" + bytes([len(n)]) + n.encode() + bytes([len(v)]) + v.encode() for n, v in pairs
        )  # RFC 7541 6.2.2: literal, not indexed, no Huffman
        headers = len(block).to_bytes(3, "big") + b"\x01\x04" + (1).to_bytes(4, "big") + block
        secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + headers)
        answer = b""
        while b"E-TLS" not in answer:
            piece = secure.recv(65536)
            if not piece:
                break
            answer += piece
        return answer


async def _raw_stream(net: Network) -> tuple[Any, Talk, aio.Channel]:
    """The opening of a stream by hand, so that a test can misbehave afterwards."""
    credentials = tls.channel_credentials(net.site.tls_key, net.site.certificate, net.hub.certificate)
    channel = aio.secure_channel(f"127.0.0.1:{net.port}", credentials, options=tls.CHANNEL_OPTIONS)
    call: Any = channel.stream_stream(f"/{SERVICE}/Join")()
    talk = Talk("leeds", net.site.key, Peer("hub", net.hub.key.public), now)
    (item,) = Assembler(Spool(net.directory), 0).feed(await call.read())
    talk.session = talk.hear(item.raw).body["nonce"]
    hello = talk.say("hello", {"nonce": "0" * 32})
    await call.write(b"".join(pack([ControlBytes(hello)])))
    talk.session += "0" * 32
    (welcome,) = Assembler(Spool(net.directory), 0).feed(await call.read())
    assert talk.hear(welcome.raw).kind == "welcome"
    return call, talk, channel


def _misbehave(tmp_path: Path, frames: Any, code: str) -> None:
    async def play() -> None:
        async with Network(tmp_path) as net:
            call, talk, channel = await _raw_stream(net)
            async with channel:
                for frame in frames(net, talk):
                    await call.write(frame)
                await until(lambda: net.office.ends)
                ended = net.office.ends[0]
                assert ended.how == "error"
                assert ended.error.code == code
                bye = talk.hear(Assembler(Spool(tmp_path), 0).feed(await call.read())[-1].raw)
                assert (bye.kind, bye.body["code"]) == ("bye", code)  # the site is told why

    asyncio.run(play())


def _document(raw: bytes) -> bytes:
    return b"".join(pack([ControlBytes(raw)]))


def test_replayed_document(tmp_path: Path) -> None:
    def frames(_: Network, talk: Talk) -> list[bytes]:
        beat = _document(talk.say("heartbeat", {}))
        return [beat, beat]

    _misbehave(tmp_path, frames, "E-REPLAY")


def test_document_of_another_session(tmp_path: Path) -> None:
    def frames(_: Network, talk: Talk) -> list[bytes]:
        session, talk.session = talk.session, "f" * 64
        raw = _document(talk.say("heartbeat", {}))
        talk.session = session
        return [raw]

    _misbehave(tmp_path, frames, "E-REPLAY")


def test_altered_document(tmp_path: Path) -> None:
    def frames(_: Network, talk: Talk) -> list[bytes]:
        raw = json.loads(talk.say("trouble", {"code": "E-DISK"}))
        return [_document(json.dumps({**raw, "body": {"code": "E-NONE"}}).encode())]

    _misbehave(tmp_path, frames, "E-SIGNATURE")


def test_another_version_names_both(tmp_path: Path) -> None:
    talk = Talk("hub", identity(tmp_path, "hub", "hub").key, Peer("leeds", b""), now)
    with pytest.raises(Untrusted) as caught:
        talk.hear(json.dumps({"protocol": "isthmus/9", "version": "9.1", "later": True}).encode())
    assert caught.value.code == "E-VERSION"
    assert all(text in caught.value.message for text in ("isthmus/9", "9.1", "isthmus/2"))


def test_a_wrong_clock_is_refused(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network(tmp_path) as net:
            own = settings(tmp_path / "late", clock=lambda: now() - timedelta(minutes=6))
            async with net.client(own=own) as ear:
                ended = await soon(ear.ends)
                assert ended.error.code == "E-CLOCK"

    asyncio.run(play())


def test_a_certificate_that_expires_on_a_live_stream_ends_it(tmp_path: Path) -> None:
    async def play() -> None:
        shift = [timedelta()]
        hub = settings(tmp_path / "hub-spool", clock=lambda: now() + shift[0], beat=60)
        async with Network(tmp_path, hub) as net, net.client(own=settings(tmp_path / "s", beat=60)) as ear:
            link, _ = await soon(ear.ready)
            shift[0] = tls.LIFETIME + timedelta(days=1)
            link.send([net.author().say("keys", {})])
            await until(lambda: net.office.ends)
            assert net.office.ends[0].error.code == "E-CLOCK"
            assert net.office.seen == []

    asyncio.run(play())


def test_announced_body_above_the_limit_is_refused_before_it_comes(tmp_path: Path) -> None:
    class Endless:
        size = 1 << 40
        sha256 = "0" * 64

        def chunks(self, size: int = 1 << 20) -> Any:
            yield b"x"

    def frames(net: Network, _: Talk) -> list[bytes]:
        message = net.author().endorse("masked", {}, b"", Endless())
        return list(pack([message]))

    _misbehave(tmp_path, frames, "E-TOO-LARGE")
    assert not list((tmp_path / "hub-spool").iterdir())


def test_a_large_body_that_nobody_waits_for_is_not_kept(tmp_path: Path) -> None:
    """One byte more than the open turn's: it never reaches the disk, and the stream goes on."""

    async def play() -> None:
        async with Network(tmp_path) as net, net.client() as ear:
            link, _ = await soon(ear.ready)
            net.office.wanted = (3 << 20) - 1
            link.send([net.author().say("masked", {"n": 1}, BytesPayload(bytes(3 << 20)))])
            link.send([net.author().say("keys", {"n": 2})])
            assert (await soon(ear.heard)).header == {"n": 2}
            assert [message.header["n"] for message in net.office.seen] == [2]
            assert not list((tmp_path / "hub-spool").iterdir())
            net.office.wanted += 1
            link.send([net.author().say("masked", {"n": 3}, BytesPayload(bytes(3 << 20)))])
            assert (await soon(ear.heard)).header == {"n": 3}

    asyncio.run(play())


def test_oversized_frame_of_grpc_itself(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network(tmp_path) as net:
            call, _, channel = await _raw_stream(net)
            async with channel:
                await call.write(b"x" * 5_000_000)
                assert await call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED

    asyncio.run(play())


@pytest.mark.parametrize("frame", [b"C", b"X\x00\x00\x00\x00", b"C\xff\xff\xff\x00abc", b"D\x01\x00\x00\x00x"])
def test_malformed_frames(tmp_path: Path, frame: bytes) -> None:
    with pytest.raises(Invalid, match="E-WIRE"):
        Assembler(Spool(tmp_path), 1 << 20).feed(frame)


def test_a_body_cut_short_leaves_no_file(tmp_path: Path) -> None:
    assembler = Assembler(Spool(tmp_path), 1 << 30)
    assembler.feed(b"M" + (8 + 2).to_bytes(4, "little") + (1 << 21).to_bytes(8, "little") + b"{}")
    assembler.feed(b"D" + (3).to_bytes(4, "little") + b"abc")
    assert list(tmp_path.iterdir())
    assembler.abandon()
    assert not list(tmp_path.iterdir())


def test_silence_is_noticed(tmp_path: Path) -> None:
    """A frozen process keeps its connection: only the missing heartbeats show it."""

    async def play() -> None:
        async with Network(tmp_path) as net:
            _call, _talk, channel = await _raw_stream(net)
            async with channel:
                await until(lambda: net.office.ends)
                assert net.office.ends[0].how == "silent"

    asyncio.run(play())


class Cut:
    """A TCP relay that can drop every connection: the network, failing."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Cut:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, back]
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer), return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


def test_a_dropped_network_comes_back_within_a_second(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network(tmp_path) as net, Cut(net.port) as cut, net.client(port=cut.port) as ear:
            for _ in range(3):
                link, _ = await soon(ear.ready, 2.0)
                link.send([net.author().say("keys", {})])
                assert (await soon(ear.heard)).kind == "keys"
                cut.cut()
                await soon(ear.ends)

    asyncio.run(play())


def test_researcher_asks_signed_questions(tmp_path: Path) -> None:
    async def play() -> None:
        net = Network(tmp_path)
        ada = identity(tmp_path, "researcher", "ada")
        net.server = HubServer(net.hub, {"leeds": party(net.site), "ada": party(ada)}, net.office, net.settings)
        async with net:
            assert await asyncio.to_thread(_submit, net, ada) == "run-1"
            with pytest.raises(Invalid, match="no such run here") as caught:
                await asyncio.to_thread(_status, net, ada)
            assert caught.value.code == "E-RUN"
            with pytest.raises(Exception, match="E-PIN"):
                await asyncio.to_thread(_submit, net, net.site)

    asyncio.run(play())


def _submit(net: Network, who: Any) -> str:
    with HubClient(who, net.address(), now) as client:
        return client.submit({})


def _status(net: Network, who: Any) -> Any:
    with HubClient(who, net.address(), now) as client:
        return client.status("sha256:none")


def test_a_question_asked_twice_is_a_replay(tmp_path: Path) -> None:
    async def play() -> None:
        net = Network(tmp_path)
        ada = identity(tmp_path, "researcher", "ada")
        net.server = HubServer(net.hub, {"ada": party(ada)}, net.office, net.settings)
        async with net:
            talk = Talk("ada", ada.key, Peer("hub", net.hub.key.public), now)
            question = _document(talk.ask("a" * 32, {"what": "submit"}))
            credentials = tls.channel_credentials(ada.tls_key, ada.certificate, net.hub.certificate)
            async with aio.secure_channel(f"127.0.0.1:{net.port}", credentials, options=tls.CHANNEL_OPTIONS) as channel:
                first: Any = channel.unary_stream(f"/{SERVICE}/Ask")(question)
                assert await first.read() is not aio.EOF
                again: Any = channel.unary_stream(f"/{SERVICE}/Ask")(question)
                with pytest.raises(aio.AioRpcError, match="E-REPLAY"):
                    await again.read()

    asyncio.run(play())


def test_the_hub_says_why_it_does_not_take_a_site(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network(tmp_path) as net:
            net.office.refuse = Refused("E-AGREEMENT-VERSION", "the site holds another agreement", "exchange it")
            async with net.client() as ear:
                ended = await soon(ear.ends)
                assert isinstance(ended.error, Refused)
                assert ended.error.code == "E-AGREEMENT-VERSION"

    asyncio.run(play())
