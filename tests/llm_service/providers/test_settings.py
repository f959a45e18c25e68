"""Providers come from environment variables; every mistake is one sentence without a secret."""

from __future__ import annotations

import json

import pytest

from llm_service.environ import SettingsError
from llm_service.http import HttpClient
from llm_service.providers import build, from_environ
from llm_service.providers.anthropic_messages import AnthropicProvider
from llm_service.providers.bedrock_converse import BedrockProvider, endpoint_url
from llm_service.providers.openai_compatible import OpenAiProvider


def providers(entries: object, **more: str) -> list[object]:
    found = from_environ({"PROVIDERS": json.dumps(entries), **more})
    return list(found.providers)


def test_nothing_set_is_no_provider() -> None:
    assert from_environ({}).providers == ()


def test_each_key_turns_on_its_provider() -> None:
    environ = {
        "OPENAI_API_KEY": "sk-1\n",
        "ANTHROPIC_API_KEY": "sk-2",
        "BEDROCK_REGION": "eu-central-1",
        "PROVIDER_URL": "http://127.0.0.1:8000/v1/",
    }
    openai, anthropic, bedrock, configured = from_environ(environ).providers
    assert (openai.url, openai.key) == ("https://api.openai.com/v1", "sk-1")
    assert openai.max_tokens_field == "max_completion_tokens"
    assert anthropic.url == "https://api.anthropic.com"
    assert (bedrock.region, bedrock.url) == ("eu-central-1", "")
    assert (configured.kind, configured.url) == ("openai", "http://127.0.0.1:8000/v1")
    assert configured.max_tokens_field == "max_tokens"


def test_a_key_that_nobody_has_filled_in_yet_leaves_its_provider_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = from_environ({"OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": "sk-2"}).providers
    assert [each.name for each in found] == ["anthropic"]
    assert caplog.messages == ["OPENAI_API_KEY is empty: its provider is left out."]


def test_more_providers_come_from_one_variable() -> None:
    entries = {
        "vllm": {"kind": "openai", "url": "http://vllm:8000/v1", "stream_usage": False},
        "gemini": {
            "kind": "openai",
            "url": "https://generativelanguage.googleapis.com/v1beta/openai/",
            "key": "GEMINI_KEY",
            "max_tokens_field": "max_completion_tokens",
            "omit": ["seed"],
        },
        "claude": {"kind": "anthropic", "url": "https://proxy/anthropic", "max_tokens": 100},
        "frankfurt": {"kind": "bedrock", "region": "eu-central-1"},
    }
    settings = from_environ({"PROVIDERS": json.dumps(entries), "GEMINI_KEY": "g"})
    vllm, gemini, claude, frankfurt = settings.providers
    assert (vllm.name, vllm.key, vllm.stream_usage) == ("vllm", "", False)
    assert (gemini.key, gemini.omit) == ("g", frozenset({"seed"}))
    assert gemini.max_tokens_field == "max_completion_tokens"
    assert claude.max_tokens == 100
    assert frankfurt.region == "eu-central-1"


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"OPENAI_API_KEY": "a b"}, "OPENAI_API_KEY holds characters"),
        ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "api"}, "OPENAI_BASE_URL is no address"),
        ({"PROVIDER_URL": "http://host/v1?key=1"}, "PROVIDER_URL is no address"),
        ({"PROVIDER_URL": "http://user:pass@host/v1"}, "PROVIDER_URL is no address"),
        ({"PROVIDER_URL": "http://host:99999/v1"}, "PROVIDER_URL is no address"),
        ({"BEDROCK_REGION": "Frankfurt"}, "BEDROCK_REGION is 'Frankfurt'"),
        ({"PROVIDERS": "{"}, "PROVIDERS is no JSON"),
        ({"PROVIDERS": "[]"}, "PROVIDERS cannot be used"),
        ({"PROVIDERS": '{"a": {"kind": "cohere"}}'}, "PROVIDERS cannot be used"),
        ({"PROVIDERS": '{"a": {"kind": "openai", "colour": 1}}'}, "colour"),
        ({"PROVIDERS": '{"a": {"kind": "openai"}}'}, "PROVIDERS.a.url is missing"),
        ({"PROVIDERS": '{"a": {"kind": "bedrock"}}'}, "PROVIDERS.a.region"),
        ({"PROVIDERS": '{"embedded": {"kind": "openai", "url": "http://h"}}'}, "name"),
        ({"PROVIDERS": '{"A b": {"kind": "openai", "url": "http://h"}}'}, "name"),
        (
            {"PROVIDERS": '{"a": {"kind": "anthropic", "url": "http://h", "max_tokens": 0}}'},
            "max_tokens is 0",
        ),
    ],
)
def test_each_mistake_is_one_sentence(environ: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint) as raised:
        from_environ(environ)
    assert str(raised.value).endswith(".")


def test_a_key_put_where_its_variable_belongs_is_not_repeated() -> None:
    entry = {"a": {"kind": "openai", "url": "http://h", "key": "sk-canary"}}
    with pytest.raises(SettingsError, match="not the name of a variable") as raised:
        providers(entry)
    assert "canary" not in str(raised.value)


def test_settings_do_not_show_keys() -> None:
    assert "sk-canary" not in repr(from_environ({"OPENAI_API_KEY": "sk-canary"}))


async def test_build_makes_each_kind(client: HttpClient) -> None:
    environ = {
        "OPENAI_API_KEY": "sk-1",
        "ANTHROPIC_API_KEY": "sk-2",
        "BEDROCK_REGION": "eu-central-1",
    }
    found = build(from_environ(environ), client)
    assert isinstance(found["openai"], OpenAiProvider)
    assert isinstance(found["anthropic"], AnthropicProvider)
    assert isinstance(found["bedrock"], BedrockProvider)
    for provider in found.values():
        await provider.close()


async def test_an_address_that_cannot_be_sent_is_a_mistake_in_the_settings(
    client: HttpClient,
) -> None:
    settings = from_environ({"PROVIDER_URL": "http://host/a b"})
    with pytest.raises(SettingsError, match="'configured'"):
        build(settings, client)


def test_bedrock_has_an_endpoint_in_each_region() -> None:
    assert endpoint_url("eu-central-1") == "https://bedrock-runtime.eu-central-1.amazonaws.com"
    assert endpoint_url("cn-north-1") == "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"
