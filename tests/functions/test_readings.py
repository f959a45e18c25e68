"""Reading CloudWatch: histograms by trimmed counts, every page, nothing from partial data."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudwatch_twin import CloudWatch

from llmops_functions import readings
from llmops_functions.queries import MAXIMUM_QUERIES, Query, ReadingError, Source, fetch
from llmops_judge import CATALOGUE, Policy, Sample
from llmops_judge.scales import Scale, cell

AT = int(datetime(2026, 11, 20, 12, 1, tzinfo=UTC).timestamp())
RELEASES = {"baseline": "1", "canary": "2"}
SOURCE = Source("llmops", "handbook", "local")
POLICY = Policy()
OF = (("service", "handbook"), ("environment", "local"))


def read(cloudwatch: Any, policy: Policy = POLICY, minutes: int = 5) -> list[readings.Interval]:
    return readings.read(
        cloudwatch, SOURCE, policy, releases=RELEASES, start=AT, end=AT + 60 * minutes
    )


def put(cloudwatch: CloudWatch, release: str, minute: Any = 0, **metrics: Any) -> None:
    for metric, values in metrics.items():
        cloudwatch.put(metric, dict(SOURCE.dimensions(release)), AT + 60 * minute, values)


def label(cloudwatch: CloudWatch, release: str, kind: str, value: str, requests: int) -> None:
    dimensions = dict(SOURCE.dimensions(release, **{kind: value}))
    cloudwatch.put("Requests", dimensions, AT, [1.0] * requests)


VALUES: dict[Scale, list[float]] = {
    "ratio": [0, 0.0005, 2**-10, 0.3, 1, 1.19, 2, 7, 512, 513, 812.5, 30_000, 2.0**30, 4e9],
    "unit": [0, 0.001, 0.05, 0.0500001, 0.5, 0.85, 0.95, 0.99, 1.0],
}


@pytest.mark.parametrize("scale", ["ratio", "unit"])
def test_the_trimmed_counts_read_the_judges_own_cells(scale: Scale) -> None:
    chance = random.Random(1)
    values = VALUES[scale] + [
        chance.lognormvariate(6, 1) if scale == "ratio" else chance.random() for _ in range(500)
    ]
    name = "latency" if scale == "ratio" else "quality"
    cloudwatch = CloudWatch()
    put(cloudwatch, "1", Requests=[1.0], **{CATALOGUE[name].published: values})
    expected: dict[int, int] = {}
    for value in values:
        number = cell(scale, value)
        expected[number] = expected.get(number, 0) + 1
    assert read(cloudwatch)[0].baseline.counts[name] == expected


def test_a_metric_of_ones_own_is_read() -> None:
    policy = Policy.from_settings(
        {"metrics": {"tool_calls": {"scale": "ratio", "margin": 1.5, "statistic": "mean"}}}
    )
    cloudwatch = CloudWatch()
    put(cloudwatch, "2", Requests=[1.0] * 3, ToolCalls=[1.0, 2.0, 2.0])
    assert read(cloudwatch, policy)[0].canary.counts["tool_calls"] == {0: 1, 4: 2}


def test_a_share_is_read_by_sum_and_count() -> None:
    cloudwatch = CloudWatch()
    put(cloudwatch, "1", Requests=[1.0] * 4, Errors=[0.0, 1.0, 0.0, 0.0], Answers=[1.0] * 3)
    put(cloudwatch, "1", Feedback=[1.0, 1.0])
    counts = read(cloudwatch)[0].baseline.counts
    assert (counts["errors"], counts["feedback"]) == ({0: 3, 1: 1}, {1: 2})


def test_each_minute_and_each_arm_is_apart() -> None:
    cloudwatch = CloudWatch()
    put(cloudwatch, "1", 0, Requests=[1.0] * 9, Latency=[100.0] * 9)
    put(cloudwatch, "2", 0, Requests=[1.0], Latency=[3000.0])
    put(cloudwatch, "1", 3, Requests=[1.0], Latency=[3000.0])
    first, second = read(cloudwatch)
    slow, quick = cell("ratio", 3000), cell("ratio", 100)
    assert first.baseline.counts["latency"] == {quick: 9}
    assert first.canary.counts["latency"] == {slow: 1}
    assert second.baseline.counts["latency"] == {slow: 1}
    assert (second.start - first.start, second.canary) == (180, Sample())


@pytest.mark.parametrize("name", ["errors", "latency", "guardrail_hits"])
def test_a_metric_of_every_request_that_is_not_reported_is_unknown(name: str) -> None:
    cloudwatch = CloudWatch()
    put(cloudwatch, "2", Requests=[1.0] * 4, Answers=[1.0] * 4)
    (interval,) = read(cloudwatch)
    assert name not in interval.canary.counts
    assert interval.canary.requests == 4


def test_answers_that_are_not_reported_are_unknown() -> None:
    cloudwatch = CloudWatch()
    put(cloudwatch, "2", Requests=[1.0] * 4, Errors=[1.0, 0.0, 0.0, 0.0])
    counts = read(cloudwatch)[0].canary.counts
    assert set(counts) == {"errors"}


def test_no_answers_when_all_requests_failed_is_a_fact() -> None:
    cloudwatch = CloudWatch()
    put(cloudwatch, "2", Requests=[1.0] * 4, Errors=[1.0] * 4)
    counts = read(cloudwatch)[0].canary.counts
    assert (counts["quality"], counts["cost"]) == ({}, {})
    assert "latency" not in counts


def test_a_minute_of_answers_of_which_none_was_scored_is_no_gap() -> None:
    """Dropping it from both arms would drop more of the rarer arm's minutes than of the other's."""
    cloudwatch = CloudWatch()
    put(cloudwatch, "2", Requests=[1.0] * 4, Errors=[0.0] * 4, Answers=[1.0] * 4)
    counts = read(cloudwatch)[0].canary.counts
    assert (counts["quality"], counts["feedback"]) == ({}, {})
    assert "cost" not in counts


def test_a_thumb_that_comes_after_the_last_request_counts() -> None:
    cloudwatch = CloudWatch()
    put(cloudwatch, "1", Feedback=[0.0])
    (interval,) = read(cloudwatch)
    assert interval.baseline == Sample(0, {"feedback": {0: 1}})


def test_the_mix_of_features_and_fingerprints_is_read_for_both_arms() -> None:
    cloudwatch = CloudWatch()
    put(cloudwatch, "1", Requests=[1.0] * 5, CacheHits=[1.0, 0.0, 0.0])
    put(cloudwatch, "2", Requests=[1.0] * 2)
    label(cloudwatch, "1", "feature", "faq", 4)
    label(cloudwatch, "1", "feature", "search", 1)
    label(cloudwatch, "2", "feature", "faq", 2)
    label(cloudwatch, "1", "fingerprint", "fp_1", 5)
    (interval,) = read(cloudwatch)
    assert interval.baseline.labels == {
        "feature": {"faq": 4, "search": 1},
        "fingerprint": {"fp_1": 5},
        "cache": {"hit": 1, "miss": 2},
    }
    assert interval.canary.labels == {"feature": {"faq": 2}}


def test_labels_that_the_policy_does_not_compare_are_not_asked_for() -> None:
    cloudwatch = CloudWatch()
    put(cloudwatch, "1", Requests=[1.0], CacheHits=[1.0])
    label(cloudwatch, "1", "fingerprint", "fp_1", 1)
    label(cloudwatch, "1", "feature", "faq", 1)
    (interval,) = read(cloudwatch, Policy(contamination=("feature",)))
    assert interval.baseline.labels == {"feature": {"faq": 1}}


def test_what_scoring_cost_is_read_by_arm_and_only_if_it_cost_anything() -> None:
    cloudwatch = CloudWatch()
    put(cloudwatch, "1", Requests=[1.0])
    put(cloudwatch, "2", 1, ScoringSpend=[120.0, 80.0])
    assert [interval.spend for interval in read(cloudwatch)] == [{}, {"canary": 200.0}]


def test_the_history_is_one_sum_a_cell_of_the_last_hour() -> None:
    cloudwatch = CloudWatch()
    for minute in range(-70, 0):
        put(cloudwatch, "1", minute, Requests=[1.0] * 2, Latency=[100.0, 400.0])
    found = readings.history(cloudwatch, SOURCE, POLICY, release="1", end=AT)
    assert found.requests == 120
    assert found.counts == {"latency": {cell("ratio", 100): 60, cell("ratio", 400): 60}}


def test_an_empty_window_asks_nothing() -> None:
    assert read(None, minutes=0) == []


def test_no_call_asks_more_than_cloudwatch_takes() -> None:
    cloudwatch = CloudWatch()
    queries = [Query(f"M{number}", OF, "Sum") for number in range(2 * MAXIMUM_QUERIES + 7)]
    cloudwatch.put("M1003", dict(OF), AT, [5.0])
    found = fetch(cloudwatch, "llmops", queries, AT, AT + 60)
    assert cloudwatch.calls == [500, 500, 7]
    assert found[queries[1003]] == {AT: 5.0}
    assert found[queries[0]] == {}


def test_a_usual_minute_needs_two_calls() -> None:
    cloudwatch = CloudWatch()
    chance = random.Random(2)
    for release, n in (("1", 90), ("2", 10)):
        put(
            cloudwatch,
            release,
            Requests=[1.0] * n,
            Errors=[0.0] * n,
            Answers=[1.0] * n,
            **{
                name: [chance.lognormvariate(math.log(700), 0.5) for _ in range(n)]
                for name in ("Latency", "FirstToken", "Cost", "Tokens")
            },
            Quality=[chance.random() for _ in range(n)],
        )
    read(cloudwatch)
    assert len(cloudwatch.calls) == 2
    assert sum(cloudwatch.calls) < 350


class Pages:
    """A CloudWatch that answers GetMetricData page by page: values by number of the query."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = pages
        self.tokens: list[str | None] = []

    def get_metric_data(self, **request: Any) -> dict[str, Any]:
        self.tokens.append(request.get("NextToken"))
        number = len(self.tokens)
        token = {"NextToken": str(number)} if number < len(self.pages) else {}
        values = self.pages[number - 1]
        moment = datetime.fromtimestamp(AT, tz=UTC)
        results = [
            {
                "Id": query["Id"],
                "StatusCode": values.get("status", "Complete"),
                "Timestamps": [moment] if query["Id"] in values else [],
                "Values": [values[query["Id"]]] if query["Id"] in values else [],
            }
            for query in request["MetricDataQueries"]
        ]
        return {"MetricDataResults": results, **token}


TWO = [Query("Requests", OF, "Sum"), Query("Errors", OF, "Sum")]


def test_every_page_is_read() -> None:
    pages = Pages({"q0": 9.0, "status": "PartialData"}, {"q1": 1.0})
    assert fetch(pages, "llmops", TWO, AT, AT + 60) == {TWO[0]: {AT: 9.0}, TWO[1]: {AT: 1.0}}
    assert pages.tokens == [None, "1"]


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
def test_partial_data_is_an_error(status: str) -> None:
    with pytest.raises(ReadingError, match=f"{status} for Requests Sum"):
        fetch(Pages({"q0": 9.0, "status": status}), "llmops", TWO, AT, AT + 60)


def test_a_query_that_is_never_answered_is_an_error() -> None:
    class Silent:
        def get_metric_data(self, **_: Any) -> dict[str, Any]:
            return {"MetricDataResults": []}

    with pytest.raises(ReadingError, match="Missing"):
        fetch(Silent(), "llmops", TWO, AT, AT + 60)
