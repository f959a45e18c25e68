"""Connections to targets, kept for reuse."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.connector import Connection

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.tracing import Trace

POOL_SECONDS = 3.0
"""Idle connections are dropped after this: earlier than servers drop theirs (uvicorn: 5 s), so that
a request never meets a connection that is just being closed."""


class FreshConnector(aiohttp.TCPConnector):
    """Asks the kernel whether an idle connection is still open before it is used again.

    aiohttp learns of a closed connection only when its event loop comes round to it; a request that
    arrives in the same round (a target was just killed) would be sent into the void. An idle
    connection that is readable has been closed, or holds bytes nobody asked for.
    """

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if not _readable(connection):
                return connection
            connection.close()
        return None


def _readable(connection: Connection) -> bool:
    transport = connection.transport
    if transport is None:
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


def new_session() -> aiohttp.ClientSession:
    """Connections without limit, so that a hung target holds up nobody else's requests."""
    session = aiohttp.ClientSession(
        connector=FreshConnector(limit=0, keepalive_timeout=POOL_SECONDS, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        max_line_size=65536,
        max_field_size=65536,
        trust_env=False,
    )
    # aiohttp repeats idempotent requests when a pooled connection breaks; a load balancer does not.
    session._retry_connection = False
    return session
