"""The stand-in speaks the providers' formats: their own clients read it as the real thing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import boto3
import botocore.exceptions
import openai
import pytest
from botocore.config import Config
from provider_behaviours import OK, Behaviour
from provider_server import ProviderServer

TOOL = Behaviour(tool=("search_corpus", '{"query": "holidays"}'))
SENTENCE = "".join(OK.words)


@pytest.fixture(scope="module")
def to_openai(shared_server: ProviderServer) -> Iterator[openai.OpenAI]:
    url = shared_server.openai_url
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0, timeout=5) as client:
        yield client


@pytest.fixture(scope="module")
def to_anthropic(shared_server: ProviderServer) -> Iterator[anthropic.Anthropic]:
    url = shared_server.url
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, timeout=5) as client:
        yield client


@pytest.fixture(scope="module")
def to_bedrock(shared_server: ProviderServer) -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=shared_server.url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=5),
    )


def ask_openai(client: openai.OpenAI, **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": "Hello"}]
    return client.chat.completions.create(model="m", messages=messages, **more)


def ask_anthropic(client: anthropic.Anthropic, **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": "Hello"}]
    return client.messages.create(model="m", max_tokens=9, messages=messages, **more)


def ask_bedrock(client: Any, streaming: bool = False) -> Any:
    operation = client.converse_stream if streaming else client.converse
    messages = [{"role": "user", "content": [{"text": "Hello"}]}]
    return operation(modelId="some.model-v1:0", messages=messages)


def test_openai_reads_an_answer(server: ProviderServer, to_openai: openai.OpenAI) -> None:
    said = ask_openai(to_openai)
    assert said.choices[0].message.content == SENTENCE
    assert said.choices[0].finish_reason == "stop"
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (11, 12)
    assert said.usage.prompt_tokens_details.cached_tokens == 3


def test_openai_reads_a_stream(server: ProviderServer, to_openai: openai.OpenAI) -> None:
    chunks = list(ask_openai(to_openai, stream=True, stream_options={"include_usage": True}))
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == SENTENCE
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.total_tokens == 23


def test_openai_reads_a_tool_call(server: ProviderServer, to_openai: openai.OpenAI) -> None:
    server.script(TOOL)
    said = ask_openai(to_openai).choices[0]
    function = said.message.tool_calls[0].function
    assert (function.name, function.arguments) == TOOL.tool
    assert said.finish_reason == "tool_calls"
    parts = [
        call.function
        for chunk in ask_openai(to_openai, stream=True)
        if chunk.choices
        for call in chunk.choices[0].delta.tool_calls or []
    ]
    assert parts[0].name == "search_corpus"
    assert "".join(part.arguments for part in parts) == TOOL.tool[1]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_openai_reads_an_error(
    server: ProviderServer, to_openai: openai.OpenAI, status: int, error: type[openai.APIError]
) -> None:
    server.script(Behaviour(status=status, code="some_code"))
    with pytest.raises(error) as raised:
        ask_openai(to_openai)
    assert raised.value.code == "some_code"
    assert "The provider's own words." in str(raised.value)


def test_openai_sees_faults(server: ProviderServer, to_openai: openai.OpenAI) -> None:
    server.script(Behaviour(then="error", after=2))
    with pytest.raises(openai.APIError, match="own words"):
        list(ask_openai(to_openai, stream=True))
    server.script(Behaviour(then="reset"))
    with pytest.raises(openai.APIConnectionError):
        ask_openai(to_openai)
    server.script(Behaviour(then="cut", after=2))
    with pytest.raises(openai.APIError):
        list(ask_openai(to_openai, stream=True))
    assert not server.last.finished


def test_anthropic_reads_an_answer(
    server: ProviderServer, to_anthropic: anthropic.Anthropic
) -> None:
    said = ask_anthropic(to_anthropic)
    assert said.content[0].text == SENTENCE
    assert said.stop_reason == "end_turn"
    assert (said.usage.input_tokens, said.usage.cache_read_input_tokens) == (8, 3)


def test_anthropic_reads_a_stream(
    server: ProviderServer, to_anthropic: anthropic.Anthropic
) -> None:
    messages: Any = [{"role": "user", "content": "Hello"}]
    with to_anthropic.messages.stream(model="m", max_tokens=9, messages=messages) as stream:
        assert "".join(stream.text_stream) == SENTENCE
        whole = stream.get_final_message()
    assert (whole.stop_reason, whole.usage.output_tokens) == ("end_turn", 12)


def test_anthropic_reads_a_tool_call(
    server: ProviderServer, to_anthropic: anthropic.Anthropic
) -> None:
    server.script(TOOL)
    said = ask_anthropic(to_anthropic)
    assert (said.content[0].name, said.content[0].input) == (
        "search_corpus",
        {"query": "holidays"},
    )
    messages: Any = [{"role": "user", "content": "Hello"}]
    with to_anthropic.messages.stream(model="m", max_tokens=9, messages=messages) as stream:
        block = stream.get_final_message().content[0]
    assert isinstance(block, anthropic.types.ToolUseBlock)
    assert block.input == {"query": "holidays"}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.APIStatusError),
    ],
)
def test_anthropic_reads_an_error(
    server: ProviderServer,
    to_anthropic: anthropic.Anthropic,
    status: int,
    error: type[anthropic.APIStatusError],
) -> None:
    server.script(Behaviour(status=status))
    with pytest.raises(error, match="own words") as raised:
        ask_anthropic(to_anthropic)
    assert raised.value.status_code == status


def test_anthropic_sees_an_error_in_a_stream(
    server: ProviderServer, to_anthropic: anthropic.Anthropic
) -> None:
    server.script(Behaviour(then="error", after=2))
    with pytest.raises(anthropic.APIStatusError, match="own words"):
        list(ask_anthropic(to_anthropic, stream=True))


def test_bedrock_reads_an_answer(server: ProviderServer, to_bedrock: Any) -> None:
    said = ask_bedrock(to_bedrock)
    assert said["output"]["message"]["content"] == [{"text": SENTENCE}]
    assert (said["stopReason"], said["usage"]["totalTokens"]) == ("end_turn", 23)
    assert server.last.path == "/model/some.model-v1%3A0/converse"
    assert server.last.model == "some.model-v1:0"


def test_bedrock_reads_a_stream(server: ProviderServer, to_bedrock: Any) -> None:
    events = list(ask_bedrock(to_bedrock, streaming=True)["stream"])
    deltas = [e["contentBlockDelta"]["delta"] for e in events if "contentBlockDelta" in e]
    assert "".join(delta["text"] for delta in deltas) == SENTENCE
    assert events[-2]["messageStop"]["stopReason"] == "end_turn"
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 12


def test_bedrock_reads_a_tool_call(server: ProviderServer, to_bedrock: Any) -> None:
    server.script(TOOL)
    block = ask_bedrock(to_bedrock)["output"]["message"]["content"][0]["toolUse"]
    assert (block["name"], block["input"]) == ("search_corpus", {"query": "holidays"})
    events = list(ask_bedrock(to_bedrock, streaming=True)["stream"])
    start = next(e["contentBlockStart"] for e in events if "contentBlockStart" in e)
    assert start["start"]["toolUse"]["name"] == "search_corpus"
    deltas = [e["contentBlockDelta"]["delta"] for e in events if "contentBlockDelta" in e]
    assert "".join(delta["toolUse"]["input"] for delta in deltas) == '{"query": "holidays"}'


@pytest.mark.parametrize(
    ("status", "code"), [(429, "ThrottlingException"), (400, "ValidationException")]
)
def test_bedrock_reads_an_error(
    server: ProviderServer, to_bedrock: Any, status: int, code: str
) -> None:
    server.script(Behaviour(status=status, code=code))
    with pytest.raises(getattr(to_bedrock.exceptions, code), match="own words"):
        ask_bedrock(to_bedrock)


def test_bedrock_sees_an_error_in_a_stream(server: ProviderServer, to_bedrock: Any) -> None:
    server.script(Behaviour(then="error", after=2))
    with pytest.raises(botocore.exceptions.EventStreamError, match="throttlingException"):
        list(ask_bedrock(to_bedrock, streaming=True)["stream"])


def test_a_hang_ends_when_the_client_leaves(
    server: ProviderServer, to_openai: openai.OpenAI
) -> None:
    server.script(Behaviour(before_head=float("inf")))
    with pytest.raises(openai.APITimeoutError):
        ask_openai(to_openai.with_options(timeout=0.05))
    assert len(server.requests) == 1
