"""The adapters of S3, ECR, SSM, load balancer and alarms, against moto's backends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from llmops_runbooks.aws.alarms import CloudWatchAlarms
from llmops_runbooks.aws.clients import Clients
from llmops_runbooks.aws.clock import CloudClock
from llmops_runbooks.aws.ecr import EcrRegistry
from llmops_runbooks.aws.elbv2 import ListenerRules
from llmops_runbooks.aws.s3 import S3Artifacts
from llmops_runbooks.aws.ssm import read_coordinates
from llmops_runbooks.coordinates import parameter_name
from llmops_runbooks.errors import UsageError
from llmops_runbooks.image import MANIFEST_TYPE, digest
from llmops_runbooks.memory import COORDINATES
from llmops_runbooks.publish import publish
from llmops_runbooks.settings import Environment


@pytest.fixture
def clients(settings: Environment) -> Iterator[Clients]:
    keys = {"access_key_id": "local", "secret_access_key": "local"}
    with mock_aws():
        yield Clients(settings.model_copy(update=keys))


@pytest.fixture
def bucket(clients: Clients) -> S3Artifacts:
    clients.call("s3", "create_bucket", Bucket="artifacts")
    return S3Artifacts(clients, "artifacts")


@pytest.fixture
def repository(clients: Clients) -> EcrRegistry:
    clients.call(
        "ecr", "create_repository", repositoryName="handbook", imageTagMutability="IMMUTABLE"
    )
    return EcrRegistry(clients, "handbook")


def test_a_key_that_is_missing_is_none(bucket: S3Artifacts) -> None:
    assert bucket.get("nothing") is None


def test_a_new_key_is_written_once(bucket: S3Artifacts) -> None:
    assert bucket.put_new("key", b"first")
    assert not bucket.put_new("key", b"second")
    assert bucket.get("key") == b"first"


def test_put_writes_over_what_was_there(bucket: S3Artifacts) -> None:
    bucket.put("key", b"first")
    bucket.put("key", b"second")
    assert bucket.get("key") == b"second"


def test_keys_are_those_with_the_prefix_sorted(bucket: S3Artifacts) -> None:
    for key in ("b/2", "a/1", "b/1"):
        bucket.put(key, b"")
    assert bucket.keys("b/") == ["b/1", "b/2"]


def test_an_image_is_pushed_found_by_tag_and_by_digest_and_its_tag_never_moves(
    repository: EcrRegistry,
) -> None:
    layer, manifest = b"layer", json.dumps({"mediaType": MANIFEST_TYPE, "layers": []}).encode()
    repository.put_blob(digest(layer), layer)
    assert repository.put_image(manifest, MANIFEST_TYPE, "1.0.0")
    found = repository.image(tag="1.0.0")
    assert found is not None
    assert repository.image(digest=found.digest) == found
    assert repository.put_image(manifest, MANIFEST_TYPE, "1.0.0")
    other = json.dumps({"mediaType": MANIFEST_TYPE, "layers": [1]}).encode()
    assert not repository.put_image(other, MANIFEST_TYPE, "1.0.0")
    assert repository.image(tag="9.9.9") is None


def test_a_layer_that_is_there_is_not_uploaded_again(
    repository: EcrRegistry, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.put_blob(digest(b"layer"), b"layer")
    calls: list[str] = []
    real = clients.call

    def note(service: str, operation: str, /, **parameters: Any) -> dict[str, Any]:
        calls.append(operation)
        return real(service, operation, **parameters)

    monkeypatch.setattr(clients, "call", note)
    repository.put_blob(digest(b"layer"), b"layer")
    assert calls == ["batch_check_layer_availability"]


def test_a_layer_larger_than_a_part_goes_up_in_parts(repository: EcrRegistry) -> None:
    content = bytes(21_000_000)
    repository.put_blob(digest(content), content)


def test_a_whole_release_is_published_to_aws(
    bucket: S3Artifacts, repository: EcrRegistry, project: Path
) -> None:
    release = publish("1.1.0", project=project, artifacts=bucket, registry=repository)
    again = publish("1.1.0", project=project, artifacts=bucket, registry=repository)
    assert again == release
    found = repository.image(tag="1.1.0")
    assert found is not None
    assert found.digest == release.image
    assert bucket.get(release.key) == release.canonical()


def test_coordinates_are_none_until_they_are_deployed(
    clients: Clients, settings: Environment
) -> None:
    assert read_coordinates(clients, settings) is None


def test_coordinates_are_read_as_the_stacks_wrote_them(
    clients: Clients, settings: Environment
) -> None:
    name = parameter_name(settings.service_name, settings.name)
    value = COORDINATES.model_dump_json()
    clients.call("ssm", "put_parameter", Name=name, Value=value, Type="String")
    assert read_coordinates(clients, settings) == COORDINATES


def test_coordinates_of_another_schema_are_a_usage_error(
    clients: Clients, settings: Environment
) -> None:
    name = parameter_name(settings.service_name, settings.name)
    clients.call("ssm", "put_parameter", Name=name, Value='{"cluster": 1}', Type="String")
    with pytest.raises(UsageError, match="are not those of this llmops"):
        read_coordinates(clients, settings)


def test_alarm_states_are_read_and_missing_alarms_left_out(clients: Clients) -> None:
    clients.call(
        "cloudwatch",
        "put_metric_alarm",
        AlarmName="errors",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Threshold=1,
        MetricName="Errors",
        Namespace="llmops",
        Period=60,
        Statistic="Sum",
    )
    for state in ("OK", "ALARM"):
        clients.call(
            "cloudwatch", "set_alarm_state", AlarmName="errors", StateValue=state, StateReason="-"
        )
        assert CloudWatchAlarms(clients).states(["errors", "none"]) == {"errors": state}


def test_the_weights_of_a_rule_are_read(clients: Clients) -> None:
    groups = [_target_group(clients, name) for name in ("blue", "green")]
    shares = [
        {"TargetGroupArn": group, "Weight": weight}
        for group, weight in zip(groups, (90, 10), strict=True)
    ]
    rule = _rule(clients, {"Type": "forward", "ForwardConfig": {"TargetGroups": shares}})
    assert ListenerRules(clients).weights(rule) == dict(zip(groups, (90, 10), strict=True))


def test_a_rule_that_forwards_to_one_group_gives_it_everything(clients: Clients) -> None:
    group = _target_group(clients, "blue")
    rule = _rule(clients, {"Type": "forward", "TargetGroupArn": group})
    [(found, weight)] = ListenerRules(clients).weights(rule).items()
    assert (found, weight > 0) == (group, True)


def test_the_clouds_time_is_the_date_of_its_last_answer(clients: Clients) -> None:
    clients.date = datetime(2031, 5, 1, tzinfo=UTC)
    assert CloudClock(clients).now() == datetime(2031, 5, 1, tzinfo=UTC)


def test_a_clock_that_was_never_answered_asks(clients: Clients) -> None:
    assert abs(CloudClock(clients).now() - datetime.now(UTC)) < timedelta(minutes=5)


def _target_group(clients: Clients, name: str) -> str:
    [vpc] = clients.call("ec2", "describe_vpcs")["Vpcs"]
    answer = clients.call(
        "elbv2",
        "create_target_group",
        Name=name,
        Protocol="HTTP",
        Port=80,
        VpcId=vpc["VpcId"],
        TargetType="ip",
    )
    return str(answer["TargetGroups"][0]["TargetGroupArn"])


def _rule(clients: Clients, action: dict[str, object]) -> str:
    subnets = clients.call("ec2", "describe_subnets")["Subnets"][:2]
    balancer = clients.call(
        "elbv2",
        "create_load_balancer",
        Name="handbook",
        Subnets=[each["SubnetId"] for each in subnets],
    )["LoadBalancers"][0]["LoadBalancerArn"]
    listener = clients.call(
        "elbv2",
        "create_listener",
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )["Listeners"][0]["ListenerArn"]
    rule = clients.call(
        "elbv2",
        "create_rule",
        ListenerArn=listener,
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/*"]}],
        Actions=[action],
    )["Rules"][0]["RuleArn"]
    return str(rule)
