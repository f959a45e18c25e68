"""Valkey as the service uses it: one small pool of connections that may be away.

    VALKEY_URL   valkey://HOST:6379/0, or valkeys:// with TLS; a user and a password may be in it

Answers nobody waits for take SECONDS at most; what goes wrong is Away, and a line in the log once
per outage. A URL may hold a password, so it is never quoted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from llm_service.database import Away

logger = logging.getLogger("llm_service")

SECONDS = 1.0
"""For a connection or a command."""


class Valkey:
    """The server at `url`; keys begin with `prefix`, one for each service and environment. In a
    cluster it needs a hash tag, `{...}:`, or scripts and transactions are refused."""

    def __init__(self, url: str, prefix: str = "{llmops}:") -> None:
        self._url, self.prefix = url, prefix
        self._client: Any = None
        self._scripts: dict[str, Any] = {}
        self.away = False

    async def do(self, name: str, *arguments: Any) -> Any:
        """The answer to one command. Raises Away."""
        return await self._tried(lambda client: client.execute_command(name, *arguments))

    async def many(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The answers to commands that are sent together, none between them. Raises Away."""

        async def send(client: Any) -> Any:
            async with client.pipeline(transaction=True) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return await pipeline.execute()

        found: list[Any] = await self._tried(send)
        return found

    async def script(self, lua: str, keys: Sequence[str], *arguments: Any) -> Any:
        """What a script says; it is sent once and then known by its hash. Raises Away."""

        async def run(client: Any) -> Any:
            script = self._scripts.get(lua)
            if script is None:
                script = self._scripts[lua] = client.register_script(lua)
            return await script(keys=list(keys), args=list(arguments), client=client)

        return await self._tried(run)

    async def close(self) -> None:
        """Disconnects."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _tried(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        import valkey.exceptions

        try:
            async with asyncio.timeout(SECONDS):
                found = await work(self._connected())
        except (OSError, TimeoutError, valkey.exceptions.ValkeyError) as error:
            if not self.away:
                logger.warning("Valkey is not reachable: %s", type(error).__name__)
            self.away = True
            raise Away from None
        self.away = False
        return found

    def _connected(self) -> Any:
        """The client; it connects by itself with the first command."""
        if self._client is None:
            from valkey.asyncio import Valkey as Client

            self._client = Client.from_url(
                self._url,
                max_connections=16,
                socket_timeout=SECONDS,
                socket_connect_timeout=SECONDS,
            )
        return self._client
