"""The service on Lambda: its versions, its alias, what it may do, and how it gets out of a VPC."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import aws_cdk as cdk
import brought_along
import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template
from policies import findings
from templates import Alone, only

from llm_service import lambda_function, secret_variables
from llm_service.settings import read
from llmops_constructs import Database, ExplicitStack, InvalidConstruct
from llmops_constructs.artifacts import ArtifactStore
from llmops_constructs.domain import Domain
from llmops_constructs.jobs_queue import JobsQueue
from llmops_constructs.keys import EncryptionKey
from llmops_constructs.lambda_service import HANDLER, KEEP_WARM, LambdaLlmService
from llmops_constructs.secret_variables import VARIABLE, SecretVariable
from llmops_constructs.waf import WebAcl

Stacks = Callable[..., ExplicitStack]
Snapshot = Callable[[Template, str], None]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip with one file, the same on every machine."""
    path = tmp_path_factory.mktemp("bundle") / "service.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr(ZipInfo("llm_service/lambda_function.py"), "def handler(*_): ...")
    return path


@pytest.fixture(scope="module")
def service(bundle: Path) -> Callable[..., LambdaLlmService]:
    def make(stack: ExplicitStack, **changes: Any) -> LambdaLlmService:
        code = lambda_.Code.from_asset(str(bundle))
        arguments: dict[str, Any] = {"prefix": "handbook-test", "code": code}
        return LambdaLlmService(stack, "Service", **(arguments | changes))

    return make


Service = Callable[..., LambdaLlmService]


@pytest.fixture(scope="module")
def plain(alone: Alone, service: Service) -> Template:
    return alone(service)


@pytest.fixture(scope="module")
def production(new_stack: Stacks, service: Service) -> Iterator[ExplicitStack]:
    """All of it, behind a name, in a dual-stack VPC that somebody else made."""
    stack = new_stack()
    key = EncryptionKey(stack, "Key", alias="handbook-test").key
    vpc = brought_along.vpc(stack)
    subnets = brought_along.private()
    database = Database(
        stack, "Database", database_name="handbook", vpc=vpc, vpc_subnets=subnets, multi_az=True,
        encryption_key=key, monitoring_seconds=60,
    )  # fmt: skip
    provider = brought_along.secret(stack, "openai", key)
    release = cdk.CfnParameter(stack, "ReleaseId")
    made = service(
        stack,
        release=release.value_as_string,
        vpc=vpc,
        vpc_subnets=subnets,
        ipv6=True,
        database=database,
        token_secret=brought_along.secret(stack, "tokens", key),
        environment={"RELEASE": release.value_as_string},
        secrets={"OPENAI_API_KEY": SecretVariable(secret=provider, field="key")},
        jobs=JobsQueue(
            stack, "Jobs", prefix="handbook-test", visibility_seconds=360, encryption_key=key
        ),
        keep_warm_minutes=5,
        provisioned=2,
        concurrency=20,
        dead_letters=sqs.Queue(stack, "Dead", encryption_master_key=key, enforce_ssl=True),
        encryption_key=key,
    )
    store = ArtifactStore(
        stack, "Artifacts", encryption_key=key, removal_policy=cdk.RemovalPolicy.DESTROY
    )
    made.allow_objects(store.bucket, "corpus/*")
    made.connect_to(brought_along.group(stack), 6379, "the cache")
    yield stack


@pytest.fixture(scope="module")
def whole(production: ExplicitStack) -> Template:
    return Template.from_stack(production)


def function(template: Template) -> dict[str, Any]:
    return only(template, "AWS::Lambda::Function")


def statements(template: Template) -> list[dict[str, Any]]:
    """What the role of the service may do."""
    (policy,) = [
        each["Properties"]["PolicyDocument"]["Statement"]
        for name, each in template.find_resources("AWS::IAM::Policy").items()
        if name.startswith("ServiceRole")
    ]
    return list(policy)


def allowed(template: Template) -> set[str]:
    actions: set[str] = set()
    for each in statements(template):
        if each["Effect"] == "Allow":
            found = each["Action"]
            actions.update([found] if isinstance(found, str) else found)
    return actions


def test_the_plain_form_is_as_reviewed(plain: Template, snapshot: Snapshot) -> None:
    snapshot(plain, "lambda_service")


def test_no_pack_finds_anything_unanswered(production: ExplicitStack, whole: Template) -> None:
    assert whole
    assert [each for each in findings(production) if " at test/Service/" in each] == []


def test_it_runs_the_bundle_on_arm64_and_says_where_its_time_goes(plain: Template) -> None:
    found = function(plain)
    assert (found["Handler"], found["Runtime"]) == (HANDLER, "python3.13")
    assert f"{lambda_function.__name__}.{lambda_function.handler.__name__}" == HANDLER
    assert found["Architectures"] == ["arm64"]
    assert found["TracingConfig"] == {"Mode": "Active"}
    assert (found["MemorySize"], found["Timeout"]) == (1024, 60)


def test_the_alias_names_a_version_and_the_api_calls_the_alias(plain: Template) -> None:
    alias = only(plain, "AWS::Lambda::Alias")
    (version,) = plain.find_resources("AWS::Lambda::Version")
    assert (alias["Name"], alias["FunctionVersion"]["Fn::GetAtt"][0]) == ("live", version)
    (name,) = plain.find_resources("AWS::Lambda::Alias")
    integration = only(plain, "AWS::ApiGatewayV2::Integration")
    assert integration["IntegrationUri"] == {"Ref": name}
    assert integration["PayloadFormatVersion"] == "2.0"


def test_another_release_is_another_version_though_the_template_stays(whole: Template) -> None:
    """CloudFormation replaces a version whose description changes."""
    assert only(whole, "AWS::Lambda::Version")["Description"] == {
        "Fn::Join": ["", ["Release ", {"Ref": "ReleaseId"}]]
    }


def test_other_settings_are_another_version(
    plain: Template, new_stack: Stacks, service: Service
) -> None:
    stack = new_stack()
    service(stack, memory_mib=2048)
    changed = Template.from_stack(stack).find_resources("AWS::Lambda::Version")
    assert set(changed) != set(plain.find_resources("AWS::Lambda::Version"))


def test_versions_stay_to_go_back_to(plain: Template) -> None:
    (version,) = plain.find_resources("AWS::Lambda::Version").values()
    assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_alone_it_writes_its_log_and_its_traces(plain: Template) -> None:
    assert allowed(plain) == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }
    names = {
        each["Properties"]["LogGroupName"]
        for each in plain.find_resources("AWS::Logs::LogGroup").values()
    }
    assert "/llmops/handbook-test/service" in names


def test_by_ipv6_it_reaches_aws_and_providers_without_a_nat_gateway(whole: Template) -> None:
    found = function(whole)
    assert found["VpcConfig"]["Ipv6AllowedForDualStack"] is True
    assert found["Environment"]["Variables"]["AWS_USE_DUALSTACK_ENDPOINT"] == "true"
    groups = [
        each["Properties"].get("SecurityGroupEgress", [])
        for name, each in whole.find_resources("AWS::EC2::SecurityGroup").items()
        if name.startswith("ServiceGroup")
    ]
    ways = [way.get("CidrIp") or way["CidrIpv6"] for way in groups[0]]
    assert ways == ["0.0.0.0/0", "::/0"]


def test_its_own_code_may_not_touch_network_interfaces(whole: Template) -> None:
    (denied,) = [each for each in statements(whole) if each["Effect"] == "Deny"]
    assert "ec2:CreateNetworkInterface" in denied["Action"]
    assert denied["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"].endswith(
        ":function:handbook-test-service"
    )


def test_database_and_cache_let_it_in(whole: Template) -> None:
    ports = {
        each["Properties"]["FromPort"]
        for each in whole.find_resources("AWS::EC2::SecurityGroupIngress").values()
    }
    assert ports == {5432, 6379}


def test_the_service_understands_what_it_is_told(whole: Template) -> None:
    told = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in function(whole)["Environment"]["Variables"].items()
    }
    places = json.loads(told[VARIABLE])
    assert VARIABLE == secret_variables.VARIABLE
    assert places["OPENAI_API_KEY"].endswith("secret:openai-AbCdEf#key")
    port = {"CORPUS_URI": "s3://bucket/corpus/one.jsonl", "DATABASE_PORT": "5432"}
    settings = read([], {**told, **port})
    assert settings.database and settings.database.secret
    assert settings.tokens is not None


def test_no_secret_is_in_its_variables(whole: Template) -> None:
    variables = function(whole)["Environment"]["Variables"]
    assert not {"BEARER_TOKENS", "DATABASE_PASSWORD", "OPENAI_API_KEY"} & set(variables)
    assert "resolve:secretsmanager" not in json.dumps(variables)


def test_it_reads_its_secrets_and_objects_with_their_key(whole: Template) -> None:
    assert {"secretsmanager:GetSecretValue", "s3:GetObject", "kms:Decrypt"} <= allowed(whole)
    through = {
        json.dumps(each["Condition"]["StringEquals"]["kms:ViaService"]).split(".")[0].strip('"')
        for each in statements(whole)
        if "kms:ViaService" in each.get("Condition", {}).get("StringEquals", {})
    }
    assert through == {"secretsmanager", "s3", "sqs"}


def test_the_schedule_says_what_the_handler_answers_at_once(whole: Template) -> None:
    assert KEEP_WARM == lambda_function.KEEP_WARM
    rule = only(whole, "AWS::Events::Rule")
    assert rule["ScheduleExpression"] == "rate(5 minutes)"
    (target,) = rule["Targets"]
    assert json.loads(target["Input"]) == KEEP_WARM
    (alias,) = whole.find_resources("AWS::Lambda::Alias")
    assert target["Arn"] == {"Ref": alias}


def test_a_late_call_of_the_schedule_is_dropped(whole: Template) -> None:
    found = only(whole, "AWS::Lambda::EventInvokeConfig")
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (0, 60)


def test_nothing_keeps_it_warm_unless_asked(plain: Template) -> None:
    plain.resource_count_is("AWS::Events::Rule", 0)
    assert "ProvisionedConcurrencyConfig" not in only(plain, "AWS::Lambda::Alias")
    assert "ReservedConcurrentExecutions" not in function(plain)


def test_containers_are_kept_and_bounded_as_asked(whole: Template) -> None:
    kept = only(whole, "AWS::Lambda::Alias")["ProvisionedConcurrencyConfig"]
    assert kept == {"ProvisionedConcurrentExecutions": 2}
    assert function(whole)["ReservedConcurrentExecutions"] == 20


def test_a_batch_of_jobs_may_be_done_in_part(whole: Template) -> None:
    mapping = only(whole, "AWS::Lambda::EventSourceMapping")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert "JOBS_QUEUE_URL" in function(whole)["Environment"]["Variables"]
    assert {"sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage"} <= allowed(whole)


def test_every_mistake_is_said_at_once(new_stack: Stacks, service: Service) -> None:
    stack = new_stack()
    with pytest.raises(InvalidConstruct) as caught:
        service(
            stack,
            ipv6=True,
            memory_mib=64,
            timeout=cdk.Duration.minutes(16),
            keep_warm_minutes=61,
            provisioned=3,
            concurrency=2,
            release="",
            jobs=JobsQueue(stack, "Jobs", prefix="handbook-test"),
            database_secret=brought_along.secret(stack, "user"),
        )
    assert len(caught.value.mistakes) == 9


def test_a_database_needs_the_vpc_it_is_in(new_stack: Stacks, service: Service) -> None:
    stack = new_stack()
    vpc = brought_along.vpc(stack)
    database = Database(
        stack, "Database", database_name="handbook", vpc=vpc, vpc_subnets=brought_along.private()
    )
    with pytest.raises(InvalidConstruct, match="database is in a VPC: give vpc"):
        service(stack, database=database)


def test_outside_a_vpc_there_is_no_way_to_a_security_group(
    new_stack: Stacks, service: Service
) -> None:
    stack = new_stack()
    made = service(stack)
    with pytest.raises(LookupError, match="the cache is in a VPC"):
        made.connect_to(brought_along.group(stack), 6379, "the cache")


def test_a_firewall_that_could_not_be_attached_is_refused(
    new_stack: Stacks, service: Service
) -> None:
    stack = new_stack()
    with pytest.raises(InvalidConstruct, match="cannot be associated with an HTTP API"):
        service(stack, web_acl=WebAcl(stack, "Waf", prefix="handbook-test"))


def test_behind_a_name_the_api_answers_to_it_alone(new_stack: Stacks, service: Service) -> None:
    stack = new_stack()
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/0123"
    domain = Domain(
        stack,
        "Domain",
        name="handbook.example.org",
        hosted_zone=None,
        existing_certificate=cdk.aws_certificatemanager.Certificate.from_certificate_arn(
            stack, "Certificate", arn
        ),
    )
    assert service(stack, domain=domain).url == "https://handbook.example.org"
