"""Jobs in PostgreSQL: shared by all tasks, workers and consumers. Its clock is the one that counts.

Every move is one conditional UPDATE, so that of two who try it one does nothing.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from llm_service.auth import Principal
from llm_service.database import Away, Postgres
from llm_service.jobs.job import Ending, Job, StoreAway

CREATE = """
CREATE TABLE IF NOT EXISTS jobs (
    id text PRIMARY KEY,
    owner text NOT NULL,
    principal text NOT NULL,
    endpoint text NOT NULL,
    body bytea NOT NULL,
    digest text NOT NULL,
    key text,
    metadata text NOT NULL,
    status text NOT NULL DEFAULT 'queued',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    attempts int NOT NULL DEFAULT 0,
    lease text,
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    result bytea,
    error text
);
CREATE UNIQUE INDEX IF NOT EXISTS jobs_key ON jobs (owner, key) WHERE key IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_open ON jobs (created_at) WHERE status IN ('queued', 'running');
CREATE INDEX IF NOT EXISTS jobs_expiry ON jobs (expires_at)
"""

COLUMNS = """
id, principal, endpoint, body, digest, key, metadata, status, attempts, lease, result, error,
extract(epoch FROM created_at)::float8 AS created_at,
extract(epoch FROM expires_at)::float8 AS expires_at,
extract(epoch FROM started_at)::float8 AS started_at,
extract(epoch FROM finished_at)::float8 AS finished_at,
CASE WHEN leased_until = '-infinity' THEN 0 ELSE extract(epoch FROM leased_until)::float8 END
    AS leased_until
"""
FREE = "expires_at > now() AND status IN ('queued', 'running') AND leased_until <= now()"
SECONDS = "make_interval(secs => $3)"

ADD = f"""
INSERT INTO jobs (id, owner, principal, endpoint, body, digest, key, metadata, expires_at)
VALUES ($1, $2, $4, $5, $6, $7, $8, $9, now() + {SECONDS})
ON CONFLICT (owner, key) WHERE key IS NOT NULL DO UPDATE SET key = jobs.key
RETURNING {COLUMNS}
"""  # noqa: S608 - constants only
GET = f"SELECT {COLUMNS} FROM jobs WHERE id = $1"  # noqa: S608
REMOVE = "DELETE FROM jobs WHERE id = $1 AND status = 'queued' RETURNING id"
BEGIN = f"""
UPDATE jobs SET status = 'running', lease = $2, leased_until = now() + {SECONDS},
    started_at = coalesce(started_at, now()), attempts = attempts + 1
WHERE id = $1 AND {FREE} RETURNING {COLUMNS}
"""  # noqa: S608
HELD = "id = $1 AND status = 'running' AND lease = $2"
EXTEND = f"""
UPDATE jobs SET leased_until = now() + {SECONDS} WHERE {HELD} RETURNING id
"""  # noqa: S608
GIVE_BACK = f"""
UPDATE jobs SET status = 'queued', lease = NULL, leased_until = now() + {SECONDS},
    attempts = attempts - $4::int
WHERE {HELD} RETURNING id
"""  # noqa: S608
END = f"""
UPDATE jobs SET status = $4, result = $5, error = $6, lease = NULL, finished_at = now(),
    expires_at = now() + {SECONDS}
WHERE {HELD} RETURNING id
"""  # noqa: S608
BURY = f"""
UPDATE jobs SET status = 'failed', error = $3, lease = NULL, finished_at = now()
WHERE id = $1 AND status = 'running' AND attempts >= $2 AND {FREE} RETURNING id
"""  # noqa: S608
WAITING = f"""
SELECT array(SELECT id FROM jobs WHERE {FREE} ORDER BY created_at LIMIT $1) AS ids
"""  # noqa: S608
EXPIRE = """
UPDATE jobs SET status = 'expired', body = '', result = NULL, error = NULL, lease = NULL
WHERE expires_at <= now() AND status <> 'expired'
"""
FORGET = "DELETE FROM jobs WHERE expires_at <= now() - make_interval(secs => $1)"


class PostgresStore:
    """Jobs in the table of `CREATE`, which `postgres` makes."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def add(self, job: Job) -> Job:
        row = await self._row(
            ADD,
            job.id,
            job.owner,
            job.expires_at - job.created_at,
            msgspec.json.encode(job.principal).decode(),
            job.endpoint,
            job.body,
            job.digest,
            job.key,
            json.dumps(job.metadata),
        )
        return _job(row)

    async def get(self, job_id: str) -> Job | None:
        row = await self._row(GET, job_id)
        return _job(row) if row else None

    async def remove(self, job_id: str) -> None:
        await self._row(REMOVE, job_id)

    async def begin(self, job_id: str, lease: str, seconds: float) -> Job | None:
        row = await self._row(BEGIN, job_id, lease, seconds)
        return _job(row) if row else None

    async def extend(self, job_id: str, lease: str, seconds: float) -> bool:
        return bool(await self._row(EXTEND, job_id, lease, seconds))

    async def give_back(
        self, job_id: str, lease: str, *, counts: bool, seconds: float = 0.0
    ) -> None:
        await self._row(GIVE_BACK, job_id, lease, seconds, int(not counts))

    async def end(self, job_id: str, lease: str, ending: Ending, keep: float) -> bool:
        error = json.dumps(ending.error) if ending.error else None
        return bool(await self._row(END, job_id, lease, keep, ending.status, ending.result, error))

    async def bury(self, job_id: str, attempts: int, error: dict[str, Any]) -> bool:
        return bool(await self._row(BURY, job_id, attempts, json.dumps(error)))

    async def waiting(self, limit: int) -> list[str]:
        """None while the database is quiet: a task that starts looks, and who queues a job."""
        found = await self._look(WAITING, limit)
        return list(found["ids"]) if found else []

    async def sweep(self, keep: float) -> None:
        await self._look(EXPIRE)
        await self._look(FORGET, keep)

    async def _look(self, statement: str, *values: Any) -> Any:
        try:
            return await self._postgres.look(statement, *values)
        except Away:
            raise StoreAway from None

    async def _row(self, statement: str, *values: Any) -> Any:
        try:
            return await self._postgres.row(statement, *values)
        except Away:
            raise StoreAway from None


def _job(row: Any) -> Job:
    known = dict(row)
    known["principal"] = msgspec.json.decode(known["principal"], type=Principal)
    known["metadata"] = json.loads(known["metadata"])
    known["error"] = json.loads(known["error"]) if known["error"] else None
    return Job(**known)
