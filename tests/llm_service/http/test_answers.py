"""Where an answer ends and what it holds: RFC 9112, section 6, as servers really write it."""

from __future__ import annotations

import asyncio

import pytest
from raw_server import RawServer, always, answer, once, until

from llm_service.http import HttpClient, HttpReply

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


async def said(client: HttpClient, *pieces: bytes, then: str = "wait") -> HttpReply:
    """The answer of a server that sends `pieces`; if that waits, the connection must be kept."""
    async with RawServer(once(*pieces, then=then)) as server:
        reply = await client.endpoint(server.url, {}).post(b"{}", 5.0)
        await until(lambda: client.connections == (then == "wait"))
        return reply


async def test_an_answer_with_a_length(client: HttpClient) -> None:
    reply = await said(client, answer(b"hello", "X-One: 1"))
    assert reply == HttpReply(200, {"content-length": "5", "x-one": "1"}, b"hello")


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 3_000_000])
async def test_answers_of_every_size(client: HttpClient, size: int) -> None:
    assert (await said(client, answer(b"x" * size))).body == b"x" * size


async def test_a_chunked_answer(client: HttpClient) -> None:
    pieces = CHUNKED + b"5\r\nhello\r\n", b"1;name=value\r\n \r\n", b"05\r\nworld\r\n0\r\n\r\n"
    assert (await said(client, *pieces)).body == b"hello world"


async def test_trailers_are_read_and_are_no_headers(client: HttpClient) -> None:
    reply = await said(client, CHUNKED + b"2\r\nhi\r\n0\r\nX-Late: 1\r\nX-Later: 2\r\n\r\n")
    assert (reply.body, set(reply.headers)) == (b"hi", {"transfer-encoding"})


async def test_an_answer_that_ends_with_its_connection(client: HttpClient) -> None:
    reply = await said(client, OK + b"Content-Type: text/plain\r\n\r\nhel", b"lo", then="close")
    assert reply.body == b"hello"


async def test_an_answer_that_ends_with_a_half_closed_connection(client: HttpClient) -> None:
    assert (await said(client, OK + b"\r\nhello", then="end")).body == b"hello"


async def test_an_answer_of_http_1_0_ends_with_its_connection(client: HttpClient) -> None:
    assert (await said(client, b"HTTP/1.0 200 OK\r\n\r\nhello", then="close")).body == b"hello"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_a_status_without_a_body(client: HttpClient, status: str) -> None:
    reply = await said(client, f"HTTP/1.1 {status}\r\n\r\n".encode())
    assert (reply.status, reply.body) == (int(status[:3]), b"")


async def test_a_length_on_a_status_without_a_body_means_nothing(client: HttpClient) -> None:
    assert (await said(client, b"HTTP/1.1 304 -\r\nContent-Length: 5\r\n\r\n")).body == b""


async def test_interim_answers_are_passed_over(client: HttpClient) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    continued = b"HTTP/1.1 100 Continue\r\n\r\n"
    reply = await said(client, early, continued + continued, answer(b"hello"))
    assert (reply.status, reply.body, set(reply.headers)) == (200, b"hello", {"content-length"})


async def test_an_error_status_is_an_answer(client: HttpClient) -> None:
    slow = answer(b"{}", "Retry-After: 3", status="429 Too Many Requests")
    reply = await said(client, slow)
    assert (reply.status, reply.headers["retry-after"]) == (429, "3")


async def test_a_status_line_without_a_reason(client: HttpClient) -> None:
    assert (await said(client, b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")).status == 200


async def test_repeated_headers_are_joined_and_odd_bytes_survive(client: HttpClient) -> None:
    reply = await said(client, answer(b"", "X-A: 1", "x-a: 2", "X-Empty:", "X-B: \u00e9"))
    assert (reply.headers["x-a"], reply.headers["x-empty"]) == ("1, 2", "")
    assert reply.headers["x-b"].encode("latin-1").decode() == "\u00e9"


async def test_an_answer_byte_by_byte(client: HttpClient) -> None:
    whole = CHUNKED + b"5\r\nhello\r\n0\r\nX: 1\r\n\r\n"
    assert (await said(client, *(whole[i : i + 1] for i in range(len(whole))))).body == b"hello"


async def test_a_get(client: HttpClient) -> None:
    async with RawServer(always(answer(b"ready"))) as server:
        reply = await client.get(f"{server.url}/readyz?a=b", 5.0, {"x-a": "1"})
    assert reply.body == b"ready"
    head = server.heads[0].lower()
    assert head.startswith(b"get /readyz?a=b http/1.1\r\nhost: 127.0.0.1:")
    assert b"\r\nx-a: 1\r\n" in head and b"content-length" not in head


async def test_an_answer_that_came_before_the_request_was_written(client: HttpClient) -> None:
    async def script(peer):
        await peer.head()
        await peer.send(answer(b"too large", status="413 Content Too Large"))
        await asyncio.Event().wait()

    async with RawServer(script) as server:
        reply = await client.endpoint(server.url, {}).post(b"x" * 20_000_000, 5.0)
        assert reply.status == 413
        await until(lambda: client.connections == 0)
