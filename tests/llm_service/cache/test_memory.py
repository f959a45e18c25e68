"""The answers in a process: bounded, and gone in time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_service.cache import Cached, SourceRow
from llm_service.cache.memory import Memory
from llm_service.cache.values import read
from llm_service.calls import Usage

USAGE = Usage(10, 2)


def answer(text: str = "82 degrees.") -> Cached:
    return Cached(text=text, usage=USAGE, model="openai/gpt", sources=(SourceRow("d", "D", 1.5),))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_there_until_its_time_is_over() -> None:
    clock = Clock()
    memory = Memory(10_000, clock)
    memory.put(b"a", answer(), 5)
    clock.now += 4.9
    assert memory.get(b"a") == answer()
    clock.now += 0.2
    assert memory.get(b"a") is None
    assert (len(memory), memory.bytes, memory.expired) == (0, 0, 1)


def test_the_least_recently_given_answer_leaves_first() -> None:
    memory = Memory(3 * answer().size)
    for digest in (b"a", b"b", b"c"):
        memory.put(digest, answer(), 60)
    memory.get(b"a")
    memory.put(b"d", answer(), 60)
    assert memory.get(b"b") is None
    assert memory.get(b"a") and memory.get(b"c") and memory.get(b"d")
    assert memory.evicted == 1


def test_an_answer_larger_than_all_room_is_not_kept() -> None:
    memory = Memory(1_000)
    memory.put(b"a", answer("x" * 1_000), 60)
    assert len(memory) == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 300), st.integers(0, 3)), max_size=80))
def test_memory_never_holds_more_than_its_room(steps: list[tuple[int, int, int]]) -> None:
    clock = Clock()
    memory = Memory(4_000, clock)
    for name, length, pause in steps:
        clock.now += pause
        memory.put(bytes([name]), answer("x" * length), 2)
        memory.get(bytes([9 - name]))
        kept = [memory._entries[digest][1].size for digest in memory._entries]
        assert memory.bytes == sum(kept) <= 4_000


def test_an_answer_survives_a_store_and_anything_else_is_no_answer() -> None:
    assert read(answer().bytes()) == answer()
    for damaged in (b"", b"\xc1", b"{}", answer().bytes()[:-3], b"\x81\xa4text\xa1a"):
        assert read(damaged) is None
