from __future__ import annotations

from typing import Any

import pytest

from llmops_localcloud.cloudformation.errors import ValidationError
from llmops_localcloud.cloudformation.intrinsics import Scope

TEMPLATE: dict[str, Any] = {
    "Mappings": {"Sizes": {"prod": {"count": 3}}},
    "Conditions": {
        "IsProd": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
        "IsNot": {"Fn::Not": [{"Condition": "IsProd"}]},
        "Both": {"Fn::And": [{"Condition": "IsProd"}, {"Condition": "IsNot"}]},
        "Any": {"Fn::Or": [{"Condition": "IsProd"}, {"Condition": "IsNot"}]},
    },
}


@pytest.fixture
def scope() -> Scope:
    return Scope(
        TEMPLATE,
        parameters={"Stage": "prod", "List": ["a", "b"]},
        pseudo={"AWS::Region": "eu-central-1"},
        resource={"Thing": "thing-id"}.__getitem__,
        attribute=lambda name, attribute: f"<{name}.{attribute}>",
        import_value=lambda name: f"imported {name}",
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"Ref": "Stage"}, "prod"),
        ({"Ref": "Thing"}, "thing-id"),
        ({"Ref": "AWS::Region"}, "eu-central-1"),
        ({"Fn::GetAtt": ["Db", "Endpoint.Address"]}, "<Db.Endpoint.Address>"),
        ({"Fn::GetAtt": "Db.Endpoint.Address"}, "<Db.Endpoint.Address>"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Stage"}, 1]]}, "a-prod-1"),
        ({"Fn::Join": [",", {"Ref": "List"}]}, "a,b"),
        ({"Fn::Split": [":", "a:b"]}, ["a", "b"]),
        ({"Fn::Select": ["1", {"Ref": "List"}]}, "b"),
        ({"Fn::Sub": "${Stage}/${Thing}/${Db.Arn}/${!Stage}"}, "prod/thing-id/<Db.Arn>/${Stage}"),
        ({"Fn::Sub": ["${X}-${Stage}", {"X": {"Ref": "Thing"}}]}, "thing-id-prod"),
        ({"Fn::If": ["IsProd", 1, 2]}, 1),
        ({"Fn::If": ["IsNot", 1, 2]}, 2),
        ({"Fn::If": ["Both", 1, 2]}, 2),
        ({"Fn::If": ["Any", 1, 2]}, 1),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Stage"}, "count"]}, 3),
        ({"Fn::ImportValue": {"Fn::Sub": "${Stage}:x"}}, "imported prod:x"),
        ({"Fn::GetAZs": ""}, ["eu-central-1a", "eu-central-1b", "eu-central-1c"]),
        ({"Fn::Base64": "text"}, "dGV4dA=="),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"Fn::Length": {"Ref": "List"}}, 2),
        ({"Fn::ToJsonString": {"a": {"Ref": "Stage"}}}, '{"a": "prod"}'),
        ({"kept": 1, "left out": {"Ref": "AWS::NoValue"}}, {"kept": 1}),
        (["a", {"Ref": "AWS::NoValue"}], ["a"]),
        ({"Condition": {"Bool": {"a": "b"}}}, {"Condition": {"Bool": {"a": "b"}}}),
    ],
)  # fmt: skip
def test_functions_resolve_as_cloudformation_does(
    scope: Scope, expression: Any, expected: Any
) -> None:
    assert scope.resolve(expression) == expected


def test_a_mapping_that_has_no_such_key_is_a_template_error(scope: Scope) -> None:
    with pytest.raises(ValidationError, match="Unable to get mapping for Sizes::dev::count"):
        scope.resolve({"Fn::FindInMap": ["Sizes", "dev", "count"]})


def test_selecting_beyond_the_end_is_a_template_error(scope: Scope) -> None:
    with pytest.raises(ValidationError, match="nonexistent value at index 5"):
        scope.resolve({"Fn::Select": [5, ["a"]]})
