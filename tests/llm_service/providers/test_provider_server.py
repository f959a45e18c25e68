"""The stand-in as a process of its own, as benchmarks and end-to-end tests start it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import provider_server
from provider_behaviours import BEHAVIOURS

from llm_service.calls import Call, Message, ProviderError
from llm_service.http import HttpClient
from llm_service.providers.openai_compatible import OpenAiProvider


def asking(model: str) -> Call:
    return Call(model=model, messages=(Message("user", "Hello"),))


async def test_a_process_serves_and_the_model_picks_the_behaviour(client: HttpClient) -> None:
    program = str(Path(provider_server.__file__))
    command = [sys.executable, program, "--words", "4", "--latency", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            provider = OpenAiProvider("there", client, f"{url}/v1")
            reply = await provider.complete(asking("any-model"), 5.0)
            assert reply.text == "word0 word1 word2 word3"
            kinds = {}
            for model in ("rate-limited", "failing", "html", "cut"):
                try:
                    await provider.complete(asking(f"fake/{model}"), 5.0)
                except ProviderError as error:
                    kinds[model] = error.kind
        finally:
            process.kill()
    assert kinds == {
        "rate-limited": "rate_limited",
        "failing": "overloaded",
        "html": "malformed",
        "cut": "truncated",
    }
    assert "silent" in BEHAVIOURS
