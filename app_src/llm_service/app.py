"""Puts the service together."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from llm_service.chat.shim import Shim
from llm_service.service import LoadCorpus, Service
from llm_service.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

Running = Callable[[], AbstractAsyncContextManager[None]]


def create_app(settings: Settings, load_corpus: LoadCorpus | None = None) -> Shim:
    """The ASGI application of one process; loads its corpus once it is started.

    Raises SettingsError and BundleError.
    """
    service = Service(settings, load_corpus)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        service.start()
        _on_hangup(service)
        yield
        await service.stop()

    return Shim(service, lambda: _all_routes(service, running), running)


def _all_routes(service: Service, running: Running) -> FastAPI:
    """FastAPI's application; importing it takes as long as all the rest of the service."""
    from fastapi import FastAPI

    from llm_service import errors, openapi
    from llm_service.api import router
    from llm_service.evaluations.api import router as evaluations
    from llm_service.jobs.api import router as jobs
    from llm_service.middleware import Guard, Observe

    api = FastAPI(
        title="llm-service",
        lifespan=lambda _: running(),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    api.state.service = service
    for each in (router, jobs, evaluations):
        api.include_router(each)
    errors.install(api)
    openapi.install(api, guarded=service.settings.tokens is not None)
    api.add_middleware(Guard, tokens=service.settings.tokens)
    api.add_middleware(Observe, service=service)
    return api


def _on_hangup(service: Service) -> None:
    """SIGHUP reads the corpus anew: where there is such a signal (not on Windows), in the main
    thread (the only one that Python lets handle signals), and by a loop that can."""
    here = threading.current_thread() is threading.main_thread()
    if not here or not hasattr(signal, "SIGHUP"):
        return
    with suppress(NotImplementedError):
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, service.reindexer.request)
