"""Who the service is to PostgreSQL: a user it was told, one that a secret names, or IAM's.

    DATABASE_USER, DATABASE_PASSWORD   a user and the password                          see below
    DATABASE_SECRET                    name or ARN of a secret, JSON {"username", "password"}
    DATABASE_REFRESH_SECONDS           how often that secret is read                    300
    DATABASE_AUTH                      `iam`: DATABASE_USER logs in with IAM's tokens   password

One of the three is needed with DATABASE_HOST. A secret may change while the service runs: whoever
is refused reads it again before it tries once more, and connections of a former user are given up
as soon as nobody uses them. A rotation leaves the former user valid until the next one, so no
statement fails meanwhile.

A token of IAM is a signed request that is good for 15 minutes and for one login; it is sent as the
password in clear, so the connection must be encrypted ("IAM database authentication" in the user
guide of Amazon RDS).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

logger = logging.getLogger("llm_service")

REFRESH = 300.0
EARLIEST = 1.0
"""Seconds between two readings that refused logins ask for."""
PREFIX = 8
"""Characters of a version's id that a person is shown."""

Auth = Literal["password", "iam"]


class LoginUnavailable(Exception):
    """There is no login to try; the message says why and quotes no secret."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user, the password, and which version of a secret they are; empty: of none."""

    user: str
    password: str = field(repr=False)
    version: str = ""


class Logins(Protocol):
    """Where logins come from."""

    async def login(self) -> Login:
        """The one to try. Raises LoginUnavailable."""
        ...

    async def renewed(self, refused: Login) -> bool:
        """Whether there is another one now that `refused` was refused."""
        ...

    async def changed(self) -> bool:
        """Looks again; whether connections made so far are of a former login."""
        ...

    @property
    def due(self) -> bool:
        """Whether it is time to look again."""
        ...

    @property
    def version(self) -> str | None:
        """Which version of a secret is in force; None where no secret is followed."""
        ...


class Fixed:
    """One login for as long as the process runs."""

    version = None
    due = False

    def __init__(self, user: str, password: str) -> None:
        self._login = Login(user, password)

    async def login(self) -> Login:
        """The login."""
        return self._login

    async def renewed(self, refused: Login) -> bool:
        """No: it does not change."""
        return False

    async def changed(self) -> bool:
        """No: it does not change."""
        return False


class FromIam:
    """A token of IAM for every login; `sign` makes one and may wait for credentials."""

    version = None
    due = False

    def __init__(self, user: str, sign: Callable[[], str]) -> None:
        self._user, self._sign = user, sign

    async def login(self) -> Login:
        """The user with a token made now."""
        return Login(self._user, await asyncio.to_thread(self._sign))

    async def renewed(self, refused: Login) -> bool:
        """No: a token that was just made is as good as the next."""
        return False

    async def changed(self) -> bool:
        """No: a connection lasts longer than the token it began with."""
        return False


class FromSecret:
    """The login of a secret's current version; `read` gives its id and its value and may block."""

    def __init__(
        self,
        read: Callable[[], tuple[str, str]],
        refresh: float = REFRESH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._refresh, self._clock = read, refresh, clock
        self._login: Login | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self.failures = 0

    @property
    def version(self) -> str:
        """The id of the version in force; empty before the first reading."""
        return self._login.version if self._login else ""

    async def login(self) -> Login:
        """The login read last; reads it where there is none."""
        if self._login is None:
            await self._again()
        if self._login is None:
            raise LoginUnavailable("The database's secret could not be read yet.")
        return self._login

    async def renewed(self, refused: Login) -> bool:
        """Reads once more, unless somebody else just did."""
        async with self._reading:
            if self._login == refused and self._clock() - self._read_at >= EARLIEST:
                await self._swap()
        return self._login is not None and self._login != refused

    @property
    def due(self) -> bool:
        """Whether the last reading is too long ago."""
        return self._clock() - self._read_at >= self._refresh

    async def changed(self) -> bool:
        """Reads the secret; whether that found another version."""
        before = self._login
        await self._again()
        return before is not None and self._login != before

    async def _again(self) -> None:
        async with self._reading:
            await self._swap()

    async def _swap(self) -> None:
        """The login there is stays where the reading fails."""
        self._read_at = self._clock()
        try:
            version, value = await asyncio.to_thread(self._read)
            table = json.loads(value)
            found = Login(str(table["username"]), str(table["password"]), version)
        except LoginUnavailable as error:
            self._failed(str(error))
            return
        except (ValueError, KeyError, TypeError):
            self._failed('The database\'s secret is not {"username": ..., "password": ...}.')
            return
        if self._login is None or found.version != self._login.version:
            logger.info("the database's user is %s, version %s", found.user, version[:PREFIX])
        self._login = found

    def _failed(self, why: str) -> None:
        self.failures += 1
        logger.error("%s The login read before stays.", why)


def secret_reader(secret: str) -> Callable[[], tuple[str, str]]:
    """Reads `secret` from AWS Secrets Manager; raises LoginUnavailable."""
    client: list[Any] = []

    def read() -> tuple[str, str]:
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if not client:
                config = Config(connect_timeout=1, read_timeout=2, retries={"max_attempts": 1})
                session = botocore.session.get_session()
                client.append(session.create_client("secretsmanager", config=config))
            found = client[0].get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")
            return str(found["VersionId"]), str(found.get("SecretString", ""))
        except (BotoCoreError, ClientError) as error:
            reason = type(error).__name__
            if isinstance(error, ClientError):
                reason = error.response.get("Error", {}).get("Code", reason)
            raise LoginUnavailable(f"The secret {secret} cannot be read: {reason}.") from None

    return read


def iam_signer(host: str, port: int, user: str) -> Callable[[], str]:
    """Signs logins with the credentials of whoever runs this; raises LoginUnavailable."""
    client: list[Any] = []

    def sign() -> str:
        import botocore.session
        from botocore.exceptions import BotoCoreError

        try:
            if not client:
                client.append(botocore.session.get_session().create_client("rds"))
            token: str = client[0].generate_db_auth_token(host, port, user)
        except BotoCoreError as error:
            reason = type(error).__name__
            raise LoginUnavailable(f"There is no IAM token for {user}: {reason}.") from None
        return token

    return sign
