"""One attempt: from the breaker's permit to the record of what became of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Literal

from llm_service.calls import Call, End, Event, Kind, Provider, ProviderError, Reply
from llm_service.routing.breaker import Breaker
from llm_service.routing.policy import OWN
from llm_service.routing.target import Attempt, Target

Outcome = Kind | Literal["ok", "cancelled"]


class Trial:
    """An attempt that was let through; it is over once, and then the breaker and `record` know.

    Raises ProviderError `open`, itself an attempt, where the breaker lets nothing through. A
    time-out of a trial that is not `fair` is no mark for the provider.
    """

    __slots__ = (
        "_breaker",
        "_clock",
        "_fair",
        "_over",
        "_permit",
        "_record",
        "_started",
        "_target",
    )

    def __init__(
        self,
        target: Target,
        breaker: Breaker,
        clock: Callable[[], float],
        record: Callable[[Attempt], None],
        *,
        fair: bool,
    ) -> None:
        self._target, self._breaker, self._clock, self._record = target, breaker, clock, record
        self._fair, self._over, self._started = fair, False, clock()
        permit = breaker.admit()
        if permit is None:
            record(Attempt(target, self._started, 0.0, "open"))
            sentence = (
                "The model provider keeps failing and is left alone for now: try again later."
            )
            raise ProviderError("open", sentence, retry_after=breaker.wait or None)
        self._permit = permit

    def over(self, outcome: Outcome) -> None:
        """Says how it ended; only the first word counts."""
        if self._over:
            return
        self._over = True
        if outcome == "cancelled" or (outcome == "timed_out" and not self._fair):
            self._breaker.dropped(self._permit)
        elif outcome == "ok" or outcome in OWN:
            self._breaker.succeeded(self._permit)
        else:
            self._breaker.failed(self._permit)
        seconds = self._clock() - self._started
        self._record(Attempt(self._target, self._started, seconds, outcome))

    def broke(self, error: BaseException) -> None:
        """Says that it ended with `error`; one that is no ProviderError is read as no answer."""
        if isinstance(error, ProviderError):
            self.over(error.kind)
        else:
            self.over("malformed" if isinstance(error, Exception) else "cancelled")

    async def reply(self, provider: Provider, call: Call, seconds: float) -> Reply:
        """The answer, whole."""
        try:
            reply = await provider.complete(call, seconds)
        except BaseException as error:
            self.broke(error)
            raise
        self.over("ok")
        return reply


class Events:
    """A stream whose first event is there: iterate over it to its end, or close it.

    It ends with an End or raises ProviderError; a provider that just stops is `truncated`.
    """

    __slots__ = ("_ended", "_events", "_first", "_trial")

    def __init__(self, events: AsyncGenerator[Event, None], first: Event, trial: Trial) -> None:
        self._events, self._trial = events, trial
        self._first: Event | None = first
        self._ended = False

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        event, self._first = self._first, None
        if event is None:
            try:
                event = await anext(self._events)
            except StopAsyncIteration:
                if self._ended:
                    raise
                self._trial.over("truncated")
                raise truncated() from None
            except BaseException as error:
                self._trial.broke(error)
                raise
        if isinstance(event, End):
            self._ended = True
            self._trial.over("ok")
        return event

    async def aclose(self) -> None:
        """Ends the provider's call, if it is not over."""
        self._trial.over("cancelled")
        await self._events.aclose()


def truncated() -> ProviderError:
    """What is said of a stream without an end."""
    return ProviderError("truncated", "The model provider's answer ended before its end.")
