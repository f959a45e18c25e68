"""What a client may send to POST /v1/chat/completions, as OpenAI documents it.

Fields that this service does not know are ignored, as OpenAI's clients expect of compatible
servers; known ones of a wrong type or range are an error that names the parameter. Parameters
without a counterpart at the providers (`logit_bias`, `store` ...) are checked and have no effect.
https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from llm_service.errors import NOT_AN_OBJECT, NOT_JSON, ApiError

MAX_TEXT = 32_768
"""Characters of one message: more than any handbook question, less than a denial of service."""
MAX_MESSAGES = 256
MAX_PARTS = 64
MAX_TOOLS = 128
MAX_LABEL = 256

FunctionName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Label = Annotated[str, Meta(max_length=MAX_LABEL)]
Tokens = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
StopWord = Annotated[str, Meta(min_length=1, max_length=MAX_LABEL)]


class ContentPart(msgspec.Struct, frozen=True):
    """A part of a message; only text parts are taken."""

    type: str
    text: str | None = None
    refusal: str | None = None


class CalledFunction(msgspec.Struct, frozen=True):
    name: FunctionName
    arguments: Annotated[str, Meta(max_length=MAX_TEXT)]


class MadeCall(msgspec.Struct, frozen=True):
    """A tool call that the model made earlier in the conversation."""

    id: Annotated[str, Meta(min_length=1, max_length=MAX_LABEL)]
    function: CalledFunction
    type: Literal["function"] = "function"


class ChatMessage(msgspec.Struct, frozen=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[ContentPart], Meta(max_length=MAX_PARTS)] | None = None
    name: Label | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[MadeCall], Meta(max_length=MAX_TOOLS)] | None = None
    tool_call_id: Label | None = None


class Function(msgspec.Struct, frozen=True):
    name: FunctionName
    description: Annotated[str, Meta(max_length=MAX_TEXT)] | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(msgspec.Struct, frozen=True):
    function: Function
    type: Literal["function"]


class NamedFunction(msgspec.Struct, frozen=True):
    name: FunctionName


class NamedTool(msgspec.Struct, frozen=True):
    """The function that the model has to call."""

    function: NamedFunction
    type: Literal["function"]


class JsonSchema(msgspec.Struct, frozen=True):
    name: FunctionName
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Prediction(msgspec.Struct, frozen=True):
    type: Literal["content"]
    content: str | Annotated[list[ContentPart], Meta(max_length=MAX_PARTS)]


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a chat request. `metadata` may be anything: only its `feature` and
    `conversation_id` are read."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=MAX_MESSAGES)]
    model: Label | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=1)] | None = None
    stop: StopWord | Annotated[list[StopWord], Meta(max_length=4)] | None = None
    seed: Integer | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[FunctionTool], Meta(max_length=MAX_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    functions: None = None
    function_call: None = None
    prediction: Prediction | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[Literal["text"]] | None = None
    service_tier: str | None = None
    store: bool | None = None
    user: Label | None = None
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None
    metadata: Any = None

    def note(self, name: str) -> object:
        """What the metadata say under `name`; anything at all, or None."""
        return self.metadata.get(name) if isinstance(self.metadata, dict) else None

    @property
    def caller(self) -> str:
        """Whom the client asks for; empty if it does not say."""
        return self.user or self.safety_identifier or ""

    @property
    def limit(self) -> int | None:
        """How many tokens the answer may have; None for as many as it takes."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk of its tokens."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


_decoder = msgspec.json.Decoder(ChatRequest)
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]*)`$")
_REPLACED = {"functions": "tools", "function_call": "tool_choice"}
"""What OpenAI deprecated, and what took its place."""


def decode(body: bytes) -> ChatRequest:
    """The request in `body`. Raises ApiError 400 that names the parameter which is wrong."""
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError(400, NOT_JSON, code="invalid_json") from None


def refuse(param: str, sentence: str) -> ApiError:
    """400 for a parameter whose value cannot be taken; `sentence` follows its name."""
    return ApiError(400, f"{param}: {sentence}", code="invalid_value", param=param)


def _invalid(text: str) -> ApiError:
    found = _WHERE.match(text)
    assert found is not None
    what, path = found["what"], _param(found["path"] or "")
    missing = _MISSING.match(what)
    if missing:
        param = f"{path}.{missing['name']}" if path else missing["name"]
        return refuse(param, "it is required: send it.")
    if not path:
        return ApiError(400, NOT_AN_OBJECT, code="invalid_value")
    if path in _REPLACED:
        return refuse(path, f"it is no longer taken: send {_REPLACED[path]}.")
    return refuse(path, f"{what}.")


def _param(path: str) -> str:
    """`messages[0].role` as OpenAI names it: `messages.0.role`."""
    return path.replace("[...]", "").replace("[", ".").replace("]", "").lstrip(".")
