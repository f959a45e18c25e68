"""What goes over the wire, and what is refused before it could."""

from __future__ import annotations

import socket

import pytest
from raw_server import RawServer, always, answer

from llm_service.http import HttpClient
from llm_service.http.heads import address


async def test_a_request_is_its_head_once_and_its_length_and_its_body(client: HttpClient) -> None:
    async with RawServer(always(answer())) as server:
        endpoint = client.endpoint(
            f"{server.url}/v1/chat?api=1&b=%20", {"Content-Type": "application/json"}
        )
        await endpoint.post("\u00e9{}".encode(), 5.0, {"X-Trace": "1"})
        await endpoint.post(b"", 5.0)
    first, second = (head.decode() for head in server.heads)
    assert first == (
        f"POST /v1/chat?api=1&b=%20 HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n"
        "accept-encoding: identity\r\naccept: */*\r\nuser-agent: llm-service\r\n"
        "Content-Type: application/json\r\ncontent-length: 4\r\nX-Trace: 1\r\n\r\n"
    )
    assert second.endswith("application/json\r\ncontent-length: 0\r\n\r\n")


async def test_a_callers_own_user_agent_replaces_ours(client: HttpClient) -> None:
    async with RawServer(always(answer())) as server:
        await client.endpoint(server.url, {"User-Agent": "other"}).post(b"", 5.0)
    assert server.heads[0].lower().count(b"user-agent") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-a", "1\r\nx-b: 2"),
        ("x-a", "1\nx-b: 2"),
        ("x-a", "1\r"),
        ("x-a", "nul\0"),
        ("x-a", "\u2028"),
        ("x-a\r\nx-b", "1"),
        ("x a", "1"),
        ("x-a:", "1"),
        ("", "1"),
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
        ("Host", "elsewhere"),
        ("connection", "close"),
    ],
)
async def test_headers_that_could_forge_a_request_are_refused(client, name, value) -> None:
    async with RawServer(always(answer())) as server:
        with pytest.raises(ValueError) as caught:
            client.endpoint(server.url, {name: value})
        assert "x-b" not in str(caught.value)
        endpoint = client.endpoint(server.url, {})
        with pytest.raises(ValueError):
            await endpoint.post(b"", 5.0, {name: value})
        with pytest.raises(ValueError):
            await client.get(server.url, 5.0, {name: value})
        assert (server.accepted, client.connections) == (0, 0)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/",
        "host/path",
        "http:///path",
        "http://user:password@host/",
        "http://host/#fragment",
        "http://host/a b",
        "http://host/a\r\nx: y",
        "http://host/\u00e9",
        "http://h\u00f6st/",
        "http://host:99999/",
        "http://[::1/",
        "",
    ],
)
def test_addresses_that_cannot_be_asked_are_refused(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        address(url)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("http://host", "host", "/"),
        ("http://host:80/", "host", "/"),
        ("https://host:443/v1?a=b", "host", "/v1?a=b"),
        ("https://HOST:80?a", "host:80", "/?a"),
        ("http://[::1]:8000/x", "[::1]:8000", "/x"),
        ("http://127.0.0.1/m/a%3A0/invoke", "127.0.0.1", "/m/a%3A0/invoke"),
    ],
)
def test_addresses_are_read(url: str, authority: str, target: str) -> None:
    origin, found = address(url)
    assert (origin.authority, found) == (authority, target)


async def test_ipv6(client: HttpClient) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        async with RawServer(always(answer()), host="::1") as server:
            assert (await client.endpoint(server.url, {}).post(b"", 5.0)).body == b"hello"
            assert f"host: [::1]:{server.port}".encode() in server.heads[0]
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")


async def test_proxies_are_not_used(client: HttpClient, monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with RawServer(always(answer())) as server:
        assert (await client.endpoint(server.url, {}).post(b"", 5.0)).body == b"hello"
