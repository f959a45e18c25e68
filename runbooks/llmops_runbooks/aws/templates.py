"""The templates of deployed stacks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmops_runbooks.aws.clients import Clients, Refused
from llmops_runbooks.settings import Environment


class DeployedTemplates:
    """What CloudFormation was last given for each stack."""

    def __init__(self, environment: Environment) -> None:
        self._clients = Clients(environment)

    def template(self, stack: str) -> Mapping[str, Any] | None:
        """The template, or None if the stack is not there."""
        try:
            answer = self._clients.call("cloudformation", "get_template", StackName=stack)
        except Refused as error:
            if "does not exist" in error.message:
                return None
            raise
        body = answer["TemplateBody"]
        found: Mapping[str, Any] = json.loads(body) if isinstance(body, str) else body
        return found
