"""Bearer tokens rotate, and nobody who holds a valid one is refused on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import boto3
import pytest
from moto import mock_aws
from rotation_twin import STEPS, begin, event, rotate, schedule

from llm_service.auth import Tokens
from llm_service.live_tokens import Version, Versions, merged
from llmops_functions.rotate.steps import RotationError, take
from llmops_functions.rotate.tokens import TokenKeeper, digest, new_token

OLD = "old-token"
NAMES = iter(f"secret-{number}" for number in count())


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="us-east-1")


@pytest.fixture
def new_secret(client: Any) -> Callable[..., str]:
    def make(value: object = None, *, scheduled: bool = True) -> str:
        given = {} if value is None else {"SecretString": _text(value)}
        arn: str = client.create_secret(Name=next(NAMES), **given)["ARN"]
        if scheduled:
            schedule(arn)
        return arn

    return make


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def function(client: Any, clients: dict[str, str] | None = None) -> Callable[[Any], None]:
    keeper = TokenKeeper(client, clients)
    return lambda called: take(called, client, keeper)


def value(client: Any, arn: str, stage: str = "AWSCURRENT") -> str:
    return str(client.get_secret_value(SecretId=arn, VersionStage=stage)["SecretString"])


def served(client: Any, arn: str) -> Tokens:
    """The tokens as a running service holds them after it read the secret."""
    found = {}
    for stage in ("AWSCURRENT", "AWSPREVIOUS"):
        with suppress(client.exceptions.ResourceNotFoundException):
            found[stage] = Version(stage, value(client, arn, stage))
    return merged(Versions(found["AWSCURRENT"], found.get("AWSPREVIOUS")))


def accepts(tokens: Tokens, token: str) -> bool:
    return tokens.allow(f"Bearer {token}")


def test_the_new_token_and_the_old_one_are_valid_together(
    client: Any, new_secret: Callable[..., str]
) -> None:
    arn = new_secret({"current": OLD, "previous": "older"})
    rotate(arn, function(client))
    document = json.loads(value(client, arn))
    assert document["previous"] == OLD and len(document["current"]) == 48
    tokens = served(client, arn)
    assert accepts(tokens, document["current"]) and accepts(tokens, OLD)
    assert not accepts(tokens, "older")


def test_two_rotations_end_a_token(client: Any, new_secret: Callable[..., str]) -> None:
    arn = new_secret({"current": OLD, "previous": ""})
    for _ in range(2):
        rotate(arn, function(client))
    assert not accepts(served(client, arn), OLD)


def test_the_service_that_still_holds_the_old_version_takes_the_old_token(
    client: Any, new_secret: Callable[..., str]
) -> None:
    arn = new_secret({"current": OLD, "previous": ""})
    before = served(client, arn)
    rotate(arn, function(client))
    assert accepts(before, OLD)


@pytest.mark.parametrize("fails", STEPS)
def test_a_rotation_that_stops_before_a_step_leaves_the_tokens_as_they_were(
    client: Any, new_secret: Callable[..., str], fails: str
) -> None:
    arn = new_secret({"current": OLD, "previous": "older"})
    call, token = function(client), begin(arn)
    for step in STEPS[: STEPS.index(fails)]:
        call(event(arn, token, step))
    assert json.loads(value(client, arn)) == {"current": OLD, "previous": "older"}
    rotate(arn, call, token)
    assert json.loads(value(client, arn))["previous"] == OLD


def test_each_step_may_be_taken_twice(client: Any, new_secret: Callable[..., str]) -> None:
    arn = new_secret({"current": OLD, "previous": ""})
    call, token = function(client), begin(arn)
    values = set()
    for step in STEPS:
        for _ in range(2):
            call(event(arn, token, step))
            values.add(client.get_secret_value(SecretId=arn, VersionId=token)["SecretString"])
    assert len(values) == 1
    assert json.loads(value(client, arn))["previous"] == OLD


def test_whoever_is_named_gets_the_new_token_in_a_secret_of_their_own(
    client: Any, new_secret: Callable[..., str]
) -> None:
    web = new_secret("web-token", scheduled=False)
    rows: list[dict[str, Any]] = [
        {"name": "web", "sha256": [digest("web-token")], "requests_per_minute": 600},
        {"name": "batch", "sha256": [digest("batch-token")]},
    ]
    arn = new_secret({"tokens": rows})
    rotate(arn, function(client, {"web": web}))
    held = value(client, web)
    changed = json.loads(value(client, arn))["tokens"]
    assert changed[0] == {**rows[0], "sha256": [digest(held), digest("web-token")]}
    assert changed[1] == rows[1]
    tokens = served(client, arn)
    assert all(accepts(tokens, token) for token in (held, "web-token", "batch-token"))


def test_the_service_knows_a_token_before_its_client_reads_it(
    client: Any, new_secret: Callable[..., str]
) -> None:
    web = new_secret("web-token", scheduled=False)
    arn = new_secret({"tokens": [{"name": "web", "sha256": [digest("web-token")]}]})
    call, token = function(client, {"web": web}), begin(arn)
    for step in STEPS:
        assert accepts(served(client, arn), value(client, web))
        call(event(arn, token, step))
    assert accepts(served(client, arn), value(client, web))
    assert value(client, web) != "web-token"


def test_a_client_that_missed_a_rotation_is_not_locked_out_by_the_next(
    client: Any, new_secret: Callable[..., str]
) -> None:
    web = new_secret("web-token", scheduled=False)
    arn = new_secret({"tokens": [{"name": "web", "sha256": [digest("web-token")]}]})
    call, token = function(client, {"web": web}), begin(arn)
    for step in STEPS[:3]:
        call(event(arn, token, step))
    take(event(arn, token, "finishSecret"), client, TokenKeeper(client))
    assert value(client, web) == "web-token"
    rotate(arn, call)
    assert accepts(served(client, arn), "web-token")
    assert accepts(served(client, arn), value(client, web))


def test_a_new_client_gets_its_first_token(client: Any, new_secret: Callable[..., str]) -> None:
    web = new_secret(scheduled=False)
    arn = new_secret({"tokens": [{"name": "web", "sha256": [digest("by-hand")]}]})
    rotate(arn, function(client, {"web": web}))
    tokens = served(client, arn)
    assert accepts(tokens, value(client, web)) and accepts(tokens, "by-hand")


@pytest.mark.parametrize(
    ("document", "clients", "reason"),
    [
        ({"tokens": [{"name": "web", "sha256": [digest("x")]}]}, {}, "nobody to hand"),
        ({"current": OLD}, {"web": "some-arn"}, "CLIENT_SECRETS names web"),
        ("no json", {}, "neither"),
        ({"tokens": [{"name": "web"}]}, {}, "neither"),
    ],
)
def test_what_cannot_be_rotated_is_said_and_changes_nothing(
    client: Any,
    new_secret: Callable[..., str],
    document: object,
    clients: dict[str, str],
    reason: str,
) -> None:
    arn = new_secret(document)
    with pytest.raises(RotationError, match=reason):
        rotate(arn, function(client, clients))
    assert value(client, arn) == _text(document)


def test_a_token_that_is_not_its_names_own_is_refused(
    client: Any, new_secret: Callable[..., str]
) -> None:
    web = new_secret("somebody-elses", scheduled=False)
    arn = new_secret({"tokens": [{"name": "web", "sha256": [digest("web-token")]}]})
    with pytest.raises(RotationError, match="none of web's") as caught:
        rotate(arn, function(client, {"web": web}))
    assert "somebody-elses" not in str(caught.value)


def test_a_new_version_that_would_lock_somebody_out_fails_its_test(client: Any) -> None:
    keeper = TokenKeeper(client)
    with pytest.raises(RotationError, match="refuse the token in use"):
        keeper.check('{"current": "new", "previous": ""}', '{"current": "old"}')
    row = {"name": "web", "sha256": [digest("x")]}
    with pytest.raises(RotationError, match="refuse the token of web"):
        keeper.check('{"current": "n", "tokens": []}', json.dumps({"tokens": [row]}))


def test_a_trial_with_the_current_value_passes(client: Any) -> None:
    secret = json.dumps({"current": OLD, "previous": ""})
    TokenKeeper(client).check(secret, secret)


def test_a_secret_without_a_rotation_is_left_alone(
    client: Any, new_secret: Callable[..., str]
) -> None:
    arn = new_secret({"current": OLD}, scheduled=False)
    token = begin(arn)
    with pytest.raises(RotationError, match="has no rotation"):
        function(client)(event(arn, token, "createSecret"))


def test_a_version_nobody_began_is_refused(client: Any, new_secret: Callable[..., str]) -> None:
    arn = new_secret({"current": OLD})
    with pytest.raises(RotationError, match="start a rotation"):
        function(client)(event(arn, "11111111-2222-3333-4444-555555555555", "createSecret"))


def test_a_step_there_is_not_is_refused(client: Any, new_secret: Callable[..., str]) -> None:
    arn = new_secret({"current": OLD})
    with pytest.raises(RotationError, match="the four are createSecret"):
        function(client)(event(arn, begin(arn), "deleteSecret"))


def test_setting_before_creating_is_refused(client: Any, new_secret: Callable[..., str]) -> None:
    arn = new_secret({"current": OLD})
    with pytest.raises(RotationError, match="createSecret comes first"):
        function(client)(event(arn, begin(arn), "setSecret"))


def test_tokens_do_not_repeat() -> None:
    assert len({new_token() for _ in range(100)}) == 100
