"""The adapter of Secrets Manager and of the tasks, against moto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws
from rotation_twin import begin, schedule

from llmops_runbooks.aws.clients import Clients, Refused
from llmops_runbooks.aws.secrets import SecretsManager, ServiceFleet
from llmops_runbooks.memory import COORDINATES
from llmops_runbooks.secrets_port import CURRENT, PENDING
from llmops_runbooks.settings import Environment


@pytest.fixture
def clients(settings: Environment) -> Iterator[Clients]:
    keys = {"access_key_id": "local", "secret_access_key": "local"}
    with mock_aws():
        yield Clients(settings.model_copy(update=keys))


@pytest.fixture
def vault(clients: Clients) -> SecretsManager:
    return SecretsManager(clients)


def secret(clients: Clients, value: str = "first") -> str:
    made = clients.call("secretsmanager", "create_secret", Name="key", SecretString=value)
    return str(made["ARN"])


def test_a_secret_that_is_missing_is_none(vault: SecretsManager) -> None:
    assert vault.look("nothing") is None and vault.value("nothing") is None


def test_a_value_is_staged_read_and_promoted(clients: Clients, vault: SecretsManager) -> None:
    arn = secret(clients)
    before = vault.look(arn)
    assert before is not None and before.unfinished is None and not before.rotates
    first = before.labelled(CURRENT)
    assert first is not None and first.created_at is not None
    version = vault.stage(arn, "second")
    assert (vault.value(arn), vault.value(arn, PENDING)) == ("first", "second")
    vault.promote(arn, version, first.id)
    assert vault.value(arn) == "second"


def test_a_rotation_that_has_not_ended_is_taken_up(
    clients: Clients, vault: SecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = secret(clients)
    schedule(arn)
    waiting = begin(arn)
    plain = clients.call

    def call(service: str, operation: str, /, **parameters: Any) -> Any:
        if operation == "rotate_secret":
            raise Refused("A previous rotation isn't complete.", code="InvalidRequestException")
        return plain(service, operation, **parameters)

    monkeypatch.setattr(clients, "call", call)
    assert vault.rotate(arn) == waiting


def test_a_rotation_that_aws_refuses_is_refused(
    clients: Clients, vault: SecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = secret(clients)
    plain = clients.call

    def call(service: str, operation: str, /, **parameters: Any) -> Any:
        if operation == "rotate_secret":
            raise Refused("There is no function.", code="InvalidRequestException")
        return plain(service, operation, **parameters)

    monkeypatch.setattr(clients, "call", call)
    with pytest.raises(Refused, match="no function"):
        vault.rotate(arn)


class Fleet(ServiceFleet):
    """A service whose container is told here."""

    container: dict[str, Any] = {}  # noqa: RUF012

    def _container(self) -> dict[str, Any]:
        return self.container


def test_how_the_service_comes_by_a_secret_is_in_its_task_definition(clients: Clients) -> None:
    fleet = Fleet(clients, COORDINATES)
    fleet.container = {
        "environment": [{"name": "BEARER_TOKENS_SECRET", "value": "arn:tokens"}],
        "secrets": [{"name": "OPENAI_API_KEY", "valueFrom": "arn:openai:key::"}],
    }
    assert fleet.reads_live("arn:tokens") is True
    assert fleet.reads_live("arn:openai") is False
    assert fleet.reads_live("arn:other") is None


def test_a_service_that_cannot_be_asked_says_nothing(clients: Clients) -> None:
    where = COORDINATES.model_copy(update={"service_url": "http://127.0.0.1:9"})
    assert ServiceFleet(clients, where).says("tokens") is None


def test_a_service_that_is_not_there_has_no_secrets(clients: Clients) -> None:
    clients.call("ecs", "create_cluster", clusterName=COORDINATES.cluster)
    fleet = ServiceFleet(clients, COORDINATES)
    assert fleet.reads_live("arn:tokens") is None
    assert json.dumps(fleet.tasks()) == "[]"
