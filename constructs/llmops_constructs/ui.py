"""The page on Fargate, behind a load balancer that may ask who is there.

Who signs in does so at the load balancer, before a byte reaches the page: an authenticate action of
the listener, which Elastic Load Balancing allows on HTTPS alone ("Authenticate users using an
Application Load Balancer"). The identity provider has to know the address
`https://<name>/oauth2/idpresponse`, and the load balancer has to reach the provider's endpoints.

A visitor's conversation is in the memory of one task: a cookie of the load balancer keeps the
visitor, WebSocket included, at that task.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct, IDependable

from llmops_constructs._balancer import healthy_at
from llmops_constructs._logs import Kept, own_log
from llmops_constructs._validation import Rule, check
from llmops_constructs.credentials import allow_secret
from llmops_constructs.domain import Domain
from llmops_constructs.fargate import (
    Size,
    Tasks,
    add_container,
    cluster_of,
    group_of,
    let_through,
    rolling_service,
    task_of,
)
from llmops_constructs.front import Asked, Front, SharedListener
from llmops_constructs.login import CognitoLogin, OidcLogin, login_rules
from llmops_constructs.names import resource_name
from llmops_constructs.roles import execution_role, policy_of, task_role
from llmops_constructs.routing import LlmRouting
from llmops_constructs.secrets import CURRENT
from llmops_constructs.spot import SpotShare, spot_rules
from llmops_constructs.waf import WebAcl

CONTAINER = "ui"
PORT = 8501
HEALTH_PATH = "/_stcore/health"
"""Streamlit's own."""
SCRATCH = "/tmp"  # noqa: S108
"""All that the page may write to."""


class UiService(Construct):
    """The Streamlit page of `llm_ui`: tasks on Fargate, and the load balancer in front.

    It asks the service with a bearer token of its own, which ECS injects when a task starts and
    which it reads anew once the service refuses it. A page that faces the internet without a login
    is refused: it would answer anybody with that token.

    The image must declare `/tmp` as a volume (`VOLUME /tmp`): Fargate gives a volume the owner and
    mode the image has there, and root's alone otherwise ("Bind mounts", ECS developer guide).

    :param prefix: what the names of the service and the task family begin with.
    :param vpc_subnets: of the tasks: private ones, or public ones with `assign_public_ip`.
    :param image_uri: by digest; the Dockerfile's target `ui`.
    :param service: the routing of a service of this app, or the address of any, with HTTPS.
    :param token_secret: bearer tokens of the service.
    :param token_field: key of the token in the secret; None: the secret is the token. The page
        reads a new one from `current` alone; with another key start its tasks after a rotation.
    :param repository: default: none; the image is public.
    :param existing_cluster: e.g. that of `FargateLlmService`. Default: a new one, `<prefix>-ui`.
    :param shared_listener: a listener with other rules. Default: a load balancer of its own.
    :param internet_facing: default: only the VPC can reach the load balancer.
    :param load_balancer_subnets: public ones if `internet_facing`. Default: those of the tasks.
    :param certificate: default: none; plain HTTP inside the VPC.
    :param domain: name and certificate of the page, pointed at the load balancer. Default: the
        load balancer's own name.
    :param login: who signs visitors in. Default: whoever reaches the load balancer sees the page.
    :param access_log_bucket: gets one line per request; its policy must let load balancers
        deliver, as that of `AccessLogs` does. Default: no access log.
    :param web_acl: default: none.
    :param environment: more variables of the container, e.g. UI_TITLE.
    :param cpu: units, 1024 of which are one virtual processor.
    :param desired_count: tasks; visitors stay at theirs.
    :param spot: default: no task on Fargate Spot; one that is taken back forgets its visitors.
    :param cpu_architecture: of the image; default: ARM64.
    :param deletion_protection: default: the load balancer cannot be deleted.
    :param encryption_key: of the log; its policy must let CloudWatch Logs in. Default: CloudWatch
        Logs' own key.
    :param removal_policy: of the log; default: kept when the stack goes.

    Example::

        network = llm.Network(stack, "Network")
        tokens = llm.ServiceSecrets(stack, "Secrets")
        llm.UiService(
            stack,
            "Page",
            prefix="handbook-prod",
            vpc=network.vpc,
            vpc_subnets=network.service_subnets,
            image_uri="public.ecr.aws/example/handbook-ui:1.0.0",
            service="https://handbook.example.org",
            token_secret=tokens.tokens,
        )
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        image_uri: str,
        service: LlmRouting | str,
        token_secret: secretsmanager.ISecret,
        token_field: str | None = CURRENT,
        repository: ecr.IRepository | None = None,
        existing_cluster: ecs.ICluster | None = None,
        shared_listener: SharedListener | None = None,
        internet_facing: bool = False,
        load_balancer_subnets: ec2.SubnetSelection | None = None,
        certificate: elbv2.IListenerCertificate | None = None,
        domain: Domain | None = None,
        login: CognitoLogin | OidcLogin | None = None,
        access_log_bucket: s3.IBucket | None = None,
        web_acl: WebAcl | None = None,
        environment: Mapping[str, str] | None = None,
        cpu: int = 256,
        memory_mib: int = 512,
        desired_count: int = 1,
        spot: SpotShare | None = None,
        cpu_architecture: ecs.CpuArchitecture | None = None,
        assign_public_ip: bool = False,
        deletion_protection: bool = True,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        encryption_key: kms.IKey | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        asked = Asked(
            internet_facing,
            load_balancer_subnets,
            certificate,
            domain,
            login,
            access_log_bucket,
            web_acl,
            shared_listener,
        )
        own = [*spot_rules(spot, least_base=1), *_address_rules(service)]
        check(self, [*asked.rules(), *login_rules(login), *own])
        kept = Kept(log_retention, encryption_key, removal_policy)
        self.log_group = own_log(self, prefix, "ui", kept)
        name = resource_name(prefix, "ui")
        self.execution_role = execution_role(self, repository, encryption_key=encryption_key)
        self.task_role = task_role(self, "TaskRole", "What the page itself may do: read its token")
        self.task_definition = task_of(
            self,
            name,
            Size(cpu, memory_mib, cpu_architecture),
            execution_role=self.execution_role,
            task_role=self.task_role,
        )
        followed = self._follow(token_secret) if token_field == CURRENT else {}
        token = ecs.Secret.from_secrets_manager(token_secret, token_field)
        self._add_container(image_uri, service, token, {**followed, **(environment or {})})
        self.cluster = cluster_of(self, name, vpc, existing_cluster)
        self.security_group = group_of(self, vpc, "The page: HTTPS and the service out")
        tasks = Tasks(vpc_subnets, assign_public_ip, spot, desired_count)
        self.service = self._service(name, tasks)
        self.service.node.add_dependency(policy_of(self.execution_role), *self._reach(service))
        self.target_group = self._targets(vpc)
        self.front = self._front(vpc, vpc_subnets, asked, deletion_protection)
        self.url = self.front.url if self.front else f"https://{asked.host}"

    def _follow(self, token_secret: secretsmanager.ISecret) -> dict[str, str]:
        """Lets the page read its token anew; the variable that tells it where."""
        allow_secret(self.task_role, token_secret)
        return {"SERVICE_TOKEN_SECRET": token_secret.secret_arn}

    def _add_container(
        self,
        image_uri: str,
        service: LlmRouting | str,
        token: ecs.Secret,
        environment: Mapping[str, str],
    ) -> None:
        address = service if isinstance(service, str) else service.service_url
        container = add_container(
            self.task_definition,
            CONTAINER,
            image_uri,
            self.log_group,
            environment={
                "HOST": "0.0.0.0",  # noqa: S104
                "PORT": str(PORT),
                "HOME": SCRATCH,
                "SERVICE_URL": f"{address.rstrip('/')}/v1",
                **environment,
            },
            secrets={"SERVICE_TOKEN": token},
            port=PORT,
        )
        self.task_definition.add_volume(name="scratch")
        container.add_mount_points(
            ecs.MountPoint(container_path=SCRATCH, source_volume="scratch", read_only=False)
        )

    def _service(self, name: str, tasks: Tasks) -> ecs.FargateService:
        return rolling_service(
            self,
            name,
            tasks,
            cluster=self.cluster,
            task=self.task_definition,
            group=self.security_group,
            health_check_grace_period=cdk.Duration.seconds(60),
        )

    def _reach(self, service: LlmRouting | str) -> list[IDependable]:
        """The way to a service of this app; to any other, HTTPS is open anyway."""
        if isinstance(service, str):
            return []
        return let_through(
            self,
            "Service",
            source=self.security_group.security_group_id,
            target=service.security_group.security_group_id,
            port=service.listener_port,
        )

    def _targets(self, vpc: ec2.IVpc) -> elbv2.ApplicationTargetGroup:
        return elbv2.ApplicationTargetGroup(
            self,
            "Tasks",
            vpc=vpc,
            port=PORT,
            protocol=elbv2.ApplicationProtocol.HTTP,
            target_type=elbv2.TargetType.IP,
            targets=[
                self.service.load_balancer_target(container_name=CONTAINER, container_port=PORT)
            ],
            deregistration_delay=cdk.Duration.seconds(30),
            stickiness_cookie_duration=cdk.Duration.days(1),
            health_check=healthy_at(HEALTH_PATH, seconds=15),
        )

    def _front(
        self,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        asked: Asked,
        deletion_protection: bool,
    ) -> Front | None:
        forward = elbv2.ListenerAction.forward([self.target_group])
        action = asked.login.before(forward) if asked.login else forward
        if asked.shared:
            asked.shared.add(self, action)
            return None
        return Front(
            self,
            "Front",
            vpc=vpc,
            vpc_subnets=asked.load_balancer_subnets or vpc_subnets,
            internet_facing=asked.internet_facing,
            certificate=asked.tls,
            domain=asked.domain,
            access_log_bucket=asked.access_log_bucket,
            web_acl=asked.web_acl,
            deletion_protection=deletion_protection,
            action=action,
        )


def _address_rules(service: LlmRouting | str) -> list[Rule]:
    plain = isinstance(service, str) and not cdk.Token.is_unresolved(service)
    return [
        (
            plain and re.match(r"https://[^/:]+(/|$)", str(service)) is None,
            f"service '{service}' is not https://NAME: the bearer token would travel in the clear, "
            "or to a port the tasks cannot reach.",
        )
    ]
