"""A model behind an OpenAI-compatible API words the answers; here a stand-in without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import openai
import pytest

from llm_service import sample
from llmops_localcloud.model_provider.process import ProviderProcess

DOCUMENTS = str(sample.FOLDER / "documents.jsonl")


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderProcess]:
    running = ProviderProcess()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def through(
    provider: ProviderProcess, start: Callable[..., object]
) -> Callable[..., openai.OpenAI]:
    """A service that answers through a model of the provider's, and the official client to it."""

    def run(model: str, **variables: str) -> openai.OpenAI:
        server = start(
            "--no-auth",
            CORPUS_URI=DOCUMENTS,
            PROVIDER_URL=f"{provider.url}/v1",
            PROVIDER_MODEL=model,
            BREAKER_MINIMUM_CALLS="1000000",
            **variables,
        )
        url = f"{server.url}/v1"  # type: ignore[attr-defined]
        return openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=10)

    return run


@pytest.fixture(scope="module")
def plain(through: Callable[..., openai.OpenAI]) -> Iterator[openai.OpenAI]:
    with through("stand-in") as client:
        yield client


def ask(client: openai.OpenAI, question: str) -> openai.types.chat.ChatCompletion:
    return client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": question}]
    )


@pytest.fixture
def golden() -> sample.Golden:
    return sample.load_golden()[0]


def test_the_answer_is_what_the_model_says_of_what_was_found(
    plain: openai.OpenAI, golden: sample.Golden
) -> None:
    said = ask(plain, golden.question)
    assert golden.answer in str(said.choices[0].message.content)
    assert said.model == "stand-in"


def test_tokens_are_those_that_the_provider_counts(
    plain: openai.OpenAI, through: Callable[..., openai.OpenAI], golden: sample.Golden
) -> None:
    few = ask(plain, golden.question).usage
    with through("stand-in", PASSAGES="16") as reader:
        many = ask(reader, golden.question).usage
    assert few and many
    assert many.prompt_tokens > 2.5 * few.prompt_tokens


def test_an_answer_that_breaks_off_says_so(
    through: Callable[..., openai.OpenAI], golden: sample.Golden
) -> None:
    with through("stand-in-terse") as client:
        assert ask(client, golden.question).choices[0].finish_reason == "length"


def test_calls_that_fail_are_repeated(
    plain: openai.OpenAI, provider: ProviderProcess, golden: sample.Golden
) -> None:
    before = provider.control(failing=0.5)["failed"]
    answered = 0
    for _ in range(12):
        try:
            ask(plain, golden.question)
            answered += 1
        except openai.InternalServerError:
            continue
    failed = provider.control()["failed"] - before
    assert answered > 12 - failed


def test_a_provider_that_is_down_is_a_503(
    plain: openai.OpenAI, provider: ProviderProcess, golden: sample.Golden
) -> None:
    provider.control(failing=1.0)
    try:
        with pytest.raises(openai.InternalServerError, match="provider"):
            ask(plain, golden.question)
    finally:
        provider.control()
    assert ask(plain, golden.question).choices
