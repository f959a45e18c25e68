"""Between the engine's lock and the ports: what was observed, and what is asked to be done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from llmops_localcloud.ecs.model import Address
from llmops_localcloud.ports import TargetHealth, TaskView, World

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Wanted:
    """What a tick has to look at."""

    tasks: frozenset[str]
    target_groups: frozenset[str]
    alarms: frozenset[str]


@dataclass(frozen=True)
class Seen:
    """What a tick saw; what could not be read is absent, and nothing is concluded from absence."""

    tasks: Mapping[str, TaskView] = field(default_factory=dict)
    health: Mapping[str, Mapping[Address, TargetHealth]] = field(default_factory=dict)
    alarms: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Ticket:
    """A call on a port that is made once the lock is free, and what came of it."""

    call: Callable[[World], Any]
    done: bool = False
    result: Any = None
    error: Exception | None = None

    def run(self, world: World) -> None:
        try:
            self.result = self.call(world)
        except Exception as failure:
            log.warning("a port of the ECS engine failed: %s", failure, exc_info=failure)
            self.error = failure
        self.done = True


class Desk:
    """The engine's view of the outside during one tick, and its queue of calls."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen = Seen()
        self.now: datetime = world.clock.now()
        self._queue: list[Ticket] = []

    def ask(self, call: Callable[[World], Any]) -> Ticket:
        ticket = Ticket(call)
        self._queue.append(ticket)
        return ticket

    def take(self) -> list[Ticket]:
        """The calls queued so far, in order; the queue is empty afterwards."""
        queue, self._queue = self._queue, []
        return queue

    def put_event(self, detail_type: str, resources: list[str], detail: Mapping[str, Any]) -> None:
        """Queues an EventBridge event of source aws.ecs."""
        self.ask(lambda world: world.events.put("aws.ecs", detail_type, resources, detail))


def observe(world: World, wanted: Wanted) -> Seen:
    """Reads what is wanted through the ports, without any lock."""
    return Seen(
        tasks=_read_each(wanted.tasks, world.tasks.view),
        health=_read_each(wanted.target_groups, world.targets.health),
        alarms=_alarms(world, wanted.alarms),
    )


def _read_each(keys: Iterable[str], read: Callable[[str], T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for key in sorted(keys):
        try:
            found[key] = read(key)
        except Exception as failure:  # noqa: BLE001 - absent is the answer, the log says why
            log.warning("cannot observe %s: %s", key, failure)
    return found


def _alarms(world: World, names: frozenset[str]) -> Mapping[str, str]:
    try:
        return world.alarms.states(sorted(names)) if names else {}
    except Exception as failure:  # noqa: BLE001 - as a throttled DescribeAlarms on AWS
        log.warning("cannot read the deployment alarms: %s", failure)
        return {}
