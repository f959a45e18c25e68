"""Puts the service together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from llm_service import errors
from llm_service.api import router
from llm_service.middleware import Guard, Observe
from llm_service.service import LoadCorpus, Service
from llm_service.settings import Settings


def create_app(settings: Settings, load_corpus: LoadCorpus) -> FastAPI:
    """The ASGI application of one process; loads its corpus once it is started."""
    service = Service(settings, load_corpus)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.stop()

    app = FastAPI(title="Handbook", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    app.include_router(router)
    errors.install(app)
    app.add_middleware(Guard, tokens=settings.tokens)
    app.add_middleware(Observe, dimensions=service.dimensions)
    return app
