"""What /metrics says: counters and histograms of this process in Prometheus's text format.

Counting is on the path of the request and touches dictionaries and lists only; the format is
written when somebody asks, by prometheus_client. Label values are names that the operator chose
(features, providers, models), and still bounded: beyond MOST label sets a family counts under
`other`, so that nothing a caller sends can grow the page.
Names and buckets follow vLLM's and LiteLLM's, with the prefix `llm_service_`.
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from llm_service.telemetry.exchange import Exchange

MOST = 500
"""Label sets of one family."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160)
FIRST_TOKENS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.25, 2.5, 5, 10, 20)
OTHER = "other"

Labels = tuple[str, ...]


class Counter:
    """A family of numbers that only grow."""

    def __init__(self, name: str, help: str, labels: Sequence[str] = ()) -> None:
        self.name, self.help, self.labels = name, help, tuple(labels)
        self.values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Adds `amount` to the number with these label values, in the order of `labels`."""
        values = self.values
        if labels in values:
            values[labels] += amount
            return
        if len(values) >= MOST:
            labels = (OTHER,) * len(labels)
        values[labels] = values.get(labels, 0) + amount


class Histogram:
    """A family of histograms over `bounds` (seconds); the last count is of what is above."""

    def __init__(
        self, name: str, help: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        self.name, self.help, self.labels, self.bounds = name, help, tuple(labels), tuple(bounds)
        self.values: dict[Labels, list[float]] = {}

    def observe(self, labels: Labels, seconds: float) -> None:
        """Counts `seconds`; a cell list is the counts by bucket and the sum of what was seen."""
        cells = self.values.get(labels)
        if cells is None:
            if len(self.values) >= MOST:
                labels = (OTHER,) * len(labels)
            cells = self.values.setdefault(labels, [0.0] * (len(self.bounds) + 2))
        cells[bisect_left(self.bounds, seconds)] += 1
        cells[-1] += seconds


class Gauge(NamedTuple):
    """A family that is read when somebody asks: label values and the number, each time anew;
    `total` if the number only grows."""

    name: str
    help: str
    labels: Labels
    read: Callable[[], Iterable[tuple[Labels, float]]]
    total: bool


class Prometheus:
    """All families of one process; `build` are the labels of its build info, `catch_up` counts what
    is not counted yet, before somebody reads."""

    def __init__(
        self, build: Mapping[str, str], catch_up: Callable[[], None] = lambda: None
    ) -> None:
        who = ("feature", "provider", "model")
        self.requests = Counter("llm_service_requests", "Requests.", (*who, "status"))
        self.tokens = Counter("llm_service_tokens", "Tokens read and written.", (*who, "type"))
        self.cost = Counter("llm_service_cost_micro_usd", "What answers cost.", who)
        self.refusals = Counter("llm_service_refusals", "Answers that declined.", ("feature",))
        self.guarded = Counter("llm_service_guardrail_hits", "Answers replaced.", ("feature",))
        self.cache = Counter("llm_service_cache_requests", "Cache lookups.", ("feature", "result"))
        self.redactions = Counter("llm_service_redactions", "Redacted pieces.", ("kind",))
        self.injections = Counter("llm_service_injections", "Suspicious prompts.", ("feature",))
        self.budget = Counter("llm_service_budget_events", "Thresholds passed.", ())
        self.attempts = Counter(
            "llm_service_provider_attempts",
            "Calls of providers by how they ended.",
            ("provider", "model", "outcome"),
        )
        self.tools = Counter("llm_service_tool_calls", "Functions executed.", ("tool", "outcome"))
        self.exposures = Counter(
            "llm_service_experiment_exposures", "Requests by variant.", ("experiment", "variant")
        )
        self.duration = Histogram(
            "llm_service_request_duration_seconds", "First byte in to last out.", who, DURATIONS
        )
        self.first = Histogram(
            "llm_service_time_to_first_token_seconds", "Until the first token.", who, FIRST_TOKENS
        )
        self._build, self._catch_up = dict(build), catch_up
        self._gauges: list[Gauge] = []

    def gauge(
        self,
        name: str,
        help: str,
        labels: Sequence[str],
        read: Callable[[], Iterable[tuple[Labels, float]]],
        *,
        total: bool = False,
    ) -> None:
        """Adds a family that `read` gives; where it raises, the family is left out."""
        self._gauges.append(Gauge(name, help, tuple(labels), read, total))

    def count(self, exchange: Exchange) -> None:
        """Counts a request."""
        feature = exchange.feature
        who = (feature, exchange.provider, exchange.model)
        self.requests.add((*who, str(exchange.status)))
        self.duration.observe(who, exchange.ended - exchange.began)
        if exchange.answered:
            self._answer(who, exchange)
        if exchange.guarded:
            self.guarded.add((feature,))
        if exchange.injection:
            self.injections.add((feature,))
        for kind, found in exchange.redactions.items():
            self.redactions.add((kind,), found)
        if exchange.budget_events:
            self.budget.add((), exchange.budget_events)
        for attempt in exchange.attempts:
            self.attempts.add((attempt.provider, attempt.model, attempt.error or "ok"))
        for tool in exchange.tools:
            self.tools.add((tool.name, "failed" if tool.failed else "ok"))
        if exchange.experiment:
            self.exposures.add((exchange.experiment, exchange.variant))

    def text(self) -> bytes:
        """The page in Prometheus's text format."""
        from prometheus_client import generate_latest

        self._catch_up()
        return generate_latest(self)

    def collect(self) -> Iterator[Any]:
        """The families, as prometheus_client's custom collectors give them."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            InfoMetricFamily,
        )

        yield InfoMetricFamily("llm_service_build", "The release that runs.", value=self._build)
        for family in vars(self).values():
            if isinstance(family, Counter):
                yield _counter(family)
            elif isinstance(family, Histogram):
                yield _histogram(family)
        for gauge in self._gauges:
            family = CounterMetricFamily if gauge.total else GaugeMetricFamily
            found = family(gauge.name, gauge.help, labels=gauge.labels)
            for labels, value in _read(gauge):
                found.add_metric(labels, value)
            yield found

    def _answer(self, who: Labels, exchange: Exchange) -> None:
        usage = exchange.usage
        self.tokens.add((*who, "prompt"), usage.prompt)
        self.tokens.add((*who, "completion"), usage.completion)
        if exchange.first is not None:
            self.first.observe(who, exchange.first - exchange.began)
        if exchange.cost is not None:
            self.cost.add(who, exchange.cost)
        if exchange.refused:
            self.refusals.add((exchange.feature,))
        if exchange.cached is not None:
            self.cache.add((exchange.feature, exchange.cached))


def _read(gauge: Gauge) -> list[tuple[Labels, float]]:
    try:
        return list(gauge.read())
    except Exception:  # noqa: BLE001 - one family that cannot be read must not hide the others
        return []


def _counter(counter: Counter) -> Any:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(counter.name, counter.help, labels=counter.labels)
    for labels, value in list(counter.values.items()):
        family.add_metric(labels, value)
    return family


def _histogram(histogram: Histogram) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(histogram.name, histogram.help, labels=histogram.labels)
    for labels, cells in list(histogram.values.items()):
        total, buckets = 0.0, []
        for bound, count in zip((*histogram.bounds, float("inf")), cells[:-1], strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), total))
        family.add_metric(labels, buckets, cells[-1])
    return family
