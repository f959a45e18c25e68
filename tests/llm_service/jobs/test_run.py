"""What becomes of a job: the same over a store in memory and over PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from postgres_database import connected
from waiting import until

from llm_service.auth import Principal
from llm_service.errors import ApiError
from llm_service.jobs import postgres as jobs_postgres
from llm_service.jobs.consumer import consumed
from llm_service.jobs.job import Ending, Job, Store, StoreAway
from llm_service.jobs.jobs import Jobs
from llm_service.jobs.memory import MemoryStore
from llm_service.jobs.run import Done, Runner
from llm_service.jobs.settings import JobsSettings

WHO = Principal("alice", requests_per_minute=7)
SETTINGS = JobsSettings(visibility=60, receives=3)
OK = (200, b'{"object": "search"}')


class Endpoint:
    """Answers one after the other; the last one again and again."""

    def __init__(self, *answers: tuple[int, bytes] | Exception) -> None:
        self.answers, self.jobs = list(answers), list[Job]()

    async def __call__(self, job: Job) -> tuple[int, bytes]:
        self.jobs.append(job)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Hanging:
    """Never answers; `begun` says that it was asked."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self, _: Job) -> tuple[int, bytes]:
        self.begun.set()
        await asyncio.Event().wait()
        return OK


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An empty store."""
    if request.param == "memory":
        yield MemoryStore()
        return
    async with connected(request.getfixturevalue("where"), jobs_postgres.CREATE) as postgres:
        yield jobs_postgres.PostgresStore(postgres)


def jobs_of(store: Store, settings: JobsSettings = SETTINGS) -> Jobs:
    """Jobs in that store; nothing runs them unless a test does."""
    made = Jobs(settings, {})
    made.store = store
    return made


async def submit(store: Store, **changes: Any) -> Job:
    settings = changes.pop("settings", SETTINGS)
    given = {"metadata": {"run": "7"}, "key": None, **changes}
    body = given.pop("body", b'{"query": "tea"}')
    principal = given.pop("principal", WHO)
    return await jobs_of(store, settings).submit("/v1/search", body, principal, **given)


def runner(store: Store, endpoint: Any, settings: JobsSettings = SETTINGS, **more: Any) -> Runner:
    return Runner(store, {"/v1/search": endpoint}, settings, **more)


async def found(store: Store, job: Job) -> Job:
    job_now = await store.get(job.id)
    assert job_now is not None
    return job_now


async def test_a_job_is_done_once_for_its_principal(store: Store) -> None:
    job, endpoint = await submit(store), Endpoint(OK)
    assert job.status == "queued"
    assert await runner(store, endpoint).run(job.id) is Done.DELETE
    done = await found(store, job)
    assert (done.status, done.result, done.attempts) == ("succeeded", OK[1], 1)
    assert done.started_at and done.finished_at and done.metadata == {"run": "7"}
    assert endpoint.jobs[0].principal == WHO
    assert await runner(store, endpoint).run(job.id) is Done.DELETE
    assert len(endpoint.jobs) == 1


async def test_of_two_who_receive_it_at_once_one_does_it(store: Store) -> None:
    job, endpoint = await submit(store), Endpoint(OK)
    ends = await asyncio.gather(*(runner(store, endpoint).run(job.id) for _ in range(2)))
    assert Done.DELETE in ends and len(endpoint.jobs) == 1


async def test_a_refusal_ends_it_and_keeps_the_endpoints_error(store: Store) -> None:
    refusal = json.dumps({"error": {"message": "No.", "type": "t", "param": "p", "code": "c"}})
    job = await submit(store)
    assert await runner(store, Endpoint((400, refusal.encode()))).run(job.id) is Done.DELETE
    failed = await found(store, job)
    assert failed.status == "failed" and failed.attempts == 1
    assert failed.error == {
        "message": "No.", "type": "t", "param": "p", "code": "c", "status": 400
    }  # fmt: skip


@pytest.mark.parametrize("trouble", [(503, b"<html>"), (429, b"{}"), RuntimeError("secret")])
async def test_trouble_is_tried_again_until_it_was_begun_often_enough(
    store: Store, trouble: Any
) -> None:
    job, endpoint = await submit(store), Endpoint(trouble)
    doing = runner(store, endpoint)
    assert [await doing.run(job.id) for _ in range(3)] == [Done.AGAIN, Done.AGAIN, Done.DEAD]
    failed = await found(store, job)
    assert (failed.status, failed.attempts) == ("failed", 3)
    assert "secret" not in json.dumps(failed.error)
    assert await doing.run(job.id) is Done.DEAD
    assert len(endpoint.jobs) == 3


async def test_trouble_that_passes_leaves_a_job_that_succeeded(store: Store) -> None:
    job, endpoint = await submit(store), Endpoint((502, b""), OK)
    assert await runner(store, endpoint).run(job.id) is Done.AGAIN
    assert (await found(store, job)).status == "queued"
    assert await runner(store, endpoint).run(job.id) is Done.DELETE
    assert (await found(store, job)).status == "succeeded"


def busy(seconds: str) -> ApiError:
    """A refusal that says when to come back."""
    return ApiError(429, "Later.", code="rate_limited", headers={"retry-after": seconds})


@pytest.mark.parametrize(("said", "waits"), [("30", 30.0), ("86400", SETTINGS.visibility)])
async def test_a_job_waits_as_long_as_it_was_told_but_not_for_ever(
    store: Store, said: str, waits: float
) -> None:
    job, endpoint, hidden = await submit(store), Endpoint(busy(said)), asyncio.Queue[float]()
    doing = runner(store, endpoint)
    assert await doing.run(job.id, hidden.put) is Done.LATER
    assert hidden.get_nowait() == waits and hidden.empty()
    assert await store.waiting(10) == []
    assert await doing.run(job.id) is Done.UNTRIED
    waiting = await found(store, job)
    assert (waiting.status, waiting.attempts, len(endpoint.jobs)) == ("queued", 1, 1)


async def test_a_job_that_has_waited_is_begun_again(store: Store) -> None:
    job, endpoint = await submit(store), Endpoint(busy("0.05"), OK)
    assert await runner(store, endpoint).run(job.id) is Done.LATER

    async def due() -> bool:
        return await store.waiting(10) == [job.id]

    await until(due, "the job waited for ever")
    assert await runner(store, endpoint).run(job.id) is Done.DELETE
    assert (await found(store, job)).status == "succeeded"


async def test_a_last_refusal_is_the_jobs_error_whatever_it_says_of_later(store: Store) -> None:
    job = await submit(store)
    once = JobsSettings(visibility=60, receives=1)
    assert await runner(store, Endpoint(busy("30")), once).run(job.id) is Done.DEAD
    error = (await found(store, job)).error
    assert error and (error["code"], error["status"]) == ("rate_limited", 429)


async def test_a_job_that_takes_too_long_is_trouble(store: Store) -> None:
    job = await submit(store)
    assert await runner(store, Hanging()).run(job.id, seconds=0.01) is Done.AGAIN
    assert (await found(store, job)).status == "queued"


async def test_a_runner_that_is_told_to_stop_gives_the_job_back_uncounted(store: Store) -> None:
    job, hanging = await submit(store), Hanging()
    task = asyncio.create_task(runner(store, hanging).run(job.id))
    await hanging.begun.wait()
    assert (await found(store, job)).status == "running"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    back = await found(store, job)
    assert (back.status, back.attempts) == ("queued", 0)


async def test_an_abandoned_job_is_taken_up_by_another_and_the_first_result_is_dropped(
    store: Store,
) -> None:
    job = await submit(store)
    assert await store.begin(job.id, "first", 0.0)
    assert await store.begin(job.id, "second", 60.0)
    assert await store.begin(job.id, "third", 60.0) is None
    assert not await store.extend(job.id, "first", 60.0)
    assert not await store.end(job.id, "first", Ending("failed"), 60.0)
    assert await store.end(job.id, "second", Ending("succeeded", b"{}"), 60.0)
    assert (await found(store, job)).status == "succeeded"


async def test_a_job_under_way_elsewhere_is_left_alone(store: Store) -> None:
    job, endpoint = await submit(store), Endpoint(OK)
    await store.begin(job.id, "other", 60.0)
    assert await runner(store, endpoint).run(job.id) is Done.AGAIN
    assert not endpoint.jobs


async def test_signs_of_life_keep_the_lease_and_the_message(store: Store) -> None:
    job, hanging = await submit(store), Hanging()
    beats, hidden = asyncio.Queue[None](), asyncio.Queue[float]()

    async def sleep(_: float) -> None:
        await beats.get()

    doing = runner(store, hanging, sleep=sleep).run(job.id, hidden.put)
    task = asyncio.create_task(doing)
    await hanging.begun.wait()
    before = (await found(store, job)).leased_until
    beats.put_nowait(None)
    assert await hidden.get() == SETTINGS.visibility
    assert (await found(store, job)).leased_until > before
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_job_whose_workers_all_died_has_failed_when_it_is_looked_up(store: Store) -> None:
    job = await submit(store)
    for attempt in range(3):
        assert await store.begin(job.id, f"lease-{attempt}", 0.0)
    seen = await jobs_of(store).find(WHO, job.id)
    assert seen is not None and seen.status == "failed"
    assert seen.error and seen.error["code"] == "too_many_attempts"


async def test_a_fourth_delivery_of_a_job_that_kills_its_worker_is_not_begun(store: Store) -> None:
    job, endpoint = await submit(store), Endpoint(OK)
    for attempt in range(3):
        assert await store.begin(job.id, f"lease-{attempt}", 0.0)
    assert await runner(store, endpoint).run(job.id) is Done.DEAD
    assert not endpoint.jobs and (await found(store, job)).status == "failed"


async def test_the_same_key_gives_the_same_job_and_another_request_is_refused(
    store: Store,
) -> None:
    first = await submit(store, key="k")
    assert (await submit(store, key="k")).id == first.id
    assert (await submit(store, key="k", principal=Principal("bob"))).id != first.id
    with pytest.raises(ApiError) as refused:
        await submit(store, key="k", body=b'{"query": "coffee"}')
    assert refused.value.status == 409


async def test_a_job_belongs_to_its_principal(store: Store) -> None:
    job = await submit(store)
    assert await jobs_of(store).find(Principal("bob"), job.id) is None
    assert await jobs_of(store).find(WHO, job.id) is not None


async def test_what_has_had_its_time_expires_and_is_then_forgotten(store: Store) -> None:
    brief = JobsSettings(retention=0.0)
    job, endpoint = await submit(store, settings=brief), Endpoint(OK)
    assert await store.waiting(10) == []
    await store.sweep(60.0)
    gone = await found(store, job)
    assert (gone.status, gone.body, gone.result) == ("expired", b"", None)
    assert await runner(store, endpoint).run(job.id) is Done.DELETE
    assert not endpoint.jobs
    await store.sweep(0.0)
    assert await store.get(job.id) is None


async def test_what_waits_is_told_oldest_first(store: Store) -> None:
    ids = [(await submit(store)).id for _ in range(3)]
    await store.begin(ids[0], "other", 60.0)
    assert await store.waiting(10) == ids[1:]
    assert await store.waiting(1) == ids[1:2]


async def test_an_unknown_job_is_done_with(store: Store) -> None:
    assert await runner(store, Endpoint(OK)).run("job_none") is Done.DELETE


async def test_the_consumer_names_the_messages_to_be_received_again(store: Store) -> None:
    good, bad = await submit(store), await submit(store)

    async def endpoint(job: Job) -> tuple[int, bytes]:
        return OK if job.id == good.id else (503, b"")

    event = {
        "Records": [
            {"messageId": "m-good", "body": good.id},
            {"messageId": "m-bad", "body": bad.id},
            {"messageId": "m-none", "body": "job_none"},
        ]
    }
    answer = await consumed(runner(store, endpoint), event, 60.0)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-bad"}]}
    assert (await found(store, good)).status == "succeeded"


async def test_a_job_that_the_function_has_no_time_for_is_tried_again_but_not_for_ever(
    store: Store,
) -> None:
    job = await submit(store)
    event = {"Records": [{"messageId": "m", "body": job.id}]}
    for attempt in (1, 2, 3):
        answer = await consumed(runner(store, Hanging()), event, 5.01)
        assert answer["batchItemFailures"] == [{"itemIdentifier": "m"}]
        assert (await found(store, job)).attempts == attempt
    assert (await found(store, job)).status == "failed"


class AwayStore(MemoryStore):
    """A store that nobody reaches."""

    async def begin(self, job_id: str, lease: str, seconds: float) -> Job | None:
        raise StoreAway


async def test_while_the_store_is_away_a_job_counts_as_untried() -> None:
    endpoint = Endpoint(OK)
    assert await runner(AwayStore(), endpoint).run("job_x") is Done.UNTRIED
    assert not endpoint.jobs
