"""Rules of a construct, checked together, so that one synthesis shows every mistake."""

from __future__ import annotations

from collections.abc import Iterable

import aws_cdk as cdk
from constructs import Construct

Rule = tuple[bool, str]
"""Whether the rule is broken, and the sentence that says so."""


class InvalidConstruct(ValueError):
    """The arguments of a construct contradict each other or AWS; the message lists them all."""

    def __init__(self, path: str, mistakes: list[str]) -> None:
        super().__init__(f"{path}: " + " ".join(mistakes))
        self.path = path
        self.mistakes = mistakes


def check(scope: Construct, rules: Iterable[Rule]) -> None:
    """Raises InvalidConstruct with the messages of all broken rules and the construct's path."""
    mistakes = [message for broken, message in rules if broken]
    if mistakes:
        raise InvalidConstruct(scope.node.path, mistakes)


def outside(value: float, low: float, high: float) -> bool:
    """Whether a number known at synthesis is out of its range; tokens are AWS's to check."""
    return not cdk.Token.is_unresolved(value) and not low <= value <= high
