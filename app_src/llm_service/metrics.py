"""Lines of CloudWatch embedded metric format (EMF) on stdout: of requests, scores and thumbs.

CloudWatch Logs turns such a line into metrics by its `_aws` member. The dimension set is service,
environment and release, so that two releases under traffic at once are two series. `Requests` has
two more sets, with the feature and with the provider's fingerprint, so that a change of traffic or
of the provider shows. A metric without a value is left out of its line: missing is not zero.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

UNITS = {"Latency": "Milliseconds", "FirstToken": "Milliseconds"}
NO_UNIT = frozenset({"Cost", "Quality", "Support", "ScoringSpend", "Feedback"})
"""Micro-dollars, shares and thumbs have no unit in CloudWatch; everything else is a count."""
SET = ("service", "environment", "release")


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Whose metrics these are."""

    namespace: str
    service: str
    environment: str
    release: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as its request ended; `ready` is time.perf_counter() when its first piece could
    be sent, `cost` micro-dollars, or None where the model has no price."""

    ready: float
    cost: float | None
    prompt_tokens: int
    completion_tokens: int
    refused: bool
    retrieved: bool
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Observed:
    """One request as it ended; `began` and `ended` by time.perf_counter(), up to the last byte."""

    request_id: str
    path: str
    status: int
    began: float
    ended: float
    feature: str
    guarded: bool
    answered: Answered | None


def of_request(dimensions: Dimensions, observed: Observed, now: float) -> str:
    """The line of a request that ended at `now` (epoch seconds), without a newline."""
    answered = observed.answered
    values = {
        "Requests": 1,
        "Errors": int(observed.status >= 500),
        "Latency": round((observed.ended - observed.began) * 1000, 3),
        "GuardrailHits": int(observed.guarded),
        **(_of_answer(answered, observed.began) if answered else {}),
    }
    fields = {
        "request_id": observed.request_id,
        "status": observed.status,
        "path": observed.path,
        "feature": observed.feature,
    }
    if answered and answered.fingerprint:
        fields["fingerprint"] = answered.fingerprint
    return _line(dimensions, values, fields, now)


def _of_answer(answered: Answered, began: float) -> dict[str, float]:
    cost = {} if answered.cost is None else {"Cost": answered.cost}
    return {
        "Answers": 1,
        "FirstToken": round((answered.ready - began) * 1000, 3),
        **cost,
        "Tokens": answered.prompt_tokens + answered.completion_tokens,
        "PromptTokens": answered.prompt_tokens,
        "CompletionTokens": answered.completion_tokens,
        "Refusals": int(answered.refused),
        "RetrievalHits": int(answered.retrieved),
    }


def of_score(
    dimensions: Dimensions, values: Mapping[str, float], fields: Mapping[str, Any], now: float
) -> str:
    """The line of a scored answer: `values` among Quality, Support and ScoringSpend."""
    return _line(dimensions, values, fields, now)


def of_feedback(dimensions: Dimensions, up: bool, response_id: str, now: float) -> str:
    """The line of a thumb, with the dimensions of the release that gave the answer."""
    return _line(dimensions, {"Feedback": int(up)}, {"response_id": response_id}, now)


def emit(line: str) -> None:
    """Writes the line at once: a task that is stopped must not take its last minute with it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def clock() -> float:
    """Now, in epoch seconds."""
    return time.time()


def _line(
    dimensions: Dimensions, values: Mapping[str, float], fields: Mapping[str, Any], now: float
) -> str:
    more = tuple(name for name in ("feature", "fingerprint") if name in fields)
    directives = _directives(dimensions.namespace, tuple(values), more)
    document = {
        "service": dimensions.service,
        "environment": dimensions.environment,
        "release": dimensions.release,
        **values,
        **fields,
    }
    head = f'{{"_aws":{{"Timestamp":{int(now * 1000)},"CloudWatchMetrics":{directives}}},'
    return head + json.dumps(document, separators=(",", ":"))[1:]


@lru_cache(maxsize=64)
def _directives(namespace: str, names: tuple[str, ...], more: tuple[str, ...]) -> str:
    """The JSON of what CloudWatch makes metrics of: `names` by the common set, Requests by the
    sets with one of `more` too. It is two thirds of a line, and always one of a few."""
    found: list[dict[str, Any]] = [
        {
            "Namespace": namespace,
            "Dimensions": [SET],
            "Metrics": [{"Name": name, "Unit": _unit(name)} for name in names],
        }
    ]
    if more:
        further = [(*SET, name) for name in more]
        requests = [{"Name": "Requests", "Unit": "Count"}]
        found.append({"Namespace": namespace, "Dimensions": further, "Metrics": requests})
    return json.dumps(found, separators=(",", ":"))


def _unit(name: str) -> str:
    return "None" if name in NO_UNIT else UNITS.get(name, "Count")
