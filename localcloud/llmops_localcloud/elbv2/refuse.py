"""What the load balancer does not do is refused when it is asked for, with what to do instead."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from moto.elbv2.exceptions import ELBClientError

CONDITIONS = ("path-pattern", "host-header", "http-header", "http-request-method", "query-string")
ACTIONS = ("forward", "fixed-response", "redirect")
ATTRIBUTES = {
    "stickiness.enabled": "false",
    "load_balancing.algorithm.type": "round_robin",
    "slow_start.duration_seconds": "0",
}
"""Target group attributes that have only one value here."""


class Refused(ELBClientError):
    """Valid on AWS, not done by the local cloud."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(
            "InvalidConfigurationRequest",
            f"The local cloud's load balancer does not support {what}; {instead}.",
        )


def conditions(given: Iterable[Mapping[str, Any]]) -> None:
    """Refuse conditions other than CONDITIONS, and regular expressions."""
    for condition in given:
        name = condition.get("Field", "")
        if name not in CONDITIONS:
            raise Refused(f"{name} conditions", f"use one of {', '.join(CONDITIONS)}")
        if "RegexValues" in str(condition):
            raise Refused(f"RegexValues in a {name} condition", "use Values with * and ?")


def actions(given: Iterable[Mapping[str, Any]]) -> None:
    """Refuse actions other than ACTIONS, more than one of them, and target group stickiness."""
    kinds = [action.get("Type", "") for action in given]
    for kind in kinds:
        if kind not in ACTIONS:
            raise Refused(f"{kind} actions", f"use one of {', '.join(ACTIONS)}")
    if len(kinds) > 1:
        raise Refused("more than one action in a rule", "keep the last one")
    for action in given:
        config = action.get("ForwardConfig", {}).get("TargetGroupStickinessConfig", {})
        if _true(config.get("Enabled")):
            raise Refused("target group stickiness", "set Enabled to false")


def listener(protocol: str | None, balancer_type: str) -> None:
    """Refuse listeners that are not of an Application Load Balancer; HTTPS is spoken as HTTP."""
    if balancer_type != "application":
        raise Refused(f"{balancer_type} load balancers", "use type application")
    if (protocol or "").upper() not in ("HTTP", "HTTPS"):
        raise Refused(f"{protocol} listeners", "use protocol HTTP or HTTPS")


def target_group(protocol: str | None, check_protocol: str | None, version: str | None) -> None:
    """Refuse protocols other than HTTP/1.1."""
    for one in (protocol, check_protocol):
        if one not in (None, "HTTP"):
            raise Refused(f"target groups with protocol {one}", "use HTTP")
    if version not in (None, "HTTP1"):
        raise Refused(f"protocol version {version}", "use HTTP1")


def attributes(given: Mapping[str, Any]) -> None:
    """Refuse target group attributes that would change how requests are spread."""
    for key, only in ATTRIBUTES.items():
        if key in given and str(given[key]).lower() != only:
            raise Refused(f"{key} = {given[key]}", f"leave it at {only}")


def target(identifier: str) -> None:
    """Refuse targets that are not addresses of this machine's loopback network."""
    try:
        loopback = ipaddress.ip_address(identifier).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise Refused(f"target {identifier}", "register a loopback address such as 127.0.0.1")


def _true(value: Any) -> bool:
    return str(value).lower() == "true"
