"""Many kinds of release, rehearsed one after the other against the same baseline.

A release that was rolled back leaves the baseline where it was; after one that was promoted and
does not behave as the baseline, the traffic goes back to the baseline at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from llmops_runbooks.errors import LlmopsError
from llmops_runbooks.rehearse import Rollout, unfinished
from llmops_runbooks.rehearse_kinds import GOLDEN, Kind
from llmops_runbooks.traffic import Outcome, Record, Summary, summarise

DECIDED = {"rolled_back": "rollback", "promoted": "promote"}
"""The verdict that each end needs."""


@dataclass(frozen=True)
class Spell:
    """An outage as it was: seconds since the epoch. `held`: the judge said that it waits for it."""

    began: float
    ended: float
    held: bool


@dataclass(frozen=True)
class Ending:
    """How the rollout of one kind went.

    metric: what decided a rollback: a metric, or the golden set; None for a promotion.
    requests: of both arms, that the decision rests on. minutes: virtual, from the canary's first
        judged minute to the decision.
    """

    kind: Kind
    rollout: Rollout
    metric: str | None = None
    requests: int | None = None
    minutes: float | None = None
    spell: Spell | None = None


class Stage(Protocol):
    """The runbooks a rehearsal of kinds is made of, in the order in which it calls them."""

    def up(self) -> None:
        """Starts the cloud and the provider that all releases share."""

    def deploy(self) -> None:
        """Deploys the infrastructure with the baseline."""

    def start_traffic(self, rate: float, seed: int) -> None:
        """Sends questions until told to stop; returns when the first were answered."""

    def play(self, kind: Kind) -> Ending:
        """Releases a kind and watches the rollout to its end."""

    def back_to_base(self) -> None:
        """Lets the baseline serve again, whatever serves or is under way."""

    def stop_traffic(self) -> list[Record]:
        """Every request that was sent."""

    def page(self, report: AllReport) -> str:
        """Writes the page that leads to each rollout's; its path."""

    def down(self) -> None:
        """Stops everything; safe to call whatever happened before."""


@dataclass(frozen=True)
class AllReport:
    """What came of the kinds. It passed if nothing is in `failures`."""

    failures: tuple[str, ...]
    wall_seconds: float
    requests: Summary
    requests_lost: int
    endings: tuple[Ending, ...]
    bad_answers: tuple[int, ...]
    """Of each kind's own release: errors, wrong and empty answers that its users got."""
    evidence: str = ""

    @property
    def passed(self) -> bool:
        return not self.failures

    def json(self) -> dict[str, Any]:
        """The object that `llmops rehearse --all --json` prints last."""
        return {
            "outcome": "passed" if self.passed else "failed",
            "failures": list(self.failures),
            "wall_seconds": round(self.wall_seconds, 2),
            "requests_sent": self.requests.sent,
            "requests_lost": self.requests_lost,
            "requests_retried": self.requests.retried,
            "kinds": [
                _ending_json(ending, bad)
                for ending, bad in zip(self.endings, self.bad_answers, strict=True)
            ],
            "evidence": self.evidence,
        }


def rehearse_kinds(
    kinds: Sequence[Kind], stage: Stage, *, rate: float, seed: int, clock: Callable[[], float]
) -> AllReport:
    """Plays the kinds; whatever happens, the cloud is taken down at the end."""
    started = clock()
    try:
        stage.up()
        stage.deploy()
        stage.start_traffic(rate, seed)
        endings = tuple(_play(kinds, stage))
        records = stage.stop_traffic()
        page = stage.page(report(endings, records, clock() - started))
    finally:
        stage.down()
    return report(endings, records, clock() - started, evidence=page)


def _play(kinds: Sequence[Kind], stage: Stage) -> Iterator[Ending]:
    for left, kind in zip(reversed(range(len(kinds))), kinds, strict=True):
        ending = _ending(kind, stage)
        if left and not _is_base(ending):
            stage.back_to_base()
        yield ending


def _ending(kind: Kind, stage: Stage) -> Ending:
    """A kind that cannot be played to its end has failed; the others still have their turn."""
    try:
        return stage.play(kind)
    except LlmopsError as error:
        return Ending(kind, unfinished(kind.version, error.message))


def _is_base(ending: Ending) -> bool:
    """Whether what serves now behaves as the baseline."""
    outcome = ending.rollout.outcome
    return outcome == "rolled_back" or (outcome == "promoted" and ending.kind.as_base)


def report(
    endings: tuple[Ending, ...],
    records: Sequence[Record],
    wall_seconds: float,
    *,
    evidence: str = "",
) -> AllReport:
    """Holds what happened against what should have; a pure function of both."""
    bad = {ending.kind.version for ending in endings if ending.kind.expected == "rolled_back"}
    lost = sum(_is_lost(record, bad) for record in records)
    failures = [text for ending in endings for text in _failures(ending)]
    if lost:
        failures.append(f"{lost} of {len(records)} requests were lost.")
    if not records:
        failures.append("No request was sent.")
    return AllReport(
        failures=tuple(failures),
        wall_seconds=wall_seconds,
        requests=summarise(records),
        requests_lost=lost,
        endings=endings,
        bad_answers=tuple(_bad_answers(ending, records) for ending in endings),
        evidence=evidence,
    )


def _failures(ending: Ending) -> Iterator[str]:
    kind, rollout = ending.kind, ending.rollout
    if rollout.outcome != kind.expected:
        yield f"{kind.name} ended as {rollout.outcome}, not {kind.expected}: {rollout.reason}"
    elif rollout.decided_by != "gate":
        yield f"{kind.name} was {kind.expected} by the {rollout.decided_by}, not by the gate."
    elif ending.metric != GOLDEN and rollout.verdict != DECIDED[kind.expected]:
        yield f"{kind.name} was {kind.expected} on the verdict {rollout.verdict}: {rollout.reason}"
    elif kind.metrics and ending.metric not in kind.metrics:
        wanted = " or ".join(kind.metrics)
        yield f"{kind.name} was found out by {ending.metric}, not by {wanted}: {rollout.reason}"
    if kind.outage:
        yield from _outage_failures(ending)


def _outage_failures(ending: Ending) -> Iterator[str]:
    name, spell, decided = ending.kind.name, ending.spell, ending.rollout.decided_at
    if spell is None or decided is None:
        yield f"{name}: the rollout was over before its outage was."
    elif decided < spell.began:
        yield f"{name}: the rollout was decided before the outage."
    elif decided <= spell.ended:
        yield f"{name}: the rollout was decided during the outage: {ending.rollout.reason}"
    elif not spell.held:
        yield f"{name}: the judge did not say that it waits for the outage to end."


def _version(release: str) -> str:
    return release.rsplit("-", 1)[0]


def _is_lost(record: Record, bad: set[str]) -> bool:
    """A user of a good release who got nothing."""
    nothing = record.outcome in {Outcome.LOST, Outcome.ERROR}
    return nothing and _version(record.release) not in bad


def _bad_answers(ending: Ending, records: Sequence[Record]) -> int:
    version = ending.kind.version
    mine = (record for record in records if _version(record.release) == version)
    return sum(record.outcome is not Outcome.CORRECT for record in mine)


def _ending_json(ending: Ending, bad_answers: int) -> dict[str, Any]:
    kind, rollout, spell = ending.kind, ending.rollout, ending.spell
    shown = {
        "kind": kind.name,
        "line": kind.line,
        "release": rollout.release,
        "expected": kind.expected,
        "outcome": rollout.outcome,
        "verdict": rollout.verdict,
        "decided_by": rollout.decided_by,
        "expected_metrics": list(kind.metrics),
        "metric": ending.metric,
        "requests": ending.requests,
        "canary_requests": rollout.canary_requests_at_decision,
        "minutes": ending.minutes,
        "bad_answers": bad_answers,
        "reason": rollout.reason,
        "evidence": rollout.evidence,
        "failures": list(_failures(ending)),
    }
    if kind.outage:
        shown["held_by_the_outage"] = spell is not None and spell.held
    return shown
