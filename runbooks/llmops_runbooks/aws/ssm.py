"""The coordinates of a deployed service, from Systems Manager."""

from __future__ import annotations

from pydantic import ValidationError

from llmops_runbooks.aws.clients import Clients, Refused
from llmops_runbooks.coordinates import Coordinates, parameter_name
from llmops_runbooks.errors import UsageError
from llmops_runbooks.settings import Environment


def read_coordinates(clients: Clients, environment: Environment) -> Coordinates | None:
    """Where the service is, or None if it is not deployed; raises UsageError if unreadable."""
    name = parameter_name(environment.service_name, environment.name)
    try:
        answer = clients.call("ssm", "get_parameter", Name=name)
    except Refused as error:
        if error.code == "ParameterNotFound":
            return None
        raise
    try:
        return Coordinates.model_validate_json(answer["Parameter"]["Value"])
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise UsageError(
            f"The coordinates in {name} are not those of this llmops ('{field}' does not fit).",
            hint=f"llmops deploy --env {environment.name}",
        ) from error
