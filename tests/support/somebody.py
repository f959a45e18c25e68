"""An account in which the templates find what they are told there is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

REGION = "us-east-1"
SECRETS = {
    "tokens": '{"current": "t"}',
    "master": '{"username": "u"}',
    "pagerduty": "https://events.example.com/integration/0/enqueue",
}
SERVER = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
FUNCTION = "def handler(event, context):\n    return 1\n"


class Somebody:
    """An account that has what the templates are told there is."""

    def __init__(self, cloud: Any, make: Mapping[str, Any], account: str = "123456789012") -> None:
        self.cloud, self._make, self._account = cloud, make, account
        self._names: dict[str, str] = {}
        self._network()
        for name, value in SECRETS.items():
            made = cloud.client("secretsmanager").create_secret(Name=name, SecretString=value)
            self._names[f"arn:aws:secretsmanager:{REGION}:{self._account}:secret:{name}-AbCdEf"] = (
                made["ARN"]
            )
        cloud.client("cloudwatch").put_metric_alarm(
            AlarmName="handbook-5xx", MetricName="m", Namespace="n", Period=60, Statistic="Sum",
            EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
        self._function()
        self.image = self._image()

    def _network(self) -> None:
        ec2 = self.cloud.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{i}.0/24", AvailabilityZone=zone)
            for i, zone in enumerate(("us-east-1a", "us-east-1b"))
        ]
        group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
        self._vpc, self._group = vpc, group
        self._subnets = [each["Subnet"]["SubnetId"] for each in subnets]

    def _function(self) -> None:
        functions = self.cloud.client("lambda")
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
        trust |= {"Principal": {"Service": "lambda.amazonaws.com"}}
        role = self.cloud.client("iam").create_role(
            RoleName="any",
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
        functions.create_function(
            FunctionName="answers",
            Runtime="python3.13",
            Role=role["Role"]["Arn"],
            Handler="index.handler",
            Code={"ZipFile": self._make["zip"]({"index.py": FUNCTION})},
            Publish=True,
        )
        functions.create_alias(FunctionName="answers", Name="live", FunctionVersion="1")

    def _image(self) -> str:
        """One that runs until it is stopped and answers all is well, as whatever it is started."""
        ecr = self.cloud.client("ecr")
        ecr.create_repository(repositoryName="any")
        packages = ("llm_service", "llm_ui")
        files = {f"app/{name}/__init__.py": "" for name in packages}
        files |= {f"app/{name}/__main__.py": SERVER for name in packages}
        layer = self._make["layer"](files)
        config, manifest = self._make["image"](layer, ["python", "-m", "llm_service"])
        for blob in (layer, config):
            upload = ecr.initiate_layer_upload(repositoryName="any")["uploadId"]
            ecr.upload_layer_part(
                repositoryName="any", uploadId=upload, partFirstByte=0,
                partLastByte=len(blob) - 1, layerPartBlob=blob,
            )  # fmt: skip
            ecr.complete_layer_upload(
                repositoryName="any", uploadId=upload, layerDigests=[self._make["digest"](blob)]
            )
        put = ecr.put_image(repositoryName="any", imageManifest=manifest, imageTag="1")
        digest = put["image"]["imageId"]["imageDigest"]
        return f"{self._account}.dkr.ecr.{REGION}.amazonaws.com/any@{digest}"

    def with_ports(self, template: dict[str, Any], free: Callable[[], int]) -> dict[str, Any]:
        """The template with an image that is here, its functions' code, and ports nobody has."""
        for resource in template["Resources"].values():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::ECS::TaskDefinition":
                for container in properties["ContainerDefinitions"]:
                    container["Image"] = self.image
            if resource["Type"] == "AWS::ElasticLoadBalancingV2::Listener":
                properties["Port"] = free()
            code = properties.get("Code", {}) if "Lambda::Function" in resource["Type"] else {}
            if "S3Key" in code:
                self.cloud.client("s3").put_object(
                    Bucket=f"cdk-hnb659fds-assets-{self._account}-{REGION}",
                    Key=code["S3Key"],
                    Body=self._make["zip"]({"index.py": FUNCTION}),
                )
        return template

    def named(self, text: str) -> str:
        """The text of a template with what is in this account in place of what it names."""
        text = re.sub(r"vpc-[0-9a-z]{8,}", self._vpc, text)
        text = re.sub(r"sg-[0-9a-z]{8,}", self._group, text)
        ids = sorted(set(re.findall(r"subnet-[0-9a-z]{8,}", text)))
        for number, each in enumerate(ids):
            text = text.replace(each, self._subnets[number % 2])
        for theirs, ours in self._names.items():
            text = text.replace(theirs, ours)
        return text

    def learn_routing(self) -> None:
        """The target groups and rules of the load balancer that is here by now."""
        elb, prefix = (
            self.cloud.client("elbv2"),
            f"arn:aws:elasticloadbalancing:{REGION}:{self._account}:",
        )
        groups = [each["TargetGroupArn"] for each in elb.describe_target_groups()["TargetGroups"]]
        [balancer] = elb.describe_load_balancers()["LoadBalancers"]
        listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])
        rules = [
            rule["RuleArn"]
            for listener in listeners["Listeners"]
            for rule in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
            if not rule["IsDefault"]
        ]
        places = (
            "targetgroup/blue/0123456789abcdef", "targetgroup/green/fedcba9876543210",
            "listener-rule/app/one/01234567/01234567/01234567",
            "listener-rule/app/one/01234567/76543210/76543210",
        )  # fmt: skip
        self._names |= dict(
            zip([prefix + place for place in places], [*groups, *rules], strict=True)
        )
