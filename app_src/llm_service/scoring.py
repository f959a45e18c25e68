"""Scores a share of live answers, off the path of the request.

Offering an answer only appends to a bounded queue; what does not fit is counted as dropped. A task
scores one answer at a time by `llm_service.quality`. With a judging model configured a smaller
share goes on to it, and then only what it scored is published as `Quality`, the retrieval score as
`Support`: a metric that was measured in two ways, in shares that differ between the releases (the
one with more traffic spends its budget first), would tell them apart for that alone.

Which answers are scored follows from the hash of the response id, so that both releases sample
alike. Nothing in here can fail a request.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llm_service import quality
from llm_service.judging import Judging
from llm_service.library import Library, Passage

logger = logging.getLogger("llm_service")

CAPACITY = 1_000
CLOSE = 2.0
"""Seconds that a stopping process spends on what is queued."""

Publish = Callable[[dict[str, float], dict[str, Any]], None]
"""Takes metrics by name and further fields."""


@dataclass(frozen=True, slots=True)
class Scorable:
    """An answer as it was given; `guarded` if the guardrail replaced what the provider said."""

    response_id: str
    question: str
    text: str
    source: Passage | None
    guarded: bool


class Scoring:
    """Scores a `share` of the answers offered by the corpus of now, from `start` to `close`."""

    def __init__(
        self,
        library: Callable[[], Library],
        decline: str,
        publish: Publish,
        *,
        share: float = 1.0,
        judging: Judging | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        self._library, self._decline, self._publish = library, decline, publish
        self._share, self._judging, self._capacity = share, judging, capacity
        self._queue: deque[Scorable] = deque()
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.scored = self.dropped = self.failed = 0

    def start(self) -> None:
        """Begins to score."""
        self._task = asyncio.create_task(self._run(), name="scoring")
        if self._judging:
            self._judging.start(self._library, self._publish)

    def offer(self, answer: Scorable) -> None:
        """Takes the answer if it is in the sample and there is room."""
        if not sampled(answer.response_id, self._share):
            return
        if len(self._queue) >= self._capacity:
            self.dropped += 1
            return
        self._queue.append(answer)
        self._more.set()

    async def close(self) -> None:
        """Scores what is queued for at most CLOSE seconds."""
        try:
            async with asyncio.timeout(CLOSE):
                while self._queue:
                    await asyncio.sleep(0.01)
                if self._judging:
                    await self._judging.idle()
        except TimeoutError:
            logger.warning("%d answers were not scored before the end", len(self._queue))
        if self._task:
            self._task.cancel()
        if self._judging:
            self._judging.stop()

    def state(self) -> dict[str, Any]:
        """How it stands, for a person."""
        counts = {"scored": self.scored, "dropped": self.dropped, "failed": self.failed}
        return {**counts, **({"judge": self._judging.state()} if self._judging else {})}

    async def _run(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._queue:
                self._score(self._queue.popleft())
                await asyncio.sleep(0)  # requests go first

    def _score(self, answer: Scorable) -> None:
        try:
            score = self._scored(answer)
            name = "Support" if self._judging else "Quality"
            fields = {"response_id": answer.response_id, "rightly": score.rightly}
            self._publish({name: score.quality}, fields)
            self.scored += 1
            if self._judging:
                self._offer(self._judging, answer)
        except Exception:
            self.failed += 1
            logger.exception("answer %s could not be scored", answer.response_id)

    def _scored(self, answer: Scorable) -> quality.Score:
        if answer.guarded:
            return quality.Score(0.0, 0)
        return quality.score(
            self._library(), answer.question, answer.text, answer.source, self._decline
        )

    def _offer(self, judging: Judging, answer: Scorable) -> None:
        if not sampled(answer.response_id, judging.share):
            return
        if answer.guarded:  # there is nothing to judge, and nothing to pay for
            self._publish({"Quality": 0.0}, {"response_id": answer.response_id})
        else:
            judging.offer(answer.response_id, answer.question, answer.text, answer.source)


def sampled(response_id: str, share: float) -> bool:
    """Whether the answer is in a sample of `share`; a smaller sample is within a larger one."""
    drawn = int.from_bytes(hashlib.sha256(response_id.encode()).digest()[:8])
    return drawn < share * 2**64
