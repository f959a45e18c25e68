"""What a judge costs, and whom."""

from __future__ import annotations

import pytest

from llm_service.auth import Principal
from llm_service.calls import Call, Message, Usage
from llm_service.errors import ApiError
from llm_service.evaluations.paying import FromBudgets
from llm_service.limits import Budgets, Limits

CALL = Call(model="", messages=(Message("user", "x" * 400),), max_tokens=300)
WHO = Principal("alice")
JUDGE = "openai/gpt-4o-mini"


def left(limits: Limits) -> int:
    headers = limits.headers(limits.admit(WHO, "any", 0))
    return int(headers["x-ratelimit-remaining-tokens"])


@pytest.mark.parametrize(
    ("model", "usage", "used"),
    [(JUDGE, Usage(150, 20), 170), (JUDGE, Usage(), 404), ("", Usage(), 0)],
)
def test_a_judge_takes_what_it_told_or_else_the_most_and_nothing_if_it_did_not_answer(
    model: str, usage: Usage, used: int
) -> None:
    limits = Limits(tokens=1000, clock=lambda: 0.0)
    paying = FromBudgets(limits, Budgets(), budget_micro_usd_per_day=1.0)
    book = paying.admit(WHO, CALL)
    book(model, usage)
    assert left(limits) == 1000 - used
    if not used:
        paying.admit(WHO, CALL)
        return
    with pytest.raises(ApiError) as refused:
        paying.admit(WHO, CALL)
    assert refused.value.code == "insufficient_quota"
