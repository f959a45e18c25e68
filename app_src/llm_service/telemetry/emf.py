"""Lines of CloudWatch embedded metric format (EMF): of requests, scores and thumbs.

CloudWatch Logs turns such a line into metrics by its `_aws` member. The dimension set is service,
environment and release, so that two releases under traffic at once are two series; the gate reads
every metric of its own per-request values by trimmed counts, which are its histogram. `Requests`
has further sets with the feature, the provider's fingerprint and the provider, so that a change of
traffic or of the provider shows. What an experiment compares has a set with the variant instead of
the release. A metric without a value is left out of its line: missing is not zero.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

A request is one line. A provider that failed before another one answered has a line of its own,
since a line has one value per dimension.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from llm_service.telemetry.exchange import Exchange, Thumb

UNITS = {"Latency": "Milliseconds", "FirstToken": "Milliseconds"}
NO_UNIT = frozenset({"Cost", "Quality", "Support", "ScoringSpend", "Feedback"})
"""Micro-dollars, shares and thumbs have no unit in CloudWatch; everything else is a count."""
SET = ("service", "environment", "release")
LABELS = ("feature", "fingerprint", "provider")
"""What Requests are counted by beside the release."""
PROVIDER = ("ProviderErrors", "ProviderTimeouts")
EXPERIMENT = ("service", "environment", "experiment", "variant")
COMPARED = frozenset({"Exposures", "Errors", "Latency", "Cost", "Quality", "Feedback"})
"""What an experiment's report compares between variants."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Whose metrics these are."""

    namespace: str
    service: str
    environment: str
    release: str


def of_exchange(dimensions: Dimensions, exchange: Exchange) -> bytes:
    """The lines of a request, without the last newline."""
    values: dict[str, Any] = {
        "Requests": 1,
        "Errors": int(exchange.status >= 500),
        "Latency": round(exchange.seconds * 1000, 3),
        "GuardrailHits": int(exchange.guarded),
    }
    fields: dict[str, Any] = {
        "request_id": exchange.request_id,
        "status": exchange.status,
        "path": exchange.path,
        "feature": exchange.feature,
    }
    if exchange.answered:
        _answer(values, fields, exchange)
    _incidents(values, exchange)
    if exchange.experiment:
        values["Exposures"] = 1
        fields |= _variant(exchange.experiment, exchange.variant, exchange.subject)
    elsewhere = _attempts(values, fields, exchange) if exchange.attempts else ()
    line = _line(dimensions, values, fields, exchange.at)
    return b"\n".join([line, *_failures(dimensions, exchange, elsewhere)]) if elsewhere else line


def of_score(
    dimensions: Dimensions,
    values: Mapping[str, float],
    fields: Mapping[str, Any],
    now: float,
    *,
    experiment: str = "",
    variant: str = "",
    subject: str = "",
) -> bytes:
    """The line of a scored answer: `values` among Quality, Support and ScoringSpend."""
    told = _variant(experiment, variant, subject) if experiment else {}
    return _line(dimensions, values, {**fields, **told}, now)


def of_feedback(dimensions: Dimensions, thumb: Thumb, now: float) -> bytes:
    """The line of a thumb; the dimensions are of the release that gave the answer."""
    told = _variant(thumb.experiment, thumb.variant, thumb.subject) if thumb.experiment else {}
    fields = {"response_id": thumb.response_id, **told}
    return _line(dimensions, {"Feedback": int(thumb.up)}, fields, now)


def of_budget(dimensions: Dimensions, fields: Mapping[str, Any], now: float) -> bytes:
    """The line of a budget that passed a threshold; `fields` say whose and which."""
    return _line(dimensions, {"BudgetEvents": 1}, fields, now)


def _answer(values: dict[str, Any], fields: dict[str, Any], exchange: Exchange) -> None:
    usage, first = exchange.usage, exchange.first
    values["Answers"] = 1
    if first is not None:
        values["FirstToken"] = round((first - exchange.began) * 1000, 3)
    if exchange.cost is not None:
        values["Cost"] = exchange.cost
    values["Tokens"] = usage.prompt + usage.completion
    values["PromptTokens"] = usage.prompt
    values["CompletionTokens"] = usage.completion
    values["Refusals"] = int(exchange.refused)
    values["RetrievalHits"] = int(exchange.retrieved)
    if exchange.cached is not None:
        values["CacheHits"] = int(exchange.cached != "miss")
    if exchange.fingerprint:
        fields["fingerprint"] = exchange.fingerprint
    if exchange.provider:
        fields["provider"] = exchange.provider


def _incidents(values: dict[str, Any], exchange: Exchange) -> None:
    if exchange.redactions:
        values["Redactions"] = sum(exchange.redactions.values())
    if exchange.injection is not None:
        values["Injections"] = int(exchange.injection)
    if exchange.budget_events:
        values["BudgetEvents"] = exchange.budget_events


def _variant(experiment: str, variant: str, subject: str) -> dict[str, str]:
    told = {"experiment": experiment, "variant": variant}
    return {**told, "subject": subject} if subject else told


def _attempts(
    values: dict[str, Any], fields: dict[str, Any], exchange: Exchange
) -> tuple[str, ...]:
    """Adds what the line's own provider did wrong; the other providers that did."""
    own = fields.setdefault("provider", exchange.attempts[-1].provider)
    errors = timeouts = 0
    elsewhere: dict[str, None] = {}
    for attempt in exchange.attempts:
        if attempt.provider == own:
            errors += bool(attempt.error)
            timeouts += attempt.error == "timed_out"
        elif attempt.error:
            elsewhere[attempt.provider] = None
    values["ProviderErrors"], values["ProviderTimeouts"] = errors, timeouts
    return tuple(elsewhere)


def _failures(
    dimensions: Dimensions, exchange: Exchange, providers: tuple[str, ...]
) -> Iterator[bytes]:
    for provider in providers:
        failed = [each.error for each in exchange.attempts if each.provider == provider]
        values = {
            "ProviderErrors": sum(map(bool, failed)),
            "ProviderTimeouts": failed.count("timed_out"),
        }
        fields = {"request_id": exchange.request_id, "provider": provider}
        yield _line(dimensions, values, fields, exchange.at)


def _line(
    dimensions: Dimensions, values: Mapping[str, Any], fields: Mapping[str, Any], now: float
) -> bytes:
    directives = _directives(
        dimensions.namespace,
        tuple(values),
        tuple([name for name in LABELS if name in fields]),
        "experiment" in fields,
    )
    document = {
        "_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": directives},
        "service": dimensions.service,
        "environment": dimensions.environment,
        "release": dimensions.release,
        **values,
        **fields,
    }
    return _encode(document)


@lru_cache(maxsize=256)
def _directives(
    namespace: str, names: tuple[str, ...], labels: tuple[str, ...], compared: bool
) -> msgspec.Raw:
    """The JSON of what CloudWatch makes metrics of. It is two thirds of a line, and always one of
    a few: the common set, Requests by each label, a provider's failures, what is compared."""
    own = [name for name in names if name not in PROVIDER and name != "Exposures"]
    found = [_directive(namespace, [SET], own)] if own else []
    if labels and "Requests" in names:
        found.append(_directive(namespace, [(*SET, each) for each in labels], ["Requests"]))
    failures = [name for name in names if name in PROVIDER]
    if failures:
        found.append(_directive(namespace, [(*SET, "provider")], failures))
    if compared:
        chosen = [name for name in names if name in COMPARED]
        found.append(_directive(namespace, [EXPERIMENT], chosen))
    return msgspec.Raw(json.dumps(found, separators=(",", ":")).encode())


def _directive(namespace: str, sets: list[tuple[str, ...]], names: list[str]) -> dict[str, Any]:
    metrics = [{"Name": name, "Unit": _unit(name)} for name in names]
    return {"Namespace": namespace, "Dimensions": sets, "Metrics": metrics}


def _unit(name: str) -> str:
    return "None" if name in NO_UNIT else UNITS.get(name, "Count")
