"""One line of CloudWatch embedded metric format (EMF) per chat or search request, on stdout.

CloudWatch Logs turns such a line into metrics by its `_aws` member. The dimension set is service,
environment and release, so that two releases under traffic at once are two series:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass

from llm_service.provider import Answer
from llm_service.quality import POOR_BELOW

UNITS = {
    "Requests": "Count",
    "Errors": "Count",
    "Latency": "Milliseconds",
    "Answers": "Count",
    "PoorAnswers": "Count",
    "Quality": "None",
    "PromptTokens": "Count",
    "CompletionTokens": "Count",
}


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Whose metrics these are."""

    namespace: str
    service: str
    environment: str
    release: str


@dataclass(frozen=True, slots=True)
class Observed:
    """One request as it ended; `latency` in milliseconds up to the last byte of the body."""

    request_id: str
    path: str
    status: int
    latency: float
    answer: Answer | None


def line(dimensions: Dimensions, observed: Observed, now: float) -> str:
    """The EMF line of a request that ended at `now` (epoch seconds), without a newline.

    The metrics of an answer are left out where there was none: a missing value is not a zero.
    """
    values = {
        "Requests": 1,
        "Errors": int(observed.status >= 500),
        "Latency": round(observed.latency, 3),
        **(_of_answer(observed.answer) if observed.answer else {}),
    }
    directive = {
        "Namespace": dimensions.namespace,
        "Dimensions": [["service", "environment", "release"]],
        "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
    }
    return json.dumps(
        {
            "_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]},
            "service": dimensions.service,
            "environment": dimensions.environment,
            "release": dimensions.release,
            **values,
            "request_id": observed.request_id,
            "status": observed.status,
            "path": observed.path,
        },
        separators=(",", ":"),
    )


def _of_answer(answer: Answer) -> dict[str, float]:
    return {
        "Answers": 1,
        "PoorAnswers": int(answer.quality < POOR_BELOW),
        "Quality": answer.quality,
        "PromptTokens": answer.prompt_tokens,
        "CompletionTokens": answer.completion_tokens,
    }


def emit(dimensions: Dimensions, observed: Observed) -> None:
    """Writes the line at once: a task that is stopped must not take its last minute with it."""
    sys.stdout.write(line(dimensions, observed, time.time()) + "\n")
    sys.stdout.flush()
