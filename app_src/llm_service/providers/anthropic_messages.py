"""Anthropic's API. `url` is its root without a version: https://api.anthropic.com."""

from __future__ import annotations

from collections.abc import Mapping

from llm_service.calls import Call
from llm_service.http import Endpoint, HttpClient
from llm_service.providers.anthropic_wire import MAX_TOKENS, AnthropicWire
from llm_service.providers.over_http import HttpProvider

VERSION = "2023-06-01"
"""https://platform.claude.com/docs/en/api/versioning"""


class AnthropicProvider(HttpProvider):
    """`max_tokens` is the most tokens of an answer where a call does not say."""

    def __init__(
        self,
        name: str,
        client: HttpClient,
        url: str,
        key: str,
        *,
        max_tokens: int = MAX_TOKENS,
        omit: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(name, AnthropicWire(name, max_tokens, omit))
        headers = {
            "content-type": "application/json",
            "accept": "*/*",
            "anthropic-version": VERSION,
            "x-api-key": key,
        }
        self._endpoint = client.endpoint(f"{url.rstrip('/')}/v1/messages", headers)

    async def _target(
        self, call: Call, body: bytes, stream: bool
    ) -> tuple[Endpoint, Mapping[str, str] | None]:
        return self._endpoint, None
