"""A team's own container, on llmops_constructs alone. `cdk synth --app "python FILE"`"""

import llmops_constructs as llm

app = llm.new_app()


def stack(name: str) -> llm.ExplicitStack:
    zones = ("eu-west-1a", "eu-west-1b")
    return llm.ExplicitStack(
        app, name, account="444444444444", region="eu-west-1", availability_zones=zones
    )


below, above = stack("answers-routing"), stack("answers-service")
network = llm.Network(below, "Network", nat_gateways=2)
routing = llm.LlmRouting(
    below,
    "Routing",
    vpc=network.vpc,
    vpc_subnets=network.service_subnets,
    container_port=9000,
    health_check_path="/health",
)
alarms = llm.ServiceAlarms(above, "Alarms", prefix="answers", routing=routing, p95_seconds=8)
llm.FargateLlmService(
    above,
    "Service",
    prefix="answers",
    service_name="answers",
    vpc=network.vpc,
    vpc_subnets=network.service_subnets,
    image_uri=f"public.ecr.aws/example/answers@sha256:{'0' * 64}",
    container_port=9000,
    routing=routing.routing,
    canary=llm.Canary(percent=5, bake_minutes=10, final_bake_minutes=10),
    alarms=alarms.alarms,
)
app.synth()
