"""OpenAI's API, and every one that is compatible with it.

`url` is the API's root, as the official clients take it: https://api.openai.com/v1,
http://host:8000/v1 (vLLM), http://host:11434/v1 (Ollama),
https://generativelanguage.googleapis.com/v1beta/openai (Gemini,
https://ai.google.dev/gemini-api/docs/openai).
"""

from __future__ import annotations

from collections.abc import Mapping

from llm_service.calls import Call
from llm_service.http import Endpoint, HttpClient
from llm_service.providers.openai_wire import OpenAiWire
from llm_service.providers.over_http import HttpProvider


class OpenAiProvider(HttpProvider):
    """`key` may be empty: servers in one's own network often want none. See `OpenAiWire`."""

    def __init__(
        self,
        name: str,
        client: HttpClient,
        url: str,
        key: str = "",
        *,
        max_tokens_field: str = "max_tokens",
        omit: frozenset[str] = frozenset(),
        stream_usage: bool = True,
    ) -> None:
        super().__init__(name, OpenAiWire(name, max_tokens_field, omit, stream_usage))
        headers = {"content-type": "application/json", "accept": "*/*"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        self._endpoint = client.endpoint(f"{url.rstrip('/')}/chat/completions", headers)

    async def _target(
        self, call: Call, body: bytes, stream: bool
    ) -> tuple[Endpoint, Mapping[str, str] | None]:
        return self._endpoint, None
