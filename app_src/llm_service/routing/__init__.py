"""Which provider answers: retries, failover, circuit breakers, hedging, within one deadline."""

from llm_service.routing.attempts import Events
from llm_service.routing.breaker import MOVES, Breaker, IllegalMove, Limits
from llm_service.routing.policy import Policy
from llm_service.routing.router import Routed, RoutedStream, Router
from llm_service.routing.settings import RoutingSettings, from_environ
from llm_service.routing.target import Attempt, Target

__all__ = [
    "MOVES",
    "Attempt",
    "Breaker",
    "Events",
    "IllegalMove",
    "Limits",
    "Policy",
    "Routed",
    "RoutedStream",
    "Router",
    "RoutingSettings",
    "Target",
    "from_environ",
]
