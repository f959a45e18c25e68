"""Weighted aliases of Lambda (behaviour 33)."""

from __future__ import annotations

import io
import uuid
import zipfile
from typing import Any

import pytest

ROLE = "arn:aws:iam::123456789012:role/aliases-{}"


@pytest.fixture
def function(cloud: Any) -> Any:
    """A client and the name of a function with versions 1 and 2, and an alias at version 1."""
    lambdas, iam = cloud.client("lambda"), cloud.client("iam")
    for number in (1, 2):
        if f"aliases-{number}" not in [each["RoleName"] for each in iam.list_roles()["Roles"]]:
            iam.create_role(RoleName=f"aliases-{number}", AssumeRolePolicyDocument="{}")
    name = f"f-{uuid.uuid4().hex[:8]}"
    lambdas.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="a.b",
        Role=ROLE.format(1),
        Code={"ZipFile": bundle("1")},
    )
    for text in ("1", "2"):
        lambdas.update_function_code(FunctionName=name, ZipFile=bundle(text))
        lambdas.publish_version(FunctionName=name)
    lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return lambdas, name


def bundle(text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.py", f"b = {text}")
    return file.getvalue()


def shift(function: Any, weights: dict[str, float], **more: Any) -> dict[str, Any]:
    lambdas, name = function
    answer = lambdas.update_alias(
        FunctionName=name,
        Name="live",
        RoutingConfig={"AdditionalVersionWeights": weights},
        **more,
    )
    return dict(answer)


def test_33_an_alias_splits_between_two_published_versions(function: Any) -> None:
    assert shift(function, {"2": 0.05})["RoutingConfig"]["AdditionalVersionWeights"] == {"2": 0.05}
    assert shift(function, {}, FunctionVersion="2")["FunctionVersion"] == "2"


@pytest.mark.parametrize(
    ("weights", "version", "message"),
    [
        ({"2": 0.1, "3": 0.1}, "1", "Number of items in AdditionalVersionWeights"),
        ({"2": 1.1}, "1", "from 0.0 to 1.0"),
        ({"$LATEST": 0.1}, "1", "LATEST is not supported"),
        ({"2": 0.1}, "$LATEST", "LATEST is not supported"),
        ({"1": 0.1}, "1", "already included"),
    ],
)
def test_33_other_routings_are_refused_and_change_nothing(
    function: Any, weights: dict[str, float], version: str, message: str
) -> None:
    lambdas, name = function
    with pytest.raises(lambdas.exceptions.InvalidParameterValueException, match=message):
        shift(function, weights, FunctionVersion=version)
    assert lambdas.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == "1"


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_33_the_ends_of_the_range_are_taken(function: Any, weight: float) -> None:
    assert shift(function, {"2": weight})["RoutingConfig"]


def test_33_the_revision_id_is_a_lock(function: Any) -> None:
    lambdas, name = function
    before = lambdas.get_alias(FunctionName=name, Name="live")["RevisionId"]
    after = shift(function, {"2": 0.1}, RevisionId=before)["RevisionId"]
    assert after != before
    with pytest.raises(lambdas.exceptions.PreconditionFailedException):
        shift(function, {"2": 0.5}, RevisionId=before)
    kept = lambdas.get_alias(FunctionName=name, Name="live")
    assert kept["RoutingConfig"]["AdditionalVersionWeights"] == {"2": 0.1}


def test_33_both_versions_need_the_same_role(function: Any) -> None:
    lambdas, name = function
    lambdas.update_function_configuration(FunctionName=name, Role=ROLE.format(2))
    lambdas.update_function_code(FunctionName=name, ZipFile=bundle("3"))
    lambdas.publish_version(FunctionName=name)
    with pytest.raises(lambdas.exceptions.InvalidParameterValueException, match="same Role"):
        shift(function, {"3": 0.1})
