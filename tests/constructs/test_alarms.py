import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kit_parts
import published
import pytest
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template
from policies import findings

from llmops_constructs import Database, ExplicitStack, InvalidConstruct, LlmRouting, Network
from llmops_constructs.alarms import RUNBOOK, ServiceAlarms, Severity
from llmops_constructs.api_alarms import ApiAlarms
from llmops_constructs.function_alarms import JSON_REPORT, REPORT, FunctionAlarms, RotationAlarms
from llmops_constructs.keys import EncryptionKey
from llmops_constructs.llm_alarms import FeedbackAlarms, ProviderAlarms, SpendAlarms
from llmops_constructs.measures import SUMS, ServiceTotals
from llmops_constructs.notifications import AlarmTopics
from llmops_constructs.resource_alarms import CacheAlarms, DatabaseAlarms, QueueAlarms

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
Snapshot = Callable[[Template, str], None]

PREFIX = "handbook-test"
ROOT = Path(__file__).parents[2]

ROWS = {
    "5xx-share": "page",
    "p95-latency": "page",
    "unhealthy-blue": "page",
    "unhealthy-green": "page",
    "database-cpu": "page",
    "database-connections": "page",
    "database-storage": "page",
    "database-latency-warning": "ticket",
    "database-latency-critical": "page",
    "provider-errors-warning": "ticket",
    "provider-errors-critical": "page",
    "provider-timeouts-warning": "ticket",
    "provider-timeouts-critical": "page",
    "feedback-score-warning": "ticket",
    "feedback-score-critical": "page",
    "spend-80-warning": "ticket",
    "spend-90-warning": "ticket",
    "spend-95-critical": "page",
    "spend-100-critical": "page",
    "budget-spent-warning": "ticket",
    "queue-age-warning": "ticket",
    "queue-age-critical": "page",
    "dead-letters-warning": "ticket",
    "dead-letters-critical": "page",
    "gate-errors-warning": "ticket",
    "gate-errors-critical": "page",
    "gate-throttles-warning": "ticket",
    "gate-cold-starts-warning": "ticket",
    "gate-concurrency-warning": "ticket",
    "gate-concurrency-critical": "page",
    "rotation-tokens-warning": "ticket",
    "cache-throttles-warning": "ticket",
    "cache-latency-warning": "ticket",
    "cache-latency-critical": "page",
}
"""Every alarm there is, and what it asks of people."""


Alarms = dict[str, dict[str, Any]]


@dataclass
class Watched:
    """A stack with the alarms of a whole service, once the packs have looked at it."""

    stack: ExplicitStack
    found: list[str]
    totals: ServiceTotals
    function: lambda_.IFunction
    template: Template


@pytest.fixture(scope="module")
def watched(new_stack: Stacks, synthesized: Synthesized) -> Watched:
    stack = new_stack()
    key = EncryptionKey(stack, "Key", alias=PREFIX).key
    told: dict[str, Any] = {
        "prefix": PREFIX,
        "topics": AlarmTopics(stack, "Topics", prefix=PREFIX, encryption_key=key),
    }
    group = logs.LogGroup(stack, "Logs", encryption_key=key, retention=logs.RetentionDays.ONE_MONTH)
    totals = ServiceTotals(stack, "Totals", prefix=PREFIX, log_group=group)
    ProviderAlarms(stack, "Providers", totals=totals, **told)
    FeedbackAlarms(stack, "Feedback", totals=totals, **told)
    SpendAlarms(stack, "Spend", totals=totals, daily_budget_usd=25, **told)
    queue, dead = (_imported_queue(stack, name) for name in ("jobs", "dead"))
    QueueAlarms(stack, "Queue", queue=queue, dead_letters=dead, **told)
    CacheAlarms(stack, "Cache", cache_name="handbook", **told)
    cluster = kit_parts.measured()
    DatabaseAlarms(stack, "Database", database=cluster, **told)
    function = lambda_.Function.from_function_name(stack, "Function", "handbook-gate")
    FunctionAlarms(
        stack,
        "Gate",
        name="gate",
        function=function,
        log_group=group,
        concurrency_limit=10,
        **told,
    )
    RotationAlarms(stack, "Rotation", functions={"tokens": function}, **told)
    api = apigateway.HttpApi.from_http_api_attributes(stack, "Api", http_api_id="abc")
    ApiAlarms(stack, "ApiAlarms", api=api, **(told | {"prefix": f"{PREFIX}-api"}))
    return Watched(stack, findings(stack), totals, function, synthesized(stack))


@pytest.fixture(scope="module")
def ground(new_stack: Stacks) -> tuple[ExplicitStack, LlmRouting, Database]:
    stack = new_stack()
    network = Network(stack, "Network", nat_gateways=0)
    routing = kit_parts.routing(stack, network)
    database = Database(
        stack,
        "Database",
        vpc=network.vpc,
        vpc_subnets=network.database_subnets,
        database_name="handbook",
        allocated_gib=50,
    )
    return stack, routing, database


@pytest.fixture(scope="module")
def rollout(
    ground: tuple[ExplicitStack, LlmRouting, Database], synthesized: Synthesized
) -> Template:
    stack, routing, database = ground
    topics = AlarmTopics(stack, "Topics", prefix=PREFIX)
    ServiceAlarms(stack, "Alarms", prefix=PREFIX, routing=routing, database=database, topics=topics)
    cluster = kit_parts.measured()
    ServiceAlarms(stack, "Cluster", prefix="cluster", routing=routing, database=cluster)
    return synthesized(stack)


def _imported_queue(stack: ExplicitStack, name: str) -> sqs.IQueue:
    return sqs.Queue.from_queue_arn(stack, name, f"arn:aws:sqs:us-east-1:123456789012:{name}")


def _alarms(*templates: Template) -> Alarms:
    """The properties of every alarm by its name without the prefix."""
    return {
        alarm["Properties"]["AlarmName"].removeprefix(f"{PREFIX}-"): alarm["Properties"]
        for template in templates
        for alarm in template.find_resources("AWS::CloudWatch::Alarm").values()
    }


def _own(*templates: Template) -> Alarms:
    return {
        name: alarm
        for name, alarm in _alarms(*templates).items()
        if not name.startswith(("api-", "cluster-"))
    }


def test_every_row_has_its_alarm(watched: Watched, rollout: Template) -> None:
    assert set(_own(watched.template, rollout)) == set(ROWS)


def test_each_alarm_says_how_bad_it_is_and_where_to_read_on(
    watched: Watched, rollout: Template
) -> None:
    for name, alarm in _own(watched.template, rollout).items():
        why, severity, runbook = alarm["AlarmDescription"].split("\n")
        assert why.endswith(".") and "{" not in why
        assert severity == f"Severity: {ROWS[name]}"
        assert runbook.startswith(f"Runbook: {RUNBOOK}#")


def test_each_runbook_link_leads_to_a_section(watched: Watched, rollout: Template) -> None:
    sections = re.findall(r"^## (\S+)$", (ROOT / RUNBOOK).read_text(), re.MULTILINE)
    linked = {
        alarm["AlarmDescription"].rpartition("#")[2]
        for alarm in _own(watched.template, rollout).values()
    }
    assert linked == set(sections)


def test_each_alarm_goes_to_the_topic_of_its_severity_and_so_does_its_end(
    watched: Watched, rollout: Template
) -> None:
    topics = {"page": "Critical", "ticket": "Warning"}
    for name, alarm in _own(watched.template, rollout).items():
        (action,) = alarm["AlarmActions"]
        assert action["Ref"].startswith(f"Topics{topics[ROWS[name]]}")
        assert alarm["OKActions"] == alarm["AlarmActions"]


def test_an_alarm_without_topics_has_no_action(rollout: Template) -> None:
    cluster = [alarm for name, alarm in _alarms(rollout).items() if name.startswith("cluster-")]
    assert cluster
    assert not any("AlarmActions" in alarm for alarm in cluster)


def test_no_data_is_no_alarm(watched: Watched, rollout: Template) -> None:
    alarms = _alarms(watched.template, rollout).values()
    assert {alarm["TreatMissingData"] for alarm in alarms} == {"notBreaching"}


def test_what_ends_a_rollout_needs_several_bad_minutes(rollout: Template) -> None:
    for alarm in _alarms(rollout).values():
        assert alarm["DatapointsToAlarm"] >= 2


def test_a_cluster_has_no_storage_that_could_run_out(rollout: Template) -> None:
    alarms = _alarms(rollout)
    assert "cluster-database-cpu" in alarms
    assert "cluster-database-storage" not in alarms
    assert alarms["cluster-database-cpu"]["Dimensions"] == [
        {"Name": "DBClusterIdentifier", "Value": "handbook"}
    ]
    assert alarms["database-storage"]["Threshold"] == 5 * 1024**3


def test_an_api_has_the_same_rows_as_a_load_balancer(watched: Watched, rollout: Template) -> None:
    of_api, of_balancer = _alarms(watched.template), _alarms(rollout)
    for name in ("5xx-share", "p95-latency"):
        for what in ("AlarmDescription", "EvaluationPeriods", "DatapointsToAlarm"):
            assert of_api[f"api-{name}"][what] == of_balancer[name][what]
    assert of_api["api-p95-latency"]["Threshold"] == 2000
    assert of_balancer["p95-latency"]["Threshold"] == 2


def test_every_metric_exists(watched: Watched, rollout: Template) -> None:
    """One of AWS's, or one that a metric filter of the same stack makes."""
    made = {
        (each["MetricNamespace"], each["MetricName"])
        for filter in watched.template.find_resources("AWS::Logs::MetricFilter").values()
        for each in filter["Properties"]["MetricTransformations"]
    }
    asked = {
        found for alarm in _alarms(watched.template, rollout).values() for found in _metrics(alarm)
    }
    assert asked - published.of_aws() - made == set()


def _metrics(alarm: dict[str, Any]) -> set[tuple[str, str]]:
    if "MetricName" in alarm:
        return {(alarm["Namespace"], alarm["MetricName"])}
    stats = [each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each]
    return {(each["Namespace"], each["MetricName"]) for each in stats}


def test_totals_are_added_up_from_fields_that_the_service_writes() -> None:
    for each in SUMS:
        fields = {each.field, *re.findall(r"\$\.(\w+)", each.condition)}
        assert any(fields <= set(line) for line in published.lines()), each


def test_a_request_counts_for_the_totals_it_belongs_to(watched: Watched) -> None:
    filters = [
        found["Properties"]
        for found in watched.template.find_resources("AWS::Logs::MetricFilter").values()
    ]
    spend = [
        each["FilterPattern"]
        for each in filters
        if each["MetricTransformations"][0]["MetricName"] == "Spend"
    ]
    assert sorted(spend) == ["{ $.Cost = * }", "{ $.ScoringSpend = * }"]
    assert "{ ($.BudgetEvents = *) && ($.percent = 100) }" in [
        each["FilterPattern"] for each in filters
    ]


def test_a_budget_is_told_at_each_of_its_percents(watched: Watched) -> None:
    alarms = _alarms(watched.template)
    thresholds = {name: alarms[name]["Threshold"] for name in alarms if name.startswith("spend-")}
    assert thresholds == {
        "spend-80-warning": 20e6,
        "spend-90-warning": 22.5e6,
        "spend-95-critical": 23.75e6,
        "spend-100-critical": 25e6,
    }
    spend = alarms["spend-100-critical"]
    assert (spend["Period"], spend["Statistic"]) == (86_400, "Sum")
    assert spend["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"


def test_one_failure_in_a_quiet_hour_is_no_share(watched: Watched) -> None:
    expressions = [
        each["Expression"]
        for name in ("provider-errors-warning", "feedback-score-warning")
        for each in _alarms(watched.template)[name]["Metrics"]
        if "Expression" in each
    ]
    assert expressions == [
        "IF(failed >= 5, 100*failed/requests, 0)",
        "IF(thumbs >= 10, score, 1)",
    ]


def test_a_cold_start_is_read_from_lambdas_report() -> None:
    line = (
        "REPORT RequestId: 8f5-1\tDuration: 7.10 ms\tBilled Duration: 350 ms\t"
        "Memory Size: 256 MB\tMax Memory Used: 90 MB\tInit Duration: 342.11 ms\t"
    )
    fields = [field.strip() for field in REPORT.strip("[]").split(",")]
    assert fields.pop() == "..."
    read = dict(zip(fields, line.split(), strict=False))
    assert read["init_duration"] == "342.11"
    for field, word in read.items():
        name, _, literal = field.partition("=")
        assert not literal or literal.strip('"') == word, name
    assert "$.record.metrics.initDurationMs" in JSON_REPORT


def test_a_mistake_is_refused_with_all_others(watched: Watched) -> None:
    with pytest.raises(InvalidConstruct) as refused:
        ProviderAlarms(
            watched.stack,
            "Refused1",
            prefix=PREFIX,
            totals=watched.totals,
            percent={Severity.WARNING: 200},
            least=0,
        )
    assert len(refused.value.mistakes) == 2


@pytest.mark.parametrize(
    ("kind", "arguments", "told"),
    [
        (SpendAlarms, {"daily_budget_usd": 0}, "daily_budget_usd is 0"),
        (FeedbackAlarms, {"share": {}}, "No threshold"),
        (FeedbackAlarms, {"least": 0}, "least is 0"),
    ],
)
def test_alarms_that_could_never_be_right_are_refused(
    watched: Watched, kind: Any, arguments: dict[str, Any], told: str
) -> None:
    id = f"Refused{kind.__name__}{''.join(arguments)}"
    with pytest.raises(InvalidConstruct, match=told):
        kind(watched.stack, id, prefix=PREFIX, totals=watched.totals, **arguments)


def test_functions_are_watched_only_with_what_it_takes(watched: Watched) -> None:
    given: dict[str, Any] = {"prefix": PREFIX, "name": "x", "function": watched.function}
    with pytest.raises(InvalidConstruct, match="json_logs") as refused:
        FunctionAlarms(watched.stack, "Refused2", json_logs=True, concurrency_limit=0, **given)
    assert len(refused.value.mistakes) == 2
    with pytest.raises(InvalidConstruct, match="functions is empty"):
        RotationAlarms(watched.stack, "Refused3", prefix=PREFIX, functions={})


def test_the_packs_find_nothing(watched: Watched) -> None:
    assert watched.found == []


def test_the_smallest_set_of_alarms(
    new_stack: Stacks, synthesized: Synthesized, snapshot: Snapshot
) -> None:
    stack = new_stack()
    totals = ServiceTotals(stack, "Totals", prefix=PREFIX, log_group=logs.LogGroup(stack, "Logs"))
    SpendAlarms(stack, "Spend", prefix=PREFIX, totals=totals, daily_budget_usd=10)
    snapshot(synthesized(stack), "alarms")
