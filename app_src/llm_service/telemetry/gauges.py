"""What /metrics says of the parts that count for themselves: breakers, queues, connections, cache.

Each part tells how it stands as it does for /readyz; it is asked when the page is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from llm_service.telemetry.prometheus import Labels, Prometheus

BREAKERS = ("closed", "open", "half_open")

State = Callable[[], Mapping[str, Any]]


def watch(
    prometheus: Prometheus,
    *,
    breakers: State,
    connections: Callable[[], int],
    cache: State,
    parts: Mapping[str, State],
) -> None:
    """Adds gauges: `breakers` as Router.state, `cache` as Cache.state, `parts` by name whatever
    has `queued`, `dropped` or `failed`."""
    prometheus.gauge(
        "llm_service_breaker_state",
        "1 for the state that a model's breaker is in.",
        ("model", "state"),
        lambda: _breakers(breakers()),
    )
    prometheus.gauge(
        "llm_service_provider_connections",
        "Open connections to providers.",
        (),
        lambda: [((), connections())],
    )
    for what in ("entries", "bytes"):
        prometheus.gauge(f"llm_service_cache_{what}", "In this process.", (), _one(cache, what))
    prometheus.gauge("llm_service_queued", "Waiting, by queue.", ("queue",), _all(parts, "queued"))
    for what in ("dropped", "failed"):
        help = f"What was {what}, by queue."
        prometheus.gauge(f"llm_service_{what}", help, ("queue",), _all(parts, what), total=True)


def _breakers(state: Mapping[str, Any]) -> Iterator[tuple[Labels, float]]:
    for model, found in state.items():
        for each in BREAKERS:
            yield (model, each), float(found["state"] == each)


def _one(state: State, what: str) -> Callable[[], list[tuple[Labels, float]]]:
    return lambda: [((), state()[what])]


def _all(parts: Mapping[str, State], what: str) -> Callable[[], Iterator[tuple[Labels, float]]]:
    def read() -> Iterator[tuple[Labels, float]]:
        for name, state in parts.items():
            found = state()
            if what in found:
                yield (name,), found[what]

    return read
