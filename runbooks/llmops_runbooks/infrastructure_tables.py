"""The tables of llmops.toml about the infrastructure around the service.

What costs money by the hour or belongs to somebody else's account is off until a table says it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from llmops_runbooks.service_tables import Share, Table

Arn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:\S+$")]
Cron = Annotated[str, Field(pattern=r"^cron\([^()]+\)$")]
"""As EventBridge and Application Auto Scaling write it: `cron(0 7 ? * MON-FRI *)`."""
Policy = Literal["aws-solutions", "hipaa", "nist-800-53-r5", "pci-dss"]
Days = Annotated[int, Field(ge=1, le=3650)]


class Network(Table):
    """The VPC."""

    availability_zones: tuple[str, ...] = ()
    """Names of two or three zones; empty: the region's `a` and `b`."""
    nat_gateways: Annotated[int, Field(ge=0, le=3)] = 1
    """Up to one in each zone, paid by the hour."""
    without_nat: Literal["endpoints", "public", "ipv6"] = "endpoints"
    """The way out where there is no NAT gateway: interface endpoints for AWS alone, a public
    address for each task, or IPv6 through an egress-only gateway."""


class Encryption(Table):
    """Whose key encrypts what is stored."""

    customer_key: bool = False
    """A key of the account's own, rotated every year; else AWS's keys."""


class Edge(Table):
    """How users reach the load balancer."""

    internet_facing: bool = False
    """Reached from everywhere; else from the VPC alone. It needs a domain."""
    domain: Annotated[str, Field(pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$")] | None = None
    """The service's name; with it requests come by TLS."""
    hosted_zone_id: Annotated[str, Field(pattern=r"^Z[A-Z0-9]+$")] | None = None
    """The Route 53 zone that the name is in: its record, and the proof for the certificate."""
    certificate_arn: Arn | None = None
    """A certificate that exists. None: one is made for the domain."""
    waf: bool = False
    """AWS's managed rules and a limit per address before the load balancer."""
    requests_per_address: Annotated[int, Field(ge=10, le=2_000_000_000)] = 2000
    """Requests of one address in five minutes, above which WAF blocks it."""
    access_logs: bool = False
    """A line for each request to load balancers and buckets, in a bucket of their own."""

    @model_validator(mode="after")
    def _a_certificate_can_be_had(self) -> Edge:
        if self.domain and not (self.hosted_zone_id or self.certificate_arn):
            raise ValueError(
                "edge.domain needs edge.hosted_zone_id, where the certificate is proved, or "
                "edge.certificate_arn"
            )
        if self.internet_facing and not self.domain:
            raise ValueError("edge.internet_facing needs edge.domain: tokens travel by TLS alone")
        return self


class Hours(Table):
    """When tasks run; outside of it none do."""

    start: Cron
    """Minute, hour, day of month, month, day of week, year."""
    stop: Cron
    """From then on no task runs."""
    time_zone: str = "UTC"
    """A name of the IANA database; summer time is followed."""


class Scaling(Table):
    """How many tasks run. Without this table `service.desired_count` says."""

    minimum: Annotated[int, Field(ge=0, le=1000)] = 2
    """Tasks that always run, within the hours."""
    maximum: Annotated[int, Field(ge=1, le=1000)] = 10
    """The most tasks of a revision; a rollout has twice as many."""
    requests_per_target: Annotated[int, Field(ge=1)] = 600
    """Requests per minute and task to scale for."""
    spot_share: Share = 0
    """Share of the tasks, beyond the first, that Fargate Spot runs."""
    hours: Hours | None = None
    """None: tasks run all the time."""

    @model_validator(mode="after")
    def _the_range_is_one(self) -> Scaling:
        if self.minimum > self.maximum:
            raise ValueError("scaling.minimum is above scaling.maximum")
        return self


class Database(Table):
    """PostgreSQL: an RDS instance or an Aurora Serverless v2 cluster."""

    engine: Literal["rds", "aurora"] = "rds"
    """RDS for PostgreSQL, or Aurora PostgreSQL that may sleep."""
    instance_class: Annotated[str, Field(pattern=r"^[a-z0-9]+\.[a-z0-9]+$")] = "t4g.micro"
    """RDS alone, without `db.`."""
    allocated_gib: Annotated[int, Field(ge=20, le=65536)] = 20
    """RDS alone; it grows to twice as much by itself."""
    minimum_acu: Annotated[float, Field(ge=0, le=256, multiple_of=0.5)] = 0
    """Aurora alone; 0: it pauses when nobody is connected."""
    maximum_acu: Annotated[float, Field(ge=1, le=256, multiple_of=0.5)] = 4
    """Aurora alone; each is about 2 GiB of memory."""
    multi_az: bool = False
    """A standby, or a reader, in another zone."""
    deletion_protection: bool = True
    """RDS refuses to delete it."""
    backup_days: Annotated[int, Field(ge=0, le=35)] = 7
    """Days that any second can be restored of; Aurora keeps one at least."""
    enhanced_monitoring: bool = False
    """The operating system's figures every minute."""


class Storage(Table):
    """What is kept beside the database."""

    archive: bool = False
    """The service's log lines in S3, ever cheaper, for `archive_days`."""
    archive_days: Days = 400
    """After so many days a line is deleted."""
    sessions: bool = False
    """A DynamoDB table whose entries expire."""
    valkey: bool = False
    """ElastiCache Serverless for Valkey: limits, budgets and cached answers that tasks share."""
    backup: bool = False
    """AWS Backup: daily for a month, monthly for a year."""
    vault_lock_days: Annotated[int, Field(ge=0, le=36500)] = 0
    """Days a backup is locked in its vault; 0: no lock. Whoever may change the lock still can."""


class Secrets(Table):
    """What the service holds secret."""

    providers: tuple[Literal["openai", "anthropic"], ...] = ()
    """Model providers whose keys it is given."""
    langfuse_host: Annotated[str, Field(pattern=r"^https://\S+$")] | None = None
    """Where Langfuse is; None: nothing is sent there."""
    rotation_days: Annotated[int, Field(ge=0, le=365)] = 0
    """Bearer tokens and database users change that often; 0: when an operator says so."""


class Alerts(Table):
    """Who hears of an alarm."""

    emails: tuple[Annotated[str, Field(pattern=r"^\S+@\S+\.\S+$")], ...] = ()
    """Who gets every alarm; each confirms once."""
    slack_workspace: Annotated[str, Field(pattern=r"^T[A-Z0-9]+$")] | None = None
    """Its id, `T...`; AWS has to be let in once, in the console."""
    slack_channel: Annotated[str, Field(pattern=r"^[CG][A-Z0-9]+$")] | None = None
    """Its id, `C...`, or `G...` where it is private."""
    pagerduty_secret_arn: Arn | None = None
    """The secret whose text is PagerDuty's integration URL."""
    runbooks: Annotated[str, Field(pattern=r"^https://\S+$")] = (
        "https://github.com/example/llmops/blob/main/docs/alarms.md"
    )
    """The page that every alarm links to, at the place with its name."""

    @model_validator(mode="after")
    def _slack_is_whole(self) -> Alerts:
        if (self.slack_workspace is None) != (self.slack_channel is None):
            raise ValueError("alerts.slack_workspace and alerts.slack_channel belong together")
        return self

    @property
    def anybody(self) -> bool:
        """Whether anybody would hear."""
        return bool(self.emails or self.slack_channel or self.pagerduty_secret_arn)


class Monitoring(Table):
    """Dashboards, queries, and alarms beyond those that guard a rollout."""

    enabled: bool = False
    """The stack `monitoring`."""
    monthly_budget_usd: Annotated[float, Field(gt=0)] | None = None
    """What AWS may charge for this environment; None: no AWS Budget."""
    daily_llm_budget_usd: Annotated[float, Field(gt=0)] | None = None
    """What model providers may cost the service a day; the service is told it too."""
    collector_image: str | None = None
    """An OpenTelemetry collector's image, by digest, that takes traces to X-Ray."""


class Jobs(Table):
    """POST /v1/jobs through SQS, and the workers that do them."""

    enabled: bool = False
    """The queue, and the stack `workers`."""
    minimum: Annotated[int, Field(ge=0, le=100)] = 0
    """Workers that always run."""
    maximum: Annotated[int, Field(ge=1, le=1000)] = 5
    """The most workers."""
    cpu: Literal[256, 512, 1024, 2048, 4096] = 256
    """Of a worker, in units."""
    memory_mib: Annotated[int, Field(ge=512, le=30720)] = 512
    """Of a worker."""


class Page(Table):
    """The page on which people ask."""

    image: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """The digest of its image in the service's repository; None: no page."""
    domain: Annotated[str, Field(pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$")] | None = None
    """Its name, in the same zone; needed for a login."""
    certificate_arn: Arn | None = None
    """None: one is made for the domain in `edge.hosted_zone_id`."""
    login: Literal["cognito"] | None = "cognito"
    """Who may see it: a user pool's people; None: everyone who reaches it inside the VPC."""


class Function(Table):
    """The service as a Lambda function, where `compute` is "lambda"."""

    bundle: str = "dist/llm-service-lambda.zip"
    """The zip that `llmops package` wrote, from the project's folder."""
    memory_mib: Annotated[int, Field(ge=128, le=10240)] = 1024
    """Processor comes with it: 1769 are one."""
    timeout_seconds: Annotated[int, Field(ge=1, le=900)] = 60
    """For jobs; the API gives up after 30."""
    keep_warm_minutes: Annotated[int, Field(ge=0, le=60)] = 0
    """A call every so many minutes keeps one container; 0: none."""
    provisioned: Annotated[int, Field(ge=0, le=1000)] = 0
    """Containers that are always there, paid by the hour."""


class Delivery(Table):
    """How GitHub or CodePipeline deploys this environment."""

    repository: Annotated[str, Field(pattern=r"^[\w.-]+(@\d+)?/[\w.-]+(@\d+)?$")] | None = None
    """GitHub's owner/name, with `@id` behind each where GitHub's tokens have it; None: no role."""
    existing_oidc_provider: bool = False
    """Whether the account has GitHub's provider already; it can have one only."""
    pipeline_connection_arn: Arn | None = None
    """A CodeConnections connection to the repository; with it a CodePipeline deploys too."""

    @model_validator(mode="after")
    def _a_pipeline_has_a_source(self) -> Delivery:
        if self.pipeline_connection_arn and not self.repository:
            raise ValueError("delivery.pipeline_connection_arn needs delivery.repository")
        return self
