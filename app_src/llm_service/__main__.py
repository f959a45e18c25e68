"""`python -m llm_service` and `llm-service`: one process, one port, until SIGTERM.

SIGTERM closes the port, lets requests in flight finish and exits 0, as ECS expects of a task that
is stopped. uvicorn would end by the signal it caught (exit 143): it raises it again once it has
drained, and the handler set here before makes an exit code of that.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from types import FrameType
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from llm_service import corpus
from llm_service.app import create_app
from llm_service.bundle import BundleError
from llm_service.corpus import CorpusError, Document
from llm_service.environ import SettingsError
from llm_service.protocol import Protocol
from llm_service.service import LoadCorpus, Service
from llm_service.settings import read

logger = logging.getLogger("llm_service")

USAGE = 2

BACKLOG = 2048

LOOP: Literal["asyncio", "uvloop"] = "asyncio" if sys.platform == "win32" else "uvloop"

KEEP_ALIVE = 75
"""Seconds an idle connection stays open: longer than a load balancer's 60, so that it is never
this side that closes a connection which the balancer is just about to reuse (a lost request)."""

DRAIN = 20
"""Seconds for requests in flight after SIGTERM; with the ledger's flush below ECS's 30."""

GARBAGE = (10_000, 2, 2)
"""New objects between two looks for garbage, then such looks: requests under way are no garbage,
and looking at them 15 times as often (Python's own 700) takes a tenth of the processor's time. What
was there at the start is never looked at, so that the two longer looks are cheap; put off, they
would leave closed connections in memory for long, some 10 KB each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until a signal; returns the exit code. `worker` does jobs instead."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's library starts one per core
    if given[:1] == ["worker"]:
        from llm_service.jobs.process import main as work

        return work(given[1:])
    signal.signal(signal.SIGTERM, _exit)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        _assert_fast()
        settings = read(given, os.environ)
        app = create_app(settings, corpus_of(settings.corpus))
        listening = _listen(settings.host, settings.port)
    except (SettingsError, CorpusError, BundleError) as error:
        print(error, file=sys.stderr)
        return USAGE
    with suppress(KeyboardInterrupt):  # Ctrl-C: uvicorn has drained before it raises it again
        Server(server_config(app)).run(sockets=[listening])
    return 0


class Server(uvicorn.Server):
    """uvicorn's; it says where it listens, and what is there before the first request is no concern
    of the garbage collector."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or ():
            logger.info("Listening on %s", _address(listening))
        gc.set_threshold(*GARBAGE)
        gc.freeze()


def configured(arguments: Sequence[str], environ: Mapping[str, str]) -> Service:
    """A service without a port, not started. Raises SettingsError, CorpusError and BundleError."""
    settings = read([*arguments, "--port", "0"], environ)
    return Service(settings, corpus_of(settings.corpus))


def server_config(app: ASGIApp) -> uvicorn.Config:
    """How the server treats connections; logs go where the process's do."""
    return uvicorn.Config(
        app,
        loop=LOOP,
        http=Protocol,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN,
    )


def _assert_fast() -> None:
    """Raises SettingsError where the event loop or the HTTP parser is missing that the service is
    measured with: without them it would answer at half the speed and nobody would know why."""
    missing = [
        name for name in ("uvloop", "httptools") if LOOP == "uvloop" and find_spec(name) is None
    ]
    if missing:
        raise SettingsError(f"{' and '.join(missing)} is not installed: install llm-service anew.")


def _listen(host: str, port: int) -> socket.socket:
    """The bound socket: an address that is taken is told in one sentence, not by uvicorn."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise SettingsError(
            f"Port {port} of {host} cannot be listened on ({reason}): choose another."
        ) from error


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def corpus_of(uri: str) -> LoadCorpus:
    """How to load the corpus: a file now, so that a wrong path is told at once; S3 later and
    again, since a task may start before its bucket can be reached."""
    if uri.startswith("s3://"):
        return lambda: corpus.load(uri)
    first: list[list[Document]] = [corpus.load(uri)]
    return lambda: first.pop() if first else corpus.load(uri)


def _exit(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
