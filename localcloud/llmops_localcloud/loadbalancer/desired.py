"""What the load balancer shall do, as data that travels to its process as JSON.

The whole state travels at every change: it is small, and a process that was restarted needs
nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

Address = tuple[str, int]


@dataclass(frozen=True)
class Condition:
    """One condition of a rule; it holds if any of its values matches (`*` and `?` are wildcards).

    `name` is the header's name for `http-header`. For `query-string`, `keys` runs beside `values`
    ("" = any key).
    """

    field: Literal[
        "path-pattern", "host-header", "http-header", "http-request-method", "query-string"
    ]
    values: tuple[str, ...]
    name: str = ""
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forward:
    """Forward to one of the target groups, drawn at random for each request by weight."""

    weights: dict[str, int]
    kind: Literal["forward"] = "forward"


@dataclass(frozen=True)
class FixedResponse:
    """Answer without a target."""

    status: int
    content_type: str = "text/plain"
    body: str = ""
    kind: Literal["fixed-response"] = "fixed-response"


@dataclass(frozen=True)
class Redirect:
    """Redirect; `#{protocol}`, `#{host}`, `#{port}`, `#{path}` and `#{query}` are replaced."""

    status: int
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"
    kind: Literal["redirect"] = "redirect"


Action = Annotated[Forward | FixedResponse | Redirect, Field(discriminator="kind")]


@dataclass(frozen=True)
class Rule:
    """Conditions that must all hold, and what happens then."""

    arn: str
    conditions: tuple[Condition, ...]
    action: Action


@dataclass(frozen=True)
class Listener:
    """A port of a load balancer; the first rule that matches decides, the last one always does.

    `load_balancer` is the CloudWatch dimension `app/<name>/<id>`. `idle_seconds` are real seconds:
    a target computes in real time, whatever the cloud's clock says.
    """

    arn: str
    port: int
    load_balancer: str
    rules: tuple[Rule, ...]
    idle_seconds: float = 60.0


@dataclass(frozen=True)
class HealthCheck:
    """How a target is probed; durations in virtual seconds. `port` None: the traffic port."""

    path: str = "/"
    matcher: str = "200"
    interval_seconds: float = 30.0
    timeout_seconds: float = 5.0
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    port: int | None = None
    enabled: bool = True


@dataclass(frozen=True)
class TargetGroup:
    """Targets, their probe, and the load balancers (as dimensions) whose rules name the group.

    `known` seeds the health of targets the process has not seen yet, after a restart.
    """

    arn: str
    dimension: str
    targets: tuple[Address, ...] = ()
    health_check: HealthCheck = field(default_factory=HealthCheck)
    deregistration_seconds: float = 300.0
    load_balancers: tuple[str, ...] = ()
    known: tuple[tuple[Address, str], ...] = ()


@dataclass(frozen=True)
class Desired:
    """Everything. `speed` is how much faster than real time the cloud's clock runs."""

    listeners: tuple[Listener, ...] = ()
    groups: tuple[TargetGroup, ...] = ()
    speed: float = 1.0
    seed: int | None = None


DESIRED = TypeAdapter(Desired)
