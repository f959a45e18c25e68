"""Watch one rollout to its end. The engine drives it; this only looks, and answers the first pause.

A look is pinned to the deployment's ARN and reads its status, weights and hooks, so nothing is
lost if a stage vanishes between two looks. The pause before the canary is answered by the
watcher; the one that holds a live canary never is: it is known by the weights that ECS *and* the
load balancer show, since either may lag (reference 6.23).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llmops_runbooks.errors import CloudError
from llmops_runbooks.narration import Event, Mark, Tell, silent, stage_of
from llmops_runbooks.outcome import Decider, decided_by, reason_of
from llmops_runbooks.ports import GOING_BACK, Cloud, Deployment
from llmops_runbooks.records import (
    GOLDEN_STAGE,
    Record,
    decision,
    elapsed_minutes,
    gate_record,
    golden_call,
    held,
    last_call,
    last_verdict,
)

TASKS = "tasks"
"""The step of an event that tells of tasks that ended by themselves."""
PATIENCE = 40
"""Looks in vain, one after the other, before a command gives up."""


@dataclass(frozen=True)
class Look:
    """What was seen at once: the deployment and what was written about it."""

    deployment: Deployment
    record: Record | None
    decision: Record | None

    @property
    def held(self) -> str | None:
        """Why the gate holds the live canary for a person, or None."""
        live = self.deployment.under_way and 0 < self.deployment.target.weight < 100
        back = self.deployment.status in GOING_BACK
        return held(self.record, self.decision) if live and not back else None

    @property
    def golden(self) -> str | None:
        """How far the golden set is, while it is asked."""
        call = last_call(self.record)
        asked = call and call["stage"] == GOLDEN_STAGE and call["hook_status"] == "IN_PROGRESS"
        return str(call["reason"]) if call and asked else None


@dataclass
class Watch:
    """A watch over one rollout; `decided_wall` is when the machine saw it decided, or None."""

    cloud: Cloud
    arn: str
    poll_seconds: float
    tell: Tell = silent
    decided_wall: float | None = None
    _said: Event | None = None
    _decider: Decider | None = None
    _was_going_back: bool = False
    _looked: bool = False
    _told_golden: bool = False
    _failures: int = 0

    def to_the_end(self, *, hold: bool = True) -> Look:
        """Looks until the rollout ended, or the gate waits for a person to decide.

        Without `hold`, until a pause waits for a person, too.
        """
        while True:
            look, answered = self._patiently()
            left = not hold and bool(look.deployment.pauses) and not answered
            if left or look.held or not look.deployment.under_way:
                return look
            self.cloud.clock.wait(self.poll_seconds)

    def look(self) -> Look:
        """One look; tells what changed since the last."""
        deployment = self._deployment()
        rollout, artifacts = deployment.id, self.cloud.artifacts
        look = Look(deployment, gate_record(artifacts, rollout), decision(artifacts, rollout))
        self._note_golden(look)
        self._note_decision(look)
        event = stage_of(
            deployment,
            last_verdict(look.record),
            elapsed_minutes(look.record),
            held=look.held,
            golden=look.golden,
        )
        if event != self._said:
            self._said = event
            self._say(event)
        self._note_failing_tasks(deployment)
        return look

    def _patiently(self) -> tuple[Look, bool]:
        """A look, and whether it answered a pause; survives a network that comes and goes."""
        reason = ""
        for lost in range(PATIENCE):
            try:
                look = self.look()
                return look, self._answer_first_pause(look.deployment)
            except CloudError as error:
                if lost == 0:
                    self.tell(Event("lost sight", f"{error.message} Trying again.", Mark.WARNING))
                reason = error.message
                self.cloud.clock.wait(self.poll_seconds)
        raise CloudError(
            f"{reason} The rollout goes on without this command.",
            hint="Come back with: llmops status --watch",
        )

    def _deployment(self) -> Deployment:
        found = self.cloud.deployments.deployment(self.arn)
        if found is None:
            raise CloudError(f"ECS does not show the rollout {self.arn}.")
        return found

    def _answer_first_pause(self, deployment: Deployment) -> bool:
        """Continues the pauses that stand before the canary; True if one was answered."""
        if not deployment.pauses or not before_the_canary(self.cloud, deployment):
            return False
        for hook in deployment.pauses:
            if self.cloud.deployments.resume(deployment.arn, hook.hook_id, "CONTINUE"):
                self._say(Event("pause", "answered: the canary may start"))
        return True

    def _note_failing_tasks(self, deployment: Deployment) -> None:
        """Says why the candidate does not get on its feet: ECS itself only tries again."""
        target = deployment.target
        if not deployment.under_way or target.running >= max(1, target.requested):
            return
        definition = self.cloud.deployments.task_definition_of(target.arn)
        failures = self.cloud.deployments.failed_tasks(definition or "")
        if definition and len(failures) > self._failures:
            self._failures = len(failures)
            text = f"{len(failures)} of the candidate ended: {failures[-1]}"
            self._say(Event(TASKS, text, Mark.WARNING))

    def _note_golden(self, look: Look) -> None:
        """Says once how the golden set ended, or why there was none to ask."""
        call = golden_call(look.record)
        if self._told_golden or call is None or call["hook_status"] == "IN_PROGRESS":
            return
        self._told_golden = True
        passed = call["hook_status"] == "SUCCEEDED"
        self._say(Event("golden set", call["reason"], Mark.DONE if passed else Mark.FAILED))

    def _note_decision(self, look: Look) -> None:
        """The wall time at which a decision first showed; unknown if it was there at first look.

        A rollback by somebody else, after the gate had let the release pass, is a new decision.
        """
        decider = decided_by(look.deployment, look.record, look.decision)
        going_back = look.deployment.status in GOING_BACK
        overruled = going_back and not self._was_going_back and decider != self._decider
        if self._looked and decider and (self._decider is None or overruled):
            self.decided_wall = self.cloud.clock.wall()
            verdict = last_verdict(look.record) if decider == Decider.GATE else None
            reason = reason_of(look.record, look.decision, decider)
            why = f": {reason}" if reason else ""
            self._say(Event("decision", f"by the {decider}{why}", verdict=verdict))
        self._decider, self._was_going_back, self._looked = decider, going_back, True

    def _say(self, event: Event) -> None:
        self.tell(replace(event, at=self.cloud.clock.now()))


def before_the_canary(cloud: Cloud, deployment: Deployment) -> bool:
    """Whether no production request reaches the candidate yet."""
    weights = cloud.routing.weights(cloud.coordinates.production_rule_arn)
    one_serves = sum(weight > 0 for weight in weights.values()) == 1
    return deployment.target.weight == 0 and one_serves
