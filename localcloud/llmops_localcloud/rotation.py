"""RotateSecret over real functions: the four steps, in the order AWS takes them, in the background.

moto calls the function as well, but labels the new version the current one by itself, whatever the
function did, and answers after all steps. Here the function alone moves AWSCURRENT, as on AWS; a
rotation whose step fails begins again, ATTEMPTS times in all, and then leaves AWSPENDING where it
is: the next RotateSecret takes up that version and says so with AWS's error. The schedule is kept
and answered, and nothing rotates by it.

Source: "Rotation by Lambda function" and RotateSecret in the API reference of Secrets Manager.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from moto.awslambda.utils import get_backend
from moto.secretsmanager import models
from moto.secretsmanager.exceptions import (
    InvalidRequestException,
    ResourceNotFoundException,
    SecretNotFoundException,
)

from llmops_localcloud.functions import FunctionError
from llmops_localcloud.ports import Clock, Functions

logger = logging.getLogger(__name__)

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
TRIAL = ("testSecret",)
"""What AWS calls when a rotation is set up without one at once, on a copy of the current value."""
ATTEMPTS = 3
CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"


class Rotations:
    """Rotates the secrets that moto holds. Safe from any thread."""

    def __init__(self, functions: Functions, clock: Clock) -> None:
        self._functions, self._clock = functions, clock
        self._lock = threading.Lock()
        self._busy: set[str] = set()

    def rotate(
        self,
        secret: Any,
        token: str | None,
        function_arn: str | None,
        rules: dict[str, Any] | None,
        at_once: bool,
    ) -> str:
        """Starts one; the short description of the secret with the new version's id."""
        arn = function_arn or secret.rotation_lambda_arn
        if not arn:
            raise InvalidRequestException(
                "No Lambda rotation function ARN is associated with this secret."
            )
        _known(arn)
        secret.rotation_requested = secret.rotation_enabled = True
        secret.rotation_lambda_arn = arn
        if rules:
            secret.auto_rotate_after_days = int(rules.get("AutomaticallyAfterDays", 0))
        self._schedule(secret)
        waiting = _waiting(secret)
        version = waiting or token or str(uuid.uuid4())
        if waiting is None:
            secret.versions[version] = self._version(secret, version, copied=not at_once)
        self._begin(secret, version, STEPS if at_once or waiting else TRIAL)
        if waiting:
            raise InvalidRequestException(
                "A previous rotation isn't complete. That rotation will be reattempted."
            )
        return str(secret.to_short_dict(version_id=version))

    def _version(self, secret: Any, version: str, *, copied: bool) -> dict[str, Any]:
        made: dict[str, Any] = {
            "createdate": int(self._clock.now().timestamp()),
            "version_id": version,
            "version_stages": [PENDING],
        }
        if copied:
            current = secret.versions[secret.default_version_id]
            made |= {key: current[key] for key in current if key.startswith("secret_")}
        return made

    def _begin(self, secret: Any, version: str, steps: Sequence[str]) -> None:
        with self._lock:
            if secret.arn in self._busy:
                return
            self._busy.add(secret.arn)
        threading.Thread(
            target=self._run,
            args=(secret, version, steps),
            name=f"rotate-{secret.name}",
            daemon=True,
        ).start()

    def _run(self, secret: Any, version: str, steps: Sequence[str]) -> None:
        try:
            done = any(self._attempt(secret, version, steps) for _ in range(ATTEMPTS))
            if steps == TRIAL:
                secret.versions.pop(version, None)
            elif done:
                secret.last_rotation_date = int(self._clock.now().timestamp())
                self._schedule(secret)
        finally:
            with self._lock:
                self._busy.discard(secret.arn)

    def _attempt(self, secret: Any, version: str, steps: Sequence[str]) -> bool:
        for step in steps:
            event = {"Step": step, "SecretId": secret.arn, "ClientRequestToken": version}
            try:
                self._functions.invoke(secret.rotation_lambda_arn, event).result()
            except FunctionError as error:
                logger.warning("%s of %s failed: %s", step, secret.name, error)
                return False
        return True

    def _schedule(self, secret: Any) -> None:
        if secret.auto_rotate_after_days:
            due = self._clock.now() + timedelta(days=secret.auto_rotate_after_days)
            secret.next_rotation_date = int(due.timestamp())


def _known(arn: str) -> None:
    region, account = arn.split(":")[3:5]
    try:
        get_backend(account, region).get_function(arn)
    except Exception as error:
        raise ResourceNotFoundException(f"Lambda function {arn} was not found.") from error


def _waiting(secret: Any) -> str | None:
    """The version of a rotation that has not ended."""
    for version, held in secret.versions.items():
        if PENDING in held["version_stages"] and CURRENT not in held["version_stages"]:
            return str(version)
    return None


def install(functions: Functions, clock: Clock) -> None:
    """Makes moto's Secrets Manager rotate by functions, and keep time by the cloud's clock."""
    rotations = Rotations(functions, clock)
    backend: Any = models.SecretsManagerBackend
    move = backend.update_secret_version_stage
    module: Any = models
    module.time = type("Time", (), {"time": staticmethod(lambda: clock.now().timestamp())})

    def rotate_secret(
        self: Any,
        *,
        secret_id: str,
        client_request_token: str | None = None,
        rotation_lambda_arn: str | None = None,
        rotation_rules: dict[str, Any] | None = None,
        rotate_immediately: bool = True,
    ) -> str:
        if not self._is_valid_identifier(secret_id):
            raise SecretNotFoundException()
        secret = self.secrets[secret_id]
        if secret.is_deleted():
            raise InvalidRequestException("The secret is marked for deletion.")
        return rotations.rotate(
            secret, client_request_token, rotation_lambda_arn, rotation_rules, rotate_immediately
        )

    def update_secret_version_stage(
        self: Any,
        secret_id: str,
        version_stage: str,
        remove_from_version_id: str,
        move_to_version_id: str,
    ) -> Any:
        """moto moves the label and forgets which version is read when no label is asked for."""
        answer = move(self, secret_id, version_stage, remove_from_version_id, move_to_version_id)
        if version_stage == CURRENT and move_to_version_id:
            self.secrets[secret_id].set_default_version_id(move_to_version_id)
        return answer

    def list_secret_version_ids(self: Any, secret_id: str) -> str:
        """moto says that every version is made now."""
        if not self._is_valid_identifier(secret_id):
            raise SecretNotFoundException()
        secret = self.secrets[secret_id]
        versions = list(_listed(secret))
        return str(
            module.json.dumps({"ARN": secret.arn, "Name": secret.name, "Versions": versions})
        )

    backend.rotate_secret = rotate_secret
    backend.update_secret_version_stage = update_secret_version_stage
    backend.list_secret_version_ids = list_secret_version_ids


def _listed(secret: Any) -> Iterator[dict[str, Any]]:
    for version, held in secret.versions.items():
        if held["version_stages"]:
            yield {
                "CreatedDate": held["createdate"],
                "VersionId": version,
                "VersionStages": held["version_stages"],
            }
