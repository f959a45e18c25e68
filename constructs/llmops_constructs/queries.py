"""Questions to the service's log, saved where somebody with an alarm in hand finds them.

The names of the fields are those of the lines in llm_service.telemetry.emf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import aws_logs as logs
from constructs import Construct

from llmops_constructs._validation import check

QUERIES: Mapping[str, str] = {
    "slowest requests": """
        fields @timestamp, request_id, path, feature, provider, release, status, Latency, FirstToken
        | filter ispresent(Latency)
        | sort Latency desc
        | limit 50""",
    "errors by provider": """
        filter ispresent(ProviderErrors)
        | stats sum(ProviderErrors) as errors, sum(ProviderTimeouts) as timeouts
            by provider, release, bin(15m)
        | sort errors desc""",
    "errors by path": """
        filter Errors = 1
        | stats count(*) as errors by path, status, release
        | sort errors desc""",
    "cost by feature": """
        filter ispresent(Cost)
        | stats sum(Cost) / 1000000 as usd, count(*) as answers, avg(Cost) as micro_usd_each,
            sum(PromptTokens) as prompt_tokens, sum(CompletionTokens) as completion_tokens
            by feature, provider
        | sort usd desc""",
    "refused and guarded": """
        fields @timestamp, request_id, feature, release, Refusals, GuardrailHits, Injections
        | filter Refusals = 1 or GuardrailHits = 1 or Injections = 1
        | sort @timestamp desc
        | limit 100""",
    "thumbs down": """
        fields @timestamp, response_id, release, experiment, variant
        | filter Feedback = 0
        | sort @timestamp desc
        | limit 100""",
    "budgets": """
        fields @timestamp, subject, day, percent, action
        | fields spent / 1000000 as usd, limit / 1000000 as of_usd
        | filter ispresent(percent)
        | sort @timestamp desc""",
    "one request": """
        fields @timestamp, @message
        | filter request_id = "paste the request's id here" or @message like "or some text of it"
        | sort @timestamp asc""",
}
"""The name of each, and what is asked."""


class SavedQueries(Construct):
    """Queries for CloudWatch Logs Insights, in a folder named after the service.

    :param prefix: the folder, e.g. `handbook-prod`.
    :param log_groups: where the service and its workers write.
    :param queries: name and text of each. Default: slowest requests, errors by provider and by
        path, cost by feature, what was refused, thumbs down, budgets, and one request.

    Example::

        from aws_cdk import aws_logs as logs

        group = logs.LogGroup(stack, "Logs")
        llm.SavedQueries(stack, "Queries", prefix="handbook-prod", log_groups=[group])
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        log_groups: Sequence[logs.ILogGroup],
        queries: Mapping[str, str] = QUERIES,
    ) -> None:
        super().__init__(scope, id)
        check(
            self,
            [
                (not log_groups, "log_groups is empty: there is nothing to ask."),
                (not queries, "queries is empty: there is nothing to save."),
            ],
        )
        for name, query in queries.items():
            logs.CfnQueryDefinition(
                self,
                name.title().replace(" ", ""),
                name=f"{prefix}/{name}",
                log_group_names=[group.log_group_name for group in log_groups],
                query_string=text(query),
            )


def text(query: str) -> str:
    """A query without the indentation it is written with."""
    return "\n".join(line.strip() for line in query.strip().splitlines())
