"""How evaluations are set up.

    EVALUATION_JUDGES              provider/model that may judge, by commas   any provider's
    EVALUATION_TIMEOUT             seconds for a judge's answer               30
    EVALUATION_BUDGET_MICRO_USD    for all judging of a day (UTC)             none

A judge's cost counts to the budget of the principal that asked, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llm_service.environ import SettingsError, number


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """`judges` empty: any model of a configured provider may judge."""

    judges: tuple[str, ...] = ()
    seconds: float = 30.0
    budget_micro_usd_per_day: float | None = None


def from_environ(environ: Mapping[str, str]) -> EvaluationSettings:
    """Reads the variables above. Raises SettingsError."""
    given = [name.strip() for name in environ.get("EVALUATION_JUDGES", "").split(",")]
    judges = tuple(name for name in given if name)
    wrong = [name for name in judges if "/" not in name.strip("/")]
    if wrong:
        raise SettingsError(
            f"EVALUATION_JUDGES names {wrong[0]!r}: write each judge as provider/model."
        )
    key = "EVALUATION_BUDGET_MICRO_USD"
    return EvaluationSettings(
        judges,
        number(environ, "EVALUATION_TIMEOUT", 30.0, 300.0, 1.0),
        number(environ, key, 0.0, 1e15) if environ.get(key, "").strip() else None,
    )
