"""The rollout's folder in the artifact bucket: the gate's record and the operator's word.

rollouts/<deployment id>/gate.json       written by the gate at every call
rollouts/<deployment id>/golden.json     the golden set's answers, while they come in
rollouts/<deployment id>/decision.json   written by `llmops promote` and `llmops rollback`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmops_functions import awstime, decide
from llmops_functions.bucket import Bucket
from llmops_functions.call import Answer, Call
from llmops_functions.queries import Source
from llmops_functions.rollout import Rollout, Side
from llmops_judge import Policy

SCHEMA = 2

Content = Mapping[str, Any]
"""A record or a part of it, as JSON."""


class WordError(Exception):
    """decision.json is there, but it is not a decision."""


class Record:
    """One rollout's folder."""

    def __init__(self, bucket: Bucket, rollout_id: str) -> None:
        self.bucket = bucket
        self.folder = f"rollouts/{rollout_id}"

    @property
    def name(self) -> str:
        """Where the record is."""
        return f"s3://{self.bucket.name}/{self.folder}/gate.json"

    def word(self) -> dict[str, Any] | None:
        """The operator's decision, if there is one. Raises WordError if it cannot be understood."""
        where = f"{self.folder}/decision.json"
        try:
            word = self.bucket.table(where)
        except ValueError as error:
            raise WordError(f"{where} is no JSON object.") from error
        if word is not None and word.get("decision") not in ("promote", "rollback"):
            raise WordError(f"{where} must say promote or rollback.")
        return word

    def read(self) -> Content | None:
        """The gate's record so far; None if there is none, or none that can be gone on with."""
        try:
            record = self.bucket.table(f"{self.folder}/gate.json")
        except ValueError:
            return None
        return record if record and record.get("schema") == SCHEMA else None

    def write(self, record: Content) -> None:
        """Replace the record."""
        self.bucket.put(f"{self.folder}/gate.json", record)


KEYS = (
    *("rollout", "service", "environment", "baseline", "canary", "policy", "weight", "begin"),
    *("history", "golden", "spend", "decision", "decided_by"),
)


def extended(
    record: Content | None,
    *,
    header: Content,
    entry: Content,
    intervals: Iterable[Content] = (),
    answer: Answer,
    word: decide.Word | None = None,
) -> Content:
    """The record with one more call; an interval that is in it already is replaced.

    Of calls in a row that say the same, the first and the last stay: a rollout may be held for a
    day, and every verdict is some kilobytes.

    What this call does not know stays as it was known.
    """
    old = record or {"calls": [], "intervals": []}
    by_start = {interval["start"]: interval for interval in old["intervals"]}
    by_start |= {interval["start"]: interval for interval in intervals}
    told = {**header, "decision": word, "decided_by": answer.decided_by}
    known = {key: told[key] for key in told if told[key] is not None or key == "begin"}
    return {
        "schema": SCHEMA,
        **{key: known.get(key, old.get(key)) for key in KEYS},
        "calls": _with(old["calls"], entry),
        "intervals": [by_start[start] for start in sorted(by_start)],
    }


def header(
    call: Call,
    policy: Policy,
    *,
    rollout: Rollout,
    source: Source,
    state: decide.State,
    golden: Content | None = None,
) -> Content:
    """Who is judged, by what policy, and what the verdicts rest on beside the minutes."""
    told = {
        "rollout": call.rollout,
        "service": source.service,
        "environment": source.environment,
        "baseline": _side(rollout.baseline),
        "canary": _side(rollout.canary),
        "policy": policy.to_settings(),
        "weight": state.get("weight"),
        "history": state.get("history"),
        "golden": golden,
    }
    if "weight" in state:
        told["begin"] = awstime.iso(state["begin"]) if "begin" in state else None
    if spend := state.get("spend"):
        told["spend"] = {arm: spend.get(arm, 0) for arm in ("baseline", "canary")}
    return told


def entry(call: Call, now: int | None, answer: Answer) -> Content:
    """One call as the record keeps it."""
    share = 100 * call.canary_share
    through = answer.state.get("through") if answer.verdict else None
    return {
        "at": None if now is None else awstime.iso(now),
        "stage": call.stage,
        "weights": {"baseline": round(100 - share, 4), "canary": round(share, 4)},
        "hook_status": answer.status,
        "reason": answer.reason,
        "verdict": answer.verdict,
        "through": None if through is None else awstime.iso(through),
        "elapsed_minutes": None if through is None else decide.elapsed_minutes(answer.state),
    }


def _with(calls: Sequence[Content], entry: Content) -> list[Content]:
    repeated = [_said(each) for each in calls[-2:]] == [_said(entry)] * 2
    return [*(calls[:-1] if repeated else calls), entry]


def _said(call: Content) -> dict[str, Any]:
    """What a call says, apart from when."""
    return {key: value for key, value in call.items() if key != "at"}


def _side(side: Side | None) -> dict[str, str] | None:
    return None if side is None else {"release": side.release, "revision": side.revision}
