"""Whole rollouts as ECS, the gate and a watcher would tell of them, judged by the judge itself."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from llmops_judge import Judge, Minute, Policy, Sample
from llmops_judge.observations import History
from llmops_judge.scales import cell
from llmops_runbooks.evidence import assemble
from llmops_runbooks.ports import Deployment, RevisionView

BEGIN = datetime(2026, 11, 20, 14, 3, 0, tzinfo=UTC)
WEIGHT = 0.10
PLACE = "arn:aws:ecs:us-east-1:123456789012:service-{}/handbook-prod/handbook/{}"
HOOKS = {"promote": "SUCCEEDED", "rollback": "FAILED", "wait": "IN_PROGRESS"}


@dataclass(frozen=True)
class Law:
    """How a release answers. Shares are 0 to 1, latency is a median in milliseconds."""

    errors: float = 0.004
    latency: float = 420.0
    slow: float = 0.02
    tokens: float = 640.0
    quality: float = 0.86
    refusals: float = 0.02
    up: float = 0.8
    fingerprint: str = "fp_20261101"


STEADY = Law()


@dataclass
class Story:
    """One rollout, minute by minute. `rate`: requests a minute over both arms."""

    release: str
    canary: Law
    baseline: Law = STEADY
    seed: int = 7
    rate: int = 400
    weight: float = WEIGHT
    served: float | None = None
    policy: Mapping[str, Any] = field(default_factory=dict)
    golden: Mapping[str, Any] | None = None
    most: int = 60
    judge: Callable[[Policy, float], Any] = Judge

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.now = BEGIN
        self.calls: list[dict[str, Any]] = []
        self.journal: list[dict[str, Any]] = []
        self.intervals: list[dict[str, Any]] = []
        self.begin: datetime | None = None
        self.full = Policy.from_settings(self.policy)

    def told(self, status: str | None = None, **more: Any) -> dict[str, Any]:
        """The evidence; `status` and `more` overrule how ECS ended it."""
        record = self.record()
        last = self.calls[-1]["hook_status"]
        ended = {"SUCCEEDED": "SUCCESSFUL", "FAILED": "ROLLBACK_SUCCESSFUL"}
        deployment = self.deployment(status or ended.get(last, "IN_PROGRESS"), **more)
        return assemble(
            deployment, record=record, decision=record["decision"], journal=self.journal
        )

    def record(self) -> dict[str, Any]:
        """The gate's record of the whole rollout."""
        if not self.calls:
            self._play()
        last = self.calls[-1]["hook_status"]
        return {
            "schema": 2,
            "rollout": PLACE.format("deployment", self.id),
            "service": "handbook",
            "environment": "prod",
            "baseline": {"release": "1.4.2-3f9ac210", "revision": PLACE.format("revision", "1")},
            "canary": {"release": self.release, "revision": PLACE.format("revision", "2")},
            "policy": self.full.to_settings(),
            "weight": self.weight if self.begin else None,
            "begin": self.begin.isoformat() if self.begin else None,
            "history": self.history_json if self.begin else None,
            "golden": self.golden,
            "spend": {"baseline": 41_200, "canary": 9_800} if self.begin else None,
            "calls": self.calls,
            "intervals": self.intervals,
            "decision": None,
            "decided_by": None if last == "IN_PROGRESS" else "gate",
        }

    @property
    def id(self) -> str:
        return f"rollout-of-{self.release}"

    def deployment(self, status: str, **more: Any) -> Deployment:
        """What ECS shows."""
        ended = status not in {"IN_PROGRESS", "PENDING"}
        back = status.startswith("ROLLBACK")
        return Deployment(
            arn=PLACE.format("deployment", self.id),
            status=status,
            target=RevisionView(PLACE.format("revision", "2")),
            source=RevisionView(PLACE.format("revision", "1")),
            reason="Service deployment rolled back because a lifecycle hook failed."
            if back
            else "",
            started_at=BEGIN,
            finished_at=self.now + timedelta(minutes=2) if ended else None,
            rollback_started_at=self.now + timedelta(seconds=75) if back else None,
            configuration={
                "canaryConfiguration": {
                    "canaryPercent": 100 * self.weight,
                    "canaryBakeTimeInMinutes": 1,
                },
                "bakeTimeInMinutes": 5,
            },
            **more,
        )

    def _play(self) -> None:
        self._see("scale up", "2 of 2 tasks run", 0)
        self.now += timedelta(minutes=2, seconds=11)
        if self.golden is not None:
            passed = self.golden["passed"]
            self._call("POST_TEST_TRAFFIC_SHIFT", 0, "SUCCEEDED" if passed else "FAILED")
            if not passed:
                return
        self._call("PRE_PRODUCTION_TRAFFIC_SHIFT", 0, "SUCCEEDED")
        self.now += timedelta(seconds=49)
        self._see(f"canary {100 * self.weight:g} %", "live", 100 * self.weight)
        self._canary()

    def _canary(self) -> None:
        judge = self.judge(self.full, self.weight)
        past = self._arm(60 * self.rate // 4, self.baseline)
        history = History(past.requests, past.counts)
        self.history_json = {k: v for k, v in past.to_json().items() if k != "labels"}
        state, self.begin = judge.start(history), self.now
        for number in range(1, self.most + 1):
            minute = self._minute()
            state = judge.minute(state, minute)
            verdict = judge.verdict(state, elapsed_minutes=float(number)).to_json()
            status = HOOKS.get(verdict["decision"], "IN_PROGRESS")
            self._call("PRE_PRODUCTION_TRAFFIC_SHIFT", 100 * self.weight, status, verdict, number)
            if status != "IN_PROGRESS" or verdict["decision"] == "inconclusive":
                break
        if status == "SUCCEEDED":
            self.now += timedelta(seconds=80)
            self._see("bake", "canary at 100 %, alarms watched", 100)

    def _minute(self) -> Minute:
        whole = max(10, round(self.random.gauss(self.rate, math.sqrt(self.rate))))
        share = self.weight if self.served is None else self.served
        mine = sum(self.random.random() < share for _ in range(whole))
        minute = Minute(self._arm(whole - mine, self.baseline), self._arm(mine, self.canary))
        self.intervals.append(
            {
                "start": self.now.isoformat(),
                "seconds": 60,
                "baseline": minute.baseline.to_json(),
                "canary": minute.canary.to_json(),
            }
        )
        self.now += timedelta(minutes=1)
        return minute

    def _arm(self, requests: int, law: Law) -> Sample:
        values: dict[str, list[float]] = {metric.name: [] for metric in self.full.metrics}
        for _ in range(requests):
            self._request(values, law)
        scales = {metric.name: metric.scale for metric in self.full.metrics}
        counts: dict[str, dict[int, float]] = {name: {} for name in values}
        for name, seen in values.items():
            for value in seen:
                at = cell(scales[name], value)
                counts[name][at] = counts[name].get(at, 0) + 1
        return Sample(
            requests,
            counts,
            {
                "fingerprint": {law.fingerprint: requests},
                "feature": {"faq": requests - requests // 3, "search": requests // 3},
            },
        )

    def _request(self, values: dict[str, list[float]], law: Law) -> None:
        chance = self.random.random
        failed = chance() < law.errors
        slowdown = 6.0 if chance() < law.slow else 1.0
        latency = law.latency * slowdown * math.exp(self.random.gauss(0, 0.35))
        values["errors"].append(float(failed))
        values["latency"].append(latency)
        values["guardrail_hits"].append(float(chance() < 0.01))
        if failed:
            return
        tokens = law.tokens * math.exp(self.random.gauss(0, 0.4))
        values["first_token"].append(latency * 0.3)
        values["tokens"].append(tokens)
        values["cost"].append(tokens * 1.6)
        values["refusals"].append(float(chance() < law.refusals))
        values["retrieval_hits"].append(float(chance() < 0.94))
        if chance() < 0.25:
            values["quality"].append(min(1.0, max(0.0, self.random.gauss(law.quality, 0.14))))
        if chance() < 0.04:
            values["feedback"].append(float(chance() < law.up))

    def _call(
        self,
        stage: str,
        canary: float,
        status: str,
        verdict: dict[str, Any] | None = None,
        elapsed: float | None = None,
    ) -> None:
        at = self.now + timedelta(seconds=72 if verdict else 1)
        self.calls.append(
            {
                "at": at.isoformat(),
                "stage": stage,
                "weights": {"baseline": 100 - canary, "canary": canary},
                "hook_status": status,
                "reason": verdict["reason"] if verdict else "The canary may take its share.",
                "verdict": verdict,
                "through": self.now.isoformat() if verdict else None,
                "elapsed_minutes": elapsed,
            }
        )

    def _see(self, step: str, text: str, canary: float) -> None:
        self.journal.append(
            {
                "at": (self.now + timedelta(seconds=4)).isoformat(),
                "step": step,
                "text": text,
                "weights": {"baseline": 100 - canary, "canary": canary},
            }
        )


FLIPS: Sequence[dict[str, Any]] = (
    {
        "id": "g003",
        "question": "What is the name of the head roaster?",
        "expected": "Ines Kavanagh",
        "baseline": {"answer": "The head roaster is Ines Kavanagh.", "passed": True},
        "canary": {"answer": "The head roaster is Maren Oldcastle.", "passed": False},
    },
    {
        "id": "g017",
        "question": "How many days of parental leave does a barista get?",
        "expected": "90 days",
        "baseline": {
            "answer": "Every employee, baristas included, gets 90 days of paid parental leave.",
            "passed": True,
        },
        "canary": {"answer": "", "passed": False},
    },
    {
        "id": "g052",
        "question": "When is the roastery closed for cleaning?",
        "expected": "the first Monday of each month",
        "baseline": {"answer": "It is closed on Mondays.", "passed": False},
        "canary": {
            "answer": "It is closed on the first Monday of each month for cleaning.",
            "passed": True,
        },
    },
)


def golden(passed: int, *, fails: bool = False) -> dict[str, Any]:
    """A golden set of 120 questions with three flips."""
    word = "which is below the minimum of 80 %" if fails else "which is enough"
    return {
        "set": "9c1f" * 16,
        "questions": 120,
        "minimum": 0.8,
        "p_value": 4.1e-5 if fails else 0.5,
        "passed": not fails,
        "reason": f"The canary passes {passed} of 120 golden questions, {word}.",
        "baseline": {"release": "1.4.2-3f9ac210", "passed": 117},
        "canary": {"release": "1.5.0-77b0c4de", "passed": passed},
        "flips": [dict(flip) for flip in FLIPS],
    }


def slow_one(**more: Any) -> Story:
    """A little slower for everybody, and more requests that hang: rolled back."""
    law = replace(STEADY, latency=444.0, slow=0.035)
    return Story("1.5.0-77b0c4de", law, golden=golden(118), **more)


def good_one(**more: Any) -> Story:
    """As good as the baseline: promoted."""
    return Story("1.5.1-0ae5f913", STEADY, seed=11, golden=golden(118), **more)


def misrouted_one(**more: Any) -> Story:
    """The router serves it half of its share: inconclusive."""
    return Story("1.5.2-c81d9e02", STEADY, seed=5, served=0.05, **more)


def wrong_one() -> Story:
    """It fails the golden set before any user is served."""
    return Story("1.6.0-e40b51aa", STEADY, golden=golden(93, fails=True))
