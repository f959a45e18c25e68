"""What limits, budgets, tokens and the cache cost a request, in microseconds and in no-ops.

    uv run python benchmarks/gateway/limits.py

Each step is the best of several rounds. A no-op is a call of an empty method with one argument:
the ratio says the same on a faster and on a slower machine. Goals: admit, settle, state and charge
together at most 5 microseconds, a look into the cache at most 5, a token about 1.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

from llm_service.auth import Principal, Tokens
from llm_service.bundle.feature import CachePolicy, Feature
from llm_service.cache import Cache, Cached, key_of
from llm_service.calls import Call, Message, Usage
from llm_service.limits import Budgets, Limits, estimated
from llm_service.limits.leases import Leases
from llm_service.limits.link import Valkey

ROUNDS, CALLS = 15, 20_000


class Nothing:
    """What the other steps are compared with."""

    def call(self, _: object) -> None:
        """Does nothing."""


def micros(step: Callable[[], object]) -> float:
    """Microseconds of one call, the best of ROUNDS."""
    return min(timeit.repeat(step, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def money(limits: Limits, budgets: Budgets, principal: Principal, feature: Feature) -> object:
    """What every request does."""
    admission = limits.admit(principal, feature.name, 100)
    budgets.action(principal, feature)
    limits.settle(admission, 90)
    budgets.charge(principal, feature, 12.5)
    return admission


def leased() -> Limits:
    """Limits that are shared over Valkey, with a lease in hand."""
    leases = Leases(Valkey("valkey://127.0.0.1:1/0"))
    limits = Limits(meters=leases)
    principal = Principal("web", 10**9, 10**9)
    limits.admit(principal, "answer", 1)
    leases.away = False
    for kind in ("requests", "tokens"):
        leases.meter("web", kind, 10**9).balance = 1e18
    return limits


def steps() -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    nothing, subject = Nothing(), object()
    principal = Principal("web", 10**9, 10**9, 1e15)
    feature = Feature(
        name="answer",
        prompt="answer@1.0.0",
        models=("embedded",),
        budget_micro_usd_per_day=1e15,
        cache=CachePolicy(mode="exact"),
    )
    limits, shared, budgets = Limits(), leased(), Budgets(1e15)
    tokens, header = Tokens.parse('{"current": "token"}'), "Bearer token"
    call = Call(
        model="gpt-4o-mini",
        messages=(Message("system", "Answer briefly. " * 30), Message("user", "How? " * 100)),
    )
    key = key_of(call, feature.cache, release="1", feature="answer", principal=principal)
    assert key is not None
    cache = Cache()
    cache.put(key, Cached(text="So.", usage=Usage(500, 2), model="openai/gpt-4o-mini"))
    texts = [message.content for message in call.messages]
    return {
        "no-op": lambda: nothing.call(subject),
        "token": lambda: tokens.principal(header),
        "estimate": lambda: estimated(texts, 100),
        "admit+action+settle+charge": lambda: money(limits, budgets, principal, feature),
        "the same over Valkey": lambda: money(shared, budgets, principal, feature),
        "rate limit headers": lambda: limits.headers(limits.admit(principal, "answer", 1)),
        "cache key of 1 KB": lambda: key_of(
            call, feature.cache, release="1", feature="answer", principal=principal
        ),
        "cache peek": lambda: cache.peek(key),
    }


def main() -> None:
    """Prints the table."""
    found = {name: micros(step) for name, step in steps().items()}
    for name, value in found.items():
        print(f"{name:28} {value:7.2f} us {value / found['no-op']:7.1f} no-ops")


if __name__ == "__main__":
    main()
