"""Jobs over SQS (a real moto server) and a real PostgreSQL: workers, death, dead letters."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from postgres_database import connected
from waiting import until

from llm_service.auth import Principal
from llm_service.database import Postgres
from llm_service.errors import ApiError
from llm_service.jobs import postgres as jobs_postgres
from llm_service.jobs import sqs
from llm_service.jobs.job import Job
from llm_service.jobs.jobs import Jobs
from llm_service.jobs.run import Endpoints
from llm_service.jobs.settings import JobsSettings
from llm_service.jobs.worker import Worker, until_signalled

WHO = Principal("alice")
QUICK = {"VisibilityTimeout": "1"}


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs, "LONG_POLL", 1)


@dataclass(frozen=True)
class Queues:
    """A queue and its dead letters."""

    sqs: Any
    url: str
    dead: str

    def waiting(self, url: str) -> int:
        """Messages in a queue, hidden ones too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


@pytest.fixture
def queues(moto_url: str, account: dict[str, str], request: pytest.FixtureRequest) -> Queues:
    """Both queues, of this test's own; three receives, then dead."""
    client = boto3.client("sqs", endpoint_url=moto_url, region_name="eu-central-1")
    name = f"q{abs(hash(request.node.name))}"
    dead = client.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]
    redrive = {"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": 3}
    attributes = {**QUICK, "RedrivePolicy": json.dumps(redrive)}
    return Queues(
        client, client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], dead
    )


@pytest.fixture
async def postgres(where: dict[str, str]) -> AsyncIterator[Postgres]:
    """The test's database with the table of jobs."""
    async with connected(where, jobs_postgres.CREATE) as database:
        yield database


@pytest.fixture
def make(queues: Queues, moto_url: str, postgres: Postgres) -> Callable[..., Jobs]:
    """The jobs of a process with that queue and that database."""
    settings = JobsSettings(
        queue_url=queues.url, endpoint_url=moto_url, visibility=2.0, receives=3, concurrency=2
    )

    def jobs(endpoints: Endpoints | None = None, **changes: Any) -> Jobs:
        return Jobs(replace(settings, **changes), endpoints or {}, postgres)

    return jobs


async def submit(jobs: Jobs, query: str = "tea") -> Job:
    body = json.dumps({"query": query}).encode()
    return await jobs.submit("/v1/search", body, WHO, metadata={})


async def status(jobs: Jobs, job: Job) -> str:
    found = await jobs.find(WHO, job.id)
    assert found is not None
    return found.status


def working(jobs: Jobs) -> tuple[Worker, asyncio.Task[None]]:
    assert jobs.sqs is not None
    worker = Worker(jobs.sqs, jobs.runner, jobs.settings)
    return worker, asyncio.create_task(worker.run(grace=0.1))


async def test_a_worker_does_what_was_submitted_and_the_message_is_gone(
    make: Callable[..., Jobs], queues: Queues
) -> None:
    async def search(job: Job) -> tuple[int, bytes]:
        return 200, job.body

    jobs = make({"/v1/search": search})
    made = [await submit(jobs, str(n)) for n in range(5)]
    message = queues.sqs.receive_message(QueueUrl=queues.url, VisibilityTimeout=0)["Messages"][0]
    assert message["Body"] in {job.id for job in made}
    worker, task = working(jobs)

    async def done() -> bool:
        return {await status(jobs, job) for job in made} == {"succeeded"}

    await until(done, "the jobs were never done")
    worker.stop()
    await task
    found = await jobs.find(WHO, made[3].id)
    assert found is not None and found.result == b'{"query": "3"}'
    assert queues.waiting(queues.url) == 0


async def test_a_message_that_poisons_ends_failed_and_with_the_dead_letters(
    make: Callable[..., Jobs], queues: Queues
) -> None:
    async def search(_: Job) -> tuple[int, bytes]:
        return 503, b"{}"

    jobs = make({"/v1/search": search}, visibility=1.0)
    job = await submit(jobs)
    worker, task = working(jobs)

    async def dead() -> bool:
        return queues.waiting(queues.dead) == 1

    await until(dead, "the message never reached the dead letters")
    found = await jobs.find(WHO, job.id)
    assert found is not None and (found.status, found.attempts) == ("failed", 3)
    worker.stop()
    await task


async def test_a_job_that_was_told_when_to_come_back_is_begun_again_no_earlier(
    make: Callable[..., Jobs], queues: Queues
) -> None:
    begun = list[float]()

    async def search(_: Job) -> tuple[int, bytes]:
        begun.append(time.monotonic())
        if len(begun) == 1:
            raise ApiError(429, "Later.", headers={"retry-after": "2"})
        return 200, b"{}"

    jobs = make({"/v1/search": search})
    job = await submit(jobs)
    worker, task = working(jobs)

    async def done() -> bool:
        return await status(jobs, job) == "succeeded"

    await until(done, "the job was never tried again")
    worker.stop()
    await task
    assert begun[1] - begun[0] >= 2
    assert (queues.waiting(queues.url), queues.waiting(queues.dead)) == (0, 0)


async def test_a_worker_that_is_told_to_stop_returns_what_it_did_not_finish(
    make: Callable[..., Jobs], queues: Queues
) -> None:
    begun = asyncio.Event()

    async def search(_: Job) -> tuple[int, bytes]:
        begun.set()
        await asyncio.Event().wait()
        return 200, b"{}"

    jobs = make({"/v1/search": search}, concurrency=1, visibility=30.0)
    job = await submit(jobs)
    worker, task = working(jobs)
    await begun.wait()
    worker.stop()
    await task
    found = await jobs.find(WHO, job.id)
    assert found is not None and (found.status, found.attempts) == ("queued", 0)
    names = ["ApproximateReceiveCount"]
    answer = queues.sqs.receive_message(QueueUrl=queues.url, MessageSystemAttributeNames=names)
    (message,) = answer["Messages"]
    assert message["Body"] == job.id
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


async def test_a_job_longer_than_its_visibility_is_done_once(
    make: Callable[..., Jobs], queues: Queues
) -> None:
    begun, finish = list[str](), asyncio.Event()

    async def search(job: Job) -> tuple[int, bytes]:
        begun.append(job.id)
        await finish.wait()
        return 200, b"{}"

    endpoints = {"/v1/search": search}
    first, second = make(endpoints, visibility=1.0), make(endpoints, visibility=1.0)
    job = await submit(first)
    workers = [working(first), working(second)]
    began = time.monotonic()

    async def outlasted() -> bool:
        return time.monotonic() - began > 2.5 and len(begun) >= 1

    await until(outlasted, "the job was never begun")
    finish.set()

    async def done() -> bool:
        return await status(first, job) == "succeeded"

    await until(done, "the job was never done")
    for worker, _ in workers:
        worker.stop()
    await asyncio.gather(*(task for _, task in workers))
    assert begun == [job.id]


async def test_a_worker_that_is_not_ready_yet_stops_at_once(make: Callable[..., Jobs]) -> None:
    jobs = make()
    assert jobs.sqs is not None
    worker = Worker(jobs.sqs, jobs.runner, jobs.settings)

    async def never_ready() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    await until_signalled(worker, never_ready())


DYING = """
import asyncio, os, sys
from pathlib import Path
from llm_service.database import Postgres
from llm_service.environ import SettingsError
from llm_service.jobs import postgres, settings
from llm_service.jobs.jobs import Jobs
from llm_service.jobs.worker import Worker
from llm_service.settings import Database

async def search(job):
    Path(sys.argv[1]).write_text(job.id)
    await asyncio.Event().wait()

async def main():
    e = os.environ
    where = Database(e["DATABASE_HOST"], int(e["DATABASE_PORT"]), e["DATABASE_NAME"], "postgres",
                     "unused", "prefer")
    database = Postgres(where, (postgres.CREATE,))
    assert await database.connect()
    jobs = Jobs(settings.from_environ(e), {"/v1/search": search}, database)
    await Worker(jobs.sqs, jobs.runner, jobs.settings).run()

asyncio.run(main())
"""


async def test_a_worker_killed_in_the_middle_leaves_its_job_to_another(
    make: Callable[..., Jobs],
    queues: Queues,
    moto_url: str,
    where: dict[str, str],
    tmp_path: Path,
) -> None:
    async def search(_: Job) -> tuple[int, bytes]:
        return 200, b'{"done": true}'

    jobs = make({"/v1/search": search}, visibility=1.0)
    job = await submit(jobs)
    begun = tmp_path / "begun"
    dying = subprocess.Popen(
        [sys.executable, "-c", DYING, str(begun)],
        env={
            **os.environ,
            **where,
            "JOBS_QUEUE_URL": queues.url,
            "JOBS_ENDPOINT_URL": moto_url,
            "JOBS_VISIBILITY_SECONDS": "1",
        },
    )

    async def under_way() -> bool:
        return begun.exists() and await status(jobs, job) == "running"

    try:
        await until(under_way, "the first worker never began")
    finally:
        dying.send_signal(signal.SIGKILL)
        dying.wait()
    worker, task = working(jobs)

    async def done() -> bool:
        return await status(jobs, job) == "succeeded"

    await until(done, "nobody finished the job")
    worker.stop()
    await task
    found = await jobs.find(WHO, job.id)
    assert found is not None and (found.attempts, found.result) == (2, b'{"done": true}')


async def test_a_queue_that_cannot_be_reached_takes_no_job(make: Callable[..., Jobs]) -> None:
    jobs = make(endpoint_url="http://127.0.0.1:9")
    with pytest.raises(ApiError, match="Jobs cannot be taken now") as refused:
        await submit(jobs)
    assert refused.value.status == 503
    assert await jobs.store.waiting(10) == []
