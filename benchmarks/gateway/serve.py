"""The service as the benchmark runs it: PORT and UPSTREAM from the environment, the bundle beside.

    PORT=9100 UPSTREAM=http://127.0.0.1:9001/v1 python benchmarks/gateway/serve.py

Everything on the path of a request is on: a token known by its hash with limits of its own, typed
validation, an experiment between two prompts, redaction before the provider, retries, a breaker
and a second provider to fail over to, cost by the price table, budgets, metrics of every request.
Metrics go where the process's output goes. No database, no trace collector, no retrieval.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TOKEN = "sk-bench"


def environment() -> dict[str, str]:
    """The variables of the service."""
    token = {
        "name": "bench",
        "sha256": [hashlib.sha256(TOKEN.encode()).hexdigest()],
        "requests_per_minute": 1_000_000_000,
        "tokens_per_minute": 1_000_000_000_000,
        "budget_micro_usd_per_day": 1e15,
    }
    upstream = os.environ["UPSTREAM"]
    return {
        "PATH": os.environ["PATH"],
        "PORT": os.environ["PORT"],
        "CORPUS_URI": str(ROOT / "app_src/llm_service/sample/documents.jsonl"),
        "BUNDLE_URI": str(HERE / "bundle"),
        "BEARER_TOKENS": json.dumps({"tokens": [token]}),
        "OPENAI_BASE_URL": upstream,
        "OPENAI_API_KEY": "sk-up",
        "PROVIDERS": json.dumps({"second": {"kind": "openai", "url": upstream}}),
        "QUALITY_SAMPLE": "0",
    } | {key: os.environ[key] for key in ("EMBEDDER",) if key in os.environ}


if __name__ == "__main__":
    os.execve(sys.executable, [sys.executable, "-m", "llm_service"], environment())
