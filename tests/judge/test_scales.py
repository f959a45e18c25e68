"""Cells are what CloudWatch can count, and a metric has one name there."""

from __future__ import annotations

from itertools import pairwise

import pytest
from cloudwatch_twin import statistic

from llmops_judge.policy import Metric
from llmops_judge.scales import ENDS, Scale, trimmed

VALUES: dict[Scale, list[float]] = {
    "ratio": [0, 0.0005, 2**-10, 0.3, 1, 1.19, 2, 7, 512, 513, 812.5, 30_000, 2.0**30, 4e9],
    "unit": [0, 0.001, 0.05, 0.0500001, 0.5, 0.85, 0.95, 0.99, 1.0],
}


@pytest.mark.parametrize("scale", ["ratio", "unit"])
def test_every_value_is_in_exactly_one_cell_whatever_the_decimals_of_its_bounds(
    scale: Scale,
) -> None:
    first, last = ENDS[scale]
    stats = [trimmed(scale, number) for number in range(first, last + 1)]
    for one, other in pairwise(stats):
        assert one.rstrip(")").split(":")[1] == other.removeprefix("TC(").split(":")[0]
    assert stats[0].startswith("TC(:")
    assert stats[-1].endswith(":)")
    for value in VALUES[scale]:
        assert sum(statistic(stat, [value]) for stat in stats) == 1


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("errors", "Errors"),
        ("first_token", "FirstToken"),
        ("guardrail_hits", "GuardrailHits"),
        ("tool_calls", "ToolCalls"),
        ("toolCalls", "ToolCalls"),
        ("p95-of-hops", "P95OfHops"),
    ],
)
def test_a_metric_is_published_in_camel_case(metric: str, name: str) -> None:
    assert Metric(metric).published == name
