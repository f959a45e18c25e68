"""What we send fits the request types that the official clients publish."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec
import pytest
from anthropic.types import message_create_params as anthropic_types
from openai.types.chat import completion_create_params as openai_types
from pydantic import TypeAdapter, ValidationError

from llm_service.calls import Call, Message, Tool, ToolCall
from llm_service.providers.anthropic_wire import AnthropicWire
from llm_service.providers.openai_wire import OpenAiWire
from llm_service.providers.wire import Wire

TOOL = Tool("search", "Finds.", {"type": "object", "properties": {"q": {"type": "string"}}})
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "n", "schema": {"type": "object", "properties": {}}},
}
PLAIN = Call(
    model="m",
    messages=(Message("system", "Be brief."), Message("user", "Hello")),
    temperature=0.5,
    top_p=0.5,
    max_tokens=9,
    stop=("END",),
    seed=1,
    response_format=SCHEMA,
    prediction="draft",
    parallel_tool_calls=False,
    more={
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "logit_bias": {"50256": -100},
        "reasoning_effort": "low",
        "verbosity": "low",
    },
)
WITH_TOOLS = msgspec.structs.replace(
    PLAIN,
    messages=(
        Message("user", "Hello"),
        Message("assistant", "", (ToolCall("a", "search", '{"q": "x"}'),)),
        Message("tool", "found", tool_call_id="a"),
    ),
    tools=(TOOL,),
    tool_choice="search",
)
WIRES: Mapping[str, Wire] = {"openai": OpenAiWire("x"), "anthropic": AnthropicWire("x")}
TYPES: Mapping[tuple[str, bool], Any] = {
    ("openai", False): openai_types.CompletionCreateParamsNonStreaming,
    ("openai", True): openai_types.CompletionCreateParamsStreaming,
    ("anthropic", False): anthropic_types.MessageCreateParamsNonStreaming,
    ("anthropic", True): anthropic_types.MessageCreateParamsStreaming,
}


@cache
def adapter(kind: str, stream: bool) -> TypeAdapter[Any]:
    return TypeAdapter(TYPES[kind, stream])


def exhausted(value: Any) -> None:
    """Looks at all of `value`: pydantic checks an iterable while it is read."""
    if isinstance(value, Mapping):
        for item in value.values():
            exhausted(item)
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for item in value:
            exhausted(item)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", WIRES)
@pytest.mark.parametrize("choice", [None, "auto", "none", "required", "search"])
def test_a_request_has_the_clients_type(kind: str, stream: bool, choice: str | None) -> None:
    for call in (PLAIN, msgspec.structs.replace(WITH_TOOLS, tool_choice=choice)):
        body = json.loads(WIRES[kind].body(call, stream))
        exhausted(adapter(kind, stream).validate_python(body))


def test_the_check_sees_what_is_wrong() -> None:
    body = json.loads(WIRES["anthropic"].body(WITH_TOOLS, stream=False))
    body["messages"][1]["content"][0]["type"] = "tool_used"
    with pytest.raises(ValidationError):
        exhausted(adapter("anthropic", False).validate_python(body))
