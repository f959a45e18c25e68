"""What the service reads from its environment and its command line: the whole list.

    HOST, PORT                          where to listen            127.0.0.1, 8000
    SERVICE_NAME, ENVIRONMENT           dimensions of the metrics  handbook, local
    RELEASE                             the release that this is   dev
    METRIC_NAMESPACE                    CloudWatch namespace       llmops
    CORPUS_URI                          path or s3://bucket/key    required
    BEARER_TOKENS                       the tokens, see auth.py    required, unless --no-auth
    BEARER_TOKENS_SECRET                or a secret, live_tokens.py none
    DATABASE_HOST, _PORT, _NAME         where answers are recorded none, 5432, handbook
    DATABASE_USER, DATABASE_PASSWORD    its credentials            required with DATABASE_HOST
    DATABASE_SECRET, DATABASE_AUTH      or others, see logins.py   none, password
    DATABASE_REFRESH_SECONDS            how often it is read       300
    DATABASE_SSLMODE                    as libpq's                 prefer; with iam require
    RELEASE_CONFIGURATION               JSON object of variables   {}
    BUNDLE_URI                          features and prompts       those of the package
    ANSWER_PROMPT                       version of the prompt      the default feature's
    ANSWER_SENTENCES, PASSAGES          how much is quoted, read   the default feature's
    PROVIDER_URL, PROVIDER_MODEL        a model words the answers  none, default
    PROMPT_PRICE, COMPLETION_PRICE      of a million tokens        prices.toml
    QUALITY_SAMPLE                      share of answers scored    1
    SCORER_URL, SCORER_MODEL            judging model's API, name  none
    SCORER_KEY                          its key                    none
    SCORER_SAMPLE                       share of answers it judges 0.1
    SCORER_TIMEOUT                      seconds for a call         10
    SCORER_PROMPT_PRICE, SCORER_COMPLETION_PRICE                   prices.toml
    SCORING_BUDGET_MICRO_USD            cap per release and day    1000000

BUNDLE_URI to COMPLETION_PRICE belong to a release: its `[configuration]` arrives in
RELEASE_CONFIGURATION, and a variable of its own goes before it. How answers are scored belongs to
the environment: two releases scored in different ways cannot be compared. Prices and the budget are
in micro-dollars. ANSWER_PROMPT to PROVIDER_MODEL change the default feature: with PROVIDER_URL the
model there is asked first, in place of the embedded answerer, whose answer it gets as a draft.

Each room of the service lists its own variables: `providers`, `routing`, `retrieval`, `limits`,
`cache`, `telemetry`, `jobs` and `evaluations`, each in its `settings.py`.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from llm_service import live_tokens
from llm_service.auth import Known, Tokens, TokensError
from llm_service.environ import SettingsError
from llm_service.environ import number as _number
from llm_service.environ import whole as _whole
from llm_service.logins import REFRESH, Auth
from llm_service.prices import Price, price

UNENCRYPTED = ("disable", "allow", "prefer")
"""Values of DATABASE_SSLMODE with which a connection may be in clear."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where answers are recorded; `host` may be the folder of a Unix socket. `secret` goes before
    `user` and `password`, and is read every `refresh` seconds."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    sslmode: str
    secret: str = field(default="", repr=False)
    refresh: float = REFRESH
    auth: Auth = "password"


@dataclass(frozen=True, slots=True)
class Scorer:
    """The language model that judges answers: `url` of its chat completions, what a call costs,
    the share of answers it judges, and what it may cost for one release in micro-dollars."""

    url: str
    model: str
    price: Price
    key: str = field(default="", repr=False)
    share: float = 0.1
    timeout: float = 10.0
    budget: float = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process; `tokens` None means that everyone may ask, `price` None that
    the model costs what the table says. `prompt`, `sentences`, `passages` and the provider's are
    laid over the bundle's default feature; None leaves it as it is. `environ` is where the rooms
    find their own."""

    corpus: str
    host: str = "127.0.0.1"
    port: int = 8000
    service: str = "handbook"
    environment: str = "local"
    release: str = "dev"
    namespace: str = "llmops"
    tokens: Known | None = None
    database: Database | None = None
    bundle: str | None = None
    prompt: str | None = None
    sentences: int | None = None
    passages: int | None = None
    provider_url: str | None = None
    provider_model: str = "default"
    price: Price | None = None
    quality_sample: float = 1.0
    scorer: Scorer | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


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
        bundle=environ.get("BUNDLE_URI") or None,
        prompt=environ.get("ANSWER_PROMPT") or None,
        sentences=_given(environ, "ANSWER_SENTENCES", 10),
        passages=_given(environ, "PASSAGES", 20),
        provider_url=environ.get("PROVIDER_URL") or None,
        provider_model=environ.get("PROVIDER_MODEL", "default"),
        price=_price(environ, ""),
        quality_sample=_number(environ, "QUALITY_SAMPLE", 1.0, 1.0),
        scorer=_scorer(environ),
        environ=environ,
    )


def _given(environ: Mapping[str, str], key: str, high: int) -> int | None:
    """The whole number in `key`, 1 to `high`; None if it is not set."""
    return _whole(environ, key, 1, 1, high) if environ.get(key, "").strip() else None


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


def _tokens(environ: Mapping[str, str]) -> Known:
    try:
        if live := live_tokens.from_environ(environ):
            return live
        return Tokens.parse(environ.get("BEARER_TOKENS", ""))
    except TokensError as error:
        alone = "" if environ.get("BEARER_TOKENS") else " To try it on this machine: --no-auth."
        raise SettingsError(f"{error}{alone}") from error


def _database(environ: Mapping[str, str]) -> Database | None:
    host = environ.get("DATABASE_HOST")
    if not host:
        return None
    secret, auth = environ.get("DATABASE_SECRET", ""), _auth(environ)
    needed = () if secret else ("DATABASE_USER", "DATABASE_PASSWORD")[: 1 if auth == "iam" else 2]
    missing = [key for key in needed if key not in environ]
    if missing:
        raise SettingsError(f"DATABASE_HOST is set without {' and '.join(missing)}: set them too.")
    return Database(
        host=host,
        port=_whole(environ, "DATABASE_PORT", 5432, 1, 65535),
        name=environ.get("DATABASE_NAME", "handbook"),
        user=environ.get("DATABASE_USER", ""),
        password=environ.get("DATABASE_PASSWORD", ""),
        sslmode=environ.get("DATABASE_SSLMODE") or ("require" if auth == "iam" else "prefer"),
        secret=secret,
        refresh=_number(environ, "DATABASE_REFRESH_SECONDS", REFRESH, 86_400, 1),
        auth=auth,
    )


def _auth(environ: Mapping[str, str]) -> Auth:
    auth = environ.get("DATABASE_AUTH") or "password"
    if auth == "password":
        return "password"
    if auth != "iam":
        raise SettingsError(f"DATABASE_AUTH is {auth!r}: set it to password or iam.")
    if environ.get("DATABASE_SECRET"):
        raise SettingsError("DATABASE_AUTH is iam and DATABASE_SECRET is set: set one of them.")
    if environ.get("DATABASE_SSLMODE") in UNENCRYPTED:
        raise SettingsError(
            "DATABASE_AUTH is iam, whose tokens are sent as they are: set DATABASE_SSLMODE to "
            "require, verify-ca or verify-full."
        )
    return "iam"


def _scorer(environ: Mapping[str, str]) -> Scorer | None:
    url = environ.get("SCORER_URL", "").rstrip("/")
    if not url:
        return None
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise SettingsError("SCORER_URL is no http(s) address: set it to https://HOST/v1.")
    model = environ.get("SCORER_MODEL")
    if not model:
        raise SettingsError("SCORER_URL is set without SCORER_MODEL: set it too.")
    cost = _price(environ, "SCORER_") or price(model)
    if cost is None:
        raise SettingsError(
            f"There is no price of {model}, so its budget could not be kept: set "
            "SCORER_PROMPT_PRICE and SCORER_COMPLETION_PRICE."
        )
    return Scorer(
        url=url if url.endswith("/chat/completions") else f"{url}/chat/completions",
        model=model,
        price=cost,
        key=environ.get("SCORER_KEY", ""),
        share=_number(environ, "SCORER_SAMPLE", 0.1, 1.0),
        timeout=_number(environ, "SCORER_TIMEOUT", 10.0, 60.0),
        budget=_number(environ, "SCORING_BUDGET_MICRO_USD", 1e6, 1e12),
    )


def _price(environ: Mapping[str, str], prefix: str) -> Price | None:
    """The price in {prefix}PROMPT_PRICE and {prefix}COMPLETION_PRICE; None if neither is set."""
    keys = (f"{prefix}PROMPT_PRICE", f"{prefix}COMPLETION_PRICE")
    given = [key for key in keys if environ.get(key)]
    if not given:
        return None
    if len(given) == 1:
        raise SettingsError(f"{given[0]} is set alone: set {' and '.join(keys)}.")
    return Price(*(_number(environ, key, 0.0, 1e12) for key in keys))
