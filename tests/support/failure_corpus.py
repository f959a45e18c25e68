"""Published canaries that other tools judged wrongly, rebuilt as data from their threads' figures.

Every figure that a thread gives is a constant here and named as such in its case; what the thread
does not say (how many requests were behind a point, the canary's share) is an assumption, and each
case says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

from llmops_judge.observations import Counts, History, Minute, Sample
from llmops_judge.policy import CATALOGUE, Policy
from llmops_judge.scales import cell

ERRORS = CATALOGUE["errors"]
LATENCY = CATALOGUE["latency"]


@dataclass(frozen=True)
class Case:
    """One thread. weight: the canary's share; the policy names only the metrics of the thread."""

    thread: str
    policy: Policy
    weight: float
    minutes: tuple[Minute, ...]
    history: History | None = None

    def again(self, times: int) -> Case:
        """The same canary, going on as it began for so many times as long."""
        policy = replace(self.policy, maximum_minutes=times * len(self.minutes))
        return replace(self, policy=policy, minutes=self.minutes * times)


STEADY_780 = (10.0, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, *(17 + step / 10 for step in range(8)))
ERRATIC_780 = (
    1.0,
    100.0,
    4.0,
    101.0,
    5.0,
    102.0,
    6.0,
    103.0,
    7.0,
    104.0,
    8.0,
    105.0,
    9.0,
    106.0,
    17.0,
)
CANARY_6278 = (100.0,) * 7 + (1.0,) * 3
BASELINE_6278 = (1.0,) * 10
CANARY_426 = (0, 1, 2, 1, 0, 0)
RAW_1815, SHOWN_1815, ALLOWED_1815 = 20.0, 1.0, 1.1
WINDOW_3403 = 20


def _points(values: Sequence[float], requests: int) -> list[Sample]:
    """Minutes in which every request took as long as the point says."""
    return [Sample(requests, {"latency": {cell("ratio", value): requests}}) for value in values]


def kayenta_780() -> Case:
    """https://github.com/spinnaker/kayenta/issues/780, "Case 1: Increase in Metric Variability".

    The thread: 15 points of each arm, one steady and one that jumps between 1 to 9 and 100 to 106,
    with the same median; "Result is PASS but it should be FAIL". Its unit test calls the erratic
    one the control, its heading and complaint are of a canary whose variability grew: so it is
    here. Assumed: latency, 20 requests behind each point, arms of equal size (as Kayenta's
    documentation asks for).
    """
    pairs = zip(_points(STEADY_780, 20), _points(ERRATIC_780, 20), strict=True)
    policy = Policy(maximum_minutes=15, metrics=(LATENCY,))
    return Case("kayenta#780", policy, 0.5, tuple(Minute(*pair) for pair in pairs))


def spinnaker_6278() -> Case:
    """https://github.com/spinnaker/spinnaker/issues/6278 (comment of 2021-07-12).

    The thread: ten points of each arm, the control's all 1, seven of the canary's 100: it passes,
    and fails only when the eighth is 100 too. Assumed: latency, 20 requests behind each point,
    arms of equal size.
    """
    pairs = zip(_points(BASELINE_6278, 20), _points(CANARY_6278, 20), strict=True)
    policy = Policy(maximum_minutes=10, metrics=(LATENCY,))
    return Case("spinnaker#6278", policy, 0.5, tuple(Minute(*pair) for pair in pairs))


def kayenta_426(weight: float, alpha: float = 0.01) -> Case:
    """https://github.com/spinnaker/kayenta/issues/426, "Mann-Whitney with sparse data".

    The thread: errors of a service whose "error rate is usually zero": 0, 1, 2, 1, 0, 0 of the
    canary, none of the control in the same six intervals; classified as Pass, expected High.
    Assumed: 100 requests in each interval of a minute, the canary's share of them, 2,000 requests
    without an error before, and a margin of 1 point, as such a service would have.
    """
    served = round(100 * weight)
    minutes = tuple(Minute(_failing(100 - served, 0), _failing(served, bad)) for bad in CANARY_426)
    policy = Policy(alpha=alpha, maximum_minutes=6, metrics=(replace(ERRORS, margin=0.01),))
    return Case("kayenta#426", policy, weight, minutes, History(2000, {"errors": {0: 2000}}))


def flagger_1815(percent: float | None) -> Case:
    """https://github.com/fluxcd/flagger/issues/1815, a broken version that Flagger let through.

    The thread: at most 1.1 allowed, the raw query shows "values up to 20", Flagger's own metric
    shows 1; the query is wrapped in `clamp_min`. Assumed: these are percent of requests, a healthy
    version has 0.5 %, 200 requests a minute, a canary of 10 %. `percent`: the errors of the canary
    that are read; None: they are not read at all, which is what such a wrapper conceals.
    """
    served = 20
    if percent is None:
        canary = [Sample(served, {})] * 30
    else:
        every = islice(_spread(percent / 100 * served), 30)
        canary = [_failing(served, bad) for bad in every]
    baseline = [_failing(180, bad) for bad in islice(_spread(0.005 * 180), 30)]
    minutes = tuple(Minute(*pair) for pair in zip(baseline, canary, strict=True))
    policy = Policy(maximum_minutes=30, metrics=(ERRORS,))
    return Case("flagger#1815", policy, 0.1, minutes, History(2000, {"errors": {0: 1990, 1: 10}}))


def suna_3410() -> Case:
    """https://github.com/kortix-ai/suna/pull/3410 (with #3389, #3403, #3408): four false aborts.

    The threads: 10 % canary, alarms on 5xx and p95 latency, almost no traffic, "one transient 5xx =
    a huge %", "error-rate and p95-latency are pure noise", the last abort "on cold-start latency";
    a guard of 20 requests a window did not save it, and the canary was dropped within the day.
    Assumed: one request a minute, of which the canary gets every tenth; its first three take 8 s to
    start, the fourth fails; both releases otherwise alike, at about 0.9 s.
    """
    usual = (850.0, 900.0, 950.0, 870.0, 1200.0)
    cold = iter((8000.0, 8000.0, 8000.0))
    minutes, served = [], 0
    for number, latency in zip(range(1, 61), cycle(usual)):
        if number % 10:
            minutes.append(Minute(_one(latency), Sample(0)))
        else:
            served += 1
            minutes.append(Minute(Sample(0), _one(next(cold, latency), failed=served == 4)))
    policy = Policy(maximum_minutes=60, metrics=(ERRORS, LATENCY))
    past: dict[str, Counts] = {"errors": {0: 499, 1: 1}, "latency": _latencies(usual)}
    return Case("suna#3410", policy, 0.1, tuple(minutes), History(500, past))


def _failing(requests: int, bad: int) -> Sample:
    return Sample(requests, {"errors": {0: requests - bad, 1: bad}})


def _one(latency: float, *, failed: bool = False) -> Sample:
    return Sample(1, {"errors": {int(failed): 1}, "latency": {cell("ratio", latency): 1}})


def _latencies(values: Sequence[float]) -> dict[int, float]:
    counts: dict[int, float] = {}
    for value in values:
        at = cell("ratio", value)
        counts[at] = counts.get(at, 0) + 500 / len(values)
    return counts


def _spread(rate: float) -> Iterator[int]:
    """Whole numbers that are `rate` on average, as even as can be."""
    owed = 0.0
    while True:
        owed += rate
        yield int(owed)
        owed -= int(owed)
