"""Anthropic's format: what is sent, and what is made of what comes back."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest
from anthropic.types import StopReason

from llm_service.calls import Call, Delta, End, Event, Message, ProviderError, Tool, ToolCall, Usage
from llm_service.providers.anthropic_wire import MAX_TOKENS, REASONS, AnthropicWire

WIRE = AnthropicWire("there")
ASKED = Call(model="m", messages=(Message("user", "Hello"),))
SEARCH = Tool("search", "Finds.", {"type": "object", "properties": {"q": {"type": "string"}}})


def sent(stream: bool = False, wire: AnthropicWire = WIRE, **more: Any) -> dict[str, Any]:
    call = msgspec.structs.replace(ASKED, **more)
    found: dict[str, Any] = json.loads(wire.body(call, stream))
    return found


def answer(*blocks: Any, reason: Any = "end_turn", **more: Any) -> bytes:
    whole = {"type": "message", "content": list(blocks), "stop_reason": reason, **more}
    return json.dumps(whole).encode()


def event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


START = event("message_start", message={"content": [], "usage": {"input_tokens": 7}})
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
STOP = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2})
END = event("message_stop")


def text(words: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": words})


def read(*pieces: bytes) -> list[Event]:
    reader = WIRE.reader()
    found = [event for piece in pieces for event in reader.push(piece)]
    return found + reader.end()


def failed(*pieces: bytes) -> str:
    with pytest.raises(ProviderError) as raised:
        read(*pieces)
    assert "canary" not in str(raised.value)
    return raised.value.kind


def test_the_most_tokens_are_always_said() -> None:
    assert sent()["max_tokens"] == MAX_TOKENS
    assert sent(max_tokens=7)["max_tokens"] == 7
    assert sent(wire=AnthropicWire("there", max_tokens=9))["max_tokens"] == 9


def test_the_system_prompt_stands_apart() -> None:
    messages = (Message("system", "One."), Message("user", "Hello"), Message("system", "Two."))
    found = sent(messages=messages)
    assert found["system"] == "One.\n\nTwo."
    assert found["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


def test_the_results_of_one_round_are_one_user_message() -> None:
    calls = (ToolCall("a", "search", '{"q": "x"}'), ToolCall("b", "search", "not JSON"))
    messages = (
        Message("user", "Hello"),
        Message("assistant", "Let me look.", calls),
        Message("tool", "one", tool_call_id="a"),
        Message("tool", "two", tool_call_id="b"),
        Message("user", "And?"),
    )
    turns = sent(messages=messages, tools=(SEARCH,))["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"] == [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "a", "name": "search", "input": {"q": "x"}},
        {"type": "tool_use", "id": "b", "name": "search", "input": {}},
    ]
    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "one"},
        {"type": "tool_result", "tool_use_id": "b", "content": "two"},
        {"type": "text", "text": "And?"},
    ]


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("search", {"type": "tool", "name": "search"}),
    ],
)
def test_the_choice_of_a_tool_is_told(choice: str, told: dict[str, str]) -> None:
    found = sent(tools=(SEARCH, Tool("now")), tool_choice=choice)
    assert found["tool_choice"] == told
    assert found["tools"][0]["input_schema"] == SEARCH.parameters
    assert found["tools"][1]["input_schema"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (None, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", {"type": "any", "disable_parallel_tool_use": True}),
        ("none", {"type": "none"}),
    ],
)
def test_one_call_at_a_time_is_part_of_the_choice(
    choice: str | None, told: dict[str, object]
) -> None:
    tools = (SEARCH,)
    assert sent(tools=tools, tool_choice=choice, parallel_tool_calls=False)["tool_choice"] == told
    assert "tool_choice" not in sent(tools=tools, parallel_tool_calls=True)
    assert "tool_choice" not in sent(parallel_tool_calls=False)


def test_parameters_are_put_as_anthropic_wants_them() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    found = sent(
        temperature=1.7,
        top_p=0.5,
        stop=("END", " "),
        seed=1,
        prediction="p",
        response_format=schema,
    )
    assert (found["temperature"], found["top_p"], found["stop_sequences"]) == (1.0, 0.5, ["END"])
    asked = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert found["output_config"] == asked
    assert "seed" not in found
    assert "prediction" not in found
    assert "output_config" not in sent(response_format={"type": "json_object"})
    wire = AnthropicWire("there", omit=frozenset({"temperature"}))
    assert "temperature" not in sent(wire=wire, temperature=0.5)


def test_an_answer_is_read() -> None:
    usage = {"input_tokens": 5, "output_tokens": 2}
    cache = {"cache_read_input_tokens": 3, "cache_creation_input_tokens": 4}
    blocks = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi."}]
    reply = WIRE.reply(answer(*blocks, usage=usage | cache))
    assert (reply.text, reply.finish_reason, reply.usage) == ("Hi.", "stop", Usage(12, 2, 3))


def test_a_tool_call_is_read_as_it_was_written() -> None:
    used = b'{"type": "tool_use", "id": "a", "name": "f", "input": {"x":  1}}'
    body = b'{"content": [%b], "stop_reason": "tool_use"}' % used
    reply = WIRE.reply(body)
    assert reply.tool_calls == (ToolCall("a", "f", '{"x":  1}'),)
    assert reply.finish_reason == "tool_calls"


def test_every_stop_reason_that_can_come_is_known() -> None:
    assert set(REASONS) == set(get_args(StopReason)) - {"pause_turn"}


CALLED = {"type": "tool_use", "id": "c", "name": "canary", "input": {"q": "@"}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"<html>canary</html>",
        b'{"content": null, "stop_reason": "end_turn"}',
        b'{"content": [{"type": "text", "text": "canary',
        answer({"type": "text", "text": "canary"}, reason=None),
        answer({"type": "text", "text": "canary"}, reason="canary"),
        answer(CALLED, reason="tool_use").replace(b"@", b"\xff"),
    ],
)
def test_an_answer_that_is_none_is_malformed(body: bytes) -> None:
    with pytest.raises(ProviderError) as raised:
        WIRE.reply(body)
    assert raised.value.kind == "malformed"
    assert "canary" not in str(raised.value)


def test_an_error_with_status_200_is_an_error() -> None:
    error = {"type": "overloaded_error", "message": "canary"}
    body = json.dumps({"type": "error", "error": error}).encode()
    with pytest.raises(ProviderError) as raised:
        WIRE.reply(body)
    assert raised.value.kind == "overloaded"


def test_a_stream_is_read() -> None:
    events = read(START, BLOCK, event("ping"), text("Hel"), text("lo"), STOP, END)
    assert events == [
        Delta("Hel"),
        Delta("lo"),
        End(finish_reason="stop", usage=Usage(7, 2)),
    ]


@pytest.mark.parametrize("ending", [b"", b"event: message_stop\nda", END])
def test_a_stop_reason_ends_a_stream_with_or_without_message_stop(ending: bytes) -> None:
    assert read(START, text("x"), STOP, ending)[-1] == End(finish_reason="stop", usage=Usage(7, 2))


def test_events_that_are_new_are_left_out() -> None:
    thought = {"type": "thinking_delta", "thinking": "canary"}
    new = event("content_block_delta", index=0, delta=thought) + event("surprise", some="thing")
    assert read(START, new, text("x"), STOP, END)[0] == Delta("x")


def test_a_streamed_tool_call_comes_out_whole() -> None:
    used = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    pieces = [
        event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": p})
        for p in ("", '{"x"', ": 1}")
    ]
    stop = event("message_delta", delta={"stop_reason": "tool_use"})
    bare = {"type": "tool_use", "id": "b", "name": "g", "input": {}}
    events = read(
        START,
        event("content_block_start", index=1, content_block=used),
        *pieces,
        event("content_block_stop", index=1),
        event("content_block_start", index=2, content_block=bare),
        event("content_block_stop", index=2),
        stop,
        END,
    )
    assert events[:2] == [
        Delta(tool_call=ToolCall("a", "f", '{"x": 1}')),
        Delta(tool_call=ToolCall("b", "g", "{}")),
    ]


ERROR = event("error", error={"type": "overloaded_error", "message": "canary"})


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ((), "malformed"),
        ((START, text("x")), "truncated"),
        ((START, text("x"), END), "truncated"),
        ((START, text("x"), ERROR), "overloaded"),
        ((ERROR,), "overloaded"),
        ((b"data: {canary\n\n",), "malformed"),
        ((START, event("message_delta", delta={"stop_reason": "canary"})), "malformed"),
        ((event("content_block_start", content_block=CALLED).replace(b"@", b"\xff"),), "malformed"),
    ],
)
def test_a_stream_that_is_none_never_ends_well(pieces: tuple[bytes, ...], kind: str) -> None:
    assert failed(*pieces) == kind
