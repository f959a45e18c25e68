"""A whole release, rehearsed: a bad one that must be rolled back, then a good one that must not.

The rehearsal is a story over the other runbooks. It adds nothing to what they do; it only sends
questions the whole time and holds what happened against what should have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from llmops_runbooks.traffic import Outcome, Record, Summary, summarise


@dataclass(frozen=True)
class Script:
    """What is rehearsed: the versions, the questions per second, and the seed of the questions."""

    initial: str = "1.0.0"
    bad: str = "1.1.0"
    good: str = "1.2.0"
    rate: float = 120.0
    seed: int = 1


@dataclass(frozen=True)
class Rollout:
    """How one release went. `decided_at` is in wall seconds since the epoch."""

    release: str
    outcome: str
    verdict: str | None
    decided_by: str | None
    canary_requests_at_decision: int | None
    seconds_from_start_to_decision: float | None
    decided_at: float | None
    reason: str
    evidence: str | None


def unfinished(release: str, reason: str) -> Rollout:
    """A rollout of which no end was seen."""
    return Rollout(release, "unfinished", None, None, None, None, None, reason, None)


class Steps(Protocol):
    """The runbooks a rehearsal is made of, in the order in which it calls them."""

    def up(self) -> None:
        """Starts the cloud."""

    def deploy(self) -> None:
        """Deploys the infrastructure with the initial release."""

    def start_traffic(self, rate: float, seed: int) -> None:
        """Sends questions until told to stop; returns when the first were answered."""

    def release(self, version: str) -> Rollout:
        """Releases a version and watches the rollout to its end."""

    def stop_traffic(self) -> list[Record]:
        """Every request that was sent."""

    def evidence(self, summary: dict[str, Any]) -> str:
        """Writes the evidence page of all rollouts; its path."""

    def down(self) -> None:
        """Stops everything; safe to call whatever happened before."""


@dataclass(frozen=True)
class Report:
    """What the rehearsal showed. It passed if nothing is in `failures`."""

    failures: tuple[str, ...]
    wall_seconds: float
    requests: Summary
    requests_lost: int
    rollouts: tuple[Rollout, ...]
    seconds_to_no_canary_traffic: tuple[float | None, ...]
    bad_answers: int
    seconds_from_first_to_last_bad_answer: float | None
    evidence: str

    @property
    def passed(self) -> bool:
        return not self.failures

    def json(self) -> dict[str, Any]:
        """The object that `llmops rehearse --json` prints last."""
        return {
            "outcome": "passed" if self.passed else "failed",
            "failures": list(self.failures),
            "wall_seconds": round(self.wall_seconds, 2),
            "requests_sent": self.requests.sent,
            "requests_lost": self.requests_lost,
            "requests_retried": self.requests.retried,
            "answers": {name: dict(counts) for name, counts in self.requests.by_release.items()},
            "bad_answers": self.bad_answers,
            "seconds_from_first_to_last_bad_answer": self.seconds_from_first_to_last_bad_answer,
            "rollouts": [
                _rollout_json(rollout, seconds)
                for rollout, seconds in zip(
                    self.rollouts, self.seconds_to_no_canary_traffic, strict=True
                )
            ],
            "evidence": self.evidence,
        }


def rehearse(script: Script, steps: Steps, clock: Callable[[], float]) -> Report:
    """The whole story; whatever happens, the cloud is taken down at its end."""
    started = clock()
    try:
        steps.up()
        steps.deploy()
        steps.start_traffic(script.rate, script.seed)
        rollouts = (steps.release(script.bad), steps.release(script.good))
        records = steps.stop_traffic()
        drafted = report(script, rollouts, records, clock() - started, evidence="")
        evidence = steps.evidence(drafted.json())
    finally:
        steps.down()
    return report(script, rollouts, records, clock() - started, evidence=evidence)


def report(
    script: Script,
    rollouts: tuple[Rollout, Rollout],
    records: Sequence[Record],
    wall_seconds: float,
    *,
    evidence: str,
) -> Report:
    """Holds what happened against what should have; a pure function of both."""
    bad, good = rollouts
    lost = sum(_is_lost(record, script.bad) for record in records)
    bad_times = [record.done for record in records if _is_bad_answer(record, script.bad)]
    return Report(
        failures=tuple(_failures(bad, good, lost, records)),
        wall_seconds=wall_seconds,
        requests=summarise(records),
        requests_lost=lost,
        rollouts=rollouts,
        seconds_to_no_canary_traffic=(_seconds_to_silence(bad, records), None),
        bad_answers=len(bad_times),
        seconds_from_first_to_last_bad_answer=(
            round(max(bad_times) - min(bad_times), 2) if bad_times else None
        ),
        evidence=evidence,
    )


def _failures(bad: Rollout, good: Rollout, lost: int, records: Sequence[Record]) -> Iterator[str]:
    if bad.outcome != "rolled_back":
        yield f"Release {bad.release} ended as {bad.outcome}, not rolled back: {bad.reason}"
    elif bad.decided_by != "gate":
        yield f"Release {bad.release} was rolled back by {bad.decided_by}, not by the gate."
    if good.outcome != "promoted":
        yield f"Release {good.release} ended as {good.outcome}, not promoted: {good.reason}"
    if lost:
        yield f"{lost} of {len(records)} requests were lost."
    if not records:
        yield "No request was sent."


def _version(release: str) -> str:
    return release.rsplit("-", 1)[0]


def _is_bad_answer(record: Record, bad: str) -> bool:
    """Whether the bad release let a user down: with an error, or with a wrong answer."""
    failed = record.outcome in {Outcome.ERROR, Outcome.WRONG}
    return failed and _version(record.release) == bad


def _is_lost(record: Record, bad: str) -> bool:
    failed = record.outcome in {Outcome.LOST, Outcome.ERROR}
    return failed and not _is_bad_answer(record, bad)


def _seconds_to_silence(rollout: Rollout, records: Sequence[Record]) -> float | None:
    """From the decision to the last answer the rolled-back release gave; 0 if it gave none."""
    if rollout.decided_at is None or rollout.outcome != "rolled_back":
        return None
    version = _version(rollout.release)
    last = max((r.done for r in records if _version(r.release) == version), default=0.0)
    return round(max(0.0, last - rollout.decided_at), 2)


def _rollout_json(rollout: Rollout, seconds_to_silence: float | None) -> dict[str, Any]:
    known = asdict(rollout)
    known.pop("decided_at")
    known["seconds_from_decision_to_no_canary_traffic"] = seconds_to_silence
    return known
