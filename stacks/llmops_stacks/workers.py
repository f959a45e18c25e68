"""The workers stack: jobs that outlast a request."""

from __future__ import annotations

from constructs import Construct

from llmops_constructs import WorkerScaling, WorkerService
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack
from llmops_stacks.given import injected, let_reach, secret_variables
from llmops_stacks.parameters import ReleaseParameters
from llmops_stacks.service import Below, ServiceStack, architecture_of
from llmops_stacks.variables import service_variables


class WorkersStack(EnvironmentStack):
    """Workers of the service's own image. They take a new release with the next `llmops deploy`."""

    def __init__(
        self, scope: Construct, environment: Environment, below: Below, service: ServiceStack
    ) -> None:
        super().__init__(scope, "workers", environment)
        release = ReleaseParameters(self)
        jobs = below.data.jobs
        assert jobs is not None, "build() makes workers where there are jobs"
        size = environment.jobs
        self.workers = WorkerService(
            self,
            "Workers",
            prefix=environment.prefix,
            vpc=below.network.vpc,
            vpc_subnets=below.network.service_subnets,
            assign_public_ip=below.network.assign_public_ip,
            image_uri=release.image_uri(),
            repository=below.data.images.repository,
            existing_queue=jobs.queue,
            existing_cluster=service.service.cluster,
            cpu_architecture=architecture_of(environment),
            database=below.data.database,
            database_secret=below.rotation.user if below.rotation else None,
            live_credentials=True,
            token_secret=below.data.secrets.tokens,
            environment={**service_variables(environment), **release.variables()},
            secrets=injected(secret_variables(below.data)),
            visibility_seconds=jobs.visibility_seconds,
            receives=jobs.receives,
            cpu=size.cpu,
            memory_mib=size.memory_mib,
            scaling=WorkerScaling(minimum=size.minimum, maximum=size.maximum),
            encryption_key=below.common.key,
            removal_policy=self.removal_policy,
        )
        let_reach(self.workers, below.data)
