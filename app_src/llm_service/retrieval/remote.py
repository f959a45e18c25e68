"""Vectors from an OpenAI-compatible API: `POST /embeddings`.

The wire format is OpenAI's API reference, "Create embeddings": {"model", "input"} to
{"data": [{"index", "embedding"}]}.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from llm_service.http import HttpClient, HttpError
from llm_service.retrieval.embedder import REMEMBERED, Array, EmbedderError

SECONDS = 10.0
"""For one call; a search that waits longer than this is answered by BM25."""
BATCH = 64
"""Texts in one call."""


class RemoteEmbedder:
    """`model` at `url` (the API's root, as in https://api.openai.com/v1), over `client`."""

    def __init__(self, client: HttpClient, url: str, model: str, key: str = "") -> None:
        head = {"content-type": "application/json"}
        if key:
            head["authorization"] = f"Bearer {key}"
        self._endpoint = client.endpoint(f"{url.rstrip('/')}/embeddings", head)
        self._model = model
        self.digest = hashlib.sha256(f"{url}\0{model}".encode()).hexdigest()
        self._known: OrderedDict[str, Array] = OrderedDict()

    async def embed(self, texts: Sequence[str]) -> Array:
        """See `Embedder`. What is asked for alone is a question, and remembered."""
        if len(texts) == 1 and texts[0] in self._known:
            self._known.move_to_end(texts[0])
            return self._known[texts[0]]
        parts = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        rows = np.concatenate([await self._embedded(part) for part in parts])
        if len(texts) == 1:
            self._known[texts[0]] = rows
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return rows

    async def close(self) -> None:
        """Nothing to close: the client belongs to whoever made it."""

    async def _embedded(self, texts: Sequence[str]) -> Array:
        body = json.dumps({"model": self._model, "input": list(texts)}).encode()
        try:
            reply = await self._endpoint.post(body, SECONDS)
        except HttpError as error:
            raise EmbedderError("The embedding API does not answer.") from error
        if reply.status != 200:
            raise EmbedderError(f"The embedding API answered {reply.status}.")
        return _vectors(reply.body, len(texts))


def _vectors(body: bytes, count: int) -> Array:
    """The rows in `body`, in the order of the texts, of length 1. Raises EmbedderError."""
    try:
        data: list[dict[str, Any]] = json.loads(body)["data"]
        ordered = sorted(data, key=lambda item: int(item["index"]))
        rows = np.array([item["embedding"] for item in ordered], np.float32)
    except (ValueError, TypeError, KeyError) as error:
        raise EmbedderError("The embedding API answered with something else.") from error
    if rows.ndim != 2 or len(rows) != count:
        raise EmbedderError("The embedding API answered with another number of vectors.")
    found: Array = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return found
