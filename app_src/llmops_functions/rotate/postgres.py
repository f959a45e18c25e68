"""PostgreSQL as a rotation uses it: who may log in, and whose tables they work on.

Two users take turns and both act as one group role, so that neither owns anything: a table that
one of them makes belongs to the group, and the other one may change it. A role's own setting `role`
puts a session into the group from its first statement (ALTER ROLE ... SET role).

Passwords never travel: the server gets the SCRAM-SHA-256 verifier it would store (RFC 5802, RFC
7677; the text form is that of PostgreSQL's pg_authid), so that no log of statements holds one.

Connections are encrypted and the server's certificate and name are verified. Only on this machine,
where nothing leaves it, is there no TLS.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from llmops_functions.rotate.steps import RotationError

TIMEOUT = 8
"""Seconds for a connection or a statement."""
ITERATIONS = 4096
"""PostgreSQL's own number, scram_iterations."""
LOCK = 0x726F74617465
"""The advisory lock of a change of users."""
CA_BUNDLE = "/etc/pki/tls/cert.pem"
"""Where Lambda's managed runtimes keep the authorities they trust. RDS's are among them: "Using AWS
Lambda with Amazon RDS", SSL/TLS requirements; AWS's own rotation functions read the same file."""


@dataclass(frozen=True)
class Server:
    """A database and how its certificate is checked. `authorities`: path of a PEM bundle."""

    host: str
    port: int
    database: str
    authorities: str = CA_BUNDLE


@dataclass(frozen=True)
class Login:
    """A user and the password."""

    user: str
    password: str = field(repr=False)


@contextmanager
def session(server: Server, login: Login) -> Iterator[Any]:
    """A connection on which every statement is its own transaction. Raises RotationError, also for
    what goes wrong inside the block."""
    import pg8000.native  # type: ignore[import-untyped]

    try:
        with pg8000.native.Connection(
            login.user,
            host=server.host,
            port=server.port,
            database=server.database,
            password=login.password,
            timeout=TIMEOUT,
            ssl_context=tls(server),
            application_name="llmops-rotation",
        ) as connection:
            yield connection
    except (pg8000.Error, OSError) as error:
        raise RotationError(f"{login.user} at {server.host}: {_reason(error)}.") from error


def tls(server: Server) -> ssl.SSLContext | bool:
    """How the server is verified; False on this machine. Raises RotationError."""
    if _loopback(server.host):
        return False
    try:
        return ssl.create_default_context(cafile=server.authorities)
    except (OSError, ssl.SSLError):
        raise RotationError(
            f"{server.authorities} has no certificates to verify {server.host} with: set "
            "DATABASE_CA_BUNDLE to a file with those of RDS."
        ) from None


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    """What the server said, or the operating system."""
    said = error.args[0] if error.args else ""
    if isinstance(said, dict):
        return str(said.get("M", type(error).__name__))
    cause = error.__cause__ or error
    return str(cause).rstrip(".") or type(cause).__name__


@contextmanager
def change(connection: Any) -> Iterator[None]:
    """One transaction, one change of users at a time; what raises ends with the session, undone."""
    connection.run("BEGIN")
    connection.run("SELECT pg_advisory_xact_lock(:lock)", lock=LOCK)
    yield
    connection.run("COMMIT")


def exists(connection: Any, role: str) -> bool:
    """Whether there is a role of that name."""
    return bool(connection.run("SELECT 1 FROM pg_roles WHERE rolname = :name", name=role))


def ensure_group(connection: Any, group: str, database: str) -> None:
    """Makes the role that owns the service's tables, and lets it make them in schema `public`.

    Whoever makes it becomes a member: since PostgreSQL 16 that is no matter of course.
    """
    name = quoted(group)
    if not exists(connection, group):
        connection.run(f"CREATE ROLE {name} NOLOGIN")
    connection.run(f"GRANT {name} TO CURRENT_USER")
    connection.run(f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {quoted(database)} TO {name}")
    connection.run(f"GRANT USAGE, CREATE ON SCHEMA public TO {name}")


def ensure_user(connection: Any, login: Login, group: str) -> None:
    """Makes a user who acts as the group, or gives the one there is this password."""
    _make(connection, login.user)
    name = quoted(login.user)
    connection.run(f"ALTER ROLE {name} LOGIN PASSWORD '{verifier(login.password)}'")
    _act_as(connection, login.user, group)


def ensure_iam_user(connection: Any, user: str, group: str) -> None:
    """Makes a user whose password is an IAM token: a member of RDS's role `rds_iam`."""
    if not exists(connection, "rds_iam"):
        raise RotationError("The database has no role rds_iam: turn on IAM authentication.")
    _make(connection, user)
    connection.run(f"ALTER ROLE {quoted(user)} LOGIN")
    connection.run(f"GRANT rds_iam TO {quoted(user)}")
    _act_as(connection, user, group)


def _make(connection: Any, user: str) -> None:
    if not exists(connection, user):
        connection.run(f"CREATE ROLE {quoted(user)}")


def _act_as(connection: Any, user: str, group: str) -> None:
    connection.run(f"GRANT {quoted(group)} TO {quoted(user)}")
    connection.run(f"ALTER ROLE {quoted(user)} SET role TO {quoted(group)}")


def adopt(connection: Any, group: str) -> int:
    """Gives the group what the connected user owns in schema `public`; how many relations.

    An extension's stay with the extension, a column's sequence goes with its table.
    """
    rows = connection.run(OWNED)
    for name, kind in rows:
        connection.run(f"ALTER {KINDS[kind]} public.{quoted(name)} OWNER TO {quoted(group)}")
    return len(rows)


KINDS = {
    "r": "TABLE",
    "p": "TABLE",
    "f": "FOREIGN TABLE",
    "v": "VIEW",
    "m": "MATERIALIZED VIEW",
    "S": "SEQUENCE",
}
OWNED = """
SELECT relname, relkind::text FROM pg_class c
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
  AND relowner = (SELECT oid FROM pg_roles WHERE rolname = CURRENT_USER)
  AND NOT EXISTS (
    SELECT 1 FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid
      AND (deptype = 'e' OR relkind = 'S' AND deptype IN ('a', 'i'))
  )
ORDER BY relname
"""


def quoted(identifier: str) -> str:
    """An identifier as SQL has it."""
    return '"' + identifier.replace('"', '""') + '"'


def verifier(password: str, salt: bytes | None = None) -> str:
    """What PostgreSQL stores of an ASCII password under scram-sha-256. `salt`: default random."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    client = hashlib.sha256(_keyed(salted, b"Client Key")).digest()
    server = _keyed(salted, b"Server Key")
    encoded = [base64.b64encode(part).decode() for part in (salt, client, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def _keyed(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()
