from __future__ import annotations

import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest

ROLE = "arn:aws:iam::123456789012:role/cdk-hnb659fds-cfn-exec-role-123456789012-us-east-1"
CODE = """
import os, sys, time
import boto3
calls = 0

def handler(event, context):
    global calls
    calls += 1
    print("called with", sorted(event))
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "unserializable" in event:
        return object()
    return {
        "calls": calls,
        "event": event,
        "name": context.function_name,
        "request": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis(),
        "arn": context.invoked_function_arn,
        "version": context.function_version,
        "variable": os.environ.get("VARIABLE"),
        "account": boto3.client("sts").get_caller_identity()["Account"] if "aws" in event else None,
        "local": "llmops_localcloud" in sys.modules,
    }
"""
Invoke = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def functions(cloud: Any, make_zip: Any) -> Any:
    client = cloud.client("lambda")
    client.create_function(
        FunctionName="echo",
        Runtime="python3.13",
        Handler="code.handler",
        Role=ROLE,
        Timeout=2,
        Environment={"Variables": {"VARIABLE": "first"}},
        Code={"ZipFile": make_zip({"code.py": CODE})},
    )
    return client


@pytest.fixture
def invoke(functions: Any) -> Invoke:
    def invoke(event: Any, **options: Any) -> dict[str, Any]:
        options = {"FunctionName": "echo", "Payload": json.dumps(event), **options}
        answer: dict[str, Any] = functions.invoke(**options)
        text = answer["Payload"].read()
        return {**answer, "Payload": json.loads(text) if text else None}

    return invoke


def test_a_function_answers_with_what_its_handler_returns(invoke: Invoke) -> None:
    answer = invoke({"a": [1, "ü"]})
    assert answer["StatusCode"] == 200 and "FunctionError" not in answer
    assert answer["ExecutedVersion"] == "$LATEST"
    assert answer["Payload"]["event"] == {"a": [1, "ü"]}


def test_the_context_is_the_runtime_s(invoke: Invoke) -> None:
    seen = invoke({})["Payload"]
    assert (seen["name"], seen["version"]) == ("echo", "$LATEST")
    assert seen["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:echo"
    assert 0 < seen["remaining"] <= 2000
    assert len(seen["request"]) == 36


def test_a_function_calls_the_cloud_it_runs_in(invoke: Invoke) -> None:
    assert invoke({"aws": True})["Payload"]["account"] == "123456789012"


def test_a_function_does_not_see_the_local_cloud_s_own_modules(invoke: Invoke) -> None:
    assert invoke({})["Payload"]["local"] is False


def test_a_warm_function_keeps_its_state_and_answers_in_milliseconds(invoke: Invoke) -> None:
    first = invoke({})["Payload"]["calls"]

    def one() -> float:
        start = time.perf_counter()
        invoke({})
        return time.perf_counter() - start

    assert median(one() for _ in range(9)) < 0.05
    assert invoke({})["Payload"]["calls"] == first + 10


def test_an_exception_is_a_function_error_with_its_type(invoke: Invoke) -> None:
    answer = invoke({"raise": "no such luck"})
    assert answer["FunctionError"] == "Unhandled"
    payload = answer["Payload"]
    assert (payload["errorType"], payload["errorMessage"]) == ("ValueError", "no such luck")
    assert any("handler" in line for line in payload["stackTrace"])


def test_an_answer_that_is_no_json_is_a_marshal_error(invoke: Invoke) -> None:
    payload = invoke({"unserializable": True})["Payload"]
    assert payload["errorType"] == "Runtime.MarshalError"


def test_a_function_that_takes_too_long_times_out_and_starts_afresh(invoke: Invoke) -> None:
    start = time.perf_counter()
    answer = invoke({"sleep": 30})
    assert 2 <= time.perf_counter() - start < 5
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorMessage"].endswith("Task timed out after 2.00 seconds")
    assert invoke({})["Payload"]["calls"] == 1


def test_a_function_that_exits_is_an_exit_error_and_starts_afresh(invoke: Invoke) -> None:
    payload = invoke({"exit": 3})["Payload"]
    assert payload["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in payload["errorMessage"]
    assert invoke({})["Payload"]["calls"] == 1


def test_new_variables_reach_the_next_invoke(invoke: Invoke, functions: Any) -> None:
    assert invoke({})["Payload"]["variable"] == "first"
    functions.update_function_configuration(
        FunctionName="echo", Environment={"Variables": {"VARIABLE": "second"}}
    )
    assert invoke({})["Payload"]["variable"] == "second"


def test_a_dry_run_runs_nothing_and_an_event_is_accepted_at_once(invoke: Invoke) -> None:
    before = invoke({})["Payload"]["calls"]
    assert invoke({}, InvocationType="DryRun")["StatusCode"] == 204
    assert invoke({}, InvocationType="Event")["StatusCode"] == 202
    assert invoke({})["Payload"]["calls"] in (before + 1, before + 2)


def test_what_a_function_prints_is_in_its_log_group(
    invoke: Invoke, cloud: Any, eventually: Any
) -> None:
    invoke({"printed": 1})
    logs = cloud.client("logs")

    def printed() -> bool:
        found = logs.filter_log_events(logGroupName="/aws/lambda/echo")["events"]
        return any("printed" in event["message"] for event in found)

    eventually(printed)


def test_a_module_that_is_not_there_is_an_import_error(functions: Any, make_zip: Any) -> None:
    functions.create_function(
        FunctionName="broken", Runtime="python3.13", Handler="nothing.handler", Role=ROLE,
        Code={"ZipFile": make_zip({"code.py": ""})},
    )  # fmt: skip
    answer = functions.invoke(FunctionName="broken", Payload=b"{}")
    assert json.load(answer["Payload"])["errorType"] == "Runtime.ImportModuleError"


def test_an_unknown_function_is_not_found(functions: Any) -> None:
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.invoke(FunctionName="nobody")
