"""The HTTP server of the daemon: AWS's API on 127.0.0.1, and the local cloud's own pages.

werkzeug's own handler closes the connection after every answer; this one keeps it open, writes an
answer in one piece and sets the virtual time as `Date`, which clients take as AWS's clock.
"""

from __future__ import annotations

import io
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, ThreadedWSGIServer

from llmops_localcloud.ports import Clock

Page = Callable[[], Any]
Shelf = Callable[[str], bytes]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Application:
    """Serves `pages` (path to a function whose answer is sent as JSON), `shelves` (prefix of paths
    to a function from the rest of the path to bytes) and moto for everything else."""

    def __init__(self, pages: Mapping[str, Page], shelves: Mapping[str, Shelf]) -> None:
        self._pages = dict(pages)
        self._shelves = dict(shelves)
        self._aws: Wsgi = DomainDispatcherApplication(create_backend_app)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        for prefix, shelf in self._shelves.items():
            if path.startswith(prefix):
                content = shelf(path.removeprefix(prefix))
                start_response("200 OK", [("Content-Type", "application/octet-stream")])
                return [content]
        page = self._pages.get(path)
        if page is None:
            return self._aws(environ, start_response)
        body = json.dumps(page(), default=str).encode()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]


class Handler(MotoRequestHandler):
    """One connection: any number of requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 300
    clock: Clock

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The virtual time, as an HTTP date."""
        moment = self.clock.now() if timestamp is None else self.clock.at(timestamp)
        return format_datetime(moment, usegmt=True)

    def handle_expect_100(self) -> bool:
        """The client holds its body back until it has read this."""
        answered = super().handle_expect_100()
        self.wfile.flush()
        return bool(answered)

    def run_wsgi(self) -> None:
        """Answer one request; the body is read whole, so that the next request starts after it."""
        environ = self._environ_with_body()
        status, headers, body = self._ask(environ)
        self.send_response_only(int(status.split(" ", 1)[0]), status.partition(" ")[2])
        for name, value in headers:
            if name.lower() not in ("date", "content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Date", self.date_time_string())
        self._send_length(environ, status, headers, body)
        self.end_headers()
        if environ["REQUEST_METHOD"] != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are not logged; what fails is."""

    def _environ_with_body(self) -> dict[str, Any]:
        environ: dict[str, Any] = self.make_environ()
        if environ.pop("HTTP_TRANSFER_ENCODING", "").strip().lower() == "chunked":
            body = environ["wsgi.input"].read()
        else:
            body = self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        return environ

    def _ask(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        answer: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            answer[:] = [status, headers]

        try:
            application: Wsgi = self.server.app
            chunks = application(environ, start_response)
            try:
                body = b"".join(chunks)
            finally:
                getattr(chunks, "close", lambda: None)()
        except Exception as error:  # noqa: BLE001  the server outlives any request
            return _failure(environ, error)
        return answer[0], answer[1], body

    def _send_length(
        self, environ: dict[str, Any], status: str, headers: list[tuple[str, str]], body: bytes
    ) -> None:
        named = next((value for name, value in headers if name.lower() == "content-length"), None)
        if environ["REQUEST_METHOD"] == "HEAD":
            self.send_header("Content-Length", named or str(len(body)))
        elif not status.startswith(("204", "304")):
            self.send_header("Content-Length", str(len(body)))


def serve(application: Wsgi, clock: Clock, port: int) -> BaseWSGIServer:
    """A server that listens on 127.0.0.1:`port`; the caller runs and stops it. Raises OSError."""
    handler = type("ClockedHandler", (Handler,), {"clock": clock})
    server = ThreadedWSGIServer("127.0.0.1", port, application, handler)
    server.daemon_threads = True
    return server


def _failure(
    environ: Mapping[str, Any], error: Exception
) -> tuple[str, list[tuple[str, str]], bytes]:
    """AWS-shaped: 501 for what moto does not know (clients do not retry it), 500 for a fault."""
    known = isinstance(error, NotImplementedError)
    if not known:
        traceback.print_exc(file=sys.stderr)
    status = HTTPStatus.NOT_IMPLEMENTED if known else HTTPStatus.INTERNAL_SERVER_ERROR
    code = "NotImplemented" if known else "InternalFailure"
    text = f"{error or type(error).__name__} (the local cloud does not emulate this)"
    message = text if known else f"{type(error).__name__}: {error}"
    line = f"{status.value} {status.phrase}"
    if "json" in environ.get("CONTENT_TYPE", "") or environ.get("HTTP_X_AMZ_TARGET"):
        body = json.dumps({"__type": code, "message": message}).encode()
        return line, [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)], body
    safe = message.replace("&", "&amp;").replace("<", "&lt;")
    body = (
        f"<ErrorResponse><Error><Code>{code}</Code><Message>{safe}</Message></Error>"
        "</ErrorResponse>"
    ).encode()
    return line, [("Content-Type", "text/xml")], body
