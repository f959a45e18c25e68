"""uvicorn's HTTP/1.1 over httptools, with refusals worded as all others are.

What is no HTTP never reaches an application, so uvicorn refuses it itself, in plain text; and a
request that ends before its body does is dropped without a word. Here both hear an error object.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from llm_service.errors import ApiError

NO_HTTP = "The request is no HTTP/1.1: check its request line, headers and body's framing."
CUT = "The request ended before its body did: send all of it."


class Protocol(HttpToolsProtocol):
    """One connection."""

    _reading = False

    def on_message_begin(self) -> None:
        self._reading = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._reading = False
        super().on_message_complete()

    def eof_received(self) -> None:
        """The client sends nothing more; it may still read."""
        if self._reading and not self._answering():
            self._refuse(CUT, "incomplete_request")

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP, unless an answer is on its way: its end then tells."""
        if self._answering():
            self.transport.close()
        else:
            self._refuse(NO_HTTP, "invalid_http")

    def _answering(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete

    def _refuse(self, sentence: str, code: str) -> None:
        body = ApiError(400, sentence, code=code).body()
        heads = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[400] + heads % len(body) + body)
        self.transport.close()
