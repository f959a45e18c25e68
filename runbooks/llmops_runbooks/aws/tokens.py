"""What a client of the deployed service needs: its address and a bearer token."""

from __future__ import annotations

import json

from llmops_runbooks.aws.clients import Clients
from llmops_runbooks.aws.ssm import read_coordinates
from llmops_runbooks.coordinates import Coordinates
from llmops_runbooks.errors import CloudError, UsageError
from llmops_runbooks.settings import Environment


def service_url(environment: Environment) -> str:
    """Where the production listener answers; UsageError if the service is not deployed."""
    return _coordinates(environment).service_url


def bearer_token(environment: Environment) -> str:
    """The current bearer token of the service. It is a secret: never print it."""
    clients = Clients(environment)
    secret = clients.call(
        "secretsmanager", "get_secret_value", SecretId=_coordinates(environment).token_secret_arn
    )
    try:
        return str(json.loads(secret["SecretString"])["current"])
    except (ValueError, LookupError, TypeError):
        raise CloudError("The token secret of the service has no `current` token.") from None


def _coordinates(environment: Environment) -> Coordinates:
    found = read_coordinates(Clients(environment), environment)
    if found is None:
        raise UsageError(
            f"The service is not deployed to environment {environment.name}.",
            hint=f"llmops deploy --env {environment.name}",
        )
    return found
