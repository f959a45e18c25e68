"""Variables whose values are secrets, for a process that nobody injects them into."""

from __future__ import annotations

import json

import boto3
import pytest
from moto import mock_aws

from llm_service.environ import SettingsError
from llm_service.secret_variables import VARIABLE, filled, reader

TEXTS = {"arn:one": '{"key": "sk-1", "other": "2"}', "arn:two": "whole text"}


def places(**named: str) -> dict[str, str]:
    return {"RELEASE": "1.0.0", VARIABLE: json.dumps(named)}


def test_a_variable_is_a_key_of_a_secret_or_all_of_it() -> None:
    found = filled(places(A="arn:one#key", B="arn:two"), TEXTS.__getitem__)
    assert (found["A"], found["B"], found["RELEASE"]) == ("sk-1", "whole text", "1.0.0")


def test_a_secret_is_read_once_however_many_variables_are_in_it() -> None:
    asked: list[str] = []

    def read(arn: str) -> str:
        asked.append(arn)
        return TEXTS[arn]

    filled(places(A="arn:one#key", B="arn:one#other"), read)
    assert asked == ["arn:one"]


def test_a_variable_that_is_set_goes_before() -> None:
    found = filled({**places(A="arn:one#key"), "A": "mine"}, TEXTS.__getitem__)
    assert found["A"] == "mine"


def test_without_secrets_nobody_is_asked() -> None:
    environ = {"RELEASE": "1.0.0"}
    assert filled(environ) == environ


@pytest.mark.parametrize("text", ["{", "[]", "1"])
def test_what_is_no_object_is_told_in_one_sentence(text: str) -> None:
    with pytest.raises(SettingsError, match="SECRET_VARIABLES is not JSON: set it to"):
        filled({VARIABLE: text})


@pytest.mark.parametrize("place", ["arn:one#missing", "arn:two#key"])
def test_a_key_that_is_not_there_is_named_and_no_value_is(place: str) -> None:
    with pytest.raises(SettingsError) as caught:
        filled(places(A=place), TEXTS.__getitem__)
    assert "put it there" in str(caught.value)
    assert not any(value in str(caught.value) for value in ("sk-1", "whole text"))


def test_the_current_version_is_read_from_secrets_manager(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    with mock_aws():
        client = boto3.client("secretsmanager")
        arn = client.create_secret(Name="openai", SecretString='{"key": "sk-2"}')["ARN"]
        assert filled(places(OPENAI_API_KEY=f"{arn}#key"))["OPENAI_API_KEY"] == "sk-2"
        with pytest.raises(SettingsError, match="cannot be read: ResourceNotFoundException"):
            reader()("arn:aws:secretsmanager:us-east-1:123456789012:secret:none-AbCdEf")
