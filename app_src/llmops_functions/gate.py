"""The gate: ECS calls it before each step of a canary, and it answers with the judge's verdict.

    handler(event, context) -> {"hookStatus": "SUCCEEDED" | "FAILED" | "IN_PROGRESS", ...}

Before the first step there is nothing to judge; before the second it reads both arms' minutes
from CloudWatch, judges those it has not judged yet and answers IN_PROGRESS until the judge or the
operator has decided. A call that cannot read is never a success: it asks to be called again, and
after `decide.MAXIMUM_FAILURES` such calls in a row it fails the rollout. Every call is kept in
the rollout's record; a record that cannot be written changes no answer. At any other stage
(ECS calls hooks of the shift stages again while it rolls back) it answers SUCCEEDED at once.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import boto3

from llmops_functions import decide, readings, record, rollout
from llmops_functions.call import GATE_STAGE, Answer, Call
from llmops_functions.readings import Interval, Source
from llmops_functions.record import Record
from llmops_functions.rollout import Rollout

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


@dataclass(frozen=True)
class Aws:
    """The three AWS clients the gate needs."""

    ecs: Any
    cloudwatch: Any
    s3: Any


@dataclass(frozen=True)
class Place:
    """Where the gate works, from the function's environment."""

    bucket: str
    source: Source

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Place:
        """Raises KeyError naming the variable that is missing."""
        source = Source(
            variables["METRIC_NAMESPACE"], variables["SERVICE_NAME"], variables["ENVIRONMENT"]
        )
        return cls(variables["ARTIFACT_BUCKET"], source)


@dataclass(frozen=True)
class Outcome:
    """An answer and what it was made of. `end`: up to when the intervals reach, epoch seconds."""

    answer: Answer
    rollout: Rollout
    word: decide.Word | None = None
    end: int | None = None
    intervals: Sequence[Interval] = ()


@functools.cache
def _aws() -> Aws:
    """Made on the first call and kept while the function stays warm."""
    return Aws(boto3.client("ecs"), boto3.client("cloudwatch"), boto3.client("s3"))


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """The Lambda's entry point; `context` is not used."""
    if event.get("lifecycleStage") != GATE_STAGE:
        return {"hookStatus": "SUCCEEDED"}
    return answer(Call.parse(event), _aws(), Place.from_environment(os.environ))


def answer(call: Call, aws: Aws, place: Place) -> dict[str, Any]:
    """Decide, keep the record, answer."""
    folder = Record(aws.s3, place.bucket, call.rollout_id)
    try:
        outcome = _decide(call, aws, place, folder)
    except Exception as error:
        logger.exception("The gate could not judge %s", call.rollout)
        given = decide.broken(call.state, error)
        _keep(folder, lambda old: record.after_failure(old, call, given, folder.now))
    else:
        given = outcome.answer
        kept = _keep(folder, lambda old: _after_call(old, call, outcome, place.source))
        if kept and outcome.end is not None:
            given = replace(given, state={**given.state, "recorded": outcome.end})
    logger.info(
        json.dumps({"rollout": call.rollout, "hook_status": given.status, "reason": given.reason})
    )
    return given.to_ecs(call.callback_seconds)


def _decide(call: Call, aws: Aws, place: Place, folder: Record) -> Outcome:
    now = rollout.describe(aws.ecs, call)
    word = folder.word()
    if now.baseline is None:
        return Outcome(decide.first_deployment(), now)
    if now.baseline.release == now.canary.release:
        return Outcome(decide.same_release(now.canary.release), now)
    if call.canary_share == 0:
        return Outcome(decide.before_canary(now.now, word), now, word)
    state = decide.arrived(call, now.now)
    seen = decide.window(state, now.now)
    intervals = _read(aws, place.source, now, seen, word)
    given = decide.judge(call, state, seen, intervals, word)
    return Outcome(given, now, word, seen.end, intervals)


def _read(
    aws: Aws, source: Source, now: Rollout, seen: decide.Window, word: decide.Word | None
) -> list[Interval]:
    """The readings; without them the operator's word still counts."""
    try:
        return readings.read(
            aws.cloudwatch, source, releases=now.releases, start=seen.start, end=seen.end
        )
    except Exception:
        if word is None:
            raise
        logger.exception("The operator decided; the metrics could not be read")
        return []


def _after_call(
    old: record.Content | None, call: Call, outcome: Outcome, source: Source
) -> record.Content:
    conclusion = {"decision": outcome.word, "decided_by": outcome.answer.decided_by}
    return record.extended(
        old,
        header=record.header(call, outcome.rollout, source),
        entry=record.entry(call, outcome.rollout.now, outcome.answer),
        intervals=[interval.to_json() for interval in outcome.intervals],
        conclusion=conclusion,
    )


def _keep(folder: Record, change: Callable[[record.Content | None], record.Content]) -> bool:
    """Write the record changed; False, and a log line, if that does not work."""
    try:
        folder.write(change(folder.read()))
    except Exception:
        logger.exception("The record %s could not be written", folder.name)
        return False
    return True
