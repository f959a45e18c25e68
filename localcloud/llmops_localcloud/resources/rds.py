"""AWS::RDS::DBInstance, DBCluster, their parameter groups and DBSubnetGroup, made by the calls of
RDS's own API."""

from __future__ import annotations

from typing import Any

from llmops_localcloud.resources.base import Made, Place, Properties, add_type
from llmops_localcloud.resources.client import client, fitting

# CloudFormation's spelling of a property, and the API's.
RENAMED = {"VPCSecurityGroups": "VpcSecurityGroupIds", "DBSecurityGroups": "DBSecurityGroups"}
# What ModifyDBInstance takes but does to no local server, or refuses for a running one.
FIXED = {"DBSubnetGroupName", "ManageMasterUserPassword", "MasterUserSecretKmsKeyId"}
FIXED_IN_CLUSTERS = {*FIXED, "Engine", "EngineMode", "StorageEncrypted", "KmsKeyId"}


def _instance(place: Place, properties: Properties) -> Made:
    rds = client("rds", place)
    name = place.name.lower().replace("_", "-")[:63].rstrip("-")
    given = fitting(rds, "CreateDBInstance", _spelled(properties))
    return _made(rds.create_db_instance(**{**given, "DBInstanceIdentifier": name})["DBInstance"])


def _changed_instance(place: Place, made: Made, properties: Properties) -> Made:
    rds = client("rds", place)
    given = fitting(rds, "ModifyDBInstance", _spelled(properties))
    changes = {key: value for key, value in given.items() if key not in FIXED}
    changes |= {"DBInstanceIdentifier": made.physical_resource_id, "ApplyImmediately": True}
    return _made(rds.modify_db_instance(**changes)["DBInstance"])


def _delete_instance(place: Place, _: Properties) -> None:
    client("rds", place).delete_db_instance(DBInstanceIdentifier=place.name, SkipFinalSnapshot=True)


def _made(instance: dict[str, Any]) -> Made:
    attributes = {
        "Endpoint.Address": instance["Endpoint"]["Address"],
        "Endpoint.Port": str(instance["Endpoint"]["Port"]),
        "DBInstanceArn": instance["DBInstanceArn"],
        "DbiResourceId": instance["DbiResourceId"],
    }
    secret = instance.get("MasterUserSecret")
    if secret:
        attributes["MasterUserSecret.SecretArn"] = secret["SecretArn"]
    return Made(instance["DBInstanceIdentifier"], attributes)


def _cluster(place: Place, properties: Properties) -> Made:
    rds = client("rds", place)
    name = place.name.lower().replace("_", "-")[:63].rstrip("-")
    given = fitting(rds, "CreateDBCluster", _spelled(properties))
    return _made_cluster(rds.create_db_cluster(**{**given, "DBClusterIdentifier": name}))


def _changed_cluster(place: Place, made: Made, properties: Properties) -> Made:
    rds = client("rds", place)
    given = fitting(rds, "ModifyDBCluster", _spelled(properties))
    changes = {key: value for key, value in given.items() if key not in FIXED_IN_CLUSTERS}
    changes |= {"DBClusterIdentifier": made.physical_resource_id, "ApplyImmediately": True}
    return _made_cluster(rds.modify_db_cluster(**changes))


def _delete_cluster(place: Place, _: Properties) -> None:
    client("rds", place).delete_db_cluster(DBClusterIdentifier=place.name, SkipFinalSnapshot=True)


def _made_cluster(answer: dict[str, Any]) -> Made:
    cluster = answer["DBCluster"]
    attributes = {
        "Endpoint.Address": cluster["Endpoint"],
        "Endpoint.Port": str(cluster["Port"]),
        "ReadEndpoint.Address": cluster["ReaderEndpoint"],
        "DBClusterArn": cluster["DBClusterArn"],
        "DBClusterResourceId": cluster["DbClusterResourceId"],
    }
    secret = cluster.get("MasterUserSecret")
    if secret:
        attributes["MasterUserSecret.SecretArn"] = secret["SecretArn"]
    return Made(cluster["DBClusterIdentifier"], attributes)


def _spelled(properties: Properties) -> dict[str, Any]:
    return {RENAMED.get(key, key): value for key, value in properties.items()}


def _subnet_group(place: Place, properties: Properties) -> Made:
    rds = client("rds", place)
    name = place.name.lower()
    given = fitting(rds, "CreateDBSubnetGroup", properties)
    rds.create_db_subnet_group(**{**given, "DBSubnetGroupName": name})
    return Made(name)


def _changed_subnet_group(place: Place, made: Made, properties: Properties) -> Made:
    rds = client("rds", place)
    given = fitting(rds, "ModifyDBSubnetGroup", properties)
    rds.modify_db_subnet_group(**{**given, "DBSubnetGroupName": made.physical_resource_id})
    return made


def _delete_subnet_group(place: Place, _: Properties) -> None:
    client("rds", place).delete_db_subnet_group(DBSubnetGroupName=place.name)


def _parameter_group(place: Place, properties: Properties) -> Made:
    """The parameters are kept; the server does not take them over."""
    name = place.name.lower()
    client("rds", place).create_db_parameter_group(
        DBParameterGroupName=name,
        DBParameterGroupFamily=properties["Family"],
        Description=properties.get("Description", name),
        Tags=properties.get("Tags", []),
    )
    return _changed_parameter_group(place, Made(name, {"DBParameterGroupName": name}), properties)


def _changed_parameter_group(place: Place, made: Made, properties: Properties) -> Made:
    parameters = _parameters(properties)
    if parameters:
        client("rds", place).modify_db_parameter_group(
            DBParameterGroupName=made.physical_resource_id, Parameters=parameters
        )
    return made


def _delete_parameter_group(place: Place, _: Properties) -> None:
    client("rds", place).delete_db_parameter_group(DBParameterGroupName=place.name)


def _parameters(properties: Properties) -> list[dict[str, str]]:
    return [
        {"ParameterName": key, "ParameterValue": str(value), "ApplyMethod": "immediate"}
        for key, value in properties.get("Parameters", {}).items()
    ]


def _cluster_parameter_group(place: Place, properties: Properties) -> Made:
    name = place.name.lower()
    client("rds", place).create_db_cluster_parameter_group(
        DBClusterParameterGroupName=name,
        DBParameterGroupFamily=properties["Family"],
        Description=properties.get("Description", name),
        Tags=properties.get("Tags", []),
    )
    return _changed_cluster_parameters(place, Made(name), properties)


def _changed_cluster_parameters(place: Place, made: Made, properties: Properties) -> Made:
    parameters = _parameters(properties)
    if parameters:
        client("rds", place).modify_db_cluster_parameter_group(
            DBClusterParameterGroupName=made.physical_resource_id, Parameters=parameters
        )
    return made


def _delete_cluster_parameter_group(place: Place, _: Properties) -> None:
    rds = client("rds", place)
    rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName=place.name)


add_type(
    "AWS::RDS::DBInstance",
    _instance,
    update=_changed_instance,
    delete=_delete_instance,
    name_property="DBInstanceIdentifier",
)
add_type(
    "AWS::RDS::DBSubnetGroup",
    _subnet_group,
    update=_changed_subnet_group,
    delete=_delete_subnet_group,
    name_property="DBSubnetGroupName",
)
add_type(
    "AWS::RDS::DBParameterGroup",
    _parameter_group,
    update=_changed_parameter_group,
    delete=_delete_parameter_group,
    name_property="DBParameterGroupName",
)
add_type(
    "AWS::RDS::DBCluster",
    _cluster,
    update=_changed_cluster,
    delete=_delete_cluster,
    name_property="DBClusterIdentifier",
)
add_type(
    "AWS::RDS::DBClusterParameterGroup",
    _cluster_parameter_group,
    update=_changed_cluster_parameters,
    delete=_delete_cluster_parameter_group,
    name_property="DBClusterParameterGroupName",
)
