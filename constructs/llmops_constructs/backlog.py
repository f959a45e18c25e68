"""How many workers run: by what waits in their queue, and for how long.

The age of the oldest message does not change in proportion to the number of workers, so that target
tracking does not fit; three alarms move the number in steps. With `waiting` messages nobody has,
`working` ones a worker has, `tasks` asked for and `each` jobs that one worker does at once:

    wake      waiting > 0 and tasks = 0                                    one more
    late      waiting > 0 and the oldest is older than asked               one more; much older, two
    surplus   tasks > minimum and waiting + working <= each * (tasks - 1)  one fewer

so that no worker is left once nothing is under way, and none that is needed goes before. The age
counts only while something waits: that of a long job under way grows as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from llmops_constructs._validation import Rule, outside
from llmops_constructs.names import resource_name
from llmops_constructs.scaling import MOST_TASKS, scalable_target
from llmops_constructs.steps import MINUTE, Step, add_step, desired_tasks

STARTING_SECONDS, SOON_SECONDS = 300, 120
"""Between two steps: until the first worker works and is counted; until another one works."""
MUCH_OLDER = 5
"""Times the age that is asked for, from which two workers are added at once."""
OF_QUEUE = {
    "waiting": "ApproximateNumberOfMessagesVisible",
    "working": "ApproximateNumberOfMessagesNotVisible",
    "oldest": "ApproximateAgeOfOldestMessage",
}


@dataclass(frozen=True, kw_only=True)
class WorkerScaling:
    """Workers, `minimum` to `maximum`: more while work waits longer than `age_seconds`, one fewer
    once `idle_minutes` have passed in which one fewer would have done.

    From 0 the first worker is asked for when CloudWatch shows the message: within two minutes,
    or within 15 if nobody has called the queue for six hours (SQS developer guide, "Monitoring
    using CloudWatch"). A `minimum` of 1 avoids that wait.
    """

    minimum: int = 0
    maximum: int = 4
    age_seconds: int = 60
    idle_minutes: int = 5


def worker_rules(scaling: WorkerScaling) -> list[Rule]:
    """What the scaling of workers may not be."""
    return [
        (
            not 0 <= scaling.minimum <= scaling.maximum <= MOST_TASKS or scaling.maximum == 0,
            f"scaling is {scaling.minimum} to {scaling.maximum} workers; it must be 0 <= minimum "
            f"<= maximum <= {MOST_TASKS}, and maximum at least 1.",
        ),
        (
            scaling.age_seconds < 1 or outside(scaling.idle_minutes, 3, 60),
            f"scaling.age_seconds is {scaling.age_seconds} and idle_minutes "
            f"{scaling.idle_minutes}; they must be at least 1, and 3 to 60.",
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What the scaling of workers looks at; `each` is how many jobs a worker does at once."""

    queue: sqs.IQueue
    service: ecs.FargateService
    each: int

    def metrics(self) -> dict[str, cloudwatch.IMetric]:
        """By the words of the table above."""
        of_queue = {
            name: self.queue.metric(metric, period=MINUTE, statistic="Maximum")
            for name, metric in OF_QUEUE.items()
        }
        return {**of_queue, "tasks": desired_tasks(self.service)}


def scale_by_age(
    scope: Construct, prefix: str, backlog: Backlog, scaling: WorkerScaling
) -> appscaling.ScalableTarget:
    """Moves the number of workers by the three rules above."""
    target = scalable_target(scope, backlog.service, scaling.minimum, scaling.maximum)
    metrics = backlog.metrics()
    for step in _steps(scaling, backlog.each):
        name = resource_name(prefix, "workers", step.name.lower())
        add_step(scope, target, step, name, metrics)
    return target


def _steps(scaling: WorkerScaling, each: int) -> list[Step]:
    age = scaling.age_seconds
    enough = f"waiting + working <= {each} * (tasks - 1)"
    return [
        Step(
            name="Wake",
            expression="IF(waiting > 0 AND waiting + tasks == waiting, 1, 0)",
            minutes=3,
            points=1,
            changes={0: 1},
            cooldown_seconds=STARTING_SECONDS,
        ),
        Step(
            name="Late",
            expression="IF(waiting > 0, oldest, 0)",
            threshold=age,
            minutes=2,
            changes={0: 1, (MUCH_OLDER - 1) * age: 2},
            cooldown_seconds=SOON_SECONDS,
        ),
        Step(
            name="Surplus",
            expression=f"IF(tasks > {scaling.minimum} AND {enough}, 1, 0)",
            minutes=scaling.idle_minutes,
            changes={0: -1},
            cooldown_seconds=SOON_SECONDS,
        ),
    ]
