"""A job, and the moves between its states.

    queued -> running -> succeeded | failed        any of them -> expired
    running -> queued                              its worker stopped, or the answer may come later

A job is begun under a lease: whoever holds it says so again and again, and only the holder may
write the end. A lease that ran out can be taken by another; one that ran out for the last time
(`receives`) leaves a job that has failed. A job that is given back may have to wait: nobody begins
one before its `leased_until`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from llm_service.auth import Principal

Status = Literal["queued", "running", "succeeded", "failed", "expired"]
Endpoint = Literal["/v1/chat/completions", "/v1/evaluations", "/v1/search"]

MOVES: dict[Status, frozenset[Status]] = {
    "queued": frozenset({"running", "expired"}),
    "running": frozenset({"running", "queued", "succeeded", "failed", "expired"}),
    "succeeded": frozenset({"expired"}),
    "failed": frozenset({"expired"}),
    "expired": frozenset(),
}
"""From `running` to `running`: another takes an abandoned job up."""

ENDED = frozenset(status for status, moves in MOVES.items() if moves <= {"expired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job; times are epoch seconds. It belongs to `principal`, and is done in its name.
    `digest` is the SHA-256 of endpoint and body, `key` the client's idempotency key."""

    id: str
    principal: Principal
    endpoint: Endpoint
    body: bytes
    digest: str
    key: str | None
    metadata: dict[str, str]
    created_at: float
    expires_at: float
    status: Status = "queued"
    started_at: float | None = None
    finished_at: float | None = None
    attempts: int = 0
    lease: str | None = None
    leased_until: float = 0.0
    result: bytes | None = None
    error: dict[str, Any] | None = None

    @property
    def owner(self) -> str:
        """Who may see it."""
        return self.principal.name

    @property
    def ended(self) -> bool:
        """Whether nothing will be done on it any more."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended: the body that the endpoint answered, or its error object."""

    status: Literal["succeeded", "failed"]
    result: bytes | None = None
    error: dict[str, Any] | None = None


class StoreAway(Exception):
    """The store cannot be reached now."""


class StoreFull(Exception):
    """The store holds as many unfinished jobs as it may."""


class Store(Protocol):
    """Where jobs are; every method raises StoreAway if it cannot be reached."""

    async def add(self, job: Job) -> Job:
        """Keeps the job; the one kept earlier with the same owner and key, if there is one.
        Raises StoreFull."""
        ...

    async def get(self, job_id: str) -> Job | None:
        """The job as it is now."""
        ...

    async def remove(self, job_id: str) -> None:
        """Forgets a job that could not be queued."""
        ...

    async def begin(self, job_id: str, lease: str, seconds: float) -> Job | None:
        """Takes the job, if nobody has it and it has not ended; counts as an attempt."""
        ...

    async def extend(self, job_id: str, lease: str, seconds: float) -> bool:
        """Whether the lease is still this one; it then lasts `seconds` from now."""
        ...

    async def give_back(
        self, job_id: str, lease: str, *, counts: bool, seconds: float = 0.0
    ) -> None:
        """Queues the job again, if the lease is this one, to be begun in `seconds` at the
        earliest; an attempt that does not count is taken back."""
        ...

    async def end(self, job_id: str, lease: str, ending: Ending, keep: float) -> bool:
        """Writes the end, if the lease is this one, and keeps it for `keep` seconds; whether it
        did."""
        ...

    async def bury(self, job_id: str, attempts: int, error: dict[str, Any]) -> bool:
        """Fails the job, if nobody has it and it was begun `attempts` times; whether it did."""
        ...

    async def waiting(self, limit: int) -> list[str]:
        """Ids of jobs that could be begun, oldest first."""
        ...

    async def sweep(self, keep: float) -> None:
        """Expires what has had its time: its content goes, its id is known for `keep` more
        seconds."""
        ...


def new_id() -> str:
    """An id that nobody can guess."""
    return f"job_{secrets.token_hex(16)}"


def new_lease() -> str:
    """Who holds a job."""
    return secrets.token_hex(8)
