"""The queue of jobs: what becomes of a message, and who may send and receive."""

from collections.abc import Callable

import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template
from policies import findings
from templates import Alone, job_queues

from llm_service.jobs import settings
from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.jobs_queue import JobsQueue
from llmops_constructs.keys import EncryptionKey

Stacks = Callable[..., ExplicitStack]


@pytest.fixture(scope="module")
def stack(new_stack: Stacks) -> ExplicitStack:
    made = new_stack()
    key = EncryptionKey(made, "Key", alias="handbook-test").key
    jobs = JobsQueue(
        made,
        "Jobs",
        prefix="handbook-test",
        visibility_seconds=360,
        receives=5,
        encryption_key=key,
    )
    for name, grant in (("Sender", jobs.grant_send), ("Receiver", jobs.grant_receive)):
        role = iam.Role(made, name, assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        grant(role)
    return made


@pytest.fixture(scope="module")
def template(stack: ExplicitStack) -> Template:
    return Template.from_stack(stack)


@pytest.fixture(scope="module")
def plain(alone: Alone) -> Template:
    return alone(lambda stack: JobsQueue(stack, "Jobs", prefix="handbook-test"))


def test_the_plain_form_is_as_reviewed(
    plain: Template, snapshot: Callable[[Template, str], None]
) -> None:
    snapshot(plain, "jobs_queue")


def test_no_pack_finds_anything_unanswered(stack: ExplicitStack, template: Template) -> None:
    assert template and findings(stack) == []


def test_a_message_that_comes_too_often_is_kept_as_long_as_sqs_can(template: Template) -> None:
    queue, dead = job_queues(template)
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    assert dead["MessageRetentionPeriod"] == 14 * 86400
    (source,) = dead["RedriveAllowPolicy"]["sourceQueueArns"]
    assert str(source).endswith(f":{queue['QueueName']}")


def test_messages_are_encrypted_whoever_has_the_key(plain: Template, template: Template) -> None:
    assert all(each["SqsManagedSseEnabled"] for each in job_queues(plain))
    assert all("KmsMasterKeyId" in each for each in job_queues(template))


def test_senders_send_and_receivers_receive(template: Template) -> None:
    actions = {
        name.split("Default")[0]: each["Properties"]["PolicyDocument"]["Statement"][0]["Action"]
        for name, each in template.find_resources("AWS::IAM::Policy").items()
    }
    assert actions["Sender"] == "sqs:SendMessage"
    assert set(actions["Receiver"]) == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
    }


def test_the_service_is_told_the_queues_numbers(new_stack: Stacks) -> None:
    made = new_stack()
    url = "arn:aws:sqs:us-east-1:123456789012:others"
    queue = sqs.Queue.from_queue_arn(made, "Others", url)
    jobs = JobsQueue(
        made, "Jobs", prefix="x", visibility_seconds=90, receives=4, existing_queue=queue
    )
    found = settings.from_environ({**jobs.variables, "DATABASE_HOST": "db"})
    assert (found.visibility, found.receives, jobs.dead_letters) == (90, 4, None)
    assert jobs.queue is queue


def test_numbers_that_sqs_refuses_are_refused(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        JobsQueue(new_stack(), "Jobs", prefix="x", visibility_seconds=43_201, receives=0)
    assert len(caught.value.mistakes) == 2
