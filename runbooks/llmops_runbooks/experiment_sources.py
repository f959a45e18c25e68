"""Where an experiment's outcomes are read: the service's lines, or CloudWatch.

CloudWatch has the outcomes of requests, and no subjects. If the experiment draws users or
conversations, requests of one of them depend on each other, and an interval that took them for
independent would be too narrow: then the averages are shown and nothing is claimed. The lines
carry a hash of the subject, so that one subject counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from llmops_judge import intervals
from llmops_judge.observations import History
from llmops_judge.scales import middle
from llmops_runbooks import experiment_lines
from llmops_runbooks.errors import UsageError
from llmops_runbooks.experiment_definition import Definition
from llmops_runbooks.experiment_report import METRICS, Arm, Seen, Value
from llmops_runbooks.ports import Cloud

DAY = timedelta(days=1)
LONGEST = 90
"""Days that are read of an experiment that says no `started`, at most."""


def from_lines(lines: Iterable[str], of: Definition, *, window_hours: float, source: str) -> Seen:
    """The outcomes of units, from the service's own lines."""
    published = {metric.published: metric.name for metric in METRICS}
    log = experiment_lines.read(lines, of, published, window=3600 * window_hours)
    if not log.units and not log.open_units:
        raise UsageError(f"{source} has no line of the experiment {of.name}.")
    batches: dict[str, list[list[Value]]] = {metric.name: [] for metric in METRICS}
    for unit in log.units:
        for name, value in unit.means().items():
            batches[name].append([(unit.variant, value, 1.0)])
    return Seen(
        arms=[_arm_of_units(variant, weight, log.units) for variant, weight in of.weights.items()],
        batches=batches,
        source=source,
        warnings=tuple(_doubts(of, log, window_hours)),
    )


def from_cloudwatch(cloud: Cloud, of: Definition) -> Seen:
    """The outcomes of requests, day by day, from the metrics of a deployed service."""
    days = list(_days(of, cloud.clock.now()))
    read = {variant: [_exposed(cloud, of, variant, day) for day in days] for variant in of.weights}
    by_request = of.unit == "request"
    batches: dict[str, list[list[Value]]] = {metric.name: [] for metric in METRICS}
    for index in range(len(days) if by_request else 0):
        for metric in METRICS:
            batches[metric.name].append(
                [
                    (variant, middle(metric.scale, cell), count)
                    for variant, histories in read.items()
                    for cell, count in histories[index].counts.get(metric.name, {}).items()
                ]
            )
    return Seen(
        arms=[
            _arm_of_requests(variant, weight, read[variant], by_request)
            for variant, weight in of.weights.items()
        ],
        batches=batches,
        source=f"CloudWatch, {days[0][0]:%Y-%m-%d} to {days[-1][1]:%Y-%m-%d %H:%M} UTC",
        no_claim="" if by_request else _no_claim(of),
    )


def _no_claim(of: Definition) -> str:
    return (
        f"CloudWatch knows requests, not the {of.unit}s that were drawn, and requests of one "
        f"{of.unit} depend on each other: for a claim, report from the service's lines "
        "(--lines FILE)."
    )


def _days(of: Definition, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Whole hours since the experiment started, in pieces of a day."""
    end = now.replace(minute=0, second=0, microsecond=0)
    start = max(of.started or now - LONGEST * DAY, now - LONGEST * DAY)
    start = min(start.replace(minute=0, second=0, microsecond=0), end - timedelta(hours=1))
    while start < end:
        yield start, min(start + DAY, end)
        start += DAY


def _exposed(cloud: Cloud, of: Definition, variant: str, day: tuple[datetime, datetime]) -> History:
    where = cloud.coordinates
    return cloud.histories.exposed(
        METRICS,
        service=where.service_name,
        environment=where.environment,
        experiment=of.name,
        variant=variant,
        start=day[0],
        end=day[1],
    )


def _arm_of_units(variant: str, weight: float, units: Iterable[experiment_lines.Unit]) -> Arm:
    mine = [unit for unit in units if unit.variant == variant]
    means = [unit.means() for unit in mine]
    return Arm(
        variant=variant,
        weight=weight,
        exposures=sum(unit.requests for unit in mine),
        units=len(mine),
        values=_averages(means),
    )


def _averages(means: Iterable[Mapping[str, float]]) -> dict[str, float]:
    columns: dict[str, list[float]] = {}
    for each in means:
        for name, value in each.items():
            columns.setdefault(name, []).append(value)
    return {name: float(f"{sum(v) / len(v):.6g}") for name, v in sorted(columns.items())}


def _arm_of_requests(variant: str, weight: float, days: Iterable[History], by_request: bool) -> Arm:
    counts: dict[str, dict[int, float]] = {}
    exposures = 0
    for day in days:
        exposures += day.requests
        for name, cells in day.counts.items():
            theirs = counts.setdefault(name, {})
            for cell, count in cells.items():
                theirs[cell] = theirs.get(cell, 0.0) + count
    values = {
        metric.name: float(f"{intervals.mean(metric.scale, counts[metric.name])[0]:.6g}")
        for metric in METRICS
        if counts.get(metric.name)
    }
    return Arm(
        variant=variant,
        weight=weight,
        exposures=exposures,
        units=exposures if by_request else 0,
        values=values,
    )


def _doubts(of: Definition, log: experiment_lines.Log, window_hours: float) -> Iterator[str]:
    if log.open_units:
        yield (
            f"{log.open_units:,} {of.unit}s do not count yet: their first {window_hours:g} hours "
            "are not over."
        )
    if log.unknown:
        yield f"{log.unknown:,} values belong to no known {of.unit} and were left out."
    if log.moved:
        yield (
            f"{log.moved:,} {of.unit}s were seen in two variants and count for the first: the "
            "weights were changed, so set `started` to that time."
        )
