"""Who answers a call, after how many tries, and by when: in virtual time, without chance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
import virtual_time

from llm_service.calls import Call, Delta, End, Event, Kind, ProviderError, Reply, Usage
from llm_service.deadline import Deadline
from llm_service.environ import SettingsError
from llm_service.routing import Attempt, Limits, Policy, Router, Target, from_environ

CALL = Call(model="asked", messages=())
A, B, C = Target("a", "one"), Target("b", "two"), Target("c", "three")
NEVER = 10_000.0


class Twin:
    """A provider from memory: does what its script says next, the last thing again and again.

    A number is the seconds an answer takes, a kind a failure, a pair (seconds, kind) a late one.
    """

    def __init__(self, *script: Any, retry_after: float | None = None, status: int = 0) -> None:
        self.script, self.retry_after, self.status = list(script), retry_after, status
        self.calls: list[tuple[float, float, str]] = []
        self.cancelled = self.closed = 0

    async def _act(self, call: Call, seconds: float) -> None:
        self.calls.append((virtual_time.now(), seconds, call.model))
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        takes, kind = step if isinstance(step, tuple) else (step, None)
        if isinstance(takes, str):
            takes, kind = 0.0, takes
        try:
            await asyncio.sleep(min(takes, seconds))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if kind or takes > seconds:
            raise ProviderError(
                kind or "timed_out", "It failed.", status=self.status, retry_after=self.retry_after
            )

    async def complete(self, call: Call, seconds: float) -> Reply:
        await self._act(call, seconds)
        return Reply(text=call.model, finish_reason="stop", usage=Usage())

    async def stream(self, call: Call, seconds: float) -> AsyncGenerator[Event, None]:
        try:
            await self._act(call, seconds)
            yield Delta("1")
            await self._act(call, seconds)
            yield Delta("2")
            yield End(finish_reason="stop", usage=Usage())
        finally:
            self.closed += 1

    async def close(self) -> None:
        """Nothing is open."""


class Stopping(Twin):
    """A provider whose stream just stops."""

    async def stream(self, call: Call, seconds: float) -> AsyncGenerator[Event, None]:
        await self._act(call, seconds)
        if self.script[0] == 0:
            yield Delta("1")


def play(main: Callable[..., Coroutine[Any, Any, Any]], *twins: Twin, **options: Any) -> Any:
    """Runs `main(router, deadline of 8 s, seen attempts)` in virtual time, with jitter at half."""
    seen: list[Attempt] = []

    async def inside() -> Any:
        options.setdefault("policy", Policy(attempts_per_target=2, base_pause=0.2))
        router = Router(
            dict(zip("abc", twins, strict=False)),
            clock=virtual_time.now,
            random=lambda: 0.5,
            observe=seen.append,
            **options,
        )
        return await main(router, Deadline.after(8.0, virtual_time.now), seen)

    return virtual_time.run(inside())


async def ask(router: Router, deadline: Deadline, seen: list[Attempt]) -> Any:
    """The answer of A or B, with what was noted."""
    routed = await router.complete((A, B), CALL, deadline)
    assert list(routed.attempts) == seen
    return routed.target, [attempt.outcome for attempt in seen]


async def alone(router: Router, deadline: Deadline, seen: list[Attempt]) -> Any:
    """The answer of A, which has nobody to stand in for it."""
    return (await router.complete((A,), CALL, deadline)).attempts


def test_the_first_target_answers_under_its_own_model() -> None:
    twins = Twin(0), Twin(0)
    assert play(ask, *twins) == (A, ["ok"])
    assert twins[0].calls == [(0.0, 4.0, "one")] and not twins[1].calls


@pytest.mark.parametrize("kind", ["rate_limited", "overloaded", "unreachable", "malformed",
                                  "truncated"])  # fmt: skip
def test_a_passing_failure_is_tried_again_and_then_fails_over(kind: Kind) -> None:
    assert play(ask, Twin(kind, 0), Twin(0)) == (A, [kind, "ok"])
    assert play(ask, Twin(kind), Twin(0)) == (B, [kind, kind, "ok"])


@pytest.mark.parametrize("kind", ["timed_out", "unauthorized"])
def test_what_a_repetition_does_not_mend_fails_over_at_once(kind: Kind) -> None:
    assert play(ask, Twin(kind), Twin(0)) == (B, [kind, "ok"])


def test_what_is_refused_goes_to_the_client_and_marks_nobody() -> None:
    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> None:
        for _ in range(50):
            with pytest.raises(ProviderError) as caught:
                await router.complete((A, B), CALL, deadline)
            assert caught.value.kind == "refused"
        assert router.state()["a/one"] == {
            "state": "closed", "calls": 50, "failures": 0, "retry_in": 0.0
        }  # fmt: skip

    standby = Twin(0)
    play(main, Twin("refused"), standby)
    assert not standby.calls


def test_a_context_window_that_is_too_small_or_a_model_that_is_gone_fails_over_unmarked() -> None:
    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> Any:
        for _ in range(50):
            await router.complete((A, B), CALL, deadline)
        return router.state()["a/one"]["state"], router.state()["a/one"]["failures"]

    assert play(main, Twin("too_long"), Twin(0)) == ("closed", 0)
    assert play(main, Twin("refused", status=404), Twin(0)) == ("closed", 0)


def test_if_nobody_else_can_answer_the_client_hears_of_its_own_fault() -> None:
    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> str:
        with pytest.raises(ProviderError) as caught:
            await router.complete((A, B), CALL, deadline)
        return caught.value.kind

    assert play(main, Twin("too_long"), Twin("unauthorized")) == "too_long"


def test_pauses_double_and_are_a_random_part_of_their_bound() -> None:
    twin = Twin("overloaded", "overloaded", "overloaded", "overloaded", 0)
    play(alone, twin, policy=Policy(attempts_per_target=5, base_pause=0.2, max_pause=1.0))
    times = [at for at, _, _ in twin.calls]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.5])


def test_what_the_provider_asks_for_is_waited_for_if_nobody_else_can_answer() -> None:
    attempts = play(alone, Twin("rate_limited", 0, retry_after=5.0))
    assert attempts[1].started == pytest.approx(5.1)


def test_a_wait_longer_than_the_deadline_is_told_to_the_client_at_once() -> None:
    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> float:
        with pytest.raises(ProviderError) as caught:
            await router.complete((A, B), CALL, deadline)
        assert (caught.value.kind, caught.value.retry_after) == ("overloaded", 9.0)
        return virtual_time.now()

    slow, slower = Twin("rate_limited", retry_after=9.0), Twin("overloaded", retry_after=30.0)
    assert play(main, slow, slower) == 0.0


def test_a_long_wait_fails_over_at_once() -> None:
    assert play(ask, Twin("rate_limited", retry_after=5.0), Twin(0)) == (
        B, ["rate_limited", "ok"]
    )  # fmt: skip


def test_a_target_that_hangs_leaves_half_of_the_time_to_the_next() -> None:
    twins = Twin(NEVER), Twin(1.0)
    assert play(ask, *twins) == (B, ["timed_out", "ok"])
    assert twins[1].calls == [(4.0, 4.0, "two")]


def test_nothing_is_asked_after_the_deadline() -> None:
    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> list[str]:
        with pytest.raises(ProviderError) as caught:
            await router.complete((A,), CALL, Deadline.after(0.0, virtual_time.now))
        return [caught.value.kind, *(attempt.outcome for attempt in seen)]

    assert play(main, Twin(0)) == ["timed_out"]


def test_an_unknown_provider_fails_over() -> None:
    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> Target:
        return (await router.complete((Target("nobody", "x"), A), CALL, deadline)).target

    assert play(main, Twin(0)) == A


def test_a_dead_provider_is_left_alone_until_its_cool_down_is_over() -> None:
    dead = Twin(*["unreachable"] * 4, 0)

    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> Any:
        for _ in range(5):
            assert (await router.complete((A, B), CALL, deadline)).target == B
        assert router.state()["a/one"]["state"] == "open" and len(dead.calls) == 4
        with pytest.raises(ProviderError) as caught:
            await router.complete((A,), CALL, deadline)
        assert caught.value.kind == "open"
        await asyncio.sleep(caught.value.retry_after or 0)
        states = [router.state()["a/one"]["state"]]
        for _ in range(2):
            later = Deadline.after(8.0, virtual_time.now)
            assert (await router.complete((A, B), CALL, later)).target == A
            states.append(router.state()["a/one"]["state"])
        return states

    limits = Limits(minimum_calls=4, cool_down=3.0, probes=2)
    assert play(main, dead, Twin(0), limits=limits) == ["open", "half_open", "closed"]


def test_a_client_in_a_hurry_does_not_close_a_provider() -> None:
    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> str:
        for _ in range(50):
            with pytest.raises(ProviderError):
                await router.complete((A,), CALL, Deadline.after(0.5, virtual_time.now))
        return str(router.state()["a/one"]["state"])

    assert play(main, Twin(NEVER)) == "closed"


def test_a_cancelled_request_cancels_the_provider_and_marks_nobody() -> None:
    twin = Twin(NEVER)

    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> Any:
        task = asyncio.create_task(router.complete((A,), CALL, deadline))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return seen, router.state()["a/one"]["failures"]

    assert play(main, twin) == ([Attempt(A, 0.0, 1.0, "cancelled")], 0)
    assert twin.cancelled == 1


async def follow(router: Router, deadline: Deadline, seen: list[Attempt]) -> Any:
    """A stream of A or B to its end: who, what, and what was noted."""
    routed = await router.stream((A, B), CALL, deadline)
    texts = [event.text async for event in routed.events if isinstance(event, Delta)]
    return routed.target, texts, [attempt.outcome for attempt in routed.attempts]


@pytest.mark.parametrize("kind", ["overloaded", "truncated", "unreachable"])
def test_a_stream_fails_over_before_its_first_event(kind: Kind) -> None:
    assert play(follow, Twin(kind), Twin(0)) == (B, ["1", "2"], [kind, kind, "ok"])


def test_a_stream_without_a_first_event_in_time_fails_over() -> None:
    twins = Twin(NEVER), Twin(0)
    policy = Policy(first_token_seconds=1.5)
    assert play(follow, *twins, policy=policy) == (B, ["1", "2"], ["timed_out", "ok"])
    assert twins[0].closed == 1 and twins[1].calls[0][:2] == (1.5, 6.5)


@pytest.mark.parametrize("script", [(0, "unreachable"), (0, (2.0, "truncated"))])
def test_a_stream_that_fails_after_its_first_event_fails_for_its_reader(script: Any) -> None:
    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> Any:
        routed = await router.stream((A, B), CALL, deadline)
        texts = []
        with pytest.raises(ProviderError) as caught:
            async for event in routed.events:
                texts.append(event)
        assert [attempt.outcome for attempt in seen] == [caught.value.kind]
        return texts, router.state()["a/one"]["failures"]

    standby = Twin(0)
    assert play(main, Twin(*script), standby) == ([Delta("1")], 1)
    assert not standby.calls


def test_a_stream_that_just_stops_is_truncated() -> None:
    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> str:
        routed = await router.stream((A,), CALL, deadline)
        with pytest.raises(ProviderError) as caught:
            async for _ in routed.events:
                pass
        return caught.value.kind

    assert play(main, Stopping(0)) == "truncated"
    assert play(follow, Stopping(0.5, 0.6), Twin(0))[0] == B


@pytest.mark.parametrize("read", [0, 1])
def test_a_stream_that_is_left_ends_the_providers_call(read: int) -> None:
    twin = Twin(0)

    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> Any:
        routed = await router.stream((A,), CALL, deadline)
        for _ in range(read):
            await anext(routed.events)
        await routed.events.aclose()
        return [attempt.outcome for attempt in seen], twin.closed

    assert play(main, twin) == (["cancelled"], 1)


def test_a_hedged_call_takes_the_first_answer_and_cancels_the_other() -> None:
    twins = Twin(5.0), Twin(0.5)
    policy = Policy(hedge_after=1.0)
    target, outcomes = play(ask, *twins, policy=policy)
    assert (target, outcomes) == (B, ["ok", "cancelled"])
    assert twins[1].calls[0][0] == 1.0 and twins[0].cancelled == 1


def test_a_call_that_is_answered_in_time_is_not_hedged() -> None:
    twins = Twin(0.5), Twin(0)
    assert play(ask, *twins, policy=Policy(hedge_after=1.0)) == (A, ["ok"])
    assert not twins[1].calls


def test_a_hedge_that_fails_leaves_the_first_call_alone() -> None:
    target, outcomes = play(ask, Twin(3.0), Twin("unauthorized"), policy=Policy(hedge_after=1.0))
    assert (target, outcomes) == (A, ["unauthorized", "ok"])


def test_a_hedged_stream_closes_the_slower_one() -> None:
    slow, quick = Twin(3.0), Twin(0)

    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> Any:
        routed = await router.stream((A, B), CALL, deadline, hedge_after=1.0)
        return routed.target, len([event async for event in routed.events])

    assert play(main, slow, quick) == (B, 3)
    assert (slow.closed, quick.closed) == (1, 1)


def test_of_two_streams_that_begin_at_the_same_moment_one_is_closed_at_once() -> None:
    twins = Twin(2.0), Twin(1.0)

    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> Any:
        routed = await router.stream((A, B), CALL, deadline, hedge_after=1.0)
        found = [twin.closed for twin in twins], [attempt.outcome for attempt in seen]
        await routed.events.aclose()
        return routed.target, *found

    assert play(main, *twins) == (A, [0, 1], ["cancelled"])


def test_all_fail_in_a_hedged_call() -> None:
    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> str:
        with pytest.raises(ProviderError) as caught:
            await router.complete((A, B), CALL, deadline, hedge_after=1.0)
        return caught.value.kind

    assert play(main, Twin((2.0, "unauthorized")), Twin("refused")) == "refused"
    assert play(main, Twin("refused"), Twin(0)) == "refused"


def test_a_provider_that_dies_under_load_costs_no_request() -> None:
    dying = Twin(*[0.05] * 100, (0.05, "unreachable"))

    async def main(router: Router, deadline: Deadline, seen: list[Attempt]) -> Any:
        async def client(number: int) -> str:
            await asyncio.sleep(number * 0.002)
            routed = await router.complete((A, B), CALL, Deadline.after(8.0, virtual_time.now))
            return routed.target.provider

        answered = await asyncio.gather(*(client(number) for number in range(1000)))
        return answered.count("a"), answered.count("b"), router.state()["a/one"]["state"]

    limits = Limits(minimum_calls=10, window_seconds=1.0)
    by_a, by_b, state = play(main, dying, Twin(0.05), limits=limits)
    assert (by_a, by_b, state) == (100, 900, "open")
    assert len(dying.calls) < 300


def test_a_target_is_read_and_written_alike() -> None:
    for text in ("openai/gpt-4o-mini", "router/meta/llama-3", "embedded"):
        assert str(Target.parse(text)) == text
    for text in ("", "/model", "openai/"):
        with pytest.raises(ValueError, match="provider/model"):
            Target.parse(text)


def test_settings_come_from_the_environment() -> None:
    found = from_environ({"PROVIDER_ATTEMPTS": "4", "BREAKER_FAILURE_RATE": "0.25"})
    assert (found.policy.attempts_per_target, found.limits.failure_rate) == (4, 0.25)
    assert from_environ({}) == type(found)(Policy(), Limits())
    with pytest.raises(SettingsError, match="BREAKER_PROBES"):
        from_environ({"BREAKER_PROBES": "0"})
