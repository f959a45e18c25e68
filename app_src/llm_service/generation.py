"""A language model behind an OpenAI-compatible API, asked to word what retrieval found.

The embedded provider finds the passages and drafts the answer from their sentences; the model is
sent the prompt's instructions, the passages and the question, with the draft as `prediction`
(OpenAI's field for an answer that is mostly known). What it says is the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llm_service.embedded import EmbeddedProvider
from llm_service.errors import ApiError
from llm_service.provider import Answer, Turn, last_user_message

RETRIES = 2
RETRIED = frozenset({408, 409, 429})
FIRST_PAUSE = 0.1
"""Seconds before the first repetition, twice as many before the second."""
TIMEOUT = 30.0
"""Seconds for one call."""


@dataclass(frozen=True, slots=True)
class Model:
    """Which model to ask, and where: `url` is the API's root, as in `http://host/v1`."""

    url: str
    name: str


class GeneratingProvider:
    """Answers in the words of `model`; repeats a failed call twice, as OpenAI's own clients do."""

    def __init__(self, finder: EmbeddedProvider, model: Model) -> None:
        self._finder, self._model = finder, model
        self._session: Any = None

    @property
    def model(self) -> str:
        return self._model.name

    async def answer(self, turns: Sequence[Turn], max_tokens: int | None = None) -> Answer:
        """See `Provider`. Raises ApiError 503 where the model cannot be had."""
        draft = self._finder.reply(turns, max_tokens)
        said = await self._completion(self._body(turns, draft))
        choice, usage = said["choices"][0], said["usage"]
        return replace(
            draft,
            text=choice["message"]["content"] or "",
            finish_reason=choice["finish_reason"],
            prompt_tokens=usage["prompt_tokens"],
            completion_tokens=usage["completion_tokens"],
            fingerprint=said.get("system_fingerprint") or "",
        )

    async def close(self) -> None:
        """Closes the connections; the provider can be asked again all the same."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _body(self, turns: Sequence[Turn], draft: Answer) -> dict[str, Any]:
        passages = "\n\n".join(hit.passage.document.text for hit in draft.sources)
        return {
            "model": self._model.name,
            "messages": [
                {"role": "system", "content": f"{self._finder.prompt.system}\n\n{passages}"},
                {"role": "user", "content": last_user_message(turns)},
            ],
            "prediction": {"type": "content", "content": draft.text},
        }

    async def _completion(self, body: Mapping[str, Any]) -> dict[str, Any]:
        for attempt in range(RETRIES + 1):
            if attempt:
                await asyncio.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
            said = await self._call(body)
            if said is not None:
                return said
        raise ApiError(503, "The model provider does not answer: try again shortly.")

    async def _call(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """One call; None if it may be repeated."""
        import aiohttp

        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT)
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        try:
            async with self._session.post(
                f"{self._model.url}/chat/completions", json=body
            ) as answer:
                if answer.status in RETRIED or answer.status >= 500:
                    return None
                answer.raise_for_status()
                return dict(await answer.json())
        except (aiohttp.ClientConnectionError, TimeoutError):
            return None
