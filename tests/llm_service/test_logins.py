"""The service's user in the database changes while it works, and no statement fails."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import botocore.session
import pytest
from password_postgres import HOST, MASTER, PASSWORD, PasswordServer, password_postgres

from llm_service.database import Away, Postgres, logins_of
from llm_service.environ import SettingsError
from llm_service.logins import (
    Fixed,
    FromIam,
    FromSecret,
    Login,
    Logins,
    LoginUnavailable,
    iam_signer,
)
from llm_service.settings import Database, read
from llmops_functions.rotate.database import DatabaseKeeper
from llmops_functions.rotate.postgres import Login as Master
from llmops_functions.rotate.postgres import Server

NUMBERS = count()
TABLE = "CREATE TABLE IF NOT EXISTS answers (id int)"
INSERT = "INSERT INTO answers VALUES ($1)"


@pytest.fixture(scope="module")
def server() -> Iterator[PasswordServer]:
    with password_postgres() as running:
        yield running


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Rotated:
    """A secret and a database whose users take turns, rotated by the project's own function."""

    def __init__(self, server: PasswordServer, database: str) -> None:
        self.group = f"app_{next(NUMBERS)}"
        self.database = database
        self.value = json.dumps({"username": f"{self.group}_a", "password": "first"})
        self.version = 0
        self.away = False
        self.readings = 0
        self._keeper = DatabaseKeeper(
            Server(HOST, server.port, database),
            lambda: Master(MASTER, PASSWORD),
            random=lambda: secrets.token_hex(8),
        )

    def rotate(self) -> None:
        """All steps, one after the other."""
        new = self._keeper.create(self.value, "token")
        self._keeper.set(new, self.value)
        self._keeper.check(new, self.value)
        self.value, self.version = new, self.version + 1

    def read(self) -> tuple[str, str]:
        """What Secrets Manager answers."""
        self.readings += 1
        if self.away:
            raise LoginUnavailable("Secrets Manager is away.")
        return f"version-{self.version}", self.value


@pytest.fixture
async def secret(server: PasswordServer) -> AsyncIterator[Rotated]:
    rotated = Rotated(server, await server.database(f"logins_{next(NUMBERS)}"))
    rotated.rotate()
    yield rotated


def place(server: PasswordServer, database: str) -> Database:
    return Database(HOST, server.port, database, "", "", "disable")


@asynccontextmanager
async def pool(server: PasswordServer, database: str, logins: Logins) -> AsyncIterator[Postgres]:
    postgres = Postgres(place(server, database), (TABLE,), logins)
    try:
        yield postgres
    finally:
        await postgres.close()


async def test_a_user_rotated_twice_while_a_pool_is_in_use_loses_no_statement(
    server: PasswordServer, secret: Rotated
) -> None:
    clock = Clock()
    logins = FromSecret(secret.read, refresh=300, clock=clock)
    async with pool(server, secret.database, logins) as postgres:
        assert await postgres.connect()
        written: list[bool] = []
        done = asyncio.Event()

        async def work() -> None:
            while not done.is_set():
                written.append(await postgres.write(INSERT, [(len(written),)]))

        workers = [asyncio.create_task(work()) for _ in range(6)]
        for _ in range(2):
            await asyncio.to_thread(secret.rotate)
            clock.now += 301
            await _until(partial(_longer, written, len(written) + 50))
        done.set()
        await asyncio.gather(*workers)
        assert all(written) and len(written) > 100
        assert await postgres.row("SELECT count(*) FROM answers") == (len(written),)
        assert postgres.version == "version-3"


async def test_a_pool_two_rotations_behind_gets_in_at_its_first_refusal(
    server: PasswordServer, secret: Rotated
) -> None:
    clock = Clock()
    logins = FromSecret(secret.read, refresh=1e9, clock=clock)
    await logins.login()
    for _ in range(2):
        await asyncio.to_thread(secret.rotate)
    clock.now += 60
    async with pool(server, secret.database, logins) as postgres:
        assert await postgres.connect()
        assert await postgres.write(INSERT, [(1,)])
        assert postgres.version == "version-3"
    assert secret.readings == 2


async def test_after_a_rotation_no_connection_is_the_former_users(
    server: PasswordServer, secret: Rotated
) -> None:
    clock = Clock()
    logins = FromSecret(secret.read, refresh=300, clock=clock)
    async with pool(server, secret.database, logins) as postgres:
        assert await postgres.connect()
        (first,) = await _who(postgres)
        await asyncio.to_thread(secret.rotate)
        assert (await _who(postgres)) == {first}
        clock.now += 301
        await postgres.reachable()
        await _until(lambda: postgres.version == "version-2")
        assert not {first} & await _who(postgres, times=6)


async def test_while_the_secret_cannot_be_read_the_former_user_works_on(
    server: PasswordServer, secret: Rotated
) -> None:
    clock = Clock()
    logins = FromSecret(secret.read, refresh=300, clock=clock)
    async with pool(server, secret.database, logins) as postgres:
        assert await postgres.connect()
        await asyncio.to_thread(secret.rotate)
        secret.away = True
        clock.now += 301
        assert await postgres.write(INSERT, [(1,)])
        await _until(lambda: logins.failures == 1)
        assert await postgres.write(INSERT, [(2,)])
        assert postgres.version == "version-1"


async def test_a_login_that_stays_refused_is_not_read_again_and_again(
    server: PasswordServer, secret: Rotated
) -> None:
    secret.value = json.dumps({"username": f"{secret.group}_a", "password": "wrong"})
    logins = FromSecret(secret.read, refresh=1e9, clock=Clock())
    async with pool(server, secret.database, logins) as postgres:
        for _ in range(3):
            assert not await postgres.connect()
        assert postgres.state == "unreachable"
        with pytest.raises(Away):
            await postgres.row("SELECT 1")
    assert secret.readings == 1


@pytest.mark.parametrize("value", ["words", "{}", "[]", '{"username": "x"}'])
async def test_a_secret_of_another_shape_is_said_and_not_quoted(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    logins = FromSecret(lambda: ("version-1", value), clock=Clock())
    with pytest.raises(LoginUnavailable):
        await logins.login()
    assert "is not" in caplog.text and logins.failures == 1


async def test_a_login_is_read_once_for_all_who_were_refused_together(secret: Rotated) -> None:
    clock = Clock()
    logins = FromSecret(secret.read, clock=clock)
    old = await logins.login()
    clock.now += 60
    secret.value = json.dumps({"username": "x", "password": "y"})
    secret.version += 1
    answers = await asyncio.gather(*(logins.renewed(old) for _ in range(5)))
    assert all(answers) and secret.readings == 2


async def test_a_fixed_login_stays() -> None:
    logins = Fixed("me", "mine")
    login = await logins.login()
    assert login == Login("me", "mine") and "mine" not in repr(login)
    assert not await logins.renewed(login) and not await logins.changed()
    assert logins.version is None and not logins.due


async def test_iam_signs_every_login(server: PasswordServer) -> None:
    tokens = iter(["first-token", "second-token"])
    database = await server.database(f"iam_{next(NUMBERS)}")
    logins = FromIam("token_user", lambda: next(tokens))
    master = await server.connect(database)
    await master.execute("CREATE ROLE token_user LOGIN PASSWORD 'second-token'")
    await master.execute("GRANT CREATE ON SCHEMA public TO token_user")
    await master.close()
    async with pool(server, database, logins) as postgres:
        assert not await postgres.connect()
        assert await postgres.connect()
        assert postgres.version is None


def test_a_token_of_iam_names_the_server_and_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    token = iam_signer("db.example.com", 5432, "handbook_iam")()
    assert token.startswith("db.example.com:5432/?Action=connect&DBUser=handbook_iam&")
    assert "X-Amz-Expires=900" in token and "secret" not in token


def test_without_credentials_there_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    session = botocore.session.get_session()
    monkeypatch.setattr(session, "get_credentials", lambda: None)
    monkeypatch.setattr(botocore.session, "get_session", lambda: session)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(LoginUnavailable, match="no IAM token for handbook_iam"):
        iam_signer("db.example.com", 5432, "handbook_iam")()


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({"DATABASE_USER": "u", "DATABASE_PASSWORD": "p"}, Fixed),
        ({"DATABASE_SECRET": "arn"}, FromSecret),
        ({"DATABASE_AUTH": "iam", "DATABASE_USER": "u"}, FromIam),
    ],
)
def test_variables_say_who_logs_in(variables: Mapping[str, str], kind: type) -> None:
    assert isinstance(logins_of(database(variables)), kind)


def database(variables: Mapping[str, str]) -> Database:
    found = read(["--corpus", "x", "--no-auth"], {"DATABASE_HOST": "db", **variables}).database
    assert found is not None
    return found


def test_a_token_never_travels_in_clear() -> None:
    iam = {"DATABASE_AUTH": "iam", "DATABASE_USER": "u"}
    assert database(iam).sslmode == "require"
    assert database({**iam, "DATABASE_SSLMODE": "verify-full"}).sslmode == "verify-full"


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "without DATABASE_USER and DATABASE_PASSWORD"),
        ({"DATABASE_AUTH": "iam"}, "without DATABASE_USER: "),
        ({"DATABASE_AUTH": "ldap", "DATABASE_USER": "u"}, "password or iam"),
        ({"DATABASE_AUTH": "iam", "DATABASE_USER": "u", "DATABASE_SECRET": "s"}, "one of them"),
        (
            {"DATABASE_AUTH": "iam", "DATABASE_USER": "u", "DATABASE_SSLMODE": "prefer"},
            "verify-full",
        ),
        ({"DATABASE_SECRET": "s", "DATABASE_REFRESH_SECONDS": "0"}, "DATABASE_REFRESH_SECONDS"),
    ],
)
def test_mistakes_in_variables_are_said(variables: Mapping[str, str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        database(variables)


def _longer(written: list[bool], length: int) -> bool:
    return len(written) > length


async def _who(postgres: Postgres, times: int = 1) -> set[str]:
    rows = [await postgres.row("SELECT session_user::text") for _ in range(times)]
    return {str(row[0]) for row in rows}


async def _until(condition: Callable[[], Any], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
