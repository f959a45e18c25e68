"""Bedrock's requests are signed as AWS wants, with credentials that never hold up the loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError
from provider_server import ProviderServer, Seen

from llm_service.calls import Call, ProviderError
from llm_service.http import HttpClient
from llm_service.providers.bedrock_converse import BedrockProvider

REGION = "eu-central-1"
SECRET = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


def expected_signature(server: ProviderServer, seen: Seen) -> tuple[str, str]:
    """The signature that a request came with, and the one that what came must have."""
    _, _, said = seen.headers["authorization"].partition(" ")
    parts = dict(part.strip().split("=", 1) for part in said.split(","))
    names = parts["SignedHeaders"].split(";")
    headers = {name: seen.headers[name] for name in names}
    request = AWSRequest("POST", server.url + seen.path, headers=headers, data=seen.body)
    request.context["timestamp"] = seen.headers["x-amz-date"]
    request.context["payload_signing_enabled"] = True
    auth = SigV4Auth(SECRET, "bedrock", REGION)
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    assert parts["Credential"].endswith(f"/{REGION}/bedrock/aws4_request")
    return parts["Signature"], auth.signature(to_sign, request)


@pytest.mark.parametrize(
    "model",
    [
        "some.model-v1:0",
        "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.some.model-v1:0",
    ],
)
async def test_a_request_is_signed_as_botos(
    server: ProviderServer, client: HttpClient, call: Call, model: str
) -> None:
    boto = boto3.client(
        "bedrock-runtime",
        region_name=REGION,
        endpoint_url=server.url,
        aws_access_key_id=SECRET.access_key,
        aws_secret_access_key=SECRET.secret_key,
    )
    messages = [{"role": "user", "content": [{"text": "Hello"}]}]
    await asyncio.to_thread(boto.converse, modelId=model, messages=messages)
    ours = BedrockProvider("b", client, REGION, server.url, credentials=lambda: SECRET)
    await ours.complete(_asking(call, model), 5.0)
    theirs_seen, ours_seen = server.requests
    assert theirs_seen.path == ours_seen.path
    for seen in server.requests:
        came, right = expected_signature(server, seen)
        assert came == right


def _asking(call: Call, model: str) -> Call:
    return Call(model=model, messages=call.messages)


class Renewing:
    """Credentials that are due each time, and note in which thread they were renewed."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def refresh_needed(self) -> bool:
        return True

    def get_frozen_credentials(self) -> Any:
        self.threads.append(threading.current_thread())
        return SECRET.get_frozen_credentials()


async def test_credentials_are_renewed_in_a_thread(
    server: ProviderServer, client: HttpClient, call: Call
) -> None:
    renewing = Renewing()
    provider = BedrockProvider("b", client, REGION, server.url, credentials=lambda: renewing)
    await provider.complete(call, 5.0)
    await provider.complete(call, 5.0)
    assert len(renewing.threads) == 2
    assert threading.main_thread() not in renewing.threads


async def test_credentials_are_looked_up_once_and_off_the_loop(
    server: ProviderServer, client: HttpClient, call: Call
) -> None:
    looked, go = [], threading.Event()

    def find() -> Credentials:
        looked.append(threading.current_thread())
        assert go.wait(5)
        return SECRET

    provider = BedrockProvider("b", client, REGION, server.url, credentials=find)
    asked = [asyncio.ensure_future(provider.complete(call, 5.0)) for _ in range(5)]
    async with asyncio.timeout(5):
        while not looked:
            await asyncio.sleep(0.001)
    assert not server.requests
    go.set()
    await asyncio.gather(*asked)
    assert len(looked) == 1
    assert looked[0] is not threading.main_thread()


@pytest.mark.parametrize("streaming", [False, True])
async def test_without_credentials_the_service_is_not_authorized(
    client: HttpClient, call: Call, streaming: bool
) -> None:
    def none() -> None:
        return None

    def broken() -> None:
        raise NoCredentialsError

    for find in (none, broken):
        provider = BedrockProvider("b", client, REGION, credentials=find)
        with pytest.raises(ProviderError) as raised:
            if streaming:
                await anext(provider.stream(call, 1.0))
            await provider.complete(call, 1.0)
        assert raised.value.kind == "unauthorized"


async def test_the_default_chain_reads_the_environment(
    server: ProviderServer, client: HttpClient, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SECRET.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET.secret_key)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    provider = BedrockProvider("b", client, REGION, server.url)
    await provider.complete(call, 5.0)
    assert expected_signature(server, server.last)[0] == expected_signature(server, server.last)[1]
