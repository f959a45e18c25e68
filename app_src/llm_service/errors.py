"""Errors as OpenAI's API words them: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:  # who answers chats alone has no FastAPI
    from fastapi import FastAPI, Request
    from starlette.responses import Response

TOO_LONG = frozenset({"string_too_long", "too_long"})
NOT_AN_OBJECT = "The body is not a JSON object: send one with Content-Type: application/json."
NOT_JSON = "The body is not valid JSON."
JSON = "application/json"
TYPES = {403: "permission_error", 429: "rate_limit_error"}
"""Statuses whose `type` is a word of its own, as OpenAI's clients know them."""
OF_BODIES = {408: "timeout", 413: "body_too_large"}
"""What a body is refused with before it is whole, and the `code` of that."""


class ApiError(Exception):
    """An answer other than 200 that the API decided on; `headers` go out with it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.type = "server_error" if status >= 500 else TYPES.get(status, "invalid_request_error")
        self.headers = dict(headers or {})
        if status == 401:
            self.headers.setdefault("www-authenticate", "Bearer")

    def body(self) -> bytes:
        """The error object."""
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return msgspec.json.encode({"error": error})

    def response(self) -> Response:
        """The error as FastAPI sends it."""
        from starlette.responses import Response

        return Response(self.body(), self.status, self.headers, JSON)


def unauthorized() -> ApiError:
    """401: no token, or one that is neither the current nor the previous."""
    return ApiError(
        401,
        "The bearer token is missing or unknown: send Authorization: Bearer TOKEN.",
        code="invalid_api_key",
    )


def internal() -> ApiError:
    """500: what went wrong is in the log, never in the answer."""
    return ApiError(500, "The server failed to answer: try again.", code="internal_error")


def unavailable(what: str) -> ApiError:
    """503: the service is up, but not ready."""
    return ApiError(503, f"{what}: try again shortly.", code="not_ready")


def install(app: FastAPI) -> None:
    """Words every refusal of `app` the OpenAI way."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _http_error(request: Request, error: Exception) -> Response:
    from starlette.exceptions import HTTPException

    assert isinstance(error, HTTPException)
    if code := OF_BODIES.get(error.status_code):
        return ApiError(error.status_code, error.detail, code=code).response()
    message = f"{error.detail}: {request.method} {request.url.path}"
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
    response = ApiError(error.status_code, message, code=code).response()
    response.headers.update(error.headers or {})
    return response


async def _validation_error(request: Request, error: Exception) -> Response:
    from fastapi.exceptions import RequestValidationError

    assert isinstance(error, RequestValidationError)
    if any(found["type"] in TOO_LONG for found in error.errors()):
        request.state.guarded = True
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ApiError(400, NOT_JSON, code="invalid_json").response()
    tag = str(first.get("ctx", {}).get("discriminator", "")).strip("'")
    if first["loc"] == ("body",) and not tag:
        return ApiError(400, NOT_AN_OBJECT, code="invalid_value").response()
    where = [str(part) for part in first["loc"][1:]]
    param = tag or ".".join(part for part in where if not part.startswith("/"))
    message = f"{param}: {first['msg']}."
    return ApiError(400, message, code="invalid_value", param=param).response()
