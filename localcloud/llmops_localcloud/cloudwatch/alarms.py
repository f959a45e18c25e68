"""Evaluates alarms on the cloud's clock and says how they stand."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from llmops_localcloud.ports import Clock

from .evaluation import INSUFFICIENT_DATA, OPERATORS, RANGE_EXTRA, Setting, Verdict, decide
from .expression import Expression
from .query import MetricStat, Query, QueryError, checked_period, checked_stat, read, run
from .store import MetricStore, epoch_to_datetime, metric_key

log = logging.getLogger(__name__)

TICK = 10.0
"""Virtual seconds between two evaluations (AWS evaluates standard alarms every minute)."""

SETTLE = 15.0
"""Virtual seconds after its end before a period is looked at: the load balancer's counts arrive up
to 20 virtual seconds (at most 0.2 real ones) late."""
SETTLE_REAL = 0.3
"""The same in real seconds, for clocks so fast that 15 virtual seconds are nothing."""


@dataclass(frozen=True)
class Plan:
    """An alarm ready to be evaluated; `watched` is the query that returns data."""

    setting: Setting
    queries: tuple[Query, ...]
    watched: str
    period: int

    def evaluate(self, store: MetricStore, now: float, current: str) -> Verdict | None:
        """Look at the evaluation range that ends with the last whole period before `now`."""
        end = int(now // self.period) * self.period
        start = end - (self.setting.periods + RANGE_EXTRA) * self.period
        found = run(store, self.queries, start, end)[self.watched]
        points = [(begin, found.get(begin)) for begin in range(start, end, self.period)]
        return decide(self.setting, points, current)


def plan(alarm: Any) -> Plan:
    """The plan of a moto alarm. Raises QueryError for what the local cloud cannot evaluate."""
    queries, watched = _queries(alarm)
    stats = [query.of for query in queries if isinstance(query.of, MetricStat)]
    if not stats:
        raise QueryError(f"Alarm {alarm.name} watches no metric.")
    if alarm.comparison_operator not in OPERATORS:
        raise QueryError(
            f"Alarm {alarm.name}: ComparisonOperator {alarm.comparison_operator} is not supported "
            f"by the local cloud; use one of {', '.join(OPERATORS)}."
        )
    periods = int(alarm.evaluation_periods)
    setting = Setting(
        alarm.comparison_operator,
        float(alarm.threshold),
        periods,
        int(alarm.datapoints_to_alarm or periods),
        alarm.treat_missing_data or "missing",
    )
    return Plan(setting, tuple(queries), watched, max(stat.period for stat in stats))


def _queries(alarm: Any) -> tuple[list[Query], str]:
    if not alarm.metric_data_queries:
        dimensions = {d.name: d.value for d in alarm.dimensions}
        key = metric_key(alarm.namespace, alarm.metric_name, dimensions)
        stat = checked_stat(alarm.statistic or alarm.extended_statistic)
        of = MetricStat(key, checked_period(alarm.period), stat, alarm.unit)
        return [Query("m1", alarm.metric_name, of)], "m1"
    queries = read([_spelled(query) for query in alarm.metric_data_queries])
    returned = [query.id for query in queries if query.return_data]
    if len(returned) != 1:
        raise QueryError(f"Alarm {alarm.name}: exactly one of Metrics must have ReturnData true.")
    return queries, returned[0]


def _spelled(query: Any) -> dict[str, Any]:
    """A moto MetricDataQuery in API spelling."""
    spelled: dict[str, Any] = {"Id": query.id, "Label": query.label}
    if query.return_data is not None:
        spelled["ReturnData"] = query.return_data
    if query.expression:
        return spelled | {"Expression": query.expression}
    stat, metric = query.metric_stat, query.metric_stat.metric
    dimensions = [{"Name": d.name, "Value": d.value} for d in metric.dimensions]
    of = {"Namespace": metric.namespace, "MetricName": metric.metric_name, "Dimensions": dimensions}
    return spelled | {
        "MetricStat": {"Metric": of, "Period": stat.period, "Stat": stat.stat, "Unit": stat.unit}
    }


def reason_data(of: Plan, verdict: Verdict, now: datetime) -> str:
    """`StateReasonData`, with the members AWS puts there."""
    stat = next(q.of for q in of.queries if isinstance(q.of, MetricStat))
    metric_math = any(isinstance(q.of, Expression) for q in of.queries)
    data = {
        "version": "1.0",
        "queryDate": _stamp(now),
        "period": of.period,
        "recentDatapoints": [value for _, value in verdict.points],
        "threshold": of.setting.threshold,
        "evaluatedDatapoints": [
            {"timestamp": _stamp(epoch_to_datetime(begin)), "value": value}
            for begin, value in verdict.points
        ],
    }
    if not metric_math:
        data["statistic"] = stat.stat
    return json.dumps(data)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


class AlarmLoop:
    """A thread that evaluates every alarm of the backends, every `TICK` virtual seconds."""

    def __init__(self, clock: Clock, backends: Callable[[], Iterable[Any]]) -> None:
        self._clock = clock
        self._backends = backends
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cloudwatch-alarms", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stopped.wait(max(0.05, self._clock.real_seconds(TICK))):
            for backend in self._backends():
                try:
                    self.tick(backend)
                except Exception:
                    log.exception("alarms of %s could not be evaluated", backend.region_name)

    def tick(self, backend: Any) -> None:
        """Evaluate every alarm of one region now."""
        now = self._clock.now()
        settle = max(SETTLE, SETTLE_REAL * self._clock.speed)
        for name, alarm in list(backend.alarms.items()):
            made = backend.plans.get(name)
            if made is None:
                continue
            verdict = made.evaluate(backend.store, now.timestamp() - settle, alarm.state_value)
            if verdict is not None and verdict.state != alarm.state_value:
                data = reason_data(made, verdict, now)
                backend.transition(alarm, verdict.state, verdict.reason, data)


class AlarmStates:
    """Implements `ports.Alarms` for one account and region."""

    def __init__(self, alarms: Callable[[], Mapping[str, Any]]) -> None:
        self._alarms = alarms

    def states(self, names: Sequence[str]) -> Mapping[str, str]:
        known = self._alarms()
        return {name: known[name].state_value for name in names if name in known}


INITIAL = (INSUFFICIENT_DATA, "Unchecked: Initial alarm creation")
