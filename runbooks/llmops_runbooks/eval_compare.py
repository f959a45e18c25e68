"""Compares two runs question by question, and decides which is better.

A and B are paired by the questions' ids. One metric decides (`correct` unless asked otherwise):

    equal         no question came out otherwise                                        exit 0
    not worse     B is better, or surely not worse by more than the margin              exit 0
    worse         B is surely worse than A                                              exit 1
    cannot tell   the interval of the difference allows both                            exit 3

A pass needs nine in ten of A's questions in B: a run that was interrupted, or that asked others,
cannot tell, whatever it shows of the few it shares.

Surely is by the 95 % interval of the paired difference: Tango's score interval where the metric is
yes or no, the paired bootstrap's with a fixed seed elsewhere. The margin is in the metric's own
unit where it lies between 0 and 1; of durations, tokens and cost it is a share of A's mean. Of
those, less is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from statistics import fmean
from typing import Any

from llmops_runbooks.errors import ExitCode, UsageError
from llmops_runbooks.eval_report import is_share
from llmops_runbooks.eval_schema import Result, Row
from llmops_runbooks.eval_statistics import bootstrap, mcnemar, tango

MAIN = "correct"
MARGIN = 0.02
SHARED = 0.9
"""The least share of A's questions with the deciding metric that a pass has to rest on."""
LESS_IS_BETTER = frozenset(
    {"latency_ms", "first_token_ms", "prompt_tokens", "completion_tokens", "cost_micro_usd"}
)
TANGO = "Tango's score interval of paired shares; p: McNemar, exact"
BOOTSTRAP = "paired bootstrap, fixed seed"
UNDIRECTED = frozenset({"declined", "supported"})
"""Shown, but neither more nor less of it is better."""


class Decision(StrEnum):
    """What the comparison says."""

    EQUAL = "equal"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    CANNOT_TELL = "cannot tell"


EXITS = {
    Decision.EQUAL: ExitCode.DONE,
    Decision.NOT_WORSE: ExitCode.DONE,
    Decision.WORSE: ExitCode.FAILED,
    Decision.CANNOT_TELL: ExitCode.UNDECIDED,
}


@dataclass(frozen=True)
class Difference:
    """One metric over `n` pairs: difference is B's mean less A's, with its 95 % interval.

    gained, lost, p: of a yes-or-no metric, the flips to 1 and to 0, and McNemar's exact p-value.
    """

    metric: str
    n: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    method: str
    gained: int | None = None
    lost: int | None = None
    p: float | None = None


@dataclass(frozen=True)
class Flip:
    """A question that came out otherwise in the deciding metric; B's answer beside A's."""

    id: str
    question: str
    a: float
    b: float
    answer_a: str | None
    answer_b: str | None


@dataclass(frozen=True)
class Comparison:
    """What came of it. only_a, only_b: ids of questions that one run does not have."""

    a: str
    b: str
    metric: str
    margin: float
    decision: Decision
    reason: str
    differences: tuple[Difference, ...]
    better: tuple[Flip, ...]
    worse: tuple[Flip, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def exit_code(self) -> ExitCode:
        return EXITS[self.decision]

    def to_json(self) -> dict[str, Any]:
        """The JSON value."""
        return {"schema": "llmops-eval-comparison/1", **asdict(self), "exit_code": self.exit_code}


def compare(a: Result, b: Result, *, metric: str = MAIN, margin: float = MARGIN) -> Comparison:
    """Pairs the runs and decides. Raises UsageError if they share no question with the metric."""
    rows_a, rows_b = ({row.id: row for row in run.rows} for run in (a, b))
    pairs = [(row, rows_b[row.id]) for row in a.rows if row.id in rows_b]
    names = dict.fromkeys(name for row, _ in pairs for name in row.metrics)
    found = [each for name in names if (each := difference(name, pairs))]
    main = next((each for each in found if each.metric == metric), None)
    if main is None:
        raise UsageError(
            f"{a.name} and {b.name} share no question that has the metric {metric}.",
            hint=f"They share: {', '.join(names)}."
            if names
            else "Were they run on one golden set?",
        )
    better, worse = _flips(metric, pairs)
    decision, reason = decide(main, margin, flips=len(better) + len(worse))
    asked = sum(metric in row.metrics for row in a.rows)
    if decision in (Decision.EQUAL, Decision.NOT_WORSE) and main.n < SHARED * asked:
        decision = Decision.CANNOT_TELL
        reason = f"B has {main.n} of A's {asked} questions, too few for a pass; {reason}"
    return Comparison(
        a=a.name,
        b=b.name,
        metric=metric,
        margin=margin,
        decision=decision,
        reason=reason,
        differences=tuple(found),
        better=tuple(better),
        worse=tuple(worse),
        only_a=tuple(sorted(rows_a.keys() - rows_b.keys())),
        only_b=tuple(sorted(rows_b.keys() - rows_a.keys())),
        warnings=tuple(_warnings(a, b, pairs)),
    )


def difference(metric: str, pairs: Sequence[tuple[Row, Row]]) -> Difference | None:
    """The difference of a metric over the pairs that both have it; None if none do."""
    both = [
        (one.metrics[metric], other.metrics[metric])
        for one, other in pairs
        if metric in one.metrics and metric in other.metrics
    ]
    if not both:
        return None
    n, (a, b) = len(both), (fmean(each[at] for each in both) for at in (0, 1))
    told = Difference(metric, n, _short(a), _short(b), _short(b - a), 0.0, 0.0, BOOTSTRAP)
    if not all(is_share(each) for each in both):
        low, high = bootstrap([other - one for one, other in both])
        return replace(told, low=_short(low), high=_short(high))
    gained, lost = both.count((0.0, 1.0)), both.count((1.0, 0.0))
    low, high = tango(gained, lost, n)
    p = _short(mcnemar(gained, lost))
    low, high = _short(low), _short(high)
    return replace(told, low=low, high=high, method=TANGO, gained=gained, lost=lost, p=p)


def decide(main: Difference, margin: float, *, flips: int) -> tuple[Decision, str]:
    """What the difference of the deciding metric means, in one sentence with its numbers."""
    if main.metric in UNDIRECTED:
        raise UsageError(f"{main.metric} cannot decide: neither more nor less of it is better.")
    less = main.metric in LESS_IS_BETTER
    low, high = (-main.high, -main.low) if less else (main.low, main.high)
    allowed = margin * main.a if less else margin
    told = (
        f"{main.metric} {main.a:g} -> {main.b:g}, difference {main.difference:+g} "
        f"({main.low:+g} to {main.high:+g}) over {main.n} questions"
    )
    if not flips:
        return Decision.EQUAL, f"{told}: no question came out otherwise."
    if low >= -allowed:
        return Decision.NOT_WORSE, f"{told}: surely not worse by more than {allowed:g}."
    if high < 0:
        return Decision.WORSE, f"{told}: surely worse."
    return Decision.CANNOT_TELL, f"{told}: it may be worse by more than {allowed:g}, or not."


def _flips(metric: str, pairs: Sequence[tuple[Row, Row]]) -> tuple[list[Flip], list[Flip]]:
    better, worse = list[Flip](), list[Flip]()
    sign = -1 if metric in LESS_IS_BETTER else 1
    for one, other in pairs:
        values = one.metrics.get(metric), other.metrics.get(metric)
        if values[0] is None or values[1] is None or values[0] == values[1]:
            continue
        flip = Flip(one.id, one.question, *values, one.answer, other.answer)  # type: ignore[arg-type]
        (better if sign * (values[1] - values[0]) > 0 else worse).append(flip)
    return better, worse


def _warnings(a: Result, b: Result, pairs: Sequence[tuple[Row, Row]]) -> list[str]:
    found = []
    if a.golden and b.golden and a.golden.sha256 != b.golden.sha256:
        found.append("the golden sets differ: only the questions they share are compared")
    changed = sum(one.question != other.question for one, other in pairs)
    if changed:
        found.append(f"{changed} questions with the same id are worded differently")
    found += [
        f"{name} was {_said(a.settings, name)} in A and {_said(b.settings, name)} in B"
        for name in ("judge", "stream", "concurrency")
        if a.source == b.source and a.settings.get(name) != b.settings.get(name)
    ]
    prompts = {run.judge.prompt for run in (a, b) if run.judge and run.judge.prompt}
    if len(prompts) > 1:
        found.append("the judges had different instructions: their scores cannot be compared")
    failed = sum(1 for run in (a, b) for row in run.rows if row.error)
    if failed:
        found.append(f"{failed} requests failed; a question without an answer is not correct")
    return found


def _said(settings: Mapping[str, Any], name: str) -> str:
    return str(settings.get(name, "not said"))


def _short(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")
