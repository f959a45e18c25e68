"""The page, the load balancer in front of it, and who is let in."""

from collections.abc import Callable
from typing import Any

import brought_along
import pytest
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_route53 as route53
from aws_cdk.assertions import Template
from policies import findings

from llm_ui.__main__ import command
from llmops_constructs import ExplicitStack, InvalidConstruct, LlmRouting, Network
from llmops_constructs.access_logs import AccessLogs
from llmops_constructs.domain import Domain
from llmops_constructs.front import SharedListener
from llmops_constructs.keys import EncryptionKey
from llmops_constructs.login import CognitoLogin, OidcLogin, login_rules
from llmops_constructs.ui import UiService
from llmops_constructs.waf import WebAcl

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
Snapshot = Callable[[Template, str], None]


def page(stack: ExplicitStack, **changes: Any) -> UiService:
    arguments: dict[str, Any] = {
        "prefix": "handbook-test",
        "vpc": changes.get("vpc") or brought_along.vpc(stack),
        "vpc_subnets": brought_along.private(),
        "image_uri": brought_along.IMAGE,
        "service": "https://handbook.example.org",
        "token_secret": brought_along.secret(stack, "tokens"),
    }
    return UiService(stack, "Page", **(arguments | changes))


def certificate(stack: ExplicitStack) -> elbv2.IListenerCertificate:
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
    return elbv2.ListenerCertificate.from_certificate_manager(
        acm.Certificate.from_certificate_arn(stack, "Certificate", arn)
    )


def cognito_login(stack: ExplicitStack) -> CognitoLogin:
    return CognitoLogin(
        user_pool=cognito.UserPool.from_user_pool_id(stack, "Pool", "us-east-1_abcdefghi"),
        client=cognito.UserPoolClient.from_user_pool_client_id(stack, "Client", "0123456789"),
        domain=cognito.UserPoolDomain.from_domain_name(stack, "PoolDomain", "handbook"),
    )


def oidc_login(stack: ExplicitStack, **changes: Any) -> OidcLogin:
    arguments: dict[str, Any] = {
        "issuer": "https://id.example.org",
        "authorization_endpoint": "https://id.example.org/authorize",
        "token_endpoint": "https://id.example.org/token",
        "user_info_endpoint": "https://id.example.org/userinfo",
        "client_id": "handbook",
        "client_secret": brought_along.secret(stack, "oidc"),
    }
    return OidcLogin(**(arguments | changes))


@pytest.fixture(scope="module")
def plain(new_stack: Stacks, synthesized: Synthesized) -> Template:
    """Inside the VPC, in front of a service of the same app."""
    stack = new_stack()
    network = Network(stack, "Network", nat_gateways=1)
    routing = LlmRouting(
        stack,
        "Routing",
        vpc=network.vpc,
        vpc_subnets=network.service_subnets,
        container_port=8000,
        listener_port=8080,
        test_listener_port=8081,
    )
    page(stack, vpc=network.vpc, vpc_subnets=network.service_subnets, service=routing)
    return synthesized(stack)


def production(new_stack: Stacks) -> ExplicitStack:
    """Facing the internet, with everything that takes."""
    stack = new_stack()
    key = EncryptionKey(stack, "Key", alias="handbook-test").key
    zone = route53.HostedZone.from_hosted_zone_attributes(
        stack, "Zone", hosted_zone_id="Z0000000000000000000A", zone_name="example.org"
    )
    made = page(
        stack,
        internet_facing=True,
        load_balancer_subnets=brought_along.public(),
        domain=Domain(stack, "Domain", name="ask.example.org", hosted_zone=zone),
        login=cognito_login(stack),
        access_log_bucket=AccessLogs(stack, "AccessLogs").bucket,
        web_acl=WebAcl(stack, "WebAcl", prefix="handbook-test", encryption_key=key),
        encryption_key=key,
        environment={"UI_TITLE": "Ask"},
    )
    assert made.url == "https://ask.example.org"
    return stack


@pytest.fixture(scope="module")
def whole(new_stack: Stacks, synthesized: Synthesized) -> Template:
    return synthesized(production(new_stack))


@pytest.fixture(scope="module")
def shared(new_stack: Stacks, synthesized: Synthesized) -> Template:
    """One rule among others on a listener that is there, with a login by OpenID Connect."""
    stack = new_stack()
    vpc = brought_along.vpc(stack)
    listener = elbv2.ApplicationListener.from_application_listener_attributes(
        stack,
        "Listener",
        listener_arn=f"{brought_along.PREFIX}:listener/app/one/01234567/89abcdef",
        security_group=brought_along.group(stack),
    )
    made = page(
        stack,
        vpc=vpc,
        existing_cluster=brought_along.cluster(stack, vpc),
        shared_listener=SharedListener(listener=listener, host="ask.example.org", priority=7),
        login=oidc_login(stack, client_secret_field="secret", session_hours=8),
    )
    assert made.url == "https://ask.example.org"
    return synthesized(stack)


def of_page(template: Template, type: str) -> list[dict[str, Any]]:
    """The properties of the page's own resources of a type."""
    return [
        dict(found["Properties"])
        for name, found in template.find_resources(type).items()
        if name.startswith("Page")
    ]


def container(template: Template) -> dict[str, Any]:
    (task,) = of_page(template, "AWS::ECS::TaskDefinition")
    (found,) = task["ContainerDefinitions"]
    return dict(found)


def variables(template: Template) -> dict[str, Any]:
    return {each["Name"]: each["Value"] for each in container(template)["Environment"]}


def listeners(template: Template) -> dict[int, dict[str, Any]]:
    found = of_page(template, "AWS::ElasticLoadBalancingV2::Listener")
    return {each["Port"]: each for each in found}


def test_the_plain_form_is_as_reviewed(
    new_stack: Stacks, synthesized: Synthesized, snapshot: Snapshot
) -> None:
    stack = new_stack()
    page(stack)
    snapshot(synthesized(stack), "ui")


def test_no_pack_finds_anything_unanswered_in_a_page_on_the_internet(new_stack: Stacks) -> None:
    assert findings(production(new_stack)) == []


def test_the_page_listens_where_the_load_balancer_asks(plain: Template) -> None:
    told = variables(plain)
    assert "--server.port=8501" in command(told["HOST"], told["PORT"])
    (group,) = of_page(plain, "AWS::ElasticLoadBalancingV2::TargetGroup")
    assert (group["Port"], group["HealthCheckPath"]) == (8501, "/_stcore/health")


def test_a_visitor_stays_at_one_task(plain: Template) -> None:
    (group,) = of_page(plain, "AWS::ElasticLoadBalancingV2::TargetGroup")
    attributes = {each["Key"]: each["Value"] for each in group["TargetGroupAttributes"]}
    assert attributes["stickiness.enabled"] == "true"
    assert attributes["stickiness.type"] == "lb_cookie"


def test_the_page_writes_to_its_scratch_folder_only(plain: Template) -> None:
    found = container(plain)
    assert found["ReadonlyRootFilesystem"] is True
    (mount,) = found["MountPoints"]
    assert (mount["ContainerPath"], mount["ReadOnly"]) == ("/tmp", False)
    assert variables(plain)["HOME"] == "/tmp"


def test_the_token_is_injected_and_in_no_variable(plain: Template) -> None:
    (secret,) = container(plain)["Secrets"]
    assert secret["Name"] == "SERVICE_TOKEN"
    assert str(secret["ValueFrom"]).endswith(":current::")
    assert "SERVICE_TOKEN" not in variables(plain)


def test_the_page_may_read_its_token_anew_and_nothing_else(plain: Template) -> None:
    policies = plain.find_resources("AWS::IAM::Policy")
    (own,) = (body for name, body in policies.items() if "TaskRole" in name)
    (statement,) = own["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "secretsmanager:GetSecretValue"
    assert statement["Resource"] == variables(plain)["SERVICE_TOKEN_SECRET"]


def test_the_page_reaches_a_service_of_the_same_app_on_its_port(plain: Template) -> None:
    assert variables(plain)["SERVICE_URL"]["Fn::Join"][1][-1] == ":8080/v1"
    out = [
        each for each in of_page(plain, "AWS::EC2::SecurityGroupEgress") if each["FromPort"] == 8080
    ]
    into = [
        each
        for each in of_page(plain, "AWS::EC2::SecurityGroupIngress")
        if each["FromPort"] == 8080
    ]
    assert len(out) == len(into) == 1
    assert out[0]["GroupId"] == into[0]["SourceSecurityGroupId"]


def test_inside_the_vpc_the_page_is_plain_and_nobody_outside_reaches_it(plain: Template) -> None:
    assert list(listeners(plain)) == [80]
    (balancer,) = of_page(plain, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert balancer["Scheme"] == "internal"
    groups = of_page(plain, "AWS::EC2::SecurityGroup")
    sources = [rule["CidrIp"] for group in groups for rule in group.get("SecurityGroupIngress", ())]
    assert sources == ["10.0.0.0/16"]


def test_the_service_address_ends_in_the_root_of_its_api(whole: Template) -> None:
    assert variables(whole)["SERVICE_URL"] == "https://handbook.example.org/v1"
    assert variables(whole)["UI_TITLE"] == "Ask"


def test_whoever_comes_by_http_is_sent_to_https(whole: Template) -> None:
    (redirect,) = listeners(whole)[80]["DefaultActions"]
    assert redirect["RedirectConfig"]["Protocol"] == "HTTPS"
    assert listeners(whole)[443]["SslPolicy"].startswith("ELBSecurityPolicy-TLS13")


def test_whoever_comes_signs_in_before_the_page(whole: Template) -> None:
    login, forward = listeners(whole)[443]["DefaultActions"]
    assert (login["Type"], forward["Type"]) == ("authenticate-cognito", "forward")
    assert login["AuthenticateCognitoConfig"]["SessionTimeout"] == "43200"


def test_the_load_balancer_logs_is_filtered_and_has_its_name(whole: Template) -> None:
    (balancer,) = of_page(whole, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    attributes = {each["Key"]: each["Value"] for each in balancer["LoadBalancerAttributes"]}
    assert attributes["access_logs.s3.enabled"] == "true"
    assert attributes["deletion_protection.enabled"] == "true"
    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert len(of_page(whole, "AWS::WAFv2::WebACLAssociation")) == 1
    names = {each["Name"] for each in of_page(whole, "AWS::Route53::RecordSet")}
    assert names == {"ask.example.org."}


def test_a_deployment_that_does_not_answer_is_taken_back(plain: Template) -> None:
    (service,) = of_page(plain, "AWS::ECS::Service")
    breaker = service["DeploymentConfiguration"]["DeploymentCircuitBreaker"]
    assert breaker == {"Enable": True, "Rollback": True}


def test_a_shared_listener_gets_a_rule_of_the_pages_name(shared: Template) -> None:
    shared.resource_count_is("AWS::ElasticLoadBalancingV2::LoadBalancer", 0)
    shared.resource_count_is("AWS::ECS::Cluster", 0)
    (rule,) = of_page(shared, "AWS::ElasticLoadBalancingV2::ListenerRule")
    assert rule["Priority"] == 7
    (condition,) = rule["Conditions"]
    assert condition["HostHeaderConfig"]["Values"] == ["ask.example.org"]
    assert [each["Type"] for each in rule["Actions"]] == ["authenticate-oidc", "forward"]


def test_the_secret_of_the_login_is_a_reference(shared: Template) -> None:
    (rule,) = of_page(shared, "AWS::ElasticLoadBalancingV2::ListenerRule")
    oidc = rule["Actions"][0]["AuthenticateOidcConfig"]
    assert oidc["ClientSecret"].startswith("{{resolve:secretsmanager:")
    assert ":SecretString:secret:" in oidc["ClientSecret"]
    assert int(oidc["SessionTimeout"]) == 28800


def test_a_page_on_the_internet_needs_a_login_and_https(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        page(new_stack(), internet_facing=True)
    assert len(caught.value.mistakes) == 2
    assert "without a login" in str(caught.value)


def test_a_login_needs_https(new_stack: Stacks) -> None:
    stack = new_stack()
    with pytest.raises(InvalidConstruct, match="need HTTPS"):
        page(stack, login=cognito_login(stack))


def test_a_shared_listener_counts_as_facing_the_internet(new_stack: Stacks) -> None:
    stack = new_stack()
    listener = elbv2.ApplicationListener.from_application_listener_attributes(
        stack,
        "Listener",
        listener_arn=f"{brought_along.PREFIX}:listener/app/one/01234567/89abcdef",
        security_group=brought_along.group(stack),
    )
    mine = SharedListener(listener=listener, host="ask.example.org", priority=1)
    with pytest.raises(InvalidConstruct) as caught:
        page(stack, shared_listener=mine, certificate=certificate(stack))
    assert len(caught.value.mistakes) == 2
    assert "certificate: of a load balancer of its own" in str(caught.value)


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        ("https://handbook.example.org", True),
        ("https://handbook.example.org/", True),
        ("http://handbook.example.org", False),
        ("https://handbook.example.org:8443", False),
    ],
)
def test_the_token_does_not_travel_in_the_clear(
    new_stack: Stacks, address: str, taken: bool
) -> None:
    if taken:
        page(new_stack(), service=address)
        return
    with pytest.raises(InvalidConstruct, match="https://NAME"):
        page(new_stack(), service=address)


@pytest.mark.parametrize(("hours", "mistakes"), [(1, 0), (168, 0), (0, 1), (169, 1)])
def test_a_session_lasts_as_long_as_a_load_balancer_lets_it(
    new_stack: Stacks, hours: int, mistakes: int
) -> None:
    login = oidc_login(new_stack(), session_hours=hours)
    assert sum(wrong for wrong, _ in login_rules(login)) == mistakes
