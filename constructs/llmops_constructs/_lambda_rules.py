"""What may not be asked of a service on Lambda."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_ec2 as ec2

from llmops_constructs._validation import Rule, outside
from llmops_constructs.database import PostgresDatabase
from llmops_constructs.functions import placement, size_rules
from llmops_constructs.jobs_queue import JobsQueue

HIDDEN_TIMES = 6
"""How many time-outs of the function a message is hidden for at least ("Using Lambda with Amazon
SQS", configuring a queue)."""
MOST_MINUTES = 60
"""Lambda takes an idle container away long before that."""


@dataclass(frozen=True)
class Place:
    """The VPC the function is in, or none, and whether it goes out by IPv6 there."""

    vpc: ec2.IVpc | None
    vpc_subnets: ec2.SubnetSelection | None
    ipv6: bool

    def rules(self, database: PostgresDatabase | None) -> list[Rule]:
        """What is there in a VPC only, and how it gets out of one."""
        return [
            *placement(self.vpc, self.vpc_subnets),
            (database is not None and self.vpc is None, "database is in a VPC: give vpc."),
            (
                self.ipv6 and self.vpc is None,
                "ipv6 is a way out of a VPC: give vpc, or drop it.",
            ),
        ]


@dataclass(frozen=True)
class Containers:
    """What the function's containers have, how many there are, and what keeps one of them warm."""

    memory_mib: int
    seconds: int
    keep_warm_minutes: int
    provisioned: int
    concurrency: int | None

    def rules(self) -> list[Rule]:
        """What may not be asked of them."""
        minutes, least, most = self.keep_warm_minutes, self.provisioned, self.concurrency
        return [
            *size_rules(self.seconds, self.memory_mib),
            (
                outside(minutes, 0, MOST_MINUTES),
                f"keep_warm_minutes is {minutes}; it must be 0 to {MOST_MINUTES}.",
            ),
            (least < 0, f"provisioned is {least}; it must be at least 0."),
            (
                most is not None and most < 1,
                f"concurrency is {most}: nobody would be answered.",
            ),
            (
                most is not None and 1 <= most < least,
                f"provisioned is {least}, which is more than the concurrency of {most}.",
            ),
        ]


def jobs_rules(
    jobs: JobsQueue | None, database: PostgresDatabase | None, seconds: int
) -> list[Rule]:
    """What jobs need, if there are any."""
    if jobs is None:
        return []
    least = HIDDEN_TIMES * seconds
    return [
        (database is None, "jobs are found in the database: give database."),
        (
            jobs.visibility_seconds < least,
            f"The jobs' visibility_seconds are {jobs.visibility_seconds}; Lambda asks "
            f"{HIDDEN_TIMES} times the time-out, {least}.",
        ),
    ]
