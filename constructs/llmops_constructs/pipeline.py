"""CodePipeline instead of GitHub's own runners: test, deploy, let a person look, deploy.

GitHub keeps the sources; a CodeConnections connection, which somebody has to accept once in the
console, brings a commit of the branch here. What each role needs is written out: the pipeline's by
"CodePipeline service role policy" of its guide, a build's by "Allow CodeBuild to interact with
other AWS services".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_codepipeline as codepipeline
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from llmops_constructs._buckets import acknowledge_unlogged, private_bucket
from llmops_constructs._findings import acknowledge_rule, acknowledge_wildcard, objects_finding
from llmops_constructs._logs import log_group
from llmops_constructs._pipeline_stages import approval, build, source
from llmops_constructs._validation import Rule, check
from llmops_constructs.alarms import Severity
from llmops_constructs.delivery import REPOSITORY_NAME, DeployRole
from llmops_constructs.keys import WRITE_ACTIONS, allow_key
from llmops_constructs.names import log_group_name, resource_name
from llmops_constructs.notifications import AlarmTopics

UV = "0.13.9"
TESTS = (".ci/run",)
DEPLOY = (
    'uv run llmops deploy --env "$LLMOPS_ENV" --yes',
    'version="$(ls releases | sort --version-sort | tail -n 1)"',
    "code=0",
    'uv run llmops release "$version" --env "$LLMOPS_ENV" || code=$?',
    'test "$code" != 3 || echo "$version waits for a person: llmops promote or llmops rollback"',
    '(exit "$code")',
)
"""A release that was rolled back (1), waits for a person (3) or met AWS's refusal (4) fails the
build."""
MOST_BUILD_MINUTES = 2160
"""CodeBuild's quota on a build's time-out, "Quotas for AWS CodeBuild"."""
OBJECTS = ("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject")
BUCKET = ("s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketVersioning")
LOG = ("logs:CreateLogStream", "logs:PutLogEvents")


@dataclass(frozen=True, kw_only=True)
class DeployTarget:
    """An environment of the pipeline's account and region, in the order of deployment."""

    environment: str
    """Its name in llmops.toml."""
    prefix: str
    """What the names of its stacks and resources begin with."""
    service_name: str
    approval: bool = False
    """Whether a person has to agree before it, within seven days."""


class DeployPipeline(Construct):
    """Tests each commit of a branch and deploys it to one environment after the other.

    The builds run on ARM, a fresh container each, with the project's own `uv.lock`. Each
    environment is deployed by a DeployRole of its own. An environment in another account has a
    pipeline of its own there.

    :param prefix: what the names of the pipeline and of its parts begin with.
    :param repository: GitHub's `owner/name`.
    :param connection_arn: of a CodeConnections connection to GitHub that was accepted.
    :param targets: one at least; each environment once.
    :param test_commands: what must succeed before anything is deployed.
    :param deploy_commands: run with `LLMOPS_ENV` set. Default: `llmops deploy` and
        `llmops release` of the newest folder of `releases/`.
    :param deploy_timeout: of a deployment with its canary; default: 4 hours, at most 36.
    :param topics: who hears, as a ticket, that an approval waits. Default: nobody.
    :param access_log_bucket: where S3 logs each access to the artifacts. Default: nowhere.
    :param encryption_key: of the artifacts, the logs and, if they have one, the topics. Default:
        keys of AWS's own.
    :param removal_policy: of artifacts and logs; default: they stay when the stack goes.

    Example::

        llm.DeployPipeline(
            stack, "Pipeline", prefix="answers", repository="example/answers",
            connection_arn="arn:aws:codeconnections:us-east-1:123456789012:connection/1",
            targets=[
                llm.DeployTarget(
                    environment="prod", prefix="answers-prod", service_name="answers",
                    approval=True,
                )
            ],
        )
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        repository: str,
        connection_arn: str,
        targets: Sequence[DeployTarget],
        branch: str = "main",
        test_commands: Sequence[str] = TESTS,
        deploy_commands: Sequence[str] = DEPLOY,
        deploy_timeout: cdk.Duration | None = None,
        uv_version: str = UV,
        topics: AlarmTopics | None = None,
        access_log_bucket: s3.IBucket | None = None,
        encryption_key: kms.IKey | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_YEAR,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        timeout = deploy_timeout or cdk.Duration.hours(4)
        check(self, _rules(repository, connection_arn, targets, timeout))
        self._prefix, self._key, self._uv = prefix, encryption_key, uv_version
        self._retention, self._removal = log_retention, removal_policy
        self.artifacts = self._bucket(access_log_bucket)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "codepipeline.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
            ),
            description=f"Moves commits of {repository} through {prefix}'s pipeline",
        )
        self.test_project = self._project("Test", "test", test_commands, cdk.Duration.hours(1))
        self.deploy_roles: dict[str, DeployRole] = {}
        self.deploy_projects: dict[str, codebuild.Project] = {}
        stages = [
            source(connection_arn, repository, branch),
            build("Test", self.test_project.project_name),
        ]
        topic = topics.topic(Severity.WARNING) if topics else None
        for target in targets:
            stages += self._target(target, deploy_commands, timeout, topic)
        self._allow(connection_arn, topic)
        self.pipeline = self._pipeline(stages)

    def _target(
        self,
        target: DeployTarget,
        commands: Sequence[str],
        timeout: cdk.Duration,
        topic: sns.ITopic | None,
    ) -> list[codepipeline.CfnPipeline.StageDeclarationProperty]:
        name = target.environment
        role = DeployRole(
            self,
            f"Role-{name}",
            prefix=target.prefix,
            service_name=target.service_name,
            environment=name,
            trusted=self._builds(f"deploy-{name}"),
            name="pipeline-deploy",
        )
        project = self._project(
            f"Deploy-{name}",
            f"deploy-{name}",
            commands,
            timeout,
            role=role.role,
            variables={"LLMOPS_ENV": codebuild.BuildEnvironmentVariable(value=name)},
        )
        self.deploy_roles[name], self.deploy_projects[name] = role, project
        stage = build(f"Deploy-{name}", project.project_name)
        return [approval(name, topic), stage] if target.approval else [stage]

    def _bucket(self, logged_in: s3.IBucket | None) -> s3.Bucket:
        bucket = private_bucket(
            self,
            "Artifacts",
            encryption_key=self._key,
            access_log_bucket=logged_in,
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=cdk.Duration.days(30),
                    noncurrent_version_expiration=cdk.Duration.days(1),
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
                )
            ],
            removal_policy=self._removal,
        )
        if logged_in is None:
            acknowledge_unlogged(
                bucket,
                "Sources that git keeps, gone after 30 days; only the pipeline and its builds read "
                "them, and CloudTrail has who changed those (access_log_bucket).",
            )
        return bucket

    def _project(
        self,
        id: str,
        what: str,
        commands: Sequence[str],
        timeout: cdk.Duration,
        *,
        role: iam.Role | None = None,
        variables: Mapping[str, codebuild.BuildEnvironmentVariable] | None = None,
    ) -> codebuild.Project:
        """A build of the pipeline's source; without a role of its own it may touch nothing else."""
        own = role or iam.Role(
            self,
            f"{id}-Role",
            assumed_by=self._builds(what),
            description=f"Runs the {what} of {self._prefix}'s pipeline",
        )
        log = log_group(
            self,
            f"{id}-Logs",
            name=log_group_name(self._prefix, f"pipeline/{what}"),
            retention=self._retention,
            encryption_key=self._key,
            removal_policy=self._removal,
        )
        self._allow_build(own, log)
        project = codebuild.PipelineProject(
            self,
            id,
            project_name=resource_name(self._prefix, what),
            role=own.without_policy_updates(),
            encryption_key=self._key,
            build_spec=codebuild.BuildSpec.from_object(_spec(self._uv, commands)),
            environment=codebuild.BuildEnvironment(
                build_image=codebuild.LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0,
                compute_type=codebuild.ComputeType.SMALL,
            ),
            environment_variables=variables,
            grant_report_group_permissions=False,
            logging=codebuild.LoggingOptions(
                cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=log)
            ),
            timeout=timeout,
        )
        acknowledge_rule(
            project,
            "CodeBuildProjectSourceRepoUrl",
            "The project names no repository and holds no token: the pipeline hands it the "
            "sources, which it fetches through an accepted CodeConnections connection.",
        )
        return project

    def _builds(self, what: str) -> iam.IPrincipal:
        """CodeBuild, for this one project: not for whoever else may make a project."""
        stack = cdk.Stack.of(self)
        project = stack.format_arn(
            service="codebuild",
            resource="project",
            resource_name=resource_name(self._prefix, what),
        )
        condition = {"aws:SourceAccount": stack.account, "aws:SourceArn": project}
        return iam.ServicePrincipal(
            "codebuild.amazonaws.com", conditions={"StringEquals": condition}
        )

    def _allow_build(self, role: iam.Role, log: logs.LogGroup) -> None:
        for actions, resource in (
            (LOG, log.log_group_arn),
            (OBJECTS[:2], self.artifacts.arn_for_objects("*")),
            (BUCKET[:2], self.artifacts.bucket_arn),
        ):
            role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=[resource]))
        self._acknowledge_objects(role)
        allow_key(role, self._key, "s3")

    def _allow(self, connection_arn: str, topic: sns.ITopic | None) -> None:
        """What the pipeline itself does: fetch, hand over, start builds, ask."""
        projects = [self.test_project, *self.deploy_projects.values()]
        for actions, resources in (
            (("codeconnections:UseConnection",), [connection_arn]),
            (
                ("codebuild:BatchGetBuilds", "codebuild:StartBuild"),
                [project.project_arn for project in projects],
            ),
            (OBJECTS, [self.artifacts.arn_for_objects("*")]),
            (BUCKET, [self.artifacts.bucket_arn]),
            (("sns:Publish",), [topic.topic_arn] if topic else []),
        ):
            if resources:
                statement = iam.PolicyStatement(actions=list(actions), resources=resources)
                self.role.add_to_policy(statement)
        self._acknowledge_objects(self.role)
        allow_key(self.role, self._key, "s3", WRITE_ACTIONS)
        if topic:
            allow_key(self.role, self._key, "sns", WRITE_ACTIONS)

    def _acknowledge_objects(self, role: iam.Role) -> None:
        finding = objects_finding(self, self.artifacts, "*")
        acknowledge_wildcard(role, finding, "Sources of commits to come, whose keys AWS makes.")

    def _pipeline(
        self, stages: list[codepipeline.CfnPipeline.StageDeclarationProperty]
    ) -> codepipeline.CfnPipeline:
        key = None
        if self._key:
            key = codepipeline.CfnPipeline.EncryptionKeyProperty(id=self._key.key_arn, type="KMS")
        pipeline = codepipeline.CfnPipeline(
            self,
            "Pipeline",
            name=self._prefix,
            pipeline_type="V2",
            execution_mode="SUPERSEDED",
            role_arn=self.role.role_arn,
            artifact_store=codepipeline.CfnPipeline.ArtifactStoreProperty(
                type="S3", location=self.artifacts.bucket_name, encryption_key=key
            ),
            stages=stages,
        )
        pipeline.node.add_dependency(self.role.node.find_child("DefaultPolicy"))
        return pipeline


def _rules(
    repository: str, connection_arn: str, targets: Sequence[DeployTarget], timeout: cdk.Duration
) -> list[Rule]:
    names = [target.environment for target in targets]
    minutes = timeout.to_minutes()
    return [
        (
            REPOSITORY_NAME.fullmatch(repository) is None,
            f"repository '{repository}' is not GitHub's owner/name.",
        ),
        (
            not cdk.Token.is_unresolved(connection_arn) and ":connection/" not in connection_arn,
            f"connection_arn '{connection_arn}' is not the ARN of a connection.",
        ),
        (not targets, "targets is empty: there is nothing to deploy to."),
        (len(set(names)) < len(names), "targets names an environment twice."),
        (
            not 5 <= minutes <= MOST_BUILD_MINUTES,
            f"deploy_timeout is {minutes:g} minutes; CodeBuild allows 5 to {MOST_BUILD_MINUTES}.",
        ),
    ]


def _spec(uv_version: str, commands: Sequence[str]) -> dict[str, object]:
    """A build specification whose commands share one bash, so that variables last."""
    return {
        "version": "0.2",
        "env": {"shell": "bash"},
        "phases": {
            "install": {"commands": [f"python3 -m pip install --quiet uv=={uv_version}"]},
            "build": {"commands": ["\n".join(("set -euo pipefail", *commands))]},
        },
    }
