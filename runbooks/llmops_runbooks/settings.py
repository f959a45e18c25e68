"""`llmops.toml`: one table of defaults, one table per environment, checked before anything runs.

    service = "handbook"            # top-level keys are the defaults of every environment
    [env.prod]                      # and each environment overrides what differs
    account = "111122223333"

Any key can be overridden for one command by an environment variable: `LLMOPS_` and the key in
capitals, tables joined by two underscores (`LLMOPS_ENDPOINT_URL`, `LLMOPS_CANARY__PERCENT`).

The judge's policy is the table `[judge]`, or a file judge.toml: see `llmops_runbooks.judge_policy`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from llmops_runbooks import infrastructure_tables as infrastructure
from llmops_runbooks import judge_policy, toml_tables
from llmops_runbooks.errors import SettingsError
from llmops_runbooks.service_tables import Canary, Name, Scoring, Semver, Service, Table

if TYPE_CHECKING:
    from llmops_judge import Policy

FILE_NAME = "llmops.toml"
DEFAULT_KEY = "default_environment"
PREFIX = "LLMOPS_"


class Environment(Table):
    """One environment, defaults filled in."""

    name: Name
    service_name: Name = "handbook"
    """What the ECS service is called, and what every name begins with."""
    account: Annotated[str, Field(pattern=r"^\d{12}$")]
    """Twelve digits."""
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] = "us-east-1"
    """Where everything is."""
    endpoint_url: Annotated[str, Field(pattern=r"^https?://[^/\s]+$")] | None = None
    """Where AWS's API answers, if not at AWS's own addresses."""
    profile: str | None = None
    """Of the AWS CLI's configuration; None: the SDK's usual search."""
    access_key_id: str | None = None
    """With `secret_access_key`, credentials for the local cloud."""
    secret_access_key: str | None = None
    """Never one of an AWS account: the file is in the repository."""
    initial_release: Semver = "1.0.0"
    """The release that the first `deploy` starts the service with."""
    base_image: str | None = None
    """Tag in the service's repository of the image with Python and the dependencies; the
    release's code becomes one more layer on it. None: the code alone."""
    callback_seconds: Annotated[int, Field(ge=1, le=300)] = 30
    """Seconds after which ECS asks an undecided gate again."""
    poll_seconds: Annotated[float, Field(gt=0, le=60)] = 5
    """Seconds between two looks of a watching command at a rollout."""
    throw_away: bool = False
    """Its data may go with its stacks. Default: data is kept and stacks are protected."""
    compute: Literal["fargate", "lambda"] = "fargate"
    """Tasks behind a load balancer, or a Lambda function behind an HTTP API."""
    policies: tuple[infrastructure.Policy, ...] = ("aws-solutions",)
    """cdk-nag's packs that its templates must pass."""
    canary: Canary = Canary()
    judge: dict[str, Any] = Field(default_factory=dict)
    """The judge's policy as it was written, this environment's laid over the defaults."""
    service: Service = Service()
    scoring: Scoring = Scoring()
    network: infrastructure.Network = infrastructure.Network()
    encryption: infrastructure.Encryption = infrastructure.Encryption()
    edge: infrastructure.Edge = infrastructure.Edge()
    scaling: infrastructure.Scaling | None = None
    database: infrastructure.Database = infrastructure.Database()
    storage: infrastructure.Storage = infrastructure.Storage()
    secrets: infrastructure.Secrets = infrastructure.Secrets()
    alerts: infrastructure.Alerts = infrastructure.Alerts()
    monitoring: infrastructure.Monitoring = infrastructure.Monitoring()
    jobs: infrastructure.Jobs = infrastructure.Jobs()
    page: infrastructure.Page = infrastructure.Page()
    function: infrastructure.Function = infrastructure.Function()
    delivery: infrastructure.Delivery = infrastructure.Delivery()

    @property
    def policy(self) -> Policy:
        """What the judge decides by."""
        return judge_policy.policy_of(self.judge)

    @property
    def prefix(self) -> str:
        """What the names of this environment's resources start with."""
        return f"{self.service_name}-{self.name}"

    @property
    def zones(self) -> tuple[str, ...]:
        """The availability zones the network spans."""
        return self.network.availability_zones or (f"{self.region}a", f"{self.region}b")

    @field_validator("judge")
    @classmethod
    def _a_judge_can_work_with_it(cls, table: dict[str, Any]) -> dict[str, Any]:
        judge_policy.policy_of(table)
        return table

    @model_validator(mode="after")
    def _ports_differ(self) -> Environment:
        if self.service.listener_port == self.service.test_listener_port:
            raise ValueError("service.listener_port and service.test_listener_port must differ")
        return self


def find(start: Path | None = None) -> Path:
    """The nearest llmops.toml at or above `start` (default: the working directory)."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise SettingsError(
        f"There is no {FILE_NAME} in {here} or above it.",
        hint=f"Run the command inside a project, or create a {FILE_NAME}.",
    )


def load(
    environment: str, *, file: Path | None = None, variables: Mapping[str, str] | None = None
) -> Environment:
    """The settings of one environment. Raises SettingsError, one sentence, for any mistake."""
    path = file or find()
    tables = _read(path)
    tables.pop(DEFAULT_KEY, None)
    environments = tables.pop("env", {})
    if environment not in environments:
        known = ", ".join(sorted(environments)) or "none"
        raise SettingsError(f"{path.name} has no environment '{environment}' (it has: {known}).")
    overrides = _from_variables(os.environ if variables is None else variables)
    written = judge_policy.written(path, tables, environments, environment)
    written = judge_policy.overridden(written, overrides.pop("judge", {}))
    merged = toml_tables.merge(tables, environments[environment])
    merged = toml_tables.merge(merged, overrides)
    merged["judge"] = judge_policy.checked(written, environment)
    try:
        return Environment.model_validate({**merged, "name": environment})
    except ValidationError as error:
        raise SettingsError(_sentence(path, environment, error.errors()[0], overrides)) from error


def names(file: Path | None = None) -> list[str]:
    """The environments of the file, sorted."""
    return sorted(_read(file or find()).get("env", {}))


def default_environment(file: Path | None = None) -> str:
    """The environment a command means when it is told none: `default_environment` of the file."""
    path = file or find()
    name = _read(path).get(DEFAULT_KEY)
    if not isinstance(name, str):
        raise SettingsError(
            f"No environment was given, and {path.name} names no {DEFAULT_KEY}.",
            hint="Say which: --env NAME.",
        )
    return name


def _read(path: Path) -> dict[str, Any]:
    tables = toml_tables.read(path)
    environments = tables.get("env", {})
    if not isinstance(environments, dict) or not all(
        isinstance(table, dict) for table in environments.values()
    ):
        raise SettingsError(f"{path.name}: env must hold one table per environment, [env.NAME].")
    return tables


def _from_variables(variables: Mapping[str, str]) -> dict[str, Any]:
    """The overrides; variables of the prefix that name no key of the file are not ours."""
    found: dict[str, Any] = {}
    for variable, value in variables.items():
        if not variable.startswith(PREFIX):
            continue
        path = variable.removeprefix(PREFIX).lower().split("__")
        if path[0] not in Environment.model_fields:
            continue
        table = found
        for key in path[:-1]:
            table = table.setdefault(key, {})
        table[path[-1]] = value
    return found


def _sentence(
    path: Path, environment: str, error: ErrorDetails, overrides: Mapping[str, Any]
) -> str:
    keys = [str(part) for part in error["loc"]]
    key = ".".join(keys)
    where = path.name
    if keys and keys[0] in overrides:
        where = f"the variable {PREFIX}{'__'.join(keys).upper()}"
    if error["type"] == "extra_forbidden":
        return f"{where}: '{key}' (environment {environment}) is not a setting llmops knows."
    if error["type"] == "missing":
        return f"{where}: '{key}' is missing for environment {environment}."
    if not keys:
        return f"{where}, environment {environment}: {error['msg'].removeprefix('Value error, ')}."
    allowed = error["msg"].removeprefix("Input ").removeprefix("should ")
    return (
        f"{where}: '{key}' is {error['input']!r} for environment {environment}, "
        f"but it should {allowed}."
    )
