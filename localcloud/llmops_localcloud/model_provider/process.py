"""The stand-in as a process of its own, tied to the one that starts it."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import urllib.request
from typing import Any

START_SECONDS = 15.0
STOP_SECONDS = 5.0


class ProviderError(Exception):
    """The stand-in does not start or does not answer; the text is one sentence for the user."""


class ProviderProcess:
    """A running stand-in; `url` is where it answers. Raises ProviderError if it does not start."""

    def __init__(self, seed: int = 1) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "llmops_localcloud.model_provider", "--seed", str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.url = self._address()

    def control(self, **weather: float) -> dict[str, Any]:
        """Changes the provider's weather (see `server`); without arguments it is fine again."""
        request = urllib.request.Request(  # noqa: S310 - an address of this machine
            f"{self.url}/_control",
            data=json.dumps(weather).encode(),
            headers={"Content-Type": "application/json"},
        )
        # The provider is on this machine: no proxy of the environment may come between.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=5) as answer:
                return dict(json.load(answer))
        except (OSError, ValueError) as error:
            raise ProviderError(
                f"The stand-in for the provider does not answer: {error}"
            ) from error

    def stop(self) -> None:
        """Ends it; safe to call twice."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _address(self) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_SECONDS)
        line = self._process.stdout.readline().strip() if ready else ""
        if not line:
            self.stop()
            raise ProviderError("The stand-in for the model provider did not start.")
        return line
