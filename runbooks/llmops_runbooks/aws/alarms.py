"""`Alarms` on CloudWatch."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_runbooks.aws.clients import Clients

PAGE = 100
"""DescribeAlarms takes at most 100 names."""


class CloudWatchAlarms:
    """Reads alarm states; ECS acts on them."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def states(self, names: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(names), PAGE):
            answer = self._clients.call(
                "cloudwatch",
                "describe_alarms",
                AlarmNames=list(names[start : start + PAGE]),
                AlarmTypes=["MetricAlarm", "CompositeAlarm"],
                MaxRecords=PAGE,
            )
            for each in (*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())):
                found[each["AlarmName"]] = each["StateValue"]
        return found
