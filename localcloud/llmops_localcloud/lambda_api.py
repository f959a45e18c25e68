"""Lambda's Invoke API over real workers, and what moto's functions forget of their settings."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from moto.awslambda.models import LambdaFunction
from moto.awslambda.responses import LambdaResponse
from moto.core.exceptions import JsonRESTError

from llmops_localcloud.extension import replace_response
from llmops_localcloud.functions import LocalFunctions


def install(functions: LocalFunctions) -> None:
    """Make moto's Lambda run its functions in workers."""
    response = type("LocalLambda", (_Response,), {"functions": functions})
    replace_response("awslambda", LambdaResponse, response)
    _keep_logging_configuration()


class _Response(LambdaResponse):
    functions: LocalFunctions

    def invoke(self) -> tuple[int, dict[str, str], str | bytes]:
        """RequestResponse, Event and DryRun, as the `X-Amz-Invocation-Type` header says."""
        name = unquote(self.path.rsplit("/", 2)[-2])
        function = self.backend.get_function(name, self._get_param("Qualifier"))
        kind = self.headers.get("X-Amz-Invocation-Type") or "RequestResponse"
        if kind == "DryRun":
            return 204, {"status": "204"}, ""
        event = self._event()
        if kind == "Event":
            self.functions.later(function, event)
            return 202, {"status": "202"}, ""
        outcome = self.functions.run(function, event)
        headers = {
            "content-type": "application/json",
            "X-Amz-Executed-Version": _version(function),
        }
        if outcome.failed:
            headers["X-Amz-Function-Error"] = "Unhandled"
        return 200, headers, outcome.payload

    def invoke_async(self) -> tuple[int, dict[str, Any], str | bytes]:
        """The old asynchronous call."""
        name = unquote(self.path.rstrip("/").rsplit("/", 2)[-2])
        self.functions.later(self.backend.get_function(name, None), self._event())
        return 202, {"status": 202}, ""

    def _event(self) -> Any:
        text = self.body.decode() if isinstance(self.body, bytes) else self.body
        try:
            return json.loads(text or "{}")
        except ValueError as error:
            raise JsonRESTError(
                "InvalidRequestContentException",
                f"Could not parse request body into json: {error}",
            ) from error


def _version(function: Any) -> str:
    return "$LATEST" if function.version in (1, "1", None) else str(function.version)


def _keep_logging_configuration() -> None:
    """moto drops LoggingConfig, which says the log group."""
    function: Any = LambdaFunction
    plain_configuration = function.get_configuration
    make = function.create_from_cloudformation_json.__func__
    change = function.update_from_cloudformation_json.__func__

    def configuration(self: Any, *args: Any, **kw: Any) -> dict[str, Any]:
        answer: dict[str, Any] = plain_configuration(self, *args, **kw)
        given = getattr(self, "logging_config", None) or {}
        default = {"LogFormat": "Text", "LogGroup": self.logs_group_name}
        return {**answer, "LoggingConfig": {**default, **given}}

    def created(cls: Any, name: str, template: Any, *args: Any, **kw: Any) -> Any:
        made = make(cls, name, template, *args, **kw)
        made.logging_config = template["Properties"].get("LoggingConfig")
        return made

    def updated(cls: Any, *args: Any, **kw: Any) -> Any:
        changed = change(cls, *args, **kw)
        changed.logging_config = kw["cloudformation_json"]["Properties"].get("LoggingConfig")
        return changed

    function.get_configuration = configuration
    function.create_from_cloudformation_json = classmethod(created)
    function.update_from_cloudformation_json = classmethod(updated)
