"""The stand-in for a model provider: OpenAI's wire format, drawn times, outages on request."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from llmops_localcloud.model_provider.models import MEDIAN_SECONDS, MODELS
from llmops_localcloud.model_provider.process import ProviderError, ProviderProcess

QUESTION = "How warm is the milk?"
DRAFT = "The milk is 62 degrees warm when it is poured into the cup (Handbook: Milk)"


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderProcess]:
    running = ProviderProcess()
    yield running
    running.stop()


@pytest.fixture
def client(provider: ProviderProcess) -> Iterator[openai.OpenAI]:
    """The official client, in good weather."""
    provider.control()
    with openai.OpenAI(
        base_url=f"{provider.url}/v1", api_key="none", max_retries=0, timeout=10
    ) as connected:
        yield connected
    provider.control()


def say(client: openai.OpenAI, model: str = "stand-in", question: str = QUESTION) -> Any:
    return client.chat.completions.create(
        model=model,
        messages=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": question}],
        prediction={"type": "content", "content": DRAFT},
    )


def drawn(model: str) -> list[float]:
    chance = random.Random(1)
    return [MODELS[model].seconds(chance) for _ in range(20_000)]


def test_it_says_the_draft_and_counts_tokens(client: openai.OpenAI) -> None:
    said = say(client)
    assert said.choices[0].message.content == DRAFT
    assert said.choices[0].finish_reason == "stop"
    assert said.usage.prompt_tokens == 3 + 6
    assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens
    assert said.system_fingerprint


def test_without_a_draft_it_says_the_last_message(client: openai.OpenAI) -> None:
    said = client.chat.completions.create(
        model="stand-in", messages=[{"role": "user", "content": QUESTION}]
    )
    assert said.choices[0].message.content == QUESTION


def test_its_models_are_listed_and_no_other_is_known(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == set(MODELS)
    with pytest.raises(openai.NotFoundError, match="There is no model"):
        say(client, "other")


def test_the_thinking_model_says_nothing_to_a_long_question(client: openai.OpenAI) -> None:
    assert say(client, "stand-in-thinking").choices[0].message.content == DRAFT
    silent = say(client, "stand-in-thinking", "really " * 21 + QUESTION).choices[0]
    assert (silent.message.content, silent.finish_reason) == ("", "length")


def test_the_terse_model_breaks_off(client: openai.OpenAI) -> None:
    said = say(client, "stand-in-terse").choices[0]
    assert said.message.content == "The milk is 62 degrees warm when it"
    assert said.finish_reason == "length"


def test_in_an_outage_calls_fail_until_it_is_over(
    client: openai.OpenAI, provider: ProviderProcess
) -> None:
    assert provider.control(failing=1.0, slower=4)["failing"] == 1
    with pytest.raises(openai.InternalServerError):
        say(client)
    assert provider.control()["failing"] == 0
    assert say(client).choices[0].message.content == DRAFT


@pytest.mark.parametrize("weather", [{"failing": 2.0}, {"slower": 0.0}, {"windy": 1.0}])
def test_weather_that_cannot_be_is_refused(
    provider: ProviderProcess, weather: dict[str, float]
) -> None:
    with pytest.raises(ProviderError, match="400"):
        provider.control(**weather)


def test_the_same_seed_draws_the_same_times() -> None:
    assert drawn("stand-in") == drawn("stand-in")


@pytest.mark.parametrize(
    ("model", "factor"), [("stand-in", 1.0), ("stand-in-large", 1.6), ("stand-in-mini", 0.6)]
)
def test_times_are_log_normal_around_the_model_s_median(model: str, factor: float) -> None:
    seconds = drawn(model)
    assert statistics.median(seconds) == pytest.approx(MEDIAN_SECONDS * factor, rel=0.03)
    assert statistics.quantiles(seconds, n=100)[-1] == pytest.approx(
        MEDIAN_SECONDS * factor * 2.54, rel=0.05
    )


def test_shared_capacity_changes_the_slowest_and_hardly_the_median() -> None:
    plain, shared = drawn("stand-in"), drawn("stand-in-shared")
    assert statistics.median(shared) == pytest.approx(statistics.median(plain), rel=0.06)
    p99 = [statistics.quantiles(each, n=100)[-1] for each in (plain, shared)]
    assert p99[1] > 3 * p99[0]


def test_it_ends_with_the_process_that_started_it() -> None:
    code = "from llmops_localcloud.model_provider.process import ProviderProcess as P\n"
    code += "import os\nprint(P().url, flush=True)\nos._exit(1)"
    started = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    url = started.stdout.strip()
    assert url.startswith("http://127.0.0.1:")
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"{url}/_control", timeout=2):
                pass
        except OSError:
            return
    raise AssertionError(f"{url} still answers")
