"""A service whose features ask a provider that does as it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from provider_server import OK, ProviderServer

from llm_service import sample
from llm_service.bundle.source import PACKAGED

DOCUMENTS = str(sample.FOLDER / "documents.jsonl")
FEATURES: dict[str, dict[str, Any]] = {
    "answer": {"models": ["embedded"], "default": True},
    "context": {"models": ["openai/model-a"], "passages": 3},
    "tool": {"models": ["openai/model-a"], "retrieval": "tool"},
    "plain": {"models": ["openai/model-a"], "retrieval": "none", "timeout_seconds": 20},
    "hasty": {"models": ["openai/model-a"], "retrieval": "none", "timeout_seconds": 0.3},
    "cached": {"models": ["openai/model-a"], "retrieval": "none", "cache": {"mode": "exact"}},
    "private": {
        "models": ["openai/model-a"],
        "retrieval": "none",
        "redact_for_provider": True,
    },
    "poor": {
        "models": ["openai/gpt-4o-mini"],
        "retrieval": "none",
        "budget_micro_usd_per_day": 0.001,
    },
    "untold": {
        "models": ["openai/gpt-4o-mini"],
        "retrieval": "none",
        "budget_micro_usd_per_day": 0.001,
    },
    "thrifty": {
        "models": ["openai/gpt-4o-mini"],
        "retrieval": "none",
        "budget_micro_usd_per_day": 0.001,
        "at_budget": "cheaper",
        "cheaper": ["openai/model-b"],
    },
    "warned": {
        "models": ["openai/gpt-4o-mini"],
        "retrieval": "none",
        "budget_micro_usd_per_day": 0.001,
        "at_budget": "warn",
    },
    "split": {
        "models": ["openai/model-a"],
        "retrieval": "none",
        "experiment": {
            "name": "which-model",
            "variants": [
                {"name": "control", "weight": 0.5},
                {"name": "other", "weight": 0.5, "changes": {"models": ["openai/model-b"]}},
            ],
        },
    },
    "short": {"models": ["openai/model-a"], "retrieval": "none", "max_tokens": 50},
    "model-b": {"models": ["openai/model-b"], "retrieval": "none"},
    "second": {"models": ["nowhere/model-x", "openai/model-b"], "retrieval": "none"},
}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a feature for each way to answer."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "features").mkdir()
    (folder / "prompts").symlink_to(PACKAGED / "prompts")
    for name, fields in FEATURES.items():
        feature = {"name": name, "prompt": "answer@1.0.0", **fields}
        (folder / "features" / f"{name}.json").write_text(json.dumps(feature))
    return folder


@pytest.fixture(scope="session")
def behind() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def provider(behind: ProviderServer) -> ProviderServer:
    """The provider, answering."""
    behind.script(OK)
    return behind


@pytest.fixture(scope="session")
def gateway(start: Callable[..., Any], bundle: Path, behind: ProviderServer) -> Any:
    """The service in front of the provider."""
    return start(
        "--no-auth",
        CORPUS_URI=DOCUMENTS,
        BUNDLE_URI=str(bundle),
        OPENAI_API_KEY="sk-provider",
        OPENAI_BASE_URL=behind.openai_url,
        PROVIDER_ATTEMPTS="1",
        BREAKER_MINIMUM_CALLS="1000000",
        QUALITY_SAMPLE="0",
    )


@pytest.fixture(scope="session")
def chats(gateway: Any) -> Iterator[openai.OpenAI]:
    """The official client, pointed at the gateway."""
    with openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key="none", max_retries=0, timeout=20
    ) as connected:
        yield connected


@pytest.fixture
def ask(chats: openai.OpenAI) -> Callable[..., Any]:
    """Asks a feature a question."""

    def asked(feature: str, content: str = "When is the till closed?", **more: Any) -> Any:
        return chats.chat.completions.create(
            model=feature, messages=[{"role": "user", "content": content}], **more
        )

    return asked
