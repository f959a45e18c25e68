"""How often the judge errs, and how many requests it needs: simulated rollouts, minute by minute.

    python benchmarks/judge/measure.py            the tables of docs/judge.md (about an hour)
    python benchmarks/judge/measure.py --scale 2  two tenths of the runs (--quick: one)
    python benchmarks/judge/measure.py --write    put the tables into docs/judge.md

Every run draws from a generator seeded by scenario and run, so the tables are reproducible. Against
other tools see `peers.py`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator

from pages import replace, table
from world import HORIZON, RATE, Scenario, Service, diurnal, outage, steady

from llmops_judge import CATALOGUE, Judge, Metric, Policy

NEVER = 1e-300
FOUR = ("errors", "latency", "cost", "quality")
ALL = (*FOUR, "feedback")


def alike(name: str, both: object, metrics: tuple[str, ...], weight: float = 0.10) -> Scenario:
    """Two identical arms."""
    course = both if callable(both) else steady(**both)  # type: ignore[arg-type]
    return Scenario(name, course, course, metrics, weight)


def worse(name: str, metrics: tuple[str, ...], weight: float = 0.10, **values: float) -> Scenario:
    """A canary that differs from the usual service in these figures."""
    return Scenario(name, steady(), steady(**values), metrics, weight)


E_, L, C, Q, F = (("errors",), ("latency",), ("cost",), ("quality",), ("feedback",))
NULLS = (
    alike("errors 0.5 %", {"errors": 0.005}, E_),
    alike("errors 20 %", {"errors": 0.2}, E_),
    alike("errors 1 %, 1 % weight", {}, E_, 0.01),
    alike("errors 1 %, 50 % weight", {}, E_, 0.50),
    alike("latency", {}, L),
    alike("latency, two modes", {"misses": 0.4}, L),
    alike("cost", {}, C),
    alike("quality, 10 % useless answers", {}, Q),
    alike("feedback of one in twenty", {}, F),
    alike("five metrics", {}, ALL),
    alike("five metrics, shared diurnal cycle", diurnal, ALL),
    alike("errors and latency, shared outage", outage, ("errors", "latency")),
)
REGRESSIONS = (
    worse("errors 1 to 3 %", E_, errors=0.03),
    worse("errors 1 to 10 %", E_, errors=0.10),
    worse("errors 1 to 10 %, 50 % weight", E_, 0.50, errors=0.10),
    worse("latency +25 %", L, latency=1.25),
    worse("latency +100 %", L, latency=2.0),
    Scenario("slow mode 1.5 to 4.5 %", steady(slow=0.015), steady(slow=0.045), L),
    Scenario("cache misses 40 to 55 %", steady(misses=0.40), steady(misses=0.55), L),
    worse("cost +25 %", C, cost=1.25),
    worse("useless answers 10 to 18 %", Q, poor=0.18),
    worse("all answers 5 % worse", Q, dull=0.05),
    worse("thumbs down 10 to 30 %", F, thumbs=0.30),
    Scenario("errors 1 to 5 %, after 8,000", steady(), steady(errors=0.05), E_, onset=8000),
    worse("four metrics: errors 1 to 10 %", FOUR, errors=0.10),
    worse("four metrics: useless answers 10 to 18 %", FOUR, poor=0.18),
    worse("four metrics, all a little worse", FOUR, errors=0.02, latency=1.1, cost=1.1, poor=0.13),
)
PROMOTIONS = (
    alike("identical, 5 % weight", {}, FOUR, 0.05),
    alike("identical", {}, FOUR),
    alike("identical, 25 % weight", {}, FOUR, 0.25),
    alike("identical, 50 % weight", {}, FOUR, 0.50),
    worse("faster and cheaper", FOUR, latency=0.8, cost=0.8),
    worse("better answers", FOUR, poor=0.05),
    worse("half the margin: latency +12 %", FOUR, latency=1.12),
)
MARGINS = (
    worse("errors 1 to 4 %", E_, errors=0.04),
    worse("latency +25 %", L, latency=1.25),
    worse("cost +25 %", C, cost=1.25),
    worse("quality 0.05 lower, all answers", Q, dull=0.0605),
    worse("quality 0.05 lower, more useless answers", Q, poor=0.1715),
)


def run(scenario: Scenario, policy: Policy, seed: int) -> tuple[str, int]:
    """The decision of one run and the requests until it (after the onset)."""
    draw = random.Random(f"{scenario.name}/{seed}")
    judge = Judge(policy, scenario.weight)
    running = judge.resume(judge.start(scenario.history(draw)))
    seen = 0
    for minute in scenario.minutes(draw):
        running.minute(minute)
        seen += RATE
        decision = running.decided()
        if decision != "wait":
            return decision, seen - scenario.onset
    return "wait", seen - scenario.onset


def false_rollbacks(runs: int) -> str:
    """Identical arms, watched every minute for 20,000 requests; the policy never promotes."""
    rows = []
    for scenario in NULLS:
        policy = Policy(beta=NEVER, minimum_requests=1, metrics=scenario.chosen())
        rolled = sum(run(scenario, policy, seed)[0] == "rollback" for seed in range(runs))
        rows.append([scenario.name, f"{100 * rolled / runs:.1f} %", "1 %"])
    return table(["identical arms", "rolled back", "allowed"], rows)


def detections(runs: int) -> str:
    """Regressions; the policy never promotes, so that `missed` means unseen by the horizon."""
    rows = []
    for scenario in REGRESSIONS:
        policy = Policy(beta=NEVER, metrics=scenario.chosen())
        results = [run(scenario, policy, seed) for seed in range(runs)]
        waits = sorted(
            n if decision == "rollback" and n > 0 else math.inf for decision, n in results
        )
        missed = sum(wait == math.inf for wait in waits)
        late = waits[math.ceil(0.9 * runs) - 1]
        rows.append([scenario.name, _n(waits[runs // 2]), _n(late), f"{100 * missed / runs:.0f} %"])
    return table(["regression", "median requests", "90 % within", "missed"], rows)


def promotions(runs: int) -> str:
    """Good releases under the default margins of the four gating metrics."""
    rows = []
    for scenario in PROMOTIONS:
        results = [run(scenario, Policy(metrics=scenario.chosen()), seed) for seed in range(runs)]
        words = Counter(decision for decision, _ in results)
        rows.append(
            [
                scenario.name,
                *(f"{100 * words[word] / runs:.0f} %" for word in ("promote", "rollback")),
                _n(statistics.median(n for _, n in results)),
            ]
        )
    return table(["good canary", "promoted", "rolled back", "median requests"], rows)


def margins(runs: int) -> str:
    """Canaries that are worse by the margin, and that nothing rolls back."""
    rows = []
    for scenario in MARGINS:
        policy = Policy(alpha=NEVER, minimum_requests=1, metrics=scenario.chosen())
        promoted = sum(run(scenario, policy, seed)[0] == "promote" for seed in range(runs))
        rows.append([scenario.name, f"{100 * promoted / runs:.1f} %", "5 %"])
    return table(["worse by the margin", "promoted", "allowed"], rows)


def _n(requests: float) -> str:
    return f"{requests:,.0f}" if requests <= HORIZON else "-"


def speed() -> str:
    """Observations a minute of one core, a minute's counts, the size of the state."""
    errors = _rate((CATALOGUE["errors"],), ("errors",))
    latency = _rate((CATALOGUE["latency"],), ("latency",))
    every = _rate(tuple(CATALOGUE.values()), ALL)
    draw = random.Random(1)
    scenario = alike("speed", {}, ALL)
    judge = Judge(Policy(), 0.1)
    state = judge.start(scenario.history(draw))
    minutes = [minute for minute, _ in zip(scenario.minutes(draw), range(60), strict=False)]
    begun = time.process_time()
    for minute in minutes:
        state = judge.minute(state, minute)
    each = (time.process_time() - begun) / len(minutes)
    size = len(json.dumps(state, separators=(",", ":")))
    rows = [
        ["single requests, errors alone", f"{errors / 1e6:.0f} million a minute"],
        ["single requests, latency alone", f"{latency / 1e6:.0f} million a minute"],
        ["single requests, five metrics", f"{every / 1e6:.1f} million a minute"],
        ["a minute's counts of five metrics, any number of requests", f"{1e3 * each:.1f} ms"],
        ["the state after an hour", f"{size / 1000:.1f} kB of JSON"],
    ]
    return table(["on one core", ""], rows)


def _rate(metrics: tuple[Metric, ...], names: tuple[str, ...], n: int = 50_000) -> float:
    """Requests that the judge takes in in a minute."""
    draw = random.Random(1)
    judge = Judge(Policy(metrics=metrics), 0.1)
    running = judge.resume(judge.start())
    service, wanted = Service(), frozenset(names)
    requests = [
        ("canary" if draw.random() < 0.1 else "baseline", service.request(draw, wanted))
        for _ in range(n)
    ]
    begun = time.process_time()
    for arm, outcome in requests:
        running.observe(arm, outcome)  # type: ignore[arg-type]
    return 60 * n / (time.process_time() - begun)


def sections(scale: int) -> Iterator[str]:
    """All tables, with the number of runs behind them."""
    yield (
        f"`python benchmarks/judge/measure.py --scale {scale}`: alpha 1 %, beta 5 %, 10 % weight "
        f"and {RATE} requests a minute unless said, judged each minute, {HORIZON:,} requests at "
        f"most, with a history of 2,000 requests; {100 * scale:,} runs of identical arms and at "
        f"the margin, {30 * scale} of the others. Requests are of both arms and come in whole "
        f"minutes of {RATE}."
    )
    yield false_rollbacks(100 * scale)
    yield detections(30 * scale)
    yield promotions(30 * scale)
    yield margins(100 * scale)
    yield speed()


def main() -> None:
    """Print the tables, and write them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    parser.add_argument("--scale", type=int, default=10, help="runs, in tenths of the full number")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/judge.md")
    asked = parser.parse_args()
    found = []
    for section in sections(1 if asked.quick else asked.scale):
        print(section + "\n", flush=True)
        found.append(section)
    if asked.write:
        replace("measured", "\n\n".join(found))


if __name__ == "__main__":
    main()
