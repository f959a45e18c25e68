"""What the runbooks ask of a cloud: `aws/` answers with boto3, `memory/` is the twin without.

Names, statuses and stages are AWS's own words. A thing that is not there is None, never an
exception; what AWS refuses is a CloudError, raised by the adapter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from llmops_runbooks.coordinates import Coordinates

if TYPE_CHECKING:
    from llmops_judge.observations import History
    from llmops_judge.policy import Metric

UNDER_WAY = frozenset(
    {"PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"}
)
GOING_BACK = frozenset(
    {"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"}
)
ENDED = frozenset({"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"})


@dataclass(frozen=True)
class Hook:
    """A lifecycle hook that is active in a deployment; `kind` is AWS_LAMBDA or PAUSE."""

    hook_id: str
    kind: str
    status: str
    expires_at: datetime | None = None
    timeout_action: str = "ROLLBACK"

    @property
    def waits_for_a_person(self) -> bool:
        return self.kind == "PAUSE" and self.status == "AWAITING_ACTION"


@dataclass(frozen=True)
class RevisionView:
    """A service revision in a deployment; weights are percent and may lag behind the rule's."""

    arn: str
    weight: float = 0.0
    requested: int = 0
    running: int = 0


@dataclass(frozen=True)
class Deployment:
    """An ECS service deployment as DescribeServiceDeployments shows it."""

    arn: str
    status: str
    target: RevisionView
    source: RevisionView | None = None
    stage: str = ""
    reason: str = ""
    hooks: tuple[Hook, ...] = ()
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    stopped_at: datetime | None = None
    rollback_reason: str = ""
    rollback_revision: str = ""
    rollback_started_at: datetime | None = None
    alarm_status: str = ""
    triggered_alarms: tuple[str, ...] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)
    service_arn: str = ""

    @property
    def id(self) -> str:
        """The last part of the ARN: the folder of the rollout's record and evidence."""
        return self.arn.rsplit("/", 1)[-1]

    @property
    def under_way(self) -> bool:
        return self.status not in ENDED

    @property
    def pauses(self) -> tuple[Hook, ...]:
        """The hooks that wait for a person now, whatever the stage is called (reference 0.5)."""
        return tuple(hook for hook in self.hooks if hook.waits_for_a_person)


@dataclass(frozen=True)
class ServiceView:
    """The ECS service; `revisions` are the revisions that have tasks."""

    task_definition: str
    desired: int
    running: int
    configuration: Mapping[str, Any]
    revisions: tuple[RevisionView, ...] = ()


class Deployments(Protocol):
    """ECS, seen from one service."""

    def service(self) -> ServiceView | None:
        """The service, or None if there is none."""

    def deployments(self, *, after: datetime | None = None, limit: int = 20) -> list[Deployment]:
        """The newest deployments, newest first, at most `limit`, created after `after`."""

    def deployment(self, arn: str) -> Deployment | None:
        """One deployment, or None while ECS does not know it (yet)."""

    def task_definition_of(self, revision: str) -> str | None:
        """The task definition ARN of a service revision, or None if ECS has forgotten it."""

    def task_definition(self, arn: str) -> Mapping[str, Any]:
        """A task definition as DescribeTaskDefinition shows it; of a family, its newest ACTIVE."""

    def failed_tasks(self, task_definition: str = "") -> list[str]:
        """Why tasks ended that ECS did not end itself, those of one task definition if given."""

    def register(self, definition: Mapping[str, Any]) -> str:
        """Registers a task definition (RegisterTaskDefinition's parameters); its ARN."""

    def deregister(self, arn: str) -> None:
        """Makes a task definition INACTIVE, so that it is never "the latest" again."""

    def update(self, task_definition: str, configuration: Mapping[str, Any]) -> None:
        """Starts one deployment; load balancers and desired count stay as they are."""

    def resume(self, arn: str, hook_id: str, action: Literal["CONTINUE", "ROLLBACK"]) -> bool:
        """Answers a PAUSE hook; False if the hook waits no longer."""

    def stop(self, arn: str) -> bool:
        """StopServiceDeployment(ROLLBACK); False if the deployment has ended."""


class Artifacts(Protocol):
    """The artifact bucket. Keys hold no bucket name."""

    def uri(self, key: str) -> str:
        """The `s3://` address of a key."""

    def get(self, key: str) -> bytes | None:
        """The object, or None."""

    def put(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        """Writes the object, over an older one."""

    def put_new(self, key: str, content: bytes, content_type: str = "application/json") -> bool:
        """Writes the object unless the key exists (conditional put); False if it exists."""

    def keys(self, prefix: str) -> list[str]:
        """The keys that start with `prefix`, sorted."""


@dataclass(frozen=True)
class RemoteImage:
    """An image manifest in the registry, parsed, with its digest."""

    digest: str
    manifest: Mapping[str, Any]


class Registry(Protocol):
    """The service's image repository."""

    name: str

    def image(self, *, tag: str = "", digest: str = "") -> RemoteImage | None:
        """The image a tag or a digest names, or None."""

    def blob(self, digest: str) -> bytes:
        """The content of a layer or a configuration."""

    def put_blob(self, digest: str, content: bytes) -> None:
        """Uploads a layer or a configuration unless the repository has it."""

    def put_image(self, manifest: bytes, media_type: str, tag: str) -> bool:
        """Names a manifest `tag`; False if the tag is taken by another image for good."""


class Routing(Protocol):
    """Listener rules of the load balancer."""

    def weights(self, rule_arn: str) -> dict[str, int]:
        """Target group ARN -> forward weight, as the rule has it now."""


class Alarms(Protocol):
    """CloudWatch alarms."""

    def states(self, names: Sequence[str]) -> dict[str, str]:
        """Alarm name -> OK, ALARM or INSUFFICIENT_DATA; an alarm that is missing is left out."""


class Metrics(Protocol):
    """How much a release served, minute by minute."""

    def series(
        self, *, service: str, environment: str, release: str, start: datetime, end: datetime
    ) -> list[dict[str, Any]]:
        """`start` and `requests` of each minute; minutes without data are left out, never zero."""


class Histories(Protocol):
    """What a release has done so far, as the judge counts it."""

    def history(
        self,
        metrics: Sequence[Metric],
        *,
        service: str,
        environment: str,
        release: str,
        start: datetime,
        end: datetime,
    ) -> History:
        """How many requests it served, and how many outcomes of each metric fell into which cell.

        A metric without data is left out.
        """

    def exposed(
        self,
        metrics: Sequence[Metric],
        *,
        service: str,
        environment: str,
        experiment: str,
        variant: str,
        start: datetime,
        end: datetime,
    ) -> History:
        """The same of an experiment's variant, in the whole hours from `start` to before `end`."""


class Clock(Protocol):
    """The cloud's time (AWS's Date header), and the machine's for waiting."""

    def now(self) -> datetime:
        """The cloud's time at its last answer, UTC."""

    def wall(self) -> float:
        """The machine's time, seconds since the epoch."""

    def wait(self, seconds: float) -> None:
        """Waits so many of the machine's seconds."""


@dataclass(frozen=True)
class Cloud:
    """Everything a runbook needs to operate one deployed service."""

    coordinates: Coordinates
    deployments: Deployments
    artifacts: Artifacts
    registry: Registry
    routing: Routing
    alarms: Alarms
    metrics: Metrics
    histories: Histories
    clock: Clock
