"""The gate's decision: pure, from a call, the rollout and readings to an answer.

What is remembered between two calls (`state`; times in epoch seconds):
  started    when the first step was let through: canary minutes are looked for from there
  tested     1 if the golden set was asked: its requests, and their minute, are not the users'
  history    what the baseline did before, until the judge has taken it over
  shifted    the first call that saw the canary with a weight: by then the shift was complete
  weight     the canary's share that the judge reckons with
  begin      the first minute judged: it began after the canary had taken traffic
  through    the end of the last minute judged; no minute before it is counted again
  recorded   the end of the last minute that is in the record
  judge      the judge's own state
  spend      what scoring cost up to `through`, micro-dollars by arm
  failures   consecutive calls that could not read what they needed
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_functions import awstime
from llmops_functions.call import GATE_STAGE, Answer, Call, HookStatus
from llmops_functions.readings import Interval
from llmops_judge import History, Judge, Minute, Policy, Verdict

SETTLE_SECONDS = 60
"""A minute counts once it ended this long ago: CloudWatch may get its last datapoints late."""
MAXIMUM_FAILURES = 10
"""Consecutive calls that may fail to read before the gate answers FAILED."""
NO_PROMOTION = frozenset({"sample_ratio", "contamination", "missing_data"})
"""Guards with which nothing is promoted that was not proved harmless."""

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


def over(state: State) -> Answer:
    """A hook called on the way back: a failure here would make the rollback fail."""
    reason = "The rollout goes back or has ended: there is nothing to decide any more."
    return Answer("SUCCEEDED", reason, state=state)


def goes_back(call: Call) -> bool:
    """Whether the candidate had more traffic before than now: only a rollback takes it away."""
    before = "shifted" if call.stage == GATE_STAGE else "started"
    return call.canary_share == 0 and before in call.state


def before_canary(call: Call, now: int, word: Word | None, history: History | None) -> Answer:
    """The first step: let the canary take its share, and remember the time."""
    state = {**call.state, "started": now, "failures": 0}
    if history:
        state["history"] = history_json(history)
    if word:
        return by_operator(word, state=state)
    return Answer("SUCCEEDED", "The canary may take its share.", state=state)


def arrived(call: Call, now: int) -> dict[str, Any]:
    """The state at the beginning of a call of the second step."""
    share = round(call.canary_share, 6)
    fresh: dict[str, Any] = {"started": now, "shifted": now, "weight": share}
    state = fresh | dict(call.state)
    if state["weight"] != share:
        kept = ("recorded", "spend", "tested")
        state = fresh | {key: value for key, value in state.items() if key in kept}
    return {"recorded": _first_minute(state), **state}


def settled(now: int) -> int:
    """The end of the last minute that counts by now."""
    return awstime.floor_minute(now - SETTLE_SECONDS)


def window(state: State, now: int) -> Window:
    """What to read: all settled minutes that are not both judged and recorded yet."""
    judged = state.get("through", _first_minute(state))
    end = max(judged, settled(now))
    return Window(start=min(judged, state["recorded"]), end=end, judged=judged)


def judge(
    policy: Policy,
    state: State,
    seen: Window,
    intervals: Sequence[Interval],
    word: Word | None,
) -> Answer:
    """The second step: judge the new minutes, and let the operator overrule the verdict."""
    judge_ = Judge(policy, state["weight"])
    new = [interval for interval in intervals if interval.start >= seen.judged]
    begin = _begin(state, new, seen.end)
    memory = state.get("judge") or judge_.start(history_of(state.get("history")))
    for interval in new:
        if begin is not None and interval.start >= begin:
            memory = judge_.minute(memory, Minute(interval.baseline, interval.canary))
    after = {**state, "judge": memory, "through": seen.end, "failures": 0}
    after.pop("history", None)
    if begin is not None:
        after["begin"] = begin
    if spend := _spend(state, new):
        after["spend"] = spend
    verdict = judge_.verdict(memory, elapsed_minutes=elapsed_minutes(after))
    if word:
        return by_operator(word, state=after, verdict=verdict)
    return _by_gate(policy, verdict, after)


def elapsed_minutes(state: State) -> float:
    """Minutes judged, or waited for the first one, up to `through`."""
    since: int = state.get("begin", state["shifted"])
    through: int = state["through"]
    return max(0, through - since) / awstime.MINUTE


def golden(result: Mapping[str, Any], state: State) -> Answer:
    """What the golden set says, once every question was asked."""
    status: HookStatus = "SUCCEEDED" if result["passed"] else "FAILED"
    return Answer(
        status,
        result["reason"],
        state={**state, "failures": 0},
        decided_by=None if result["passed"] else "gate",
    )


def golden_goes_on(told: str, state: State, *, failures: int, lost: bool) -> Answer:
    """Questions are left: go on at once, or later if one was lost, but not for ever.

    failures: slices in a row in which the test listener did not answer.
    """
    if failures >= MAXIMUM_FAILURES:
        reason = f"The golden set could not be asked {failures} times in a row: {told}"
        return Answer("FAILED", reason, state=state, decided_by="gate")
    after = {**state, "failures": 0}
    return Answer("IN_PROGRESS", told, state=after, delay=None if lost else 1)


def by_operator(word: Word, *, state: State, verdict: Verdict | None = None) -> Answer:
    """The operator's word."""
    status: HookStatus = "SUCCEEDED" if word["decision"] == "promote" else "FAILED"
    because = f" ({word['reason']})" if word.get("reason") else ""
    reason = f"{word.get('by') or 'The operator'} decided: {word['decision']}{because}."
    shown = verdict.to_json() if verdict else None
    return Answer(status, reason, state=state, verdict=shown, decided_by="operator")


def broken(state: State, error: Exception) -> Answer:
    """The gate could not read or judge: ask again a few times, then fail; never a success."""
    before = state.get("failures", 0)
    failures = (before if isinstance(before, int) else 0) + 1
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


def history_json(history: History) -> dict[str, Any]:
    """The history as the record and the state keep it."""
    counts = {
        metric: {str(cell): count for cell, count in sorted(found.items())}
        for metric, found in history.counts.items()
    }
    return {"requests": history.requests, "counts": counts}


def history_of(value: Mapping[str, Any] | None) -> History | None:
    """The history of `history_json`'s value."""
    if not value:
        return None
    counts = {
        metric: {int(cell): count for cell, count in found.items()}
        for metric, found in value["counts"].items()
    }
    return History(value["requests"], counts)


def _by_gate(policy: Policy, verdict: Verdict, state: State) -> Answer:
    status, more = _status(policy, verdict)
    return Answer(
        status,
        f"{verdict.reason} {more}".rstrip(),
        state=state,
        verdict=verdict.to_json(),
        decided_by=None if status == "IN_PROGRESS" else "gate",
    )


def _status(policy: Policy, verdict: Verdict) -> tuple[HookStatus, str]:
    """The answer to ECS, and what is to be added to the verdict's reason."""
    if verdict.decision == "inconclusive":
        return _undecided(policy, verdict)
    statuses: dict[str, HookStatus] = {
        "promote": "SUCCEEDED",
        "rollback": "FAILED",
        "wait": "IN_PROGRESS",
    }
    return statuses[verdict.decision], ""


def _undecided(policy: Policy, verdict: Verdict) -> tuple[HookStatus, str]:
    """What becomes of an inconclusive rollout; never a success without data."""
    if verdict.hold or policy.inconclusive == "hold":
        return "IN_PROGRESS", ""
    if policy.inconclusive == "rollback":
        return "FAILED", "The policy rolls back what is inconclusive."
    guards = sorted({guard.guard for guard in verdict.guards} & NO_PROMOTION)
    if min(verdict.requests.values()) < policy.minimum_requests or guards:
        return "FAILED", "The policy promotes what is inconclusive, but not without sound data."
    return "SUCCEEDED", "Promoted without proof: the policy promotes what is inconclusive."


def _first_minute(state: State) -> int:
    """The first minute to read: the one of the first step, if only users' requests are in it."""
    if state.get("tested"):
        return awstime.ceil_minute(state["started"])
    return awstime.floor_minute(state["started"])


def _spend(state: State, new: Iterable[Interval]) -> dict[str, float]:
    spend = dict(state.get("spend") or {})
    for interval in new:
        for arm, cost in interval.spend.items():
            spend[arm] = spend.get(arm, 0) + cost
    return spend


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
