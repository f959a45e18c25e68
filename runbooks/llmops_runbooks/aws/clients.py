"""boto3 clients of one environment, and the one place where botocore's errors become ours."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from llmops_runbooks.errors import CloudError, UsageError
from llmops_runbooks.settings import Environment

CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "max_attempts": 4},
    user_agent_extra="llmops",
    s3={"addressing_style": "path"},
)
LOCAL_CONFIG = CONFIG.merge(Config(retries={"mode": "standard", "max_attempts": 2}))


class Refused(CloudError):
    """AWS answered, and said no; `code` is its error code."""

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Clients:
    """Clients made when first needed; `date` is the cloud's time at its last answer."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._session = _session(environment)
        self._made: dict[str, Any] = {}
        self.date: datetime | None = None

    def client(self, service: str) -> Any:
        """The boto3 client of a service (`ecs`, `s3`, ...)."""
        if service not in self._made:
            url = self._environment.endpoint_url
            config = LOCAL_CONFIG if url else CONFIG
            self._made[service] = self._session.client(service, endpoint_url=url, config=config)
        return self._made[service]

    def call(self, service: str, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """One API call. Raises Refused, CloudError or UsageError, each with one sentence."""
        what = f"{service}:{operation}"
        try:
            answer: dict[str, Any] = getattr(self.client(service), operation)(**parameters)
        except ClientError as error:
            raise _refused(what, error) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise UsageError(
                f"There are no AWS credentials for environment {self._environment.name}.",
                hint="Sign in (aws sso login), or set `profile` in llmops.toml.",
            ) from error
        except (ConnectionError, HTTPClientError) as error:
            raise self._unreachable(what) from error
        except BotoCoreError as error:
            raise CloudError(f"{what} could not be called: {error}.") from error
        self._note_date(answer)
        return answer

    def _note_date(self, answer: dict[str, Any]) -> None:
        stamp = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if stamp:
            self.date = parsedate_to_datetime(stamp).astimezone(UTC)

    def _unreachable(self, what: str) -> CloudError:
        url = self._environment.endpoint_url
        where = url or f"its own addresses in {self._environment.region}"
        hint = (
            "Check endpoint_url in llmops.toml; if it is the local cloud: llmops up."
            if url
            else "Check the network, the region and the proxy settings."
        )
        return CloudError(f"AWS cannot be reached at {where} (for {what}).", hint=hint)


def _session(environment: Environment) -> Any:
    try:
        return boto3.Session(
            region_name=environment.region,
            profile_name=environment.profile,
            aws_access_key_id=environment.access_key_id,
            aws_secret_access_key=environment.secret_access_key,
        )
    except ProfileNotFound as error:
        raise UsageError(
            f"The AWS profile '{environment.profile}' of environment {environment.name} does not "
            "exist on this machine.",
            hint="aws configure list-profiles shows those that do.",
        ) from error


def _refused(what: str, error: ClientError) -> Refused:
    code = str(error.response.get("Error", {}).get("Code", "Unknown"))
    said = str(error.response.get("Error", {}).get("Message", "")).rstrip(".") or "no reason given"
    return Refused(f"AWS refused {what}: {said} ({code}).", code=code)
