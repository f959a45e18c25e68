"""Two users of a real PostgreSQL take turns; whoever is in use keeps its password."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pg8000.native  # type: ignore[import-untyped]
import pytest
from moto import mock_aws
from password_postgres import HOST, MASTER, PASSWORD, PasswordServer, password_postgres
from rotation_twin import STEPS, begin, event, rotate, schedule
from tls_proxy import authority, tls_proxy

from llmops_functions.rotate import database, postgres
from llmops_functions.rotate.database import DatabaseKeeper
from llmops_functions.rotate.postgres import Login, Server, session
from llmops_functions.rotate.steps import RotationError, take

NUMBERS = count()
FIRST = {"username": "handbook_a", "password": "first-password"}


@pytest.fixture(scope="module")
def running() -> Iterator[PasswordServer]:
    with password_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="us-east-1")


@pytest.fixture
def server(running: PasswordServer) -> Iterator[Server]:
    """A database of the test's own, without users of ours in the server."""
    name = f"test_{next(NUMBERS)}"
    with session(Server(HOST, running.port, "postgres"), Login(MASTER, PASSWORD)) as connection:
        connection.run(f"CREATE DATABASE {name}")
    yield Server(HOST, running.port, name)
    with session(Server(HOST, running.port, "postgres"), Login(MASTER, PASSWORD)) as connection:
        connection.run(f"DROP DATABASE {name} WITH (FORCE)")
        for role in ("handbook_a", "handbook_b", "handbook_iam", "rds_iam", "handbook"):
            connection.run(f"DROP ROLE IF EXISTS {role}")


@pytest.fixture
def arn(client: Any) -> str:
    made: str = client.create_secret(
        Name=f"database-{next(NUMBERS)}", SecretString=json.dumps({**FIRST, "note": "kept"})
    )["ARN"]
    schedule(made)
    return made


def keeper(server: Server, **given: Any) -> DatabaseKeeper:
    return DatabaseKeeper(server, lambda: Login(MASTER, PASSWORD), **given)


def function(client: Any, server: Server, **given: Any) -> Callable[[Any], None]:
    return lambda called: take(called, client, keeper(server, **given))


def held(client: Any, arn: str, stage: str = "AWSCURRENT") -> Login:
    found = client.get_secret_value(SecretId=arn, VersionStage=stage)
    return database.login(found["SecretString"])


def gets_in(server: Server, login: Login) -> bool:
    try:
        with session(server, login) as connection:
            return bool(connection.run("SELECT 1"))
    except RotationError as error:
        assert "password authentication failed" in str(error)
        return False


def test_the_new_user_and_the_old_one_are_valid_together(
    client: Any, server: Server, arn: str
) -> None:
    rotate(arn, function(client, server))
    new, old = held(client, arn), held(client, arn, "AWSPREVIOUS")
    assert (new.user, old) == ("handbook_b", Login("handbook_a", "first-password"))
    assert gets_in(server, new) and gets_in(server, old)


def test_the_secret_says_where_the_database_is_and_keeps_the_rest(
    client: Any, server: Server, arn: str
) -> None:
    rotate(arn, function(client, server))
    found = json.loads(
        client.get_secret_value(SecretId=arn, VersionStage="AWSCURRENT")["SecretString"]
    )
    assert {key: found[key] for key in ("engine", "host", "port", "dbname", "note")} == {
        "engine": "postgres",
        "host": HOST,
        "port": server.port,
        "dbname": server.database,
        "note": "kept",
    }


def test_they_take_turns_and_a_password_ends_with_the_rotation_after(
    client: Any, server: Server, arn: str
) -> None:
    call = function(client, server)
    rotate(arn, call)
    first_b = held(client, arn)
    rotate(arn, call)
    assert held(client, arn).user == "handbook_a"
    assert gets_in(server, first_b) and not gets_in(server, Login("handbook_a", "first-password"))
    rotate(arn, call)
    assert not gets_in(server, first_b) and gets_in(server, held(client, arn))


def test_what_one_of_them_makes_the_other_may_change(client: Any, server: Server, arn: str) -> None:
    call = function(client, server)
    rotate(arn, call)
    with session(server, held(client, arn)) as connection:
        connection.run("CREATE TABLE answers (id int)")
    rotate(arn, call)
    with session(server, held(client, arn)) as connection:
        connection.run("INSERT INTO answers VALUES (1)")
        connection.run("CREATE INDEX IF NOT EXISTS answers_id ON answers (id)")
        connection.run("ALTER TABLE answers ADD COLUMN question text")
        owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'answers'"
        assert connection.run(owner) == [["handbook"]]


@pytest.mark.parametrize("fails", STEPS)
def test_a_rotation_that_stops_before_a_step_leaves_the_user_in_use_alone(
    client: Any, server: Server, arn: str, fails: str
) -> None:
    call = function(client, server)
    rotate(arn, call)
    before, token = held(client, arn), begin(arn)
    for step in STEPS[: STEPS.index(fails)]:
        call(event(arn, token, step))
    assert held(client, arn) == before and gets_in(server, before)
    rotate(arn, call, token)
    assert held(client, arn) != before
    assert gets_in(server, held(client, arn)) and gets_in(server, before)


def test_each_step_may_be_taken_twice(client: Any, server: Server, arn: str) -> None:
    call, token = function(client, server), begin(arn)
    for step in STEPS:
        call(event(arn, token, step))
        call(event(arn, token, step))
    assert gets_in(server, held(client, arn))


def test_a_change_that_fails_halfway_is_undone(
    client: Any, server: Server, arn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate(arn, function(client, server))
    before, token = held(client, arn), begin(arn)
    call = function(client, server)
    call(event(arn, token, "createSecret"))
    previous = held(client, arn, "AWSPREVIOUS")

    def broken(*_: Any) -> None:
        raise RotationError("the connection broke")

    with monkeypatch.context() as patched:
        patched.setattr(postgres, "_act_as", broken)
        with pytest.raises(RotationError, match="broke"):
            call(event(arn, token, "setSecret"))
    assert gets_in(server, before) and gets_in(server, previous)


def test_a_master_who_cannot_get_in_changes_nothing(client: Any, server: Server, arn: str) -> None:
    rotate(arn, function(client, server))
    before = held(client, arn)
    wrong = DatabaseKeeper(server, lambda: Login(MASTER, "wrong"))
    with pytest.raises(RotationError, match=f"{MASTER} at {HOST}: password authentication failed"):
        rotate(arn, lambda called: take(called, client, wrong))
    assert held(client, arn) == before and gets_in(server, before)


def test_a_new_user_who_cannot_do_the_work_does_not_become_current(
    client: Any, server: Server, arn: str
) -> None:
    call = function(client, server)
    rotate(arn, call)
    before, token = held(client, arn), begin(arn)
    for step in STEPS[:2]:
        call(event(arn, token, step))
    with session(server, Login(MASTER, PASSWORD)) as connection:
        connection.run("ALTER ROLE handbook_a RESET role")
    with pytest.raises(RotationError, match="handbook_a acts as handbook_a"):
        call(event(arn, token, "testSecret"))
    assert held(client, arn) == before


def test_the_user_in_use_never_gets_a_new_password(server: Server) -> None:
    secret = json.dumps(FIRST)
    with pytest.raises(RotationError, match="handbook_a is in use"):
        keeper(server).set(json.dumps({**FIRST, "password": "new"}), secret)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ({"username": "handbook", "password": "x"}, "end in _a and _b: put handbook_a"),
        ({"username": "_a", "password": "x"}, "end in _a and _b"),
        ({"password": "x"}, "is not"),
        ("words", "is not"),
    ],
)
def test_a_secret_of_another_shape_is_said(server: Server, secret: Any, reason: str) -> None:
    with pytest.raises(RotationError, match=reason):
        keeper(server).create(secret if isinstance(secret, str) else json.dumps(secret), "token")


def test_the_masters_tables_become_the_groups_if_that_is_asked_for(
    client: Any, server: Server, arn: str
) -> None:
    with session(server, Login(MASTER, PASSWORD)) as connection:
        connection.run("CREATE TABLE old (id serial PRIMARY KEY, alone int)")
        connection.run("CREATE SEQUENCE alone")
        connection.run("CREATE VIEW seen AS SELECT id FROM old")
    rotate(arn, function(client, server))
    with (
        pytest.raises(RotationError, match="must be owner"),
        session(server, held(client, arn)) as connection,
    ):
        connection.run("ALTER TABLE old ADD COLUMN more int")
    rotate(arn, function(client, server, adopt=True))
    with session(server, held(client, arn)) as connection:
        connection.run("ALTER TABLE old ADD COLUMN more int")
        connection.run("INSERT INTO old (alone) VALUES (nextval('alone'))")
        assert connection.run("SELECT count(*) FROM seen") == [[1]]


def test_a_user_for_iam_tokens_is_kept(client: Any, server: Server, arn: str) -> None:
    with session(server, Login(MASTER, PASSWORD)) as connection:
        connection.run("CREATE ROLE rds_iam NOLOGIN")
    rotate(arn, function(client, server, iam_user="handbook_iam"))
    with session(server, Login(MASTER, PASSWORD)) as connection:
        rows = connection.run(
            "SELECT rolcanlogin, pg_has_role('handbook_iam', 'rds_iam', 'MEMBER'),"
            " pg_has_role('handbook_iam', 'handbook', 'SET') FROM pg_roles"
            " WHERE rolname = 'handbook_iam'"
        )
    assert rows == [[True, True, True]]


def test_iam_without_rds_says_what_to_turn_on(client: Any, server: Server, arn: str) -> None:
    with pytest.raises(RotationError, match="turn on IAM authentication"):
        rotate(arn, function(client, server, iam_user="handbook_iam"))


def test_no_statement_holds_a_password(
    client: Any, server: Server, arn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    plain = pg8000.native.Connection.run

    def heard(connection: Any, statement: str, **values: Any) -> Any:
        said.append(f"{statement} {values}")
        return plain(connection, statement, **values)

    monkeypatch.setattr(pg8000.native.Connection, "run", heard)
    rotate(arn, function(client, server))
    new, old = held(client, arn), held(client, arn, "AWSPREVIOUS")
    assert gets_in(server, new) and gets_in(server, old)
    assert len([each for each in said if "SCRAM-SHA-256$4096:" in each]) == 2
    assert not [each for each in said if new.password in each or old.password in each]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> str:
    """A name for this machine that is no loopback address's own."""
    plain = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **more: Any) -> Any:
        return plain("127.0.0.1" if host == "database.test" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return "database.test"


def test_the_servers_certificate_and_name_are_verified(
    running: PasswordServer, named: str, tmp_path: Path
) -> None:
    right, other = authority(tmp_path, named), authority(tmp_path, "elsewhere.test")
    master = Login(MASTER, PASSWORD)
    with tls_proxy(running.port, right) as port:
        trusting = Server(named, port, "handbook", str(right[0]))
        with session(trusting, master) as connection:
            assert connection.run("SELECT 1") == [[1]]
        doubting = Server(named, port, "handbook", str(other[0]))
        with (
            pytest.raises(RotationError, match="certificate verify failed"),
            session(doubting, master),
        ):
            pass
    with tls_proxy(running.port, other) as port:
        misled = Server(named, port, "handbook", str(other[0]))
        with pytest.raises(RotationError, match="Hostname mismatch"), session(misled, master):
            pass


def test_a_server_without_tls_never_hears_a_password(
    running: PasswordServer, named: str, tmp_path: Path
) -> None:
    bundle, _ = authority(tmp_path, named)
    with (
        tls_proxy(running.port, None) as port,
        pytest.raises(RotationError, match="refuses SSL"),
        session(Server(named, port, "handbook", str(bundle)), Login(MASTER, PASSWORD)),
    ):
        pass


def test_authorities_that_are_missing_are_said() -> None:
    with pytest.raises(RotationError, match="set DATABASE_CA_BUNDLE"):
        postgres.tls(Server("db.example.com", 5432, "handbook", "/nowhere/bundle.pem"))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_only_this_machine_goes_without_tls(host: str) -> None:
    assert postgres.tls(Server(host, 5432, "handbook")) is False
