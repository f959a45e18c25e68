"""The published schema of the policy says what the code that reads a policy says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from llmops_judge import Policy, PolicyError, schema
from llmops_judge.policy import CATALOGUE, Golden, Metric
from llmops_runbooks import settings

PROJECT = Path(__file__).parents[2] / "llmops.toml"
VALIDATOR = Draft202012Validator(json.loads(schema.FILE.read_text(encoding="utf-8")))


def accepted(table: Mapping[str, Any]) -> bool:
    try:
        Policy.from_settings(table)
    except PolicyError:
        return False
    return True


def test_the_stored_schema_is_what_the_code_generates() -> None:
    assert schema.FILE.read_text(encoding="utf-8") == schema.text(), (
        "run: python -m llmops_judge.schema"
    )


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema.schema())


@pytest.mark.parametrize("of", [Policy, Golden, Metric])
def test_every_key_is_described(of: type) -> None:
    described = schema.descriptions(of)
    keys = {each.name for each in fields(of)} - {"golden", "metrics"}
    assert keys <= set(described)


def test_the_default_policy_and_every_environment_are_valid() -> None:
    VALIDATOR.validate(Policy().to_settings())
    for name in settings.names(PROJECT):
        environment = settings.load(name, file=PROJECT, variables={})
        VALIDATOR.validate(environment.judge)
        VALIDATOR.validate(environment.policy.to_settings())


def test_a_policy_is_what_its_own_table_says() -> None:
    table = {"alpha": 0.02, "metrics": {"latency": {"mode": "warn"}, "spam": {"margin": 0.2}}}
    policy = Policy.from_settings(table)
    again = json.loads(json.dumps(policy.to_settings()))
    assert Policy.from_settings(again) == policy
    assert policy.metric("spam") == Metric("spam", margin=0.2)


SHARES = st.one_of(st.sampled_from([0, 1, 2, -0.1, 0.5, None, "x", True]), st.floats(-1, 12))
WHOLE = st.one_of(st.sampled_from([None, 1.5, "x", True]), st.integers(-2, 3))
POLICY_KEYS = {
    "alpha": SHARES,
    "beta": SHARES,
    "minimum_requests": WHOLE,
    "minimum_minutes": st.floats(-1, 20),
    "maximum_minutes": st.floats(-1, 0) | st.floats(21, 90),
    "maximum_requests": WHOLE,
    "inconclusive": st.sampled_from(["hold", "rollback", "promote", "wait", 3]),
    "outage_factor": st.floats(-1, 5),
    "contamination": st.lists(st.sampled_from(["feature", "fingerprint", "cache", "x"])),
    "unknown": WHOLE,
}
METRIC_KEYS = {
    "scale": st.sampled_from(["share", "ratio", "unit", "x"]),
    "direction": st.sampled_from(["lower", "higher", "up"]),
    "margin": SHARES,
    "tail_margin": SHARES,
    "mode": st.sampled_from(["rollback", "warn", "stop"]),
    "minimum": WHOLE,
    "no_data": st.sampled_from(["wait", "ignore", "fail"]),
    "limit": SHARES,
    "statistic": st.sampled_from(["share", "mean", "p95", "p99"]),
    "unit": st.sampled_from(["ms", 3]),
}


def test_only_the_code_knows_that_a_rollout_may_last_longer_than_it_must() -> None:
    table = {"minimum_minutes": 30, "maximum_minutes": 30}
    assert VALIDATOR.is_valid(table)
    with pytest.raises(PolicyError, match="maximum_minutes is 30, but it must be above"):
        Policy.from_settings(table)


@given(st.fixed_dictionaries({}, optional=POLICY_KEYS))
def test_schema_and_code_accept_the_same_keys(table: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(table) == accepted(table)


@given(st.sampled_from([*CATALOGUE, "spam"]), st.fixed_dictionaries({}, optional=METRIC_KEYS))
def test_schema_and_code_accept_the_same_metrics(name: str, table: dict[str, Any]) -> None:
    policy = {"metrics": {name: table}}
    assert VALIDATOR.is_valid(policy) == accepted(policy)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"alpha": 1}, "The judge's policy: alpha is 1, but it must be between 0 and 1."),
        (
            {"metrics": {"latency": {"margin": 0.2}}},
            "The judge's policy: metrics.latency.margin is 0.2, but it must be a factor above 1, "
            "to 10.",
        ),
        (
            {"metrics": {"errors": {"mode": "stop"}}},
            "The judge's policy: metrics.errors.mode is 'stop', but it must be one of observe, "
            "warn, pause, rollback.",
        ),
    ],
)
def test_a_mistake_names_the_key_and_what_is_allowed(table: dict[str, Any], says: str) -> None:
    with pytest.raises(PolicyError) as raised:
        Policy.from_settings(table)
    assert str(raised.value) == says
    assert raised.value.key in says
