"""How cdk-nag writes a resource that is known at deployment only.

It flattens CloudFormation's functions: `Ref` and `GetAtt` become `<Name>` and `<Name.Attribute>`,
an imported value its export's name, and a join the text of its parts (`flattenCfnReference`).
"""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from constructs import Construct, IConstruct


def written(scope: Construct, owner: IConstruct, arn: str, ending: str = "") -> str:
    """The ARN of a resource, with an ending, as findings in the stack of `scope` write it."""
    theirs = cdk.Stack.of(owner)
    if not cdk.Token.is_unresolved(arn):
        return arn + ending
    if theirs is cdk.Stack.of(scope):
        return _flat(theirs.resolve(arn)) + ending
    return _flat(theirs.resolve(theirs.export_value(arn))) + ending


def _flat(value: Any) -> str:
    match value:
        case str():
            return value
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(_flat(part) for part in parts)
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{resource}.{attribute}>"
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::ImportValue": name}:
            return _flat(name)
    raise TypeError(f"cdk-nag writes {value} in a way that is not known here.")
