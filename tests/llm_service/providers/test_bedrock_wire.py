"""Bedrock's format, held against the service model that botocore ships."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from botocore.eventstream import EventStreamBuffer, ParserError
from botocore.session import get_session
from botocore.validate import ParamValidator
from provider_answers import frame

from llm_service.calls import Call, Delta, End, Event, Message, ProviderError, Tool, ToolCall, Usage
from llm_service.providers.bedrock_wire import REASONS, BedrockWire

WIRE = BedrockWire("there", EventStreamBuffer, ParserError)
ASKED = Call(model="m", messages=(Message("system", "Be brief."), Message("user", "Hello")))
SEARCH = Tool("search", "Finds.", {"type": "object", "properties": {"q": {"type": "string"}}})
USED = (
    Message("user", "Hello"),
    Message("assistant", "", (ToolCall("a", "search", '{"q": "x"}'), ToolCall("b", "search", ""))),
    Message("tool", "one", tool_call_id="a"),
    Message("tool", "two", tool_call_id="b"),
)
MODEL = get_session().get_service_model("bedrock-runtime")


def sent(**more: Any) -> dict[str, Any]:
    """The body of a call; each is held against the service model."""
    call = msgspec.structs.replace(ASKED, **more)
    body: dict[str, Any] = json.loads(WIRE.body(call, stream=False))
    shape = MODEL.operation_model("Converse").input_shape
    report = ParamValidator().validate({"modelId": call.model, **body}, shape)
    assert not report.has_errors(), report.generate_report()
    assert WIRE.body(call, stream=True) == WIRE.body(call, stream=False)
    return body


def read(*pieces: bytes) -> list[Event]:
    reader = WIRE.reader()
    found = [event for piece in pieces for event in reader.push(piece)]
    return found + reader.end()


def failed(*pieces: bytes) -> str:
    with pytest.raises(ProviderError) as raised:
        read(*pieces)
    assert "canary" not in str(raised.value)
    return raised.value.kind


def answer(*blocks: Any, reason: Any = "end_turn", **more: Any) -> bytes:
    message = {"role": "assistant", "content": list(blocks)}
    return json.dumps({"output": {"message": message}, "stopReason": reason, **more}).encode()


START = frame("messageStart", {"role": "assistant"})
STOP = frame("messageStop", {"stopReason": "end_turn"})
USAGE = frame("metadata", {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}})


def text(words: str) -> bytes:
    return frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": words}})


def test_every_part_of_a_call_fits_the_service_model() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    body = sent(
        max_tokens=7,
        temperature=1.5,
        top_p=0.5,
        stop=("END", " "),
        response_format=schema,
        seed=1,
        prediction="p",
    )
    assert body["system"] == [{"text": "Be brief."}]
    assert body["messages"] == [{"role": "user", "content": [{"text": "Hello"}]}]
    assert body["inferenceConfig"] == {
        "maxTokens": 7,
        "temperature": 1.0,
        "topP": 0.5,
        "stopSequences": ["END"],
    }
    text = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]
    assert json.loads(text) == {"type": "object"}


def test_what_is_not_said_is_not_sent() -> None:
    assert sent(messages=(Message("user", "Hello"),)).keys() == {"messages"}
    wire = BedrockWire("there", EventStreamBuffer, ParserError, frozenset({"temperature"}))
    call = msgspec.structs.replace(ASKED, temperature=0.5)
    assert "inferenceConfig" not in json.loads(wire.body(call, stream=False))


def test_the_results_of_one_round_are_one_user_message() -> None:
    turns = sent(messages=USED, tools=(SEARCH,))["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    used = [block["toolUse"]["input"] for block in turns[1]["content"]]
    assert used == [{"q": "x"}, {}]
    results = [block["toolResult"] for block in turns[2]["content"]]
    assert results[1] == {"toolUseId": "b", "content": [{"text": "two"}]}
    silent = (*USED[:2], Message("tool", "", tool_call_id="a"))
    blocks = sent(messages=silent, tools=(SEARCH,))["messages"][2]["content"]
    assert blocks == [{"toolResult": {"toolUseId": "a", "content": []}}]


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ("search", {"tool": {"name": "search"}}),
    ],
)
def test_the_choice_of_a_tool_is_told(choice: str, told: dict[str, Any]) -> None:
    config = sent(tools=(SEARCH, Tool("now")), tool_choice=choice)["toolConfig"]
    assert config["toolChoice"] == told
    assert config["tools"][0]["toolSpec"]["inputSchema"] == {"json": SEARCH.parameters}
    assert "description" not in config["tools"][1]["toolSpec"]


def test_tools_that_must_not_be_used_are_offered_only_if_some_were() -> None:
    assert "toolConfig" not in sent(tools=(SEARCH,), tool_choice="none")
    config = sent(messages=USED, tools=(SEARCH,), tool_choice="none")["toolConfig"]
    assert "toolChoice" not in config


def test_every_stop_reason_of_the_service_model_is_known() -> None:
    shape = MODEL.shape_for("StopReason")
    assert set(REASONS) == set(shape.enum) - {"malformed_model_output", "malformed_tool_use"}


def test_what_is_read_are_members_of_the_service_model() -> None:
    usage = MODEL.shape_for("TokenUsage").members
    assert {"inputTokens", "outputTokens", "cacheReadInputTokens"} <= usage.keys()
    assert "cacheWriteInputTokens" in usage
    stream = MODEL.operation_model("ConverseStream").output_shape.members["stream"].members
    assert {"contentBlockStart", "contentBlockDelta", "contentBlockStop"} <= stream.keys()
    assert stream["messageStop"].required_members == ["stopReason"]
    assert "usage" in stream["metadata"].required_members
    start = stream["contentBlockStart"].members["start"].members["toolUse"]
    assert start.required_members == ["toolUseId", "name"]


def test_an_answer_is_read() -> None:
    usage = {"inputTokens": 5, "outputTokens": 2, "cacheReadInputTokens": 3}
    thought = {"reasoningContent": {"reasoningText": {"text": "hm"}}}
    reply = WIRE.reply(answer(thought, {"text": "Hi."}, usage=usage))
    assert (reply.text, reply.finish_reason, reply.usage) == ("Hi.", "stop", Usage(8, 2, 3))


def test_a_tool_call_is_read() -> None:
    used = {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": 1}}}
    reply = WIRE.reply(answer(used, reason="tool_use"))
    assert reply.tool_calls == (ToolCall("a", "f", '{"x": 1}'),)
    assert reply.finish_reason == "tool_calls"


CALLED = {"toolUse": {"toolUseId": "c", "name": "canary", "input": {"q": "@"}}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<html>canary</html>",
        b'{"output": {}}',
        b'{"output": {"message": {"content": null}}}',
        answer({"text": "canary"}, reason=None),
        answer({"text": "canary"}, reason="malformed_model_output"),
        answer(CALLED, reason="tool_use").replace(b"@", b"\xff"),
    ],
)
def test_an_answer_that_is_none_is_malformed(body: bytes) -> None:
    with pytest.raises(ProviderError) as raised:
        WIRE.reply(body)
    assert raised.value.kind == "malformed"
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_is_read_in_any_pieces(size: int) -> None:
    whole = START + text("Hel") + text("lo") + STOP + USAGE
    pieces = [whole[place : place + size] for place in range(0, len(whole), size)]
    assert read(*pieces) == [
        Delta("Hel"),
        Delta("lo"),
        End(finish_reason="stop", usage=Usage(3, 2)),
    ]


def test_a_stream_without_metadata_has_no_usage() -> None:
    assert read(START, text("x"), STOP)[-1] == End(finish_reason="stop", usage=Usage())


def test_a_streamed_tool_call_comes_out_whole() -> None:
    start = {"toolUse": {"toolUseId": "a", "name": "f"}}
    events = read(
        frame("contentBlockStart", {"contentBlockIndex": 1, "start": start}),
        *(
            frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": p}}})
            for p in ('{"x"', ": 1}")
        ),
        frame("contentBlockStop", {"contentBlockIndex": 1}),
        frame("messageStop", {"stopReason": "tool_use"}),
    )
    assert events[0] == Delta(tool_call=ToolCall("a", "f", '{"x": 1}'))


THROTTLED = frame("throttlingException", {"message": "canary"}, message_type="exception")
LONG = frame("validationException", {"message": "Input is too long"}, message_type="exception")
DAMAGED = text("canary")[:-1] + b"\x00"


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ((), "malformed"),
        ((START, text("x")), "truncated"),
        ((START, text("x")[:-3]), "truncated"),
        ((START, text("x"), THROTTLED), "rate_limited"),
        ((LONG,), "too_long"),
        ((START, DAMAGED), "malformed"),
        ((b"<html>canary</html> and some more of it",), "malformed"),
        ((frame("messageStop", {"stopReason": "canary"}),), "malformed"),
    ],
)
def test_a_stream_that_is_none_never_ends_well(pieces: tuple[bytes, ...], kind: str) -> None:
    assert failed(*pieces) == kind
