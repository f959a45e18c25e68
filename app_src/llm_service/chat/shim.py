"""The hot route in front of FastAPI: POST /v1/chat/completions is answered without it.

Starlette's middlewares, its router and FastAPI's validation cost more than everything the service
does for a chat; all other requests, which are few, still have them.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from llm_service.chat.handler import Handler
from llm_service.chat.state import PATH


class Shim:
    """The ASGI application of one process: `handler` for chats, `api` for the rest."""

    def __init__(self, api: FastAPI, handler: Handler) -> None:
        self.api, self.handler = api, handler

    @property
    def state(self) -> Any:
        """What FastAPI's routes share; `state.service` is the service."""
        return self.api.state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST":
            await self.handler(scope, receive, send)
        else:
            await self.api(scope, receive, send)
