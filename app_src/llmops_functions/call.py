"""What ECS hands a Lambda lifecycle hook, and what it wants back.

Request: executionId, lifecycleStage, resourceArn (of the service deployment), executionDetails
{serviceArn, targetServiceRevisionArn, testTrafficWeights, productionTrafficWeights}, hookDetails.
Answer: hookStatus, callBackDelay (seconds), hookDetails (merged and handed back next time).
Source: the Amazon ECS developer guide, "Lifecycle hooks for service deployments".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

HookStatus = Literal["SUCCEEDED", "FAILED", "IN_PROGRESS"]

GATE_STAGE = "PRE_PRODUCTION_TRAFFIC_SHIFT"
CALLBACK_SECONDS = 30


@dataclass(frozen=True)
class Call:
    """One invocation.

    weights: production weight in percent by service revision ARN, as it is now.
    policy: the judge's settings table; state: what the last answer of this rollout remembered.
    """

    stage: str
    rollout: str
    target: str
    weights: Mapping[str, float]
    policy: Mapping[str, Any] = field(default_factory=dict)
    callback_seconds: int = CALLBACK_SECONDS
    state: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, event: Mapping[str, Any]) -> Call:
        """The call in an event; raises KeyError or ValueError if it is not one of ECS's."""
        execution = event["executionDetails"]
        details = event.get("hookDetails") or {}
        if isinstance(details, str):
            details = json.loads(details)
        weights = execution.get("productionTrafficWeights") or {}
        return cls(
            stage=event["lifecycleStage"],
            rollout=event["resourceArn"],
            target=execution["targetServiceRevisionArn"],
            weights={arn: float(weight) for arn, weight in weights.items()},
            policy=details.get("policy") or {},
            callback_seconds=int(details.get("callback_seconds", CALLBACK_SECONDS)),
            state=details.get("state") or {},
        )

    @property
    def rollout_id(self) -> str:
        """The last part of the service deployment's ARN."""
        return self.rollout.rpartition("/")[2]

    @property
    def canary_share(self) -> float:
        """The target revision's share of production traffic now, 0 to 1."""
        whole = sum(self.weights.values())
        return self.weights.get(self.target, 0.0) / whole if whole else 0.0

    @property
    def source(self) -> str | None:
        """The other revision that serves now, if any."""
        others = {arn: weight for arn, weight in self.weights.items() if arn != self.target}
        return max(others, key=lambda arn: others[arn], default=None)


@dataclass(frozen=True)
class Answer:
    """What the gate says to ECS and to its record.

    verdict: the judge's, as JSON; reason: one sentence; decided_by: None while undecided.
    """

    status: HookStatus
    reason: str
    state: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] | None = None
    decided_by: Literal["gate", "operator"] | None = None

    def to_ecs(self, callback_seconds: int) -> dict[str, Any]:
        """The response in ECS's words."""
        response: dict[str, Any] = {"hookStatus": self.status}
        if self.status == "IN_PROGRESS":
            response["callBackDelay"] = callback_seconds
        if self.state:
            response["hookDetails"] = {"state": dict(self.state)}
        return response
