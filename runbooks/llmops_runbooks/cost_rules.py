"""What each type of resource costs: a rule per type, from its properties to lines of a bill.

A rule gives quantities, never dollars: the price is looked up by name, so that the arithmetic can
be shown. Types that cost nothing by themselves are in FREE; any other is told as not estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmops_runbooks import cost_hours
from llmops_runbooks.cost_prices import Prices

Properties = Mapping[str, Any]
GIB_KB = 1024**2
SERVICE_HANDLER = "llm_service.lambda_function.handler"


@dataclass(frozen=True)
class Resource:
    """A resource of a template."""

    stack: str
    logical_id: str
    kind: str
    properties: Properties


@dataclass(frozen=True)
class Line:
    """`factors` multiply to a quantity a month, or per 1,000 requests, of what `price` names."""

    what: str
    price: str
    factors: tuple[tuple[float, str], ...]
    per_thousand: bool = False

    @property
    def quantity(self) -> float:
        """How much of it is bought."""
        product = 1.0
        for number, _ in self.factors:
            product *= number
        return product


@dataclass(frozen=True)
class Template:
    """The resources of all stacks, as a rule looks at its neighbours."""

    resources: tuple[Resource, ...]
    prices: Prices

    def of(self, kind: str) -> list[Resource]:
        """The resources of a type."""
        return [each for each in self.resources if each.kind == kind]

    def named(self, stack: str, value: Any) -> Resource | None:
        """The resource of the same stack that `value` refers to."""
        names = set(references(value))
        return next((r for r in self.resources if r.stack == stack and r.logical_id in names), None)

    def month(self, what: str = "h") -> tuple[float, str]:
        """The factor of a thing that is there all the time."""
        return self.prices.hours, what

    def assumed(self, what: str, unit: str) -> tuple[float, str]:
        """A factor that the price table assumes."""
        return self.prices.assumed[what], unit


Rule = Callable[[Resource, Template], Iterator[Line]]


def references(value: Any) -> Iterator[str]:
    """The logical ids that `Ref` and `Fn::GetAtt` name in a value, however deep."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "Ref":
                yield str(inner)
            elif key == "Fn::GetAtt":
                yield str(inner[0] if isinstance(inner, list) else inner.split(".")[0])
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def thousand(kilobytes: float) -> tuple[tuple[float, str], ...]:
    """The factors of so many kilobytes a request, in GB per 1,000 requests."""
    return ((1000, "requests"), (kilobytes / GIB_KB, f"GB ({kilobytes:g} KB)"))


def fargate(resource: Resource, template: Template) -> Iterator[Line]:
    """Tasks by their size, hours and share on Spot; a public address for each if they have one."""
    task = task_definition(resource, template)
    if task is None:
        return
    cpu, memory = (float(task.properties[key]) / 1024 for key in ("Cpu", "Memory"))
    count, hours = tasks(resource, template)
    spot, share = spot_share(resource, count), template.prices.assumed["spot_share_of_price"]
    platform = task.properties.get("RuntimePlatform", {}).get("CpuArchitecture", "X86_64")
    running = (count, "tasks"), template.month()
    paid = ((1 - spot * (1 - share), f"of it ({spot:.0%} Spot)"),) if spot else ()
    for what, unit, size in (("vcpu_hour", "vCPU", cpu), ("gb_hour", "GB", memory)):
        price = f"fargate.{what}.{platform.lower()}"
        yield Line(f"Fargate {unit}", price, (*running, (size, unit), *paid))
    network = resource.properties.get("NetworkConfiguration", {}).get("AwsvpcConfiguration", {})
    if network.get("AssignPublicIp") == "ENABLED":
        yield Line("public IPv4 addresses", "public_ipv4.hour", running)
    yield from insights(resource, template, hours)


def task_definition(resource: Resource, template: Template) -> Resource | None:
    """The task definition a service names, by reference or by its family."""
    named = resource.properties.get("TaskDefinition")
    families = template.of("AWS::ECS::TaskDefinition")
    by_family = (each for each in families if each.properties.get("Family") == named)
    return template.named(resource.stack, named) or next(by_family, None)


def insights(resource: Resource, template: Template, hours: float) -> Iterator[Line]:
    """Container Insights of the service's cluster, for the hours in which tasks run."""
    cluster = template.named(resource.stack, resource.properties.get("Cluster"))
    settings = (cluster.properties if cluster else {}).get("ClusterSettings", [])
    if any(each.get("Value") in ("enabled", "enhanced") for each in settings):
        running = (hours / 168, "of the time")
        metrics = template.assumed("insights_metrics", "metrics")
        yield Line("Container Insights", "cloudwatch.metric_month", (metrics, running))


def tasks(resource: Resource, template: Template) -> tuple[float, float]:
    """Tasks of a service on average over a week, and its hours with any."""
    for target in template.of("AWS::ApplicationAutoScaling::ScalableTarget"):
        if resource.logical_id in references(target.properties.get("ResourceId")):
            actions = target.properties.get("ScheduledActions", [])
            return cost_hours.capacity(actions, float(target.properties["MinCapacity"]))
    count = float(resource.properties.get("DesiredCount", 1))
    return count, 168.0 if count else 0.0


def spot_share(resource: Resource, count: float) -> float:
    """The share of the tasks on Spot: what is beyond the base, by the weights."""
    strategy = resource.properties.get("CapacityProviderStrategy", [])
    weights = {item["CapacityProvider"]: float(item.get("Weight", 0)) for item in strategy}
    base = sum(float(i.get("Base", 0)) for i in strategy if i["CapacityProvider"] == "FARGATE")
    total = sum(weights.values())
    if not total or not count:
        return 0.0
    beyond = max(0.0, count - base) / count
    return beyond * weights.get("FARGATE_SPOT", 0.0) / total


def balancer(resource: Resource, template: Template) -> Iterator[Line]:
    """The hours, its public addresses, and capacity units by what requests transfer."""
    yield Line("load balancer", "load_balancer.hour", (template.month(),))
    if resource.properties.get("Scheme") == "internet-facing":
        subnets = (float(len(resource.properties["Subnets"])), "addresses")
        yield Line("public IPv4 addresses", "public_ipv4.hour", (subnets, template.month()))
    size = thousand(template.prices.assumed["request_kb"])
    yield Line("capacity units", "load_balancer.lcu_hour", size, per_thousand=True)


def database(resource: Resource, template: Template) -> Iterator[Line]:
    """An RDS instance with its storage; an instance of Aurora Serverless is the cluster's."""
    kind = str(resource.properties["DBInstanceClass"]).removeprefix("db.")
    if kind == "serverless":
        return
    zones = 2.0 if resource.properties.get("MultiAZ") else 1.0
    in_zones = (zones, "zones")
    yield Line(f"RDS {kind}", f"rds.hour.{kind}", (in_zones, template.month()))
    gib = float(resource.properties.get("AllocatedStorage", 0))
    yield Line("RDS storage", "rds.gp3_gb_month", (in_zones, (gib, "GB")))
    yield from managed_password(resource, template)


def cluster(resource: Resource, template: Template) -> Iterator[Line]:
    """Aurora Serverless: what it never falls below, and what it stores."""
    scaling = resource.properties.get("ServerlessV2ScalingConfiguration", {})
    least = float(scaling.get("MinCapacity", 0.5))
    count = sum(
        resource.logical_id in references(each.properties.get("DBClusterIdentifier"))
        for each in template.of("AWS::RDS::DBInstance")
    )
    members = (float(count), "instances")
    yield Line("Aurora capacity", "aurora.acu_hour", (members, (least, "ACU"), template.month()))
    yield Line("Aurora storage", "aurora.gb_month", (template.assumed("database_gib", "GB"),))
    yield from managed_password(resource, template)


def managed_password(resource: Resource, _: Template) -> Iterator[Line]:
    """The secret that RDS keeps the master password in."""
    if resource.properties.get("ManageMasterUserPassword"):
        yield Line("master password", "secret.month", ((1, "secret"),))


def endpoint(resource: Resource, template: Template) -> Iterator[Line]:
    """An interface endpoint by its zones; a gateway endpoint costs nothing."""
    if resource.properties.get("VpcEndpointType") == "Interface":
        zones = (float(len(resource.properties.get("SubnetIds", []))), "zones")
        yield Line("interface endpoint", "interface_endpoint.hour", (zones, template.month()))


def nat(_: Resource, template: Template) -> Iterator[Line]:
    """The hours of a gateway, and its share of what goes to model providers."""
    yield Line("NAT gateway", "nat_gateway.hour", (template.month(),))
    gateways = len(template.of("AWS::EC2::NatGateway"))
    size = thousand(template.prices.assumed["provider_kb"])
    share = (1 / gateways, "of it")
    yield Line("NAT traffic", "nat_gateway.gb", (*size, share), per_thousand=True)


def alarm(resource: Resource, _: Template) -> Iterator[Line]:
    """An alarm by the metrics it reads."""
    read = sum("MetricStat" in each for each in resource.properties.get("Metrics", [])) or 1
    yield Line("alarm", "cloudwatch.alarm_metric_month", ((float(read), "metrics"),))


def function(resource: Resource, template: Template) -> Iterator[Line]:
    """The service's own function by request; the kit's others run a few seconds a month."""
    if resource.properties.get("Handler") != SERVICE_HANDLER:
        return
    memory = float(resource.properties.get("MemorySize", 128)) / 1024
    architecture = str(resource.properties.get("Architectures", ["x86_64"])[0])
    seconds = template.assumed("lambda_seconds", "s")
    yield Line(
        "Lambda requests",
        "lambda.million_requests",
        ((0.001, "million"),),
        per_thousand=True,
    )
    size = ((1000, "requests"), seconds, (memory, "GB"))
    yield Line("Lambda time", f"lambda.gb_second.{architecture}", size, per_thousand=True)
    kept = sum(
        float(each.properties.get("ProvisionedConcurrencyConfig", {}).get(PROVISIONED, 0))
        for each in template.of("AWS::Lambda::Alias")
    )
    if kept:
        always = ((kept, "containers"), (memory, "GB"), template.month(), (3600, "s"))
        price = f"lambda.provisioned_gb_second.{architecture}"
        yield Line("provisioned concurrency", price, always)


PROVISIONED = "ProvisionedConcurrentExecutions"


def web_acl(resource: Resource, _: Template) -> Iterator[Line]:
    """A web ACL, its rules, and the requests it looks at."""
    rules = (float(len(resource.properties.get("Rules", []))), "rules")
    yield Line("web ACL", "waf.acl_month", ((1, "ACL"),))
    yield Line("WAF rules", "waf.rule_month", (rules,))
    million = ((0.001, "million"),)
    yield Line("WAF requests", "waf.million_requests", million, per_thousand=True)


def log_group(resource: Resource, template: Template) -> Iterator[Line]:
    """What the service writes goes to one group; the others hardly hold anything."""
    name = str(resource.properties.get("LogGroupName", ""))
    if name.endswith("/service"):
        size = thousand(template.prices.assumed["log_kb"])
        yield Line("log lines", "logs.ingested_gb", size, per_thousand=True)


def pipeline(resource: Resource, _: Template) -> Iterator[Line]:
    """A pipeline of type V1 by the month; one of V2 only while it runs."""
    if resource.properties.get("PipelineType", "V1") == "V1":
        yield Line("pipeline", "pipeline.v1_month", ((1, "pipeline"),))


def fixed(what: str, price: str, unit: str = "") -> Rule:
    """A rule for a resource that costs the same each month."""

    def rule(_: Resource, __: Template) -> Iterator[Line]:
        yield Line(what, price, ((1, unit or what),))

    return rule


def stored(what: str, price: str, assumed: str, *, hourly: bool = False) -> Rule:
    """A rule for a resource that costs by what it is assumed to hold."""

    def rule(_: Resource, template: Template) -> Iterator[Line]:
        held = template.assumed(assumed, "GB")
        yield Line(what, price, (held, template.month()) if hourly else (held,))

    return rule


def by_request(what: str, price: str) -> Rule:
    """A rule for a resource that costs by the million requests."""

    def rule(_: Resource, __: Template) -> Iterator[Line]:
        yield Line(what, price, ((0.001, "million"),), per_thousand=True)

    return rule


def by_log(what: str, price: str) -> Rule:
    """A rule for a resource that costs by the log lines that pass it."""

    def rule(_: Resource, template: Template) -> Iterator[Line]:
        size = thousand(template.prices.assumed["log_kb"])
        yield Line(what, price, size, per_thousand=True)

    return rule


def hourly(what: str, price: str) -> Rule:
    """A rule for a resource that costs by the hour."""

    def rule(_: Resource, template: Template) -> Iterator[Line]:
        yield Line(what, price, (template.month(),))

    return rule


RULES: Mapping[str, Rule] = {
    "AWS::ApiGatewayV2::Api": by_request("HTTP API requests", "http_api.million_requests"),
    "AWS::Backup::BackupVault": stored("backups", "backup.gb_month", "backup_gb"),
    "AWS::CloudWatch::Alarm": alarm,
    "AWS::CloudWatch::CompositeAlarm": fixed(
        "composite alarm", "cloudwatch.composite_alarm_month", "alarm"
    ),
    "AWS::CloudWatch::Dashboard": fixed("dashboard", "cloudwatch.dashboard_month"),
    "AWS::CodePipeline::Pipeline": pipeline,
    "AWS::EC2::EIP": hourly("public IPv4 address", "public_ipv4.hour"),
    "AWS::EC2::NatGateway": nat,
    "AWS::EC2::VPCEndpoint": endpoint,
    "AWS::ECR::Repository": stored("images", "ecr.gb_month", "image_gb"),
    "AWS::ECS::Service": fargate,
    "AWS::ElastiCache::ServerlessCache": stored(
        "Valkey", "valkey.gb_hour", "valkey_gb", hourly=True
    ),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": balancer,
    "AWS::KMS::Key": fixed("key", "kms.key_month"),
    "AWS::KinesisFirehose::DeliveryStream": by_log("archived log lines", "firehose.gb"),
    "AWS::Lambda::Function": function,
    "AWS::Logs::LogGroup": log_group,
    "AWS::RDS::DBCluster": cluster,
    "AWS::RDS::DBInstance": database,
    "AWS::S3::Bucket": stored("objects", "s3.gb_month", "bucket_gb"),
    "AWS::SecretsManager::Secret": fixed("secret", "secret.month"),
    "AWS::WAFv2::WebACL": web_acl,
}
