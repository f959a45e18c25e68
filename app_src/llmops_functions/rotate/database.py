"""Rotates the user of a database: two take turns, `<group>_a` and `<group>_b`.

    MASTER_SECRET_ARN                       the master user's secret, only read     required
    DATABASE_HOST, _PORT, _NAME             where the database is                   required
    DATABASE_CA_BUNDLE                      authorities of its certificate          see postgres.py
    DATABASE_IAM_USER                       a user for IAM's tokens to keep         none
    ADOPT_TABLES                            `true`: the master's tables become the group's

Whoever is not in the secret's current version gets a new password and becomes current; the other
one keeps the old password until the rotation after, so that a client that read the secret a moment
ago still gets in. AWS calls this alternating users ("Rotation strategies" of the user guide of
Secrets Manager). The first rotation makes the group and both users.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmops_functions.rotate import postgres
from llmops_functions.rotate.postgres import Login, Server
from llmops_functions.rotate.steps import CURRENT, RotationError, take

OTHER = {"a": "b", "b": "a"}


def new_password() -> str:
    """192 random bits as hexadecimal digits: nothing that a URL or a shell would read."""
    return secrets.token_hex(24)


@dataclass(frozen=True)
class DatabaseKeeper:
    """Makes passwords. `master` reads the login of whoever may make users; `adopt` gives the group
    the master's tables; `iam_user` empty: none is kept."""

    server: Server
    master: Callable[[], Login]
    adopt: bool = False
    iam_user: str = ""
    random: Callable[[], str] = new_password

    def create(self, current: str, token: str) -> str:
        """The other user with a new password; everything else in the secret stays."""
        held = login(current)
        group, turn = _turn(held.user)
        return json.dumps(
            {
                **json.loads(current),
                "engine": "postgres",
                "host": self.server.host,
                "port": self.server.port,
                "dbname": self.server.database,
                "username": f"{group}_{OTHER[turn]}",
                "password": self.random(),
            }
        )

    def set(self, pending: str, current: str) -> None:
        """Gives the new user its password. The user in use is made if there is none, else left."""
        new, held = login(pending), login(current)
        group, _ = _turn(new.user)
        if new.user == held.user:
            raise RotationError(f"{new.user} is in use: its password is not changed.")
        with (
            postgres.session(self.server, self.master()) as connection,
            postgres.change(connection),
        ):
            postgres.ensure_group(connection, group, self.server.database)
            if not postgres.exists(connection, held.user):
                postgres.ensure_user(connection, held, group)
            postgres.ensure_user(connection, new, group)
            if self.iam_user:
                postgres.ensure_iam_user(connection, self.iam_user, group)
            if self.adopt:
                postgres.adopt(connection, group)

    def check(self, pending: str, current: str) -> None:
        """The new user must get in, act as the group and be able to make tables."""
        new = login(pending)
        group, _ = _turn(new.user)
        with postgres.session(self.server, new) as connection:
            [[acts_as, may]] = connection.run(
                "SELECT current_user::text, has_schema_privilege('public', 'CREATE')"
            )
        if acts_as != group or not may:
            raise RotationError(
                f"{new.user} acts as {acts_as} and may{'' if may else ' not'} make tables; it "
                f"should act as {group} and may: grant {group} what it lacks."
            )

    def finish(self, token: str) -> None:
        """Nothing more: clients read the secret again when they are refused, or after a while."""


def login(secret: str) -> Login:
    """The user in the secret. Raises RotationError."""
    try:
        found = json.loads(secret)
        return Login(str(found["username"]), str(found["password"]))
    except (ValueError, KeyError, TypeError):
        raise RotationError(
            'The database secret is not {"username": ..., "password": ...}.'
        ) from None


def _turn(user: str) -> tuple[str, str]:
    group, _, turn = user.rpartition("_")
    if not group or turn not in OTHER:
        raise RotationError(
            f"The database user is {user}; the two that take turns end in _a and _b: put "
            f"{user}_a into the secret."
        )
    return group, turn


def _keeper(environ: Mapping[str, str], client: Any) -> DatabaseKeeper:
    def master() -> Login:
        arn = environ["MASTER_SECRET_ARN"]
        found = client.get_secret_value(SecretId=arn, VersionStage=CURRENT)
        return login(found["SecretString"])

    server = Server(
        environ["DATABASE_HOST"], int(environ["DATABASE_PORT"]), environ["DATABASE_NAME"]
    )
    bundle = environ.get("DATABASE_CA_BUNDLE")
    return DatabaseKeeper(
        server=replace(server, authorities=bundle) if bundle else server,
        master=master,
        adopt=environ.get("ADOPT_TABLES") == "true",
        iam_user=environ.get("DATABASE_IAM_USER", ""),
    )


def handler(event: Mapping[str, Any], context: object) -> None:
    """What Lambda calls."""
    import boto3

    client = boto3.client("secretsmanager")
    take(event, client, _keeper(os.environ, client))
