"""Common questions asked once at the start, so that their answers are there.

    CACHE_WARM   file of JSON lines: {"question": "...", "feature": "..."} or a request's own body,
                 {"messages": [...], "feature": "..."}; without `feature` the default one answers

They are asked through the service itself, one after the other, in the background; so an answer is
kept only if its feature keeps it, and others meet it only if the feature's cache is shared
(`scope: feature`). A question that fails is counted and skipped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from llm_service.auth import Principal
from llm_service.environ import SettingsError
from llm_service.errors import ApiError

logger = logging.getLogger("llm_service")

PAUSE = 0.05
"""Seconds between two questions: requests go first."""
WARMER = Principal("cache-warming")

Ask = Callable[[bytes, Principal, Mapping[str, str]], Awaitable[tuple[int, bytes]]]


class Question(msgspec.Struct, frozen=True):
    """One request to make."""

    body: bytes
    headers: dict[str, str]


def load(path: str) -> list[Question]:
    """The questions in the file. Raises SettingsError."""
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise SettingsError(
            f"CACHE_WARM {path} cannot be read: {error.strerror or error}."
        ) from None
    return [_question(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _question(path: str, number: int, line: bytes) -> Question:
    try:
        row = msgspec.json.decode(line, type=dict[str, Any])
        feature = str(row.pop("feature", ""))
        if "question" in row:
            row["messages"] = [{"role": "user", "content": str(row.pop("question"))}]
        if not isinstance(row["messages"], list):
            raise TypeError
    except (msgspec.MsgspecError, KeyError, TypeError):
        raise SettingsError(
            f'CACHE_WARM {path}: line {number} is no {{"question": "..."}} and no '
            '{"messages": [...]}: correct or remove it.'
        ) from None
    body = {"model": "default", **row, "stream": False}
    headers = {"x-llmops-feature": feature} if feature else {}
    return Question(msgspec.json.encode(body), headers)


class Warming:
    """Asks `questions` of `ask`, from `start` to the last one or to `stop`."""

    def __init__(self, questions: list[Question], ask: Ask, pause: float = PAUSE) -> None:
        self._questions, self._ask, self._pause = questions, ask, pause
        self._task: asyncio.Task[None] | None = None
        self.asked = self.failed = 0

    def start(self) -> None:
        """Begins to ask."""
        self._task = asyncio.create_task(self.run(), name="cache-warming")

    async def stop(self) -> None:
        """Ends."""
        if self._task:
            self._task.cancel()

    def state(self) -> dict[str, int]:
        """How far it is."""
        return {"questions": len(self._questions), "asked": self.asked, "failed": self.failed}

    async def run(self) -> None:
        """Asks them all."""
        for question in self._questions:
            try:
                status, _ = await self._ask(question.body, WARMER, question.headers)
            except Exception as error:  # noqa: BLE001 - warming must not matter to anybody
                why = error if isinstance(error, ApiError) else type(error).__name__
                logger.warning("a question of CACHE_WARM failed: %s", why)
                status = 500
            self.asked += 1
            self.failed += status != 200
            await asyncio.sleep(self._pause)
        if self._questions:
            logger.info("asked %d questions of CACHE_WARM, %d failed", self.asked, self.failed)
