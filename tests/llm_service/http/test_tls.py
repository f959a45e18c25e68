"""TLS: trusted or refused with one clear sentence, and never taken for whole when it was cut."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from raw_server import Peer, RawServer, always, answer, once, until

from llm_service.http import Broken, HttpClient, Unreachable

Contexts = Callable[..., tuple[ssl.SSLContext, ssl.SSLContext]]


@pytest.fixture(scope="session")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    """Makes a server's context and one that trusts it, for an address and a number of days."""

    def make(host: str = "127.0.0.1", days: int = 1) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        folder = tmp_path_factory.mktemp("tls")
        certificate = _certificate(folder, host, days)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate, folder / "key.pem")
        return server, ssl.create_default_context(cafile=certificate)

    return make


def _certificate(folder: Path, host: str, days: int) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test's server")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), False
        )
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    kind = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, plain))
    (folder / "server.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder / "server.pem"


async def test_requests_and_streams_over_tls_share_a_connection(make, contexts: Contexts) -> None:
    server_side, client_side = contexts()
    client = make(ssl_context=client_side)
    async with RawServer(always(answer(b"x" * 200_000)), tls=server_side) as server:
        endpoint = client.endpoint(server.url, {})
        for _ in range(5):
            assert len((await endpoint.post(b"y" * 100_000, 5.0)).body) == 200_000
            async with endpoint.stream(b"{}", 5.0) as stream:
                assert sum([len(piece) async for piece in stream]) == 200_000
        assert (server.accepted, client.connections) == (1, 1)


async def refused(client: HttpClient, server_side: ssl.SSLContext, words: str) -> None:
    async with RawServer(always(answer()), tls=server_side) as server:
        with pytest.raises(Unreachable, match=words) as caught:
            await client.endpoint(server.url, {}).post(b"", 5.0)
        assert client.connections == 0 and not server.heads
        assert str(caught.value).count(". ") == 0 and str(caught.value).endswith(".")


async def test_an_unknown_authority_is_refused(client: HttpClient, contexts: Contexts) -> None:
    await refused(client, contexts()[0], "not trusted: self.signed certificate")


async def test_a_certificate_for_another_name_is_refused(make, contexts: Contexts) -> None:
    server_side, client_side = contexts("127.0.0.9")
    await refused(make(ssl_context=client_side), server_side, "not trusted: .*127.0.0.1")


async def test_an_expired_certificate_is_refused(make, contexts: Contexts) -> None:
    server_side, client_side = contexts(days=-1)
    await refused(make(ssl_context=client_side), server_side, "not trusted: .*expired")


async def test_a_server_without_tls(client: HttpClient) -> None:
    async def plain(peer: Peer) -> None:
        await peer.send(answer(status="400 Bad Request"))
        await peer.gone()

    async with RawServer(plain) as server:
        with pytest.raises(Unreachable, match="No TLS connection"):
            await client.endpoint(server.url.replace("http", "https"), {}).post(b"", 5.0)
        await until(lambda: client.connections == 0)


async def test_a_handshake_that_hangs_is_given_up(make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        client = make(connect_timeout=0.1)
        with pytest.raises(Unreachable, match=r"within 0\.1 s"):
            await client.endpoint(url, {}).post(b"", 5.0)
        assert client.connections == 0


async def test_an_answer_without_a_length_must_end_with_tls_own_end(make, contexts) -> None:
    """A cut of the TCP connection, which anyone on the way can make, is not taken for the end."""
    server_side, client_side = contexts()
    head = b"HTTP/1.1 200 OK\r\n\r\nhello"

    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(head)
        await asyncio.sleep(0.02)
        peer.reset()

    client = make(ssl_context=client_side)
    async with RawServer(cut, tls=server_side) as server:
        with pytest.raises(Broken) as caught:
            await client.endpoint(server.url, {}).post(b"", 5.0)
        assert caught.value.cut
    async with RawServer(once(head), tls=server_side) as server:
        assert (await client.endpoint(server.url, {}).post(b"", 5.0)).body == b"hello"


async def test_a_cancelled_request_over_tls_closes_its_connection(make, contexts) -> None:
    server_side, client_side = contexts()
    client = make(ssl_context=client_side)
    async with RawServer(once(then="wait"), tls=server_side) as server:
        task = asyncio.create_task(client.endpoint(server.url, {}).post(b"", 60.0))
        await until(lambda: len(server.heads) == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: server.gone == 1 and client.connections == 0)
