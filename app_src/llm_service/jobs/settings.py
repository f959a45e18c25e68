"""How jobs are set up.

    JOBS_QUEUE_URL             SQS queue that carries job ids; needs DATABASE_HOST   in-process
    JOBS_ENDPOINT_URL          of SQS, if it is not AWS's                            none
    JOBS_CAPACITY              jobs that may wait in this process                    1000
    JOBS_CONCURRENCY           jobs that one process runs at once                    4
    JOBS_VISIBILITY_SECONDS    after which an abandoned job is taken up again; the   60
                               longest that a Retry-After is followed
    JOBS_RECEIVES              how often a job is begun before it has failed         3
    JOBS_TIMEOUT_SECONDS       for one job                                           600
    JOBS_RETENTION_HOURS       that a result is kept                                 24

JOBS_RECEIVES is the queue's `maxReceiveCount`: what was begun so often ends `failed`, and its
message with the dead letters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from llm_service.environ import SettingsError, number, whole

REGION = re.compile(r"//sqs\.([a-z0-9-]+)\.")


@dataclass(frozen=True, slots=True)
class JobsSettings:
    """`queue_url` None: this process runs what it takes."""

    queue_url: str | None = None
    endpoint_url: str | None = None
    capacity: int = 1000
    concurrency: int = 4
    visibility: float = 60.0
    receives: int = 3
    timeout: float = 600.0
    retention: float = 86_400.0

    @property
    def lease(self) -> float:
        """Seconds that a job is held without a sign of life: less than its message is hidden, so
        that whoever receives the message again may begin."""
        return 0.8 * self.visibility

    @property
    def beat(self) -> float:
        """Seconds between two signs of life."""
        return self.visibility / 4

    @property
    def region(self) -> str | None:
        """The region that the queue's address names; None leaves it to the environment."""
        found = REGION.search(self.queue_url or "")
        return found[1] if found else None


def from_environ(environ: Mapping[str, str]) -> JobsSettings:
    """Reads the variables above. Raises SettingsError."""
    url = environ.get("JOBS_QUEUE_URL", "").strip() or None
    if url and not environ.get("DATABASE_HOST"):
        raise SettingsError(
            "JOBS_QUEUE_URL is set without DATABASE_HOST: workers find the jobs in PostgreSQL, so "
            "set it too."
        )
    return JobsSettings(
        queue_url=url,
        endpoint_url=environ.get("JOBS_ENDPOINT_URL", "").strip() or None,
        capacity=whole(environ, "JOBS_CAPACITY", 1000, 1, 100_000),
        concurrency=whole(environ, "JOBS_CONCURRENCY", 4, 1, 256),
        visibility=number(environ, "JOBS_VISIBILITY_SECONDS", 60.0, 43_200.0, 1.0),
        receives=whole(environ, "JOBS_RECEIVES", 3, 1, 1000),
        timeout=number(environ, "JOBS_TIMEOUT_SECONDS", 600.0, 43_200.0, 1.0),
        retention=3600 * number(environ, "JOBS_RETENTION_HOURS", 24.0, 8_760.0, 0.01),
    )
