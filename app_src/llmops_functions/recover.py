"""The gate's memory from its record: for a call that comes without it, or with a damaged one.

The same minutes through the same judge give the same verdicts, so a process that finds nothing
but gate.json goes on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmops_functions import awstime
from llmops_functions.call import GATE_STAGE
from llmops_functions.decide import history_of
from llmops_judge import Judge, Minute, Policy, Sample

Record = Mapping[str, Any]


BEGINNING = ("started", "tested", "shifted", "weight", "begin")
"""What is enough to read and judge all minutes once more."""


def remembered(
    given: Mapping[str, Any], record: Record | None, policy: Policy
) -> Mapping[str, Any]:
    """The state that ECS handed back, or what can be had in its place."""
    return given if is_whole(given) else again(given, record, policy)


def again(given: Mapping[str, Any], record: Record | None, policy: Policy) -> Mapping[str, Any]:
    """What the record tells, else the beginning that is left of what ECS handed back."""
    left = {key: given[key] for key in BEGINNING if _is_number(given.get(key))}
    return state(record, policy) or left


def is_whole(state: Mapping[str, Any]) -> bool:
    """Whether a state says all it should: nothing yet, or the judge's part with the minutes."""
    if not state:
        return False
    numbers = ("started", "shifted", "weight", "begin", "through", "recorded", "failures")
    sound = all(_is_number(state[key]) for key in numbers if key in state)
    sound &= all(isinstance(state[key], Mapping) for key in ("history", "spend") if key in state)
    started = "started" in state or "shifted" not in state
    judged = isinstance(state.get("judge"), Mapping) == ("through" in state)
    return sound and started and judged


def state(record: Record | None, policy: Policy) -> dict[str, Any]:
    """What the record tells of the state; empty if it tells nothing."""
    found = dict(_beginning(record)) if record else {}
    if not record or "started" not in found or not record.get("weight"):
        return found
    weight = record["weight"]
    calls = [each for each in record["calls"] if _is_at(each, weight)]
    through = [each["through"] for each in calls if each.get("through")]
    if not through:
        return found
    found |= {"weight": weight, "shifted": awstime.epoch(calls[0]["at"])}
    found["through"] = found["recorded"] = awstime.epoch(max(through))
    if record.get("begin"):
        found["begin"] = awstime.epoch(record["begin"])
    if record.get("spend"):
        found["spend"] = {arm: cost for arm, cost in record["spend"].items() if cost}
    found["failures"] = _failures(calls)
    found["judge"] = replayed(record, policy, weight, found)
    found.pop("history", None)
    return found


def replayed(
    record: Record, policy: Policy, weight: float, until: Mapping[str, Any]
) -> dict[str, Any]:
    """The judge's state after the record's minutes from `begin` up to `through`."""
    judge = Judge(policy, weight)
    memory = judge.start(history_of(record.get("history")))
    if "begin" not in until:
        return memory
    for each in record["intervals"]:
        start = awstime.epoch(each["start"])
        if until["begin"] <= start and start + each["seconds"] <= until["through"]:
            sides = (Sample.from_json(each[arm]) for arm in ("baseline", "canary"))
            memory = judge.minute(memory, Minute(*sides))
    return memory


def _beginning(record: Record) -> Iterator[tuple[str, Any]]:
    """What the first step's call left."""
    first = [each for each in record["calls"] if _is_first_step(each)]
    if first:
        yield "started", awstime.epoch(first[-1]["at"])
    if record.get("golden"):
        yield "tested", 1
    if record.get("history"):
        yield "history", record["history"]


def _is_first_step(call: Record) -> bool:
    at_gate = call["stage"] == GATE_STAGE and call["weights"]["canary"] == 0
    return at_gate and call["hook_status"] == "SUCCEEDED" and call["at"] is not None


def _is_at(call: Record, weight: float) -> bool:
    known = call["stage"] == GATE_STAGE and call["at"] is not None
    return bool(known and abs(call["weights"]["canary"] - 100 * weight) < 1e-3)


def _failures(calls: Iterable[Record]) -> int:
    """How many of the last calls could not judge."""
    count = 0
    for call in calls:
        count = 0 if call["verdict"] else count + 1
    return count


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
