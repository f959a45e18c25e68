"""A chat in a job waits as long as its provider says: 429 with Retry-After, end to end."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provider_server import OK, Behaviour, ProviderServer

from llm_service import sample
from llm_service.bundle.source import PACKAGED

AFTER = 2
"""Seconds that the provider asks for."""
DEADLINE = 25.0


def test_a_job_whose_provider_says_later_is_tried_again_then_and_no_earlier(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "features").mkdir()
    (tmp_path / "prompts").symlink_to(PACKAGED / "prompts")
    feature = {
        "name": "answer",
        "prompt": "answer@1.0.0",
        "models": ["openai/model-a"],
        "default": True,
        "retrieval": "none",
    }
    (tmp_path / "features" / "answer.json").write_text(json.dumps(feature))
    later = Behaviour(status=429, headers=(("retry-after", str(AFTER)),))
    with ProviderServer([later, OK]) as provider:
        server = start(
            "--no-auth",
            CORPUS_URI=str(sample.FOLDER / "documents.jsonl"),
            BUNDLE_URI=str(tmp_path),
            OPENAI_API_KEY="sk-provider",
            OPENAI_BASE_URL=provider.openai_url,
            PROVIDER_ATTEMPTS="1",
            QUALITY_SAMPLE="0",
        )
        chat = {"messages": [{"role": "user", "content": "When is the till closed?"}]}
        job = sent(f"{server.url}/v1/jobs", {"endpoint": "/v1/chat/completions", "body": chat})
        end = time.monotonic() + DEADLINE
        while job["status"] in ("queued", "running"):
            assert time.monotonic() < end, "the job never ended"
            time.sleep(0.05)
            job = sent(f"{server.url}/v1/jobs/{job['id']}")
        first, second = provider.requests
    assert job["status"] == "succeeded" and job["result"]["choices"][0]["message"]["content"]
    assert second.at - first.at >= AFTER


def sent(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)
