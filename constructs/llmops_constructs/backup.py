"""Backups that outlive what they are backups of.

Point-in-time recovery goes with its database and reaches back 35 days at most. AWS Backup keeps
daily and monthly copies in a vault that nobody deletes from by hand; once a lock on it is final,
not even the account's owner can, before they are due ("AWS Backup Vault Lock").

The role is written out: per kind of resource what AWSBackupServiceRolePolicyForBackup and
AWSBackupServiceRolePolicyForS3Backup allow for all kinds and all resources.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_backup as backup
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llmops_constructs._backup_role import Permission, backup_role
from llmops_constructs._validation import Rule, check
from llmops_constructs.database import PostgresDatabase
from llmops_constructs.names import resource_name

COOLING_OFF_DAYS = 3
"""AWS Backup waits 72 hours at least before a lock can no longer be taken back."""
HOUR = "3"
"""UTC; a backup job may start within eight hours of it."""


@dataclass(frozen=True)
class VaultLock:
    """How long the vault keeps everything at least, and at most.

    :param changeable_days: after so many days, 3 at least, nobody can loosen or remove the lock,
        nor delete the vault before its last backup is due. None: whoever may, still can.
    """

    min_days: int = 7
    max_days: int | None = None
    changeable_days: int | None = None


class BackupPlan(Construct):
    """A vault, a daily and a monthly backup, and the resources they are made of.

    cdk-nag looks for a database's or a table's backup plan in its own stack: put it there. AWS
    Backup takes what it is given by ARN, except Aurora clusters: the account must once opt in to
    Aurora (`aws backup update-region-settings`), as they share their ARNs' form with RDS's clusters
    ("Assign resources with AWS CLI").

    :param prefix: what the names of vault and plan begin with.
    :param databases: `Database` or `AuroraDatabase`.
    :param tables: DynamoDB tables, in the same region.
    :param buckets: versioned ones; backups of them are charged like S3's own storage.
    :param daily_days: how long a daily backup is kept.
    :param monthly_days: how long the first of each month is kept. None: there is no monthly one.
    :param lock: default: none; the vault's policy still refuses to delete a backup by hand.
    :param encryption_key: of the vault. Default: AWS Backup's own. Databases keep their own key.
    :param existing_vault: used instead of a new one; `lock` is then its owner's to set.
    :param removal_policy: default: the vault stays when the stack goes; one with backups must.

    Example::

        sessions = llm.SessionStore(stack, "Sessions")
        llm.BackupPlan(stack, "Backup", prefix="handbook-prod", tables=[sessions.table])
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        databases: Sequence[PostgresDatabase] = (),
        tables: Sequence[dynamodb.ITable] = (),
        buckets: Sequence[s3.IBucket] = (),
        daily_days: int = 35,
        monthly_days: int | None = 365,
        lock: VaultLock | None = None,
        encryption_key: kms.IKey | None = None,
        existing_vault: backup.IBackupVault | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        kept = [days for days in (daily_days, monthly_days) if days is not None]
        arns = [
            *(each.resource_arn for each in databases),
            *(each.table_arn for each in tables),
            *(each.bucket_arn for each in buckets),
        ]
        check(
            self,
            [
                (not arns, "There is nothing to back up: name databases, tables or buckets."),
                (min(kept) < 1, f"daily_days and monthly_days are {kept}; 1 at least."),
                *_lock_rules(lock, kept),
                (
                    lock is not None and existing_vault is not None,
                    "lock is for a new vault; the existing one has its owner's.",
                ),
            ],
        )
        name = resource_name(prefix, "backup")
        self.vault: backup.IBackupVault = existing_vault or self._vault(
            name, lock, encryption_key, removal_policy
        )
        self.plan = backup.BackupPlan(
            self,
            "Plan",
            backup_plan_name=name,
            backup_plan_rules=list(self._rules(daily_days, monthly_days)),
        )
        self.role = backup_role(
            self,
            self.vault,
            encryption_key,
            [
                *(Permission.of_database(self, each) for each in databases),
                *(Permission.of_table(self, each) for each in tables),
                *(Permission.of_bucket(self, each) for each in buckets),
            ],
        )
        self._select(arns)

    def _vault(
        self,
        name: str,
        lock: VaultLock | None,
        encryption_key: kms.IKey | None,
        removal_policy: cdk.RemovalPolicy,
    ) -> backup.BackupVault:
        return backup.BackupVault(
            self,
            "Vault",
            backup_vault_name=name,
            encryption_key=encryption_key,
            block_recovery_point_deletion=True,
            lock_configuration=_configuration(lock) if lock else None,
            removal_policy=removal_policy,
        )

    def _rules(self, daily: int, monthly: int | None) -> Iterator[backup.BackupPlanRule]:
        for name, day, days in (("daily", "*", daily), ("monthly", "1", monthly)):
            if days is not None:
                yield backup.BackupPlanRule(
                    rule_name=name,
                    backup_vault=self.vault,
                    schedule_expression=events.Schedule.cron(minute="0", hour=HOUR, day=day),
                    delete_after=cdk.Duration.days(days),
                )

    def _select(self, arns: Sequence[str]) -> None:
        selection = backup.BackupSelection(
            self,
            "Selection",
            backup_plan=self.plan,
            resources=[backup.BackupResource.from_arn(arn) for arn in arns],
            role=self.role,
            disable_default_backup_policy=True,
        )
        selection.node.add_dependency(self.role.node.find_child("DefaultPolicy"))


def _configuration(lock: VaultLock) -> backup.LockConfiguration:
    def days(number: int | None) -> cdk.Duration | None:
        return None if number is None else cdk.Duration.days(number)

    return backup.LockConfiguration(
        min_retention=cdk.Duration.days(lock.min_days),
        max_retention=days(lock.max_days),
        changeable_for=days(lock.changeable_days),
    )


def _lock_rules(lock: VaultLock | None, kept: Sequence[int]) -> Iterator[Rule]:
    """AWS Backup refuses a job whose backup would be kept outside the lock's bounds."""
    if lock is None:
        return
    yield (lock.min_days < 1, f"lock: min_days is {lock.min_days}; 1 at least.")
    yield (
        lock.changeable_days is not None and lock.changeable_days < COOLING_OFF_DAYS,
        f"lock: changeable_days is {lock.changeable_days}; AWS Backup asks for 3 at least.",
    )
    yield (
        min(kept) < lock.min_days,
        f"lock: a backup is kept {min(kept)} days, fewer than min_days {lock.min_days}.",
    )
    yield (
        lock.max_days is not None and max(kept) > lock.max_days,
        f"lock: a backup is kept {max(kept)} days, more than max_days {lock.max_days}.",
    )
