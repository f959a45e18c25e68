"""Variables whose values are in AWS Secrets Manager, for a process that nobody injects them into.

    SECRET_VARIABLES   JSON object: variable -> ARN of its secret, or ARN#KEY of the secret's JSON

ECS puts a secret's value into a container's environment; Lambda does not, and what stands in a
function's configuration can be read by whoever may look at functions. The values are read once, are
in no environment of the process, and change with the next container. A value that is empty turns
nothing on, and a variable that is set goes before one that is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from llm_service.environ import SettingsError

VARIABLE = "SECRET_VARIABLES"

Read = Callable[[str], str]


def filled(environ: Mapping[str, str], read: Read | None = None) -> dict[str, str]:
    """`environ` with the variables that SECRET_VARIABLES names. Raises SettingsError.

    `read` gives the text of a secret; default: from AWS Secrets Manager.
    """
    places = _places(environ.get(VARIABLE, ""))
    wanted = {name: place.partition("#") for name, place in places.items()}
    if not places:
        return dict(environ)
    read = read or reader()
    texts = {arn: read(arn) for arn in dict.fromkeys(arn for arn, _, _ in wanted.values())}
    found = {name: _value(texts[arn], arn, key) for name, (arn, _, key) in wanted.items()}
    return {**found, **environ}


def reader() -> Read:
    """Reads current versions from AWS Secrets Manager, with one client; raises SettingsError."""
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=2, read_timeout=3, retries={"max_attempts": 2})
    client = botocore.session.get_session().create_client("secretsmanager", config=config)

    def read(arn: str) -> str:
        try:
            return str(client.get_secret_value(SecretId=arn).get("SecretString", ""))
        except ClientError as error:
            reason = error.response.get("Error", {}).get("Code", "ClientError")
        except BotoCoreError as error:
            reason = type(error).__name__
        raise SettingsError(f"The secret {arn} of {VARIABLE} cannot be read: {reason}.")

    return read


def _places(text: str) -> dict[str, str]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SettingsError(f'{VARIABLE} is not JSON: set it to {{"VARIABLE": "ARN#KEY"}}.')
    return {str(name): str(place) for name, place in found.items()}


def _value(text: str, arn: str, key: str) -> str:
    if not key:
        return text
    try:
        return str(json.loads(text)[key])
    except (ValueError, KeyError, TypeError):
        raise SettingsError(f'The secret {arn} is not JSON with "{key}": put it there.') from None
