"""The values of parameters as their declared types have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_localcloud.cloudformation import dynamic
from llmops_localcloud.cloudformation.errors import ValidationError
from llmops_localcloud.cloudformation.template import Template

SSM = "AWS::SSM::Parameter::Value<"


def typed_parameters(
    template: Template, values: Mapping[str, str], account: str, region: str
) -> dict[str, Any]:
    """Texts, lists and looked-up SSM parameters. Raises ValidationError."""
    declared = template.get("Parameters", {})
    return {
        name: _typed(declared[name].get("Type", "String"), value, account, region)
        for name, value in values.items()
        if name in declared
    }


def _typed(kind: str, value: str, account: str, region: str) -> Any:
    if kind.startswith(SSM):
        try:
            value = dynamic.parameter(value, account, region)
        except LookupError as error:
            raise ValidationError(
                f"Unable to fetch parameters [{value}] from parameter store for this account."
            ) from error
        kind = kind.removeprefix(SSM).removesuffix(">")
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
        return [item.strip() for item in value.split(",")]
    return value
