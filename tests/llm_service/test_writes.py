"""The first write of a round goes out at once, the others together; none is lost or reordered."""

from __future__ import annotations

import asyncio
from typing import Any

from llm_service.writes import MOST, Together

Written = list[tuple[int, bytes]]


class Socket(asyncio.Transport):
    """Takes down what is written, and when."""

    def __init__(self, number: int, written: Written) -> None:
        super().__init__()
        self.number, self.written, self.closing = number, written, False

    def write(self, data: Any) -> None:
        assert not self.closing
        self.written.append((self.number, data))

    def close(self) -> None:
        self.closing = True

    abort = close

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0


def transports(count: int) -> tuple[list[Together], list[Socket], Written]:
    written: Written = []
    sockets = [Socket(number, written) for number in range(count)]
    loop = asyncio.get_running_loop()
    return [Together(each, loop) for each in sockets], sockets, written


async def rounds(count: int = 2) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_first_write_of_a_round_waits_for_nothing() -> None:
    (only,), _, written = transports(1)
    only.write(b"a")
    assert written == [(0, b"a")]
    await rounds()
    only.write(b"b")
    assert written == [(0, b"a"), (0, b"b")]
    await rounds()


async def test_the_others_go_out_at_the_end_of_the_round_in_their_order() -> None:
    (first, second, third), _, written = transports(3)
    first.write(b"1")
    third.write(b"3")
    second.write(b"2")
    third.write(b"4")
    assert written == [(0, b"1")]
    await rounds()
    assert written == [(0, b"1"), (2, b"34"), (1, b"2")]


async def test_no_more_than_so_many_wait_for_each_other() -> None:
    several, _, written = transports(MOST + 2)
    for each in several[:-1]:
        each.write(b"x")
    assert [number for number, _ in written] == list(range(MOST + 1))
    several[-1].write(b"y")
    assert len(written) == MOST + 1
    await rounds()
    assert written[-1] == (MOST + 1, b"y")


async def test_closing_writes_what_waits_and_aborting_drops_it() -> None:
    (first, closed, aborted, gone), sockets, written = transports(4)
    for each in (first, closed, aborted, gone):
        each.write(b"x")
    assert (closed.get_write_buffer_size(), first.get_write_buffer_size()) == (1, 0)
    closed.close()
    aborted.abort()
    sockets[3].close()
    await rounds()
    assert written == [(0, b"x"), (1, b"x")]
    assert closed.is_closing()
    assert aborted.is_closing()
    assert aborted.get_write_buffer_size() == 0
