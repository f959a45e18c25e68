"""A rollout to call the gate in: moto's S3 and CloudWatch, and an ECS that answers describes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.validate import ParamValidator
from moto import mock_aws

from llmops_functions import gate
from llmops_functions.call import Call

SERVICE = "arn:aws:ecs:us-east-1:123456789012:service/handbook/handbook"
ROLLOUT = "arn:aws:ecs:us-east-1:123456789012:service-deployment/handbook/handbook/Rollout1"
BLUE = "arn:aws:ecs:us-east-1:123456789012:service-revision/handbook/handbook/1"
GREEN = "arn:aws:ecs:us-east-1:123456789012:service-revision/handbook/handbook/2"
BUCKET = "handbook-artifacts"
START = int(datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC).timestamp())
"""When the first step is asked for: half a minute into 12:00."""

MODEL = botocore.session.get_session().get_service_model("ecs")
POLICY = {"error_margin": 0.03, "quality_margin": 0.10, "maximum_minutes": 60}


class Ecs:
    """Answers the three describes, in shapes that botocore's model accepts."""

    def __init__(self) -> None:
        self.now = START
        self.sources = [BLUE]
        self.releases = {BLUE: "1.0.0-aaaaaaaa", GREEN: "1.1.0-bbbbbbbb"}
        self.broken = False

    def describe_service_deployments(self, *, serviceDeploymentArns: list[str]) -> Any:
        if self.broken:
            raise TimeoutError("ECS did not answer")
        deployment = {
            "serviceDeploymentArn": serviceDeploymentArns[0],
            "serviceArn": SERVICE,
            "status": "IN_PROGRESS",
            "sourceServiceRevisions": [{"arn": arn} for arn in self.sources],
            "targetServiceRevision": {"arn": GREEN},
        }
        return self._answer("DescribeServiceDeployments", {"serviceDeployments": [deployment]})

    def describe_service_revisions(self, *, serviceRevisionArns: list[str]) -> Any:
        revisions = [
            {"serviceRevisionArn": arn, "taskDefinition": f"definition-of-{arn}"}
            for arn in serviceRevisionArns
        ]
        return self._answer("DescribeServiceRevisions", {"serviceRevisions": revisions})

    def describe_task_definition(self, *, taskDefinition: str) -> Any:
        release = self.releases[taskDefinition.removeprefix("definition-of-")]
        variables = [{"name": "PORT", "value": "8080"}, {"name": "RELEASE", "value": release}]
        container = {"name": "service", "environment": variables}
        definition = {"containerDefinitions": [container]}
        return self._answer("DescribeTaskDefinition", {"taskDefinition": definition})

    def _answer(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        shape = MODEL.operation_model(operation).output_shape
        report = ParamValidator().validate(body, shape)
        assert not report.has_errors(), report.generate_report()
        date = format_datetime(datetime.fromtimestamp(self.now, tz=UTC), usegmt=True)
        return {**body, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}


@dataclass
class World:
    """One rollout; `call` is what ECS does: it hands back what the gate remembered."""

    aws: gate.Aws
    ecs: Ecs
    details: dict[str, Any] = field(
        default_factory=lambda: {"policy": dict(POLICY), "callback_seconds": 15}
    )
    place: gate.Place = field(
        default_factory=lambda: gate.Place.from_environment(
            {
                "ARTIFACT_BUCKET": BUCKET,
                "METRIC_NAMESPACE": "llmops",
                "SERVICE_NAME": "handbook",
                "ENVIRONMENT": "local",
            }
        )
    )

    def call(self, *, green: int, at: float, stage: str = "PRE_PRODUCTION_TRAFFIC_SHIFT") -> Any:
        """One call `at` seconds after START, with the canary at `green` percent."""
        self.ecs.now = int(START + at)
        answer = gate.answer(Call.parse(self.event(green, stage)), self.aws, self.place)
        self.details |= answer.get("hookDetails", {})
        json.dumps(answer, allow_nan=False)
        return answer

    def event(self, green: int, stage: str = "PRE_PRODUCTION_TRAFFIC_SHIFT") -> dict[str, Any]:
        """AWS's payload."""
        return {
            "executionId": "b1a6f3d5",
            "lifecycleStage": stage,
            "resourceArn": ROLLOUT,
            "executionDetails": {
                "serviceArn": SERVICE,
                "targetServiceRevisionArn": GREEN,
                "testTrafficWeights": {},
                "productionTrafficWeights": {GREEN: green, BLUE: 100 - green},
            },
            "hookDetails": self.details,
        }

    def traffic(self, minute: int, arm: str, **sums: float) -> None:
        """What an arm published in the minute 12:00 + `minute`."""
        names = {
            "requests": "Requests",
            "errors": "Errors",
            "answers": "Answers",
            "poor": "PoorAnswers",
        }
        release = self.ecs.releases[GREEN if arm == "canary" else BLUE]
        dimensions = {"service": "handbook", "environment": "local", "release": release}
        self.aws.cloudwatch.put_metric_data(
            Namespace="llmops",
            MetricData=[
                {
                    "MetricName": names[name],
                    "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
                    "Timestamp": datetime.fromtimestamp(START - 30 + 60 * minute + 5, tz=UTC),
                    "Value": value,
                }
                for name, value in sums.items()
            ],
        )

    def arms(self, minute: int, *, errors: float = 0, poor: float = 0.1, n: int = 1000) -> None:
        """A minute of both arms at 10 %: the baseline is fine, the canary has these rates."""
        self.traffic(minute, "baseline", requests=0.9 * n, errors=0, answers=0.9 * n, poor=0.09 * n)
        canary = round(0.1 * n)
        bad = round(canary * errors)
        answers = canary - bad
        self.traffic(
            minute,
            "canary",
            requests=canary,
            errors=bad,
            answers=answers,
            poor=round(answers * poor),
        )

    def say(self, decision: str) -> None:
        """The operator's word."""
        body = {"decision": decision, "by": "ana", "reason": "because", "at": "2026-11-20T12:00Z"}
        self.put("decision.json", json.dumps(body))

    def put(self, name: str, body: str) -> None:
        """An object in the rollout's folder."""
        self.aws.s3.put_object(Bucket=BUCKET, Key=f"rollouts/Rollout1/{name}", Body=body.encode())

    def record(self) -> dict[str, Any]:
        """gate.json."""
        response = self.aws.s3.get_object(Bucket=BUCKET, Key="rollouts/Rollout1/gate.json")
        content: dict[str, Any] = json.loads(response["Body"].read())
        return content


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        ecs = Ecs()
        yield World(gate.Aws(ecs, boto3.client("cloudwatch"), s3), ecs)
