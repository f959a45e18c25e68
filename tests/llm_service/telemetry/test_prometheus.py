"""/metrics: what a scraper parses, and how large it can get."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from llm_service.telemetry import Dimensions, Exchange, Telemetry
from llm_service.telemetry.gauges import watch
from llm_service.telemetry.lines import Lines
from llm_service.telemetry.prometheus import MOST, Prometheus

Make = Callable[..., Exchange]
WHO = {"feature": "default", "provider": "openai", "model": "gpt-4o-mini"}


def samples(prometheus: Prometheus) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(prometheus.text().decode())
    return {
        (each.name, frozenset(each.labels.items())): each.value
        for family in families
        for each in family.samples
    }


def counted(*exchanges: Exchange) -> Any:
    prometheus = Prometheus({"release": "1.0.0-ab"})
    for exchange in exchanges:
        prometheus.count(exchange)
    found = samples(prometheus)
    return lambda name, **labels: found.get((f"llm_service_{name}", frozenset(labels.items())))


def test_requests_tokens_and_cost_are_counted_by_who_answered(exchange: Make) -> None:
    value = counted(exchange(), exchange(), exchange(status=502, answered=False))
    assert value("requests_total", **WHO, status="200") == 2
    assert value("requests_total", **WHO, status="502") == 1
    assert value("tokens_total", **WHO, type="prompt") == 200
    assert value("tokens_total", **WHO, type="completion") == 40
    assert value("cost_micro_usd_total", **WHO) == 54


def test_durations_are_histograms_that_add_up(exchange: Make) -> None:
    value = counted(exchange(), exchange(ended=100.03, at=1.0, first=100.002))
    name = "request_duration_seconds"
    assert value(f"{name}_bucket", **WHO, le="0.025") == 0
    assert value(f"{name}_bucket", **WHO, le="0.05") == 1
    assert value(f"{name}_bucket", **WHO, le="2.5") == 2
    assert value(f"{name}_bucket", **WHO, le="+Inf") == value(f"{name}_count", **WHO) == 2
    assert abs(value(f"{name}_sum", **WHO) - 2.03) < 1e-9
    assert value("time_to_first_token_seconds_bucket", **WHO, le="0.005") == 1


def test_a_value_on_a_bound_is_within_it() -> None:
    prometheus = Prometheus({})
    prometheus.duration.observe(tuple(WHO.values()), 0.05)
    labels = frozenset({**WHO, "le": "0.05"}.items())
    assert samples(prometheus)["llm_service_request_duration_seconds_bucket", labels] == 1


def test_attempts_caches_and_incidents_are_counted(exchange: Make) -> None:
    value = counted(
        exchange(cached="exact", injection=True, redactions={"email": 2}, guarded=True),
        exchange(cached="miss", injection=False),
    )
    timed_out = {"provider": "anthropic", "model": "haiku", "outcome": "timed_out"}
    assert value("provider_attempts_total", **timed_out) == 2
    assert value("cache_requests_total", feature="default", result="exact") == 1
    assert value("cache_requests_total", feature="default", result="miss") == 1
    assert value("injections_total", feature="default") == 1
    assert value("redactions_total", kind="email") == 2
    assert value("guardrail_hits_total", feature="default") == 1
    assert value("tool_calls_total", tool="search_corpus", outcome="ok") == 2


def test_the_build_and_the_sinks_are_told() -> None:
    telemetry = Telemetry(Dimensions("n", "s", "e", "1.0.0-ab"), lines=Lines(), sinks={})
    found = samples(telemetry.prometheus)
    build = {"service": "s", "environment": "e", "release": "1.0.0-ab"}
    assert found["llm_service_build_info", frozenset(build.items())] == 1
    for name in ("queued", "failed_total", "dropped_total"):
        assert found[f"llm_service_telemetry_{name}", frozenset({("sink", "lines")})] == 0


def test_a_gauge_is_read_when_asked_and_may_fail_alone(exchange: Make) -> None:
    prometheus = Prometheus({})
    prometheus.count(exchange())
    opened = [(("openai",), 1.0)]
    prometheus.gauge("llm_service_breaker_open", "Open.", ("provider",), lambda: opened)
    prometheus.gauge("llm_service_broken", "Fails.", (), lambda: [((), 1 / 0)])
    assert samples(prometheus)["llm_service_breaker_open", frozenset({("provider", "openai")})] == 1
    opened[0] = (("openai",), 0.0)
    assert samples(prometheus)["llm_service_breaker_open", frozenset({("provider", "openai")})] == 0


def test_breakers_queues_and_the_cache_are_told() -> None:
    prometheus = Prometheus({})
    watch(
        prometheus,
        breakers=lambda: {"openai/gpt": {"state": "half_open"}},
        connections=lambda: 3,
        cache=lambda: {"entries": 5, "bytes": 700},
        parts={"ledger": lambda: {"queued": 2, "dropped": 1}, "scoring": lambda: {"failed": 4}},
    )
    found = samples(prometheus)

    def value(name: str, **labels: str) -> float | None:
        return found.get((f"llm_service_{name}", frozenset(labels.items())))

    assert value("breaker_state", model="openai/gpt", state="half_open") == 1
    assert value("breaker_state", model="openai/gpt", state="open") == 0
    assert value("provider_connections") == 3
    assert (value("cache_entries"), value("cache_bytes")) == (5, 700)
    assert value("queued", queue="ledger") == 2
    assert value("dropped_total", queue="ledger") == 1
    assert value("failed_total", queue="scoring") == 4
    assert value("queued", queue="scoring") is None


def test_names_that_callers_invent_cannot_grow_the_page(exchange: Make) -> None:
    prometheus = Prometheus({})
    for number in range(3 * MOST):
        prometheus.count(exchange(feature=f"f{number}"))
    assert len(prometheus.requests.values) == MOST + 1
    assert len(prometheus.duration.values) == MOST + 1
    assert prometheus.requests.values["other", "other", "other", "other"] == 2 * MOST
