"""Which rule a request meets. Pure functions; rules are compiled once per configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from .desired import Action, Condition, Rule


@dataclass(frozen=True)
class RequestHead:
    """The parts of a request that conditions look at; header names in lower case."""

    method: str
    path: str
    query: str
    host: str
    headers: Mapping[str, str]


Predicate = Callable[[RequestHead], bool]


@dataclass(frozen=True)
class CompiledRule:
    """A rule ready to be asked."""

    arn: str
    action: Action
    predicates: tuple[Predicate, ...]

    def matches(self, head: RequestHead) -> bool:
        return all(holds(head) for holds in self.predicates)


def compile_rules(rules: Sequence[Rule]) -> tuple[CompiledRule, ...]:
    """The rules in the order given, which is the order of their priorities."""
    return tuple(
        CompiledRule(rule.arn, rule.action, tuple(map(predicate, rule.conditions)))
        for rule in rules
    )


def wildcard(value: str, *, case_sensitive: bool) -> re.Pattern[str]:
    """ALB's wildcards: `*` is any run of characters, `?` exactly one; nothing else is special."""
    pattern = re.escape(value).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(pattern, 0 if case_sensitive else re.IGNORECASE)


def predicate(condition: Condition) -> Predicate:
    """Paths and methods compare with case, hosts, headers and query strings without (as ALB)."""
    if condition.field == "query-string":
        return _query(condition)
    patterns = [
        wildcard(value, case_sensitive=condition.field in ("path-pattern", "http-request-method"))
        for value in condition.values
    ]
    read = _reader(condition)
    return lambda head: any(pattern.fullmatch(read(head)) for pattern in patterns)


def _reader(condition: Condition) -> Callable[[RequestHead], str]:
    if condition.field == "path-pattern":
        return lambda head: head.path
    if condition.field == "host-header":
        return lambda head: head.host.rsplit(":", 1)[0]
    if condition.field == "http-request-method":
        return lambda head: head.method
    name = condition.name.lower()
    return lambda head: head.headers.get(name, "")


def _query(condition: Condition) -> Predicate:
    keys = condition.keys or ("",) * len(condition.values)
    wanted = [
        (wildcard(key or "*", case_sensitive=False), wildcard(value, case_sensitive=False))
        for key, value in zip(keys, condition.values, strict=True)
    ]

    def holds(head: RequestHead) -> bool:
        given = parse_qsl(head.query, keep_blank_values=True)
        return any(
            k.fullmatch(name) and v.fullmatch(value) for name, value in given for k, v in wanted
        )

    return holds
