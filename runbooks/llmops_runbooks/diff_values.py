"""Values of a template as a person reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
"""How the CDK names an asset: SHA-256 of its content."""


def without_digests(value: Any) -> Any:
    """The value as it would be whatever its assets hold."""
    match value:
        case str():
            return DIGEST.sub("DIGEST", value)
        case Mapping():
            return {key: without_digests(each) for key, each in value.items()}
        case list():
            return [without_digests(each) for each in value]
    return value


def flat(value: Any) -> Any:
    """The value with CloudFormation's functions written as `${...}`."""
    if isinstance(value, list):
        return [flat(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    written = _function(value) if len(value) == 1 else None
    return {key: flat(each) for key, each in value.items()} if written is None else written


def _function(value: Mapping[str, Any]) -> str | None:
    match value:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
        case {"Fn::ImportValue": name}:
            return f"${{import {flat(name)}}}"
        case {"Fn::Sub": str(text)}:
            return text
        case {"Fn::Join": [separator, [*parts]]}:
            return str(separator).join(str(flat(part)) for part in parts)
    return None
