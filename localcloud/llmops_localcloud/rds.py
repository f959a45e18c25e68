"""RDS instances of engine `postgres` and clusters of `aurora-postgresql` as real PostgreSQL; other
engines stay moto's.

The endpoint is where the server really listens: 127.0.0.1 and a free port, whatever port was asked
for. A cluster has one server, which is there with the cluster, and its instances, readers too, are
names of it. A master password that RDS manages is random and in a real secret.
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
CLUSTER_ENGINE = "aurora-postgresql"
HOST = "127.0.0.1"
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

    def start(self, name: str, user: str, password: str, database: str | None) -> Server:
        """Start a server. Raises ServerFailed."""
        port = self.ports.take()
        try:
            server = self.postgres.start(
                name, port, user=user, password=password, database=database or ""
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
    cluster: Any = moto_rds.DBCluster
    models.DBCluster = type("LocalCluster", (_Cluster, cluster), {"databases": databases})
    member: Any = moto_rds.DBInstanceClustered
    models.DBInstanceClustered = type("LocalMember", (_Member, member), {})
    secret: Any = moto_rds.MasterUserSecret
    models.MasterUserSecret = type("LocalSecret", (_Secret, secret), {})
    _carry_over(databases)
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
        self.server = self.databases.start(
            me.db_instance_identifier, me.master_username, self._current, me.db_name
        )

    @property
    def address(self) -> str:
        """Where the server listens; moto's made-up name for other engines."""
        me: Any = self
        if self.server is not None:
            return HOST
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


class _Cluster:
    """Lies over moto's DBCluster."""

    databases: Databases
    server: Server | None = None

    def __init__(self, backend: Any, **kwargs: Any) -> None:
        self.managed_password = _password()
        super().__init__(backend, **kwargs)  # type: ignore[call-arg]
        me: Any = self
        if me.engine != CLUSTER_ENGINE:
            return
        managed = me.manage_master_user_password
        self._current = self.managed_password if managed else str(kwargs["master_user_password"])
        self.server = self.databases.start(
            me.db_cluster_identifier, me.master_username, self._current, me.database_name
        )

    @property
    def endpoint(self) -> str:
        """Where the server listens; moto's made-up name for other engines."""
        name: str = super().endpoint  # type: ignore[misc]
        return HOST if self.server else name

    @property
    def reader_endpoint(self) -> str:
        """The same server."""
        name: str = super().reader_endpoint  # type: ignore[misc]
        return HOST if self.server else name

    @property
    def port(self) -> int:
        """The port of the server, or the one asked for."""
        return self.server.port if self.server else self._asked_port

    @port.setter
    def port(self, value: int) -> None:
        self._asked_port = int(value)

    def change_password(self, new: str) -> None:
        """A new master password is the server's too."""
        me: Any = self
        if self.server is not None:
            postgres = self.databases.postgres
            postgres.set_password(self.server, me.master_username, self._current, new)
            self._current = new


class _Member:
    """Lies over moto's DBInstanceClustered: its server is the cluster's."""

    server: Server | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        me: Any = self
        me.dbi_resource_id = "db-" + secrets.token_hex(13).upper()

    @property
    def address(self) -> str:
        """Where the cluster's server listens."""
        me: Any = self
        name: str = super().address  # type: ignore[misc]
        return HOST if me.cluster.server else name

    @property
    def port(self) -> int:
        """The port of the cluster's server; while moto makes it, nothing anybody sees."""
        cluster = getattr(self, "cluster", None)
        return int(cluster.port) if cluster else 0

    @port.setter
    def port(self, value: int | None) -> None:
        """The cluster decides."""


def _password() -> str:
    return secrets.token_urlsafe(SECRET_PASSWORD_BYTES)


def _carry_over(databases: Databases) -> None:
    """What is deleted stops its server; a new master password of a cluster is the server's."""
    backend: Any = moto_rds.RDSBackend
    plain = backend.delete_db_instance

    def delete_db_instance(self: Any, *args: Any, **kwargs: Any) -> Any:
        instance = plain(self, *args, **kwargs)
        if instance.server is not None:
            databases.stop(instance.server)
        return instance

    plain_deletion = backend.delete_db_cluster
    plain_change = backend.modify_db_cluster

    def delete_db_cluster(self: Any, *args: Any, **kwargs: Any) -> Any:
        cluster = plain_deletion(self, *args, **kwargs)
        if cluster.server is not None:
            databases.stop(cluster.server)
        return cluster

    def modify_db_cluster(self: Any, kwargs: dict[str, Any]) -> Any:
        new = kwargs.get("master_user_password")
        cluster = plain_change(self, kwargs)
        if new:
            cluster.change_password(str(new))
        return cluster

    backend.delete_db_instance = delete_db_instance
    backend.delete_db_cluster = delete_db_cluster
    backend.modify_db_cluster = modify_db_cluster
