"""A service without a port: what the worker and the Lambda consumer do their jobs with."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from llm_service.bundle import BundleError
from llm_service.corpus import CorpusError
from llm_service.environ import SettingsError
from llm_service.jobs.worker import Worker, until_signalled
from llm_service.service import Service

USAGE = 2
LOOK = 0.05
"""Seconds between two looks whether the service is ready."""


def main(arguments: Sequence[str]) -> int:
    """`llm-service worker`: the flags of the service, without a port; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        service = build(arguments, os.environ)
        asyncio.run(_work(service))
    except (SettingsError, CorpusError, BundleError) as error:
        print(error, file=sys.stderr)
        return USAGE
    return 0


def build(arguments: Sequence[str], environ: Mapping[str, str]) -> Service:
    """A service as the settings say, not started. Raises SettingsError and its like."""
    from llm_service.__main__ import configured

    return configured(arguments, environ)


@asynccontextmanager
async def started(service: Service) -> AsyncIterator[Service]:
    """The service from its start to its stop."""
    service.start()
    try:
        yield service
    finally:
        await service.stop()


async def ready(service: Service) -> None:
    """Returns once jobs can be done."""
    while not (await service.readiness())[0]:
        await asyncio.sleep(LOOK)


async def _work(service: Service) -> None:
    jobs = service.jobs
    if jobs.sqs is None:
        raise SettingsError(
            "There is no queue for a worker: set JOBS_QUEUE_URL, or let the service run its jobs."
        )
    worker = Worker(jobs.sqs, jobs.runner, jobs.settings)
    async with started(service):
        await until_signalled(worker, ready(service))
