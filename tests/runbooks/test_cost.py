"""What resources cost: quantities from their properties, prices from the table."""

from collections.abc import Mapping
from typing import Any

import pytest

from llmops_runbooks import cost
from llmops_runbooks.cost import Estimate, Use
from llmops_runbooks.cost_hours import capacity
from llmops_runbooks.cost_prices import load
from llmops_runbooks.cost_rules import Resource
from llmops_runbooks.errors import LlmopsError, UsageError

PRICES = load()
HOURS = 730

TASK = Resource(
    "app",
    "Task",
    "AWS::ECS::TaskDefinition",
    {
        "Family": "handbook",
        "Cpu": "512",
        "Memory": "1024",
        "RuntimePlatform": {"CpuArchitecture": "ARM64"},
    },
)


def service(**properties: Any) -> Resource:
    return Resource(
        "app", "Service", "AWS::ECS::Service", {"TaskDefinition": "handbook", **properties}
    )


def scaling(minimum: int, *actions: tuple[str, int]) -> Resource:
    scheduled = [
        {"Schedule": cron, "ScalableTargetAction": {"MinCapacity": to}} for cron, to in actions
    ]
    name = {"Fn::Join": ["/", ["service", {"Fn::GetAtt": ["Service", "Name"]}]]}
    properties = {"ResourceId": name, "MinCapacity": minimum, "ScheduledActions": scheduled}
    return Resource("app", "Scaling", "AWS::ApplicationAutoScaling::ScalableTarget", properties)


def bill(*resources: Resource, use: Use | None = None) -> Estimate:
    return cost.estimate("prod", "us-east-1", resources, PRICES, use or Use())


def dollars(found: Estimate, what: str) -> float:
    return sum(row.usd for row in found.idle if row.what == what)


def test_tasks_cost_their_size_for_all_hours() -> None:
    found = bill(TASK, service(DesiredCount=3))
    assert dollars(found, "Fargate vCPU") == pytest.approx(3 * HOURS * 0.5 * 0.03238)
    assert dollars(found, "Fargate GB") == pytest.approx(3 * HOURS * 1 * 0.00356)


def test_tasks_beyond_the_base_are_cheaper_on_spot() -> None:
    strategy = [
        {"CapacityProvider": "FARGATE", "Base": 1, "Weight": 1},
        {"CapacityProvider": "FARGATE_SPOT", "Weight": 1},
    ]
    found = bill(TASK, service(DesiredCount=3, CapacityProviderStrategy=strategy))
    on_spot = (3 - 1) / 3 / 2
    paid = 1 - on_spot * (1 - PRICES.assumed["spot_share_of_price"])
    assert dollars(found, "Fargate vCPU") == pytest.approx(3 * HOURS * 0.5 * 0.03238 * paid)


def test_tasks_that_run_in_working_hours_only_cost_those() -> None:
    week = (("cron(0 8 ? * MON-FRI *)", 1), ("cron(0 18 ? * MON-FRI *)", 0))
    found = bill(TASK, service(), scaling(1, *week))
    assert dollars(found, "Fargate vCPU") == pytest.approx(50 / 168 * HOURS * 0.5 * 0.03238)


@pytest.mark.parametrize(
    ("crons", "average", "hours"),
    [
        ((), 2, 168),
        ((("cron(0 8 ? * * *)", 2), ("cron(0 20 ? * * *)", 0)), 1, 84),
        ((("cron(0 8 ? * MON *)", 4), ("cron(0 8 ? * FRI *)", 1)), (96 * 4 + 72) / 168, 168),
        ((("cron(0 22 ? * SUN *)", 1), ("cron(0 2 ? * MON *)", 0)), 4 / 168, 4),
        ((("cron(0 8 ? * SAT-MON *)", 1), ("cron(0 9 ? * SAT,SUN,MON *)", 0)), 3 / 168, 3),
        ((("cron(0 8 1 * ? *)", 1),), 2, 168),
    ],
    ids=["none", "daily", "two levels", "over midnight", "over the week's end", "not weekly"],
)
def test_the_week_of_a_schedule(
    crons: tuple[tuple[str, int], ...], average: float, hours: float
) -> None:
    actions: list[Mapping[str, Any]] = [
        {"Schedule": cron, "ScalableTargetAction": {"MinCapacity": to}} for cron, to in crons
    ]
    assert list(capacity(actions, 2)) == pytest.approx([average, hours])


def test_a_standby_doubles_the_database_and_its_storage() -> None:
    instance = {"DBInstanceClass": "db.t4g.micro", "AllocatedStorage": "20", "MultiAZ": True}
    found = bill(Resource("data", "Db", "AWS::RDS::DBInstance", instance))
    assert dollars(found, "RDS t4g.micro") == pytest.approx(2 * HOURS * 0.016)
    assert dollars(found, "RDS storage") == pytest.approx(2 * 20 * 0.115)


def test_a_sleeping_cluster_costs_its_storage_and_the_hours_it_is_awake() -> None:
    cluster = Resource(
        "data",
        "Cluster",
        "AWS::RDS::DBCluster",
        {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0, "MaxCapacity": 4}},
    )
    writer = Resource(
        "data",
        "Writer",
        "AWS::RDS::DBInstance",
        {"DBInstanceClass": "db.serverless", "DBClusterIdentifier": {"Ref": "Cluster"}},
    )
    found = bill(cluster, writer, use=Use(database_hours=10))
    assert found.idle_usd == pytest.approx(0.10)
    assert sum(row.usd for row in found.used) == pytest.approx(10 * 0.5 * 0.12)


def test_an_interface_endpoint_costs_in_each_zone_and_a_gateway_endpoint_nothing() -> None:
    inside = {"VpcEndpointType": "Interface", "SubnetIds": ["a", "b"]}
    found = bill(
        Resource("net", "One", "AWS::EC2::VPCEndpoint", inside),
        Resource("net", "Two", "AWS::EC2::VPCEndpoint", {"VpcEndpointType": "Gateway"}),
    )
    assert found.idle_usd == pytest.approx(2 * HOURS * 0.01)


def test_an_alarm_costs_by_the_metrics_it_reads() -> None:
    metrics = [{"MetricStat": {}}, {"MetricStat": {}}, {"Expression": "a/b"}]
    found = bill(
        Resource("app", "One", "AWS::CloudWatch::Alarm", {"MetricName": "x"}),
        Resource("app", "Two", "AWS::CloudWatch::Alarm", {"Metrics": metrics}),
    )
    assert found.idle_usd == pytest.approx(0.3)


def test_requests_are_a_sum_of_their_own_and_of_the_total() -> None:
    function = {
        "Handler": "llm_service.lambda_function.handler",
        "MemorySize": 1024,
        "Architectures": ["arm64"],
    }
    found = bill(
        Resource("app", "Function", "AWS::Lambda::Function", function), use=Use(requests=5000)
    )
    seconds = PRICES.assumed["lambda_seconds"]
    each = 0.0000002 + seconds * 0.0000133334
    assert found.idle_usd == 0
    assert found.per_thousand_usd == pytest.approx(1000 * each)
    assert found.total_usd == pytest.approx(5000 * each)


def test_the_arithmetic_that_is_shown_is_the_sum() -> None:
    found = bill(TASK, service(DesiredCount=2))
    for row in found.idle:
        product = 1.0
        for factor in row.arithmetic.split(" × "):
            product *= float(factor.removeprefix("$").split()[0])
        assert product == pytest.approx(row.usd, rel=1e-3)


def test_what_has_no_rule_is_told_and_not_taken_for_free() -> None:
    found = bill(
        Resource("x", "Odd", "AWS::Redshift::Cluster", {}),
        Resource("x", "Role", "AWS::IAM::Role", {}),
    )
    assert found.not_estimated == ("AWS::Redshift::Cluster",)


def test_a_price_that_is_missing_stops_the_estimate() -> None:
    instance = {"DBInstanceClass": "db.x9z.huge", "AllocatedStorage": "20"}
    with pytest.raises(LlmopsError, match=r"no price for rds\.hour\.x9z\.huge"):
        bill(Resource("data", "Db", "AWS::RDS::DBInstance", instance))


def test_another_region_has_other_prices() -> None:
    with pytest.raises(UsageError, match="that of us-east-1, and prod is in eu-west-1"):
        cost.estimate("prod", "eu-west-1", [], PRICES, Use())


def test_every_price_names_the_page_it_is_from() -> None:
    assert all(page.startswith("https://aws.amazon.com/") for page in PRICES.sources.values())
    assert all(price > 0 for price in PRICES.usd.values())
