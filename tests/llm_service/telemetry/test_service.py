"""A running service with every sink configured: what leaves it, and that no sink can hold it up."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llm_service import bundle as packaged
from llm_service.sample import FOLDER

PACKAGED = Path(packaged.__file__).parent
Table = Callable[..., Awaitable[list[Any]]]
SECRETS = ("ann.lee@example.com", "4111 1111 1111 1111")
QUESTION = f"I am {SECRETS[0]}, card {SECRETS[1]}. At what temperature does the dishwasher rinse?"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def everywhere(receiver: Any) -> dict[str, str]:
    """The variables that switch every HTTP sink on."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
        "LANGFUSE_HOST": receiver.url,
        "LANGFUSE_PUBLIC_KEY": "pk",
        "LANGFUSE_SECRET_KEY": "sk-secret",
    }


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    """The packaged bundle, with a feature that keeps its conversations and masks its prompts."""
    folder = tmp_path / "bundle"
    for name in ("features", "prompts"):
        shutil.copytree(PACKAGED / name, folder / name)
    path = folder / "features" / "answer.json"
    feature = {**json.loads(path.read_text()), "log_conversations": True}
    path.write_text(json.dumps({**feature, "redact_for_provider": True}))
    return str(folder)


def ask(server: Any, **body: Any) -> httpx.Response:
    messages = [{"role": "user", "content": QUESTION}]
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    return httpx.post(
        f"{server.url}/v1/chat/completions", json={"messages": messages, **body}, headers=headers
    )


async def test_personal_data_is_in_no_line_log_trace_or_table(
    start: Any, receiver: Any, where: dict[str, str], table: Table, bundle: str
) -> None:
    server = start(
        *("--no-auth", "--corpus", str(FOLDER / "documents.jsonl")),
        **where,
        **everywhere(receiver),
        CONVERSATION_LOG="true",
        BUNDLE_URI=bundle,
    )
    replies = [ask(server, user="ann").json(), ask(server, stream=True)]
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    rows = await table("conversations", "created_at")
    assert len(rows) == len(replies)
    assert rows[0]["response_id"] == replies[0]["id"]
    assert rows[0]["question"].startswith("I am [EMAIL], card [CARD].")
    sent = b"".join(each.body for each in receiver.requests)
    assert b"I am [EMAIL], card [CARD]." in sent
    written = server.stdout.read_text() + server.stderr.read_text() + str(list(map(dict, rows)))
    for secret in (*SECRETS, "sk-secret"):
        assert secret not in written
        assert secret.encode() not in sent
    assert all(line["Redactions"] == 2 for line in server.lines("path"))


def test_the_callers_trace_goes_on(start: Any, receiver: Any) -> None:
    server = start(
        *("--no-auth", "--corpus", str(FOLDER / "documents.jsonl")),
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
    )
    ask(server)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    (request,) = receiver.to("/v1/traces")
    (found,) = ExportTraceServiceRequest.FromString(request.body).resource_spans
    spans = [span for scope in found.scope_spans for span in scope.spans]
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert {"POST /v1/chat/completions"} < {span.name for span in spans}


def test_sinks_that_hang_or_are_away_delay_and_fail_no_request(
    start: Any, receiver: Any, tmp_path: Path, bundle: str
) -> None:
    receiver.gate.clear()
    away = {
        "DATABASE_HOST": str(tmp_path),
        "DATABASE_USER": "nobody",
        "DATABASE_PASSWORD": "unused",
        "CONVERSATION_LOG": "true",
    }
    server = start(
        *("--no-auth", "--corpus", str(FOLDER / "documents.jsonl")),
        **away,
        **everywhere(receiver),
        BUNDLE_URI=bundle,
        wait=False,
    )
    server.wait_for("/healthz", 200)
    server.eventually(lambda: ask(server).status_code == 200, "the corpus was never loaded")
    server.eventually(lambda: bool(receiver.requests), "nothing came to the collector")
    began = time.monotonic()
    assert {ask(server).status_code for _ in range(20)} == {200}
    assert time.monotonic() - began < 5
    state = httpx.get(f"{server.url}/readyz").json()["telemetry"]
    assert state["conversations"]["queued"] >= 20
    assert state["lines"]["dropped"] == state["failed"] == 0
