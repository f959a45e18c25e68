"""Which provider answers a call: in order, with retries and failover, within one deadline.

A request walks a queue of targets. At each it makes a few attempts; it moves on at what a
repetition will not mend, when the provider asks for more patience than there is, or when the
target's breaker is open. While another target waits, an attempt gets at most half of the time that
is left, so a provider that hangs cannot take the next one's time. A stream can move on until its
first event; after that its failure is the consumer's to see, for what was said cannot be unsaid.

A hedged request has two walkers on one queue, so that no target is asked twice; the first to be
answered wins and the other is cancelled.
"""

from __future__ import annotations

import asyncio
import random as chance
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from llm_service.calls import Call, Provider, ProviderError, Reply
from llm_service.deadline import Deadline
from llm_service.routing.attempts import Events, Trial, truncated
from llm_service.routing.breaker import Breaker, Limits
from llm_service.routing.policy import OWN, REPEATED, Policy, final
from llm_service.routing.race import first_of
from llm_service.routing.target import Attempt, Target

T = TypeVar("T")
_POLICY, _LIMITS = Policy(), Limits()


class Routed(NamedTuple):
    """An answer, who gave it, and every attempt it took."""

    reply: Reply
    target: Target
    attempts: Sequence[Attempt]


class RoutedStream(NamedTuple):
    """A stream that has begun: `events` gives its Deltas and its End, or raises ProviderError.

    It must be closed (`aclose`) unless it was read to its end. `attempts` is complete afterwards.
    """

    target: Target
    attempts: Sequence[Attempt]
    events: Events


class _Walk:
    """One request's way along its targets."""

    __slots__ = ("attempts", "call", "deadline", "error", "queue", "retry_after")

    def __init__(self, targets: Sequence[Target], call: Call, deadline: Deadline) -> None:
        self.queue = deque(targets)
        self.call, self.deadline = call, deadline
        self.attempts: list[Attempt] = []
        self.error: ProviderError | None = None
        self.retry_after: float | None = None

    def seconds(self) -> float:
        """What an attempt may take now."""
        remaining = self.deadline.remaining
        return remaining / 2 if self.queue else remaining

    def failed(self, error: ProviderError) -> None:
        """Notes `error`: the last one is told, but a closed door only if there is nothing else."""
        if error.retry_after is not None:
            known = self.retry_after
            self.retry_after = error.retry_after if known is None else min(known, error.retry_after)
        if self.error is None or (error.kind != "open" and self.error.kind not in OWN):
            self.error = error


Begin = Callable[[_Walk, Target, Provider, float], Awaitable[T]]
"""Makes one attempt, of so many seconds at most."""


class Router:
    """Asks `providers` by name; `observe` is told of every attempt when it is over."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        policy: Policy = _POLICY,
        limits: Limits = _LIMITS,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = chance.random,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        observe: Callable[[Attempt], None] = lambda attempt: None,
    ) -> None:
        self._providers, self._policy, self._limits = providers, policy, limits
        self._clock, self._random, self._sleep, self._observe = clock, random, sleep, observe
        self._breakers: dict[Target, Breaker] = {}

    async def complete(
        self,
        targets: Sequence[Target],
        call: Call,
        deadline: Deadline,
        *,
        hedge_after: float | None = None,
    ) -> Routed:
        """The answer of the first target that gives one. `hedge_after` (seconds) goes before the
        policy's.

        Raises the last ProviderError, with the smallest `retry_after` that was seen.
        """
        walk = _Walk(targets, call, deadline)
        reply, target = await self._route(walk, self._reply, hedge_after)
        return Routed(reply, target, walk.attempts)

    async def stream(
        self,
        targets: Sequence[Target],
        call: Call,
        deadline: Deadline,
        *,
        hedge_after: float | None = None,
    ) -> RoutedStream:
        """As `complete`; returns when the first event is there."""
        walk = _Walk(targets, call, deadline)
        events, target = await self._route(walk, self._open, hedge_after)
        return RoutedStream(target, walk.attempts, events)

    def state(self) -> dict[str, dict[str, Any]]:
        """Each target that was asked so far: its breaker's state, the calls and failures in its
        window, and the seconds until it is tried again."""
        found = {}
        for target, breaker in self._breakers.items():
            calls, failures = breaker.counts
            found[str(target)] = {
                "state": breaker.state,
                "calls": calls,
                "failures": failures,
                "retry_in": round(breaker.wait, 3),
            }
        return found

    async def _route(
        self, walk: _Walk, begin: Begin[T], hedge_after: float | None
    ) -> tuple[T, Target]:
        after = self._policy.hedge_after if hedge_after is None else hedge_after
        try:
            if after is None or len(walk.queue) < 2:
                return await self._walked(walk, begin)
            return await first_of(
                lambda: self._walked(walk, begin), lambda: self._sleep(after), _discard
            )
        except ProviderError as error:
            error.retry_after = walk.retry_after
            raise

    async def _walked(self, walk: _Walk, begin: Begin[T]) -> tuple[T, Target]:
        """The answer of the first target in the queue that gives one."""
        while walk.queue:
            target = walk.queue.popleft()
            try:
                return await self._tried(walk, target, begin), target
            except ProviderError as error:
                walk.failed(error)
                if final(error):
                    raise
        raise walk.error or ProviderError("unreachable", "No provider is configured to answer.")

    async def _tried(self, walk: _Walk, target: Target, begin: Begin[T]) -> T:
        """The answer of `target`, in as many attempts as the policy grants."""
        failed = 0
        while True:
            try:
                return await self._once(walk, target, begin)
            except ProviderError as error:
                failed += 1
                if error.kind not in REPEATED or failed >= self._policy.attempts_per_target:
                    raise
                patience = self._policy.max_pause if walk.queue else walk.deadline.remaining
                pause = self._policy.pause(failed, error.retry_after, patience, self._random)
                if pause is None or pause >= walk.deadline.remaining:
                    raise
                walk.failed(error)
            await self._sleep(pause)

    def _once(self, walk: _Walk, target: Target, begin: Begin[T]) -> Awaitable[T]:
        """One attempt, to be awaited. Raises ProviderError where there can be none."""
        provider = self._providers.get(target.provider)
        if provider is None:
            sentence = f"No provider is named {target.provider!r} in this service's configuration."
            raise ProviderError("unreachable", sentence)
        seconds = walk.seconds()
        if seconds <= 0.0:
            raise ProviderError("timed_out", "The time for the request is over.")
        return begin(walk, target, provider, seconds)

    def _reply(
        self, walk: _Walk, target: Target, provider: Provider, seconds: float
    ) -> Awaitable[Reply]:
        trial = self._trial(walk, target, fair=seconds >= self._policy.fair_seconds)
        return trial.reply(provider, _addressed(walk.call, target), seconds)

    async def _open(
        self, walk: _Walk, target: Target, provider: Provider, seconds: float
    ) -> Events:
        longest = self._policy.first_token_seconds
        limit = min(longest, seconds)
        trial = self._trial(walk, target, fair=limit >= min(longest, self._policy.fair_seconds))
        events = provider.stream(_addressed(walk.call, target), walk.deadline.remaining)
        try:
            async with asyncio.timeout(limit):
                first = await anext(events)
        except TimeoutError:
            trial.over("timed_out")
            sentence = f"The model provider sent no first token within {limit:g} s."
            raise ProviderError("timed_out", sentence) from None
        except StopAsyncIteration:
            trial.over("truncated")
            raise truncated() from None
        except BaseException as error:
            trial.broke(error)
            raise
        return Events(events, first, trial)

    def _trial(self, walk: _Walk, target: Target, *, fair: bool) -> Trial:
        breaker = self._breakers.get(target)
        if breaker is None:
            breaker = self._breakers[target] = Breaker(self._limits, self._clock)

        def record(attempt: Attempt) -> None:
            walk.attempts.append(attempt)
            self._observe(attempt)

        return Trial(target, breaker, self._clock, record, fair=fair)


def _addressed(call: Call, target: Target) -> Call:
    """`call`, to the model of `target`."""
    if target.model in ("", call.model):
        return call
    return msgspec.structs.replace(call, model=target.model)


async def _discard(found: tuple[Any, Target]) -> None:
    if isinstance(found[0], Events):
        await found[0].aclose()
