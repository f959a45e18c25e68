"""What a chat asks of the service, out of what its client sent: checked, and in the words that
providers are asked in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from llm_service.calls import Message, Tool, ToolCall
from llm_service.chat.wire import (
    MAX_TEXT,
    ChatMessage,
    ChatRequest,
    ContentPart,
    NamedTool,
    refuse,
)

OWN_TOOL = "search_corpus"
MORE = ("frequency_penalty", "presence_penalty", "logit_bias", "reasoning_effort", "verbosity")
"""What only OpenAI's kind of provider has."""
_NOTHING = (None,) * len(MORE)


class TooLong(Exception):
    """A message is longer than MAX_TEXT; `param` says which."""

    def __init__(self, param: str) -> None:
        super().__init__(param)
        self.param = param


def messages(request: ChatRequest) -> tuple[Message, ...]:
    """The conversation. Raises ApiError 400, and TooLong."""
    return tuple([_message(each, i) for i, each in enumerate(request.messages)])


def need_question(conversation: Sequence[Message]) -> None:
    """Raises ApiError 400 where nothing is asked that could be looked up."""
    for each in conversation:
        if each.role == "user" and each.content and not each.content.isspace():
            return
    raise refuse("messages", "none is a question of the user.")


def tools(request: ChatRequest) -> tuple[Tool, ...]:
    """The client's own functions. Raises ApiError 400 for names that are taken twice."""
    if not request.tools:
        return ()
    found = tuple(_tool(each.function) for each in request.tools)
    names = [tool.name for tool in found]
    for i, name in enumerate(names):
        if name in names[:i] or name == OWN_TOOL:
            raise refuse(f"tools.{i}.function.name", f"{name} is taken: choose another name.")
    return found


def tool_choice(request: ChatRequest) -> str | None:
    """Which function has to be called, as `calls.Call` says it. Raises ApiError 400."""
    choice = request.tool_choice
    if choice is None or choice in ("none", "auto"):
        return choice
    named = choice.function.name if isinstance(choice, NamedTool) else None
    offered = [each.function.name for each in request.tools or ()]
    if not offered or (named is not None and named not in offered):
        raise refuse("tool_choice", "it asks for a function that is not among tools.")
    return named or "required"


def stop(request: ChatRequest) -> tuple[str, ...]:
    """The texts that end an answer."""
    given = request.stop
    return (given,) if isinstance(given, str) else tuple(given or ())


def response_format(request: ChatRequest) -> dict[str, Any] | None:
    """The form of the answer. Raises ApiError 400."""
    asked = request.response_format
    if asked is None or asked.type == "text":
        return None
    if asked.type == "json_schema" and asked.json_schema is None:
        raise refuse("response_format.json_schema", "it is required with type json_schema.")
    made: dict[str, Any] = msgspec.to_builtins(asked)
    return _without_none(made)


def more(request: ChatRequest) -> dict[str, Any] | None:
    """The parameters of MORE that are set; None, as nearly always, for none."""
    given = (
        request.frequency_penalty,
        request.presence_penalty,
        request.logit_bias,
        request.reasoning_effort,
        request.verbosity,
    )
    if given == _NOTHING:
        return None
    return {name: value for name, value in zip(MORE, given, strict=True) if value is not None}


def prediction(request: ChatRequest) -> str | None:
    """The client's draft of the answer."""
    if request.prediction is None:
        return None
    return _text(request.prediction.content, "prediction.content")


def question(conversation: Sequence[Message]) -> str:
    """What the user said last; empty if the user said nothing."""
    for each in reversed(conversation):
        if each.role == "user":
            return each.content
    return ""


def _message(given: ChatMessage, i: int) -> Message:
    content = given.content
    text = content if isinstance(content, str) else _text(content, f"messages.{i}.content")
    if len(text) > MAX_TEXT:
        raise TooLong(f"messages.{i}.content")
    role = given.role
    if role == "user":
        if content is None:
            raise refuse("messages", f"message {i} has no content: send text.")
        return Message("user", text)
    if role == "assistant":
        return _assistants(given, text, i)
    if role == "tool":
        if not given.tool_call_id:
            raise refuse(f"messages.{i}.tool_call_id", "it is required of a tool's message.")
        return Message("tool", text, (), given.tool_call_id)
    return Message("system", text)


def _assistants(given: ChatMessage, text: str, i: int) -> Message:
    calls = tuple(
        ToolCall(each.id, each.function.name, each.function.arguments)
        for each in given.tool_calls or ()
    )
    if given.content is None and not calls and given.refusal is None:
        raise refuse(f"messages.{i}.content", "an assistant's message has text or tool_calls.")
    return Message("assistant", text or given.refusal or "", calls)


def _text(content: str | Sequence[ContentPart] | None, param: str) -> str:
    """The text of a message that came whole or in parts."""
    if content is None or isinstance(content, str):
        return content or ""
    return " ".join(_part(part, f"{param}.{i}") for i, part in enumerate(content))


def _part(part: ContentPart, param: str) -> str:
    text = part.text if part.type == "text" else part.refusal if part.type == "refusal" else None
    if part.type not in ("text", "refusal"):
        raise refuse(param, "only text parts are taken: images, sound and files are not read.")
    if text is None:
        raise refuse(f"{param}.{part.type}", "it is required: send it.")
    return text


def _tool(function: Any) -> Tool:
    parameters = function.parameters or {"type": "object", "properties": {}}
    return Tool(function.name, function.description or "", parameters, function.strict)


def _without_none(document: dict[str, Any]) -> dict[str, Any]:
    """`document` without what nobody set."""
    return {
        key: _without_none(value) if isinstance(value, dict) and key == "json_schema" else value
        for key, value in document.items()
        if value is not None
    }
