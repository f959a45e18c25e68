"""One API request: its JSON body, checked against botocore's model before anything acts on it.

AWS ignores members it does not know; here they are refused, so that a caller's typing mistake or a
parameter newer than the model is not silently lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate

from llmops_localcloud.ecs.errors import InvalidParameterException


@lru_cache(maxsize=1)
def service_model() -> botocore.model.ServiceModel:
    """The ECS model that botocore ships."""
    loader = botocore.loaders.Loader(extra_search_paths=None, include_default_search_paths=True)
    return botocore.model.ServiceModel(loader.load_service_model("ecs", "service-2"), "ecs")


def parse(operation: str, body: str | bytes) -> dict[str, Any]:
    """The parameters of a call; raises InvalidParameterException for what the model refuses:
    unknown or missing members, and wrong types."""
    sent = json.loads(body or "{}")
    shape = service_model().operation_model(operation).input_shape
    report = botocore.validate.ParamValidator().validate(sent, shape)
    if report.has_errors():
        raise InvalidParameterException(report.generate_report().replace("\n", "; "))
    return dict(sent)


def render(answer: Mapping[str, Any]) -> str:
    """JSON, with timestamps as epoch seconds."""
    return json.dumps(answer, default=_epoch)


def instant(value: Any) -> datetime:
    """A timestamp as the JSON protocol sends it: epoch seconds."""
    return datetime.fromtimestamp(float(value), UTC)


def _epoch(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} cannot be part of an answer")
