"""The function in a process of its own, as Lambda runs it: one module, several invocations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from llm_service import sample

CONTAINER = """
import json, sys
from llm_service import lambda_function

class Context:
    def get_remaining_time_in_millis(self):
        return 30_000

for line in sys.stdin:
    print("ANSWER", json.dumps(lambda_function.handler(json.loads(line), Context())), flush=True)
"""
"""As Lambda runs it: a process that is given one event after the other."""


class Container:
    """A process with the handler in it."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CONTAINER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "AWS_LAMBDA_FUNCTION_NAME": "handbook",
                "CORPUS_URI": str(sample.FOLDER / "documents.jsonl"),
                "BEARER_TOKENS": '{"current": "secret-token"}',
                **variables,
            },
        )

    def answer(self, event: Mapping[str, Any]) -> Any:
        """What the handler returns."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
        raise AssertionError("the container ended")

    def end(self) -> None:
        """No more events."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
