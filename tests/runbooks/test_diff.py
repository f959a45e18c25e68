"""What templates would change: what a reviewer must not miss comes by itself, digests do not."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

from llmops_runbooks.aws.clients import Clients, Refused
from llmops_runbooks.aws.templates import DeployedTemplates
from llmops_runbooks.diff import Difference, ResourceChange, compare, paths, templates
from llmops_runbooks.errors import UsageError
from llmops_runbooks.settings import Environment

ONE, TWO = "1" * 64, "2" * 64
DATABASE = "AWS::RDS::DBInstance"


def resource(kind: str, attributes: Mapping[str, Any] | None = None, **properties: Any) -> Any:
    return {"Type": kind, "Properties": properties, **(attributes or {})}


def between(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Difference:
    """The difference of two states of one stack, each given by its resources."""
    before = None if old is None else {"Resources": old}
    after = {} if new is None else {"s": {"Resources": new}}
    gone = ["s"] if new is None else []
    return compare("prod", "before", lambda _: before, after, gone)


def change(old: Any, new: Any) -> ResourceChange:
    """The one resource that differs."""
    found = between({"R": old} if old else {}, {"R": new} if new else {})
    (only,) = found.stacks[0].resources
    return only


def told(old: Any, new: Any) -> dict[str, tuple[Any, Any]]:
    return {each.path: (each.before, each.after) for each in paths(old, new)}


def test_what_is_the_same_is_no_change() -> None:
    queue = {"Q": resource("AWS::SQS::Queue", QueueName="q")}
    found = between(queue, dict(queue))
    assert (found.stacks, found.same) == ((), ("s",))


def test_a_stack_is_new_changed_or_gone() -> None:
    queue = {"Q": resource("AWS::SQS::Queue")}
    found = [between(None, queue), between({}, queue), between(queue, None)]
    assert [each.stacks[0].kind for each in found] == ["new", "changed", "gone"]


def test_a_change_is_told_by_its_path() -> None:
    old = {"Properties": {"Rules": [{"Port": 80}, {"Port": 443}], "Name": "a"}}
    new = {"Properties": {"Rules": [{"Port": 80}, {"Port": 444}], "Name": "a", "Size": 1}}
    assert told(old, new) == {
        "Properties.Rules[1].Port": (443, 444),
        "Properties.Size": (None, 1),
    }


def test_functions_are_told_as_a_whole_and_in_words() -> None:
    old = {"Url": {"Fn::Join": ["", ["https://", {"Fn::GetAtt": ["Balancer", "DNSName"]}]]}}
    assert told(old, {"Url": {"Ref": "Domain"}}) == {
        "Url": ("https://${Balancer.DNSName}", "${Domain}")
    }


def test_a_list_that_grows_is_told_as_a_list() -> None:
    assert told({"Zones": ["a"]}, {"Zones": ["a", "b"]}) == {"Zones": (["a"], ["a", "b"])}


def test_another_content_is_told_without_its_digest() -> None:
    function = "AWS::Lambda::Function"
    found = change(
        resource(function, Code={"S3Key": f"{ONE}.zip"}, Memory=1),
        resource(function, Code={"S3Key": f"{TWO}.zip"}, Memory=1),
    )
    assert [(each.path, each.after) for each in found.paths] == [
        ("Properties.Code.S3Key", "content of an asset")
    ]


@pytest.mark.parametrize(
    ("property", "replaced"), [("KmsKeyId", "yes"), ("Engine", "maybe"), ("DBInstanceClass", "")]
)
def test_replacing_data_is_told_as_cloudformation_would(property: str, replaced: str) -> None:
    old, new = resource(DATABASE), resource(DATABASE)
    old["Properties"][property], new["Properties"][property] = "a", "b"
    found = change(old, new)
    assert found.replaced == replaced


def test_data_is_lost_unless_the_template_keeps_it() -> None:
    kept = {"UpdateReplacePolicy": "Snapshot", "DeletionPolicy": "Retain"}
    changed = [
        change(resource(DATABASE, policy, KmsKeyId="a"), resource(DATABASE, policy, KmsKeyId="b"))
        for policy in ({}, kept)
    ]
    removed = [change(resource(DATABASE, policy), None) for policy in ({}, kept)]
    assert [each.lost for each in changed] == [True, False]
    assert [each.lost for each in removed] == [True, False]


def test_the_same_name_for_another_type_is_another_resource() -> None:
    found = between({"R": resource(DATABASE)}, {"R": resource("AWS::SQS::Queue")})
    assert [each.action for each in found.stacks[0].resources] == ["remove", "add"]


def test_permissions_are_told_by_statement() -> None:
    def policy(*statements: Any) -> Any:
        return resource("AWS::IAM::Policy", PolicyDocument={"Statement": list(statements)})

    read = {
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": {"Fn::Join": ["", [{"Fn::GetAtt": ["Bucket", "Arn"]}, "/*"]]},
    }
    write = {**read, "Action": ["s3:PutObject", "s3:DeleteObject"]}
    found = change(policy(read), policy(write))
    assert found.security == (
        "- Allow s3:GetObject on ${Bucket.Arn}/*",
        "+ Allow s3:PutObject, s3:DeleteObject on ${Bucket.Arn}/*",
    )


def test_the_order_of_statements_is_no_change_of_permissions() -> None:
    def policy(*actions: str) -> Any:
        statements = [{"Effect": "Allow", "Action": action, "Resource": "*"} for action in actions]
        return resource("AWS::IAM::Policy", PolicyDocument={"Statement": statements})

    assert change(policy("a:B", "c:D"), policy("c:D", "a:B")).security == ()


def test_who_may_assume_a_role_use_a_key_or_call_a_function_is_told() -> None:
    trust = {"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}}
    added = [
        resource("AWS::IAM::Role", AssumeRolePolicyDocument=trust, ManagedPolicyArns=["arn:x"]),
        resource("AWS::KMS::Key", KeyPolicy=trust),
        resource(
            "AWS::Lambda::Permission", Action="lambda:Invoke", FunctionName="f", Principal="p"
        ),
    ]
    assert [change(None, each).security for each in added] == [
        ("+ Allow sts:AssumeRole to *", "+ managed policy arn:x"),
        ("+ Allow sts:AssumeRole to *",),
        ("+ Allow lambda:Invoke on f to p",),
    ]


def test_ways_through_the_network_are_told() -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}
    group = resource("AWS::EC2::SecurityGroup", SecurityGroupIngress=[rule])
    out = resource(
        "AWS::EC2::SecurityGroupEgress", GroupId={"Ref": "G"}, IpProtocol="-1", CidrIpv6="::/0"
    )
    assert change(None, group).security == ("+ in: tcp 443 from 0.0.0.0/0",)
    assert change(out, None).security == ("- out of ${G}: all protocols to ::/0",)


def test_outputs_and_parameters_count() -> None:
    found = compare("prod", "x", lambda _: {"Outputs": {"A": {"Value": 1}}}, {"s": {"Outputs": {}}})
    (only,) = found.stacks[0].sections
    assert (only.path, only.after) == ("Outputs.A", None)


def test_a_folder_without_templates_is_no_assembly(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no cloud assembly"):
        templates(tmp_path)


@pytest.mark.parametrize(
    "kind",
    sorted(
        tomllib.loads(files("llmops_runbooks").joinpath("diff_stateful.toml").read_text())["types"]
    ),
)
def test_the_table_is_that_of_cloudformations_schemas(kind: str) -> None:
    table = tomllib.loads(files("llmops_runbooks").joinpath("diff_stateful.toml").read_text())
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    names = {"yes": "createOnlyProperties", "maybe": "conditionalCreateOnlyProperties"}
    for answer, name in names.items():
        theirs = {
            path.removeprefix("/properties/").replace("/*", "").replace("/", ".")
            for path in schema.get(name, [])
        }
        assert set(table["types"][kind].get(answer, [])) == theirs


@pytest.fixture
def environment() -> Environment:
    return Environment(name="local", account="123456789012", endpoint_url="http://127.0.0.1:9")


@pytest.mark.parametrize("body", [{"Resources": {}}, '{"Resources": {}}'])
def test_a_deployed_template_is_read(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, body: Any
) -> None:
    monkeypatch.setattr(Clients, "call", lambda *_, **__: {"TemplateBody": body})
    assert DeployedTemplates(environment).template("s") == {"Resources": {}}


@pytest.mark.parametrize(("message", "known"), [("Stack s does not exist", True), ("No", False)])
def test_a_stack_that_is_not_there_has_no_template(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, message: str, known: bool
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise Refused(message, code="ValidationError")

    monkeypatch.setattr(Clients, "call", refuse)
    if known:
        assert DeployedTemplates(environment).template("s") is None
    else:
        with pytest.raises(Refused):
            DeployedTemplates(environment).template("s")
