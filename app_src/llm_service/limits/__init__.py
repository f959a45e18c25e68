"""What a caller may use: requests and tokens per minute, and money per day."""

from llm_service.limits.accounts import BudgetEvent
from llm_service.limits.budgets import Budgets
from llm_service.limits.estimate import estimated
from llm_service.limits.rates import Admission, Limits
from llm_service.limits.refusals import Limited

__all__ = ["Admission", "BudgetEvent", "Budgets", "Limited", "Limits", "estimated"]
