"""However the network cuts the same bytes, the answer is the same, or the same kind of failure."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from llm_service.http import Broken, HttpError
from llm_service.http.connection import Connection


class Wire:
    """A transport that takes everything and sends nothing."""

    def write(self, data: bytes) -> None:
        """Takes it."""

    def abort(self) -> None:
        """There is no socket."""

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nobody reads."""

    resume_reading = pause_reading


LOOP = asyncio.new_event_loop()


def outcome(pieces: list[bytes], *, end: bool, streaming: bool) -> Any:
    """The answer that `pieces` make, or what kind of failure, and whether the connection stays."""
    connection = Connection("http://host", LOOP, 10_000, lambda _: None)
    connection.connection_made(Wire())  # type: ignore[arg-type]
    connection.send(b"", LOOP.time() + 60, 60.0, streaming=streaming)
    for piece in filter(None, pieces):
        connection.data_received(piece)
    if end:
        connection.eof_received()
    else:
        connection.connection_lost(ConnectionResetError())
    try:
        if streaming:
            LOOP.run_until_complete(connection.head())
            body = b""
            while piece := LOOP.run_until_complete(connection.piece()):
                body += piece
            return connection.status, connection.headers, body
        reply = LOOP.run_until_complete(connection.whole())
    except HttpError as error:
        return type(error), isinstance(error, Broken) and error.cut
    return reply.status, reply.headers, reply.body


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Whole answers, framed in each of the three ways, with interim answers and trailers."""
    body = draw(st.binary(max_size=300))
    names = st.sampled_from(["x-a", "X-B", "x-c"])
    values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
    headers = "".join(f"{draw(names)}: {draw(values)}\r\n" for _ in range(draw(st.integers(0, 4))))
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    head = interim + b"HTTP/1.1 200 OK\r\n" + headers.encode()
    match draw(st.sampled_from(["length", "chunks", "end"])):
        case "length":
            return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        case "chunks":
            cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
            parts = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
            trailer = draw(st.sampled_from([b"", b"X-T: 1\r\n"]))
            last = b"0\r\n" + trailer + b"\r\n"
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + last
        case _:
            return head + b"\r\n" + body


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    """`whole`, cut at `cuts` (taken modulo its length)."""
    places = sorted({cut % (len(whole) + 1) for cut in cuts} | {0, len(whole)})
    return [whole[a:b] for a, b in pairwise(places)]


CUTS = st.lists(st.integers(0, 2000), max_size=12)


@given(answers(), CUTS, st.booleans())
def test_an_answer_does_not_depend_on_its_segments(whole: bytes, cuts: list[int], streaming: bool):
    expected = outcome([whole], end=True, streaming=False)
    assert expected[0] == 200
    assert outcome(pieces(whole, cuts), end=True, streaming=streaming) == expected


@given(answers(), st.integers(0, 2000), CUTS, st.booleans(), st.booleans())
def test_a_cut_answer_is_never_taken_for_whole(whole, length, cuts, streaming, end) -> None:
    """Unless it has no length and its connection ends in order, where no one can tell."""
    part = whole[: length % len(whole)]
    found = outcome(pieces(part, cuts), end=end, streaming=streaming)
    if isinstance(found[0], int):
        assert end and "content-length" not in found[1] and "transfer-encoding" not in found[1]
    else:
        assert issubclass(found[0], HttpError)
        assert found == outcome([part], end=end, streaming=False)


@given(st.binary(max_size=400), CUTS, st.booleans())
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", [3], True)
@example(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 15_000, [5], False)
@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_any_bytes_at_all_end_in_an_answer_or_an_http_error(start, rest, cuts, end) -> None:
    whole = start + rest
    expected = outcome([whole], end=end, streaming=False)
    assert outcome(pieces(whole, cuts), end=end, streaming=False) == expected
