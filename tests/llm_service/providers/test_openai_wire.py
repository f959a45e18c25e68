"""OpenAI's format: what is sent, and what is made of what comes back."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from llm_service.calls import Call, Delta, End, Event, Message, ProviderError, Tool, ToolCall, Usage
from llm_service.providers.openai_wire import OpenAiWire

WIRE = OpenAiWire("there")
ASKED = Call(model="m", messages=(Message("user", "Hello"),))
SEARCH = Tool("search", "Finds.", {"type": "object", "properties": {"q": {"type": "string"}}})


def sent(stream: bool = False, wire: OpenAiWire = WIRE, **more: Any) -> dict[str, Any]:
    call = msgspec.structs.replace(ASKED, **more)
    found: dict[str, Any] = json.loads(wire.body(call, stream))
    return found


def answer(message: Any = None, reason: Any = "stop", **more: Any) -> bytes:
    message = {"role": "assistant", "content": "Hi."} if message is None else message
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return json.dumps({"choices": [choice], **more}).encode()


def chunk(delta: Any, reason: Any = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
    return f"data: {json.dumps({'choices': choices, **more})}\n\n".encode()


def read(*pieces: bytes) -> list[Event]:
    reader = WIRE.reader()
    found = [event for piece in pieces for event in reader.push(piece)]
    return found + reader.end()


def failed(*pieces: bytes) -> str:
    with pytest.raises(ProviderError) as raised:
        read(*pieces)
    return raised.value.kind


def test_a_call_without_parameters_is_model_and_messages() -> None:
    assert sent() == {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


def test_a_stream_asks_for_its_usage() -> None:
    assert sent(stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent(stream=True, wire=OpenAiWire("x", stream_usage=False))


def test_each_parameter_has_its_field() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    found = sent(
        temperature=0.2, top_p=0.9, max_tokens=7, stop=("a",), seed=3, response_format=schema
    )
    assert found["max_tokens"] == 7
    assert (found["temperature"], found["top_p"], found["seed"]) == (0.2, 0.9, 3)
    assert (found["stop"], found["response_format"]) == (["a"], schema)


def test_what_only_openais_kind_knows_has_its_own_names() -> None:
    more = {"frequency_penalty": 0.5, "logit_bias": {"50256": -100}, "reasoning_effort": "low"}
    assert more.items() <= sent(more=more).items()
    wire = OpenAiWire("there", omit=frozenset({"reasoning_effort"}))
    assert "reasoning_effort" not in sent(wire=wire, more=more)


def test_strict_tools_and_one_call_at_a_time_are_told_with_the_tools() -> None:
    found = sent(tools=(msgspec.structs.replace(SEARCH, strict=True),), parallel_tool_calls=False)
    assert found["tools"][0]["function"]["strict"] is True
    assert found["parallel_tool_calls"] is False
    assert "strict" not in sent(tools=(SEARCH,))["tools"][0]["function"]
    assert "parallel_tool_calls" not in sent(parallel_tool_calls=False)


def test_the_field_for_the_most_tokens_is_an_option() -> None:
    wire = OpenAiWire("there", "max_completion_tokens")
    assert sent(wire=wire, max_tokens=7)["max_completion_tokens"] == 7
    predicted = sent(wire=wire, max_tokens=7, prediction="draft")
    assert predicted["max_tokens"] == 7
    assert predicted["prediction"] == {"type": "content", "content": "draft"}


def test_fields_that_a_model_refuses_can_be_left_out() -> None:
    wire = OpenAiWire("there", omit=frozenset({"temperature", "seed"}))
    found = sent(wire=wire, temperature=1.0, seed=1, top_p=0.5)
    assert found.keys() == {"model", "messages", "top_p"}


def test_tools_and_their_results_have_their_places() -> None:
    messages = (
        Message("user", "Hello"),
        Message("assistant", "", (ToolCall("c1", "search", '{"q": "x"}'),)),
        Message("tool", "found", tool_call_id="c1"),
    )
    found = sent(messages=messages, tools=(SEARCH,), tool_choice="search", prediction="draft")
    assert found["messages"][1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "search", "arguments": '{"q": "x"}'},
            }
        ],
    }
    assert found["messages"][2] == {"role": "tool", "tool_call_id": "c1", "content": "found"}
    assert found["tools"][0]["function"]["parameters"] == SEARCH.parameters
    assert found["tool_choice"] == {"type": "function", "function": {"name": "search"}}
    assert "prediction" not in found
    assert sent(tools=(SEARCH,), tool_choice="required")["tool_choice"] == "required"


def test_an_answer_is_read() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    details = {"prompt_tokens_details": {"cached_tokens": 4}}
    reply = WIRE.reply(answer(usage=usage | details, system_fingerprint="fp"))
    assert (reply.text, reply.finish_reason, reply.fingerprint) == ("Hi.", "stop", "fp")
    assert reply.usage == Usage(5, 2, 4)


def test_missing_usage_is_no_tokens() -> None:
    assert WIRE.reply(answer()).usage == Usage()
    assert WIRE.reply(answer(usage=None)).usage == Usage()


def test_a_tool_call_makes_the_reason_and_an_id() -> None:
    calls = [{"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    body = answer({"content": None, "tool_calls": calls * 2}, "stop")
    wire = OpenAiWire("there")
    reply = wire.reply(body)
    assert reply.tool_calls == (ToolCall("call_1", "f", "{}"), ToolCall("call_2", "f", "{}"))
    assert wire.reply(body).tool_calls[0].id == "call_3"
    assert reply.finish_reason == "tool_calls"


def test_half_a_tool_call_of_a_cut_answer_is_left_out() -> None:
    calls = [
        {"id": "1", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "2", "function": {"name": "f", "arguments": '{"a": '}},
    ]
    reply = WIRE.reply(answer({"content": None, "tool_calls": calls}, "length"))
    assert [call.id for call in reply.tool_calls] == ["1"]
    assert reply.finish_reason == "length"


@pytest.mark.parametrize(
    ("message", "reason", "text"),
    [
        ({"content": None, "refusal": "I will not."}, "stop", "I will not."),
        ({"content": None}, "content_filter", ""),
        ({"content": None}, "content_filter: PROHIBITED_CONTENT", ""),
        ({"content": None}, "length", ""),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "stop", "ab"),
        ({"content": ""}, "stop", ""),
    ],
)
def test_what_is_no_plain_text_is_handled(message: Any, reason: str, text: str) -> None:
    reply = WIRE.reply(answer(message, reason))
    assert (reply.text, reply.finish_reason) == (text, reason.partition(":")[0])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"<html>canary</html>",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": {"content": "canary',
        b'{"choices": "canary"}',
        b'{"choices": [{"message": {"content": 5}, "finish_reason": "stop"}]}',
        b"\xff\xfe",
        b"[" * 100_000,
        answer({"content": None}),
        answer(reason=None),
        answer(reason="error"),
    ],
)
def test_an_answer_that_is_none_is_malformed(body: bytes) -> None:
    with pytest.raises(ProviderError) as raised:
        WIRE.reply(body)
    assert raised.value.kind == "malformed"
    assert "canary" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "canary", "type": "rate_limit_error"}, "rate_limited"),
        ({"message": "maximum context length is 5", "code": 400}, "too_long"),
        ({"message": "canary", "code": 502}, "overloaded"),
        ("canary", "overloaded"),
    ],
)
def test_an_error_with_status_200_is_an_error(error: Any, kind: str) -> None:
    body = json.dumps({"error": error}).encode()
    with pytest.raises(ProviderError) as raised:
        WIRE.reply(body)
    assert raised.value.kind == kind
    assert failed(b"data: " + body + b"\n\n") == kind
    assert "canary" not in str(raised.value)


def test_a_stream_is_read() -> None:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\n'
    events = read(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}) + chunk({"content": "lo"}, system_fingerprint="fp"),
        chunk({}, "stop"),
        usage,
        b"data: [DONE]\n\n",
    )
    assert events == [
        Delta("Hel"),
        Delta("lo"),
        End(finish_reason="stop", usage=Usage(3, 2), fingerprint="fp"),
    ]


@pytest.mark.parametrize("ending", [b"", b"data: [DONE]", b"data: [DONE]\n\n"])
def test_a_finish_reason_ends_a_stream_with_or_without_done(ending: bytes) -> None:
    assert read(chunk({"content": "x"}), chunk({}, "length"), ending)[-1] == End(
        finish_reason="length", usage=Usage()
    )


def test_a_stream_whose_answer_is_whole_is_done_before_done_comes() -> None:
    reader = WIRE.reader()
    reader.push(chunk({"content": "x"}, "stop"))
    assert not reader.done
    reader.push(b'data: {"choices": null, "usage": {"prompt_tokens": 1}}\n\n')
    assert reader.done


def test_usage_in_every_chunk_ends_nothing() -> None:
    usage = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    events = read(chunk({"content": "a"}, **usage), chunk({"content": "b"}, "stop", **usage))
    assert [event.text for event in events if isinstance(event, Delta)] == ["a", "b"]


def test_a_finish_that_comes_twice_is_one_end() -> None:
    events = read(
        chunk({"content": "x"}), chunk({}, "stop"), chunk({}, "stop"), b"data: [DONE]\n\n"
    )
    assert [type(event) for event in events] == [Delta, End]


def test_text_after_a_finish_reason_is_not_lost() -> None:
    events = read(chunk({"content": "a"}, "stop"), chunk({"content": "b"}, "stop"))
    assert [event.text for event in events if isinstance(event, Delta)] == ["a", "b"]


def tool_part(text: str, index: int | None = 0, name: str | None = None) -> dict[str, Any]:
    function = {"arguments": text} | ({"name": name} if name else {})
    head = {} if index is None else {"index": index}
    return head | ({"id": f"id-{name}"} if name else {}) | {"function": function}


def test_the_pieces_of_tool_calls_become_calls() -> None:
    events = read(
        chunk({"tool_calls": [tool_part("", 0, "f")]}),
        chunk({"tool_calls": [tool_part('{"a"', 0), tool_part("", 1, "g")]}),
        chunk({"tool_calls": [tool_part(": 1}", 0), tool_part("{}", 1)]}),
        chunk({}, "tool_calls"),
    )
    assert events[:-1] == [
        Delta(tool_call=ToolCall("id-f", "f", '{"a": 1}')),
        Delta(tool_call=ToolCall("id-g", "g", "{}")),
    ]


def test_tool_calls_without_an_index_are_told_apart_by_their_names() -> None:
    events = read(
        chunk({"tool_calls": [tool_part('{"a": 1}', None, "f")]}),
        chunk({"tool_calls": [tool_part('{"b":', None, "f")]}),
        chunk({"tool_calls": [tool_part(" 2}", None)]}, "stop"),
    )
    calls = [event.tool_call for event in events if isinstance(event, Delta)]
    assert [call.arguments for call in calls if call] == ['{"a": 1}', '{"b": 2}']
    assert isinstance(events[-1], End)
    assert events[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ((), "malformed"),
        ((b"",), "malformed"),
        ((chunk({"content": "x"}),), "truncated"),
        ((chunk({"content": "x"}), b"data: [DONE]\n\n"), "truncated"),
        ((chunk({"content": "x"}), b'data: {"choices": [{"del'), "truncated"),
        ((b"data: {canary\n\n",), "malformed"),
        ((b"data: " + b"x" * 5_000_000,), "malformed"),
        ((chunk({"content": "x"}, "error"),), "malformed"),
        ((b"<html>canary</html>",), "malformed"),
        ((chunk({}, "stop"), b'data: {"error": {"code": 429}}\n\n'), "rate_limited"),
    ],
)
def test_a_stream_that_is_none_never_ends_well(pieces: tuple[bytes, ...], kind: str) -> None:
    assert failed(*pieces) == kind


def test_reading_costs_microseconds() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    body = answer({"role": "assistant", "content": "word " * 150}, usage=usage)
    piece = chunk({"content": " word"}, id="chatcmpl-1", object="chat.completion.chunk", model="m")
    reader = WIRE.reader()
    assert least(lambda: WIRE.reply(body)) < 60e-6
    assert least(lambda: reader.push(piece)) < 60e-6


def least(work: Any) -> float:
    """Seconds of the quickest of 200 runs: ten times what is measured on a quiet machine."""
    best = 1.0
    for _ in range(200):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best
