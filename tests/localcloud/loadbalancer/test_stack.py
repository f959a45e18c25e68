"""CloudFormation's load balancing types in front of the real load balancer."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Callable
from typing import Any

import pytest
from moto.elbv2.models import elbv2_backends


def template(vpc: str, subnets: list[str], port: int, **weights: int) -> str:
    def group() -> dict[str, Any]:
        return {
            "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
            "Properties": {
                "HealthCheckIntervalSeconds": 10,
                "HealthCheckPath": "/readyz",
                "HealthCheckTimeoutSeconds": 5,
                "HealthyThresholdCount": 2,
                "Matcher": {"HttpCode": "200"},
                "Port": 8080,
                "Protocol": "HTTP",
                "TargetGroupAttributes": [
                    {"Key": "deregistration_delay.timeout_seconds", "Value": "30"},
                    {"Key": "stickiness.enabled", "Value": "false"},
                ],
                "TargetType": "ip",
                "UnhealthyThresholdCount": 3,
                "VpcId": vpc,
            },
        }

    resources = {
        "Balancer": {
            "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "Properties": {
                "LoadBalancerAttributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "120"}],
                "Scheme": "internal",
                "Subnets": subnets,
                "Type": "application",
            },
        },
        "Blue": group(),
        "Green": group(),
        "Listener": {
            "Type": "AWS::ElasticLoadBalancingV2::Listener",
            "Properties": {
                "DefaultActions": [
                    {
                        "Type": "fixed-response",
                        "FixedResponseConfig": {"StatusCode": "503", "MessageBody": "no rule"},
                    }
                ],
                "LoadBalancerArn": {"Ref": "Balancer"},
                "Port": port,
                "Protocol": "HTTP",
            },
        },
        "Rule": {
            "Type": "AWS::ElasticLoadBalancingV2::ListenerRule",
            "Properties": {
                "Actions": [
                    {
                        "Type": "forward",
                        "ForwardConfig": {
                            "TargetGroups": [
                                {"TargetGroupArn": {"Ref": name}, "Weight": weight}
                                for name, weight in weights.items()
                            ]
                        },
                    }
                ],
                "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a*"]}}],
                "ListenerArn": {"Ref": "Listener"},
                "Priority": 1,
            },
        },
    }
    outputs = {
        "Rule": {"Value": {"Ref": "Rule"}},
        "Dns": {"Value": {"Fn::GetAtt": ["Balancer", "DNSName"]}},
        "FullName": {"Value": {"Fn::GetAtt": ["Balancer", "LoadBalancerFullName"]}},
        "Group": {"Value": {"Fn::GetAtt": ["Blue", "TargetGroupFullName"]}},
        "Blue": {"Value": {"Ref": "Blue"}},
    }
    return json.dumps({"Resources": resources, "Outputs": outputs})


def outputs_of(cloud: Any, stack: str) -> dict[str, str]:
    found = cloud.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {o["OutputKey"]: o["OutputValue"] for o in found["Outputs"]}


def test_a_stack_keeps_both_groups_with_weights_and_takes_its_ports_along_when_it_goes(
    cloud: Any, target: Any, free_port: Callable[[], int]
) -> None:
    formation, port = cloud.client("cloudformation"), free_port()
    vpc, subnets = cloud.network()
    body = template(vpc, subnets, port, Blue=90, Green=10)
    formation.create_stack(StackName="balanced", TemplateBody=body)
    outputs = outputs_of(cloud, "balanced")
    assert outputs["Dns"] == "127.0.0.1"
    assert outputs["FullName"].startswith("app/")
    assert outputs["Group"] == outputs["Blue"].rsplit(":", 1)[1]
    assert list(cloud.plane.weights(outputs["Rule"]).values()) == [90, 10]
    elb = cloud.client("elbv2")
    attributes = elb.describe_target_group_attributes(TargetGroupArn=outputs["Blue"])["Attributes"]
    assert {"Key": "deregistration_delay.timeout_seconds", "Value": "30"} in attributes
    cloud.plane.register(outputs["Blue"], target("blue"))
    cloud.healthy(outputs["Blue"])
    changed = template(vpc, subnets, port, Blue=100, Green=0)
    formation.update_stack(StackName="balanced", TemplateBody=changed)
    assert outputs_of(cloud, "balanced") == outputs
    assert list(cloud.plane.weights(outputs["Rule"]).values()) == [100, 0]
    assert cloud.get(port, "/a") == "blue"
    with pytest.raises(urllib.error.HTTPError, match="503"):
        cloud.get(port, "/b")
    formation.delete_stack(StackName="balanced")
    with pytest.raises(urllib.error.URLError):
        cloud.get(port, "/a")
    assert outputs["Blue"] not in elbv2_backends["123456789012"]["us-east-1"].target_groups
