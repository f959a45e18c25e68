"""What ends a deployment from outside its story: alarms, the circuit breaker, thirty days.

Alarms are watched from IN_PROGRESS to the end of BAKE_TIME, also while a hook pauses (which stages
AWS watches is not documented). The circuit breaker counts failed tasks of the target revision as
the model describes for ROLLING, and is applied to every strategy (the documents disagree).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from llmops_localcloud.ecs.hooks import because
from llmops_localcloud.ecs.model import Deployment
from llmops_localcloud.ports import Switches

LONGEST = timedelta(days=30)
"""The overall limit of a service deployment (section 1.3)."""

_THRESHOLD_BOUNDS = (3, 200)
"""Bounds of the default circuit breaker threshold: half the desired count, within these."""


@dataclass(frozen=True)
class Trip:
    """A guard fired: why, and whether the deployment rolls back or only stops."""

    reason: str
    rolls_back: bool


class Guard:
    """Watches one deployment."""

    def __init__(self, deployment: Deployment, switches: Switches) -> None:
        self._deployment, self._switches = deployment, switches
        self._alarms: Mapping[str, Any] = deployment.configuration.get("alarms") or {}
        breaker = deployment.configuration.get("deploymentCircuitBreaker") or {}
        self._breaker: Mapping[str, Any] = breaker

    @property
    def alarm_names(self) -> list[str]:
        return list(self._alarms.get("alarmNames", [])) if self._alarms.get("enable") else []

    def begin(self, states: Mapping[str, str], desired: int) -> None:
        """Alarms that fire already make ECS ignore all of them for this deployment (19)."""
        firing = [name for name in self.alarm_names if states.get(name) == "ALARM"]
        if self.alarm_names and not firing:
            self._deployment.alarm_status = "MONITORING"
        if self._breaker.get("enable"):
            self._deployment.breaker_status = "MONITORING"
            self._deployment.breaker_threshold = _threshold(self._breaker, desired)

    def check(self, states: Mapping[str, str], now: datetime) -> Trip | None:
        """The first guard that fires now, if any."""
        deployment = self._deployment
        if now - deployment.created_at > LONGEST:
            return Trip(because("it did not end within 30 days."), rolls_back=True)
        return self._check_alarms(states) or self._check_breaker()

    def end(self) -> None:
        """The deployment is past the watched stages."""
        deployment = self._deployment
        if deployment.alarm_status == "MONITORING":
            deployment.alarm_status = "MONITORING_COMPLETE"
        if deployment.breaker_status == "MONITORING":
            deployment.breaker_status = "MONITORING_COMPLETE"

    def _check_alarms(self, states: Mapping[str, str]) -> Trip | None:
        deployment = self._deployment
        if deployment.alarm_status != "MONITORING":
            return None
        firing = [name for name in self.alarm_names if states.get(name) == "ALARM"]
        if not firing:
            return None
        deployment.alarm_status = "TRIGGERED"
        deployment.triggered_alarms = firing
        return self._trip(f"alarm(s) detected: {', '.join(firing)}.", self._alarms)

    def _check_breaker(self) -> Trip | None:
        deployment = self._deployment
        if deployment.breaker_status != "MONITORING":
            return None
        deployment.breaker_failures = deployment.target.failures
        if deployment.breaker_failures < deployment.breaker_threshold:
            return None
        deployment.breaker_status = "TRIGGERED"
        return self._trip("the deployment circuit breaker was triggered.", self._breaker)

    def _trip(self, what: str, options: Mapping[str, Any]) -> Trip | None:
        if options["rollback"]:
            return Trip(because(what), rolls_back=True)
        if self._switches.alarm_without_rollback == "IGNORED":
            return None
        return Trip(f"Service deployment stopped because {what}", rolls_back=False)


def _threshold(breaker: Mapping[str, Any], desired: int) -> int:
    low, high = _THRESHOLD_BOUNDS
    chosen = breaker.get("thresholdConfiguration", {"type": "BOUNDED_PERCENT", "value": 50})
    if chosen["type"] == "COUNT":
        return int(chosen["value"])
    share: int = math.ceil(desired * chosen["value"] / 100)
    if chosen["type"] == "UNBOUNDED_PERCENT":
        return max(1, share)
    return min(high, max(low, share))
