"""Calls to the cloud itself, for types whose API says more than moto's model of the type."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

from llmops_localcloud.resources.base import Place, Properties

_endpoint = ""
_clients: dict[tuple[str, str, str], Any] = {}
_lock = threading.Lock()


def use_endpoint(endpoint: str) -> None:
    """Say where the cloud answers; once, before the first stack."""
    global _endpoint  # noqa: PLW0603  one daemon is one cloud
    _endpoint = endpoint
    _clients.clear()


def client(service: str, place: Place) -> Any:
    """A boto3 client of the cloud itself, in the region of a resource."""
    key = (_endpoint, service, place.region)
    with _lock:
        if key not in _clients:
            _clients[key] = boto3.client(
                service,
                endpoint_url=_endpoint,
                region_name=place.region,
                aws_access_key_id="local",
                aws_secret_access_key="local",  # noqa: S106
                config=Config(
                    retries={"total_max_attempts": 1},
                    s3={"addressing_style": "path"},
                    proxies={},
                ),
            )
        return _clients[key]


def fitting(caller: Any, operation: str, properties: Properties) -> dict[str, Any]:
    """The properties that an operation has parameters for, as numbers, truths and texts where the
    API wants those: CloudFormation takes "20" for 20."""
    members = caller.meta.service_model.operation_model(operation).input_shape.members
    return {
        key: _CASTS.get(members[key].type_name, _as_it_is)(value)
        for key, value in properties.items()
        if key in members
    }


def _truth(value: Any) -> bool:
    return str(value).lower() == "true"


def _as_it_is(value: Any) -> Any:
    return value


_CASTS: dict[str, Callable[[Any], Any]] = {
    "integer": int,
    "long": int,
    "boolean": _truth,
    "string": str,
}
