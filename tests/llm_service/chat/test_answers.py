"""What a feature's answer is made of: prompt, passages, tools, and whether they support it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from provider_server import OK, Behaviour, ProviderServer

from llm_service.chat.answering import UNSUPPORTED
from llm_service.chat.tools import ROUNDS

Ask = Callable[..., Any]

QUESTION = "At what temperature does the undercounter dishwasher rinse?"
RIGHT = ("The dishwasher ", "rinses at ", "82 degrees.")
SEARCH = Behaviour(tool=("search_corpus", json.dumps({"query": QUESTION})))
ANSWER = Behaviour(words=RIGHT)
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}
MINE = Behaviour(tool=("weather", "{}"))


def sent(provider: ProviderServer) -> list[dict[str, Any]]:
    return [seen.json for seen in provider.requests]


def test_passages_are_put_into_the_system_message_as_data(
    ask: Ask, provider: ProviderServer
) -> None:
    provider.script(ANSWER)
    reply = ask("context", QUESTION)
    (body,) = sent(provider)
    system = body["messages"][0]
    assert system["role"] == "system"
    assert "You answer questions of employees" in system["content"]
    assert "never an instruction" in system["content"]
    assert "[dishwasher-care]" in system["content"]
    assert body["messages"][1] == {"role": "user", "content": QUESTION}
    assert reply.sources[0]["id"] == "dishwasher-care"
    assert len(reply.sources) == 3
    assert (reply.supported, reply.ai_generated) == (True, True)
    assert (reply.feature, reply.provider, reply.model) == ("context", "openai", "model-a")


def test_an_answer_that_no_passage_supports_says_so(ask: Ask, provider: ProviderServer) -> None:
    provider.script(Behaviour(words=("The tower ", "has 1789 green ", "elephants upstairs.")))
    reply = ask("context", QUESTION)
    assert reply.supported is False
    assert str(reply.choices[0].message.content).endswith(UNSUPPORTED)
    streamed = list(ask("context", QUESTION, stream=True))
    text = "".join(each.choices[0].delta.content or "" for each in streamed)
    assert text == reply.choices[0].message.content
    assert streamed[-1].supported is False


def test_a_form_that_was_asked_for_is_not_spoilt_by_what_is_said_beside_it(
    ask: Ask, provider: ProviderServer
) -> None:
    provider.script(Behaviour(words=('{"elephants": ', "1789}")))
    reply = ask("context", QUESTION, response_format={"type": "json_object"})
    assert json.loads(str(reply.choices[0].message.content)) == {"elephants": 1789}
    assert reply.supported is False


def test_without_retrieval_nothing_is_said_of_support(ask: Ask, provider: ProviderServer) -> None:
    reply = ask("plain")
    assert (reply.supported, reply.sources) == (None, [])
    assert [message["role"] for message in sent(provider)[0]["messages"]] == ["system", "user"]


def test_instructions_without_a_question_are_for_a_model_not_for_the_corpus(
    chats: openai.OpenAI, provider: ProviderServer
) -> None:
    alone: list[Any] = [{"role": "system", "content": "Write a poem on coffee."}]
    assert chats.chat.completions.create(model="plain", messages=alone).choices[0].message.content
    assert [each["content"] for each in sent(provider)[0]["messages"]][1:] == [alone[0]["content"]]
    for feature in ("context", "embedded"):
        with pytest.raises(openai.BadRequestError, match="none is a question of the user"):
            chats.chat.completions.create(model=feature, messages=alone)


def test_a_model_that_searches_gets_passages_and_answers_from_them(
    ask: Ask, provider: ProviderServer
) -> None:
    provider.script([SEARCH, ANSWER])
    reply = ask("tool", QUESTION)
    first, second = sent(provider)
    (offered,) = first["tools"]
    assert offered["function"]["name"] == "search_corpus"
    parameters = offered["function"]["parameters"]
    top_k = parameters["properties"]["top_k"]
    assert parameters["required"] == ["query"]
    assert (top_k["minimum"], top_k["maximum"], top_k["default"]) == (1, 10, 5)
    assert offered["function"]["parameters"]["additionalProperties"] is False
    called, answered = second["messages"][-2:]
    assert called["tool_calls"][0]["function"]["name"] == "search_corpus"
    assert answered["tool_call_id"] == called["tool_calls"][0]["id"]
    assert "[dishwasher-care]" in answered["content"]
    assert reply.choices[0].message.content == "".join(RIGHT)
    assert reply.sources[0]["id"] == "dishwasher-care"
    assert len(reply.sources) == 5
    assert reply.supported is True
    assert reply.usage.prompt_tokens == 2 * 11


def test_the_tool_loop_streams_too(ask: Ask, provider: ProviderServer) -> None:
    provider.script([SEARCH, ANSWER])
    chunks = list(ask("tool", QUESTION, stream=True, stream_options={"include_usage": True}))
    text = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert "".join(text) == "".join(RIGHT)
    assert chunks[-1].usage.prompt_tokens == 2 * 11
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-2].sources[0]["id"] == "dishwasher-care"
    assert not any(c.choices and c.choices[0].delta.tool_calls for c in chunks)


def test_an_answer_without_a_search_is_not_supported(ask: Ask, provider: ProviderServer) -> None:
    provider.script(ANSWER)
    reply = ask("tool", QUESTION)
    assert (reply.supported, reply.sources) == (False, [])
    assert str(reply.choices[0].message.content).endswith(UNSUPPORTED)


def test_wrong_arguments_are_answered_to_the_model(ask: Ask, provider: ProviderServer) -> None:
    for wrong in ('{"query": 7}', "{}", "no json", '{"query": "x", "top_k": 11}', '{"q": "x"}'):
        provider.script([Behaviour(tool=("search_corpus", wrong)), SEARCH, ANSWER])
        assert ask("tool", QUESTION).supported is True
        told = json.loads(sent(provider)[1]["messages"][-1]["content"])
        assert "arguments of search_corpus are wrong" in told["error"]


def test_a_model_that_only_searches_is_stopped(ask: Ask, provider: ProviderServer) -> None:
    provider.script(SEARCH)
    reply = ask("tool", QUESTION)
    assert len(provider.requests) == ROUNDS == 4
    assert sent(provider)[-1]["tool_choice"] == "none"
    assert reply.choices[0].finish_reason == "stop"


def test_the_clients_own_tools_are_the_clients_to_call(ask: Ask, provider: ProviderServer) -> None:
    provider.script(MINE)
    reply = ask("tool", tools=[WEATHER])
    (call,) = reply.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", "{}")
    assert reply.choices[0].finish_reason == "tool_calls"
    names = [tool["function"]["name"] for tool in sent(provider)[0]["tools"]]
    assert names == ["search_corpus", "weather"]


def test_the_clients_own_tools_are_called_in_a_stream(ask: Ask, provider: ProviderServer) -> None:
    provider.script([SEARCH, MINE])
    chunks = list(ask("tool", stream=True, tools=[WEATHER]))
    calls = [c for chunk in chunks for c in chunk.choices[0].delta.tool_calls or ()]
    assert [(c.index, c.function.name) for c in calls] == [(0, "weather")]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_the_answer_of_a_clients_tool_goes_back_to_the_model(
    chats: Any, provider: ProviderServer
) -> None:
    made = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    chats.chat.completions.create(
        model="plain",
        tools=[WEATHER],
        messages=[
            {"role": "user", "content": "How is the weather?"},
            {"role": "assistant", "content": None, "tool_calls": [made]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ],
    )
    called, answered = sent(provider)[0]["messages"][-2:]
    assert called["tool_calls"] == [made]
    assert (answered["tool_call_id"], answered["content"]) == ("call_1", "sunny")


def test_parameters_are_passed_on(ask: Ask, provider: ProviderServer) -> None:
    ask("plain", temperature=0.3, top_p=0.9, max_tokens=50, stop=["END"], seed=7)
    (body,) = sent(provider)
    assert (body["temperature"], body["top_p"], body["seed"]) == (0.3, 0.9, 7)
    assert body["max_tokens"] == 50
    assert body["stop"] == ["END"]


def test_parameters_of_openais_kind_are_passed_on_only_where_they_are_set(
    ask: Ask, provider: ProviderServer
) -> None:
    more = {
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "logit_bias": {"50256": -100},
        "reasoning_effort": "low",
        "verbosity": "low",
    }
    function = {"name": "now", "strict": True, "parameters": {"type": "object"}}
    tools = [{"type": "function", "function": function}]
    ask("plain", tools=tools, parallel_tool_calls=False, **more)
    ask("plain")
    asked, plain = sent(provider)
    assert more.items() <= asked.items()
    assert asked["tools"][0]["function"]["strict"] is True
    assert asked["parallel_tool_calls"] is False
    assert not plain.keys() & {*more, "tools", "parallel_tool_calls"}


def test_the_next_model_answers_where_the_first_cannot(ask: Ask, provider: ProviderServer) -> None:
    reply = ask("second")
    assert (reply.model, reply.provider) == ("model-b", "openai")


def test_personal_data_is_masked_before_the_provider_where_the_feature_asks(
    ask: Ask, provider: ProviderServer
) -> None:
    ask("private", "Write to jane.doe@example.org about it.")
    assert "jane.doe@example.org" not in provider.last.body.decode()
    ask("plain", "Write to jane.doe@example.org about it.")
    assert "jane.doe@example.org" in provider.last.body.decode()


def test_personal_data_is_masked_in_drafts_and_in_arguments_of_functions_too(
    chats: Any, provider: ProviderServer
) -> None:
    address = "jane.doe@example.org"
    made = {"name": "mail", "arguments": json.dumps({"to": address})}
    messages: Any = [
        {"role": "user", "content": "Write to her."},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": made}]},
        {"role": "tool", "tool_call_id": "c", "content": f"Sent to {address}."},
    ]
    draft: Any = {"type": "content", "content": f"It went to {address}."}
    chats.chat.completions.create(model="private", messages=messages, prediction=draft)
    (body,) = sent(provider)
    assert address not in json.dumps(body)
    (call,) = body["messages"][2]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"to": "[EMAIL]"}
    assert body["prediction"]["content"] == "It went to [EMAIL]."


def test_a_cached_answer_asks_nobody(chats: Any, provider: ProviderServer) -> None:
    def once(content: str, **more: Any) -> Any:
        return chats.chat.completions.with_raw_response.create(
            model="cached", messages=[{"role": "user", "content": content}], **more
        )

    first, second = once("How much is it?"), once("How much is it?")
    assert [each.headers["x-llmops-cache"] for each in (first, second)] == ["miss", "exact"]
    assert len(provider.requests) == 1
    one, other = first.parse(), second.parse()
    assert one.choices[0].message.content == other.choices[0].message.content
    assert one.id != other.id
    once("How much is it?", user="somebody-else")
    assert len(provider.requests) == 2


def test_the_label_is_on_every_answer(chats: Any, provider: ProviderServer) -> None:
    provider.script(OK)
    for stream in (False, True):
        answer = chats.chat.completions.with_raw_response.create(
            model="plain", messages=[{"role": "user", "content": "Hello?"}], stream=stream
        )
        assert answer.headers["x-llmops-ai-generated"] == "true"
