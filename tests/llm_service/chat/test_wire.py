"""What may be in a request, and how a mistake in it is named."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from llm_service.calls import Message
from llm_service.chat import asked
from llm_service.chat.wire import MAX_TEXT, decode
from llm_service.errors import ApiError

HELLO = {"role": "user", "content": "hello"}
FUNCTION = {"type": "function", "function": {"name": "weather"}}


def body(**more: Any) -> bytes:
    return msgspec.json.encode({"messages": [HELLO], **more})


def refused(content: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        request = decode(content)
        asked.messages(request)
        asked.tools(request)
        asked.tool_choice(request)
        asked.response_format(request)
    assert caught.value.status == 400
    return caught.value


def test_everything_that_openai_documents_is_taken() -> None:
    request = decode(
        body(
            model="default", stream=True, stream_options={"include_usage": True}, max_tokens=5,
            max_completion_tokens=7, temperature=2, top_p=1, n=1, stop="END", seed=-1,
            response_format={"type": "json_object"}, tools=[FUNCTION], tool_choice="required",
            parallel_tool_calls=True, frequency_penalty=-2, presence_penalty=2, logprobs=False,
            logit_bias={"50256": -100}, user="u", metadata={"feature": "till"}, store=False,
            prediction={"type": "content", "content": "draft"}, service_tier="auto",
            reasoning_effort="low", modalities=["text"], something_new={"of": "tomorrow"},
        )
    )  # fmt: skip
    assert request.limit == 7
    assert request.include_usage
    assert asked.stop(request) == ("END",)
    assert asked.tool_choice(request) == "required"
    assert asked.prediction(request) == "draft"
    assert request.note("feature") == "till"


def test_null_is_as_good_as_nothing() -> None:
    names = ("model", "temperature", "tools", "stop", "stream", "stream_options", "metadata")
    request = decode(body(**dict.fromkeys(names)))
    assert (request.model, request.stream, asked.stop(request)) == (None, None, ())


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"temperature": 2.01}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"n": 2}, "n"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"seed": 1.5}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 3}}, "stream_options.include_usage"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name"),
        ({"tools": [FUNCTION, FUNCTION]}, "tools.1.function.name"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": FUNCTION}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"messages": [{"content": "x"}]}, "messages.0.role"),
        ({"messages": [HELLO, {"role": "tool", "content": "x"}]}, "messages.1.tool_call_id"),
        ({"messages": [HELLO, {"role": "assistant"}]}, "messages.1.content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content.0",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages.0.content.0.text",
        ),
    ],
)
def test_a_mistake_is_named(more: dict[str, Any], param: str) -> None:
    error = refused(body(**more))
    assert error.param == param
    assert error.message.startswith(f"{param}: ")


def test_the_services_own_tool_has_its_name_for_itself() -> None:
    mine = {"type": "function", "function": {"name": "search_corpus"}}
    assert refused(body(tools=[mine])).param == "tools.0.function.name"


@pytest.mark.parametrize("content", [b"", b"{", b"nope", b'{"a": NaN}', b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_told_so(content: bytes) -> None:
    assert refused(content).code in ("invalid_json", "invalid_value")


def test_a_message_may_be_long_but_not_endless() -> None:
    decoded = decode(body(messages=[{"role": "user", "content": "x" * MAX_TEXT}]))
    assert len(asked.messages(decoded)[0].content) == MAX_TEXT
    with pytest.raises(asked.TooLong):
        asked.messages(decode(body(messages=[{"role": "user", "content": "x" * (MAX_TEXT + 1)}])))


def test_parts_are_read_as_one_text_and_developers_as_systems() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    decoded = decode(body(messages=[{"role": "developer", "content": "c"},
                                    {"role": "user", "content": parts}]))  # fmt: skip
    assert asked.messages(decoded) == (Message("system", "c"), Message("user", "a b"))
