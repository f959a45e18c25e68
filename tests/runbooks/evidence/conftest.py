"""Two realistic rollouts, as ECS, the gate, CloudWatch and a watcher would tell of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llmops_judge import Judge, Minute, Policy, Sample, Tally
from llmops_runbooks.evidence import assemble

BEGIN = datetime(2026, 11, 20, 14, 3, 0, tzinfo=UTC)
WEIGHT = 0.10
POLICY = {
    "alpha": 0.01,
    "beta": 0.05,
    "minimum_requests": 50,
    "maximum_minutes": 60,
    "error_margin": 0.03,
    "quality_margin": 0.10,
    "inconclusive": "rollback",
}
ARN = "arn:aws:ecs:us-east-1:123456789012:service-{kind}/handbook/handbook/{name}"


class Story:
    """One rollout, minute by minute: the canary has these rates; baseline 0 % and 10 %."""

    def __init__(self, release: str, *, errors: float, poor: float, seed: int, rate: int) -> None:
        self.random = random.Random(seed)
        self.release, self.errors, self.poor, self.rate = release, errors, poor, rate
        self.series: dict[str, list[dict[str, Any]]] = {"baseline": [], "canary": []}
        self.calls: list[dict[str, Any]] = []
        self.journal: list[dict[str, Any]] = []
        self.minute = 0

    def told(self) -> dict[str, Any]:
        """The evidence."""
        self._see("scaling up 1.0.0's successor", 0)
        self._pass_minutes(3, 0.0)
        self._call(0, "SUCCEEDED", None)
        self._see("the canary has its share", 10)
        judge = Judge(Policy.from_settings(POLICY), WEIGHT)
        state = judge.start()
        status = "IN_PROGRESS"
        while status == "IN_PROGRESS":
            state = judge.minute(state, self._pass_minutes(1, WEIGHT))
            verdict = judge.verdict(state).to_json()
            status = {"promote": "SUCCEEDED", "rollback": "FAILED"}.get(verdict["decision"], status)
            self._call(10, status, verdict)
        good = status == "SUCCEEDED"
        self._see("the rest follows" if good else "rolling back", 100 if good else 0)
        self._pass_minutes(4, 1.0 if good else 0.0)
        return assemble(
            rollout=self._deployment(good),
            record=self._record(),
            series=self.series,
            journal=self.journal,
        )

    @property
    def now(self) -> datetime:
        return BEGIN + timedelta(minutes=self.minute)

    def _pass_minutes(self, count: int, weight: float) -> Minute:
        for _ in range(count):
            whole = max(20, round(self.random.gauss(self.rate, self.rate**0.5)))
            canary = sum(self.random.random() < weight for _ in range(whole))
            samples = (
                self._arm("baseline", whole - canary, 0.0, 0.10),
                self._arm("canary", canary, self.errors, self.poor),
            )
            self.minute += 1
        return Minute(*samples)

    def _arm(self, arm: str, n: int, errors: float, poor: float) -> Sample:
        if not n:
            return Sample()
        bad = sum(self.random.random() < errors for _ in range(n))
        low = sum(self.random.random() < poor for _ in range(n - bad))
        latency = self.random.gauss(38 if arm == "baseline" else 41, 2)
        self.series[arm].append(
            {
                "start": self.now.isoformat(),
                "seconds": 60,
                "requests": n,
                "errors": bad,
                "answers": n - bad,
                "poor": low,
                "quality": 0.86 - 0.7 * (low / max(1, n - bad) - 0.1),
                "latency_avg": latency,
                "latency_p50": latency * 0.92,
                "latency_p95": latency * 2.1,
            }
        )
        return Sample(n, {"errors": Tally(n, bad), "quality": Tally(n - bad, low)})

    def _call(self, canary: int, status: str, verdict: dict[str, Any] | None) -> None:
        self.calls.append(
            {
                "at": (self.now + timedelta(seconds=12)).isoformat(),
                "stage": "PRE_PRODUCTION_TRAFFIC_SHIFT",
                "weights": {"baseline": 100 - canary, "canary": canary},
                "hook_status": status,
                "reason": verdict["reason"] if verdict else "The canary may take its share.",
                "verdict": verdict,
            }
        )

    def _see(self, text: str, canary: int) -> None:
        self.journal.append(
            {
                "at": (self.now + timedelta(seconds=15)).isoformat(),
                "weights": {"baseline": 100 - canary, "canary": canary},
                "stage": text,
                "status": "IN_PROGRESS",
            }
        )

    def _record(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "rollout": ARN.format(kind="deployment", name=f"of-{self.release}"),
            "service": "handbook",
            "environment": "local",
            "baseline": {"release": "1.0.0-3f9ac210", "revision": ARN.format(kind="r", name=1)},
            "canary": {"release": self.release, "revision": ARN.format(kind="r", name=2)},
            "policy": POLICY,
            "calls": self.calls,
            "intervals": [],
            "decision": None,
            "decided_by": "gate",
        }

    def _deployment(self, good: bool) -> dict[str, Any]:
        return {
            "serviceDeploymentArn": ARN.format(kind="deployment", name=f"of-{self.release}"),
            "serviceArn": "arn:aws:ecs:us-east-1:123456789012:service/handbook/handbook",
            "status": "SUCCESSFUL" if good else "ROLLBACK_SUCCESSFUL",
            "statusReason": "" if good else "Service deployment rolled back.",
            "startedAt": BEGIN,
            "finishedAt": self.now,
            "sourceServiceRevisions": [{"arn": ARN.format(kind="r", name=1)}],
            "targetServiceRevision": {"arn": ARN.format(kind="r", name=2)},
            "deploymentConfiguration": {
                "canaryConfiguration": {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 1},
                "bakeTimeInMinutes": 5,
            },
            "alarms": {"status": "MONITORING_COMPLETE", "alarmNames": ["handbook-local-errors"]},
        }


def bad_rollout() -> dict[str, Any]:
    """1.1.0: 6 % errors and 35 % poor answers; rolled back."""
    return Story("1.1.0-77b0c4de", errors=0.06, poor=0.35, seed=7, rate=110).told()


def good_rollout() -> dict[str, Any]:
    """1.2.0: as good as the baseline; promoted."""
    return Story("1.2.0-0ae5f913", errors=0.0, poor=0.09, seed=11, rate=110).told()


@pytest.fixture
def bad() -> dict[str, Any]:
    return bad_rollout()


@pytest.fixture
def good() -> dict[str, Any]:
    return good_rollout()


@pytest.fixture
def story() -> Callable[..., Story]:
    return Story
