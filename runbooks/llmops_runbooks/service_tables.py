"""The tables of llmops.toml about the service and what it is released on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,23}$")]
Semver = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$")]
Percent = Annotated[float, Field(ge=0.1, le=50)]
Minutes = Annotated[int, Field(ge=0, le=1440)]
Port = Annotated[int, Field(ge=1, le=65535)]
Share = Annotated[float, Field(ge=0, le=1)]
Architecture = Literal["arm64", "x86_64"]


class Table(BaseModel):
    """A table of the file: unknown keys are mistakes, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Canary(Table):
    """How ECS moves the traffic of a release."""

    percent: Percent = 10.0
    """Share of the traffic that a new revision gets first."""
    bake_minutes: Minutes = 1
    """Minutes ECS waits after the canary shift, before the gate is asked for the first time."""
    final_bake_minutes: Minutes = 5
    """Minutes both revisions stay at full size after 100 %, under alarms."""
    promotion: Literal["gate", "manual"] = "gate"
    """`gate`: the judge decides; `manual`: a PAUSE hook holds the canary for a person."""


class Service(Table):
    """The size and the ports of the running service."""

    desired_count: Annotated[int, Field(ge=1, le=100)] = 2
    """Tasks, where there is no table `scaling`."""
    cpu: Literal[256, 512, 1024, 2048, 4096] = 512
    """Of a task, in units; 1024 are one virtual processor."""
    memory_mib: Annotated[int, Field(ge=512, le=30720)] = 1024
    """Of a task; what Fargate allows with the processor."""
    architecture: Architecture = "arm64"
    """Of the processor: tasks run on it, and releases are laid on the base image for it."""
    container_port: Port = 8080
    """Where the container listens."""
    listener_port: Port = 80
    """Where users come in; 80 becomes 443 with `edge.domain`."""
    test_listener_port: Port = 8080
    """Where a new revision is reached before any user."""


class Scoring(Table):
    """How answers under live traffic are scored; both arms of a rollout alike."""

    sample: Share = 1.0
    """Share of the answers that are scored by retrieval support."""
    url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    """An OpenAI-compatible API whose model judges answers; None: no model does."""
    model: str | None = None
    """The model at that API; needed with `url`."""
    key_secret_arn: str | None = None
    """The whole ARN of the secret whose text is that API's key."""
    judged: Share = 0.1
    """Share of the answers that the model judges."""
    daily_budget_usd: Annotated[float, Field(ge=0)] = 1.0
    """What it may cost per release and day."""

    @model_validator(mode="after")
    def _a_model_is_named(self) -> Scoring:
        if self.url and not self.model:
            raise ValueError("scoring.url is set without scoring.model")
        return self
