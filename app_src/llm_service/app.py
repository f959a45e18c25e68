"""Puts the service together."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from llm_service import errors, openapi
from llm_service.api import router
from llm_service.chat.shim import Shim
from llm_service.evaluations.api import router as evaluations
from llm_service.jobs.api import router as jobs
from llm_service.middleware import Guard, Observe
from llm_service.service import LoadCorpus, Service
from llm_service.settings import Settings


def create_app(settings: Settings, load_corpus: LoadCorpus | None = None) -> Shim:
    """The ASGI application of one process; loads its corpus once it is started.

    Raises SettingsError and BundleError.
    """
    service = Service(settings, load_corpus)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        _on_hangup(service)
        yield
        await service.stop()

    api = FastAPI(title="llm-service", lifespan=lifespan, docs_url=None, redoc_url=None)
    api.state.service = service
    for each in (router, jobs, evaluations):
        api.include_router(each)
    errors.install(api)
    openapi.install(api, guarded=settings.tokens is not None)
    api.add_middleware(Guard, tokens=settings.tokens)
    api.add_middleware(Observe, service=service)
    return Shim(api, service.handler)


def _on_hangup(service: Service) -> None:
    """SIGHUP reads the corpus anew, where there is such a signal and this is the main thread."""
    with suppress(AttributeError, NotImplementedError, RuntimeError, ValueError):
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, service.reindexer.request)
