"""Server-sent events arrive in any pieces and come out whole."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_service.providers.sse import MOST_HELD, Splitter, TooLong

STREAM = (
    b": a comment\n\n"
    b'data: {"a": 1}\n\n'
    b'event: named\nid: 7\ndata: {"b": 2}\n\n'
    b"data:first\ndata: second\n\n"
    b"event: without data\n\n"
    b"\n\ndata: [DONE]\n\n"
)
EVENTS = [b'{"a": 1}', b'{"b": 2}', b"first\nsecond", b"[DONE]"]


@given(st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.integers(0, 200)))
def test_any_cut_and_any_line_end_give_the_same_events(line_end: bytes, cuts: list[int]) -> None:
    stream = STREAM.replace(b"\n", line_end)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    splitter = Splitter()
    found = []
    for start, end in itertools.pairwise(places):
        found += splitter.push(stream[start:end])
    assert found + splitter.rest() == EVENTS


def test_what_remains_at_the_end_is_an_event_too() -> None:
    splitter = Splitter()
    assert splitter.push(b"data: one\n\ndata: [DONE]\n") == [b"one"]
    assert splitter.rest() == [b"[DONE]"]
    assert splitter.rest() == []


def test_an_event_without_an_end_is_refused() -> None:
    splitter = Splitter()
    splitter.push(b"data: ")
    with pytest.raises(TooLong):
        splitter.push(b"x" * (MOST_HELD + 1))
