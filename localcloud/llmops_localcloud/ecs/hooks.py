"""Lifecycle hooks of one stage: functions that are called until they decide, pauses that wait.

Payload, answer, `callBackDelay`, the merge of hookDetails and the 30 seconds are those of the
developer guide's page on Lambda lifecycle hooks; pauses are those of its page on pause hooks.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, MutableMapping
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

from llmops_localcloud.ecs.desk import Desk, Ticket
from llmops_localcloud.ecs.events import hook_changed
from llmops_localcloud.ecs.identifiers import function_hook_id, pause_hook_id
from llmops_localcloud.ecs.machine import RollBack
from llmops_localcloud.ecs.model import Deployment, HookRun, HookStatus, minutes
from llmops_localcloud.ecs.stages import Stage

FUNCTION_SECONDS = 30
"""How long a function may take for one answer, in real seconds: it runs in real time."""

DEFAULT_CALLBACK_SECONDS = 30

HOOK_ANSWERS = frozenset({"SUCCEEDED", "FAILED", "IN_PROGRESS"})
"""What `hookStatus` in a function's answer may say."""

Memory = MutableMapping[int, Mapping[str, Any]]
"""hookDetails by hook, kept for the deployment."""


def because(text: str) -> str:
    """The beginning every `statusReason` of a rollback shares."""
    return f"Service deployment rolled back because {text}"


class HookSet:
    """All hooks of one stage (and step), started together; all must pass, one failure decides."""

    def __init__(
        self,
        desk: Desk,
        deployment: Deployment,
        stage: Stage,
        *,
        memory: Memory,
        weights: Mapping[str, Mapping[str, int]],
        functions_only: bool,
    ) -> None:
        self._desk, self._deployment, self._memory = desk, deployment, memory
        self._weights = weights
        self._stage = stage
        hooks = list(enumerate(deployment.configuration["lifecycleHooks"]))
        chosen = [(number, hook) for number, hook in hooks if stage in hook["lifecycleStages"]]
        if functions_only:
            chosen = [(number, hook) for number, hook in chosen if hook["targetType"] != "PAUSE"]
        self.runs = [self._start(number, hook) for number, hook in chosen]
        self._calls = {run.hook_id: _Call(desk, run) for run in self.runs if not run.is_pause}
        if self.runs:
            deployment.hooks = self.runs

    def passed(self) -> bool:
        """Whether all hooks have passed; raises RollBack for the first that did not."""
        for run in self.runs:
            if run.open:
                self._advance(run)
            failure = self._failure(run)
            if failure:
                self._abandon()
                raise RollBack(because(failure))
        return not any(run.open for run in self.runs)

    def _start(self, number: int, hook: Mapping[str, Any]) -> HookRun:
        pause = hook["targetType"] == "PAUSE"
        run = HookRun(
            hook_id=pause_hook_id() if pause else function_hook_id(),
            configuration=hook,
            number=number,
            stage=self._stage,
            status=HookStatus.AWAITING_ACTION if pause else HookStatus.IN_PROGRESS,
            expires_at=self._desk.now + minutes(hook["timeoutConfiguration"]["timeoutInMinutes"]),
            execution_id=str(uuid.uuid4()),
        )
        hook_changed(self._desk, self._deployment, run)
        return run

    def _advance(self, run: HookRun) -> None:
        if self._desk.now >= run.expires_at:
            self._close(run, HookStatus.TIMED_OUT)
            return
        call = self._calls.get(run.hook_id)
        if call is None:
            return
        try:
            answer = call.answer(self._payload)
        except _NoAnswer as why:
            run.failure = str(why)
            self._close(run, HookStatus.FAILED)
            return
        if answer is not None:
            self._take(run, call, answer)

    def _take(self, run: HookRun, call: _Call, answer: Mapping[str, Any]) -> None:
        details = answer.get("hookDetails")
        if isinstance(details, Mapping):
            self._memory[run.number] = {**self._details(run), **details}
        if answer["hookStatus"] == "IN_PROGRESS":
            call.again(float(answer.get("callBackDelay", DEFAULT_CALLBACK_SECONDS)))
        else:
            self._close(run, HookStatus(answer["hookStatus"]))

    def _details(self, run: HookRun) -> Mapping[str, Any]:
        return self._memory.get(run.number, run.configuration.get("hookDetails", {}))

    def _payload(self, run: HookRun) -> dict[str, Any]:
        return {
            "executionId": run.execution_id,
            "lifecycleStage": str(run.stage),
            "resourceArn": self._deployment.arn,
            "executionDetails": {
                "serviceArn": self._deployment.service_arn,
                "targetServiceRevisionArn": self._deployment.target.arn,
                **self._weights,
            },
            "hookDetails": dict(self._details(run)),
        }

    def _failure(self, run: HookRun) -> str | None:
        """What the `statusReason` says of a run that did not pass."""
        if run.status is HookStatus.TIMED_OUT and run.timeout_action == "ROLLBACK":
            kind = "pause" if run.is_pause else "lifecycle"
            return f"{run.stage} {kind} hook timed out."
        if run.status is not HookStatus.FAILED:
            return None
        if run.is_pause:
            return f"{run.stage} pause hook was continued with action ROLLBACK."
        told = run.failure or (
            f"Lifecycle hook target {run.configuration['hookTargetArn']} returned FAILED status."
        )
        return f"{run.stage} lifecycle hook(s) failed. {told}"

    def _close(self, run: HookRun, status: HookStatus) -> None:
        run.status = status
        hook_changed(self._desk, self._deployment, run)

    def _abandon(self) -> None:
        for run in self.runs:
            if run.open:
                self._close(run, HookStatus.FAILED)


class _NoAnswer(Exception):
    """A function gave no usable answer; the text names it and says why."""


class _Call:
    """The calls of one function hook, one at a time."""

    def __init__(self, desk: Desk, run: HookRun) -> None:
        self._desk, self._run = desk, run
        self._arn = str(run.configuration["hookTargetArn"])
        self._due: datetime = desk.now
        self._deadline: datetime | None = None
        self._ticket: Ticket | None = None

    def again(self, seconds: float) -> None:
        self._due = self._desk.now + timedelta(seconds=seconds)

    def answer(self, payload: Any) -> Mapping[str, Any] | None:
        """The function's answer once it is there; makes the call when it is due."""
        if self._ticket is None:
            if self._desk.now >= self._due:
                self._invoke(payload(self._run))
            return None
        future = self._future(self._ticket)
        if future is None or not future.done():
            self._check_deadline()
            return None
        self._ticket = None
        return self._parse(future)

    def _invoke(self, payload: Mapping[str, Any]) -> None:
        arn = self._arn
        self._ticket = self._desk.ask(lambda world: world.functions.invoke(arn, payload))
        limit = FUNCTION_SECONDS * self._desk.world.clock.speed
        self._deadline = self._desk.now + timedelta(seconds=limit)

    def _future(self, ticket: Ticket) -> Future[Any] | None:
        if ticket.error is not None:
            raise _NoAnswer(f"ECS was unable to invoke {self._arn}: {ticket.error}")
        return ticket.result if ticket.done else None

    def _check_deadline(self) -> None:
        if self._deadline is not None and self._desk.now >= self._deadline:
            raise _NoAnswer(
                f"Lifecycle hook target {self._arn} did not answer "
                f"within {FUNCTION_SECONDS} seconds."
            )

    def _parse(self, future: Future[Any]) -> Mapping[str, Any]:
        failure = future.exception()
        if failure is not None:
            raise _NoAnswer(f"ECS was unable to invoke {self._arn}: {failure}")
        answer = future.result()
        status = answer.get("hookStatus") if isinstance(answer, Mapping) else None
        if not isinstance(answer, Mapping) or status not in HOOK_ANSWERS:
            raise self._unparsable("HookStatus must not be null")
        delay = answer.get("callBackDelay", DEFAULT_CALLBACK_SECONDS)
        if not isinstance(delay, int | float) or delay < 0:
            raise self._unparsable("CallBackDelay must be a number of seconds")
        return answer

    def _unparsable(self, why: str) -> _NoAnswer:
        return _NoAnswer(f"ECS was unable to parse the response from {self._arn} due to {why}")
