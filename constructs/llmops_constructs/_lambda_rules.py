"""What may not be asked of a service on Lambda."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2

from llmops_constructs._validation import Rule, outside
from llmops_constructs.database import PostgresDatabase
from llmops_constructs.functions import LEAST_MEMORY_MIB, LONGEST_SECONDS, MOST_MEMORY_MIB
from llmops_constructs.jobs_queue import JobsQueue

HIDDEN_TIMES = 6
"""How many time-outs of the function a message is hidden for at least ("Using Lambda with Amazon
SQS", configuring a queue)."""
MOST_MINUTES = 60
"""Lambda takes an idle container away long before that."""


def size_rules(seconds: int, memory_mib: int, minutes: int) -> list[Rule]:
    """Time-out, memory and how often it is kept warm."""
    return [
        (
            outside(seconds, 1, LONGEST_SECONDS),
            f"timeout is {seconds} s; Lambda allows 1 to {LONGEST_SECONDS}.",
        ),
        (
            outside(memory_mib, LEAST_MEMORY_MIB, MOST_MEMORY_MIB),
            f"memory_mib is {memory_mib}; Lambda allows {LEAST_MEMORY_MIB} to {MOST_MEMORY_MIB}.",
        ),
        (
            outside(minutes, 0, MOST_MINUTES),
            f"keep_warm_minutes is {minutes}; it must be 0 to {MOST_MINUTES}.",
        ),
    ]


def container_rules(provisioned: int, concurrency: int | None) -> list[Rule]:
    """How many containers there are at least and at most."""
    return [
        (provisioned < 0, f"provisioned is {provisioned}; it must be at least 0."),
        (
            concurrency is not None and concurrency < 1,
            f"concurrency is {concurrency}: nobody would be answered.",
        ),
        (
            concurrency is not None and 1 <= concurrency < provisioned,
            f"provisioned is {provisioned}, which is more than the concurrency of {concurrency}.",
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


def vpc_rules(vpc: ec2.IVpc | None, *, ipv6: bool, database: PostgresDatabase | None) -> list[Rule]:
    """What is there in a VPC only."""
    return [
        (database is not None and vpc is None, "database is in a VPC: give vpc."),
        (ipv6 and vpc is None, "ipv6 is a way out of a VPC: give vpc, or drop it."),
    ]
