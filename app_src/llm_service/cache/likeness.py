"""Questions that mean the same: vectors compared by cosine, within one partition.

Vectors hardly see a number or a `not`, and with another one a question has another answer. So only
questions with the same numbers and the same negations are compared.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]


MARKS = re.compile(
    r"\d+(?:[.,:/-]\d+)*|\b(?:not?|cannot|never|none|nobody|nothing|without|except|unless)\b|n['’]t\b",
    re.IGNORECASE,
)


class Embedder(Protocol):
    """Makes vectors of texts, off the event loop (`llm_service.retrieval.embedder`)."""

    @property
    def digest(self) -> str:
        """Names the model: only vectors of one model are compared."""
        ...

    async def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """One row for each text."""
        ...


class Like(Protocol):
    """Where vectors are kept. Both may raise Away."""

    async def nearest(self, partition: bytes, vector: Vector) -> tuple[bytes, float] | None:
        """Digest and cosine of the likest kept question of `partition`."""
        ...

    async def add(self, partition: bytes, digest: bytes, vector: Vector, seconds: float) -> None:
        """Keeps the vector of the question at `digest` for `seconds`."""
        ...


def marks(text: str) -> str:
    """The numbers and the negations of `text`, in their order."""
    return " ".join(found.group().lower() for found in MARKS.finditer(text))


def unit(vector: Any) -> Vector:
    """`vector` at length 1, so that a dot product is the cosine; a zero vector stays."""
    import numpy as np

    found = np.asarray(vector, dtype=np.float32).reshape(-1)
    length = float(np.linalg.norm(found))
    return found / np.float32(length) if length else found


class ProcessLike:
    """Vectors of this process: at most `capacity`, the oldest leave."""

    def __init__(self, capacity: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity, self._clock = capacity, clock
        self._partitions: dict[bytes, OrderedDict[bytes, tuple[float, Vector]]] = {}
        self._order: OrderedDict[bytes, bytes] = OrderedDict()
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._order)

    async def nearest(self, partition: bytes, vector: Vector) -> tuple[bytes, float] | None:
        kept = self._partitions.get(partition)
        if not kept:
            return None
        now = self._clock()
        for digest in [digest for digest, (until, _) in kept.items() if until <= now]:
            self._drop(digest)
        return likest(vector, [(digest, known) for digest, (_, known) in kept.items()])

    async def add(self, partition: bytes, digest: bytes, vector: Vector, seconds: float) -> None:
        self._drop(digest)
        until = self._clock() + seconds
        self._partitions.setdefault(partition, OrderedDict())[digest] = (until, vector)
        self._order[digest] = partition
        while len(self._order) > self._capacity:
            self.evicted += 1
            self._drop(next(iter(self._order)))

    def _drop(self, digest: bytes) -> None:
        partition = self._order.pop(digest, None)
        if partition is None:
            return
        kept = self._partitions[partition]
        del kept[digest]
        if not kept:
            del self._partitions[partition]


def likest(vector: Vector, kept: Sequence[tuple[bytes, Vector]]) -> tuple[bytes, float] | None:
    """Digest and cosine of what is likest to `vector` among `kept` of the same length."""
    import numpy as np

    same = [(digest, known) for digest, known in kept if known.shape == vector.shape]
    if not same:
        return None
    cosines = np.stack([known for _, known in same]) @ vector
    best = int(np.argmax(cosines))
    return same[best][0], float(cosines[best])
