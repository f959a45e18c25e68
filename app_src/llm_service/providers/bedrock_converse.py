"""Amazon Bedrock, signed with Signature Version 4 by botocore.

Importing this costs what botocore costs, about a third of a second: only a service that has a
provider of this kind does. Credentials come from botocore's default chain (environment, profile,
ECS task role, instance profile); looking them up and renewing them asks files and other services,
so both happen in a thread and never on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.eventstream import EventStreamBuffer, ParserError
from botocore.exceptions import BotoCoreError

from llm_service.calls import Call
from llm_service.http import Endpoint, HttpClient
from llm_service.providers.bedrock_wire import BedrockWire
from llm_service.providers.failures import failure
from llm_service.providers.over_http import HttpProvider

SIGNED_AS = "bedrock"
"""The service's name in a signature; the endpoint's is bedrock-runtime."""


class BedrockProvider(HttpProvider):
    """Bedrock in `region`. `url` stands for the region's own endpoint where it is given.

    `credentials` finds AWS credentials as botocore does: an object with `get_frozen_credentials`,
    or None.
    """

    def __init__(
        self,
        name: str,
        client: HttpClient,
        region: str,
        url: str = "",
        *,
        omit: frozenset[str] = frozenset(),
        credentials: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(name, BedrockWire(name, EventStreamBuffer, ParserError, omit))
        self._client, self._region = client, region
        self._url = (url or endpoint_url(region)).rstrip("/")
        self._find = credentials or _default_chain
        self._found: Any = None
        self._finding = asyncio.Lock()
        self._endpoints: dict[str, Endpoint] = {}

    async def _target(
        self, call: Call, body: bytes, stream: bool
    ) -> tuple[Endpoint, Mapping[str, str]]:
        operation = "converse-stream" if stream else "converse"
        url = f"{self._url}/model/{quote(call.model, safe='')}/{operation}"
        endpoint = self._endpoints.get(url)
        if endpoint is None:
            headers = {"content-type": "application/json", "accept": "*/*"}
            endpoint = self._endpoints[url] = self._client.endpoint(url, headers)
        return endpoint, signed(await self._credentials(), self._region, url, body)

    async def _credentials(self) -> Any:
        """Credentials that hold for now. Raises ProviderError."""
        try:
            if self._found is None:
                async with self._finding:
                    if self._found is None:
                        self._found = await asyncio.to_thread(self._find)
            if self._found is None:
                raise failure("unauthorized", self._name)
            if _due(self._found):
                return await asyncio.to_thread(self._found.get_frozen_credentials)
            return self._found.get_frozen_credentials()
        except BotoCoreError:
            raise failure("unauthorized", self._name) from None


def endpoint_url(region: str) -> str:
    """https://docs.aws.amazon.com/general/latest/gr/bedrock.html#br-rt"""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://bedrock-runtime.{region}.{suffix}"


def signed(credentials: Any, region: str, url: str, body: bytes) -> dict[str, str]:
    """The headers that sign a POST of `body` to `url`."""
    request = AWSRequest("POST", url, headers={"content-type": "application/json"}, data=body)
    SigV4Auth(credentials, SIGNED_AS, region).add_auth(request)
    names = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")
    return {name.lower(): request.headers[name] for name in names if name in request.headers}


def _default_chain() -> Any:
    return botocore.session.get_session().get_credentials()


def _due(credentials: Any) -> bool:
    """Whether asking for `credentials` would renew them first; those of a key never are."""
    needed = getattr(credentials, "refresh_needed", None)
    return bool(needed is not None and needed())
