"""The router's settings."""

from __future__ import annotations

from dataclasses import dataclass

from llm_service.environ import Environ, number, whole
from llm_service.routing.breaker import Limits
from llm_service.routing.policy import Policy


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """How providers are tried, and when one is left alone."""

    policy: Policy
    limits: Limits


def from_environ(environ: Environ) -> RoutingSettings:
    """The router's settings. Raises SettingsError.

    PROVIDER_ATTEMPTS                how often a target is tried before the next one; 3
    PROVIDER_FIRST_TOKEN_SECONDS     by when a stream's first event must come; 20
    BREAKER_WINDOW_SECONDS           what a breaker looks back on; 30
    BREAKER_MINIMUM_CALLS            calls in that time below which it never opens; 10
    BREAKER_FAILURE_RATE             the share of failures, 0 to 1, at which it opens; 0.5
    BREAKER_COOL_DOWN_SECONDS        how long it stays open; 10
    BREAKER_PROBES                   calls that must succeed before it closes; 2
    """
    return RoutingSettings(
        Policy(
            attempts_per_target=whole(environ, "PROVIDER_ATTEMPTS", 3, 1, 10),
            first_token_seconds=number(environ, "PROVIDER_FIRST_TOKEN_SECONDS", 20.0, 3600, 0.001),
        ),
        Limits(
            window_seconds=number(environ, "BREAKER_WINDOW_SECONDS", 30.0, 3600, 0.1),
            minimum_calls=whole(environ, "BREAKER_MINIMUM_CALLS", 10, 1, 1_000_000),
            failure_rate=number(environ, "BREAKER_FAILURE_RATE", 0.5, 1.0, 0.01),
            cool_down=number(environ, "BREAKER_COOL_DOWN_SECONDS", 10.0, 3600, 0.01),
            probes=whole(environ, "BREAKER_PROBES", 2, 1, 1000),
        ),
    )
