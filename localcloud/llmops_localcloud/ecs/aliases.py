"""What AWS checks of a Lambda alias and moto does not (behaviour 33).

At most two versions, both published, with the same execution role and dead-letter queue; weights
from 0 to 1; RevisionId as an optimistic lock that changes with every update.
Source: Lambda developer guide, "configuring alias routing", and botocore's model.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from moto.awslambda.exceptions import InvalidParameterValueException, PreconditionFailedException
from moto.awslambda.responses import LambdaResponse

Answer = tuple[int, dict[str, Any], str]


def install() -> None:
    """Puts the checks into moto's own response class, and so into what is derived from it."""
    create, update = LambdaResponse.create_alias, LambdaResponse.update_alias

    def create_alias(self: LambdaResponse) -> Any:
        sent = json.loads(self.body)
        name = unquote(self.path.rsplit("/", 2)[-2])
        check_routing(self.backend, name, sent["FunctionVersion"], sent.get("RoutingConfig"))
        return create(self)

    def update_alias(self: LambdaResponse) -> Any:
        sent = json.loads(self.body)
        name = unquote(self.path.rsplit("/")[-3])
        alias = self.backend.get_alias(unquote(self.path.rsplit("/", 2)[-1]), name)
        _check_revision(alias.revision_id, sent.get("RevisionId"))
        version = sent.get("FunctionVersion", alias.function_version)
        check_routing(self.backend, name, version, sent.get("RoutingConfig", alias.routing_config))
        alias.revision_id = str(uuid.uuid4())
        return update(self)

    if getattr(create, "checks_routing", False):
        return
    create_alias.checks_routing = True  # type: ignore[attr-defined]
    LambdaResponse.create_alias = create_alias  # type: ignore[method-assign]
    LambdaResponse.update_alias = update_alias  # type: ignore[method-assign]


def check_routing(
    backend: Any, function: str, version: str, routing: Mapping[str, Any] | None
) -> None:
    """Raises InvalidParameterValueException for a routing that Lambda does not take."""
    weights: Mapping[str, float] = (routing or {}).get("AdditionalVersionWeights") or {}
    if not weights:
        return
    if len(weights) > 1:
        raise InvalidParameterValueException("Number of items in AdditionalVersionWeights is > 1")
    ((other, weight),) = weights.items()
    if not 0 <= weight <= 1:
        raise InvalidParameterValueException(
            f"Invalid weight {weight} for version {other}: it must be from 0.0 to 1.0"
        )
    if "$LATEST" in {version, other}:
        raise InvalidParameterValueException(
            "$LATEST is not supported for an alias pointing to more than 1 version"
        )
    if version == other:
        raise InvalidParameterValueException(
            f"Invalid function version {other}. Function version {other} is already included "
            "in routing configuration."
        )
    _check_alike(backend.get_function(function, version), backend.get_function(function, other))


def _check_alike(first: Any, second: Any) -> None:
    ours, theirs = first.get_configuration(), second.get_configuration()
    for setting in ("Role", "DeadLetterConfig"):
        if ours.get(setting) != theirs.get(setting):
            raise InvalidParameterValueException(
                f"The versions of an alias must have the same {setting}"
            )


def _check_revision(current: str, expected: str | None) -> None:
    if expected is not None and expected != current:
        raise PreconditionFailedException(
            "The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the latest Revision Id"
        )
