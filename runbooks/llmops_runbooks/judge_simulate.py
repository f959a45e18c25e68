"""What the judge will do with releases of this service, before one goes out.

The service's own history (or stated averages) is played through the judge under the policy in
effect, a few thousand rollouts, over all cores.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from llmops_judge.policy import Policy, PolicyError
from llmops_judge.regressions import (
    IDENTICAL,
    NAMED,
    Change,
    Stated,
    at_the_margin,
    within_margins,
)
from llmops_judge.simulate import (
    End,
    Job,
    Run,
    Summary,
    Traffic,
    simulated,
    summary,
    with_history,
)
from llmops_runbooks.errors import UsageError
from llmops_runbooks.ports import Cloud
from llmops_runbooks.serving import serving

SHARES = (0.05, 0.10, 0.25, 0.50)
CHUNK = 10
"""Rollouts that one process plays before it takes the next ones."""
IDENTICAL_TIMES = 4
"""How many times as many rollouts of identical arms: their rate of rollbacks is a small one."""

Progress = Callable[[int, int], None]
"""Told how many rollouts of how many were played."""


@dataclass(frozen=True)
class Plan:
    """What to simulate. weight: the canary's share, 0 to 1. source: where the traffic is from."""

    policy: Policy
    traffic: Traffic
    weight: float
    source: str
    runs: int = 100
    seed: int = 1
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)


@dataclass(frozen=True)
class Report:
    """What came of it.

    regressions: each with whether the policy puts up with it, because it is within the margins.
    margins: canaries that are worse by just the margin of one metric. shares: per canary share,
    identical arms and the first of the margins. left_out: metrics of the policy without history,
    which the simulation knows nothing of. unseen: regressions in metrics that do not gate.
    """

    plan: Plan
    identical: Summary
    regressions: tuple[tuple[Summary, bool], ...]
    margins: tuple[Summary, ...]
    shares: tuple[tuple[Summary, Summary], ...]
    left_out: tuple[str, ...]
    unseen: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """The JSON value; shares and rates are 0 to 1, each with its 95 % Monte-Carlo interval."""
        plan = self.plan
        return {
            "source": plan.source,
            "requests_per_minute": plan.traffic.per_minute,
            "weight": plan.weight,
            "runs": plan.runs,
            "seed": plan.seed,
            "policy": plan.policy.to_settings(),
            "identical": _json(self.identical),
            "regressions": [
                {**_json(each), "within_margins": within} for each, within in self.regressions
            ],
            "margins": [_json(each) for each in self.margins],
            "shares": [
                {"identical": _json(same), "regression": _json(worse)}
                for same, worse in self.shares
            ],
            "left_out": list(self.left_out),
            "unseen": [change.name for change in self.unseen],
        }


def simulate(plan: Plan, progress: Progress) -> Report:
    """Plays all rollouts. Raises UsageError if no metric that can decide has a history."""
    policy = _judgeable(plan.policy, plan.traffic)
    studies = list(_studies(plan, policy))
    jobs = [job for study in studies for job in study.jobs(policy, plan)]
    played = _played(jobs, plan.workers, progress)
    found: dict[tuple[str, float], list[Run]] = {}
    for job, runs in zip(jobs, played, strict=True):
        found.setdefault((job.change.name, job.weight), []).extend(runs)
    return _report(plan, policy, found)


def observed(cloud: Cloud, policy: Policy, *, hours: int) -> Traffic:
    """The traffic of the live release in the last hours.

    Raises UsageError if it served nothing in that time.
    """
    where, release = cloud.coordinates, serving(cloud).release
    service = {"service": where.service_name, "environment": where.environment, "release": release}
    end = cloud.clock.now()
    start = end - timedelta(hours=hours)
    series = cloud.metrics.series(**service, start=start, end=end)
    history = cloud.histories.history(policy.metrics, **service, start=start, end=end)
    rate = _rate(series)
    if not history.requests or not rate:
        raise UsageError(
            f"The release {release} of environment {where.environment} has served nothing in the "
            f"last {hours} hours.",
            hint="State the traffic instead: --rate 200 --errors 1 --latency-ms 900.",
        )
    return Traffic(rate, history)


def stated(rate: float, averages: Mapping[str, float | None]) -> Traffic:
    """The traffic of a service of which a few averages are said."""
    said = {name: value for name, value in averages.items() if value is not None}
    return Traffic(rate, Stated(**said).history())  # type: ignore[arg-type]


def _rate(series: Sequence[Mapping[str, Any]]) -> float:
    """Requests a minute from the first minute with traffic to the last."""
    busy = [point for point in series if point.get("requests")]
    if not busy:
        return 0.0
    first, last = (datetime.fromisoformat(busy[at]["start"]) for at in (0, -1))
    minutes = (last - first).total_seconds() / 60 + 1
    return float(sum(point["requests"] for point in busy) / minutes)


def _judgeable(policy: Policy, traffic: Traffic) -> Policy:
    try:
        return with_history(policy, traffic.history)
    except PolicyError as error:
        gating = ", ".join(metric.name for metric in policy.deciding)
        raise UsageError(
            f"The history has none of the metrics that gate ({gating}), so nothing can be judged."
        ) from error


@dataclass(frozen=True)
class _Study:
    change: Change
    weight: float
    runs: int

    def jobs(self, policy: Policy, plan: Plan) -> Iterator[Job]:
        for number, begin in enumerate(range(0, self.runs, CHUNK)):
            seed = f"{plan.seed}/{self.change.name}/{self.weight}/{number}"
            runs = min(CHUNK, self.runs - begin)
            yield Job(policy, plan.traffic, self.weight, self.change, runs, seed)


def _studies(plan: Plan, policy: Policy) -> Iterator[_Study]:
    yield _Study(IDENTICAL, plan.weight, IDENTICAL_TIMES * plan.runs)
    for change in (*_seen(policy), *at_the_margin(policy)):
        yield _Study(change, plan.weight, plan.runs)
    for weight in set(SHARES) - {plan.weight}:
        yield _Study(IDENTICAL, weight, plan.runs // 2)
        yield _Study(_compared(policy), weight, plan.runs // 2)


def _seen(policy: Policy) -> list[Change]:
    """The named regressions that show in a metric that gates."""
    gating = {metric.name for metric in policy.deciding}
    return [change for change in NAMED if change.metrics() & gating]


def _compared(policy: Policy) -> Change:
    return next(at_the_margin(policy))


def _played(jobs: Sequence[Job], workers: int, progress: Progress) -> list[list[Run]]:
    """The rollouts of each job, in the jobs' order."""
    if workers <= 1:
        return _collected(jobs, map(simulated, jobs), progress)
    # A fresh interpreter each: nothing of this one's connections is inherited.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return _collected(jobs, pool.map(simulated, jobs), progress)


def _collected(
    jobs: Sequence[Job], results: Iterable[list[Run]], progress: Progress
) -> list[list[Run]]:
    total, done, played = sum(job.runs for job in jobs), 0, []
    for runs in results:
        done += len(runs)
        played.append(runs)
        progress(done, total)
    return played


def _report(
    plan: Plan, policy: Policy, played: Mapping[tuple[str, float], Sequence[Run]]
) -> Report:
    def told(change: Change, want: End, weight: float = plan.weight) -> Summary:
        return summary(change, weight, played[change.name, weight], want)

    seen, history = _seen(policy), plan.traffic.history
    return Report(
        plan=plan,
        identical=told(IDENTICAL, "promote"),
        regressions=tuple(
            (told(change, "rollback"), within_margins(policy, history, change)) for change in seen
        ),
        margins=tuple(told(change, "promote") for change in at_the_margin(policy)),
        shares=tuple(
            (told(IDENTICAL, "promote", weight), told(_compared(policy), "rollback", weight))
            for weight in sorted({*SHARES, plan.weight})
        ),
        left_out=tuple(
            metric.name for metric in plan.policy.metrics if metric not in policy.metrics
        ),
        unseen=tuple(change for change in NAMED if change not in seen),
    )


def _json(found: Summary) -> dict[str, Any]:
    told = asdict(found)
    change = told.pop("change")
    return {"change": change["name"], "words": change["words"], **told}
