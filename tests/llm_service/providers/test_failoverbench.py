"""The sixteen faults of failoverbench, injected at a provider; another provider is healthy.

https://github.com/failoverbench/failoverbench, catalogue and methodology 0.1: the faults, checks
and verdicts are its, the times are shortened, and the path is the service's own: Router, providers
and HttpClient over the stand-in's sockets. Each scenario runs with every kind of provider as the
one that fails, for a caller that wants the whole answer and for one that streams.

    pass      the caller has the complete answer (S13: a clean error), every check is kept
    partial   the same, but an advisory check is not kept
    safe      no answer, but one clean error in time, every required check is kept
    fail      a required check is broken, the call hangs, or half an answer passes for a whole one

A caller that wants the whole answer has to get a pass in all of them. A stream that fails after its
first word cannot be taken back: there, in S08, S09, S10 and S14, the best that can be had is safe.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from provider_behaviours import OK, Behaviour
from provider_server import ProviderServer, Seen

from llm_service.calls import Call, Delta, End, Provider, ProviderError, Usage
from llm_service.deadline import Deadline
from llm_service.http import HttpClient
from llm_service.routing.policy import Policy
from llm_service.routing.router import Router
from llm_service.routing.target import Target

SENTENCE = "".join(OK.words)
NEXT = {"openai": "anthropic", "anthropic": "bedrock", "bedrock": "openai"}
SECONDS = 20.0
"""For a call; a provider that may fail over gets half of them, a first token a quarter."""
WAITED = 1.6
"""The same for a fault that is only over when the time is."""
SLACK = 2.0
"""Seconds that a call may take beyond its time: the machine is shared."""

VERDICTS = ("fail", "safe", "partial", "pass")
LONG = "This model's maximum context length is 8192 tokens."
FILTER = "content_policy_violation"
PREFILL = "This model does not support assistant message prefill."


@dataclass
class Run:
    """What the caller had, and what the providers saw."""

    seconds: float = 0.0
    text: str | None = None
    usage: Usage = field(default_factory=Usage)
    error: ProviderError | None = None
    target: Target | None = None
    outcomes: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    primary: list[Seen] = field(default_factory=list)
    fallback: list[Seen] = field(default_factory=list)


Check = Callable[[Run], bool]


def answered_by_the_fallback(run: Run) -> bool:
    """The caller is told who answered: model and usage are the fallback's."""
    return run.target is not None and run.target.model == "fallback"


def usage_is_told(run: Run) -> bool:
    """The answer came with its tokens."""
    return run.usage.completion == len(OK.words)


def few_attempts(run: Run) -> bool:
    """At most six tries at the provider that fails."""
    return len(run.primary) <= 6


def tried_again(run: Run) -> bool:
    """The provider that failed once was given a second try."""
    return len(run.primary) >= 2


def tried_once(run: Run) -> bool:
    """What cannot be mended by a repetition is not repeated."""
    return len(run.primary) == 1


def waited_as_asked(run: Run) -> bool:
    """The pause is at least what Retry-After says."""
    return bool(run.pauses) and run.pauses[0] >= 2.0


def no_hammering(run: Run) -> bool:
    """There is a pause before each repetition."""
    return len(run.pauses) >= len(run.primary) - 1


def no_prefill_error(run: Run) -> bool:
    """The fallback was not asked to go on with half an answer."""
    return not any(seen.json["messages"][-1]["role"] == "assistant" for seen in run.fallback)


@dataclass(frozen=True)
class Scenario:
    """A fault, what has to be kept, and the least verdict for each caller."""

    name: str
    primary: Sequence[Behaviour]
    required: tuple[Check, ...] = ()
    advisory: tuple[Check, ...] = ()
    ideal: str = "answer"
    whole: str = "pass"
    streamed: str = "pass"
    kinds: tuple[str, ...] = ("openai", "anthropic", "bedrock")
    seconds: float = SECONDS


ASKED_TO_WAIT = Behaviour(status=429, headers=(("Retry-After", "2"),))
SCENARIOS = (
    Scenario(
        "S01 429 with Retry-After, then healthy",
        [ASKED_TO_WAIT, OK],
        (no_hammering,),
        (tried_again, waited_as_asked),
    ),
    Scenario("S02 429 for good", [Behaviour(status=429)], (no_hammering, few_attempts)),
    Scenario("S03 500 once, then healthy", [Behaviour(status=500), OK], (), (tried_again,)),
    Scenario("S04 503 for good", [Behaviour(status=503)], (few_attempts,)),
    Scenario("S05 reset before the head, then healthy", [Behaviour(then="reset"), OK]),
    Scenario(
        "S06 no answer at all", [Behaviour(before_head=math.inf)], (), (tried_once,), seconds=WAITED
    ),
    Scenario("S07 first token too late", [Behaviour(before_first=math.inf)], seconds=WAITED),
    Scenario("S08 cut in the middle", [Behaviour(then="cut", after=8, gap=0.002)], streamed="safe"),
    Scenario(
        "S09 stalled in the middle",
        [Behaviour(then="hang", after=4, gap=0.002)],
        streamed="safe",
        seconds=WAITED,
    ),
    Scenario(
        "S10 malformed in the middle",
        [Behaviour(then="broken", after=4, gap=0.002)],
        streamed="safe",
    ),
    Scenario(
        "S11 no [DONE]",
        [Behaviour(end_marks=False)],
        (tried_once,),
        (usage_is_told,),
        kinds=("openai", "anthropic"),
    ),
    Scenario(
        "S12 too long for the model",
        [Behaviour(status=400, message=LONG, code="context_length_exceeded")],
        (tried_once,),
    ),
    Scenario(
        "S13 refused by the content filter",
        [Behaviour(status=400, message=FILTER, code=FILTER)],
        (tried_once,),
        ideal="error",
    ),
    Scenario(
        "S14 cut, and the fallback takes no prefill",
        [Behaviour(then="cut", after=8, gap=0.002)],
        (no_prefill_error,),
        streamed="safe",
    ),
    Scenario(
        "S16 accounting after a failover",
        [Behaviour(status=503)],
        (answered_by_the_fallback, few_attempts),
        (usage_is_told,),
    ),
)


def verdict(scenario: Scenario, run: Run) -> str:
    """The methodology's, for one run."""
    truncated = run.text is not None and run.text != SENTENCE
    hung = run.seconds > scenario.seconds + SLACK
    if hung or truncated or not all(check(run) for check in scenario.required):
        return "fail"
    rescued = run.text is not None if scenario.ideal == "answer" else run.error is not None
    if not rescued:
        return "safe" if run.error is not None else "partial"
    return "pass" if all(check(run) for check in scenario.advisory) else "partial"


def script(run: Run, primary: Sequence[Behaviour]) -> Callable[[Seen], Behaviour]:
    def behave(seen: Seen) -> Behaviour:
        if seen.model == "primary":
            run.primary.append(seen)
            return primary[min(len(run.primary), len(primary)) - 1]
        run.fallback.append(seen)
        prefilled = seen.json["messages"][-1]["role"] == "assistant"
        return Behaviour(status=400, message=PREFILL) if prefilled else OK

    return behave


def router_for(
    providers: dict[str, Provider], pauses: list[float], seconds: float = SECONDS, **more: Any
) -> Router:
    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    policy = Policy(first_token_seconds=seconds / 4, max_pause=5.0)
    return Router(providers, policy=policy, random=lambda: 0.5, sleep=sleep, **more)


async def ask(
    router: Router,
    targets: Sequence[Target],
    call: Call,
    streaming: bool,
    run: Run,
    *,
    seconds: float = SECONDS,
) -> None:
    """One request, as a caller sees it. A stream's text only counts with its End."""
    began = time.monotonic()
    deadline = Deadline.after(seconds)
    try:
        if streaming:
            found = await router.stream(targets, call, deadline)
            run.target, pieces = found.target, []
            async for event in found.events:
                if isinstance(event, Delta):
                    pieces.append(event.text)
                elif isinstance(event, End):
                    run.text, run.usage = "".join(pieces), event.usage
        else:
            routed = await router.complete(targets, call, deadline)
            run.text, run.usage, run.target = routed.reply.text, routed.reply.usage, routed.target
    except ProviderError as error:
        run.error = error
    run.seconds = time.monotonic() - began


@pytest.fixture
def providers(
    server: ProviderServer, provider_at: Callable[[str, str], Provider]
) -> dict[str, Provider]:
    return {kind: provider_at(kind, server.url) for kind in NEXT}


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        pytest.param(scenario, kind, id=f"{scenario.name[:3]}-{kind}")
        for scenario in SCENARIOS
        for kind in scenario.kinds
    ],
)
async def test_a_fault_at_one_provider(
    *,
    server: ProviderServer,
    client: HttpClient,
    providers: dict[str, Provider],
    call: Call,
    scenario: Scenario,
    kind: str,
    streaming: bool,
) -> None:
    run = Run()
    server.script(script(run, scenario.primary))
    targets = [Target(kind, "primary"), Target(NEXT[kind], "fallback")]
    router = router_for(
        providers,
        run.pauses,
        scenario.seconds,
        observe=lambda attempt: run.outcomes.append(attempt.outcome),
    )
    await ask(router, targets, call, streaming, run, seconds=scenario.seconds)
    found = verdict(scenario, run)
    least = scenario.streamed if streaming else scenario.whole
    assert VERDICTS.index(found) >= VERDICTS.index(least), (found, run)
    after = Run()
    await ask(router, targets[1:], call, streaming, after)
    assert after.text == SENTENCE


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", NEXT)
async def test_s15_a_provider_that_is_down_for_a_minute(
    server: ProviderServer,
    providers: dict[str, Provider],
    call: Call,
    kind: str,
    streaming: bool,
) -> None:
    """S15: every one of twenty requests, four seconds apart, is answered; the breaker opens while
    the provider is down, and within thirty seconds of its return it is used again."""
    now = 0.0
    primary_at: list[float] = []

    def behave(seen: Seen) -> Behaviour:
        if seen.model == "primary":
            primary_at.append(now)
        return Behaviour(status=503) if seen.model == "primary" and now < 60 else OK

    server.script(behave)
    targets = [Target(kind, "primary"), Target(NEXT[kind], "fallback")]
    router = router_for(providers, [], clock=lambda: now)
    served: list[tuple[float, str]] = []
    for _ in range(20):
        run = Run()
        await ask(router, targets, call, streaming, run)
        assert run.text == SENTENCE
        assert run.target is not None
        served.append((now, run.target.model))
        now += 4.0
    assert {model for at, model in served if at < 60} == {"fallback"}
    assert min(at for at, model in served if model == "primary") <= 90
    assert served[-1][1] == "primary"
    assert len([at for at in primary_at if at < 60]) < 2 * 15
    assert router.state()[str(targets[0])]["state"] == "closed"


FAULTS_BEFORE_A_WORD = (
    Behaviour(status=429),
    Behaviour(status=500),
    Behaviour(status=503),
    Behaviour(status=529),
    Behaviour(status=401),
    Behaviour(then="reset"),
    Behaviour(then="cut"),
    Behaviour(body=b"<html></html>", content_type="text/html"),
    Behaviour(body=b""),
    Behaviour(then="error", after=0, code="overloaded_error"),
    Behaviour(then="stop", after=0),
)
FAULTS_IN_A_BODY = (
    Behaviour(then="cut", after=3),
    Behaviour(then="reset", after=3),
    Behaviour(then="stop", after=3),
)
SILENCES = (Behaviour(before_head=math.inf), Behaviour(before_first=math.inf))
STALLS = (Behaviour(then="hang", after=3), Behaviour(then="endless", after=3))


@pytest.mark.parametrize("kind", NEXT)
async def test_an_outage_under_load_loses_no_request_that_another_could_serve(
    server: ProviderServer,
    client: HttpClient,
    providers: dict[str, Provider],
    call: Call,
    kind: str,
) -> None:
    """Sixty requests at once, half of them streams, while one provider fails in every way: once
    with the silences, which take their time, and twice without."""
    waited = kind == "openai"
    seconds = 8.0 if waited else SECONDS
    before = FAULTS_BEFORE_A_WORD + (SILENCES if waited else ())
    whole = itertools.cycle(before + FAULTS_IN_A_BODY + (STALLS if waited else ()))
    streamed = itertools.cycle(before)

    def behave(seen: Seen) -> Behaviour:
        if seen.model != "primary":
            return OK
        return next(streamed if seen.streams else whole)

    server.script(behave)
    targets = [Target(kind, "primary"), Target(NEXT[kind], "fallback")]
    router = router_for(providers, [], seconds)
    runs = [Run() for _ in range(60)]
    async with asyncio.TaskGroup() as group:
        for place, run in enumerate(runs):
            group.create_task(ask(router, targets, call, place % 2 == 1, run, seconds=seconds))
    assert [run.error for run in runs if run.error] == []
    assert {run.text for run in runs} == {SENTENCE}
    assert client.connections <= 60
