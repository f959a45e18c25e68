"""Answers and vectors in Valkey, shared by all tasks.

Valkey has no index of vectors, so likeness is exact over the newest VECTORS questions of a
partition, which are fetched together: 256 of 384 numbers are 200 KB and half a millisecond on a
local network. Whoever has larger partitions keeps them in PostgreSQL.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from llm_service.cache.likeness import likest
from llm_service.limits.link import Valkey

if TYPE_CHECKING:
    from llm_service.cache.likeness import Vector

VECTORS = 256
HEAD = struct.Struct(">d32s")
"""When a vector ends, epoch seconds, and the digest of its question; half floats follow."""


class ValkeyStore:
    """Answers by digest; Valkey forgets them when their time is over, or when it is full and told
    to (`maxmemory-policy`)."""

    name = "valkey"

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey

    async def get(self, digest: bytes) -> bytes | None:
        found: bytes | None = await self._valkey.do("GET", self._key(digest))
        return found

    async def put(self, digest: bytes, data: bytes, seconds: float) -> None:
        milliseconds = max(1, int(seconds * 1000))
        await self._valkey.do("SET", self._key(digest), data, "PX", milliseconds)

    def _key(self, digest: bytes) -> str:
        return f"{self._valkey.prefix}answer:{digest.hex()}"


class ValkeyLike:
    """Vectors in one list for each partition, the newest first."""

    def __init__(self, valkey: Valkey, clock: Callable[[], float] = time.time) -> None:
        self._valkey, self._clock = valkey, clock

    async def nearest(self, partition: bytes, vector: Vector) -> tuple[bytes, float] | None:
        import numpy as np

        now, kept = self._clock(), []
        for row in await self._valkey.do("LRANGE", self._key(partition), 0, VECTORS - 1):
            until, digest = HEAD.unpack_from(row)
            if until > now:
                known = np.frombuffer(row, np.float16, offset=HEAD.size).astype(np.float32)
                kept.append((digest, known))
        return likest(vector, kept)

    async def add(self, partition: bytes, digest: bytes, vector: Vector, seconds: float) -> None:
        import numpy as np

        row = HEAD.pack(self._clock() + seconds, digest) + vector.astype(np.float16).tobytes()
        key = self._key(partition)
        await self._valkey.many(
            [
                ["LPUSH", key, row],
                ["LTRIM", key, 0, VECTORS - 1],
                ["PEXPIRE", key, max(1, int(seconds * 1000))],
            ]
        )

    def _key(self, partition: bytes) -> str:
        return f"{self._valkey.prefix}alike:{partition.hex()}"
