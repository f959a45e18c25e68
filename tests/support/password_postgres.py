"""A PostgreSQL that asks for passwords, on a port of 127.0.0.1: its master is no superuser, as on
RDS."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from llmops_localcloud.postgres import Postgres, Server
from llmops_localcloud.processes import Ports, ProcessRegistry

MASTER, PASSWORD = "llmops", "master-password"
HOST = "127.0.0.1"


@dataclass(frozen=True)
class PasswordServer:
    """A running server and who may make users in it."""

    server: Server

    @property
    def port(self) -> int:
        return self.server.port

    async def connect(
        self, database: str, user: str = MASTER, password: str = PASSWORD
    ) -> asyncpg.Connection[Any]:
        """A connection; raises what asyncpg raises."""
        return await asyncpg.connect(
            host=HOST,
            port=self.port,
            user=user,
            password=password,
            database=database,
            ssl=False,
        )

    async def database(self, name: str) -> str:
        """A new database that the master owns."""
        connection = await self.connect("postgres")
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()
        return name


@contextmanager
def password_postgres() -> Iterator[PasswordServer]:
    """A server, gone at the end of the block."""
    root = Path(tempfile.mkdtemp(prefix="pg-", dir=os.environ.get("TMPDIR")))
    root.chmod(0o755)
    postgres = Postgres(root, ProcessRegistry(root))
    server = postgres.start(
        "test", Ports().take(), user=MASTER, password=PASSWORD, database="handbook"
    )
    try:
        yield PasswordServer(server)
    finally:
        postgres.stop(server)
        shutil.rmtree(root, ignore_errors=True)
