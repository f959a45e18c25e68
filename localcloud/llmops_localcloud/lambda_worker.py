"""A warm Lambda worker: one process per function version, run as
`python lambda_worker.py CONTROL_FD MODULE.FUNCTION`.

It stands on the standard library alone and imports nothing of the local cloud: only the function's
own code and what the runtime has (boto3) are on its path. The control socket carries one line of
JSON per message. In: `{"id", "event", "deadline", "arn", "request_id"}`, deadline in epoch seconds.
Out: `{"ready": true}` or `{"init_error": {...}}` once, then `{"id", "result": text}` or
`{"id", "error": {...}}`. What the function prints goes to stdout and stderr.
"""

import importlib
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any


class Context:
    """The `context` object of a Python handler; the attributes are AWS's."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.invoked_function_arn = request["arn"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.aws_request_id = request["request_id"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        self._deadline = request["deadline"]

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function times out; 0 when it has."""
        return max(0, int((self._deadline - time.time()) * 1000))


def described(error: BaseException) -> dict[str, Any]:
    """The error as the Python runtime returns it to the caller."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [line for line in traceback.format_list(frames) if __file__ not in line]
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": "",
        "stackTrace": lines,
    }


def load(name: str) -> Callable[[Any, Context], Any]:
    """The handler `module.function`; the module may be a path with slashes."""
    module, _, function = name.rpartition(".")
    if not module:
        raise ImportError(f"Bad handler '{name}': not enough values to unpack")
    handler: Callable[[Any, Context], Any] = getattr(
        importlib.import_module(module.replace("/", ".")), function
    )
    return handler


def answer(handler: Callable[[Any, Context], Any], request: dict[str, Any]) -> dict[str, Any]:
    """Call the handler once."""
    try:
        result = handler(request["event"], Context(request))
        return {"id": request["id"], "result": json.dumps(result)}
    except BaseException as error:  # noqa: BLE001  whatever it raises is the function's answer
        traceback.print_exc()
        failure = described(error)
        if isinstance(error, TypeError) and "is not JSON serializable" in str(error):
            failure["errorType"] = "Runtime.MarshalError"
            failure["errorMessage"] = f"Unable to marshal response: {error}"
        return {"id": request["id"], "error": {**failure, "requestId": request["request_id"]}}


def main() -> None:
    """Serve until the control socket ends."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    lines = channel.makefile("r", encoding="utf-8")

    def send(message: dict[str, Any]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        channel.sendall(json.dumps(message).encode() + b"\n")

    try:
        handler = load(sys.argv[2])
    except BaseException as error:  # noqa: BLE001  reported to the caller, as the runtime does
        traceback.print_exc()
        failure = described(error)
        if isinstance(error, ImportError):
            failure["errorType"] = "Runtime.ImportModuleError"
            failure["errorMessage"] = f"Unable to import module '{sys.argv[2]}': {error}"
        elif isinstance(error, AttributeError):
            failure["errorType"] = "Runtime.HandlerNotFound"
        send({"init_error": failure})
        return
    send({"ready": True})
    for line in lines:
        send(answer(handler, json.loads(line)))


if __name__ == "__main__":
    # The script's own folder holds modules of the local cloud, not of the function.
    del sys.path[0]
    main()
