"""Requests and tokens per minute for each token's name, decided on the spot.

A request takes one request and its estimated tokens before the provider is asked; `settle` then
corrects the estimate to the real usage, so that a wrong guess is paid for by the next request and
not forgotten. Nothing here waits: where tasks share their limits, shares are fetched in the
background (`leases.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

from llm_service.auth import Principal
from llm_service.limits.bucket import Bucket, Meter
from llm_service.limits.refusals import Limited, duration, too_fast, too_large

Kind = Literal["requests", "tokens"]
KINDS: tuple[Kind, Kind] = ("requests", "tokens")
NAMES = tuple(
    tuple(f"x-ratelimit-{what}-{kind}" for what in ("limit", "remaining", "reset"))
    for kind in KINDS
)


class Meters(Protocol):
    """Where meters come from: this process alone, or all tasks together."""

    def meter(self, name: str, kind: Kind, limit: int) -> Meter:
        """The meter of `kind` for the caller `name`."""
        ...

    def start(self) -> None:
        """Begins to fetch shares, in the background."""
        ...

    async def stop(self) -> None:
        """Gives back what is not used."""
        ...

    def state(self) -> dict[str, Any]:
        """How it stands, for a person."""
        ...


class ProcessMeters:
    """Meters of this process alone."""

    def meter(self, name: str, kind: Kind, limit: int) -> Meter:
        return Bucket(limit)

    def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    def state(self) -> dict[str, Any]:
        return {"store": "process"}


class Caller:
    """The two meters of one name; None where there is no limit."""

    __slots__ = ("free", "principal", "requests", "tokens")

    def __init__(self, principal: Principal, requests: Meter | None, tokens: Meter | None) -> None:
        self.principal, self.requests, self.tokens = principal, requests, tokens
        self.free = Admission(self, 0) if requests is None and tokens is None else None


class Admission:
    """A request that was let in, with the tokens it took in advance."""

    __slots__ = ("caller", "tokens")

    def __init__(self, caller: Caller, tokens: int) -> None:
        self.caller, self.tokens = caller, tokens


class Limits:
    """Lets requests in or refuses them. `requests` and `tokens` per minute are for principals
    that bring no limit of their own; None: no limit."""

    def __init__(
        self,
        requests: int | None = None,
        tokens: int | None = None,
        meters: Meters | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests, self._tokens, self._clock = requests, tokens, clock
        self._meters = meters or ProcessMeters()
        self._callers: dict[str, Caller] = {}
        self.refused = {"requests": 0, "tokens": 0}

    def admit(self, principal: Principal, feature: str, tokens: int) -> Admission:
        """Takes one request and `tokens` from the limits of `principal`, on whatever feature.

        Raises Limited: 429 with Retry-After and x-ratelimit-*.
        """
        caller = self._callers.get(principal.name)
        if caller is None or caller.principal is not principal:
            caller = self._caller(principal)
        if caller.free is not None:
            return caller.free
        now = self._clock()
        if caller.requests is not None and (wait := caller.requests.take(1.0, now)):
            raise self._refusal(caller, "requests", caller.requests, wait)
        if caller.tokens is not None and (wait := caller.tokens.take(tokens, now)):
            if caller.requests is not None:
                caller.requests.correct(-1.0, now)
            raise self._too_many_tokens(caller, caller.tokens, tokens, wait)
        return Admission(caller, tokens)

    def settle(self, admission: Admission, tokens_used: int) -> None:
        """Corrects what `admission` took to what was used; 0 where nothing was. Once for each."""
        meter = admission.caller.tokens
        if meter is not None and tokens_used != admission.tokens:
            meter.correct(tokens_used - admission.tokens, self._clock())
            admission.tokens = tokens_used

    def headers(self, admission: Admission) -> dict[str, str]:
        """The x-ratelimit-* headers of an answer; none where there is no limit.

        https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
        """
        if admission.caller.free is not None:
            return {}
        return self._headers(admission.caller, self._clock())

    def start(self) -> None:
        """Begins to share with the other tasks."""
        self._meters.start()

    async def stop(self) -> None:
        """Ends; what is not used goes back."""
        await self._meters.stop()

    def state(self) -> dict[str, Any]:
        """How it stands, for a person."""
        return {**self._meters.state(), "refused": dict(self.refused)}

    def _caller(self, principal: Principal) -> Caller:
        """The meters of `principal`; those of its name before are kept where the limit is."""
        known = self._callers.get(principal.name)
        limits = (
            principal.requests_per_minute or self._requests,
            principal.tokens_per_minute or self._tokens,
        )
        found: list[Meter | None] = []
        for kind, limit in zip(KINDS, limits, strict=True):
            old: Meter | None = getattr(known, kind) if known else None
            same = old is not None and old.limit == limit
            new = self._meters.meter(principal.name, kind, limit) if limit else None
            found.append(old if same else new)
        caller = self._callers[principal.name] = Caller(principal, *found)
        return caller

    def _refusal(self, caller: Caller, kind: Kind, meter: Meter, wait: float) -> Limited:
        self.refused[kind] += 1
        return too_fast(kind, meter.limit, wait, self._headers(caller, self._clock()))

    def _too_many_tokens(self, caller: Caller, meter: Meter, asked: int, wait: float) -> Limited:
        if asked <= meter.limit:
            return self._refusal(caller, "tokens", meter, wait)
        self.refused["tokens"] += 1
        return too_large(meter.limit, asked, self._headers(caller, self._clock()))

    def _headers(self, caller: Caller, now: float) -> dict[str, str]:
        found: dict[str, str] = {}
        for (limit, remaining, reset), meter in zip(
            NAMES, (caller.requests, caller.tokens), strict=True
        ):
            if meter is not None:
                left = meter.left(now)
                found[limit] = str(meter.limit)
                found[remaining] = str(int(left + 1e-4))
                found[reset] = duration((meter.limit - left) * 60.0 / meter.limit)
        return found
