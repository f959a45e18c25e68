"""How often the judge errs, and how many requests it needs: simulated rollouts, minute by minute.

    python benchmarks/judge/measure.py            the tables of docs/judge.md (a few minutes)
    python benchmarks/judge/measure.py --quick    a tenth of the runs

Every run draws from a generator seeded by scenario and run, so the tables are reproducible.
Against other tools, plug `llmops_judge.bench:make` (each request) or
`llmops_judge.bench:make_minutes` (each minute) into a benchmark with the same interface.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llmops_judge import Judge, Metric, Minute, Policy, Sample, Tally

NEVER = 1e-300
RATE = 200
"""Requests per minute of both arms."""
HORIZON = 20_000
"""Requests of both arms after which a run is given up."""


@dataclass(frozen=True)
class Scenario:
    """Error and poor-answer rates of an arm as functions of the minute."""

    name: str
    baseline: Callable[[int], tuple[float, float]]
    canary: Callable[[int], tuple[float, float]]
    weight: float = 0.10
    onset: int = 0
    """Requests before the canary turns bad; counted from there."""


def steady(errors: float, poor: float) -> Callable[[int], tuple[float, float]]:
    """The same rates all the time."""
    return lambda _: (errors, poor)


def diurnal(minute: int) -> tuple[float, float]:
    """Errors between 0.5 and 2 %, poor answers between 8 and 16 %, every 100 minutes."""
    wave = 0.5 * (1 - math.cos(2 * math.pi * minute / 100))
    return 0.005 + 0.015 * wave, 0.08 + 0.08 * wave


def outage(minute: int) -> tuple[float, float]:
    """A quarter of an hour in which a fifth of all requests of both arms fail."""
    return (0.20, 0.30) if 30 <= minute < 45 else (0.005, 0.10)


def late(minute: int) -> tuple[float, float]:
    """Fine for 8,000 requests, then 5 % errors."""
    return (0.05, 0.10) if minute >= 40 else (0.01, 0.10)


def alike(name: str, rates: Callable[[int], tuple[float, float]], weight: float = 0.1) -> Scenario:
    """Both arms have the same rates."""
    return Scenario(name, rates, rates, weight)


NULLS = (
    alike("errors 0 %, poor 10 %, 10 % weight", steady(0.0, 0.10)),
    alike("errors 0.5 %, poor 10 %, 10 % weight", steady(0.005, 0.10)),
    alike("errors 2 %, poor 30 %, 10 % weight", steady(0.02, 0.30)),
    alike("errors 20 %, poor 50 %, 10 % weight", steady(0.20, 0.50)),
    alike("errors 1 %, poor 10 %, 1 % weight", steady(0.01, 0.10), 0.01),
    alike("errors 1 %, poor 10 %, 50 % weight", steady(0.01, 0.10), 0.50),
    alike("shared diurnal cycle", diurnal),
    alike("shared outage, errors 0.5 to 20 %", outage),
)
REGRESSIONS = (
    Scenario("errors 0 to 6 %", steady(0, 0.10), steady(0.06, 0.10)),
    Scenario("errors 1 to 3 %", steady(0.01, 0.10), steady(0.03, 0.10)),
    Scenario("errors 1 to 10 %", steady(0.01, 0.10), steady(0.10, 0.10)),
    Scenario("poor answers 10 to 18 %", steady(0.01, 0.10), steady(0.01, 0.18)),
    Scenario("poor answers 10 to 35 %", steady(0.01, 0.10), steady(0.01, 0.35)),
    Scenario("both: 0 to 6 % and 10 to 35 %", steady(0, 0.10), steady(0.06, 0.35)),
    Scenario("late: errors 1 to 5 % after 8,000", steady(0.01, 0.10), late, onset=8000),
    Scenario("errors 1 to 10 %, 50 % weight", steady(0.01, 0.1), steady(0.1, 0.1), 0.5),
)
PROMOTIONS = (
    alike("errors 0 %, poor 10 %", steady(0.0, 0.10)),
    alike("errors 1 %, poor 10 %", steady(0.01, 0.10)),
    alike("errors 0 %, poor 10 %, 50 % weight", steady(0.0, 0.10), 0.5),
    Scenario("at the margin: errors 1 to 4 %", steady(0.01, 0.10), steady(0.04, 0.10)),
    Scenario("at the margin: poor 10 to 20 %", steady(0.0, 0.10), steady(0.0, 0.20)),
)


def minutes(scenario: Scenario, draw: random.Random) -> Iterator[Minute]:
    """The minutes of one run."""
    for minute in range(HORIZON // RATE):
        canary = _binomial(draw, RATE, scenario.weight)
        yield Minute(
            _sample(draw, RATE - canary, scenario.baseline(minute)),
            _sample(draw, canary, scenario.canary(minute)),
        )


def _sample(draw: random.Random, n: int, rates: tuple[float, float]) -> Sample:
    errors = _binomial(draw, n, rates[0])
    poor = _binomial(draw, n - errors, rates[1])
    return Sample(n, {"errors": Tally(n, errors), "quality": Tally(n - errors, poor)})


def _binomial(draw: random.Random, n: int, p: float) -> int:
    return sum(draw.random() < p for _ in range(n)) if p else 0


def run(scenario: Scenario, policy: Policy, seed: int) -> tuple[str, int]:
    """The decision of one run and the requests until it (after the onset)."""
    judge = Judge(policy, scenario.weight)
    state = judge.start()
    seen = 0
    for minute in minutes(scenario, random.Random(f"{scenario.name}/{seed}")):
        state = judge.minute(state, minute)
        seen += RATE
        decision = judge.decided(state)
        if decision != "wait":
            return decision, seen - scenario.onset
    return "wait", seen - scenario.onset


def false_rollbacks(runs: int) -> None:
    """Identical arms, watched every minute for 20,000 requests; the policy never promotes."""
    print("| identical arms | rolled back | allowed |\n|---|---:|---:|")
    policy = Policy(alpha=0.01, beta=NEVER, minimum_requests=1)
    for scenario in NULLS:
        rolled = sum(run(scenario, policy, seed)[0] == "rollback" for seed in range(runs))
        print(f"| {scenario.name} | {100 * rolled / runs:.2f} % | 1 % |", flush=True)


def detections(runs: int) -> None:
    """Regressions; the policy never promotes, so that `missed` means unseen by the horizon."""
    print("| regression | median requests | 90 % within | missed |\n|---|---:|---:|---:|")
    policy = Policy(alpha=0.01, beta=NEVER)
    for scenario in REGRESSIONS:
        results = [run(scenario, policy, seed) for seed in range(runs)]
        waits = sorted(n if decision == "rollback" else HORIZON for decision, n in results)
        missed = sum(decision != "rollback" for decision, _ in results)
        print(
            f"| {scenario.name} | {statistics.median(waits):,.0f} | "
            f"{waits[math.ceil(0.9 * runs) - 1]:,} | {100 * missed / runs:.0f} % |",
            flush=True,
        )


def promotions(runs: int) -> None:
    """The default policy: margins of 3 points (errors) and 10 points (poor answers)."""
    print("| canary | promoted | rolled back | median requests |\n|---|---:|---:|---:|")
    for scenario in PROMOTIONS:
        results = [run(scenario, Policy(), seed) for seed in range(runs)]
        share = {
            word: 100 * sum(decision == word for decision, _ in results) / runs
            for word in ("promote", "rollback")
        }
        waits = statistics.median(n for _, n in results)
        print(
            f"| {scenario.name} | {share['promote']:.1f} % | {share['rollback']:.1f} % | "
            f"{waits:,.0f} |",
            flush=True,
        )


def speed() -> None:
    """Observations per second, one request at a time and in minutes of counts."""
    judge = Judge(Policy(metrics=(Metric("errors", margin=0.03),)), 0.1)
    state = judge.start()
    begun = time.perf_counter()
    for number in range(5000):
        state = judge.observe(state, "canary" if number % 10 == 0 else "baseline", {"errors": 0})
    each = (time.perf_counter() - begun) / 5000
    minute = next(minutes(NULLS[1], random.Random(1)))
    begun = time.perf_counter()
    for _ in range(2000):
        state = judge.minute(state, minute)
    counts = (time.perf_counter() - begun) / 2000
    print(f"one request: {1e6 * each:.0f} microseconds; one minute's counts: {1e6 * counts:.0f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    scale = 1 if parser.parse_args().quick else 10
    print(f"runs: {100 * scale} / {30 * scale} / {30 * scale}; {RATE} requests a minute\n")
    false_rollbacks(100 * scale)
    print()
    detections(30 * scale)
    print()
    promotions(30 * scale)
    print()
    speed()


if __name__ == "__main__":
    main()
