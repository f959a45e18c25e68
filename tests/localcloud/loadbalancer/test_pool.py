"""A pooled connection that its target closed is not used again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from llmops_localcloud.loadbalancer.pool import new_session

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Closing:
    """A server that answers one request per connection and closes when told."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.close_now, self.closed = threading.Event(), threading.Event()
        self.accepted = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            with peer:
                peer.recv(65536)
                peer.sendall(ANSWER)
                self.close_now.wait(5)
            self.closed.set()

    def stop(self) -> None:
        self.close_now.set()
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Closing]:
    closing = Closing()
    yield closing
    closing.stop()


async def test_a_connection_closed_behind_the_event_loops_back_is_replaced(server: Closing) -> None:
    url = f"http://127.0.0.1:{server.port}/"
    async with new_session() as session:
        async with session.get(url) as answer:
            assert await answer.read() == b"ok"
        server.close_now.set()
        server.closed.wait(5)  # blocks the loop on purpose: it cannot have noticed
        async with session.post(url, data=b"x") as answer:
            assert await answer.read() == b"ok"
    assert server.accepted == 2
