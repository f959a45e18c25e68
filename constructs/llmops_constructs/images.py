"""Where the images of a service are kept."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from constructs import Construct


class ImageRepository(Construct):
    """An ECR repository: scanned on push, tags never move, untagged leftovers expire.

    A tagged image never expires: a task definition names it by digest, and a rollback may need
    it years later.

    :param repository_name: lower case, digits and `-_./`, as ECR asks.
    :param untagged_days: days after which an image without a tag is deleted.
    :param removal_policy: default: the repository stays when the stack goes. DESTROY deletes
        it with its images.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        repository_name: str,
        untagged_days: int = 30,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self.repository = ecr.Repository(
            self,
            "Repository",
            repository_name=repository_name,
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            empty_on_delete=removal_policy == cdk.RemovalPolicy.DESTROY,
            lifecycle_rules=[
                ecr.LifecycleRule(
                    description="leftovers of interrupted pushes",
                    tag_status=ecr.TagStatus.UNTAGGED,
                    max_image_age=cdk.Duration.days(untagged_days),
                )
            ],
            removal_policy=removal_policy,
        )
