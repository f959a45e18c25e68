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

GOLDEN_STAGE = "POST_TEST_TRAFFIC_SHIFT"
"""Once, when the test listener forwards to the candidate and no user does yet."""
GATE_STAGE = "PRE_PRODUCTION_TRAFFIC_SHIFT"
"""Before each step of the production traffic."""
STAGES = (GOLDEN_STAGE, GATE_STAGE)
CALLBACK_SECONDS = 30
MAXIMUM_STATE_BYTES = 16_384
"""More than this is not given to ECS to keep: the judge's part stays in the record alone. AWS
publishes no limit for hookDetails; the judge's state is meant to be below 6 KB."""


@dataclass(frozen=True)
class Call:
    """One invocation.

    weights: production weight in percent by service revision ARN, as it is now; ECS gives none
        at the golden set's stage.
    policy: the judge's settings table; state: what the last answer of this rollout remembered.
        Either is empty if ECS did not hand it back, or handed back something else.
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
        """The call in an event; raises LookupError, TypeError or ValueError if it is none."""
        execution = event["executionDetails"]
        hook = details(event)
        weights = execution.get("productionTrafficWeights") or {}
        return cls(
            stage=event["lifecycleStage"],
            rollout=event["resourceArn"],
            target=execution["targetServiceRevisionArn"],
            weights={arn: float(weight) for arn, weight in weights.items()},
            policy=table(hook, "policy"),
            callback_seconds=_seconds(hook.get("callback_seconds")),
            state=table(hook, "state"),
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
    delay: seconds until ECS shall call again, if not those of the hook.
    """

    status: HookStatus
    reason: str
    state: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] | None = None
    decided_by: Literal["gate", "operator"] | None = None
    delay: int | None = None

    def to_ecs(self, callback_seconds: int) -> dict[str, Any]:
        """The response in ECS's words."""
        response: dict[str, Any] = {"hookStatus": self.status}
        if self.status == "IN_PROGRESS":
            response["callBackDelay"] = self.delay or callback_seconds
        if self.state:
            response["hookDetails"] = {"state": _portable(self.state)}
        return response


def details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event's hookDetails, a JSON text or a table; empty if they are neither."""
    found = event.get("hookDetails")
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            return {}
    return found if isinstance(found, Mapping) else {}


def table(hook: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A table of the hookDetails; empty if it is something else."""
    found = hook.get(key)
    return found if isinstance(found, Mapping) else {}


def _seconds(value: object) -> int:
    return max(1, int(value)) if isinstance(value, int | float) else CALLBACK_SECONDS


def _portable(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state; without what the record can give back, if it is too large to be handed around."""
    if len(json.dumps(state)) <= MAXIMUM_STATE_BYTES:
        return dict(state)
    return {key: value for key, value in state.items() if key not in ("judge", "history")}
