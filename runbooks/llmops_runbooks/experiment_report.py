"""What an experiment shows so far, and whether it may be stopped: at any time, as often as wanted.

The intervals hold at every look at once (`llmops_judge.differences`), so looking every day and
stopping at the first winner is what they are made for. The experiment's own metric decides; the
others are shown, each with its own guarantee and none for all together. Each pair of variants gets
its part of alpha.

Latency and cost have no upper end. They count as no more than the largest average among the first
`BURN_IN` units, which are used for nothing else.

Values of the metrics that not every request has (quality where a sample is scored, feedback) stand
for the drawn units only if both variants produce them equally often.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from llmops_judge.differences import Difference, split_is_odd
from llmops_judge.policy import CATALOGUE, Metric
from llmops_runbooks.errors import ExitCode
from llmops_runbooks.experiment_definition import Definition

SCHEMA = Path(__file__).with_name("experiment_report.schema.json")
METRICS = tuple(CATALOGUE[name] for name in ("quality", "feedback", "errors", "latency", "cost"))
ALIKE = {"quality": 0.02, "feedback": 0.03, "errors": 0.01, "latency": 0.05, "cost": 0.05}
"""Differences too small to matter: of latency and cost relative to the control's average."""
BURN_IN = 100.0
"""Units from which the largest value is taken that counts as itself."""

Outcome = Literal["winner", "alike", "undecided", "no claim"]
Value = tuple[str, float, float]
"""Variant, value, how many units."""


class Model(BaseModel):
    """A part of the report; every field is described in its schema."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, extra="forbid")


class Arm(Model):
    """One variant so far."""

    variant: str
    """Its name; the first arm is the control."""
    weight: float
    """Its share of the units, as the bundle says."""
    exposures: int
    """Requests that it answered or failed to answer."""
    units: int
    """Users, conversations or requests that count; 0 where only requests are known."""
    values: dict[str, float]
    """Metric -> average over its units (over its requests where only these are known). Latency in
    milliseconds, cost in micro-dollars."""


class Compared(Model):
    """How far one variant is from another in one metric."""

    metric: str
    """The metric."""
    variant: str
    """The variant that is compared."""
    against: str
    """The variant it is compared with."""
    units: int
    """Units of both that have a value."""
    difference: float
    """The estimated difference of the averages, in the metric's unit."""
    low: float
    """Lower end of the anytime-valid interval."""
    high: float
    """Upper end of the anytime-valid interval."""
    better: str | None
    """The variant that is better by the interval; null while it holds 0."""


class Report(Model):
    """An experiment at one look."""

    experiment: str
    """Its name."""
    feature: str
    """The feature it belongs to."""
    metric: str
    """The metric that decides it."""
    unit: str
    """What was drawn: user, conversation or request."""
    source: str
    """Where the figures are from."""
    alpha: float
    """The probability that a winner is none, over all looks."""
    arms: list[Arm]
    """The variants, the control first."""
    compared: list[Compared]
    """Every pair of variants in every metric; empty where no claim can be made."""
    outcome: Outcome
    """winner; alike: no difference that matters; undecided: not yet; no claim: see why."""
    winner: str | None
    """The variant that is better than every other."""
    needs_exposures: int | None
    """About how many more requests decide it; null: more than can be said."""
    why: str
    """The outcome in a sentence."""
    warnings: list[str]
    """What makes the figures doubtful."""

    @property
    def exit_code(self) -> ExitCode:
        """0 if the experiment is over."""
        return ExitCode.DONE if self.outcome in ("winner", "alike") else ExitCode.UNDECIDED

    def to_json(self) -> dict[str, Any]:
        """The JSON value, as the schema has it."""
        return self.model_dump(mode="json")


@dataclass(frozen=True)
class Seen:
    """What was observed. batches: metric -> outcomes, in the order they came, each batch at once.

    arms: the variants, the control first. no_claim: why nothing can be concluded, if so.
    """

    arms: Sequence[Arm]
    batches: Mapping[str, Sequence[Sequence[Value]]]
    source: str
    no_claim: str = ""
    warnings: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class Pair:
    """Two variants in one metric. scale: what 1 of `known` is in the metric's unit."""

    metric: Metric
    against: str
    variant: str
    known: Difference
    scale: float
    alpha: float
    within: float

    def shown(self) -> Compared:
        """The pair for the report."""
        low, high = (self.scale * end for end in self.known.interval(self.alpha))
        return Compared(
            metric=self.metric.name,
            variant=self.variant,
            against=self.against,
            units=round(self.known.size),
            difference=_short(self.scale * self.known.estimate),
            low=_short(low),
            high=_short(high),
            better=self.better(),
        )

    def better(self) -> str | None:
        """The better one, if the interval says so."""
        low, high = self.known.interval(self.alpha)
        if low <= 0 <= high:
            return None
        return self.variant if (low > 0) == (self.metric.direction == "higher") else self.against


def report(of: Definition, seen: Seen, *, alpha: float) -> Report:
    """The report of one look. alpha: the probability of a false winner over all looks."""
    no_claim = seen.no_claim or _oddly_split(of, seen.arms)
    pairs = [] if no_claim else _pairs(of, seen, alpha)
    deciding = [pair for pair in pairs if pair.metric.name == of.metric]
    outcome, winner, why = _outcome(of, deciding, no_claim)
    needs = _needs(deciding, seen.arms) if outcome == "undecided" else None
    return Report(
        experiment=of.name,
        feature=of.feature,
        metric=of.metric,
        unit=of.unit,
        source=seen.source,
        alpha=alpha,
        arms=list(seen.arms),
        compared=[pair.shown() for pair in pairs],
        outcome=outcome,
        winner=winner,
        needs_exposures=needs,
        why=why,
        warnings=list(seen.warnings),
    )


def _pairs(of: Definition, seen: Seen, alpha: float) -> list[Pair]:
    running = [name for name, weight in of.weights.items() if weight > 0]
    both = list(combinations(running, 2))
    found = []
    for metric in METRICS:
        cap, batches = _capped(metric, seen.batches.get(metric.name, ()))
        within = ALIKE[metric.name]
        if metric.scale == "ratio":
            within *= seen.arms[0].values.get(metric.name, 0.0)
        for against, variant in both:
            known = _known(of.weights, against, variant, batches, cap)
            if known.size:
                part = alpha / len(both)
                found.append(Pair(metric, against, variant, known, cap, part, within / cap))
    return found


def _capped(
    metric: Metric, batches: Sequence[Sequence[Value]]
) -> tuple[float, Sequence[Sequence[Value]]]:
    """The largest value that counts as itself, and the batches that are left after finding it."""
    if metric.scale != "ratio":
        return 1.0, batches
    seen, cap = 0.0, 0.0
    for index, batch in enumerate(batches):
        if seen >= BURN_IN and cap > 0:
            return cap, batches[index:]
        seen += sum(count for _, _, count in batch)
        cap = max([cap, *(value for _, value, _ in batch)])
    return 1.0, ()


def _known(
    weights: Mapping[str, float],
    against: str,
    variant: str,
    batches: Iterable[Sequence[Value]],
    cap: float,
) -> Difference:
    arms = {against: 0, variant: 1}
    known = Difference(weights[variant] / (weights[variant] + weights[against]))
    for batch in batches:
        theirs = [
            (arms[name], min(1.0, max(0.0, value / cap)), count)
            for name, value, count in batch
            if name in arms
        ]
        if theirs:
            known = known.after(theirs)
    return known


def _outcome(
    of: Definition, pairs: Sequence[Pair], no_claim: str
) -> tuple[Outcome, str | None, str]:
    if no_claim:
        return "no claim", None, no_claim
    if not pairs:
        return "undecided", None, f"There are no values of {of.metric} to compare yet."
    names = {name for pair in pairs for name in (pair.against, pair.variant)}
    for name in names:
        mine = [pair for pair in pairs if name in (pair.against, pair.variant)]
        if all(pair.better() == name for pair in mine):
            return "winner", name, f"{name} is better in {of.metric} than every other variant."
    if all(pair.known.settled(pair.alpha, pair.within) and not pair.better() for pair in pairs):
        return "alike", None, f"No variant differs in {of.metric} by as much as matters."
    return "undecided", None, f"No variant is better in {of.metric} for certain yet."


def _needs(pairs: Sequence[Pair], arms: Sequence[Arm]) -> int | None:
    """About how many more requests settle every pair."""
    exposures, units = sum(arm.exposures for arm in arms), sum(arm.units for arm in arms)
    most = 0
    for pair in pairs:
        needs = pair.known.needs(pair.alpha, pair.within)
        if needs is None or not units:
            return None
        with_a_value = pair.known.size / units
        most = max(most, round(needs / with_a_value * exposures / units))
    return most or None


def _oddly_split(of: Definition, arms: Sequence[Arm]) -> str:
    """Why nothing can be concluded, if the units are not split as the weights say."""
    if split_is_odd([arm.units for arm in arms], [of.weights[arm.variant] for arm in arms]):
        split = ", ".join(f"{arm.variant} {arm.units:,}" for arm in arms)
        return (
            f"The units ({split}) are not split as the weights say, so variants cannot be "
            "compared: were the weights changed since? Then set `started` to that time."
        )
    if sum(weight > 0 for weight in of.weights.values()) < 2:
        return "Everybody gets the same variant, so there is nothing to compare."
    return ""


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def schema() -> str:
    """The JSON Schema of `--json`, as its file has it."""
    found = TypeAdapter(Report).json_schema()
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**draft, **found}, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
