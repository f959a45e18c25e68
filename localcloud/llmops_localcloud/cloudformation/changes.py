"""What a change set would do: added, modified and removed resources, and which get replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from llmops_localcloud.cloudformation.stacks import Stack
from llmops_localcloud.cloudformation.template import (
    Template,
    creation_order,
    dependencies,
    references,
)

UPDATED_SCOPES = ("Properties", "Metadata", "DeletionPolicy", "UpdateReplacePolicy")

# "Update requires: Replacement" in the AWS resource reference, for the types a service stack has.
REPLACING: dict[str, set[str]] = {
    "AWS::EC2::VPC": {"CidrBlock", "InstanceTenancy", "Ipv4IpamPoolId"},
    "AWS::EC2::Subnet": {"CidrBlock", "AvailabilityZone", "VpcId"},
    "AWS::EC2::SecurityGroup": {"GroupName", "GroupDescription", "VpcId"},
    "AWS::EC2::NatGateway": {"SubnetId", "AllocationId"},
    "AWS::EC2::RouteTable": {"VpcId"},
    "AWS::EC2::Route": {"RouteTableId", "DestinationCidrBlock"},
    "AWS::EC2::VPCEndpoint": {"ServiceName", "VpcId", "VpcEndpointType"},
    "AWS::ECR::Repository": {"RepositoryName", "EncryptionConfiguration"},
    "AWS::ECS::Cluster": {"ClusterName"},
    "AWS::ECS::Service": {"Cluster", "ServiceName", "LaunchType", "DeploymentController"},
    "AWS::ECS::TaskDefinition": {
        "ContainerDefinitions", "Cpu", "Memory", "Family", "ExecutionRoleArn", "TaskRoleArn",
        "NetworkMode", "RequiresCompatibilities", "RuntimePlatform", "Volumes",
    },
    "AWS::ElasticLoadBalancingV2::LoadBalancer": {"Name", "Scheme", "Type"},
    "AWS::ElasticLoadBalancingV2::Listener": {"LoadBalancerArn"},
    "AWS::ElasticLoadBalancingV2::ListenerRule": {"ListenerArn"},
    "AWS::ElasticLoadBalancingV2::TargetGroup": {
        "Name", "Port", "Protocol", "ProtocolVersion", "TargetType", "VpcId",
    },
    "AWS::IAM::Role": {"RoleName", "Path"},
    "AWS::Lambda::Function": {"FunctionName", "PackageType"},
    "AWS::Lambda::Permission": {"Action", "FunctionName", "Principal", "SourceArn"},
    "AWS::Logs::LogGroup": {"LogGroupName"},
    "AWS::RDS::DBInstance": {
        "DBInstanceIdentifier", "DBName", "DBSubnetGroupName", "Engine", "KmsKeyId",
        "MasterUsername", "StorageEncrypted", "CharacterSetName",
    },
    "AWS::RDS::DBSubnetGroup": {"DBSubnetGroupName"},
    "AWS::RDS::DBParameterGroup": {"DBParameterGroupName", "Family"},
    "AWS::S3::Bucket": {"BucketName", "ObjectLockEnabled"},
    "AWS::S3::BucketPolicy": {"Bucket"},
    "AWS::SSM::Parameter": {"Name"},
    "AWS::SecretsManager::Secret": {"Name"},
    "AWS::ApplicationAutoScaling::ScalableTarget": {
        "ResourceId", "ScalableDimension", "ServiceNamespace",
    },
    "AWS::CertificateManager::Certificate": {
        "DomainName", "SubjectAlternativeNames", "ValidationMethod",
    },
    "AWS::CloudWatch::Alarm": {"AlarmName"},
    "AWS::DynamoDB::Table": {"TableName", "KeySchema", "LocalSecondaryIndexes"},
    "AWS::IAM::OIDCProvider": {"Url"},
    "AWS::Lambda::Alias": {"FunctionName", "Name"},
    "AWS::Logs::LogStream": {"LogGroupName", "LogStreamName"},
    "AWS::Logs::MetricFilter": {"FilterName", "LogGroupName"},
    "AWS::RDS::DBCluster": {
        "DBClusterIdentifier", "DatabaseName", "DBSubnetGroupName", "Engine", "KmsKeyId",
        "MasterUsername", "StorageEncrypted",
    },
    "AWS::RDS::DBClusterParameterGroup": {"DBClusterParameterGroupName", "Description", "Family"},
    "AWS::SNS::Subscription": {"Endpoint", "Protocol", "TopicArn"},
    "AWS::SNS::Topic": {"TopicName", "FifoTopic"},
    "AWS::SQS::Queue": {"QueueName", "FifoQueue"},
}  # fmt: skip


def replaces(kind: str, changed: set[str]) -> bool:
    """Whether changing these properties makes a new resource in place of the old one."""
    return bool(changed & REPLACING.get(kind, set()))


def changed_properties(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """The names of the properties that differ."""
    return {name for name in {*old, *new} if old.get(name) != new.get(name)}


def plan(stack: Stack, template: Template, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    """The `ResourceChange` of every resource that would change, in the order of execution."""
    changes: dict[str, dict[str, Any]] = {}
    replaced: set[str] = set()
    for name in creation_order(template):
        definition = template["Resources"][name]
        if name not in stack.resources:
            changes[name] = _change("Add", name, definition["Type"])
            continue
        change = _modification(stack, name, template, parameters, replaced)
        if change is not None:
            changes[name] = change
            if change["Replacement"] == "True":
                replaced.add(name)
    for name, resource in stack.resources.items():
        if name not in template["Resources"]:
            gone = _change("Remove", name, resource.kind)
            changes[name] = {**gone, "PhysicalResourceId": resource.physical_id}
    return list(changes.values())


def _change(action: str, name: str, kind: str) -> dict[str, Any]:
    return {"Action": action, "LogicalResourceId": name, "ResourceType": kind}


def _modification(
    stack: Stack,
    name: str,
    template: Template,
    parameters: Mapping[str, str],
    replaced: set[str],
) -> dict[str, Any] | None:
    resource = stack.resources[name]
    definition = template["Resources"][name]
    old = _bound(resource.definition, stack.parameters)
    new = _bound(definition, parameters)
    scopes = [scope for scope in UPDATED_SCOPES if old.get(scope) != new.get(scope)]
    follows = dependencies(template, name) & replaced
    if old["Type"] != new["Type"]:
        scopes = ["Properties"]
    if not scopes and not follows & set(references(definition.get("Properties", {}))):
        return None
    changed = changed_properties(old.get("Properties", {}), new.get("Properties", {}))
    replacement = old["Type"] != new["Type"] or replaces(resource.kind, changed)
    return {
        **_change("Modify", name, definition["Type"]),
        "PhysicalResourceId": resource.physical_id,
        "Replacement": "True" if replacement else "False",
        "Scope": scopes or ["Properties"],
        "Details": list(_details(resource.kind, changed, scopes)),
    }


def _details(kind: str, changed: set[str], scopes: list[str]) -> Iterator[dict[str, Any]]:
    for name in sorted(changed):
        recreation = "Always" if name in REPLACING.get(kind, set()) else "Never"
        yield {
            "Target": {"Attribute": "Properties", "Name": name, "RequiresRecreation": recreation},
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
    for scope in scopes:
        if scope != "Properties":
            yield {
                "Target": {"Attribute": scope, "RequiresRecreation": "Never"},
                "Evaluation": "Static",
                "ChangeSource": "DirectModification",
            }


def _bound(definition: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """A definition with the values of the parameters it uses beside them, to compare."""
    used = sorted(set(references(definition)) & set(parameters))
    properties = dict(definition.get("Properties", {}))
    if not used:
        return {**definition, "Properties": properties}
    for name, value in properties.items():
        values = {key: parameters[key] for key in used if key in set(references(value))}
        if values:
            properties[name] = json.dumps([value, values], sort_keys=True)
    return {**definition, "Properties": properties}
