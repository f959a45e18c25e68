"""What the runbooks ask of Secrets Manager, and of the tasks that use what it holds.

Labels are AWS's own: AWSCURRENT is what clients read, AWSPENDING what a rotation makes, AWSPREVIOUS
what was current before. No view holds a value; only `Vault.value` and `Vault.stage` touch one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from llmops_runbooks.coordinates import Coordinates
from llmops_runbooks.errors import UsageError
from llmops_runbooks.ports import Artifacts, Clock

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"
TOKENS, DATABASE = "tokens", "database"


@dataclass(frozen=True)
class Version:
    """One version of a secret that still has a label."""

    id: str
    labels: frozenset[str]
    created_at: datetime | None = None


@dataclass(frozen=True)
class SecretView:
    """A secret without its values. `rotates`: a function changes it by itself."""

    arn: str
    versions: tuple[Version, ...] = ()
    rotates: bool = False
    function: str = ""
    every_days: int | None = None
    rotated_at: datetime | None = None
    next_at: datetime | None = None

    def labelled(self, label: str) -> Version | None:
        """The version with a label."""
        return next((each for each in self.versions if label in each.labels), None)

    @property
    def unfinished(self) -> Version | None:
        """The version of a rotation that has not ended."""
        found = self.labelled(PENDING)
        return found if found and CURRENT not in found.labels else None


@dataclass(frozen=True)
class Holder:
    """A task that uses a secret. `version`: which one it says it holds; "": it was not asked."""

    task: str
    started_at: datetime | None
    version: str = ""


class Vault(Protocol):
    """Secrets Manager."""

    def look(self, arn: str) -> SecretView | None:
        """The secret, or None if there is none."""

    def value(self, arn: str, label: str = CURRENT) -> str | None:
        """The text of the version with that label, or None."""

    def stage(self, arn: str, value: str) -> str:
        """Stores a value as AWSPENDING; its version's id."""

    def promote(self, arn: str, version: str, before: str) -> None:
        """Moves AWSCURRENT from the version `before` ("": of none) to `version`."""

    def rotate(self, arn: str) -> str:
        """Starts a rotation by the secret's function, or takes up the one that has not ended; the
        id of the version it makes."""


class Fleet(Protocol):
    """The tasks of the service."""

    def reads_live(self, arn: str) -> bool | None:
        """Whether the service reads the secret itself (True) or ECS injects it when a task starts
        (False); None: the service does not use it."""

    def tasks(self) -> list[Holder]:
        """The tasks that run."""

    def says(self, kind: str) -> str | None:
        """Which version of `tokens` or `database` a task says it holds, by GET /readyz at the
        service's address; None: nobody could be asked."""


@dataclass(frozen=True)
class Secrets:
    """Everything that the runbooks of secrets need of one deployed service."""

    coordinates: Coordinates
    vault: Vault
    fleet: Fleet
    artifacts: Artifacts
    clock: Clock

    @property
    def names(self) -> dict[str, str]:
        """Name -> ARN of every secret the service has."""
        where = self.coordinates
        known = {TOKENS: where.token_secret_arn, DATABASE: where.database_secret_arn}
        return {name: arn for name, arn in {**known, **where.secrets}.items() if arn}

    def arn(self, name: str) -> str:
        """The secret of that name. Raises UsageError with the names there are."""
        try:
            return self.names[name]
        except KeyError:
            raise UsageError(
                f"The service has no secret '{name}'.",
                hint=f"It has {', '.join(sorted(self.names))}: llmops secrets status.",
            ) from None
