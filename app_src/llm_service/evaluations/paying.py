"""Who pays for a judge: the principal that asked, within its limits and its budget.

Judging counts as a feature of its own, `evaluations`, with a daily budget of its own if one is set.
A judge whose provider tells no usage is taken to have cost the most that was let in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from llm_service.auth import AtBudget, Principal
from llm_service.calls import Call, Usage
from llm_service.limits import Budgets, Limits, estimated
from llm_service.limits.rates import Admission
from llm_service.prices import price

NAME = "evaluations"


class Judging(NamedTuple):
    """What budgets know of a feature."""

    budget_micro_usd_per_day: float | None = None
    name: str = NAME
    at_budget: AtBudget = "refuse"
    cheaper: tuple[str, ...] = ()


class Paying(Protocol):
    """Lets evaluations and the judge's calls in, and books the calls."""

    def count(self, principal: Principal) -> None:
        """Lets an evaluation in that asks no model: a request without tokens. Raises ApiError
        429."""
        ...

    def admit(self, principal: Principal, call: Call) -> Callable[[str, Usage], None]:
        """Lets the call in; what it returns is told the model and the tokens, once. Raises
        ApiError 429."""
        ...


class Nothing:
    """Pays for nothing and limits nothing: a service without limits and budgets."""

    def count(self, principal: Principal) -> None:
        pass

    def admit(self, principal: Principal, call: Call) -> Callable[[str, Usage], None]:
        return lambda model, usage: None


class FromBudgets:
    """The service's limits and budgets."""

    def __init__(
        self, limits: Limits, budgets: Budgets, budget_micro_usd_per_day: float | None = None
    ) -> None:
        self._limits, self._budgets = limits, budgets
        self._feature = Judging(budget_micro_usd_per_day)

    def count(self, principal: Principal) -> None:
        self._limits.admit(principal, NAME, 0)

    def admit(self, principal: Principal, call: Call) -> Callable[[str, Usage], None]:
        tokens = estimated((message.content for message in call.messages), call.max_tokens)
        admission = self._limits.admit(principal, NAME, tokens)
        if self._budgets.action(principal, self._feature) == "refuse":
            self._limits.settle(admission, 0)
            raise self._budgets.refusal(principal, self._feature)
        most = Usage(tokens - (call.max_tokens or 0), call.max_tokens or 0)

        def book(model: str, usage: Usage) -> None:
            untold = model and not usage.prompt
            self._book(principal, admission, model, most if untold else usage)

        return book

    def _book(self, principal: Principal, admission: Admission, model: str, usage: Usage) -> None:
        self._limits.settle(admission, usage.prompt + usage.completion)
        charged = price(model)
        if charged:
            cost = charged.of(usage.prompt, usage.completion, usage.cached)
            self._budgets.charge(principal, self._feature, cost)
