"""GetMetricData's queries against a store."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .bucket import Bucket
from .expression import Expression, ExpressionError, evaluate, parse
from .statistic import SIMPLE, known
from .store import MetricKey, MetricStore, metric_key

MOST_QUERIES = 500
"""Of one GetMetricData call (as AWS)."""
SHORT_PERIODS = (1, 5, 10, 20, 30)


class QueryError(ValueError):
    """A query that is wrong, or that the local cloud cannot answer."""


@dataclass(frozen=True)
class MetricStat:
    """A metric and how to aggregate it; `period` in virtual seconds."""

    key: MetricKey
    period: int
    stat: str
    unit: str | None = None


@dataclass(frozen=True)
class Query:
    """One of a request's queries: a metric or an expression over the others."""

    id: str
    label: str
    of: MetricStat | Expression
    return_data: bool = True


def read(queries: Sequence[Mapping[str, Any]]) -> list[Query]:
    """MetricDataQueries in API spelling. Raises QueryError or ExpressionError."""
    if len(queries) > MOST_QUERIES:
        raise QueryError(
            f"The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}."
        )
    found = [_query(query) for query in queries]
    ids = Counter(query.id for query in found)
    for query in found:
        if ids[query.id] > 1:
            raise QueryError(f"The id '{query.id}' is used by more than one query.")
        if isinstance(query.of, Expression) and not query.of.ids <= ids.keys():
            missing = ", ".join(sorted(query.of.ids - ids.keys()))
            raise QueryError(f"Error in expression '{query.of.text}': no query has id {missing}.")
    return found


def _query(query: Mapping[str, Any]) -> Query:
    name = query["Id"]
    returned = str(query.get("ReturnData", True)).lower() != "false"
    if query.get("Expression"):
        expression = parse(query["Expression"])
        return Query(name, query.get("Label") or name, expression, returned)
    if not query.get("MetricStat"):
        raise QueryError(f"Query '{name}' has neither MetricStat nor Expression.")
    stat = query["MetricStat"]
    metric = stat["Metric"]
    dimensions = {d["Name"]: d["Value"] for d in metric.get("Dimensions") or ()}
    key = metric_key(metric["Namespace"], metric["MetricName"], dimensions)
    of = MetricStat(key, checked_period(stat["Period"]), checked_stat(stat["Stat"]))
    unit = stat.get("Unit")
    of = MetricStat(of.key, of.period, of.stat, unit) if unit else of
    return Query(name, query.get("Label") or key.name, of, returned)


def checked_stat(stat: str) -> str:
    """Raises QueryError for a statistic that is not computed here."""
    if known(stat):
        return stat
    raise QueryError(
        f"The statistic {stat} is not supported by the local cloud; use one of "
        f"{', '.join(SIMPLE)}, a percentile such as p95, or TC or PR of a range such as "
        "TC(0.5:20), with absolute bounds of at most ten decimals."
    )


def checked_period(period: Any) -> int:
    """Raises QueryError unless the period is 1, 5, 10, 20, 30 or a multiple of 60 seconds."""
    seconds = int(period)
    if seconds in SHORT_PERIODS or (seconds > 0 and seconds % 60 == 0):
        return seconds
    raise QueryError(f"Period {period} must be 1, 5, 10, 20, 30 or a multiple of 60 seconds.")


def aligned(start: float, period: int) -> int:
    """Where the first period begins: the start rounded down to a minute, or to a short period."""
    step = min(period, 60)
    return int(start // step) * step


def run(
    store: MetricStore, queries: Sequence[Query], start: float, end: float
) -> dict[str, dict[int, float]]:
    """Points of every query by id, in ascending order of time."""
    return _Run(store, queries, start, end).all()


class _Run:
    """One request; remembers results, since expressions may share them."""

    def __init__(
        self, store: MetricStore, queries: Sequence[Query], start: float, end: float
    ) -> None:
        self._store = store
        self._queries = {query.id: query for query in queries}
        self._start, self._end = start, end
        self._done = self._metrics()
        self._open: set[str] = set()

    def all(self) -> dict[str, dict[int, float]]:
        return {name: self._points(name) for name in self._queries}

    def _metrics(self) -> dict[str, dict[int, float]]:
        """The points of all queries for a metric; each metric's buckets are gathered once."""
        wanted: dict[tuple[MetricKey, int, str | None], dict[str, str]] = defaultdict(dict)
        for query in self._queries.values():
            if isinstance(query.of, MetricStat):
                of = query.of
                wanted[of.key, of.period, of.unit][query.id] = of.stat
        done: dict[str, dict[int, float]] = {}
        for (key, period, unit), stats in wanted.items():
            span = range(aligned(self._start, period), int(self._end), period)
            done |= _columns(self._store, key, span, unit, stats)
        return done

    def _points(self, name: str) -> dict[int, float]:
        if name in self._done:
            return self._done[name]
        if name in self._open:
            raise ExpressionError(f"Error in expression: '{name}' depends on itself.")
        self._open.add(name)
        of = self._queries[name].of
        assert isinstance(of, Expression)
        self._done[name] = self._math(of)
        return self._done[name]

    def _math(self, of: Expression) -> dict[int, float]:
        period = self._period(of)
        times = range(aligned(self._start, period), int(self._end), period)
        return evaluate(of, self._points, times)

    def _period(self, of: Expression, seen: frozenset[str] = frozenset()) -> int:
        """The longest period of the metrics an expression reads, however deep."""
        periods = []
        for name in of.ids - seen:
            inner = self._queries[name].of
            if isinstance(inner, MetricStat):
                periods.append(inner.period)
            else:
                periods.append(self._period(inner, seen | of.ids))
        return max(periods, default=60)


def points(store: MetricStore, of: MetricStat, start: int, end: int) -> dict[int, float]:
    """The statistic of each period that has data, by the beginning of the period."""
    span = range(start, end, of.period)
    return _columns(store, of.key, span, of.unit, {"": of.stat})[""]


def _columns(
    store: MetricStore, key: MetricKey, span: range, unit: str | None, stats: Mapping[str, str]
) -> dict[str, dict[int, float]]:
    """The points of several statistics of one metric, by the names they are asked under."""

    def row(bucket: Bucket) -> list[float | None]:
        return [bucket.statistic(stat) for stat in stats.values()]

    rows = store.measure(key, span, row, unit)
    return {
        name: {begin: value for begin, values in rows.items() if (value := values[i]) is not None}
        for i, name in enumerate(stats)
    }
