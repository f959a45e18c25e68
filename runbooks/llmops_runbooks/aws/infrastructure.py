"""What `deploy` has to know of a live environment: what could break, and which release serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from llmops_runbooks.aws.clients import Clients
from llmops_runbooks.aws.connect import connect
from llmops_runbooks.aws.ecr import EcrRegistry
from llmops_runbooks.aws.ecs import EcsDeployments
from llmops_runbooks.aws.elbv2 import ListenerRules
from llmops_runbooks.aws.s3 import S3Artifacts
from llmops_runbooks.aws.ssm import read_coordinates
from llmops_runbooks.aws.stacks import CloudFormationStacks
from llmops_runbooks.conclude import tidy
from llmops_runbooks.errors import LlmopsError
from llmops_runbooks.manifest import Release, canonical_json
from llmops_runbooks.ports import Artifacts, Cloud
from llmops_runbooks.publish import publish
from llmops_runbooks.serving import container_of, environment_of, serving, under_way
from llmops_runbooks.settings import Environment

DATA_OUTPUTS = ("ArtifactBucket", "Repository", "RepositoryUri")


class Infrastructure:
    """One environment as `deploy` sees it; implements `deploy.Guard`."""

    def __init__(self, environment: Environment, project: Path) -> None:
        self._environment = environment
        self._project = project
        self._clients = Clients(environment)
        self.stacks = CloudFormationStacks(
            self._clients, poll_seconds=min(1.0, environment.poll_seconds)
        )

    def cloud(self) -> Cloud | None:
        """The deployed service, or None before the first deploy."""
        found = read_coordinates(self._clients, self._environment)
        return connect(self._environment) if found else None

    def rollout_under_way(self) -> str | None:
        cloud = self.cloud()
        if cloud is None or cloud.deployments.service() is None:
            return None
        found = under_way(cloud)
        return found.arn if found else None

    def failed_tasks(self) -> list[str]:
        where = self._environment
        service = EcsDeployments(self._clients, cluster=where.prefix, service=where.service_name)
        return service.failed_tasks()

    def attached_target_groups(self, rule_arn: str) -> int:
        return len(ListenerRules(self._clients).weights(rule_arn))

    def release_parameters(self, warn: Callable[[str], None]) -> Mapping[str, str]:
        """What the service stack is told to run: what serves, else the initial release.

        A rejected task definition is deregistered first: the stack asks for the latest.
        """
        cloud = self.cloud()
        if cloud is not None and cloud.deployments.service() is not None:
            tidy(cloud)
            return _live_parameters(cloud)
        return self._initial_parameters(warn)

    def _initial_parameters(self, warn: Callable[[str], None]) -> Mapping[str, str]:
        data = f"{self._environment.prefix}-data"
        outputs = self.stacks.outputs(data)
        missing = [name for name in DATA_OUTPUTS if name not in outputs]
        if missing:
            raise LlmopsError(f"The stack {data} has no output {missing[0]}, which deploy needs.")
        bucket, repository, uri = (outputs[name] for name in DATA_OUTPUTS)
        artifacts = S3Artifacts(self._clients, bucket)
        release = publish(
            self._environment.initial_release,
            project=self._project,
            artifacts=artifacts,
            registry=EcrRegistry(self._clients, repository),
            base_image=self._environment.base_image,
            architecture=self._environment.service.architecture,
            warn=warn,
        )
        return _parameters_of(release, artifacts, uri)


def _parameters_of(release: Release, artifacts: Artifacts, repository_uri: str) -> dict[str, str]:
    return {
        "ImageUri": f"{repository_uri}@{release.image}",
        "ReleaseId": release.id,
        "CorpusUri": artifacts.uri(release.corpus_key),
        "BundleUri": artifacts.uri(release.bundle_key),
        "ReleaseConfiguration": canonical_json(release.configuration).decode(),
    }


def _live_parameters(cloud: Cloud) -> dict[str, str]:
    container = container_of(serving(cloud).task_definition, cloud.coordinates.container)
    variables = environment_of(container)
    return {
        "ImageUri": container["image"],
        "ReleaseId": variables["RELEASE"],
        "CorpusUri": variables["CORPUS_URI"],
        "BundleUri": variables.get("BUNDLE_URI", ""),
        "ReleaseConfiguration": variables.get("RELEASE_CONFIGURATION", "{}"),
    }
