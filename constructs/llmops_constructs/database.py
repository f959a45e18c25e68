"""The database of a service."""

from __future__ import annotations

import re

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs._findings import acknowledge
from llmops_constructs._validation import check, outside

PORT = 5432
ENGINE = rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_18)
"""The major version: RDS keeps the minor one up to date."""


class Database(Construct):
    """PostgreSQL 18 on RDS: encrypted, in subnets without a route out, TLS required.

    RDS itself makes, stores and rotates the master password; `secret` is where it keeps it (JSON
    with `username` and `password`). Nothing may connect until a security group rule says so.

    :param database_name: name of the database RDS creates: a letter, then letters, digits, _.
    :param instance_class: without the `db.` prefix. Default: the smallest Graviton class.
    :param allocated_gib: storage in GiB, 20 to 65536; it grows to twice as much by itself.
    :param multi_az: a standby in another zone. Default: none; a zone's outage stops it.
    :param backup_days: 0 to 35 days of point-in-time recovery; 0 makes no backups.
    :param deletion_protection: default: RDS refuses to delete the instance.
    :param force_ssl: default: connections without TLS are refused (`rds.force_ssl`).
    :param removal_policy: default: a last snapshot is taken before the instance goes.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        database_name: str,
        instance_class: str = "t4g.micro",
        allocated_gib: int = 20,
        multi_az: bool = False,
        backup_days: int = 7,
        deletion_protection: bool = True,
        force_ssl: bool = True,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.SNAPSHOT,
    ) -> None:
        super().__init__(scope, id)
        self.database_name = database_name
        self.allocated_gib = allocated_gib
        destroys = removal_policy == cdk.RemovalPolicy.DESTROY
        self._check(backup_days, deletion_protection and destroys)
        self.security_group = self._security_group(vpc)
        self.instance = rds.DatabaseInstance(
            self,
            "Instance",
            engine=ENGINE,
            instance_type=ec2.InstanceType(instance_class),
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_groups=[self.security_group],
            publicly_accessible=False,
            database_name=database_name,
            credentials=rds.Credentials.from_username("llmops"),
            manage_master_user_password=True,
            storage_encrypted=True,
            storage_type=rds.StorageType.GP3,
            allocated_storage=allocated_gib,
            max_allocated_storage=2 * allocated_gib,
            multi_az=multi_az,
            backup_retention=cdk.Duration.days(backup_days),
            delete_automated_backups=destroys,
            copy_tags_to_snapshot=True,
            auto_minor_version_upgrade=True,
            deletion_protection=deletion_protection,
            parameters={"rds.force_ssl": "1" if force_ssl else "0"},
            removal_policy=removal_policy,
        )
        self._acknowledge(multi_az, deletion_protection, backup_days > 0)

    def _check(self, backup_days: int, contradiction: bool) -> None:
        name, gib = self.database_name, self.allocated_gib
        check(
            self,
            [
                (
                    re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name) is None,
                    f"database_name '{name}' must be a letter, then letters, digits or _.",
                ),
                (outside(gib, 20, 65536), f"allocated_gib is {gib}; RDS allows 20 to 65536."),
                (outside(backup_days, 0, 35), f"backup_days is {backup_days}; RDS allows 0 to 35."),
                (
                    contradiction,
                    "deletion_protection contradicts removal_policy DESTROY: drop one of them.",
                ),
            ],
        )

    def _security_group(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            self,
            "Group",
            vpc=vpc,
            description="The database: in comes whom a stack lets in, out goes nothing",
            allow_all_outbound=False,
        )

    def _acknowledge(self, standby: bool, protected: bool, backed_up: bool) -> None:
        findings = {
            "RDS3": (not standby, "No standby was asked for (multi_az): an outage is acceptable."),
            "RDS10": (not protected, "deletion_protection=False: the data may go with the stack."),
            "RDS11": (True, "The port is no secret; only the tasks' security group reaches it."),
            "RDS13": (not backed_up, "backup_days=0: the data can be made again."),
        }
        for rule, (found, reason) in findings.items():
            if found:
                acknowledge(self.instance, f"AwsSolutions-{rule}", reason)

    @property
    def secret(self) -> secretsmanager.ISecret:
        """The secret RDS manages: JSON keys `username` and `password`."""
        secret = self.instance.secret
        if secret is None:
            raise LookupError(f"{self.node.path}: RDS manages no secret for this instance.")
        return secret

    @property
    def host(self) -> str:
        """The address clients connect to."""
        return self.instance.db_instance_endpoint_address

    @property
    def port(self) -> str:
        """The port clients connect to."""
        return self.instance.db_instance_endpoint_port
