"""Limits that all tasks share, without a request ever waiting for them.

Valkey holds one bucket for each caller and kind. Each task takes a share of it in advance, a lease,
and lets requests in on what is left of its lease. A round every PACE seconds, and at once when a
lease runs low, pays what a task owes, and takes more or gives back.

A request that finds too little is still let in on credit, as long as its task owes less than its
part of CREDIT of the limit: so a task that has just begun serves its first requests. A debt stays
with its task until the bucket can pay it, so that there is never more credit than that. In any time
t all tasks together use at most

    limit + limit * t / 1 min + CREDIT * limit + one request for each task

What is taken but not used is at most half of what was left in the bucket, and goes back when its
task has been idle for IDLE seconds.

While Valkey is away each task uses a bucket of its own with its share of the limit: one part in as
many as there were tasks when it was last heard of, filled as the common one was. A task that has
never heard of Valkey takes itself for the only one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from llm_service.database import Away
from llm_service.limits.bucket import Bucket
from llm_service.limits.link import Valkey
from llm_service.limits.ticker import Ticker

PACE = 0.2
"""Seconds between two rounds."""
CREDIT = 0.25
"""The part of a limit that all tasks together may owe."""
IDLE = 5.0
"""Seconds without a request after which a lease goes back."""
ALIVE_MS = 10_000
"""Milliseconds for which a task that is not heard of still counts as one. For as long, one that
comes back does not believe that there are fewer: the others may come back later."""

SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
local answers = {redis.call('ZCARD', KEYS[1])}
for number = 2, #KEYS do
    local place = 3 * number - 3
    local limit, owed, wanted =
        tonumber(ARGV[place]), tonumber(ARGV[place + 1]), tonumber(ARGV[place + 2])
    local known = redis.call('HMGET', KEYS[number], 'level', 'at')
    local level = tonumber(known[1]) or limit
    level = level + (now - (tonumber(known[2]) or now)) * limit / 60000
    level = math.min(limit, level)
    local given = math.min(owed, level)
    given = given + math.min(wanted, (level - given) / 2)
    level = math.min(limit, level - given)
    redis.call('HSET', KEYS[number], 'level', string.format('%.6f', level), 'at', now)
    redis.call('PEXPIRE', KEYS[number], 60000)
    answers[#answers + 1] = string.format('%.6f', given)
    answers[#answers + 1] = string.format('%.6f', level)
end
return answers
"""
"""Keys: the tasks, then buckets. Arguments: this task, ALIVE_MS, then limit, owed and wanted for
each bucket; `wanted` below zero is given back. Answers: how many tasks there are, then given and
left for each bucket. A bucket that nobody asked for in a minute is full: its key may go."""


class Lease:
    """One caller's share of one bucket. `balance` is what is left of it, below zero what is owed;
    `level` what the bucket held at the last round."""

    __slots__ = ("_leases", "balance", "key", "level", "limit", "own", "used", "used_at")

    def __init__(self, leases: Leases, key: str, limit: int) -> None:
        self._leases, self.key, self.limit = leases, key, limit
        self.own = Bucket(limit, 1 / leases.tasks)
        self.balance, self.level, self.used, self.used_at = 0.0, float(limit), 0.0, 0.0

    def take(self, amount: float, now: float) -> float:
        leases = self._leases
        self.used_at = now
        if leases.away:
            return self.own.take(amount, now)
        if amount > self.limit:
            return 60.0
        if self.balance < amount + self.used:
            leases.hurry()
            if self.balance < amount and self.balance <= -self._credit:
                return max(PACE, -self.balance * 60.0 / self.limit)
        self.balance -= amount
        self.used += amount
        return 0.0

    def correct(self, by: float, now: float) -> None:
        if self._leases.away:
            self.own.correct(by, now)
            return
        self.balance -= by
        self.used = max(0.0, self.used + by)

    def left(self, now: float) -> float:
        if self._leases.away:
            return self.own.left(now)
        return min(float(self.limit), max(0.0, self.balance + self.level))

    def wanted(self, now: float) -> float:
        """What to take from the bucket beyond what is owed: twice what was used since the last
        round, or as much as the credit; below zero what to give back."""
        spare = max(0.0, self.balance)
        if now - self.used_at > IDLE:
            return -spare
        return max(0.0, max(2 * self.used, self._credit) - spare)

    def leave(self, now: float) -> None:
        """Goes on alone, with a bucket as full as the common one was."""
        share = 1 / self._leases.tasks
        self.own = Bucket(self.limit, share)
        self.own.correct((self.limit - self.left(now)) * share, now)
        self.balance = min(0.0, self.balance)

    def come_back(self, now: float) -> None:
        """Owes the common bucket what was used of the own one."""
        self.balance -= self.limit / self._leases.tasks - self.own.left(now)

    @property
    def _credit(self) -> float:
        return CREDIT * self.limit / self._leases.tasks


class Leases:
    """The leases of one task."""

    def __init__(
        self,
        valkey: Valkey,
        clock: Callable[[], float] = time.monotonic,
        task: str | None = None,
    ) -> None:
        self._valkey, self._clock = valkey, clock
        self._task = task or secrets.token_hex(8)
        self._ticker = Ticker(self.exchange, PACE, "leases")
        self._leases: dict[tuple[str, str], Lease] = {}
        self.tasks = 1
        self.away = True
        self._recount_at = 0.0

    def meter(self, name: str, kind: str, limit: int) -> Lease:
        """The lease of the caller `name` on its `kind`; another limit keeps what is owed."""
        lease = self._leases.get((name, kind))
        if lease is None or lease.limit != limit:
            owed = min(0.0, lease.balance) if lease else 0.0
            lease = Lease(self, f"{self._valkey.prefix}limit:{kind}:{name}", limit)
            lease.balance, lease.used_at = owed, self._clock()
            self._leases[name, kind] = lease
            self.hurry()
        return lease

    def hurry(self) -> None:
        """Wants the next round now."""
        self._ticker.hurry()

    def start(self) -> None:
        """Begins to take shares."""
        self._ticker.start()

    async def stop(self) -> None:
        """Ends; what is left of the leases goes back."""
        for lease in self._leases.values():
            lease.used_at = float("-inf")
        await self._ticker.stop()
        with suppress(Away):
            await self._valkey.do("ZREM", f"{self._valkey.prefix}tasks", self._task)

    def state(self) -> dict[str, Any]:
        """How it stands, for a person."""
        return {"store": "process" if self.away else "valkey", "tasks": self.tasks}

    async def exchange(self) -> None:
        """One round with Valkey for all leases."""
        leases = [lease for lease in self._leases.values() if self._matters(lease)]
        arguments: list[Any] = []
        for lease in leases:
            owed, wanted = max(0.0, -lease.balance), lease.wanted(self._clock())
            arguments += [lease.limit, owed, wanted]
        keys = [f"{self._valkey.prefix}tasks", *(lease.key for lease in leases)]
        try:
            answer = await self._valkey.script(SCRIPT, keys, self._task, ALIVE_MS, *arguments)
        except Away:
            self._leave()
            return
        self._learn(leases, answer)

    def _matters(self, lease: Lease) -> bool:
        """Whether the lease was used lately or has anything to settle."""
        return lease.balance != 0.0 or self._clock() - lease.used_at <= IDLE

    def _learn(self, leases: Sequence[Lease], answer: list[Any]) -> None:
        """Takes what was given. A task that comes back owes what it used alone."""
        for number, lease in enumerate(leases):
            given, level = float(answer[1 + 2 * number]), float(answer[2 + 2 * number])
            lease.balance += given
            lease.level, lease.used = level, 0.0
        if self.away:
            now = self._clock()
            for lease in self._leases.values():
                lease.come_back(now)
            self.hurry()
            self._recount_at = now + ALIVE_MS / 1000
        tasks = int(answer[0])
        if tasks > self.tasks or self._clock() >= self._recount_at:
            self.tasks = tasks
        self.away = False

    def _leave(self) -> None:
        """Goes on alone: each lease with a bucket of this task's share."""
        if not self.away:
            now = self._clock()
            for lease in self._leases.values():
                lease.leave(now)
        self.away = True
