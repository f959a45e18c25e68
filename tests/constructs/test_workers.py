"""The queue of jobs, and the workers that follow it."""

from collections.abc import Callable
from typing import Any

import brought_along
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template
from policies import findings
from templates import Alone, job_queues

from llm_service.jobs import settings
from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.backlog import WorkerScaling
from llmops_constructs.keys import EncryptionKey
from llmops_constructs.workers import WorkerService

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
Snapshot = Callable[[Template, str], None]


def workers(stack: ExplicitStack, **changes: Any) -> WorkerService:
    arguments: dict[str, Any] = {
        "prefix": "handbook-test",
        "vpc": changes.get("vpc") or brought_along.vpc(stack),
        "vpc_subnets": brought_along.private(),
        "image_uri": brought_along.IMAGE,
    }
    return WorkerService(stack, "Workers", **(arguments | changes))


@pytest.fixture(scope="module")
def plain(alone: Alone) -> Template:
    return alone(workers)


def production(new_stack: Stacks) -> ExplicitStack:
    stack = new_stack()
    key = EncryptionKey(stack, "Key", alias="handbook-test").key
    made = workers(
        stack,
        encryption_key=key,
        token_secret=brought_along.secret(stack, "tokens", key),
        visibility_seconds=90,
        receives=5,
        concurrency=2,
        scaling=WorkerScaling(minimum=1, maximum=8, age_seconds=120, idle_minutes=10),
    )
    sender = iam.Role(stack, "Sender", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
    made.grant_send(sender)
    return stack


@pytest.fixture(scope="module")
def whole(new_stack: Stacks, synthesized: Synthesized) -> Template:
    return synthesized(production(new_stack))


def alarms(template: Template) -> dict[str, dict[str, Any]]:
    return {
        resource["Properties"]["AlarmName"].rsplit("-", 1)[1]: resource["Properties"]
        for resource in template.find_resources("AWS::CloudWatch::Alarm").values()
    }


def container(template: Template) -> dict[str, Any]:
    (task,) = template.find_resources("AWS::ECS::TaskDefinition").values()
    (found,) = task["Properties"]["ContainerDefinitions"]
    return dict(found)


def test_the_plain_form_is_as_reviewed(plain: Template, snapshot: Snapshot) -> None:
    snapshot(plain, "workers")


def test_no_pack_finds_anything_unanswered(new_stack: Stacks) -> None:
    assert findings(production(new_stack)) == []


def test_queue_and_worker_agree_how_long_and_how_often(whole: Template) -> None:
    queue, _ = job_queues(whole)
    assert queue["VisibilityTimeout"] == 90
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    variables = {each["Name"]: each["Value"] for each in container(whole)["Environment"]}
    told = settings.from_environ(
        {name: value for name, value in variables.items() if isinstance(value, str)}
    )
    assert (told.visibility, told.receives, told.concurrency) == (90, 5, 2)
    assert "JOBS_QUEUE_URL" in variables


def test_dead_letters_are_kept_as_long_as_they_can_be_and_are_this_queues(plain: Template) -> None:
    queue, dead = job_queues(plain)
    assert dead["MessageRetentionPeriod"] == 14 * 86400
    assert dead["RedriveAllowPolicy"]["redrivePermission"] == "byQueue"
    (source,) = dead["RedriveAllowPolicy"]["sourceQueueArns"]
    assert str(source).endswith(f":{queue['QueueName']}")


def test_messages_are_encrypted_and_travel_by_tls(plain: Template, whole: Template) -> None:
    assert all(queue["SqsManagedSseEnabled"] for queue in job_queues(plain))
    assert all("KmsMasterKeyId" in queue for queue in job_queues(whole))
    for policy in plain.find_resources("AWS::SQS::QueuePolicy").values():
        (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_first_worker_is_asked_for_by_a_message_that_waits(plain: Template) -> None:
    wake = alarms(plain)["wake"]
    assert wake["Metrics"][0]["Expression"] == (
        "IF(waiting > 0 AND waiting + tasks == waiting, 1, 0)"
    )
    assert (wake["DatapointsToAlarm"], wake["EvaluationPeriods"]) == (1, 3)


def test_more_workers_come_while_work_is_too_old(whole: Template) -> None:
    late = alarms(whole)["late"]
    assert late["Threshold"] == 120
    assert {metric.get("Id") for metric in late["Metrics"]} == {"expr_1", "waiting", "oldest"}
    assert steps(whole, late) == [(0, 480, 1), (480, None, 2)]


def test_a_worker_goes_once_one_fewer_would_do(whole: Template) -> None:
    surplus = alarms(whole)["surplus"]
    assert surplus["Metrics"][0]["Expression"] == (
        "IF(tasks > 1 AND waiting + working <= 2 * (tasks - 1), 1, 0)"
    )
    assert surplus["EvaluationPeriods"] == 10
    assert steps(whole, surplus) == [(0, None, -1)]


def fires(alarm: dict[str, Any], waiting: int, working: int, tasks: int, oldest: int) -> bool:
    """Whether the value of the alarm's expression is at its threshold."""
    (expression,) = (each["Expression"] for each in alarm["Metrics"] if "Expression" in each)
    values = {
        "waiting": waiting,
        "working": working,
        "tasks": tasks,
        "oldest": oldest,
        "IF": lambda condition, true, false: true if condition else false,
    }
    return bool(eval(expression.replace("AND", "and"), values) >= alarm["Threshold"])


@pytest.mark.parametrize(
    ("seen", "moved_by"),
    [
        ((0, 0, 0, 0), set()),
        ((1, 0, 0, 10), {"wake"}),
        ((1, 0, 0, 60), {"wake", "late"}),
        ((1, 4, 1, 10), set()),
        ((1, 4, 1, 60), {"late"}),
        ((0, 4, 1, 600), set()),
        ((0, 1, 1, 600), set()),
        ((0, 0, 1, 0), {"surplus"}),
        ((0, 4, 2, 20), {"surplus"}),
        ((0, 5, 2, 20), set()),
        ((1, 4, 2, 20), set()),
    ],
)
def test_workers_follow_the_work(
    plain: Template, seen: tuple[int, int, int, int], moved_by: set[str]
) -> None:
    """Jobs waiting, under way, workers and seconds, with four jobs a worker and a minute of
    patience; a long job alone moves nothing."""
    found = {name for name, alarm in alarms(plain).items() if fires(alarm, *seen)}
    assert found == moved_by


def steps(template: Template, alarm: dict[str, Any]) -> list[tuple[int, int | None, int]]:
    """Lower bound, upper bound and change of the alarm's one action."""
    (action,) = alarm["AlarmActions"]
    policy = template.find_resources("AWS::ApplicationAutoScaling::ScalingPolicy")[action["Ref"]]
    found = policy["Properties"]["StepScalingPolicyConfiguration"]
    assert found["AdjustmentType"] == "ChangeInCapacity"
    return [
        (
            step["MetricIntervalLowerBound"],
            step.get("MetricIntervalUpperBound"),
            step["ScalingAdjustment"],
        )
        for step in found["StepAdjustments"]
    ]


def test_workers_run_on_spot_and_none_is_there_at_first(plain: Template) -> None:
    (service,) = plain.find_resources("AWS::ECS::Service").values()
    found = service["Properties"]
    assert found["CapacityProviderStrategy"] == [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}]
    assert "DesiredCount" not in found
    (target,) = plain.find_resources("AWS::ApplicationAutoScaling::ScalableTarget").values()
    assert (target["Properties"]["MinCapacity"], target["Properties"]["MaxCapacity"]) == (0, 4)


def test_a_deployment_that_does_not_stay_up_is_taken_back(plain: Template) -> None:
    (service,) = plain.find_resources("AWS::ECS::Service").values()
    breaker = service["Properties"]["DeploymentConfiguration"]["DeploymentCircuitBreaker"]
    assert breaker == {"Enable": True, "Rollback": True}


def test_the_worker_is_the_services_image_with_another_command(plain: Template) -> None:
    found = container(plain)
    assert found["Command"] == ["python", "-m", "llm_service", "worker"]
    assert found["ReadonlyRootFilesystem"] is True
    assert "PortMappings" not in found


def test_who_sends_may_send_and_nothing_else(whole: Template) -> None:
    (policy,) = (
        found["Properties"]
        for name, found in whole.find_resources("AWS::IAM::Policy").items()
        if name.startswith("Sender")
    )
    actions = [statement["Action"] for statement in policy["PolicyDocument"]["Statement"]]
    assert actions == ["sqs:SendMessage", ["kms:Decrypt", "kms:GenerateDataKey"]]


def test_a_queue_and_a_cluster_can_be_brought_along(
    new_stack: Stacks, synthesized: Synthesized
) -> None:
    stack = new_stack()
    vpc = brought_along.vpc(stack)
    arn = "arn:aws:sqs:us-east-1:123456789012:mine"
    made = workers(
        stack,
        vpc=vpc,
        existing_queue=sqs.Queue.from_queue_arn(stack, "Mine", arn),
        existing_cluster=brought_along.cluster(stack, vpc),
        database=brought_along.database(stack),
        live_credentials=True,
        spot=None,
        assign_public_ip=True,
    )
    assert made.dead_letters is None
    template = synthesized(stack)
    template.resource_count_is("AWS::SQS::Queue", 0)
    template.resource_count_is("AWS::ECS::Cluster", 0)
    (service,) = template.find_resources("AWS::ECS::Service").values()
    found = service["Properties"]
    assert (found["Cluster"], found["LaunchType"]) == ("shared", "FARGATE")
    network = found["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "ENABLED"
    names = {each["Name"] for each in container(template)["Environment"]}
    assert {"DATABASE_HOST", "DATABASE_SECRET"} <= names
    assert "Secrets" not in container(template)
    ways = template.find_resources("AWS::EC2::SecurityGroupIngress")
    assert [way["Properties"]["FromPort"] for way in ways.values()] == [5432]
    assert set(ways) <= set(service["DependsOn"])


def test_numbers_that_sqs_refuses_are_refused(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        workers(new_stack(), visibility_seconds=43_201, receives=0)
    assert len(caught.value.mistakes) == 2


def test_workers_that_could_do_nothing_are_refused_with_all_that_is_wrong(
    new_stack: Stacks,
) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        workers(
            new_stack(),
            concurrency=0,
            live_credentials=True,
            scaling=WorkerScaling(minimum=5, maximum=4),
        )
    assert len(caught.value.mistakes) == 3
