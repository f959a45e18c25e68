"""A sampling parameter that a model refuses is left out, and the request goes through."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from provider_behaviours import OK, Behaviour
from provider_server import ProviderServer, Seen

from llm_service.calls import Call, Message, Provider, ProviderError
from llm_service.providers.sampling import Sampling

HOT = Call(model="m", messages=(Message("user", "Hello"),), temperature=0.2, top_p=0.5, seed=1)


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("`temperature` is deprecated for this model.", {"top_p", "seed"}),
        ("`top_p` is deprecated for this model.", {"temperature", "seed"}),
        ("Unsupported value: 'temperature' does not support 0.2.", {"top_p", "seed"}),
        ("`temperature` and `top_p` cannot both be specified.", {"temperature", "seed"}),
        ("Unsupported parameter: 'seed'", {"temperature", "top_p"}),
    ],
)
def test_what_is_refused_is_left_out_for_that_model(words: str, left: set[str]) -> None:
    sampling = Sampling()
    assert sampling.learn(HOT, json.dumps({"error": {"message": words}}).encode())
    fitted = sampling.fitted(HOT)
    found = {name for name in ("temperature", "top_p", "seed") if getattr(fitted, name) is not None}
    assert found == left
    other = msgspec.structs.replace(HOT, model="another")
    assert sampling.fitted(other) == other


@pytest.mark.parametrize(
    "words",
    [
        "Unsupported parameter: 'presence_penalty' is not supported with this model.",
        "Unrecognized request argument supplied: presence_penalty",
    ],
)
def test_what_only_openais_kind_knows_is_left_out_likewise(words: str) -> None:
    more = {"presence_penalty": 0.0, "verbosity": "low"}
    call, sampling = msgspec.structs.replace(HOT, more=more), Sampling()
    assert sampling.learn(call, words.encode())
    fitted = sampling.fitted(call)
    assert fitted == msgspec.structs.replace(call, more={"verbosity": "low"})
    assert not sampling.learn(fitted, words.encode())
    alone = msgspec.structs.replace(call, more={"presence_penalty": 0.0})
    assert sampling.fitted(alone).more is None


@pytest.mark.parametrize(
    "words",
    ["temperature must be between 0 and 1", "Unsupported parameter: 'max_tokens'", "", "no"],
)
def test_other_refusals_are_nothing_to_learn_from(words: str) -> None:
    assert not Sampling().learn(HOT, words.encode())
    cold = msgspec.structs.replace(HOT, temperature=None)
    assert not Sampling().learn(cold, b"`temperature` is deprecated for this model.")


def heat(seen: Seen) -> Any:
    return seen.json.get("temperature", seen.json.get("inferenceConfig", {}).get("temperature"))


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_client_is_not_refused_for_its_temperature(
    server: ProviderServer, provider: Provider, streaming: bool
) -> None:
    refusal = Behaviour(status=400, message="`temperature` is deprecated for this model.")
    server.script(lambda seen: OK if heat(seen) is None else refusal)
    for _ in range(2):
        if streaming:
            assert [event async for event in provider.stream(HOT, 5.0)]
        else:
            assert (await provider.complete(HOT, 5.0)).text
    assert [heat(seen) for seen in server.requests] == [0.2, None, None]


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_provider_that_refuses_everything_is_asked_few_times(
    server: ProviderServer, provider: Provider, streaming: bool
) -> None:
    words = "temperature, top_p and seed are not supported"
    server.script(Behaviour(status=400, message=words))
    ask: Callable[[], Any] = (
        (lambda: anext(provider.stream(HOT, 5.0)))
        if streaming
        else (lambda: provider.complete(HOT, 5.0))
    )
    with pytest.raises(ProviderError, match="refused"):
        await ask()
    assert len(server.requests) == 4
