"""A rollout to call the gate in: moto's S3, and twins of CloudWatch, ECS and the listeners."""

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
from cloudwatch_twin import CloudWatch
from listener_twin import TOKEN, Listener, serving
from moto import mock_aws

from llmops_functions import gate
from llmops_functions.exam import Urls
from llmops_functions.queries import Source
from llmops_functions.steps import Aws, Place
from llmops_judge import Policy

SERVICE = "arn:aws:ecs:us-east-1:123456789012:service/handbook/handbook"
ROLLOUT = "arn:aws:ecs:us-east-1:123456789012:service-deployment/handbook/handbook/Rollout1"
BLUE = "arn:aws:ecs:us-east-1:123456789012:service-revision/handbook/handbook/1"
GREEN = "arn:aws:ecs:us-east-1:123456789012:service-revision/handbook/handbook/2"
BUCKET = "handbook-artifacts"
START = int(datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC).timestamp())
"""When the first step is asked for: half a minute into 12:00."""

MODEL = botocore.session.get_session().get_service_model("ecs")
POLICY = {
    "maximum_minutes": 60,
    "golden": {"minimum": 0.8, "alpha": 0.01},
    "metrics": {
        "errors": {"margin": 0.03},
        "quality": {"margin": 0.10, "tail_margin": None},
        **{name: {"mode": "observe"} for name in ("latency", "cost")},
    },
}
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tokens"
STATUSES = frozenset({"SUCCEEDED", "FAILED", "IN_PROGRESS"})


class Ecs:
    """Answers the three describes, in shapes that botocore's model accepts."""

    def __init__(self) -> None:
        self.now = START
        self.sources = [BLUE]
        self.releases = {BLUE: "1.0.0-aaaaaaaa", GREEN: "1.1.0-bbbbbbbb"}
        self.status = "IN_PROGRESS"
        self.broken = False

    def describe_service_deployments(self, *, serviceDeploymentArns: list[str]) -> Any:
        if self.broken:
            raise TimeoutError("ECS did not answer")
        deployment = {
            "serviceDeploymentArn": serviceDeploymentArns[0],
            "serviceArn": SERVICE,
            "status": self.status,
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


class Secrets:
    """Secrets Manager with the token secret."""

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:
        assert SecretId == SECRET
        return {"SecretString": json.dumps({"current": TOKEN, "previous": ""})}


@dataclass
class World:
    """One rollout; `call` is what ECS does: it hands back what the gate remembered."""

    aws: Aws
    ecs: Ecs
    cloudwatch: CloudWatch
    details: dict[str, Any] = field(
        default_factory=lambda: {
            "policy": Policy.from_settings(POLICY).to_settings(),
            "callback_seconds": 15,
        }
    )
    place: Place = field(
        default_factory=lambda: Place(BUCKET, Source("llmops", "handbook", "local"))
    )
    seconds_left: Any = lambda: 900.0

    def call(self, *, green: int, at: float, stage: str = "PRE_PRODUCTION_TRAFFIC_SHIFT") -> Any:
        """One call `at` seconds after START, with the canary at `green` percent."""
        self.ecs.now = int(START + at)
        answer = self.answer(self.event(green, stage))
        self.details |= answer.get("hookDetails", {})
        return answer

    def answer(self, event: dict[str, Any]) -> Any:
        """What the gate answers to an event, as ECS gets it: through JSON, and by ECS's rules."""
        given = gate.answer(event, self.aws, self.place, self.seconds_left)
        answer = json.loads(json.dumps(given, allow_nan=False))
        assert answer["hookStatus"] in STATUSES
        assert set(answer) <= {"hookStatus", "callBackDelay", "hookDetails"}
        waits = answer["hookStatus"] == "IN_PROGRESS"
        assert ("callBackDelay" in answer) == waits
        assert not waits or answer["callBackDelay"] >= 1
        assert isinstance(answer.get("hookDetails", {}), dict)
        return answer

    def golden(self, at: float = -20) -> Any:
        """One call of the golden set's stage, at which ECS tells no weights."""
        return self.call(green=-1, at=at, stage="POST_TEST_TRAFFIC_SHIFT")

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
                "productionTrafficWeights": {GREEN: green, BLUE: 100 - green} if green >= 0 else {},
            },
            "hookDetails": json.loads(json.dumps(self.details)),
        }

    def publish(self, minute: int, arm: str, metric: str, values: Any, **more: str) -> None:
        """Values of a metric that an arm published in the minute 12:00 + `minute`."""
        release = self.ecs.releases[GREEN if arm == "canary" else BLUE]
        dimensions = {"service": "handbook", "environment": "local", "release": release, **more}
        self.cloudwatch.put(metric, dimensions, START - 30 + 60 * minute, list(values))

    def traffic(
        self,
        minute: int,
        arm: str,
        requests: int,
        *,
        errors: int = 0,
        poor: float = 0.1,
        latency: float = 400.0,
    ) -> None:
        """A minute of an arm: all that the service publishes about it."""
        answers = requests - errors
        bad = round(answers * poor)
        quality = [0.95] * (answers - bad) + [0.3] * bad
        told = {
            "Requests": [1.0] * requests,
            "Errors": [1.0] * errors + [0.0] * answers,
            "Latency": [latency] * requests,
            "GuardrailHits": [0.0] * requests,
            "Answers": [1.0] * answers,
            "FirstToken": [90.0] * answers,
            "Cost": [800.0] * answers,
            "Tokens": [500.0] * answers,
            "Refusals": [0.0] * answers,
            "RetrievalHits": [1.0] * answers,
            "CacheHits": [0.0] * answers,
            "Quality": quality,
        }
        for metric, values in told.items():
            if values:
                self.publish(minute, arm, metric, values)

    def arms(self, minute: int, *, errors: float = 0, poor: float = 0.1, n: int = 1000) -> None:
        """A minute of both arms at 10 %: the baseline is fine, the canary has these rates."""
        canary = round(0.1 * n)
        self.traffic(minute, "baseline", n - canary)
        self.traffic(minute, "canary", canary, errors=round(canary * errors), poor=poor)

    def say(self, decision: str) -> None:
        """The operator's word."""
        body = {"decision": decision, "by": "ana", "reason": "because", "at": "2026-11-20T12:00Z"}
        self.put("rollouts/Rollout1/decision.json", json.dumps(body))

    def put(self, key: str, body: str) -> None:
        """An object of the bucket."""
        self.aws.s3.put_object(Bucket=BUCKET, Key=key, Body=body.encode())

    def get(self, key: str) -> Any:
        """A JSON object of the bucket."""
        return json.loads(self.aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    @property
    def last(self) -> Any:
        """The last call of the record."""
        return self.record()["calls"][-1]

    @property
    def judged(self) -> Any:
        """The requests that the last verdict rests on."""
        return self.last["verdict"]["requests"]

    def record(self) -> dict[str, Any]:
        """gate.json."""
        content: dict[str, Any] = self.get("rollouts/Rollout1/gate.json")
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
        ecs, cloudwatch = Ecs(), CloudWatch()
        yield World(Aws(ecs, cloudwatch, s3, Secrets()), ecs, cloudwatch)


@pytest.fixture
def canary(world: World) -> World:
    """A rollout whose first step was let through at START; its canary takes 10 % during 12:01."""
    assert world.call(green=0, at=0)["hookStatus"] == "SUCCEEDED"
    return world


@dataclass
class Hall:
    """A world with a golden set of 40 questions and a listener for either release."""

    world: World
    test: Listener
    service: Listener

    def wrong(self, listener: Listener, *numbers: int, text: Any = "I do not know.") -> None:
        """From now on these questions are answered wrong there."""
        asked = {f"Question {number}?" for number in numbers}
        right = listener.reply
        listener.reply = lambda question: text if question in asked else right(question)


SET = "5" * 64


def right(question: str) -> str:
    """The right answer to `Question N?`."""
    number = question.removeprefix("Question ").removesuffix("?")
    return f"It is, as everybody knows, ANSWER-{number}x."


@pytest.fixture
def hall(world: World) -> Iterator[Hall]:
    lines = [
        {
            "id": f"g{number}",
            "question": f"Question {number}?",
            "document_id": "d",
            "answer": f"answer-{number}x",
        }
        for number in range(40)
    ]
    world.put(f"golden/{SET}.jsonl", "\n".join(map(json.dumps, lines)))
    for release in world.ecs.releases.values():
        world.put(f"releases/{release}.json", json.dumps({"golden": SET}))
    test = Listener(world.ecs.releases[GREEN], right)
    service = Listener(world.ecs.releases[BLUE], right)
    with serving(test), serving(service):
        urls = Urls(test.url, service.url)
        world.place = Place(BUCKET, world.place.source, urls, SECRET)
        yield Hall(world, test, service)
