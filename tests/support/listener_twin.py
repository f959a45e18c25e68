"""A load balancer's listener with one release behind it: real HTTP on 127.0.0.1."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "secret-of-the-service"
"""What the token secret holds."""


class Listener:
    """Answers chat completions by `reply`: question -> text, or (status, text)."""

    def __init__(self, release: str, reply: Callable[[str], Any]) -> None:
        self.release, self.reply = release, reply
        self.asked: list[str] = []
        self.connections: set[Any] = set()
        self.drops = 0
        """How many requests are dropped without an answer, from now on."""
        self.url = ""
        self.lock = threading.Lock()


@contextmanager
def serving(listener: Listener) -> Iterator[Listener]:
    """The listener, listening."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(listener))
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
    thread.start()
    listener.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(listener: Listener) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            question = body["messages"][0]["content"]
            with listener.lock:
                listener.asked.append(question)
                listener.connections.add(self.client_address)
                dropped = listener.drops > 0
                listener.drops -= dropped
            if dropped:
                self.close_connection = True
                return
            assert (self.path, body["stream"]) == ("/v1/chat/completions", False)
            allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
            given = listener.reply(question) if allowed else (401, "")
            status, text = given if isinstance(given, tuple) else (200, given)
            self._send(status, json.dumps({"choices": [{"message": {"content": text}}]}))

        def _send(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("x-llmops-release", listener.release)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    return Handler
