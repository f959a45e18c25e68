"""The ELBv2 API and the AWS CLI in front of the real load balancer."""

from __future__ import annotations

import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from llmops_localcloud.ports import TargetHealth


@dataclass
class Setup:
    """A load balancer with one listener that forwards to blue 100, green 0."""

    balancer: str
    listener: str
    rule: str
    blue: str
    green: str
    port: int
    cloud: Any

    def names(self, n: int = 1) -> Counter[str]:
        return Counter(self.cloud.get(self.port) for _ in range(n))


@pytest.fixture
def setup(cloud: Any, free_port: Callable[[], int]) -> Iterator[Setup]:
    elb = cloud.client("elbv2")
    vpc, subnets = cloud.network()
    name = f"t{free_port()}"
    balancer = elb.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]
    assert balancer["DNSName"] == "127.0.0.1"
    groups = [
        elb.create_target_group(
            Name=f"{name}-{colour}",
            Protocol="HTTP",
            Port=8080,
            VpcId=vpc,
            TargetType="ip",
            HealthCheckIntervalSeconds=6,
            HealthCheckTimeoutSeconds=5,
        )["TargetGroups"][0]["TargetGroupArn"]
        for colour in ("blue", "green")
    ]
    port = free_port()
    listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=port,
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )["Listeners"][0]["ListenerArn"]
    rule = elb.create_rule(
        ListenerArn=listener,
        Priority=10,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}],
        Actions=[forward({groups[0]: 100, groups[1]: 0})],
    )["Rules"][0]["RuleArn"]
    yield Setup(balancer["LoadBalancerArn"], listener, rule, groups[0], groups[1], port, cloud)
    elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    for group in groups:
        elb.delete_target_group(TargetGroupArn=group)


def forward(weights: dict[str, int]) -> dict[str, Any]:
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}


def test_tasks_on_one_address_are_told_apart_by_port(cloud: Any, setup: Setup, target: Any) -> None:
    elb = cloud.client("elbv2")
    addresses = [target("1"), target("2")]
    targets = [{"Id": host, "Port": port} for host, port in addresses]
    elb.register_targets(TargetGroupArn=setup.blue, Targets=targets)
    cloud.healthy(setup.blue, 2)
    assert setup.names(10) == {"1": 5, "2": 5}
    described = elb.describe_target_health(TargetGroupArn=setup.blue)["TargetHealthDescriptions"]
    assert [d["Target"] for d in described] == targets
    assert {d["TargetHealth"]["State"] for d in described} == {"healthy"}
    elb.deregister_targets(TargetGroupArn=setup.blue, Targets=targets[:1])
    cloud.until(lambda: addresses[0] not in cloud.plane.health(setup.blue))
    assert setup.names(4) == {"2": 4}
    gone = elb.describe_target_health(TargetGroupArn=setup.blue, Targets=targets[:1])
    health = gone["TargetHealthDescriptions"][0]["TargetHealth"]
    assert (health["State"], health["Reason"]) == ("unused", "Target.NotRegistered")


def test_weights_move_traffic_through_the_port_and_the_api_shows_them(
    cloud: Any, setup: Setup, target: Any
) -> None:
    cloud.plane.register(setup.blue, target("blue"))
    cloud.plane.register(setup.green, target("green"))
    cloud.healthy(setup.blue)
    cloud.healthy(setup.green)
    assert setup.names(40) == {"blue": 40}
    assert cloud.plane.weights(setup.rule) == {setup.blue: 100, setup.green: 0}
    cloud.plane.set_weights(setup.rule, {setup.blue: 0, setup.green: 100})
    assert setup.names(40) == {"green": 40}
    shown = cloud.cli("elbv2", "describe-rules", "--rule-arns", setup.rule)["Rules"][0]
    groups = shown["Actions"][0]["ForwardConfig"]["TargetGroups"]
    assert {g["TargetGroupArn"]: g["Weight"] for g in groups} == {setup.blue: 0, setup.green: 100}
    half = [forward({setup.blue: 50, setup.green: 50})]
    cloud.client("elbv2").modify_rule(RuleArn=setup.rule, Actions=half)
    assert cloud.plane.weights(setup.rule) == {setup.blue: 50, setup.green: 50}
    seen = setup.names(200)
    assert 60 < seen["green"] < 140


def test_a_rule_that_names_one_group_says_weight_one(cloud: Any, setup: Setup) -> None:
    actions = [{"Type": "forward", "TargetGroupArn": setup.green}]
    answer = cloud.client("elbv2").modify_rule(RuleArn=setup.rule, Actions=actions)
    assert answer["Rules"][0]["Actions"][0]["TargetGroupArn"] == setup.green
    assert cloud.plane.weights(setup.rule) == {setup.green: 1}


def test_unknown_rules_and_groups_are_lookup_errors(cloud: Any, setup: Setup) -> None:
    with pytest.raises(LookupError):
        cloud.plane.weights(setup.rule + "0")
    with pytest.raises(LookupError):
        cloud.plane.register(setup.blue + "0", ("127.0.0.1", 1))
    with pytest.raises(LookupError):
        cloud.plane.set_weights(setup.rule, {setup.blue + "0": 1})


def test_metrics_carry_the_dimensions_of_aws(cloud: Any, setup: Setup, target: Any) -> None:
    cloud.plane.register(setup.blue, target("blue"))
    cloud.healthy(setup.blue)
    setup.names(20)
    balancer = setup.balancer.split("loadbalancer/")[1]
    group = setup.blue.rsplit(":", 1)[1]
    assert balancer.startswith("app/")
    assert group.startswith("targetgroup/")
    whole = (("LoadBalancer", balancer),)
    both = (("LoadBalancer", balancer), ("TargetGroup", group))
    cloud.until(lambda: cloud.metrics["HTTPCode_Target_2XX_Count", whole] == 20)
    assert cloud.metrics["HTTPCode_Target_2XX_Count", both] == 20
    assert cloud.metrics["RequestCount", whole] == cloud.metrics["RequestCount", both] == 20
    assert cloud.metrics["TargetResponseTime", both] >= 1
    cloud.until(lambda: cloud.metrics["HealthyHostCount", both] >= 1)
    assert ("HealthyHostCount", whole) not in cloud.metrics


def test_a_taken_port_fails_the_listener_with_a_clear_message(
    cloud: Any, setup: Setup, target: Any
) -> None:
    _, taken = target("someone else")
    elb = cloud.client("elbv2")
    action = [{"Type": "forward", "TargetGroupArn": setup.blue}]
    arguments = {"LoadBalancerArn": setup.balancer, "Protocol": "HTTP", "DefaultActions": action}
    with pytest.raises(ClientError, match=f"port {taken} of 127.0.0.1 cannot be opened"):
        elb.create_listener(Port=taken, **arguments)
    with pytest.raises(ClientError, match="DuplicateListener"):
        elb.create_listener(Port=setup.port, **arguments)
    listeners = elb.describe_listeners(LoadBalancerArn=setup.balancer)["Listeners"]
    assert [one["Port"] for one in listeners] == [setup.port]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}, "source-ip"),
        ({"Field": "path-pattern", "RegexValues": ["^/a"]}, "RegexValues"),
    ],
)
def test_conditions_that_are_not_emulated_are_refused_by_name(
    cloud: Any, setup: Setup, condition: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=f"does not support .*{message}"):
        cloud.client("elbv2").create_rule(
            ListenerArn=setup.listener,
            Priority=20,
            Conditions=[condition],
            Actions=[{"Type": "forward", "TargetGroupArn": setup.blue}],
        )


def test_stickiness_a_foreign_protocol_or_target_is_refused(cloud: Any, setup: Setup) -> None:
    elb = cloud.client("elbv2")
    sticky = [{"Key": "stickiness.enabled", "Value": "true"}]
    with pytest.raises(ClientError, match=r"does not support stickiness\.enabled"):
        elb.modify_target_group_attributes(TargetGroupArn=setup.blue, Attributes=sticky)
    with pytest.raises(ClientError, match=r"does not support target 10\.0\.0\.9"):
        elb.register_targets(TargetGroupArn=setup.blue, Targets=[{"Id": "10.0.0.9", "Port": 1}])
    with pytest.raises(ClientError, match="does not support TLS listeners"):
        elb.create_listener(
            LoadBalancerArn=setup.balancer, Protocol="TLS", Port=443, DefaultActions=[]
        )


def test_priorities_decide_and_the_default_rule_comes_last(
    cloud: Any, setup: Setup, free_port: Callable[[], int]
) -> None:
    elb = cloud.client("elbv2")
    fixed = {"StatusCode": "200", "MessageBody": "first", "ContentType": "text/plain"}
    rule = elb.create_rule(
        ListenerArn=setup.listener,
        Priority=5,
        Conditions=[{"Field": "path-pattern", "Values": ["/x"]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": fixed}],
    )["Rules"][0]["RuleArn"]
    assert cloud.get(setup.port, "/x") == "first"
    rules = elb.describe_rules(ListenerArn=setup.listener)["Rules"]
    assert [one["Priority"] for one in rules] == ["5", "10", "default"]
    elb.set_rule_priorities(RulePriorities=[{"RuleArn": rule, "Priority": 15}])
    with pytest.raises(urllib.error.HTTPError, match="503"):
        cloud.get(setup.port, "/x")
    elb.delete_rule(RuleArn=setup.rule)
    assert cloud.get(setup.port, "/x") == "first"
    moved = free_port()
    elb.modify_listener(ListenerArn=setup.listener, Port=moved)
    assert cloud.get(moved, "/x") == "first"
    with pytest.raises(urllib.error.URLError):
        cloud.get(setup.port, "/x")


def test_a_changed_health_check_is_used(cloud: Any, setup: Setup, target: Any) -> None:
    elb = cloud.client("elbv2")
    cloud.plane.register(setup.blue, target("blue"))
    cloud.healthy(setup.blue)
    group = elb.modify_target_group(
        TargetGroupArn=setup.blue, Matcher={"HttpCode": "204"}, HealthCheckPath="/other"
    )["TargetGroups"][0]
    assert group["Matcher"]["HttpCode"] == "204"
    cloud.until(lambda: [*cloud.plane.health(setup.blue).values()] == [TargetHealth.UNHEALTHY])
    described = elb.describe_target_health(TargetGroupArn=setup.blue)
    health = described["TargetHealthDescriptions"][0]["TargetHealth"]
    assert health["Reason"] == "Target.ResponseCodeMismatch"
    assert health["Description"] == "Health checks failed with these codes: [200]"
