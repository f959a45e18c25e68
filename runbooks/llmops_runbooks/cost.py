"""What an environment costs a month, from its synthesized templates and a dated price table.

Idle is what is paid without a single request; on top comes a sum per 1,000 requests. What model
providers charge is not in it: the service tells that with every answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from llmops_runbooks import assembly
from llmops_runbooks.cost_prices import Prices
from llmops_runbooks.cost_rules import RULES, Line, Resource, Template
from llmops_runbooks.errors import UsageError

FREE = (
    "AWS::ApiGatewayV2::",
    "AWS::ApplicationAutoScaling::",
    "AWS::Backup::",
    "AWS::Budgets::",
    "AWS::CDK::",
    "AWS::CertificateManager::",
    "AWS::Chatbot::",
    "AWS::CloudFormation::",
    "AWS::CodeBuild::",
    "AWS::Cognito::",
    "AWS::DynamoDB::",
    "AWS::EC2::",
    "AWS::ECS::",
    "AWS::ElasticLoadBalancingV2::",
    "AWS::ElastiCache::User",
    "AWS::Events::",
    "AWS::IAM::",
    "AWS::KMS::Alias",
    "AWS::Lambda::",
    "AWS::Logs::",
    "AWS::RDS::",
    "AWS::Route53::",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::",
    "AWS::SQS::",
    "AWS::SSM::",
    "AWS::Scheduler::",
    "AWS::SecretsManager::",
    "AWS::WAFv2::",
    "Custom::",
)
"""What costs nothing by itself, or only by a use too small to count here: beginnings of types."""


@dataclass(frozen=True)
class Row:
    """A line of the bill. `arithmetic` is the product as one would type it."""

    stack: str
    resource: str
    type: str
    what: str
    arithmetic: str
    usd: float


@dataclass(frozen=True)
class Use:
    """How much the service is asked. Requests a month, hours with any, hours the database is up."""

    requests: int = 0
    active_hours: float = 0.0
    database_hours: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """The bill; rows by resource, dollars a month and per 1,000 requests."""

    environment: str
    region: str
    prices_of: str
    idle: tuple[Row, ...]
    per_thousand: tuple[Row, ...]
    used: tuple[Row, ...]
    """What hours of use cost beside the requests themselves."""
    use: Use
    not_estimated: tuple[str, ...]

    @property
    def idle_usd(self) -> float:
        """A month without a request."""
        return sum(row.usd for row in self.idle)

    @property
    def per_thousand_usd(self) -> float:
        """1,000 requests."""
        return sum(row.usd for row in self.per_thousand)

    @property
    def total_usd(self) -> float:
        """The month with its use."""
        requests = self.use.requests / 1000 * self.per_thousand_usd
        return self.idle_usd + sum(row.usd for row in self.used) + requests

    def json(self) -> dict[str, Any]:
        """The estimate as one object; its schema is the fields of this class and the sums."""
        sums = {
            "idle_usd": round(self.idle_usd, 2),
            "per_thousand_requests_usd": round(self.per_thousand_usd, 6),
            "total_usd": round(self.total_usd, 2),
        }
        return {**asdict(self), **sums}


def resources(stacks: Iterable[assembly.Stack]) -> Iterator[Resource]:
    """The resources of the templates of an assembly."""
    for stack in stacks:
        for logical_id, body in json.loads(stack.template.read_text())["Resources"].items():
            yield Resource(stack.name, logical_id, body["Type"], body.get("Properties", {}))


def estimate(
    environment: str, region: str, found: Sequence[Resource], prices: Prices, use: Use
) -> Estimate:
    """The bill of an environment. Raises UsageError for a region that the table is not of."""
    if region != prices.region:
        raise UsageError(
            f"The price table is that of {prices.region}, and {environment} is in {region}.",
            hint="Change runbooks/llmops_runbooks/cost_prices.toml to your region's prices.",
        )
    template = Template(tuple(found), prices)
    idle: list[Row] = []
    per_thousand: list[Row] = []
    unknown: set[str] = set()
    for resource in found:
        rule = RULES.get(resource.kind)
        if rule is None:
            if not resource.kind.startswith(FREE):
                unknown.add(resource.kind)
            continue
        for line in rule(resource, template):
            (per_thousand if line.per_thousand else idle).append(_row(resource, line, prices))
    return Estimate(
        environment=environment,
        region=region,
        prices_of=prices.date,
        idle=tuple(idle),
        per_thousand=tuple(per_thousand),
        used=tuple(_used(template, use)),
        use=use,
        not_estimated=tuple(sorted(unknown)),
    )


def _used(template: Template, use: Use) -> Iterator[Row]:
    """The service's own metrics in hours with requests, and a sleeping database that wakes."""
    prices = template.prices
    share = (use.active_hours / prices.hours, f"of the month ({use.active_hours:g} h)")
    service = Resource("", "the service", "metrics", {})
    metrics = Line(
        "the service's metrics",
        "cloudwatch.metric_month",
        (template.assumed("service_metrics", "metrics"), share),
    )
    if use.active_hours:
        yield _row(service, metrics, prices)
    for each in template.of("AWS::RDS::DBCluster"):
        scaling = each.properties.get("ServerlessV2ScalingConfiguration", {})
        if float(scaling.get("MinCapacity", 0.5)) == 0 and use.database_hours:
            awake = (template.assumed("awake_acu", "ACU"), (use.database_hours, "hours awake"))
            yield _row(each, Line("Aurora awake", "aurora.acu_hour", awake), prices)


def _row(resource: Resource, line: Line, prices: Prices) -> Row:
    price = prices.of(line.price)
    factors = " × ".join(f"{_number(number)} {unit}".rstrip() for number, unit in line.factors)
    return Row(
        stack=resource.stack,
        resource=resource.logical_id,
        type=resource.kind,
        what=line.what,
        arithmetic=f"{factors} × ${_number(price)}",
        usd=line.quantity * price,
    )


def _number(value: float) -> str:
    return f"{value:.10f}".rstrip("0").rstrip(".") if value < 0.01 else f"{value:.4g}"
