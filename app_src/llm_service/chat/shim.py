"""The hot route in front of FastAPI: POST /v1/chat/completions is answered without it.

Starlette's middlewares, its router and FastAPI's validation cost more than everything the service
does for a chat; all other requests, which are few, still have them. Health checks are answered
without it too, so that a process loads FastAPI (a third of a second and 20 MB) with the first
request that needs it, in a thread, while chats go on.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING

from llm_service.chat.state import PATH
from llm_service.health import PATHS, Health

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

    from llm_service.service import Service


class Shim:
    """The ASGI application of one process: `service.handler` for chats, what `make_api` makes for
    the rest; it runs as long as the context that `running` makes."""

    def __init__(
        self,
        service: Service,
        make_api: Callable[[], FastAPI],
        running: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self.state = SimpleNamespace(service=service)
        self.handler, self.health = service.handler, Health(service)
        self._make_api, self._running = make_api, running
        self._api: FastAPI | None = None
        self._making = asyncio.Lock()

    @property
    def api(self) -> FastAPI:
        """All routes, for whoever mounts them alone."""
        if self._api is None:
            self._api = self._make_api()
        return self._api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST":
            await self.handler(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] in PATHS and scope["method"] == "GET":
            await self.health(scope, receive, send)
        else:
            api = self._api or await self._loaded()
            await api(scope, receive, send)

    async def _loaded(self) -> FastAPI:
        """`api`, made in a thread by the first who asks; the others wait for it."""
        async with self._making:
            return await asyncio.to_thread(lambda: self.api)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The lifespan of ASGI's specification: told to start, and later to stop."""
        stage = "startup"
        await receive()
        try:
            async with self._running():
                await send({"type": "lifespan.startup.complete"})
                stage = "shutdown"
                await receive()
        except BaseException:
            await send({"type": f"lifespan.{stage}.failed", "message": traceback.format_exc()})
            raise
        await send({"type": "lifespan.shutdown.complete"})
