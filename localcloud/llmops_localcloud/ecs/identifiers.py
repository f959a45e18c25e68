"""ARNs and ids in AWS's formats."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass

_DEFAULT_CLUSTER = "default"


@dataclass(frozen=True)
class Place:
    """The account and region an engine emulates."""

    account: str
    region: str

    def arn(self, resource: str) -> str:
        return f"arn:aws:ecs:{self.region}:{self.account}:{resource}"

    def task_definition(self, family: str, revision: int) -> str:
        return self.arn(f"task-definition/{family}:{revision}")

    def service(self, cluster: str, service: str) -> str:
        return self.arn(f"service/{cluster}/{service}")

    def deployment(self, cluster: str, service: str) -> str:
        """Ends in 21 url-safe characters."""
        return self.arn(f"service-deployment/{cluster}/{service}/{secrets.token_urlsafe(16)[:21]}")

    def revision(self, cluster: str, service: str) -> str:
        return self.arn(f"service-revision/{cluster}/{service}/{digits()}")

    def task(self, cluster: str) -> str:
        return self.arn(f"task/{cluster}/{uuid.uuid4().hex}")


def digits() -> str:
    """Nineteen digits, as in `ecs-svc/1234567890123456789`."""
    return str(10**18 + secrets.randbelow(9 * 10**18))


def pause_hook_id() -> str:
    """`ecs-pause-` and 43 url-safe characters (behaviour 9)."""
    return f"ecs-pause-{secrets.token_urlsafe(32)}"


def function_hook_id() -> str:
    """AWS documents `ecs-{hookType}-{id}`; `lambda` as its hook type is inferred."""
    return f"ecs-lambda-{secrets.token_urlsafe(32)}"


def last_part(name_or_arn: str) -> str:
    """The name at the end of an ARN, or the name itself."""
    return name_or_arn.rsplit("/", 1)[-1]


def cluster_name(name_or_arn: str | None) -> str:
    return last_part(name_or_arn or _DEFAULT_CLUSTER)
