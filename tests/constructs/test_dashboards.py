import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import kit_parts
import published
import pytest
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from llmops_constructs import ExplicitStack, InvalidConstruct, Network
from llmops_constructs.alarms import ServiceAlarms
from llmops_constructs.dashboards import Beside, LlmDashboards
from llmops_constructs.measures import ServiceMetrics
from llmops_constructs.queries import QUERIES, SavedQueries

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
Snapshot = Callable[[Template, str], None]

PREFIX = "handbook-test"
METRICS = ServiceMetrics(namespace="llmops", service="handbook", environment="test")
KEYWORDS = {
    *("fields", "filter", "stats", "sort", "limit", "by", "desc", "asc", "as", "or", "like"),
    *("sum", "avg", "count", "bin", "ispresent"),
}
"""What Logs Insights itself understands."""


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
    stack = new_stack()
    network = Network(stack, "Network", nat_gateways=0)
    routing = kit_parts.routing(stack, network)
    database = kit_parts.measured()
    group = logs.LogGroup(stack, "Logs", log_group_name="/llmops/handbook-test/service")
    beside = Beside(
        routing=routing, database=database, queue=sqs.Queue(stack, "Jobs"), log_group=group
    )
    alarms = ServiceAlarms(stack, "Alarms", prefix=PREFIX, routing=routing).alarms
    LlmDashboards(stack, "Dashboards", prefix=PREFIX, metrics=METRICS, beside=beside, alarms=alarms)
    SavedQueries(stack, "Queries", prefix=PREFIX, log_groups=[group])
    return synthesized(stack)


@pytest.fixture(scope="module")
def pages(template: Template) -> dict[str, list[dict[str, Any]]]:
    return _pages(template)


def _pages(template: Template) -> dict[str, list[dict[str, Any]]]:
    """The widgets of each dashboard; whatever is known when it is deployed is REF."""
    found = {}
    for each in template.find_resources("AWS::CloudWatch::Dashboard").values():
        name = each["Properties"]["DashboardName"].removeprefix(f"{PREFIX}-")
        found[name] = json.loads(_plain(each["Properties"]["DashboardBody"]))["widgets"]
    return found


def _plain(body: Any) -> str:
    if isinstance(body, str):
        return body
    (separator, parts) = body["Fn::Join"]
    return str(separator.join(part if isinstance(part, str) else "REF" for part in parts))


def _graphs(pages: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for widgets in pages.values():
        yield from (each["properties"] for each in widgets if each["type"] == "metric")


def _searches(pages: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for graph in _graphs(pages):
        for metric in graph["metrics"]:
            if isinstance(metric[0], dict) and "SEARCH" in metric[0]["expression"]:
                yield metric[0]["expression"]


def test_there_is_a_dashboard_for_each_question(pages: dict[str, list[dict[str, Any]]]) -> None:
    assert set(pages) == {"quality", "latency", "cost", "release"}


def test_no_widget_lies_on_another_or_beside_the_grid(
    pages: dict[str, list[dict[str, Any]]],
) -> None:
    for widgets in pages.values():
        taken: set[tuple[int, int]] = set()
        for each in widgets:
            assert each["x"] + each["width"] <= 24
            columns = range(each["x"], each["x"] + each["width"])
            cells = set(itertools.product(columns, range(each["y"], each["y"] + each["height"])))
            assert not cells & taken
            taken |= cells


def test_each_row_is_full(pages: dict[str, list[dict[str, Any]]]) -> None:
    for widgets in pages.values():
        for _, row in itertools.groupby(widgets, key=lambda each: each["y"]):
            assert sum(each["width"] for each in row) == 24


def test_every_search_is_for_a_metric_that_the_service_writes(
    pages: dict[str, list[dict[str, Any]]],
) -> None:
    searches = list(_searches(pages))
    assert len(searches) > 20
    for expression in searches:
        found = re.match(r"SEARCH\('\{([^}]+)\} MetricName=\"(\w+)\" (.*)', '", expression)
        assert found
        namespace, *dimensions = found[1].split(",")
        assert (namespace, found[2], tuple(dimensions)) in published.of_service()
        assert found[3] == 'service="handbook" environment="test"'


def test_every_metric_the_service_writes_of_an_answer_is_shown_or_compared(
    pages: dict[str, list[dict[str, Any]]],
) -> None:
    """But for what others say too: `Answers` and `Tokens` are sums of what is shown, and
    `Exposures` are for the report of an experiment."""
    shown = {name for text in _searches(pages) for name in re.findall(r'MetricName="(\w+)"', text)}
    written = {name for _, name, _ in published.of_service()}
    assert written - shown == {"Answers", "Tokens", "Exposures"}


def test_every_other_metric_is_one_of_aws(pages: dict[str, list[dict[str, Any]]]) -> None:
    asked = {
        (metric[0], metric[1])
        for graph in _graphs(pages)
        for metric in graph["metrics"]
        if isinstance(metric[0], str) and metric[0] != "."
    }
    assert ("AWS/SQS", "ApproximateAgeOfOldestMessage") in asked
    assert asked <= published.of_aws()


def test_a_series_is_named_after_its_release(pages: dict[str, list[dict[str, Any]]]) -> None:
    labels = {
        metric[0]["label"]
        for graph in _graphs(pages)
        for metric in graph["metrics"]
        if isinstance(metric[0], dict) and "SEARCH" in metric[0]["expression"]
    }
    assert labels == {
        "${PROP('Dim.release')}",
        "${PROP('Dim.release')} ${PROP('Dim.feature')}",
        "${PROP('Dim.release')} ${PROP('Dim.provider')}",
    }


def test_the_arms_stand_side_by_side(pages: dict[str, list[dict[str, Any]]]) -> None:
    titled = [each for each in pages["release"] if "title" in each["properties"]]
    arms = [each for each in titled if each["properties"]["title"].startswith(("Blue", "Green"))]
    assert len(arms) == 6
    for left, right in zip(arms[::2], arms[1::2], strict=True):
        blue, green = left["properties"], right["properties"]
        assert green["title"] == blue["title"].replace("Blue", "Green")
        assert (left["x"], right["x"], left["y"]) == (0, 12, right["y"])


def test_alarms_that_end_a_rollout_are_on_top(pages: dict[str, list[dict[str, Any]]]) -> None:
    first = pages["release"][0]
    assert (first["type"], first["y"]) == ("alarm", 0)
    assert len(first["properties"]["alarms"]) == 4


def test_the_log_is_asked_for_the_cost_by_feature(pages: dict[str, list[dict[str, Any]]]) -> None:
    (query,) = [each["properties"] for each in pages["cost"] if each["type"] == "log"]
    assert "by feature, provider" in query["query"]


def test_what_is_not_there_is_left_out(
    new_stack: Stacks, synthesized: Synthesized, snapshot: Snapshot
) -> None:
    stack = new_stack()
    LlmDashboards(stack, "Dashboards", prefix=PREFIX, metrics=METRICS)
    template = synthesized(stack)
    kinds = {each["type"] for widgets in _pages(template).values() for each in widgets}
    assert kinds == {"metric"}
    snapshot(template, "dashboards")


def test_pages_can_be_chosen_among_those_there_are(new_stack: Stacks) -> None:
    stack = new_stack()
    chosen = LlmDashboards(
        stack, "Chosen", prefix=PREFIX, metrics=METRICS, pages=["cost", "release"]
    )
    assert list(chosen.dashboards) == ["cost", "release"]
    with pytest.raises(InvalidConstruct, match="There is no page weather"):
        LlmDashboards(stack, "Refused", prefix=PREFIX, metrics=METRICS, pages=["weather"])


def test_queries_are_saved_in_the_folder_of_the_service(template: Template) -> None:
    saved = template.find_resources("AWS::Logs::QueryDefinition").values()
    assert {each["Properties"]["Name"] for each in saved} == {
        f"{PREFIX}/{name}" for name in QUERIES
    }


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_asks_for_fields_that_the_service_writes(name: str) -> None:
    without_texts = re.sub(r'"[^"]*"', "", QUERIES[name])
    words = set(re.findall(r"(?<![\w@.])[A-Za-z_]\w*", without_texts))
    named = set(re.findall(r"\bas (\w+)", without_texts))
    written = {field for line in published.lines() for field in line}
    assert words - KEYWORDS - named <= written


def test_nothing_to_ask_is_refused(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as refused:
        SavedQueries(new_stack(), "Queries", prefix=PREFIX, log_groups=[], queries={})
    assert len(refused.value.mistakes) == 2
