"""Where the images of a service are kept."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from constructs import Construct

from llmops_constructs._validation import check

UNTAGGED_DAYS = 30
"""How long a leftover is kept if nothing else is said."""


class ImageRepository(Construct):
    """An ECR repository: scanned on push, tags never move, untagged leftovers expire.

    A tagged image never expires: a task definition names it by digest, and a rollback may need
    it years later.

    :param repository_name: lower case, digits and `-_./`, as ECR asks.
    :param untagged_days: days after which an image without a tag is deleted. Default: 30, unless
        `keep_untagged` is given; ECR knows one rule for untagged images only.
    :param keep_untagged: how many untagged images are kept, the newest, however old.
    :param encryption_key: default: ECR's own keys. It cannot be changed later.
    :param existing_repository: used instead; nothing is created.
    :param removal_policy: default: the repository stays when the stack goes. DESTROY deletes
        it with its images.

    Example::

        images = llm.ImageRepository(stack, "Images", repository_name="handbook")
        cdk.CfnOutput(stack, "RepositoryUri", value=images.repository.repository_uri)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        repository_name: str,
        untagged_days: int | None = None,
        keep_untagged: int | None = None,
        encryption_key: kms.IKey | None = None,
        existing_repository: ecr.IRepository | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        check(
            self,
            [
                (
                    untagged_days is not None and keep_untagged is not None,
                    "untagged_days and keep_untagged exclude each other: ECR applies the first "
                    "rule for untagged images and no other.",
                ),
                (
                    0 in (untagged_days, keep_untagged),
                    "untagged_days and keep_untagged are 1 at least.",
                ),
            ],
        )
        self.repository: ecr.IRepository = existing_repository or ecr.Repository(
            self,
            "Repository",
            repository_name=repository_name,
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            encryption_key=encryption_key,
            empty_on_delete=removal_policy == cdk.RemovalPolicy.DESTROY,
            lifecycle_rules=[_leftovers(untagged_days or UNTAGGED_DAYS, keep_untagged)],
            removal_policy=removal_policy,
        )


def _leftovers(days: int, count: int | None) -> ecr.LifecycleRule:
    return ecr.LifecycleRule(
        description="leftovers of interrupted pushes",
        tag_status=ecr.TagStatus.UNTAGGED,
        max_image_count=count,
        max_image_age=None if count else cdk.Duration.days(days),
    )
