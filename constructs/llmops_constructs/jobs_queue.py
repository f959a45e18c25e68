"""The queue of jobs between a service and whoever does them: workers, or a Lambda function."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from llmops_constructs._validation import check, outside
from llmops_constructs.keys import WRITE_ACTIONS, allow_key
from llmops_constructs.names import resource_name

LONGEST_HIDDEN = 43_200
"""Seconds; SQS's quota "Message visibility timeout", 12 hours."""
MOST_RECEIVES = 1000
RECEIVING = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
"""What Lambda does with a function's role for its event source mapping."""
SENDING = ("sqs:SendMessage",)
WAITING_DAYS = 4
DEAD_DAYS = 14
"""The longest that SQS keeps a message."""


class JobsQueue(Construct):
    """An SQS queue and its dead letters, which come from it and from no other.

    :param prefix: what the names of the two queues begin with.
    :param visibility_seconds: for which a message is hidden once it is received. Workers prolong
        it; for `LambdaLlmService` it is six times the function's time-out at least.
    :param receives: how often a job is begun before its message is a dead letter.
    :param existing_queue: used instead of a new one; its redrive policy is its owner's, and there
        are no `dead_letters` then. It needs `receives` and `visibility_seconds` as given here.
    :param encryption_key: of both. Default: SQS's own key.
    :param removal_policy: default: the queues stay when the stack goes.

    Example::

        jobs = llm.JobsQueue(stack, "Jobs", prefix="handbook-prod")
        cdk.CfnOutput(stack, "JobsUrl", value=jobs.queue.queue_url)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        visibility_seconds: int = 60,
        receives: int = 3,
        existing_queue: sqs.IQueue | None = None,
        encryption_key: kms.IKey | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        check(
            self,
            [
                (
                    outside(visibility_seconds, 1, LONGEST_HIDDEN),
                    f"visibility_seconds is {visibility_seconds}; SQS allows up to "
                    f"{LONGEST_HIDDEN}.",
                ),
                (
                    outside(receives, 1, MOST_RECEIVES),
                    f"receives is {receives}; SQS allows 1 to {MOST_RECEIVES}.",
                ),
            ],
        )
        self.visibility_seconds, self.receives = visibility_seconds, receives
        self.dead_letters: sqs.IQueue | None = None
        self.queue = existing_queue or self._make(prefix, encryption_key, removal_policy)

    @property
    def variables(self) -> dict[str, str]:
        """What a service that sends jobs here and does them is told."""
        return {
            "JOBS_QUEUE_URL": self.queue.queue_url,
            "JOBS_VISIBILITY_SECONDS": str(self.visibility_seconds),
            "JOBS_RECEIVES": str(self.receives),
        }

    def grant_send(self, role: iam.Role) -> None:
        """Lets a role queue jobs."""
        self.allow(role, SENDING)

    def grant_receive(self, role: iam.Role) -> None:
        """Lets a function with the role be given jobs."""
        self.allow(role, RECEIVING)

    def allow(self, role: iam.Role, actions: Sequence[str]) -> None:
        """Also the key, with which SQS encrypts for senders and decrypts for receivers."""
        role.add_to_policy(
            iam.PolicyStatement(actions=list(actions), resources=[self.queue.queue_arn])
        )
        allow_key(role, self.queue.encryption_master_key, "sqs", WRITE_ACTIONS)

    def _make(self, prefix: str, key: kms.IKey | None, removal: cdk.RemovalPolicy) -> sqs.Queue:
        """The two name each other, so one of the names has to be known beforehand."""
        name = resource_name(prefix, "jobs")
        source = cdk.Stack.of(self).format_arn(service="sqs", resource=name)
        encryption = sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=resource_name(name, "dead"),
            retention_period=cdk.Duration.days(DEAD_DAYS),
            encryption=encryption,
            encryption_master_key=key,
            enforce_ssl=True,
            redrive_allow_policy=sqs.RedriveAllowPolicy(
                redrive_permission=sqs.RedrivePermission.BY_QUEUE,
                source_queues=[sqs.Queue.from_queue_arn(self, "Source", source)],
            ),
            removal_policy=removal,
        )
        return sqs.Queue(
            self,
            "Queue",
            queue_name=name,
            visibility_timeout=cdk.Duration.seconds(self.visibility_seconds),
            retention_period=cdk.Duration.days(WAITING_DAYS),
            encryption=encryption,
            encryption_master_key=key,
            enforce_ssl=True,
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=self.receives
            ),
            removal_policy=removal,
        )
