"""POST /v1/chat/completions, seen through the official `openai` client."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import openai
import pytest

GOLDEN = "At what temperature does the undercounter dishwasher rinse?"
ANSWER = "82 degrees"


def ask(client: openai.OpenAI, content: Any, **more: Any) -> Any:
    return client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": content}], **more
    )


def test_an_answer_comes_from_the_page_that_holds_it(client: openai.OpenAI) -> None:
    reply = ask(client, GOLDEN)
    assert ANSWER in reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"
    assert reply.sources[0]["id"] == "dishwasher-care"
    assert set(reply.sources[0]) == {"id", "title", "score"}


def test_the_answer_names_the_release_and_the_model_that_gave_it(client: openai.OpenAI) -> None:
    reply = ask(client, GOLDEN)
    assert reply.id.startswith("chatcmpl-")
    assert reply.object == "chat.completion"
    assert reply.system_fingerprint == "1.0.0-0a1b2c3d"
    assert reply.model in {model.id for model in client.models.list()}
    assert (reply.feature, reply.provider) == ("answer", "embedded")


def test_usage_adds_up(client: openai.OpenAI) -> None:
    usage = ask(client, GOLDEN).usage
    assert usage.prompt_tokens > usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_the_same_question_gets_the_same_answer(client: openai.OpenAI) -> None:
    replies = {ask(client, GOLDEN).choices[0].message.content for _ in range(3)}
    assert len(replies) == 1


def test_the_last_user_message_is_the_question(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="default",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is the name of the head roaster?"},
            {"role": "assistant", "content": "Ines Kavanagh."},
            {"role": "user", "content": GOLDEN},
        ],
    )
    assert ANSWER in str(reply.choices[0].message.content)


def test_content_may_come_in_text_parts(client: openai.OpenAI) -> None:
    parts = [{"type": "text", "text": "Hello!"}, {"type": "text", "text": GOLDEN}]
    assert ANSWER in ask(client, parts).choices[0].message.content


def test_a_question_the_handbook_does_not_answer_is_declined(client: openai.OpenAI) -> None:
    reply = ask(client, "Who was the first astronaut on the moon of Jupiter?")
    assert reply.choices[0].message.content == "I cannot find that in the handbook."
    assert reply.sources == []


def test_max_tokens_cuts_the_answer_and_says_so(client: openai.OpenAI) -> None:
    reply = ask(client, GOLDEN, max_tokens=3)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens == 3


def test_a_stream_adds_up_to_the_answer(client: openai.OpenAI) -> None:
    whole = ask(client, GOLDEN)
    chunks = list(ask(client, GOLDEN, stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_ends_with_done(client: openai.OpenAI) -> None:
    body = {"messages": [{"role": "user", "content": GOLDEN}], "stream": True}
    answer = httpx.post(
        f"{client.base_url}chat/completions",
        json=body,
        headers={"authorization": "Bearer new-token"},
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")


def test_every_answer_carries_the_release(client: openai.OpenAI) -> None:
    answer = client.chat.completions.with_raw_response.create(
        model="default", messages=[{"role": "user", "content": GOLDEN}]
    )
    assert answer.headers["x-llmops-release"] == "1.0.0-0a1b2c3d"
    root = str(client.base_url).removesuffix("/v1/")
    for path in ("/healthz", "/readyz", "/nowhere", "/v1/models"):
        assert httpx.get(root + path).headers["x-llmops-release"] == "1.0.0-0a1b2c3d"


def test_every_model_that_is_listed_answers(client: openai.OpenAI) -> None:
    for model in client.models.list():
        said = client.chat.completions.create(
            model=model.id, messages=[{"role": "user", "content": GOLDEN}]
        )
        assert ANSWER in str(said.choices[0].message.content)


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(
            model="gpt-none", messages=[{"role": "user", "content": GOLDEN}]
        )
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    name = client.models.list().data[0].id
    assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-none")
    assert caught.value.code == "model_not_found"


def test_an_answer_says_what_it_costs_whole_and_streamed(client: openai.OpenAI) -> None:
    """By prices.toml the embedded answerer is priced like a small hosted model."""
    question: list[Any] = [{"role": "user", "content": "At what temperature does it rinse?"}]
    whole = client.chat.completions.create(model="default", messages=question)
    used = whole.usage
    assert used is not None
    wanted = (0.15 * used.prompt_tokens) + (0.6 * used.completion_tokens)
    assert whole.cost_micro_usd == pytest.approx(wanted)  # type: ignore[attr-defined]
    *_, last = client.chat.completions.create(model="default", messages=question, stream=True)
    assert last.cost_micro_usd == whole.cost_micro_usd  # type: ignore[attr-defined]
