"""Tokens that follow a secret in AWS Secrets Manager while the service runs.

    BEARER_TOKENS_SECRET     name or ARN of the secret; goes before BEARER_TOKENS    none
    TOKENS_REFRESH_SECONDS   how often it is read                                    300

A thread reads the secret's current and previous versions and swaps all tokens at once; what cannot
be read or is malformed changes nothing. Of a name's tokens at most two are valid: those of the
current version, then the newest of the previous version, if there is room. So a rotation that
writes a new value loses nobody who still has the old one, and one that ends with the new value
written twice, or with `previous` empty, ends the old one.

Whoever comes with a token that is made since the last reading is a stranger; for strangers `late`
reads once more, at most every EARLIEST seconds for all of them together, and they wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from llm_service.auth import AT_ONCE, Holder, Principal, Tokens, TokensError, holders
from llm_service.environ import number
from llm_service.errors import unavailable

logger = logging.getLogger("llm_service")

REFRESH = 300.0
RETRY = 2.0
"""Seconds between two attempts before the first reading came through."""
EARLIEST = 5.0
"""Seconds between two readings, however many strangers come."""
PATIENCE = 1.0
"""Seconds that a stranger waits for a reading."""
STRANGERS = 100
"""Strangers that wait at once; the others are refused as they are."""

Waiting = asyncio.Future[None]


class Version(NamedTuple):
    """One version of the secret."""

    id: str
    secret: str


class Versions(NamedTuple):
    """What Secrets Manager holds; `previous` None before the first rotation."""

    current: Version
    previous: Version | None


Read = Callable[[], Versions]


class LiveTokens:
    """The tokens of the secret that `read` reads, from `start` to `stop`."""

    def __init__(
        self,
        read: Read,
        refresh: float = REFRESH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._refresh, self._clock = read, refresh, clock
        self._tokens: Tokens | None = None
        self._wanted = threading.Condition()
        self._hurry = self._reading = self._stopped = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, Waiting]] = []
        self._read_at = float("-inf")
        self._thread: threading.Thread | None = None
        self.failures = 0

    def start(self) -> None:
        """Begins to read, in a thread."""
        self._thread = threading.Thread(target=self._run, name="tokens", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends; a reading under way is not waited for."""
        with self._wanted:
            self._stopped = True
            self._wanted.notify_all()

    @property
    def ready(self) -> bool:
        """Whether the secret has been read."""
        return self._tokens is not None

    @property
    def version(self) -> str:
        """The id of the secret's version in force; empty before the first reading."""
        return self._tokens.version if self._tokens else ""

    def principal(self, header: str | None) -> Principal | None:
        """Who sent this Authorization header. Raises ApiError 503 before the first reading."""
        tokens = self._tokens
        if tokens is None:
            raise unavailable("The tokens are still being read")
        return tokens.principal(header)

    def allow(self, header: str | None) -> bool:
        """Whether the Authorization header is `Bearer` and one of the tokens."""
        return self.principal(header) is not None

    async def late(self, header: str | None) -> Principal | None:
        """Who sent this Authorization header, after a reading if one is due."""
        if header is None or not self._due() or len(self._waiting) >= STRANGERS:
            return self.principal(header)
        loop = asyncio.get_running_loop()
        read: asyncio.Future[None] = loop.create_future()
        with self._wanted:
            self._waiting.append((loop, read))
            self._hurry = not self._reading
            self._wanted.notify_all()
        with suppress(TimeoutError):
            await asyncio.wait_for(read, PATIENCE)
        return self.principal(header)

    def state(self) -> dict[str, Any]:
        """How it stands, for a person."""
        return {"version": self.version, "failures": self.failures}

    def refresh(self) -> None:
        """Reads the secret and swaps the tokens; keeps those it has where that fails."""
        self._read_at = self._clock()
        try:
            versions = self._read()
            tokens = merged(versions)
        except TokensError as error:
            self.failures += 1
            logger.error("%s The tokens read before stay valid.", error)
            return
        if tokens.version != self.version:
            logger.info("the bearer tokens are those of version %s", tokens.version)
        self._tokens = tokens

    def _due(self) -> bool:
        soon = self._hurry or self._reading
        return soon or self._clock() - self._read_at >= EARLIEST

    def _run(self) -> None:
        while not self._stopped:
            with self._wanted:
                self._hurry, self._reading = False, True
            self.refresh()
            with self._wanted:
                self._reading = False
                waiting, self._waiting = self._waiting, []
                self._tell(waiting)
                seconds = self._refresh if self.ready else RETRY
                self._wanted.wait_for(lambda: self._hurry or self._stopped, seconds)

    def _tell(self, waiting: Sequence[tuple[asyncio.AbstractEventLoop, Waiting]]) -> None:
        for loop, read in waiting:
            with suppress(RuntimeError):  # the loop is closed: the process ends
                loop.call_soon_threadsafe(_done, read)


def _done(read: Waiting) -> None:
    if not read.done():
        read.set_result(None)


def merged(versions: Versions) -> Tokens:
    """The tokens of both versions. Raises TokensError where the current one is malformed."""
    now = holders(versions.current.secret)
    before = _held(versions.previous)
    return Tokens.of(
        [_with(holder, before.get(name)) for name, holder in now.items()], versions.current.id
    )


def _held(version: Version | None) -> dict[str, Holder]:
    try:
        return holders(version.secret) if version else {}
    except TokensError:
        return {}


def _with(holder: Holder, before: Holder | None) -> Holder:
    if before is None:
        return holder
    digests = dict.fromkeys((*holder.digests, before.digests[0]))
    return Holder(holder.principal, tuple(digests)[:AT_ONCE])


def reader(secret: str) -> Read:
    """Reads `secret` from AWS Secrets Manager, with the credentials of whoever runs this."""
    client: list[Any] = []

    def read() -> Versions:
        import botocore.session  # 0.3 s, in the thread
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if not client:
                config = Config(connect_timeout=3, read_timeout=5, retries={"max_attempts": 2})
                session = botocore.session.get_session()
                client.append(session.create_client("secretsmanager", config=config))
            return _versions(client[0], secret)
        except (BotoCoreError, ClientError) as error:
            reason = type(error).__name__
            if isinstance(error, ClientError):
                reason = error.response.get("Error", {}).get("Code", reason)
            raise TokensError(f"The secret {secret} cannot be read: {reason}.") from None

    return read


def _versions(client: Any, secret: str) -> Versions:
    current = client.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")
    try:
        previous = client.get_secret_value(SecretId=secret, VersionStage="AWSPREVIOUS")
    except client.exceptions.ResourceNotFoundException:
        previous = None
    return Versions(_version(current), _version(previous) if previous else None)


def _version(answer: Mapping[str, Any]) -> Version:
    return Version(str(answer["VersionId"]), str(answer.get("SecretString", "")))


def from_environ(environ: Mapping[str, str]) -> LiveTokens | None:
    """The tokens that BEARER_TOKENS_SECRET names, None if it is not set. Raises SettingsError."""
    secret = environ.get("BEARER_TOKENS_SECRET")
    if not secret:
        return None
    return LiveTokens(reader(secret), number(environ, "TOKENS_REFRESH_SECONDS", REFRESH, 86_400, 1))
