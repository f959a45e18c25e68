"""The AWS CLI, run as its users run it: a process with the usual variables exported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class AwsCli:
    """`aws` against one endpoint."""

    def __init__(self, endpoint: str) -> None:
        self._variables = {
            **os.environ,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_DEFAULT_OUTPUT": "json",
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command, however it ends."""
        aws = Path(sys.executable).with_name("aws")
        return subprocess.run(
            [sys.executable, str(aws), *words],
            env=self._variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def __call__(self, *words: str) -> Any:
        """The command's JSON answer, None if it printed nothing; it must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None
