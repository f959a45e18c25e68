"""The secrets of a service: how old, which versions, when each changes next. Reads no value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from llmops_runbooks.secrets_port import CURRENT, Secrets, SecretView

DAY = 86_400.0


@dataclass(frozen=True)
class SecretStatus:
    """One secret. Ages and times to come are in days; None: not known, or never."""

    name: str
    arn: str
    found: bool
    rotation: str
    """`every N days`, `by hand`, or `off`: it had one."""
    version: str = ""
    age_days: float | None = None
    next_days: float | None = None
    unfinished: str = ""
    """The version of a rotation that has not ended."""
    overdue: bool = False
    holders: tuple[str, ...] = ()
    """Tasks that were given an older value when they started."""


@dataclass(frozen=True)
class SecretsStatus:
    """All of them."""

    environment: str
    secrets: tuple[SecretStatus, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def sound(self) -> bool:
        """Whether nothing is missing, unfinished or late."""
        return not any(not each.found or each.unfinished or each.overdue for each in self.secrets)


def status(cloud: Secrets) -> SecretsStatus:
    """Looks at every secret."""
    found = {name: cloud.vault.look(arn) for name, arn in cloud.names.items()}
    now = cloud.clock.now()
    return SecretsStatus(
        cloud.coordinates.environment,
        tuple(
            replace(_status(name, cloud.names[name], view, now), holders=_holders(cloud, view))
            for name, view in found.items()
        ),
    )


def _holders(cloud: Secrets, view: SecretView | None) -> tuple[str, ...]:
    """ECS gives a task the value that is current when it starts, and no later one."""
    current = view.labelled(CURRENT) if view else None
    if view is None or current is None or cloud.fleet.reads_live(view.arn) is not False:
        return ()
    made = current.created_at
    return tuple(
        task.task
        for task in cloud.fleet.tasks()
        if made is not None and task.started_at is not None and task.started_at < made
    )


def _status(name: str, arn: str, view: SecretView | None, now: datetime) -> SecretStatus:
    if view is None:
        return SecretStatus(name, arn, found=False, rotation="none")
    current, unfinished = view.labelled(CURRENT), view.unfinished
    age = _days(current.created_at, now) if current else None
    until = _days(now, view.next_at)
    return SecretStatus(
        name=name,
        arn=arn,
        found=True,
        rotation=_rotation(view),
        version=current.id if current else "",
        age_days=age,
        next_days=until,
        unfinished=unfinished.id if unfinished else "",
        overdue=view.rotates and until is not None and until < -1,
    )


def _rotation(view: SecretView) -> str:
    if view.rotates:
        return f"every {view.every_days} days" if view.every_days else "on a schedule"
    return "off" if view.function else "by hand"


def _days(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    return round((end - start).total_seconds() / DAY, 2)
