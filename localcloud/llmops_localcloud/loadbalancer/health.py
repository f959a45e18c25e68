"""Health checks: one loop per target, a fresh connection per check (as ALB).

Durations of the check are virtual seconds. Two floors keep a fast clock from asking more of the
machine than it can do: a check runs at most every `INTERVAL_FLOOR` real seconds, and its timeout
is never scaled below `TIMEOUT_FLOOR` real seconds (or the configured timeout, if that is shorter).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp

from llmops_localcloud.ports import TargetHealth

from .desired import HealthCheck
from .targets import Group, Target

INTERVAL_FLOOR = 0.1
TIMEOUT_FLOOR = 2.0

FAILED = ("Target.FailedHealthChecks", "Health checks failed")
TIMED_OUT = ("Target.Timeout", "Request timed out")
INITIAL = ("Elb.InitialHealthChecking", "Initial health checks in progress")


def scaled(virtual_seconds: float, speed: float, floor: float) -> float:
    """Real seconds of a virtual duration, but not below the floor nor above the duration itself."""
    return max(virtual_seconds / speed, min(virtual_seconds, floor))


def accepted(matcher: str, status: int) -> bool:
    """Whether `200`, `200,202` or `200-299` names this status."""
    for part in matcher.split(","):
        low, _, high = part.strip().partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False


def judge(target: Target, check: HealthCheck, failure: tuple[str, str] | None) -> bool:
    """Take one check's outcome into the target's state; True if the state changed.

    The first success makes an `initial` target healthy ("must pass one health check"); an unhealthy
    one needs `healthy_threshold` in a row, and `unhealthy_threshold` failures in a row make any
    target unhealthy.
    """
    before = (target.state, target.reason)
    if failure is None:
        target.passes, target.failures = target.passes + 1, 0
        initial = target.state is TargetHealth.INITIAL
        if initial or target.passes >= check.healthy_threshold:
            target.state, target.reason, target.description = TargetHealth.HEALTHY, "", ""
    else:
        target.passes, target.failures = 0, target.failures + 1
        if target.state is TargetHealth.UNHEALTHY or target.failures >= check.unhealthy_threshold:
            target.state = TargetHealth.UNHEALTHY
            target.reason, target.description = failure
    return before != (target.state, target.reason)


class Checker:
    """Keeps one checking task per registered target of the groups in use."""

    def __init__(
        self, session: aiohttp.ClientSession, speed: float, changed: Callable[[], None]
    ) -> None:
        self._session = session
        self.speed = speed
        self._changed = changed
        self._tasks: dict[Target, asyncio.Task[None]] = {}

    def follow(self, groups: list[Group]) -> None:
        """Start tasks for targets to check, end those of the others."""
        wanted = {
            target: group
            for group in groups
            if group.spec.load_balancers and group.spec.health_check.enabled
            for target in group.targets.values()
        }
        for target in set(self._tasks) - set(wanted):
            self._tasks.pop(target).cancel()
        for target in set(wanted) - set(self._tasks):
            loop = self._loop(wanted[target], target)
            self._tasks[target] = asyncio.get_running_loop().create_task(loop)

    async def _loop(self, group: Group, target: Target) -> None:
        while True:
            started = time.monotonic()
            check = group.spec.health_check
            if judge(target, check, await self._probe(check, target)):
                group.rotate()
                self._changed()
            interval = max(check.interval_seconds / self.speed, INTERVAL_FLOOR)
            await asyncio.sleep(max(0.0, started + interval - time.monotonic()))

    async def _probe(self, check: HealthCheck, target: Target) -> tuple[str, str] | None:
        """None if the target passed, else AWS's reason code and description."""
        host, port = target.address
        url = f"http://{host}:{check.port or port}{check.path}"
        seconds = scaled(check.timeout_seconds, self.speed, TIMEOUT_FLOOR)
        try:
            async with self._session.get(
                url,
                headers={"User-Agent": "ELB-HealthChecker/2.0", "Connection": "close"},
                timeout=aiohttp.ClientTimeout(total=seconds),
                allow_redirects=False,
            ) as answer:
                if accepted(check.matcher, answer.status):
                    return None
                codes = f"Health checks failed with these codes: [{answer.status}]"
                return "Target.ResponseCodeMismatch", codes
        except TimeoutError:
            return TIMED_OUT
        except (aiohttp.ClientError, OSError):
            return FAILED


def new_session() -> aiohttp.ClientSession:
    """A session that opens a connection per check."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
