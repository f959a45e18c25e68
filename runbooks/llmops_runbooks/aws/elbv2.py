"""`Routing` on Elastic Load Balancing."""

from __future__ import annotations

from llmops_runbooks.aws.clients import Clients


class ListenerRules:
    """Reads rules; ECS owns their weights."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def weights(self, rule_arn: str) -> dict[str, int]:
        answer = self._clients.call("elbv2", "describe_rules", RuleArns=[rule_arn])
        found: dict[str, int] = {}
        for action in answer["Rules"][0]["Actions"]:
            if action["Type"] != "forward":
                continue
            groups = action.get("ForwardConfig", {}).get("TargetGroups")
            # A forward to one group may come without ForwardConfig: it gets everything.
            for group in groups or [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 100}]:
                found[group["TargetGroupArn"]] = int(group.get("Weight", 100))
        return found
