"""The four steps in which Secrets Manager has a secret rotated, each safe to take again.

Secrets Manager calls the function once per step, `createSecret`, `setSecret`, `testSecret` and
`finishSecret`, and begins again with the first when one fails ("Rotation by Lambda function" in its
user guide). The new value is the version AWSPENDING until the last step moves AWSCURRENT to it:
whatever fails before leaves the value that clients read as it was, and the failure is the
function's error, which its alarm watches.

Where a rotation is set up without rotating at once, Secrets Manager takes `testSecret` alone, with
a copy of the current value as the pending version; `Keeper.check` must accept that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

logger = logging.getLogger(__name__)

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"


class RotationError(Exception):
    """Why a rotation stopped, in one sentence without any part of a secret."""


class Keeper(Protocol):
    """What differs from one kind of secret to the next. Each raises RotationError, and each may be
    called again with the same arguments after it failed halfway."""

    def create(self, current: str, token: str) -> str:
        """The value that comes after `current`; `token` is the id of its version."""
        ...

    def set(self, pending: str, current: str) -> None:
        """Makes `pending` valid while `current` stays valid."""
        ...

    def check(self, pending: str, current: str) -> None:
        """Raises unless `pending` works."""
        ...

    def finish(self, token: str) -> None:
        """What is to do once the version `token` is the current one."""
        ...


@dataclass(frozen=True)
class Secret:
    """One secret and the version of it that this rotation makes. `proof`: which rotation asks, for
    a function of another account."""

    client: Any
    id: str
    token: str
    proof: str = ""

    def stages(self) -> frozenset[str]:
        """The labels of the rotation's version. Raises RotationError where there is none to make,
        and where nobody scheduled a rotation."""
        found = self.client.describe_secret(SecretId=self.id)
        if not found.get("RotationEnabled"):
            raise RotationError(f"{self.id} has no rotation: set up its schedule first.")
        versions = found.get("VersionIdsToStages", {})
        if not {CURRENT, PENDING} & set(versions.get(self.token, ())):
            raise RotationError(
                f"{self.id} has no version {self.token} that waits to become the current one: "
                "start a rotation with RotateSecret."
            )
        return frozenset(versions[self.token])

    def current(self) -> str:
        """The value that clients read."""
        found = self.client.get_secret_value(SecretId=self.id, VersionStage=CURRENT)
        return str(found["SecretString"])

    def pending(self) -> str | None:
        """The new value, None while there is none."""
        try:
            found = self.client.get_secret_value(
                SecretId=self.id, VersionId=self.token, VersionStage=PENDING
            )
        except self.client.exceptions.ResourceNotFoundException:
            return None
        value: str | None = found.get("SecretString")
        return value

    def stage(self, value: str) -> None:
        """Stores the new value."""
        proof = {"RotationToken": self.proof} if self.proof else {}
        self.client.put_secret_value(
            SecretId=self.id,
            ClientRequestToken=self.token,
            SecretString=value,
            VersionStages=[PENDING],
            **proof,
        )

    def promote(self) -> None:
        """Makes the rotation's version the one that clients read."""
        versions = self.client.describe_secret(SecretId=self.id)["VersionIdsToStages"]
        before = [version for version, stages in versions.items() if CURRENT in stages]
        if before == [self.token]:
            return
        source = {"RemoveFromVersionId": before[0]} if before else {}
        self.client.update_secret_version_stage(
            SecretId=self.id, VersionStage=CURRENT, MoveToVersionId=self.token, **source
        )


def take(event: Mapping[str, Any], client: Any, keeper: Keeper) -> None:
    """Takes the step that `event` asks for. Raises RotationError."""
    secret = Secret(
        client,
        str(event["SecretId"]),
        str(event["ClientRequestToken"]),
        str(event.get("RotationToken") or ""),
    )
    step = STEPS.get(str(event["Step"]))
    if step is None:
        raise RotationError(f"There is no step {event['Step']!r}: the four are {', '.join(STEPS)}.")
    stages = secret.stages()
    if CURRENT in stages and step is not _finish:
        logger.info("%s: version %s is the current one already", secret.id, secret.token)
        return
    step(secret, keeper)
    logger.info("%s: %s of version %s is done", secret.id, event["Step"], secret.token)


def _create(secret: Secret, keeper: Keeper) -> None:
    if secret.pending() is None:
        secret.stage(keeper.create(secret.current(), secret.token))


def _set(secret: Secret, keeper: Keeper) -> None:
    keeper.set(_made(secret), secret.current())


def _test(secret: Secret, keeper: Keeper) -> None:
    keeper.check(_made(secret), secret.current())


def _finish(secret: Secret, keeper: Keeper) -> None:
    secret.promote()
    keeper.finish(secret.token)


def _made(secret: Secret) -> str:
    value = secret.pending()
    if value is None:
        raise RotationError(f"{secret.id} has no new value yet: createSecret comes first.")
    return value


STEPS: Mapping[str, Callable[[Secret, Keeper], None]] = {
    "createSecret": _create,
    "setSecret": _set,
    "testSecret": _test,
    "finishSecret": _finish,
}
