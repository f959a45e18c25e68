"""What is imported, and what is not: a service pays for the providers that it has."""

from __future__ import annotations

import subprocess
import sys

CLIENTS = ("openai", "anthropic", "litellm", "httpx", "httpx2", "boto3", "aiohttp", "pydantic")


def imported(statement: str) -> set[str]:
    """The top-level modules of a fresh interpreter after `statement`."""
    program = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    return set(found.stdout.split())


def test_no_client_library_is_ever_imported() -> None:
    modules = imported("import llm_service.providers.bedrock_converse, llm_service.providers")
    assert modules.isdisjoint(CLIENTS)


def test_botocore_only_comes_with_bedrock() -> None:
    assert "botocore" not in imported("import llm_service.providers")
