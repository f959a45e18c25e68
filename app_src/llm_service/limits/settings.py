"""What limits and budgets read from the environment, and how they are put together.

    REQUESTS_PER_MINUTE    for tokens that bring no limit of their own; 0: no limit    0
    TOKENS_PER_MINUTE      the same for tokens read and written                        0
    VALKEY_URL             what the tasks share limits and budgets through             none
    DAY_BUDGET_MICRO_USD   cap of the whole service per day (UTC), micro-dollars       none
    AT_DAY_BUDGET          refuse, cheaper or warn                                     refuse

A Valkey in cluster mode, as ElastiCache Serverless always is, takes a script or a transaction only
if all its keys are in one slot. A slot is the hash of what stands between the first braces of a key
(the cluster specification's "hash tags"), so all keys begin with service and environment in braces.

A token's own limits and budget are in the token secret, a feature's budget in its file. Budgets are
shared through Valkey, else through the database where there is one, else each task has them for
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import cast
from urllib.parse import urlsplit

from llm_service.auth import AtBudget
from llm_service.database import Postgres
from llm_service.environ import SettingsError, number, whole
from llm_service.limits.accounts import BudgetEvent
from llm_service.limits.budgets import Budgets
from llm_service.limits.leases import Leases
from llm_service.limits.link import Valkey
from llm_service.limits.rates import Limits
from llm_service.limits.spending import PostgresSpend, Spend, ValkeySpend

SCHEMES = ("valkey", "valkeys", "redis", "rediss", "unix")


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What is limited for whom; None: not limited."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    valkey_url: str | None = field(default=None, repr=False)
    valkey_prefix: str = "{llmops:handbook:local}:"
    day_budget: float | None = None
    at_day_budget: AtBudget = "refuse"


def from_environ(environ: Mapping[str, str]) -> LimitSettings:
    """The settings. Raises SettingsError."""
    service, environment = environ.get("SERVICE_NAME"), environ.get("ENVIRONMENT")
    return LimitSettings(
        requests_per_minute=whole(environ, "REQUESTS_PER_MINUTE", 0, 0, 10**9) or None,
        tokens_per_minute=whole(environ, "TOKENS_PER_MINUTE", 0, 0, 10**12) or None,
        valkey_url=_url(environ),
        valkey_prefix=f"{{llmops:{service or 'handbook'}:{environment or 'local'}}}:",
        day_budget=_budget(environ),
        at_day_budget=_action(environ),
    )


def link(settings: LimitSettings) -> Valkey | None:
    """The connection to Valkey, to be closed by whoever asked; None if none is configured."""
    return Valkey(settings.valkey_url, settings.valkey_prefix) if settings.valkey_url else None


def build(
    settings: LimitSettings,
    valkey: Valkey | None,
    postgres: Postgres | None,
    on_event: Callable[[BudgetEvent], None] | None = None,
) -> tuple[Limits, Budgets]:
    """Limits and budgets as configured, neither started; `postgres` with `spending.CREATE`."""
    limits = Limits(
        settings.requests_per_minute,
        settings.tokens_per_minute,
        Leases(valkey) if valkey else None,
    )
    spend: Spend | None = PostgresSpend(postgres) if postgres else None
    budgets = Budgets(
        settings.day_budget,
        settings.at_day_budget,
        spend=ValkeySpend(valkey) if valkey else spend,
        on_event=on_event,
    )
    return limits, budgets


def _url(environ: Mapping[str, str]) -> str | None:
    url = environ.get("VALKEY_URL")
    if not url:
        return None
    if urlsplit(url).scheme not in SCHEMES:
        raise SettingsError("VALKEY_URL is no address: set it to valkey://HOST:6379/0.")
    if find_spec("valkey") is None:
        raise SettingsError(
            "VALKEY_URL is set, but the client is not installed: install llm-service[valkey]."
        )
    return url


def _budget(environ: Mapping[str, str]) -> float | None:
    if not environ.get("DAY_BUDGET_MICRO_USD", "").strip():
        return None
    return number(environ, "DAY_BUDGET_MICRO_USD", 0.0, 1e15)


def _action(environ: Mapping[str, str]) -> AtBudget:
    text = environ.get("AT_DAY_BUDGET", "").strip() or "refuse"
    if text not in ("refuse", "cheaper", "warn"):
        raise SettingsError(f"AT_DAY_BUDGET is {text!r}: set it to refuse, cheaper or warn.")
    return cast(AtBudget, text)
