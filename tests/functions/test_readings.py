"""Reading CloudWatch: every page, nothing from partial data."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from llmops_functions import readings

AT = datetime(2026, 11, 20, 12, 1, tzinfo=UTC)
RELEASES = {"baseline": "1", "canary": "2"}
SOURCE = readings.Source("llmops", "handbook", "local")


class Pages:
    """A CloudWatch that answers GetMetricData page by page."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = pages
        self.tokens: list[str | None] = []

    def get_metric_data(self, **request: Any) -> dict[str, Any]:
        self.tokens.append(request.get("NextToken"))
        number = len(self.tokens)
        token = {"NextToken": str(number)} if number < len(self.pages) else {}
        values = self.pages[number - 1]
        results = [
            {
                "Id": query["Id"],
                "StatusCode": values.get("status", "Complete"),
                "Timestamps": [values["at"]] if query["Id"] in values else [],
                "Values": [values[query["Id"]]] if query["Id"] in values else [],
            }
            for query in request["MetricDataQueries"]
        ]
        return {"MetricDataResults": results, **token}


def read(cloudwatch: Any) -> list[readings.Interval]:
    start = int(AT.timestamp())
    return readings.read(cloudwatch, SOURCE, releases=RELEASES, start=start, end=start + 300)


def test_every_page_is_read() -> None:
    pages = Pages(
        {"at": AT, "baseline_requests": 9.0, "baseline_errors": 0.0, "status": "PartialData"},
        {"at": AT, "canary_requests": 1.0, "canary_errors": 1.0},
    )
    (interval,) = read(pages)
    assert pages.tokens == [None, "1"]
    assert (interval.baseline.requests, interval.canary.errors) == (9, 1)


def test_partial_data_is_an_error() -> None:
    with pytest.raises(readings.ReadingError, match="PartialData"):
        read(Pages({"at": AT, "baseline_requests": 9.0, "status": "PartialData"}))


def test_both_releases_are_asked_for_in_one_call() -> None:
    pages = Pages({"at": AT})
    assert read(pages) == []
    assert len(pages.tokens) == 1


def test_no_answers_when_all_requests_failed_is_a_fact() -> None:
    (interval,) = read(Pages({"at": AT, "canary_requests": 4.0, "canary_errors": 4.0}))
    assert (interval.canary.answers, interval.canary.poor) == (0, 0)


def test_answers_not_reported_are_unknown() -> None:
    (interval,) = read(Pages({"at": AT, "canary_requests": 4.0, "canary_errors": 1.0}))
    assert interval.canary.answers is None


def test_an_empty_window_asks_nothing() -> None:
    assert readings.read(None, SOURCE, releases=RELEASES, start=60, end=60) == []
