"""What the service is told by its environment, wherever it runs."""

from __future__ import annotations

from llmops_runbooks.settings import Environment
from llmops_stacks.base import METRIC_NAMESPACE


def service_variables(environment: Environment) -> dict[str, str]:
    """Its own variables, none of them secret; what is as the service has it is left out."""
    budget = environment.monitoring.daily_llm_budget_usd
    langfuse = environment.secrets.langfuse_host
    return {
        "SERVICE_NAME": environment.service_name,
        "ENVIRONMENT": environment.name,
        "METRIC_NAMESPACE": METRIC_NAMESPACE,
        **({"LANGFUSE_HOST": langfuse} if langfuse else {}),
        **({"DAY_BUDGET_MICRO_USD": f"{budget * 1e6:.0f}"} if budget else {}),
        **_scoring(environment),
    }


def _scoring(environment: Environment) -> dict[str, str]:
    """The service's variables for scoring; what is as the service has it anyway is left out."""
    scoring = environment.scoring
    variables = {} if scoring.sample == 1 else {"QUALITY_SAMPLE": f"{scoring.sample:g}"}
    if scoring.url and scoring.model:
        variables |= {
            "SCORER_URL": scoring.url,
            "SCORER_MODEL": scoring.model,
            "SCORER_SAMPLE": f"{scoring.judged:g}",
            "SCORING_BUDGET_MICRO_USD": f"{scoring.daily_budget_usd * 1e6:.0f}",
        }
    return variables
