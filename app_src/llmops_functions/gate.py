"""The gate: ECS calls it during a rollout, and it answers with a verdict.

    handler(event, context) -> {"hookStatus": "SUCCEEDED" | "FAILED" | "IN_PROGRESS", ...}

When the test listener forwards to the candidate, it asks the golden set there: a release that
fails it never sees a user. Before the first step of the canary there is nothing to judge; before
the second it reads both arms' minutes from CloudWatch, judges those it has not judged yet and
answers IN_PROGRESS until the judge or the operator has decided.

A call that cannot read is never a success: it asks to be called again, and after
`decide.MAXIMUM_FAILURES` such calls in a row it fails the rollout. Every call is kept in the
rollout's record; a record that cannot be written changes no answer. On the way back, and at any
other stage (ECS calls hooks of the shift stages again while it rolls back), it answers SUCCEEDED.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import boto3
from botocore.config import Config

from llmops_functions import call as calls
from llmops_functions import decide, record, recover, rollout, steps
from llmops_functions.bucket import Bucket
from llmops_functions.call import STAGES, Answer, Call
from llmops_functions.exam import Urls
from llmops_functions.queries import Source
from llmops_functions.record import Content, Record
from llmops_functions.steps import ANSWER_SECONDS, Aws, Outcome, Place, Scene
from llmops_judge import Policy

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

PATIENCE = Config(
    connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2, "mode": "standard"}
)
"""With botocore's own minute, one call to AWS that hangs would outlast the function."""
UNLIMITED = 900.0
"""Seconds left where there is no Lambda that ends: its own longest time."""


def handler(event: Any, context: Any) -> dict[str, Any]:
    """The Lambda's entry point; `context` tells how much time is left."""
    event = event if isinstance(event, Mapping) else {"lifecycleStage": STAGES[0]}
    if event.get("lifecycleStage") not in STAGES:
        return {"hookStatus": "SUCCEEDED"}
    try:
        return answer(event, _aws(), _place(os.environ), _seconds_left(context))
    except Exception as error:
        logger.exception("The gate cannot work")
        return _unreadable(event, error)


def answer(
    event: Mapping[str, Any],
    aws: Aws,
    place: Place,
    seconds_left: Callable[[], float] = lambda: UNLIMITED,
) -> dict[str, Any]:
    """Decide, keep the record, answer."""
    try:
        call = Call.parse(event)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        logger.exception("ECS's call cannot be understood")
        return _unreadable(event, error)
    given = _answer(call, aws, place, seconds_left)
    logger.info(
        json.dumps({"rollout": call.rollout, "hook_status": given.status, "reason": given.reason})
    )
    return given.to_ecs(call.callback_seconds)


def _answer(call: Call, aws: Aws, place: Place, seconds_left: Callable[[], float]) -> Answer:
    folder = Record(Bucket(aws.s3, place.bucket), call.rollout_id)
    word: decide.Word | None = None
    old: Content | None = None
    try:
        old = folder.read()
        word = folder.word()
        scene = _scene(call, aws, place, folder=folder, old=old, word=word, left=seconds_left)
        outcome = steps.take(scene)
    except Exception as error:
        logger.exception("The gate could not judge %s", call.rollout)
        given = _on_failure(call, word, error)
        _keep(folder, seconds_left, lambda: _after_failure(folder, call, given, word))
        return given
    given = outcome.answer
    kept = _keep(folder, seconds_left, lambda: _after_call(old, scene, outcome))
    if kept and outcome.end is not None:
        given = replace(given, state={**given.state, "recorded": outcome.end})
    return given


def _scene(
    call: Call,
    aws: Aws,
    place: Place,
    *,
    folder: Record,
    old: Content | None,
    word: decide.Word | None,
    left: Callable[[], float],
) -> Scene:
    policy = Policy.from_settings(call.policy or (old or {}).get("policy") or {})
    state = recover.remembered(call.state, old, policy)
    return Scene(
        call=replace(call, state=state),
        policy=policy,
        rollout=rollout.describe(aws.ecs, call),
        word=word,
        record=old,
        folder=folder,
        aws=aws,
        place=place,
        seconds_left=left,
    )


def _on_failure(call: Call, word: decide.Word | None, error: Exception) -> Answer:
    """A rollback is not held up, and the operator's word counts, whatever cannot be read."""
    if decide.goes_back(call):
        return decide.over(call.state)
    if word:
        return decide.by_operator(word, state=call.state)
    return decide.broken(call.state, error)


def _after_call(old: Content | None, scene: Scene, outcome: Outcome) -> Content:
    given = outcome.answer
    header = record.header(
        scene.call,
        scene.policy,
        rollout=scene.rollout,
        source=scene.place.source,
        state={"history": scene.state.get("history"), **given.state},
        golden=outcome.golden,
    )
    return record.extended(
        old,
        header=header,
        entry=record.entry(scene.call, scene.rollout.now, given),
        intervals=[interval.to_json() for interval in outcome.intervals],
        answer=given,
        word=scene.word,
    )


def _after_failure(folder: Record, call: Call, given: Answer, word: decide.Word | None) -> Content:
    """The record with a call that could not judge; who is judged stays as it was known."""
    old = folder.read()
    header = {"rollout": call.rollout, "policy": None if old else dict(call.policy)}
    entry = record.entry(call, folder.bucket.now, given)
    return record.extended(old, header=header, entry=entry, answer=given, word=word)


def _keep(folder: Record, seconds_left: Callable[[], float], make: Callable[[], Content]) -> bool:
    """Write the record; False, and a log line, if that does not work or the time is up."""
    try:
        if seconds_left() < ANSWER_SECONDS / 2:
            raise TimeoutError("no time is left to write")
        folder.write(make())
    except Exception:
        logger.exception("The record %s could not be written", folder.name)
        return False
    return True


def _unreadable(event: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    """The answer to a call that tells not even whose rollout it is about."""
    hook = calls.details(event)
    return decide.broken(calls.table(hook, "state"), error).to_ecs(calls.CALLBACK_SECONDS)


def _seconds_left(context: Any) -> Callable[[], float]:
    tell = getattr(context, "get_remaining_time_in_millis", None)
    return (lambda: tell() / 1000) if tell else (lambda: UNLIMITED)


def _place(variables: Mapping[str, str]) -> Place:
    """Raises KeyError naming the variable that is missing."""
    source = Source(
        variables["METRIC_NAMESPACE"], variables["SERVICE_NAME"], variables["ENVIRONMENT"]
    )
    urls = Urls(variables.get("TEST_URL", ""), variables.get("SERVICE_URL", ""))
    token = variables.get("TOKEN_SECRET_ARN", "")
    return Place(variables["ARTIFACT_BUCKET"], source, urls, token)


@functools.cache
def _aws() -> Aws:
    """Made on the first call and kept while the function stays warm."""
    names = ("ecs", "cloudwatch", "s3", "secretsmanager")
    return Aws(*(boto3.client(name, config=PATIENCE) for name in names))
