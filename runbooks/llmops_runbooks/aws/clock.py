"""The cloud's clock: the Date header of AWS's answers; the machine's may differ or run slower."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from llmops_runbooks.aws.clients import Clients


class CloudClock:
    """`Clock` on AWS; asks STS only if nothing was asked before."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def now(self) -> datetime:
        if self._clients.date is None:
            self._clients.call("sts", "get_caller_identity")
        return self._clients.date or datetime.now(UTC)

    def wall(self) -> float:
        return time.time()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)
