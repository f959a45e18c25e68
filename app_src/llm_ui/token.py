"""The page's bearer token, which may change while the page is open.

    SERVICE_TOKEN         the token that the page begins with                        none
    SERVICE_TOKEN_SECRET  ARN of a secret, a JSON object whose `current` is the token  none

ECS gives a container its secrets when it starts. A rotation makes the token there the previous one,
and the next rotation ends it. So where the service refuses the token, the secret is read again;
that takes botocore and the right to secretsmanager:GetSecretValue.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping

logger = logging.getLogger("llm_ui")

EARLIEST = 5.0
"""Seconds between two readings, however many visitors are refused."""

Read = Callable[[], str]
"""Gives the token there is now. Raises TokenUnavailable."""


class TokenUnavailable(Exception):
    """The token cannot be read; one sentence says why."""


class Token:
    """The token in force; `read` None: it never changes."""

    def __init__(
        self, first: str, read: Read | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.value, self._read, self._clock = first, read, clock
        self._reading = threading.Lock()
        self._read_at = float("-inf")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Token:
        """The token that the variables above describe."""
        secret = environ.get("SERVICE_TOKEN_SECRET", "")
        return cls(environ.get("SERVICE_TOKEN", ""), reader(secret) if secret else None)

    def renewed(self, refused: str) -> bool:
        """Whether there is another token than the one that was refused; the secret is read again,
        unless that was just done."""
        if self._read is None:
            return False
        with self._reading:
            if self.value == refused and self._clock() - self._read_at >= EARLIEST:
                self._read_at = self._clock()
                try:
                    self.value = self._read()
                except TokenUnavailable as error:
                    logger.error("%s The token read before stays.", error)
            return self.value != refused


def reader(secret: str) -> Read:
    """Reads `secret` from AWS Secrets Manager, with the credentials of whoever runs the page."""

    def read() -> str:
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        config = Config(connect_timeout=2, read_timeout=3, retries={"max_attempts": 2})
        try:
            session = botocore.session.get_session()
            client = session.create_client("secretsmanager", config=config)
            found = client.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")
            return str(json.loads(found.get("SecretString", ""))["current"])
        except ClientError as error:
            reason = error.response.get("Error", {}).get("Code", "ClientError")
        except BotoCoreError as error:
            reason = type(error).__name__
        except (ValueError, KeyError, TypeError):
            raise TokenUnavailable(
                f'The secret {secret} is not JSON with "current": put the token there.'
            ) from None
        raise TokenUnavailable(f"The secret {secret} cannot be read: {reason}.")

    return read
