from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

TEMPLATES = Path(__file__).parents[2] / "stacks" / "snapshots"
PARAMETER = "AWS::SSM::Parameter"


def parameter(name: str, value: Any = "1", **more: Any) -> dict[str, Any]:
    properties = {"Name": name, "Type": "String", "Value": value}
    return {"Type": PARAMETER, "Properties": properties, **more}


def body(resources: dict[str, Any], **more: Any) -> str:
    return json.dumps({"Resources": resources, **more})


BROKEN = parameter("/broken", "")
"""Systems Manager refuses an empty value."""


class Stacks:
    """CloudFormation as its users call it."""

    def __init__(self, cloud: Any, eventually: Callable[..., Any]) -> None:
        self.api = cloud.client("cloudformation")
        self._eventually = eventually

    def settled(self, name: str) -> str:
        """The status the stack's operation ends in."""

        def ended() -> str | None:
            status = str(self.describe(name)["StackStatus"])
            return None if status.endswith("_IN_PROGRESS") else status

        return str(self._eventually(ended))

    def describe(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.describe_stacks(StackName=name)["Stacks"][0]
        return found

    def create(self, name: str, template: str, **options: Any) -> str:
        self.api.create_stack(
            StackName=name, TemplateBody=template, Capabilities=["CAPABILITY_IAM"], **options
        )
        return self.settled(name)

    def update(self, name: str, template: str, **options: Any) -> str:
        self.api.update_stack(
            StackName=name, TemplateBody=template, Capabilities=["CAPABILITY_IAM"], **options
        )
        return self.settled(name)

    def change_set(self, name: str, kind: str, template: str, **options: Any) -> dict[str, Any]:
        made = self.api.create_change_set(
            StackName=name,
            ChangeSetName="change",
            ChangeSetType=kind,
            TemplateBody=template,
            Capabilities=["CAPABILITY_IAM"],
            **options,
        )
        described: dict[str, Any] = self.api.describe_change_set(ChangeSetName=made["Id"])
        return described

    def execute(self, change_set: dict[str, Any]) -> str:
        self.api.execute_change_set(ChangeSetName=change_set["ChangeSetId"])
        return self.settled(change_set["StackName"])

    def events(self, name: str) -> list[tuple[str, str, str]]:
        """Resource, status and reason, oldest first."""
        found = self.api.describe_stack_events(StackName=name)["StackEvents"]
        return [
            (e["LogicalResourceId"], e["ResourceStatus"], e.get("ResourceStatusReason", ""))
            for e in reversed(found)
        ]


@pytest.fixture(scope="module")
def stacks(cloud: Any, eventually: Callable[..., Any]) -> Stacks:
    return Stacks(cloud, eventually)


def value(cloud: Any, name: str) -> str:
    return str(cloud.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])


def test_a_new_stack_goes_from_review_to_complete_by_a_change_set(
    stacks: Stacks, cloud: Any
) -> None:
    change_set = stacks.change_set("born", "CREATE", body({"P": parameter("/born")}))
    assert change_set["Status"] == "CREATE_COMPLETE"
    assert change_set["ExecutionStatus"] == "AVAILABLE"
    change = change_set["Changes"][0]["ResourceChange"]
    assert (change["Action"], change["LogicalResourceId"]) == ("Add", "P")
    assert change["ResourceType"] == PARAMETER
    assert stacks.describe("born")["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert stacks.execute(change_set) == "CREATE_COMPLETE"
    assert value(cloud, "/born") == "1"
    assert [event[:2] for event in stacks.events("born")] == [
        ("born", "REVIEW_IN_PROGRESS"),
        ("born", "CREATE_IN_PROGRESS"),
        ("P", "CREATE_IN_PROGRESS"),
        ("P", "CREATE_COMPLETE"),
        ("born", "CREATE_COMPLETE"),
    ]


def test_a_change_set_says_what_it_adds_modifies_replaces_and_removes(
    stacks: Stacks, cloud: Any
) -> None:
    before = {name: parameter(f"/plan/{name}") for name in ("Kept", "Changed", "Gone", "Moved")}
    assert stacks.create("plan", body(before)) == "CREATE_COMPLETE"
    after = {
        "Kept": before["Kept"],
        "Changed": parameter("/plan/Changed", "2"),
        "Moved": parameter("/plan/elsewhere"),
        "Fresh": parameter("/plan/Fresh"),
    }
    change_set = stacks.change_set("plan", "UPDATE", body(after))
    found = {
        c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"] for c in change_set["Changes"]
    }
    assert {name: change["Action"] for name, change in found.items()} == {
        "Changed": "Modify", "Moved": "Modify", "Fresh": "Add", "Gone": "Remove",
    }  # fmt: skip
    assert (found["Changed"]["Replacement"], found["Moved"]["Replacement"]) == ("False", "True")
    assert found["Changed"]["Details"][0]["Target"]["Name"] == "Value"
    assert stacks.execute(change_set) == "UPDATE_COMPLETE"
    assert value(cloud, "/plan/Changed") == "2"
    with pytest.raises(ClientError, match="ParameterNotFound"):
        value(cloud, "/plan/Gone")


def test_a_change_set_that_changes_nothing_fails_in_aws_s_words(stacks: Stacks) -> None:
    template = body({"P": parameter("/same")})
    assert stacks.create("same", template) == "CREATE_COMPLETE"
    change_set = stacks.change_set("same", "UPDATE", template)
    assert (change_set["Status"], change_set["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert change_set["StatusReason"].startswith(
        "The submitted information didn't contain changes."
    )
    with pytest.raises(ClientError, match="InvalidChangeSetStatus"):
        stacks.api.execute_change_set(ChangeSetName=change_set["ChangeSetId"])


def test_an_update_that_changes_nothing_is_refused(stacks: Stacks) -> None:
    template = body({"P": parameter("/idle")})
    stacks.create("idle", template)
    with pytest.raises(ClientError, match=r"No updates are to be performed\."):
        stacks.update("idle", template)


def test_a_parameter_s_new_value_changes_what_uses_it(stacks: Stacks, cloud: Any) -> None:
    template = body(
        {"Used": parameter("/used", {"Ref": "Size"}), "Unused": parameter("/unused")},
        Parameters={"Size": {"Type": "String"}, "Kept": {"Type": "String"}},
    )
    given = [
        {"ParameterKey": "Size", "ParameterValue": "small"},
        {"ParameterKey": "Kept", "ParameterValue": "kept"},
    ]
    stacks.create("sized", template, Parameters=given)
    change_set = stacks.change_set(
        "sized", "UPDATE", template,
        Parameters=[
            {"ParameterKey": "Size", "ParameterValue": "large"},
            {"ParameterKey": "Kept", "UsePreviousValue": True},
        ],
    )  # fmt: skip
    changed = [c["ResourceChange"]["LogicalResourceId"] for c in change_set["Changes"]]
    assert changed == ["Used"]
    assert stacks.execute(change_set) == "UPDATE_COMPLETE"
    assert value(cloud, "/used") == "large"


def test_a_resource_that_fails_rolls_a_new_stack_back_with_its_reason(
    stacks: Stacks, cloud: Any
) -> None:
    template = body({"P": parameter("/rolled-back"), "Bad": {**BROKEN, "DependsOn": "P"}})
    assert stacks.create("doomed", template) == "ROLLBACK_COMPLETE"
    events = stacks.events("doomed")
    failed = next(event for event in events if event[1] == "CREATE_FAILED")
    assert failed[0] == "Bad" and failed[2]
    reason = next(event[2] for event in events if event[:2] == ("doomed", "ROLLBACK_IN_PROGRESS"))
    assert "The following resource(s) failed to create: [Bad]." in reason
    with pytest.raises(ClientError, match="ParameterNotFound"):
        value(cloud, "/rolled-back")


def test_a_resource_that_fails_puts_an_updated_stack_back(stacks: Stacks, cloud: Any) -> None:
    stacks.create("back", body({"P": parameter("/back", "old")}))
    changed = body({"P": parameter("/back", "new"), "Bad": {**BROKEN, "DependsOn": "P"}})
    assert stacks.update("back", changed) == "UPDATE_ROLLBACK_COMPLETE"
    assert value(cloud, "/back") == "old"
    resources = stacks.api.describe_stack_resources(StackName="back")["StackResources"]
    assert [r["LogicalResourceId"] for r in resources] == ["P"]
    assert stacks.update("back", body({"P": parameter("/back", "good")})) == "UPDATE_COMPLETE"


def test_a_replaced_resource_is_removed_when_its_successor_stands(
    stacks: Stacks, cloud: Any
) -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "before"}}
    used = parameter("/topic", {"Ref": "T"})
    stacks.create("replaced", body({"P": used, "T": topic}))
    renamed = {**topic, "Properties": {"TopicName": "after"}}
    assert stacks.update("replaced", body({"P": used, "T": renamed})) == "UPDATE_COMPLETE"
    assert value(cloud, "/topic").endswith(":after")


def test_new_rules_of_a_security_group_leave_it_the_same_group(stacks: Stacks, cloud: Any) -> None:
    def group(*ports: int) -> dict[str, Any]:
        rules = [
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": "10.0.0.0/8"}
            for port in ports
        ]
        properties = {
            "GroupDescription": "g", "VpcId": {"Ref": "V"}, "SecurityGroupIngress": rules,
        }  # fmt: skip
        vpc = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}
        made = {"Type": "AWS::EC2::SecurityGroup", "Properties": properties}
        return {"V": vpc, "G": made}

    def described() -> dict[str, Any]:
        found = stacks.api.describe_stack_resource(StackName="group", LogicalResourceId="G")
        group_id = found["StackResourceDetail"]["PhysicalResourceId"]
        groups = cloud.client("ec2").describe_security_groups(GroupIds=[group_id])
        return dict(groups["SecurityGroups"][0])

    stacks.create("group", body(group(80, 81)))
    before = described()
    assert stacks.update("group", body(group(81, 82))) == "UPDATE_COMPLETE"
    after = described()
    assert after["GroupId"] == before["GroupId"]
    assert sorted(rule["FromPort"] for rule in after["IpPermissions"]) == [81, 82]


def test_a_new_retention_keeps_what_was_logged(stacks: Stacks, cloud: Any) -> None:
    def logs(days: int) -> str:
        properties = {"LogGroupName": "/kept", "RetentionInDays": days}
        return body({"L": {"Type": "AWS::Logs::LogGroup", "Properties": properties}})

    stacks.create("logs", logs(7))
    client = cloud.client("logs")
    client.create_log_stream(logGroupName="/kept", logStreamName="stream")
    assert stacks.update("logs", logs(30)) == "UPDATE_COMPLETE"
    found = client.describe_log_groups(logGroupNamePrefix="/kept")["logGroups"][0]
    assert found["retentionInDays"] == 30
    assert client.describe_log_streams(logGroupName="/kept")["logStreams"]


def test_a_type_nobody_emulates_is_said_so_and_the_stack_still_deploys(
    stacks: Stacks, cloud: Any
) -> None:
    template = body(
        {
            "Thing": {"Type": "AWS::AppRunner::Service", "Properties": {}},
            "P": parameter("/thing", {"Fn::GetAtt": ["Thing", "ServiceUrl"]}),
        }
    )
    assert stacks.create("unsupported", template) == "CREATE_COMPLETE"
    assert ("Thing", "CREATE_COMPLETE", "not emulated by the local cloud") in stacks.events(
        "unsupported"
    )
    with urllib.request.urlopen(f"{cloud.endpoint}/_llmops/unsupported", timeout=5) as answer:
        listed = json.load(answer)
    assert {"stack": "unsupported", "resource": "Thing"} in listed["AWS::AppRunner::Service"]


def test_stacks_import_what_others_export_and_hold_it(stacks: Stacks, cloud: Any) -> None:
    output = {"Value": {"Ref": "P"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}:name"}}}
    stacks.create("giver", body({"P": parameter("/giver")}, Outputs={"Name": output}))
    taken = {"Fn::ImportValue": "giver:name"}
    stacks.create("taker", body({"P": parameter("/taker", taken)}))
    assert value(cloud, "/taker") == "/giver"
    assert stacks.api.list_imports(ExportName="giver:name")["Imports"] == ["taker"]
    with pytest.raises(ClientError, match="cannot be deleted as it is in use by taker"):
        stacks.api.delete_stack(StackName="giver")
    described = stacks.describe("giver")["Outputs"]
    assert described == [{"OutputKey": "Name", "OutputValue": "/giver", "ExportName": "giver:name"}]


def test_dynamic_references_are_resolved_in_properties(stacks: Stacks, cloud: Any) -> None:
    made = cloud.client("secretsmanager").create_secret(
        Name="dynamic", SecretString=json.dumps({"key": "from the secret"})
    )
    secret = f"{{{{resolve:secretsmanager:{made['ARN']}:SecretString:key}}}}"
    template = body(
        {
            "A": parameter("/dynamic/a", secret),
            "B": parameter("/dynamic/b", "{{resolve:ssm:/dynamic/a}}!", DependsOn="A"),
        }
    )
    assert stacks.create("dynamic", template) == "CREATE_COMPLETE"
    assert value(cloud, "/dynamic/b") == "from the secret!"


def test_a_deleted_stack_takes_its_resources_along_but_what_is_retained(
    stacks: Stacks, cloud: Any, eventually: Callable[..., Any]
) -> None:
    template = body(
        {"P": parameter("/del/p"), "Kept": parameter("/del/kept", DeletionPolicy="Retain")}
    )
    stacks.create("deleted", template)
    stack_id = stacks.describe("deleted")["StackId"]
    stacks.api.delete_stack(StackName="deleted")
    eventually(lambda: stacks.describe(stack_id)["StackStatus"] == "DELETE_COMPLETE")
    assert value(cloud, "/del/kept") == "1"
    with pytest.raises(ClientError, match="ParameterNotFound"):
        value(cloud, "/del/p")
    with pytest.raises(ClientError, match="does not exist"):
        stacks.describe("deleted")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{", "Template format error"),
        (json.dumps({"Resources": {}}), "At least one Resources member"),
        (body({"P": parameter("/x", {"Ref": "Nothing"})}), r"Unresolved.*\[Nothing\]"),
        (
            body({"A": parameter("/a", {"Ref": "B"}), "B": parameter("/b", {"Ref": "A"})}),
            r"Circular dependency between resources: \[A, B\]",
        ),
        (
            body({"P": parameter("/p")}, Parameters={"Needed": {"Type": "String"}}),
            r"Parameters: \[Needed\] must have values",
        ),
    ],
)
def test_a_wrong_template_is_refused_before_anything_is_made(
    stacks: Stacks, template: str, message: str
) -> None:
    with pytest.raises(ClientError, match=message) as refused:
        stacks.api.create_stack(StackName="wrong", TemplateBody=template)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="does not exist"):
        stacks.describe("wrong")


def test_iam_resources_need_the_caller_s_word(stacks: Stacks) -> None:
    role = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "named"}}
    with pytest.raises(ClientError, match=r"Requires capabilities : \[CAPABILITY_NAMED_IAM\]"):
        stacks.api.create_stack(
            StackName="iam", TemplateBody=body({"R": role}), Capabilities=["CAPABILITY_IAM"]
        )


def test_a_template_can_be_given_by_the_address_of_an_object(stacks: Stacks, cloud: Any) -> None:
    bucket = "cdk-hnb659fds-assets-123456789012-us-east-1"
    template = body({"P": parameter("/by-address")})
    cloud.client("s3").put_object(Bucket=bucket, Key="t.json", Body=template.encode())
    for number, host in enumerate((f"https://s3.us-east-1.amazonaws.com/{bucket}",
                                   f"{cloud.endpoint}/{bucket}")):  # fmt: skip
        name = f"by-address-{number}"
        stacks.api.create_stack(StackName=name, TemplateURL=f"{host}/t.json")
        assert stacks.settled(name) == "CREATE_COMPLETE"
        stacks.api.delete_stack(StackName=name)


def test_a_generated_secret_is_random_and_of_the_shape_asked_for(
    stacks: Stacks, cloud: Any
) -> None:
    wanted = {
        "SecretStringTemplate": json.dumps({"previous": ""}),
        "GenerateStringKey": "current",
        "PasswordLength": 48,
        "ExcludePunctuation": True,
    }
    secret = {
        "Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": wanted},
    }  # fmt: skip
    stacks.create("secret", body({"A": secret, "B": secret}))
    resources = stacks.api.describe_stack_resources(StackName="secret")["StackResources"]
    found = [
        json.loads(
            cloud.client("secretsmanager").get_secret_value(SecretId=r["PhysicalResourceId"])[
                "SecretString"
            ]
        )
        for r in resources
    ]
    assert all(s["previous"] == "" and len(s["current"]) == 48 for s in found)
    assert all(s["current"].isalnum() for s in found)
    assert found[0] != found[1]


def test_the_synthesized_network_and_data_stacks_deploy_with_nothing_stood_in(
    stacks: Stacks, cloud: Any
) -> None:
    for name in ("network", "data"):
        text = (TEMPLATES / f"{name}.json").read_text()
        change_set = stacks.change_set(f"handbook-local-{name}", "CREATE", text)
        assert stacks.execute(change_set) == "CREATE_COMPLETE"
        reasons = {event[2] for event in stacks.events(f"handbook-local-{name}")}
        assert "not emulated by the local cloud" not in reasons
    exports = {
        e["Name"].split("ExportsOutput")[1]: e["Value"]
        for e in stacks.api.list_exports()["Exports"]
        if "ExportsOutput" in e["Name"]
    }
    port = next(v for k, v in exports.items() if "EndpointPort" in k)
    assert int(port) > 1024
    bucket = next(v for k, v in exports.items() if k.startswith("RefArtifactsBucket"))
    assert cloud.client("s3").get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    # The policy denies what is not TLS; a condition is not evaluated, so the bucket works.
    cloud.client("s3").put_object(Bucket=bucket, Key="k", Body=b"v")
