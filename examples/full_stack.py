"""A team's own container with all that is around one: TLS, WAF, Aurora, alarms, autoscaling."""

import llmops_constructs as llm

from aws_cdk.aws_route53 import HostedZone  # isort: skip - after what finds Node

IMAGE = f"public.ecr.aws/example/answers@sha256:{'0' * 64}"
app = llm.new_app()
account, region, zones = "444444444444", "eu-west-1", ("eu-west-1a", "eu-west-1b")
stack = llm.ExplicitStack(app, "answers", account=account, region=region, availability_zones=zones)
network = llm.Network(stack, "Network", nat_gateways=2)
vpc, tasks, data = network.vpc, network.service_subnets, network.database_subnets
zone = HostedZone.from_hosted_zone_attributes(
    stack, "Zone", hosted_zone_id="Z0000000000000000000A", zone_name="example.org"
)
domain = llm.Domain(stack, "Domain", name="answers.example.org", hosted_zone=zone)
acl = llm.WebAcl(stack, "WebAcl", prefix="answers")
edge = llm.LlmRouting(
    stack, "Edge", vpc=vpc, vpc_subnets=tasks, container_port=9000, domain=domain, web_acl=acl
)
database = llm.AuroraDatabase(
    stack, "Database", vpc=vpc, vpc_subnets=data, database_name="answers", multi_az=True
)
topics = llm.AlarmTopics(stack, "Topics", prefix="answers", emails=["on-call@example.org"])
alarms = llm.ServiceAlarms(
    stack, "Alarms", prefix="answers", routing=edge, database=database, topics=topics
)
canary = llm.Canary(percent=5, bake_minutes=10, final_bake_minutes=10)
scaling = llm.Scaling(minimum=2, maximum=12, requests_per_minute=300)
llm.FargateLlmService(
    stack, "Service", prefix="answers", service_name="answers", vpc=vpc, vpc_subnets=tasks,
    image_uri=IMAGE, container_port=9000, database=database, routing=edge.routing, canary=canary,
    alarms=alarms.alarms, scaling=scaling,
)  # fmt: skip
app.synth()
