"""The verdicts of a rollout's record, worked out again from the minutes it was judged on.

A record is what the gate wrote (`gate.json`) or evidence made from it: policy, weight, history,
intervals, and for each call the verdict and the end of the last minute it had seen. The same
observations give the same verdict, on any machine and without AWS.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from llmops_judge.judge import Judge, State
from llmops_judge.observations import History, Minute, Sample
from llmops_judge.policy import Policy

SCHEMA = 2
CLOSE = 1e-9
"""Relative difference of two figures that counts as none: mathematics libraries differ by less."""


class ReplayError(ValueError):
    """The record does not hold what a replay needs; the message says what is missing."""


@dataclass(frozen=True)
class Replayed:
    """One call of the gate that had a verdict.

    difference: the first figure that came out otherwise, in words; None: the verdicts agree.
    """

    at: str
    minutes: int
    recorded: str
    decision: str
    reason: str
    difference: str | None

    @property
    def same(self) -> bool:
        return self.difference is None

    def to_json(self) -> dict[str, Any]:
        """The JSON value."""
        return {**asdict(self), "same": self.same}


@dataclass(frozen=True)
class Interval:
    """A recorded minute."""

    start: datetime
    end: datetime
    minute: Minute


def replay(record: Mapping[str, Any], policy: Policy | None = None) -> tuple[Replayed, ...]:
    """Every verdict of the record beside the one that its minutes give now.

    policy: another one than the record's, to see what it would have decided.
    Raises ReplayError if the record is of another kind or holds no rollout that was judged.
    """
    judge, state = _judge(record, policy), None
    found, done = [], 0
    intervals = list(_intervals(record))
    for call in _judged(record):
        through = _moment(call["through"]) if call.get("through") else None
        seen = [each for each in intervals if through and each.end <= through]
        if state is None or len(seen) < done:
            state, done = judge.start(_history(record)), 0
        for interval in seen[done:]:
            state = judge.minute(state, interval.minute)
        done = len(seen)
        found.append(_compared(judge, state, call, done))
    return tuple(found)


def minutes_of(record: Mapping[str, Any]) -> list[Minute]:
    """The minutes the gate judged, oldest first."""
    return [interval.minute for interval in _intervals(record)]


def history_of(record: Mapping[str, Any]) -> History | None:
    """What the record says of the time before the rollout."""
    return _history(record)


def _compared(judge: Judge, state: State, call: Mapping[str, Any], minutes: int) -> Replayed:
    elapsed = call.get("elapsed_minutes") or 0.0
    now = judge.verdict(state, elapsed_minutes=elapsed).to_json()
    then = call["verdict"]
    return Replayed(
        at=call["at"],
        minutes=minutes,
        recorded=then["decision"],
        decision=now["decision"],
        reason=now["reason"],
        difference=next(_differences("", then, now), None),
    )


def _judge(record: Mapping[str, Any], policy: Policy | None) -> Judge:
    if record.get("schema") != SCHEMA:
        raise ReplayError(f"its schema is {record.get('schema')!r}, and a replay needs {SCHEMA}")
    for key in ("policy", "weight", "begin", "intervals", "calls"):
        if record.get(key) is None:
            raise ReplayError(f"it has no '{key}', so no canary was judged")
    return Judge(policy or Policy.from_settings(record["policy"]), record["weight"])


def _judged(record: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    calls = [call for call in record["calls"] if call.get("verdict")]
    if not calls:
        raise ReplayError("none of its calls has a verdict")
    return calls


def _intervals(record: Mapping[str, Any]) -> Iterator[Interval]:
    begin = _moment(record["begin"]) if record.get("begin") else None
    for each in sorted(record.get("intervals") or (), key=lambda each: _moment(each["start"])):
        start = _moment(each["start"])
        if begin is None or start < begin:
            continue
        arms = Minute(Sample.from_json(each["baseline"]), Sample.from_json(each["canary"]))
        yield Interval(start, start + timedelta(seconds=each["seconds"]), arms)


def _history(record: Mapping[str, Any]) -> History | None:
    found = record.get("history")
    if not found:
        return None
    sample = Sample.from_json(found)
    return History(sample.requests, sample.counts)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _differences(where: str, then: Any, now: Any) -> Iterator[str]:
    """What the record says that is not so now; keys that the record has not are not compared."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key, value in then.items():
            yield from _differences(f"{where}.{key}".lstrip("."), value, now.get(key))
    elif isinstance(then, list | tuple) and isinstance(now, list | tuple):
        if len(then) != len(now):
            yield f"{where} has {len(now)} entries, and the record {len(then)}"
        for index, (old, new) in enumerate(zip(then, now, strict=False)):
            named = old.get("metric") if isinstance(old, Mapping) else None
            yield from _differences(f"{where}[{named or index}]", old, new)
    elif not _equal(then, now):
        yield f"{where} is {now!r}, and the record says {then!r}"


def _equal(then: Any, now: Any) -> bool:
    if isinstance(then, bool) or isinstance(now, bool):
        return bool(then is now)
    if isinstance(then, int | float) and isinstance(now, int | float):
        return math.isclose(then, now, rel_tol=CLOSE, abs_tol=CLOSE)
    return bool(then == now)
