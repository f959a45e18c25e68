"""The gate's decision: pure, from a call, the rollout and readings to an answer.

What is remembered between two calls (`state`; times in epoch seconds):
  started    when the first step was let through: canary minutes are looked for from there
  shifted    the first call that saw the canary with a weight: by then the shift was complete
  weight     the canary's share that the judge reckons with
  begin      the first minute judged: it began after the canary had taken traffic
  through    the end of the last minute judged; no minute before it is counted again
  recorded   the end of the last minute that is in the record
  judge      the judge's own state
  failures   consecutive calls that could not read what they needed
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_functions import awstime
from llmops_functions.call import Answer, Call, HookStatus
from llmops_functions.readings import ArmReading, Interval
from llmops_judge import Judge, Minute, Policy, Sample, Tally, Verdict

SETTLE_SECONDS = 60
"""A minute counts once it ended this long ago: CloudWatch may get its last datapoints late."""
MAXIMUM_FAILURES = 10
"""Consecutive calls that may fail to read before the gate answers FAILED."""

Word = Mapping[str, Any]
"""The operator's decision: {"decision": "promote" | "rollback", "by", "reason", "at"}."""

State = Mapping[str, Any]


@dataclass(frozen=True)
class Window:
    """The minutes to read, [start, end), epoch seconds; before `judged`, only for the record."""

    start: int
    end: int
    judged: int


def first_deployment() -> Answer:
    """Nothing serves yet: there is no baseline, and nobody is hurt."""
    return Answer("SUCCEEDED", "This is the service's first deployment: there is no baseline.")


def same_release(release: str) -> Answer:
    """A change of infrastructure: one release in both revisions, so no metric tells them apart."""
    return Answer("SUCCEEDED", f"Both revisions run {release}: there is no release to judge.")


def before_canary(now: int, word: Word | None) -> Answer:
    """The first step: let the canary take its share, and remember the time."""
    if word and word["decision"] == "rollback":
        return by_operator(word, state={"started": now})
    return Answer("SUCCEEDED", "The canary may take its share.", state={"started": now})


def arrived(call: Call, now: int) -> dict[str, Any]:
    """The state at the beginning of a call of the second step."""
    share = round(call.canary_share, 6)
    fresh = {"started": now, "shifted": now, "weight": share}
    state = {**fresh, **call.state}
    if state["weight"] != share:
        state = {**fresh, "recorded": state["recorded"]}
    return {"recorded": awstime.floor_minute(state["started"]), **state}


def window(state: State, now: int) -> Window:
    """What to read: all settled minutes that are not both judged and recorded yet."""
    judged = state.get("through", awstime.floor_minute(state["started"]))
    end = max(judged, awstime.floor_minute(now - SETTLE_SECONDS))
    return Window(start=min(judged, state["recorded"]), end=end, judged=judged)


def judge(
    call: Call, state: State, seen: Window, intervals: Sequence[Interval], word: Word | None
) -> Answer:
    """The second step: judge the new minutes, and let the operator overrule the verdict."""
    policy = Policy.from_settings(call.policy)
    judge_ = Judge(policy, state["weight"])
    new = [interval for interval in intervals if interval.start >= seen.judged]
    begin = _begin(state, new, seen.end)
    memory = state.get("judge") or judge_.start()
    for interval in new:
        if begin is not None and interval.start >= begin:
            memory = judge_.minute(memory, _minute(interval))
    since = begin if begin is not None else state["shifted"]
    verdict = judge_.verdict(memory, elapsed_minutes=max(0, seen.end - since) / awstime.MINUTE)
    after = {**state, "judge": memory, "through": seen.end, "failures": 0}
    if begin is not None:
        after["begin"] = begin
    if word:
        return by_operator(word, state=after, verdict=verdict)
    return _by_gate(policy, verdict, after)


def by_operator(word: Word, *, state: State, verdict: Verdict | None = None) -> Answer:
    """The operator's word."""
    status: HookStatus = "SUCCEEDED" if word["decision"] == "promote" else "FAILED"
    reason = f"{word.get('by') or 'The operator'} decided: {word['decision']}."
    shown = verdict.to_json() if verdict else None
    return Answer(status, reason, state=state, verdict=shown, decided_by="operator")


def broken(state: State, error: Exception) -> Answer:
    """The gate could not read or judge: ask again a few times, then fail; never a success."""
    failures = int(state.get("failures", 0)) + 1
    what = f"{type(error).__name__}: {error}"
    after = {**state, "failures": failures}
    if failures < MAXIMUM_FAILURES:
        return Answer("IN_PROGRESS", f"Call {failures} that failed in a row: {what}", state=after)
    return Answer(
        "FAILED",
        f"The gate failed {failures} times in a row and gives up: {what}",
        state=after,
        decided_by="gate",
    )


def _by_gate(policy: Policy, verdict: Verdict, state: State) -> Answer:
    status = _status(policy, verdict)
    return Answer(
        status,
        verdict.reason,
        state=state,
        verdict=verdict.to_json(),
        decided_by=None if status == "IN_PROGRESS" else "gate",
    )


def _status(policy: Policy, verdict: Verdict) -> HookStatus:
    """An inconclusive rollout ends as the policy says, but never as a success without data."""
    if verdict.decision == "inconclusive":
        blind = min(verdict.requests.values()) < policy.minimum_requests
        off = verdict.share.value >= verdict.share.bound
        return "SUCCEEDED" if policy.inconclusive == "promote" and not blind | off else "FAILED"
    statuses: dict[str, HookStatus] = {
        "promote": "SUCCEEDED",
        "rollback": "FAILED",
        "wait": "IN_PROGRESS",
    }
    return statuses[verdict.decision]


def _begin(state: State, new: Iterable[Interval], end: int) -> int | None:
    """The first minute to judge, or None while the canary has not been seen.

    The minute after the one in which the canary first served; at the latest the first minute
    after the first call that saw the canary's weight, for then the shift was complete.
    """
    if "begin" in state:
        return int(state["begin"])
    latest = awstime.ceil_minute(state["shifted"])
    for interval in new:
        if interval.canary.requests:
            return min(interval.start + awstime.MINUTE, latest)
    return latest if end >= latest else None


def _minute(interval: Interval) -> Minute:
    return Minute(_sample(interval.baseline), _sample(interval.canary))


def _sample(reading: ArmReading) -> Sample:
    tallies = {}
    if reading.errors is not None:
        tallies["errors"] = Tally(reading.requests, reading.errors)
    if reading.answers is not None and reading.poor is not None:
        tallies["quality"] = Tally(reading.answers, reading.poor)
    return Sample(reading.requests, tallies)
