"""The queue of a service that runs its own jobs, and the settings."""

from __future__ import annotations

import asyncio

import pytest
from waiting import until

from llm_service.auth import ANONYMOUS
from llm_service.environ import SettingsError
from llm_service.errors import ApiError
from llm_service.jobs.job import Job
from llm_service.jobs.jobs import Jobs
from llm_service.jobs.memory import MemoryStore
from llm_service.jobs.settings import JobsSettings, from_environ


class Ticks:
    """A sleep that ends when the test says so."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(self, _: float) -> None:
        await self.queue.get()


class Gate:
    """An endpoint that answers once it is open."""

    def __init__(self, *statuses: int) -> None:
        self.open, self.statuses, self.done = asyncio.Event(), list(statuses), list[str]()

    async def __call__(self, job: Job) -> tuple[int, bytes]:
        await self.open.wait()
        self.done.append(job.id)
        return self.statuses.pop(0) if self.statuses else 200, b"{}"


async def submit(jobs: Jobs) -> Job:
    return await jobs.submit("/v1/search", b"{}", ANONYMOUS, metadata={})


async def until_it_is(jobs: Jobs, job: Job, status: str) -> None:
    async def so() -> bool:
        found = await jobs.store.get(job.id)
        return found is not None and found.status == status

    await until(so, f"the job never was {status}")


async def test_when_as_many_wait_as_may_the_next_is_429_with_a_time_to_come_back() -> None:
    gate = Gate()
    jobs = Jobs(JobsSettings(capacity=2, concurrency=1), {"/v1/search": gate})
    made = [await submit(jobs) for _ in range(2)]
    with pytest.raises(ApiError) as refused:
        await submit(jobs)
    assert (refused.value.status, refused.value.headers) == (429, {"retry-after": "5"})
    jobs.start()
    gate.open.set()
    for job in made:
        await until_it_is(jobs, job, "succeeded")
    await until_it_is(jobs, await submit(jobs), "succeeded")
    await jobs.close()
    assert jobs.state() == {"queue": "in-process", "queued": 0}


async def test_trouble_is_found_again_by_looking_into_the_store() -> None:
    gate, ticks = Gate(503, 200), Ticks()
    gate.open.set()
    jobs = Jobs(JobsSettings(), {"/v1/search": gate}, sleep=ticks.sleep)
    jobs.start()
    job = await submit(jobs)

    async def done() -> bool:
        ticks.queue.put_nowait(None)
        found = await jobs.store.get(job.id)
        return found is not None and found.status == "succeeded"

    await until(done, "the job was never tried again")
    assert gate.done == [job.id, job.id]
    await jobs.close()


async def test_a_service_that_stops_puts_its_jobs_back() -> None:
    gate = Gate()
    jobs = Jobs(JobsSettings(), {"/v1/search": gate})
    jobs.start()
    job = await submit(jobs)
    await until_it_is(jobs, job, "running")
    await jobs.close()
    back = await jobs.store.get(job.id)
    assert back is not None and (back.status, back.attempts) == ("queued", 0)


async def test_memory_is_bounded_by_forgetting_what_has_ended() -> None:
    jobs = Jobs(JobsSettings(), {})
    jobs.store = MemoryStore(kept=2)
    first, second = await submit(jobs), await submit(jobs)
    with pytest.raises(ApiError) as refused:
        await submit(jobs)
    assert refused.value.status == 429
    await jobs.store.begin(first.id, "lease", 0.0)
    await jobs.store.bury(first.id, 1, {})
    third = await submit(jobs)
    assert await jobs.store.get(first.id) is None
    assert {await jobs.store.get(each.id) is None for each in (second, third)} == {False}


def test_a_queue_needs_the_database_its_workers_look_into() -> None:
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs"
    with pytest.raises(SettingsError, match="DATABASE_HOST"):
        from_environ({"JOBS_QUEUE_URL": url})
    found = from_environ({"JOBS_QUEUE_URL": url, "DATABASE_HOST": "x", "JOBS_RECEIVES": "5"})
    assert (found.queue_url, found.receives, found.region) == (url, 5, "eu-central-1")
    assert found.beat < found.lease < found.visibility


@pytest.mark.parametrize(
    "variable", ["JOBS_CAPACITY", "JOBS_RECEIVES", "JOBS_RETENTION_HOURS", "JOBS_TIMEOUT_SECONDS"]
)
def test_a_setting_that_is_no_number_is_named(variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        from_environ({variable: "many"})


async def test_a_job_that_was_taken_but_never_queued_is_queued_by_the_next_try() -> None:
    gate = Gate()
    gate.open.set()
    jobs = Jobs(JobsSettings(), {"/v1/search": gate})
    first = await jobs.submit("/v1/search", b"{}", ANONYMOUS, metadata={}, key="k")
    again = Jobs(JobsSettings(), {"/v1/search": gate})
    again.store = jobs.store
    assert (await again.submit("/v1/search", b"{}", ANONYMOUS, metadata={}, key="k")).id == first.id
    assert again.state()["queued"] == 1


async def test_what_has_had_its_time_is_swept() -> None:
    ticks = Ticks()
    jobs = Jobs(JobsSettings(retention=0.0), {}, sleep=ticks.sleep)
    job = await submit(jobs)
    jobs.start()

    async def forgotten() -> bool:
        return await jobs.store.get(job.id) is None

    await until(forgotten, "the job was never forgotten")
    await jobs.close()
