"""From rows to figures: means with intervals, percentiles, refusals."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_runbooks.eval_schema import Figure, Row, Times
from llmops_runbooks.eval_statistics import bootstrap, percentile, wilson

SHARES = frozenset(
    {"correct", "exact", "contained", "declined", "supported", "hit_at_1", "hit_at_3", "hit_at_5"}
)
"""Metrics that are 0 or 1."""


def figures(rows: Sequence[Row]) -> dict[str, Figure]:
    """The mean of each metric over the rows that have it, and the refusals."""
    names = dict.fromkeys(name for row in rows for name in row.metrics)
    found = {
        name: _mean(name, [row.metrics[name] for row in rows if name in row.metrics])
        for name in names
    }
    return found | _refusals(rows)


def times(rows: Sequence[Row], metric: str) -> Times | None:
    """The percentiles of a duration; None if no row has it."""
    values = [row.metrics[metric] for row in rows if metric in row.metrics]
    if not values:
        return None
    p50, p95, p99 = (round(percentile(values, share), 3) for share in (0.5, 0.95, 0.99))
    return Times(p50=p50, p95=p95, p99=p99)


def is_share(values: Sequence[float]) -> bool:
    """Whether these are yes and no."""
    return all(value in (0.0, 1.0) for value in values)


def _mean(name: str, values: Sequence[float]) -> Figure:
    if name in SHARES and is_share(values):
        return _share(sum(values), len(values))
    low, high = bootstrap(values)
    return _figure(sum(values) / len(values), low, high, len(values))


def _refusals(rows: Sequence[Row]) -> dict[str, Figure]:
    """Of answers, not of requests that failed."""
    said = [(row.answerable, row.metrics["declined"]) for row in rows if "declined" in row.metrics]
    declined = [answerable for answerable, declines in said if declines]
    unanswerable = [declines for answerable, declines in said if not answerable]
    counts = {
        "refusal_rate": (len(declined), len(said)),
        "refusal_precision": (declined.count(False), len(declined)),
        "refusal_recall": (sum(unanswerable), len(unanswerable)),
    }
    known = counts if unanswerable else {"refusal_rate": counts["refusal_rate"]}
    return {name: _share(hits, n) for name, (hits, n) in known.items() if n}


def _share(hits: float, n: int) -> Figure:
    return _figure(hits / n, *wilson(hits, n), n)


def _figure(value: float, low: float, high: float, n: int) -> Figure:
    return Figure(value=_short(value), low=_short(low), high=_short(high), n=n)


def _short(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")
