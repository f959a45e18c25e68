"""What other tools' rules would have decided on the minutes that the judge saw.

Three rules, each given every benefit of the doubt: somebody has set up an alarm for every metric
it can watch, with a threshold taken from the service's own history.

- A CloudWatch alarm on the canary, as CodeDeploy, ECS and SageMaker roll back on: M of N
  datapoints over a fixed threshold.
  https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
- The example of Argo Rollouts' documentation: a measurement each five minutes with a success
  condition, `failureLimit: 3`, which fails at the fourth failure.
  https://argoproj.github.io/argo-rollouts/features/analysis/
- Kayenta's NetflixACAJudge: per-minute points of both arms, the 98 % Mann-Whitney interval of their
  shift with a tolerance of a quarter of it, and the ratio of means on the bad side.
  https://github.com/spinnaker/kayenta/blob/master/docs/canary-config.md

A rule that never fires lets the release through when the policy's `maximum_minutes` are over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist, fmean, median
from typing import Any, Literal

from llmops_judge.intervals import statistic
from llmops_judge.observations import Counts, History, Minute, plus
from llmops_judge.policy import Metric, Policy

PeerDecision = Literal["rollback", "promote", "no decision"]

ERRORS_AT_LEAST = 0.05
TIMES_HISTORY = {"latency": 2.0, "first_token": 2.0, "cost": 1.5}
QUALITY_BELOW_HISTORY = 0.05
WATCHED = ("errors", "latency", "first_token", "cost", "quality")
"""The metrics that the peers are given; the other shares have no customary threshold."""

DATAPOINTS, OUT_OF = 3, 5
INTERVAL, FAILURE_LIMIT = 5, 3
EVERY, FIRST, FEWEST = 5, 10, 5
CONFIDENCE, TOLERANCE = 0.98, 0.25


@dataclass(frozen=True)
class PeerVerdict:
    """What a peer would have done.

    rule: its rule in a sentence, with the thresholds. minute: the number of minutes after which it
    decided; None: it did not. metric: the one it rolled back on.
    """

    peer: str
    rule: str
    decision: PeerDecision
    minute: int | None
    metric: str | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The JSON value."""
        return asdict(self)


@dataclass(frozen=True)
class Threshold:
    """A fixed limit of the canary's statistic; `sign` is -1 where low values are bad."""

    metric: Metric
    value: float
    sign: int

    def broken(self, value: float) -> bool:
        return self.sign * value >= self.sign * self.value

    def words(self) -> str:
        relation = "at least" if self.sign > 0 else "at most"
        return f"{self.metric.name} {relation} {_shown(self.metric, self.value)}"


@dataclass(frozen=True)
class Fired:
    """When a rule fired, on what, and why."""

    minute: int
    metric: str
    reason: str


def counterfactual(
    policy: Policy, minutes: Sequence[Minute], history: History | None = None
) -> tuple[PeerVerdict, ...]:
    """What each peer would have decided on these minutes of a rollout.

    history: where thresholds come from; without it, from the baseline in these same minutes, which
    is more than the peers could have known.
    """
    limits = tuple(thresholds(policy, minutes, history))
    words = ", ".join(limit.words() for limit in limits) or "nothing, for want of data"
    watched = [limit.metric for limit in limits]
    over = policy.maximum_minutes
    return (
        _verdict(
            "CloudWatch alarm",
            f"Rolls back when {DATAPOINTS} of the canary's last {OUT_OF} one-minute datapoints of "
            f"a metric are over a fixed threshold: {words}.",
            _first(cloudwatch(limit, minutes) for limit in limits),
            len(minutes),
            over,
        ),
        _verdict(
            "Argo Rollouts",
            f"Measures the canary each {INTERVAL} minutes and rolls back when more than "
            f"{FAILURE_LIMIT} measurements of a metric failed: {words}.",
            _first(argo(limit, minutes) for limit in limits),
            len(minutes),
            over,
        ),
        _verdict(
            "Kayenta",
            f"Compares the arms' one-minute points each {EVERY} minutes from minute {FIRST} on, "
            "and rolls back when the 98 % Mann-Whitney interval of their shift clears a quarter "
            "of it.",
            _first(kayenta(metric, minutes) for metric in watched),
            len(minutes),
            over,
        ),
    )


def thresholds(
    policy: Policy, minutes: Sequence[Minute], history: History | None
) -> Iterator[Threshold]:
    """The fixed limits an operator would set for the watched metrics that have data."""
    for metric in policy.metrics:
        if metric.name not in WATCHED:
            continue
        past = _past(metric, minutes, history)
        if past is None:
            continue
        if metric.name == "errors":
            yield Threshold(metric, ERRORS_AT_LEAST, 1)
        elif metric.name == "quality":
            yield Threshold(metric, past - QUALITY_BELOW_HISTORY, -1)
        elif past > 0:
            yield Threshold(metric, past * TIMES_HISTORY[metric.name], 1)


def cloudwatch(limit: Threshold, minutes: Sequence[Minute]) -> Fired | None:
    """The first minute with M of the last N datapoints over the threshold.

    Minutes without data are no datapoints (`treatMissingData: missing`).
    """
    last: list[bool] = []
    for number, minute in enumerate(minutes, start=1):
        value = _value(limit.metric, minute.canary.counts)
        if value is None:
            continue
        last = [*last, limit.broken(value)][-OUT_OF:]
        if sum(last) >= DATAPOINTS:
            shown = _shown(limit.metric, value)
            return Fired(
                number,
                limit.metric.name,
                f"{sum(last)} of the last {len(last)} datapoints had {limit.words()}, "
                f"the newest {shown}.",
            )
    return None


def argo(limit: Threshold, minutes: Sequence[Minute]) -> Fired | None:
    """The measurement at which more than the failure limit failed; one without data is no failure
    (`Error`, which has a limit of its own)."""
    failed = 0
    for end in range(INTERVAL, len(minutes) + 1, INTERVAL):
        value = statistic(
            limit.metric, _together(limit.metric, minutes[end - INTERVAL : end], "canary")
        )
        failed += value is not None and limit.broken(value)
        if value is not None and failed > FAILURE_LIMIT:
            return Fired(
                end,
                limit.metric.name,
                f"failed ({failed}) > failureLimit ({FAILURE_LIMIT}): {limit.words()}, "
                f"the last with {_shown(limit.metric, value)}.",
            )
    return None


def kayenta(metric: Metric, minutes: Sequence[Minute]) -> Fired | None:
    """The first judgement, on all points so far, that classifies the metric as worse."""
    points: dict[str, list[float]] = {"baseline": [], "canary": []}
    for number, minute in enumerate(minutes, start=1):
        for arm, sample in (("baseline", minute.baseline), ("canary", minute.canary)):
            value = _value(metric, sample.counts)
            if value is not None:
                points[arm].append(value)
        judged = number >= FIRST and number % EVERY == 0
        if judged and is_worse(metric, points["baseline"], points["canary"]):
            figures = " against ".join(
                _shown(metric, fmean(points[arm])) for arm in ("canary", "baseline")
            )
            return Fired(
                number,
                metric.name,
                f"classified {metric.name} as worse on {len(points['canary'])} points, "
                f"{figures} on average.",
            )
    return None


def is_worse(metric: Metric, baseline: Sequence[float], canary: Sequence[float]) -> bool:
    """Kayenta's classification of one metric from points of both arms."""
    sign = -1 if metric.direction == "higher" else 1
    worse = [sign * value for value in canary]
    normal = [sign * value for value in baseline]
    if min(len(worse), len(normal)) < FEWEST or len({*worse, *normal}) == 1:
        return False
    shift, low, _ = hodges_lehmann(worse, normal)
    return low > TOLERANCE * abs(shift) and fmean(worse) >= fmean(normal)


def hodges_lehmann(
    one: Sequence[float], other: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float, float]:
    """The shift of `one` over `other`, the median of all differences, and its interval.

    Mann-Whitney, normal approximation with the correction for ties, as R's `wilcox.test` and
    Kayenta's classifier do it (Hollander & Wolfe 1999, section 4.3).
    """
    differences = sorted(x - y for x in one for y in other)
    n, m, pairs = len(one), len(other), len(differences)
    ties = [count**3 - count for count in _frequencies([*one, *other])]
    total = n + m
    variance = pairs / 12 * ((total + 1) - sum(ties) / (total * (total - 1)))
    spread = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt(max(variance, 1e-12))
    rank = min(max(math.floor(pairs / 2 - spread + 0.5), 1), pairs)
    return median(differences), differences[rank - 1], differences[pairs - rank]


def _frequencies(values: Sequence[float]) -> list[int]:
    found: dict[float, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return list(found.values())


def _verdict(
    peer: str, rule: str, fired: Fired | None, minutes: int, maximum: float
) -> PeerVerdict:
    if fired is not None:
        return PeerVerdict(peer, rule, "rollback", fired.minute, fired.metric, fired.reason)
    if minutes >= maximum:
        text = f"nothing fired in {minutes} minutes, so the release went on."
        return PeerVerdict(peer, rule, "promote", minutes, None, text)
    text = f"nothing fired in the {minutes} minutes the rollout lasted."
    return PeerVerdict(peer, rule, "no decision", None, None, text)


def _first(found: Iterator[Fired | None]) -> Fired | None:
    fired = [each for each in found if each is not None]
    return min(fired, key=lambda each: each.minute, default=None)


def _past(metric: Metric, minutes: Sequence[Minute], history: History | None) -> float | None:
    counts = history.counts.get(metric.name) if history else None
    return statistic(metric, counts or _together(metric, minutes, "baseline"))


def _together(
    metric: Metric, minutes: Sequence[Minute], arm: Literal["baseline", "canary"]
) -> Counts:
    both: Counts = {}
    for minute in minutes:
        both = plus(both, getattr(minute, arm).counts.get(metric.name, {}))
    return both


def _value(metric: Metric, counts: Any) -> float | None:
    return statistic(metric, counts.get(metric.name, {}))


def _shown(metric: Metric, value: float) -> str:
    if metric.scale == "share":
        return f"{100 * value:.1f} %"
    return f"{value:,.2f}" if metric.scale == "unit" else f"{value:,.0f} {metric.unit}".strip()
