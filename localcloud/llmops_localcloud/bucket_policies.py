"""Bucket policies without the statements that have a condition.

moto applies a statement whatever its condition says, so that the usual "deny what is not TLS"
denies everything. Conditions are not evaluated here: a statement that has one does not apply.
"""

from __future__ import annotations

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3 import models as s3


def install() -> None:
    """Make moto's buckets decide so."""
    bucket: Any = s3.FakeBucket
    bucket.get_permission = _permission


def _permission(bucket: Any, action: str, resource: str) -> Any:
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(bucket.policy)
    given = policy.get("Statement", [])
    statements = [given] if isinstance(given, dict) else given
    unconditional = [statement for statement in statements if "Condition" not in statement]
    if not unconditional:
        return PermissionResult.NEUTRAL
    return IAMPolicy(json.dumps({**policy, "Statement": unconditional})).is_action_permitted(
        action, resource
    )
