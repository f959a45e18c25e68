"""The three moments at which ECS asks the gate: what is read for each, and what is decided."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmops_functions import asking, decide, readings, recover
from llmops_functions.call import GOLDEN_STAGE, Answer, Call
from llmops_functions.exam import NOWHERE, Exam, NoExam, Urls
from llmops_functions.queries import Source
from llmops_functions.readings import Interval
from llmops_functions.record import Content, Record
from llmops_functions.rollout import Rollout
from llmops_judge import Policy

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 4.0
"""Kept free at the end of a call, for the record and the answer."""
LONGEST_QUESTION = asking.CONNECT_SECONDS + asking.QUESTION_SECONDS


@dataclass(frozen=True)
class Aws:
    """The AWS clients the gate needs."""

    ecs: Any
    cloudwatch: Any
    s3: Any
    secrets: Any


@dataclass(frozen=True)
class Place:
    """Where the gate works. Without urls, or without the token's secret, no golden set is asked."""

    bucket: str
    source: Source
    urls: Urls = NOWHERE
    token_secret: str = ""


@dataclass(frozen=True)
class Scene:
    """All that is known when the gate has to answer. seconds_left: until the function is ended."""

    call: Call
    policy: Policy
    rollout: Rollout
    word: decide.Word | None
    record: Content | None
    folder: Record
    aws: Aws
    place: Place
    seconds_left: Callable[[], float]

    @property
    def state(self) -> decide.State:
        return self.call.state


@dataclass(frozen=True)
class Outcome:
    """An answer and what it was made of. `end`: up to when the intervals reach, epoch seconds."""

    answer: Answer
    end: int | None = None
    intervals: Sequence[Interval] = ()
    golden: Mapping[str, Any] | None = None


def take(scene: Scene) -> Outcome:
    """The answer to one call."""
    now = scene.rollout
    if now.is_over or decide.goes_back(scene.call):
        return Outcome(decide.over(scene.state))
    if now.baseline is None:
        return Outcome(decide.first_deployment())
    if now.baseline.release == now.canary.release:
        return Outcome(decide.same_release(now.canary.release))
    if scene.call.stage == GOLDEN_STAGE:
        return _golden(scene)
    return _first_step(scene) if scene.call.canary_share == 0 else _second_step(scene)


def _golden(scene: Scene) -> Outcome:
    if scene.word:
        return Outcome(decide.by_operator(scene.word, state=scene.state))
    exam = _exam(scene)
    try:
        paper = exam.paper()
    except NoExam as why:
        return Outcome(Answer("SUCCEEDED", str(why), state=scene.state))
    now = exam.go_on(paper)
    state = {**scene.state, "tested": 1}
    if not exam.is_done(paper, now):
        told, failures = now.told(paper), now.canary_failures
        lost = bool(now.lost)
        return Outcome(decide.golden_goes_on(told, state, failures=failures, lost=lost))
    result = exam.result(paper, now, scene.policy.golden)
    return Outcome(decide.golden(result, state), golden=result)


def _exam(scene: Scene) -> Exam:
    def token() -> str:
        response = scene.aws.secrets.get_secret_value(SecretId=scene.place.token_secret)
        return asking.token_of(response["SecretString"])

    return Exam(
        bucket=scene.folder.bucket,
        rollout=scene.rollout,
        folder=scene.folder.folder,
        urls=scene.place.urls if scene.place.token_secret else NOWHERE,
        token=token,
        more=lambda: scene.seconds_left() > LONGEST_QUESTION + ANSWER_SECONDS,
    )


def _first_step(scene: Scene) -> Outcome:
    """Nothing is to be judged yet, but the baseline is alone: the time to see what is normal."""
    now, word = scene.rollout.now, scene.word
    found = None
    if not word and scene.rollout.baseline:
        found = readings.history(
            scene.aws.cloudwatch,
            scene.place.source,
            scene.policy,
            release=scene.rollout.baseline.release,
            end=decide.settled(now),
        )
    return Outcome(decide.before_canary(scene.call, now, word, found))


def _second_step(scene: Scene) -> Outcome:
    """Judges by what is remembered, or by the record if that was left by another gate."""
    try:
        return _judged(scene, scene.call)
    except (LookupError, TypeError, ValueError, AttributeError):
        again = recover.again(scene.state, scene.record, scene.policy)
        if again == scene.state:
            raise
        logger.exception("The state was not understood; it is taken from the record")
        return _judged(scene, replace(scene.call, state=again))


def _judged(scene: Scene, call: Call) -> Outcome:
    state = decide.arrived(call, scene.rollout.now)
    seen = decide.window(state, scene.rollout.now)
    intervals = _read(scene, seen)
    given = decide.judge(scene.policy, state, seen, intervals, scene.word)
    return Outcome(given, seen.end, intervals)


def _read(scene: Scene, seen: decide.Window) -> list[Interval]:
    """The readings; without them the operator's word still counts."""
    try:
        return readings.read(
            scene.aws.cloudwatch,
            scene.place.source,
            scene.policy,
            releases=scene.rollout.releases,
            start=seen.start,
            end=seen.end,
        )
    except Exception:
        if scene.word is None:
            raise
        logger.exception("The operator decided; the metrics could not be read")
        return []
