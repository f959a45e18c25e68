"""The backup plan, and what the policy packs say of everything that keeps data."""

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import aws_backup as backup
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk.assertions import Match, Template
from existing_network import existing_network
from policies import findings

from llmops_constructs import (
    ArtifactStore,
    Database,
    ExplicitStack,
    ImageRepository,
    InvalidConstruct,
)
from llmops_constructs.access_logs import AccessLogs
from llmops_constructs.aurora import AuroraDatabase
from llmops_constructs.backup import BackupPlan, VaultLock
from llmops_constructs.keys import EncryptionKey
from llmops_constructs.sessions import SessionStore

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
LOCK = VaultLock(min_days=7, max_days=400, changeable_days=3)


def production_like(stack: ExplicitStack) -> ExplicitStack:
    key = EncryptionKey(stack, "Key", alias="handbook-prod").key
    shared: dict[str, Any] = {
        "database_name": "handbook",
        "multi_az": True,
        "encryption_key": key,
        **existing_network(stack),
    }
    logs = AccessLogs(stack, "AccessLogs")
    artifacts = ArtifactStore(stack, "Artifacts", access_log_bucket=logs.bucket, encryption_key=key)
    ImageRepository(stack, "Images", repository_name="handbook", encryption_key=key)
    BackupPlan(
        stack,
        "Backup",
        prefix="handbook-prod",
        databases=[
            Database(stack, "Instance", **shared),
            AuroraDatabase(stack, "Aurora", **shared),
        ],
        tables=[SessionStore(stack, "Sessions", encryption_key=key).table],
        buckets=[artifacts.bucket],
        lock=LOCK,
        encryption_key=key,
    )
    return stack


def of_a_table(stack: ExplicitStack, **arguments: Any) -> BackupPlan:
    sessions = SessionStore(stack, "Sessions")
    asked = {"prefix": "handbook", "tables": [sessions.table], **arguments}
    return BackupPlan(stack, "Backup", **asked)


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
    return synthesized(production_like(new_stack()))


def statements(template: Template) -> list[dict[str, Any]]:
    (policy,) = [
        policy
        for name, policy in template.find_resources("AWS::IAM::Policy").items()
        if name.startswith("BackupRole")
    ]
    found: list[dict[str, Any]] = policy["Properties"]["PolicyDocument"]["Statement"]
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_smallest_form_is_as_reviewed(
    new_stack: Stacks, synthesized: Synthesized, snapshot: Callable[[Template, str], None]
) -> None:
    stack = new_stack()
    of_a_table(stack)
    snapshot(synthesized(stack), "backup")


def test_each_day_is_kept_five_weeks_and_each_month_a_year(template: Template) -> None:
    template.has_resource_properties(
        "AWS::Backup::BackupPlan",
        {
            "BackupPlan": Match.object_like(
                {
                    "BackupPlanRule": [
                        Match.object_like(
                            {
                                "RuleName": "daily",
                                "ScheduleExpression": "cron(0 3 * * ? *)",
                                "Lifecycle": {"DeleteAfterDays": 35},
                            }
                        ),
                        Match.object_like(
                            {
                                "RuleName": "monthly",
                                "ScheduleExpression": "cron(0 3 1 * ? *)",
                                "Lifecycle": {"DeleteAfterDays": 365},
                            }
                        ),
                    ]
                }
            )
        },
    )


def test_the_vault_is_locked_encrypted_kept_and_refuses_to_delete(template: Template) -> None:
    template.has_resource(
        "AWS::Backup::BackupVault",
        {
            "DeletionPolicy": "Retain",
            "Properties": Match.object_like(
                {
                    "LockConfiguration": {
                        "MinRetentionDays": 7,
                        "MaxRetentionDays": 400,
                        "ChangeableForDays": 3,
                    },
                    "EncryptionKeyArn": {"Fn::GetAtt": [Match.string_like_regexp("^Key"), "Arn"]},
                    "AccessPolicy": Match.object_like(
                        {
                            "Statement": [
                                Match.object_like(
                                    {
                                        "Effect": "Deny",
                                        "Action": [
                                            "backup:DeleteRecoveryPoint",
                                            "backup:UpdateRecoveryPointLifecycle",
                                        ],
                                    }
                                )
                            ]
                        }
                    ),
                }
            ),
        },
    )


def test_the_instance_the_cluster_the_table_and_the_bucket_are_selected(
    template: Template,
) -> None:
    (selection,) = template.find_resources("AWS::Backup::BackupSelection").values()
    instance, cluster, table, bucket = selection["Properties"]["BackupSelection"]["Resources"]
    assert instance["Fn::Join"][1][0] == "arn:aws:rds:us-east-1:123456789012:db:"
    assert cluster["Fn::Join"][1][0] == "arn:aws:rds:us-east-1:123456789012:cluster:"
    assert table["Fn::GetAtt"][0].startswith("Sessions")
    assert bucket["Fn::GetAtt"][0].startswith("Artifacts")


def test_only_what_knows_no_resources_is_allowed_for_all(template: Template) -> None:
    wide = {
        action
        for statement in statements(template)
        for action in listed(statement["Action"])
        if "*" in listed(statement["Resource"])
    }
    assert wide == {
        "cloudwatch:GetMetricData",
        "events:ListRules",
        "s3:ListAllMyBuckets",
        "tag:GetResources",
    }


def test_a_plan_for_a_table_may_touch_nothing_but_tables(
    new_stack: Stacks, synthesized: Synthesized
) -> None:
    stack = new_stack()
    of_a_table(stack)
    services = {
        action.partition(":")[0]
        for statement in statements(synthesized(stack))
        for action in listed(statement["Action"])
    }
    assert services == {"backup", "dynamodb", "tag"}


def test_no_month_is_kept_if_none_is_asked_for(new_stack: Stacks, synthesized: Synthesized) -> None:
    stack = new_stack()
    of_a_table(stack, monthly_days=None)
    (plan,) = synthesized(stack).find_resources("AWS::Backup::BackupPlan").values()
    (rule,) = plan["Properties"]["BackupPlan"]["BackupPlanRule"]
    assert rule["RuleName"] == "daily"


def test_an_existing_vault_and_table_are_used(new_stack: Stacks, synthesized: Synthesized) -> None:
    stack = new_stack()
    table = dynamodb.Table.from_table_name(stack, "Existing", "sessions")
    vault = backup.BackupVault.from_backup_vault_name(stack, "Vault", "company")
    BackupPlan(stack, "Backup", prefix="handbook", tables=[table], existing_vault=vault)
    template = synthesized(stack)
    template.resource_count_is("AWS::Backup::BackupVault", 0)
    template.has_resource_properties(
        "AWS::Backup::BackupSelection",
        {
            "BackupSelection": Match.object_like(
                {"Resources": ["arn:aws:dynamodb:us-east-1:123456789012:table/sessions"]}
            )
        },
    )


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        ({"lock": VaultLock(changeable_days=2)}, "3 at least"),
        ({"lock": VaultLock(min_days=36)}, "fewer than min_days 36"),
        ({"lock": VaultLock(max_days=100)}, "more than max_days 100"),
        ({"lock": VaultLock(min_days=0)}, "min_days is 0"),
        ({"tables": []}, "nothing to back up"),
        ({"daily_days": 0}, "1 at least"),
    ],
)
def test_what_aws_backup_would_refuse_is_refused(
    new_stack: Stacks, arguments: dict[str, Any], mistake: str
) -> None:
    with pytest.raises(InvalidConstruct, match=mistake):
        of_a_table(new_stack(), **arguments)


def test_the_lock_of_an_existing_vault_is_its_owners(new_stack: Stacks) -> None:
    stack = new_stack()
    vault = backup.BackupVault.from_backup_vault_name(stack, "Vault", "company")
    with pytest.raises(InvalidConstruct, match="its owner's"):
        of_a_table(stack, existing_vault=vault, lock=LOCK)


def test_the_policy_packs_find_nothing_in_what_keeps_data(new_stack: Stacks) -> None:
    assert findings(production_like(new_stack())) == []
