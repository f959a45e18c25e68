"""What the service reads from its environment and its command line: the whole list.

    HOST, PORT                          where to listen            127.0.0.1, 8000
    SERVICE_NAME, ENVIRONMENT           dimensions of the metrics  handbook, local
    RELEASE                             the release that this is   dev
    METRIC_NAMESPACE                    CloudWatch namespace       llmops
    CORPUS_URI                          path or s3://bucket/key    required
    BEARER_TOKENS                       {"current", "previous"}    required, unless --no-auth
    DATABASE_HOST, _PORT, _NAME         where answers are recorded none, 5432, handbook
    DATABASE_USER, DATABASE_PASSWORD    its credentials            required with DATABASE_HOST
    DATABASE_SSLMODE                    as libpq's                 prefer
    RELEASE_CONFIGURATION               JSON object of variables   {}
    ANSWER_PROMPT                       version of the prompt      1.0.0
    ANSWER_SENTENCES, PASSAGES          how much is quoted, read   2, 4

The last three belong to a release: its `[configuration]` arrives in RELEASE_CONFIGURATION, and a
variable of its own goes before it.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llm_service.auth import Tokens, TokensError


class SettingsError(Exception):
    """One sentence for whoever starts the service: what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where answers are recorded; `host` may be the folder of a Unix socket."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    sslmode: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process; `tokens` None means that everyone may ask."""

    corpus: str
    host: str = "127.0.0.1"
    port: int = 8000
    service: str = "handbook"
    environment: str = "local"
    release: str = "dev"
    namespace: str = "llmops"
    tokens: Tokens | None = None
    database: Database | None = None
    prompt: str = "1.0.0"
    sentences: int = 2
    passages: int = 4


def read(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """The settings of a process started with `arguments`; flags go before variables.

    Raises SettingsError, and SystemExit as argparse does (2 for an unknown flag).
    """
    flags = _flags(arguments)
    environ = {**_of_the_release(environ), **environ}
    host = flags.host or environ.get("HOST") or "127.0.0.1"
    corpus = flags.corpus or environ.get("CORPUS_URI")
    if not corpus:
        raise SettingsError("There is no corpus: give --corpus FILE or set CORPUS_URI.")
    return Settings(
        corpus=corpus,
        host=host,
        port=flags.port if flags.port is not None else _whole(environ, "PORT", 8000, 0, 65535),
        service=environ.get("SERVICE_NAME", "handbook"),
        environment=environ.get("ENVIRONMENT", "local"),
        release=environ.get("RELEASE", "dev"),
        namespace=environ.get("METRIC_NAMESPACE", "llmops"),
        tokens=None if flags.no_auth and _loopback_only(host) else _tokens(environ),
        database=_database(environ),
        prompt=environ.get("ANSWER_PROMPT", "1.0.0"),
        sentences=_whole(environ, "ANSWER_SENTENCES", 2, 1, 10),
        passages=_whole(environ, "PASSAGES", 4, 1, 20),
    )


def _of_the_release(environ: Mapping[str, str]) -> dict[str, str]:
    try:
        found = json.loads(environ.get("RELEASE_CONFIGURATION") or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SettingsError("RELEASE_CONFIGURATION is not a JSON object: set it to one.")
    return {str(key): str(value) for key, value in found.items()}


def _flags(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="llm-service", description="Answer questions from a corpus over an OpenAI API."
    )
    parser.add_argument("--corpus", metavar="FILE", help="JSON lines of {id, title, text}")
    parser.add_argument("--host", help="address to listen on (HOST, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (PORT, 8000; 0: a free one)")
    parser.add_argument(
        "--no-auth", action="store_true", help="ask for no token; on a loopback address only"
    )
    return parser.parse_args(arguments)


def _loopback_only(host: str) -> bool:
    """True; raises SettingsError for an address that other machines could reach."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise SettingsError(
            f"--no-auth on {host} would let anyone in: listen on 127.0.0.1 or set BEARER_TOKENS."
        )
    return True


def _tokens(environ: Mapping[str, str]) -> Tokens:
    try:
        return Tokens.parse(environ.get("BEARER_TOKENS", ""))
    except TokensError as error:
        raise SettingsError(str(error)) from error


def _database(environ: Mapping[str, str]) -> Database | None:
    host = environ.get("DATABASE_HOST")
    if not host:
        return None
    missing = [key for key in ("DATABASE_USER", "DATABASE_PASSWORD") if key not in environ]
    if missing:
        raise SettingsError(f"DATABASE_HOST is set without {' and '.join(missing)}: set them too.")
    return Database(
        host=host,
        port=_whole(environ, "DATABASE_PORT", 5432, 1, 65535),
        name=environ.get("DATABASE_NAME", "handbook"),
        user=environ["DATABASE_USER"],
        password=environ["DATABASE_PASSWORD"],
        sslmode=environ.get("DATABASE_SSLMODE", "prefer"),
    )


def _whole(environ: Mapping[str, str], key: str, default: int, low: int, high: int) -> int:
    text = environ.get(key, "").strip() or str(default)
    if not text.isdecimal() or not low <= int(text) <= high:
        raise SettingsError(f"{key} is {text!r}: set it to a whole number from {low} to {high}.")
    return int(text)
