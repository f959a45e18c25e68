"""`python -m llm_service` and `llm-service`: one process, one port, until SIGTERM.

SIGTERM closes the port, lets requests in flight finish and exits 0, as ECS expects of a task that
is stopped. uvicorn would end by the signal it caught (exit 143): it raises it again once it has
drained, and the handler set here before makes an exit code of that.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

import uvicorn
from fastapi import FastAPI

from llm_service import corpus
from llm_service.app import create_app
from llm_service.corpus import CorpusError
from llm_service.environ import SettingsError
from llm_service.prompts import PromptError
from llm_service.service import LoadCorpus
from llm_service.settings import read

USAGE = 2

BACKLOG = 2048

KEEP_ALIVE = 75
"""Seconds an idle connection stays open: longer than a load balancer's 60, so that it is never
this side that closes a connection which the balancer is just about to reuse (a lost request)."""

DRAIN = 20
"""Seconds for requests in flight after SIGTERM; with the ledger's flush below ECS's 30."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until a signal; returns the exit code."""
    signal.signal(signal.SIGTERM, _exit)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG
    try:
        settings = read(sys.argv[1:] if arguments is None else arguments, os.environ)
        app = create_app(settings, _corpus(settings.corpus))
        listening = _listen(settings.host, settings.port)
    except (SettingsError, CorpusError, PromptError) as error:
        print(error, file=sys.stderr)
        return USAGE
    with suppress(KeyboardInterrupt):  # Ctrl-C: uvicorn has drained before it raises it again
        uvicorn.Server(server_config(app)).run(sockets=[listening])
    return 0


def server_config(app: FastAPI) -> uvicorn.Config:
    """How the server treats connections; logs go where the process's do."""
    return uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN,
    )


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


def _corpus(uri: str) -> LoadCorpus:
    """How to load the corpus: a file now, so that a wrong path is told at once; S3 later and
    again, since a task may start before its bucket can be reached."""
    if uri.startswith("s3://"):
        return lambda: corpus.load(uri)
    documents = corpus.load(uri)
    return lambda: documents


def _exit(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
