"""RDS instances of engine `postgres` as real PostgreSQL servers; other engines stay moto's.

The endpoint is where the server really listens: 127.0.0.1 and a free port, whatever port was asked
for. A master password that RDS manages is random and in a real secret.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

import moto.rds.models as moto_rds
from moto.core.exceptions import ServiceException

from llmops_localcloud.postgres import Postgres, PostgresError, Server
from llmops_localcloud.processes import Ports

ENGINE = "postgres"
SECRET_PASSWORD_BYTES = 24


class ServerFailed(ServiceException):
    """The server of an instance did not start; AWS has no such error."""

    code = "InternalFailure"


class Databases:
    """Starts and stops the servers behind the instances."""

    def __init__(self, postgres: Postgres, ports: Ports) -> None:
        self.postgres = postgres
        self.ports = ports
        self._servers: dict[int, Server] = {}

    def start(self, instance: Any, password: str) -> Server:
        """Start the server of an instance. Raises ServerFailed."""
        port = self.ports.take()
        try:
            server = self.postgres.start(
                instance.db_instance_identifier,
                port,
                user=instance.master_username,
                password=password,
                database=instance.db_name or "",
            )
        except PostgresError as error:
            self.ports.give_back(port)
            raise ServerFailed(f"PostgreSQL: {error}") from error
        self._servers[port] = server
        return server

    def stop(self, server: Server) -> None:
        """Stop a server; its port is free again."""
        if self._servers.pop(server.port, None) is not None:
            self.postgres.stop(server)
            self.ports.give_back(server.port)

    def stop_all(self) -> None:
        """Stop every server."""
        for server in list(self._servers.values()):
            self.stop(server)


def install(postgres: Postgres, ports: Ports) -> Databases:
    """Make moto's RDS start PostgreSQL for the instances it makes."""
    databases = Databases(postgres, ports)
    models: Any = moto_rds
    plain: Any = moto_rds.DBInstance
    models.DBInstance = type("LocalInstance", (_Instance, plain), {"databases": databases})
    secret: Any = moto_rds.MasterUserSecret
    models.MasterUserSecret = type("LocalSecret", (_Secret, secret), {})
    _delete_with_server(databases)
    return databases


class _Secret:
    """Lies over moto's MasterUserSecret: the credentials are the server's, not moto's constant."""

    resource: Any

    def _generate_secret_string(self) -> str:
        password = getattr(self.resource, "managed_password", None) or _password()
        return json.dumps({"username": self.resource.master_username, "password": password})


class _Instance:
    """Lies over moto's DBInstance."""

    databases: Databases
    server: Server | None = None

    def __init__(self, backend: Any, **kwargs: Any) -> None:
        self.managed_password = _password()
        super().__init__(backend, **kwargs)  # type: ignore[call-arg]
        me: Any = self
        if me.engine != ENGINE or kwargs.get("source_db_instance_identifier"):
            return
        me.dbi_resource_id = "db-" + secrets.token_hex(13).upper()
        managed = me.manage_master_user_password
        self._current = self.managed_password if managed else str(kwargs["master_user_password"])
        self.server = self.databases.start(self, self._current)

    @property
    def address(self) -> str:
        """Where the server listens; moto's made-up name for other engines."""
        me: Any = self
        if self.server is not None:
            return "127.0.0.1"
        return f"{me.db_instance_identifier}.aaaaaaaaaa.{me.region}.rds.amazonaws.com"

    @property
    def port(self) -> int | None:
        """The port of the server, or the one asked for."""
        return self.server.port if self.server else self._asked_port

    @port.setter
    def port(self, value: int | None) -> None:
        self._asked_port = None if value is None else int(value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """ModifyDBInstance: a new master password is the server's too."""
        new = kwargs.get("master_user_password")
        super().update(*args, **kwargs)  # type: ignore[misc]
        me: Any = self
        if new and self.server is not None:
            postgres = self.databases.postgres
            postgres.set_password(self.server, me.master_username, self._current, str(new))
            self._current = str(new)


def _password() -> str:
    return secrets.token_urlsafe(SECRET_PASSWORD_BYTES)


def _delete_with_server(databases: Databases) -> None:
    backend: Any = moto_rds.RDSBackend
    plain = backend.delete_db_instance

    def delete_db_instance(self: Any, *args: Any, **kwargs: Any) -> Any:
        instance = plain(self, *args, **kwargs)
        if instance.server is not None:
            databases.stop(instance.server)
        return instance

    backend.delete_db_instance = delete_db_instance
